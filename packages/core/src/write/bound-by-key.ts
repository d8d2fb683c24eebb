import type { Condition } from '../model/condition.ts'
import type { RelationFacts } from '../model/facts.ts'

/**
 * How many rows a condition leaves at most, because it fixes a whole primary or unique key; undefined when none is fixed.
 * Only conjuncts count: a condition narrows, whatever else stands beside it.
 */
export function boundByKey(
  condition: Condition,
  names: readonly string[],
  relation: RelationFacts,
): number | undefined {
  const keys = [...(relation.primaryKey ? [relation.primaryKey] : []), ...relation.uniqueKeys]
  const terms = conjuncts(condition)
  const bounds = keys.flatMap((key) => boundOf(key, terms, names) ?? [])
  return bounds.length > 0 ? Math.min(...bounds) : undefined
}

function conjuncts(condition: Condition): readonly Condition[] {
  return condition.kind === 'and' ? condition.members.flatMap(conjuncts) : [condition]
}

function boundOf(key: readonly string[], terms: readonly Condition[], names: readonly string[]): number | undefined {
  let rows = 1
  for (const column of key) {
    const sizes = terms.flatMap((term) => (columnOf(term, names) === column ? [sizeOf(term)] : []))
    if (sizes.length === 0) return undefined
    rows *= Math.min(...sizes)
  }
  return rows
}

function columnOf(term: Condition, names: readonly string[]): string | undefined {
  const equality = term.kind === 'in' || (term.kind === 'compare' && term.operator === '=')
  return equality ? names[term.column] : undefined
}

const sizeOf = (term: Condition): number => (term.kind === 'in' ? term.values.length : 1)
