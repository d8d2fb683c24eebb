import type { Operand, Predicate, Term } from '../model/query-shape.ts'
import { conditionTemplate, gapsOf, isAggregate, templateOf } from './chunk-template.ts'
import { embeddedCountOf } from './count-query.ts'
import { type Column, chunkKind, subqueryOf } from './internals.ts'
import { builtChunks } from './lazy-sql.ts'
import { isCall } from './raw-text.ts'
import type { StructuralKey } from './structural-key.ts'

/** What a condition's columns and parameters are. */
export interface PredicateNames {
  /** The table reference that a column means at this place; undefined for columns of sub-queries, CTEs and views. */
  termOf(column: Column): Term | undefined
  readonly key: Pick<StructuralKey, 'operandOf'>
}

/**
 * Reads how far a condition may narrow. The chunk array is the program that renders the text, so an exact shape such as
 * `[column, ' = ', parameter]` can mean only one thing, whoever built it (HOOKS 2.1).
 */
export function readPredicate(node: unknown, names: PredicateNames): Predicate {
  const { predicate, bound } = read(node, names)
  return bound === 'unknown' ? other : predicate
}

const other: Predicate = { kind: 'other' }

/**
 * A condition and how tightly its text holds together: Drizzle does not put members of `and()`, `or()` and `not()` into
 * parentheses, so what is loose inside may reach beyond its place.
 */
interface Reading {
  readonly predicate: Predicate
  readonly bound: 'unit' | 'and' | 'or' | 'unknown'
}

const unknown: Reading = { predicate: other, bound: 'unknown' }
const unit = (predicate: Predicate): Reading => ({ predicate, bound: 'unit' })

function read(node: unknown, names: PredicateNames): Reading {
  const chunks = builtChunks(node)
  if (!chunks) return isAtom(node) ? unit(other) : unknown
  const gaps = gapsOf(chunks)
  const inside = chunks[gaps[0] as number]
  switch (conditionTemplate(templateOf(chunks))) {
    case 'same-as-inside':
      return read(inside, names)
    case 'parentheses':
      return unit(readPredicate(inside, names))
    case 'and':
      return readMembers('and', chunks, gaps, names)
    case 'or':
      return readMembers('or', chunks, gaps, names)
    case 'not':
      return read(inside, names).bound === 'unit' ? unit(other) : unknown
    case 'never':
      return unit({ kind: 'never' })
    case 'always':
      return unit(other)
    case undefined:
      return isAtom(node) ? unit(other) : unknown
    default:
      return gaps.every((at) => isAtom(chunks[at])) ? unit(readComparison(chunks, gaps, names)) : unknown
  }
}

function readMembers(
  kind: 'and' | 'or',
  chunks: readonly unknown[],
  gaps: readonly number[],
  names: PredicateNames,
): Reading {
  const members: Predicate[] = []
  for (const at of gaps) {
    const { predicate, bound } = read(chunks[at], names)
    // `a and b or c` is `(a and b) or c`: only inside `and` does a loose `or` reach out.
    if (bound === 'unknown' || (bound === 'or' && kind === 'and')) return unknown
    members.push(predicate)
  }
  return { predicate: { kind, members }, bound: kind }
}

function readComparison(chunks: readonly unknown[], gaps: readonly number[], names: PredicateNames): Predicate {
  const [left, right] = gaps.map((at) => operandAt(chunks, at, names))
  switch (conditionTemplate(templateOf(chunks))) {
    case 'equal':
      return readEquality(left, right)
    case 'in':
      return left?.term && right?.values ? { kind: 'in', term: left.term, values: right.values } : other
    case 'null':
      return left?.term ? { kind: 'null', term: left.term } : other
    default:
      return other
  }
}

/** What stands in a gap, if it is a column, a parameter or a list of parameters. */
interface Named {
  readonly term?: Term
  readonly value?: Operand
  readonly values?: readonly Operand[]
}

function readEquality(left: Named | undefined, right: Named | undefined): Predicate {
  if (left?.term && right?.term) return { kind: 'same', left: left.term, right: right.term }
  const term = left?.term ?? right?.term
  const value = left?.value ?? right?.value
  return term && value !== undefined ? { kind: 'equals', term, value } : other
}

function operandAt(list: readonly unknown[], at: number, names: PredicateNames): Named | undefined {
  const node = list[at]
  if (typeof node !== 'object' || node === null) return valueNamed(names.key.operandOf(list, at))
  const inside = builtChunks(node)
  if (inside) {
    const [only, ...rest] = gapsOf(inside)
    const isTransparent = only !== undefined && rest.length === 0 && templateOf(inside) === '\0'
    return isTransparent ? operandAt(inside, only, names) : undefined
  }
  switch (chunkKind(node)) {
    case 'column': {
      const term = names.termOf(node as Column)
      return term && { term }
    }
    case 'param':
    case 'placeholder':
      return valueNamed(names.key.operandOf(node))
    case 'list':
      return readList(node as readonly unknown[], names)
    default:
      return undefined
  }
}

const valueNamed = (value: Operand | undefined): Named | undefined => (value === undefined ? undefined : { value })

function readList(list: readonly unknown[], names: PredicateNames): Named | undefined {
  const values: Operand[] = []
  for (let at = 0; at < list.length; at++) {
    const value = operandAt(list, at, names)?.value
    if (value === undefined) return undefined
    values.push(value)
  }
  return values.length > 0 ? { values } : undefined
}

/** True for what stands as one operand wherever it is put. */
function isAtom(node: unknown): boolean {
  if (typeof node !== 'object' || node === null) return node !== undefined
  const chunks = builtChunks(node)
  if (chunks) return isAtomicSql(chunks)
  const kind = chunkKind(node)
  // A sub-query that is not a CTE ends with its alias, and what is not built yet has no parentheses.
  if (kind === 'subquery') return subqueryOf(node).isWith
  return kind !== 'sql' && kind !== 'text'
}

function isAtomicSql(chunks: readonly unknown[]): boolean {
  const template = templateOf(chunks)
  const meaning = conditionTemplate(template)
  if (meaning === 'same-as-inside') return isAtom(chunks[gapsOf(chunks)[0] as number])
  if (meaning === 'parentheses' || meaning === 'always' || meaning === 'never') return true
  return isAggregate(template) || embeddedCountOf(chunks) !== undefined || isCall(chunks)
}
