import { byBytes, type Scheme } from '../model/keys.ts'
import type { ClassCandidate } from '../model/query-cover.ts'
import type { Operand } from '../model/query-shape.ts'
import { MAX_BRANCHES } from './condition-branches.ts'

/** What a column must be: one of some values, or NULL. */
export type ColumnValue = readonly Operand[] | null | undefined

export type Classes = readonly (readonly ClassCandidate[])[] | 'no-scheme' | 'too-many-classes'

const rank = { primary: 0, unique: 1, class: 2 } as const

/** Most specific first: the primary key, then unique keys, then more columns before fewer. */
export const bySpecificity = (schemes: readonly Scheme[]): readonly Scheme[] =>
  [...schemes].sort(
    (a, b) => rank[a.kind] - rank[b.kind] || b.columns.length - a.columns.length || byBytes(a.name, b.name),
  )

/**
 * The classes that hold every row with these values; `schemes` stand most specific first. In-lists give a class for each
 * combination, of the most specific scheme for which these are not too many; others stand behind it, for values without
 * a token.
 */
export function chooseClasses(schemes: readonly Scheme[], choices: (column: string) => ColumnValue): Classes {
  const covered = schemes.filter((scheme) => scheme.columns.every((column) => isUsable(scheme, choices(column))))
  const chosen = covered.find((scheme) => countOf(scheme, choices) <= MAX_BRANCHES)
  if (!chosen) return covered.length > 0 ? 'too-many-classes' : 'no-scheme'
  return combinations(chosen, choices).map((fixed) =>
    candidates(covered, (column) => fixed.get(column) ?? choices(column)),
  )
}

/** A key is never looked up by NULL, and its writers leave no stamp for it. */
function isUsable(scheme: Scheme, value: ColumnValue): boolean {
  return value === null ? scheme.kind === 'class' : value !== undefined
}

const countOf = (scheme: Scheme, choices: (column: string) => ColumnValue): number =>
  scheme.columns.reduce((count, column) => count * (choices(column)?.length ?? 1), 1)

/** Every choice of one value for each column that has several. */
function combinations(scheme: Scheme, choices: (column: string) => ColumnValue): Map<string, readonly Operand[]>[] {
  let chosen: Map<string, readonly Operand[]>[] = [new Map()]
  for (const column of scheme.columns) {
    const values = choices(column) ?? []
    if (values.length > 1)
      chosen = chosen.flatMap((fixed) => values.map((value) => new Map(fixed).set(column, [value])))
  }
  return chosen
}

function candidates(schemes: readonly Scheme[], choices: (column: string) => ColumnValue): ClassCandidate[] {
  return schemes.flatMap((scheme) => {
    const values = scheme.columns.map(choices)
    if (values.some((list) => list && list.length > 1)) return []
    return [{ scheme, values: values.map((list) => list?.[0] ?? null) }]
  })
}
