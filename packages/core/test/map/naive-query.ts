/** Answers a test's query from rows in memory as SQL defines it: no cleverness, so that it can be read and believed. */
import type { Term } from '../../src/model/query-shape.ts'
import { type Schema, selectedOf, type Test, type TestBlock, type TestQuery, type TestSource } from './cover.fixture.ts'

export type Value = number | string | null
export type Row = Readonly<Record<string, Value>>
export type Data = ReadonlyMap<string, readonly Row[]>

/** Rows by reference, null for a null-extended one; `shown` holds what queries in the FROM gave. */
interface Combination {
  readonly rows: readonly (Row | null | undefined)[]
  readonly shown: readonly string[]
}

export interface Asked {
  readonly query: TestQuery
  readonly schema: Schema
  readonly data: Data
  readonly params: readonly Value[]
}

export interface Answer {
  /** One text for each row. */
  readonly rows: readonly string[]
  /** The combinations behind the root's rows, to learn partners from. */
  readonly combinations: readonly Combination[]
}

export const valueAt = ({ rows }: Pick<Combination, 'rows'>, { ref, column }: Term): Value =>
  rows[ref]?.[column] ?? null

export function answer(asked: Asked): Answer {
  const outer: Combination = { rows: [], shown: [] }
  const { root } = asked.query
  const members = root.members.flatMap((member) => ask(asked, member, outer))
  return { rows: [...ask(asked, root, outer, false), ...members], combinations: combinationsOf(asked, root, outer) }
}

function ask(asked: Asked, block: TestBlock, outer: Combination, withMembers = true): string[] {
  const found = combinationsOf(asked, block, outer)
  const rows = block.count ? [`${found.length}`] : found.map((each) => show(asked, block, each))
  // A sub-query beside an aggregate is asked even where no row is counted.
  const beside = block.count ? block.scalars.map((scalar) => ask(asked, scalar, outer).join(';')) : []
  const more = withMembers ? block.members.flatMap((member) => ask(asked, member, outer)) : []
  return [...(block.count ? [[...rows, ...beside].join('+')] : rows), ...more]
}

function show(asked: Asked, block: TestBlock, combination: Combination): string {
  const values = selectedOf(block, asked.query.tables, asked.schema).map((term) => valueAt(combination, term))
  const scalars = block.scalars.map((scalar) => ask(asked, scalar, combination).join(';'))
  return JSON.stringify([values, combination.shown, scalars])
}

function combinationsOf(asked: Asked, block: TestBlock, outer: Combination): readonly Combination[] {
  let found: readonly Combination[] = [{ rows: outer.rows, shown: [] }]
  const before: number[] = []
  for (const source of block.sources) {
    found = join(asked, found, source, before, outer)
    if ('ref' in source) before.push(source.ref)
  }
  const kept = found.filter((each) => holds(asked, block.where, each) === true)
  const ordered = block.order.length > 0 ? [...kept].sort((a, b) => order(a, b, block.order)) : kept
  const end = block.limit === undefined ? undefined : block.offset + block.limit
  return ordered.slice(block.offset, end)
}

function order(a: Combination, b: Combination, terms: readonly Term[]): number {
  for (const term of terms) {
    const [one, other] = [valueAt(a, term), valueAt(b, term)]
    if (one === other) continue
    if (one === null) return 1
    if (other === null) return -1
    return one < other ? -1 : 1
  }
  return 0
}

function join(
  asked: Asked,
  left: readonly Combination[],
  source: TestSource,
  before: readonly number[],
  outer: Combination,
): readonly Combination[] {
  const found: Combination[] = []
  const matched = new Set<Combination>()
  // Only a query in a FROM sees the rows beside it, and only where no right or full join is asked for.
  const alone = itemsOf(asked, source, outer)
  for (const one of left) {
    const items =
      'block' in source && source.join !== 'right' && source.join !== 'full' ? itemsOf(asked, source, one) : alone
    let any = false
    for (const item of items) {
      const both = merge(one, item)
      if (holds(asked, source.on, both) !== true) continue
      found.push(both)
      matched.add(item)
      any = true
    }
    if (!any && (source.join === 'left' || source.join === 'full')) found.push(merge(one, nothing(source)))
  }
  if (source.join !== 'right' && source.join !== 'full') return found
  const rest = alone.filter((item) => !matched.has(item))
  const empty = withRows(outer.rows, before, null)
  return [...found, ...rest.map((item) => merge({ rows: empty, shown: [] }, item))]
}

function itemsOf(asked: Asked, source: TestSource, around: Combination): readonly Combination[] {
  if ('opaque' in source) return [{ rows: [], shown: ['?'] }]
  if ('block' in source) return ask(asked, source.block, around).map((row) => ({ rows: [], shown: [row] }))
  const rows = asked.data.get(asked.query.tables[source.ref] as string) ?? []
  return rows.map((row) => ({ rows: withRows([], [source.ref], row), shown: [] }))
}

const nothing = (source: TestSource): Combination =>
  'ref' in source ? { rows: withRows([], [source.ref], null), shown: [] } : { rows: [], shown: ['-'] }

function withRows(rows: Combination['rows'], refs: readonly number[], row: Row | null): Combination['rows'] {
  const copy = rows.slice()
  for (const ref of refs) copy[ref] = row
  return copy
}

function merge(one: Combination, other: Combination): Combination {
  const rows = one.rows.slice()
  other.rows.forEach((row, ref) => {
    rows[ref] = row
  })
  return { rows, shown: other.shown.length > 0 ? [...one.shown, ...other.shown] : one.shown }
}

/** Three-valued: null is unknown. */
function holds(asked: Asked, test: Test | undefined, given: Combination): boolean | null {
  switch (test?.kind) {
    case undefined:
      return true
    case 'never':
      return false
    // Any function of the row would do; this one tells many rows apart.
    case 'other':
      return JSON.stringify(given.rows).length % 3 !== 0
    case 'and':
      return all(test.members.map((member) => holds(asked, member, given)))
    case 'or':
      return not(all(test.members.map((member) => not(holds(asked, member, given)))))
    case 'not':
      return not(holds(asked, test.member, given))
    case 'null':
      return valueAt(given, test.term) === null
    case 'same':
      return equal(valueAt(given, test.left), valueAt(given, test.right))
    case 'equals':
      return equal(valueAt(given, test.term), asked.params[test.value] ?? null)
    case 'in':
      return not(all(test.values.map((value) => not(equal(valueAt(given, test.term), asked.params[value] ?? null)))))
    case 'less':
      return less(valueAt(given, test.term), asked.params[test.value] ?? null)
    case 'exists':
      return ask(asked, test.block, given).length > 0
  }
}

const not = (truth: boolean | null): boolean | null => (truth === null ? null : !truth)

function all(truths: readonly (boolean | null)[]): boolean | null {
  if (truths.includes(false)) return false
  return truths.includes(null) ? null : true
}

const equal = (one: Value, other: Value): boolean | null =>
  one === null || other === null ? null : plain(one) === plain(other)

/** Texts of columns without tokens are equal without regard to case, as citext is; numbers are read past blanks. */
const plain = (value: Value): string => `${value}`.trim().toLowerCase()

const less = (one: Value, other: Value): boolean | null => (one === null || other === null ? null : one < other)
