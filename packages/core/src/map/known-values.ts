import type { ColumnFacts } from '../model/facts.ts'
import type { Operand, Term } from '../model/query-shape.ts'
import type { Branch } from './condition-branches.ts'

/** The values that a column must have one of, by `termKey`. */
export type KnownValues = ReadonlyMap<string, readonly Operand[]>

export const termKey = ({ ref, column }: Term): string => `${ref}.${column}`

export type ColumnOf = (term: Term) => ColumnFacts | undefined

/**
 * What facts that hold together say about single columns: equalities with values, carried on by equalities between
 * columns. NULL does not travel: `a = b` is not true where one of them is NULL.
 */
export function knownValues(facts: Branch, columnOf: ColumnOf): KnownValues {
  const known = new Map<string, readonly Operand[]>()
  for (const fact of facts) {
    if (fact.kind === 'equals') learn(known, fact.term, [fact.value], columnOf)
    if (fact.kind === 'in') learn(known, fact.term, fact.values, columnOf)
  }
  const bridges = facts.filter((fact) => fact.kind === 'same' && areComparable(fact.left, fact.right, columnOf))
  while (bridges.filter((fact) => fact.kind === 'same' && cross(known, fact.left, fact.right, columnOf)).length > 0);
  return known
}

/** Carries values over an equality, in both directions; whether that was news. */
function cross(known: Map<string, readonly Operand[]>, left: Term, right: Term, columnOf: ColumnOf): boolean {
  const there = learn(known, right, known.get(termKey(left)), columnOf)
  return learn(known, left, known.get(termKey(right)), columnOf) || there
}

/** Where several lists are known, each is true: the shortest is kept. Lists only get shorter, so this ends. */
function learn(
  known: Map<string, readonly Operand[]>,
  term: Term,
  values: readonly Operand[] | undefined,
  columnOf: ColumnOf,
): boolean {
  const before = known.get(termKey(term))
  if (!values || (before && before.length <= values.length)) return false
  if ((columnOf(term)?.token ?? 'none') === 'none') return false
  known.set(termKey(term), values)
  return true
}

/**
 * Whether a value of one column stands under the same token in the other: of one kind, and an enum of the very same
 * type. Over a column without tokens nothing travels: there PostgreSQL may call equal what we would tell apart.
 */
export function areComparable(left: Term, right: Term, columnOf: ColumnOf): boolean {
  const [one, other] = [columnOf(left), columnOf(right)]
  if (!one || !other || one.token === 'none' || one.token !== other.token) return false
  return one.token !== 'enum' || one.sqlType === other.sqlType
}
