/** Conditions of a `where`, read from the tree that renders it. Only what is understood without any doubt is named. */
export type Condition =
  | { readonly kind: 'and' | 'or'; readonly members: readonly Condition[] }
  | { readonly kind: 'compare'; readonly column: number; readonly operator: Comparison; readonly value: Value }
  | { readonly kind: 'in'; readonly column: number; readonly values: readonly Value[] }
  | { readonly kind: 'null'; readonly column: number; readonly negated: boolean }
  | { readonly kind: 'opaque' }

export type Comparison = '=' | '<>'

/** A value that may be known only when the statement runs: gives what the driver would be sent, or {@link unknownValue}. */
export type Value = (placeholders: Readonly<Record<string, unknown>> | undefined) => unknown

/** A value that renders as more than a parameter (an encoder that answers SQL): nothing may be concluded from it. */
export const unknownValue: unique symbol = Symbol('unknown value')

/** True when nothing in it is opaque: it says the same whenever it is asked. */
export function isUnderstood(condition: Condition): boolean {
  if (condition.kind === 'and' || condition.kind === 'or') return condition.members.every(isUnderstood)
  return condition.kind !== 'opaque'
}

/** All values of a condition, as they are sent. */
export function valuesIn(condition: Condition, placeholders: Readonly<Record<string, unknown>> | undefined): unknown[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.members.flatMap((member) => valuesIn(member, placeholders))
    case 'compare':
      return [condition.value(placeholders)]
    case 'in':
      return condition.values.map((value) => value(placeholders))
    default:
      return []
  }
}
