/** Random queries over a schema, small enough for every row to matter, and random rows and writes for them. */

import type { Random } from '../../../../test/random/random.ts'
import type { JoinKind, Term } from '../../src/model/query-shape.ts'
import { emptyBlock, type Schema, type Test, type TestBlock, type TestQuery, type TestSource } from './cover.fixture.ts'
import type { Data, Row, Value } from './naive-query.ts'

const VALUES = [1, 2, 3]
export const PARAMS = 4

export const randomParams = (random: Random): Value[] =>
  Array.from({ length: PARAMS }, () =>
    random.weighted<Value>([
      [40, random.pick(VALUES)],
      [1, null],
      // A spelling that has no token, and yet PostgreSQL takes it for a number.
      [1, ' 1'],
    ]),
  )

// ---- queries

interface Making {
  readonly random: Random
  readonly schema: Schema
  readonly tables: string[]
}

/** References that can be named from a place. */
type Seen = readonly number[]

export function randomQuery(random: Random, schema: Schema): TestQuery {
  const making: Making = { random, schema, tables: [] }
  const root = random.chance(0.2) ? makePartners(making) : makeBlock(making, [], 0)
  return { root, tables: making.tables }
}

/** Rows with their partners, whose columns stand nearly nowhere else. */
function makePartners(making: Making): TestBlock {
  const { random } = making
  const own: number[] = []
  const sources = Array.from({ length: 2 + random.below(3) }, (_, i): TestSource => {
    const ref = making.tables.push(random.pick([...making.schema.tables.keys()])) - 1
    const before = [...own]
    own.push(ref)
    if (i === 0) return { join: 'from', ref, on: undefined }
    const on = link(making, ref, before) ?? makeTest(making, [...own], [ref], 2, 0)
    return {
      join: random.weighted([
        [8, 'left'],
        [5, 'inner'],
        [0.4, 'right'],
        [0.4, 'full'],
      ]),
      ref,
      on,
    }
  })
  const near = random.chance(0.85) ? own.slice(0, 1) : own
  const limited = random.chance(0.5)
  return {
    ...emptyBlock,
    sources,
    where: random.chance(0.5) ? makeTest(making, near, near, random.chance(0.9) ? 2 : 1, 1) : undefined,
    count: random.chance(0.05),
    limit: limited ? 1 + random.below(2) : undefined,
    offset: limited && random.chance(0.5) ? 1 : 0,
    order: limited && random.chance(0.5) ? [term(making, near)] : [],
  }
}

function makeBlock(making: Making, outer: Seen, depth: number): TestBlock {
  const { random } = making
  const own: number[] = []
  const sources: TestSource[] = []
  const count = random.weighted([
    [3, 1],
    [4, 2],
    [depth > 1 ? 0 : 3, 3],
    [depth > 0 ? 0 : 1, 4],
  ])
  for (let i = 0; i < count; i++) sources.push(makeSource(making, own, outer, depth, i === 0))
  const seen = [...outer, ...own]
  const where = own.length > 0 ? makeWhere(making, own, outer, depth) : undefined
  const deep = (share: number): TestBlock[] =>
    depth < 2 && random.chance(share) ? [makeBlock(making, seen, depth + 1)] : []
  const scalars = deep(0.06)
  const members = depth < 2 && random.chance(depth === 0 ? 0.04 : 0.15) ? [makeBlock(making, outer, depth + 1)] : []
  const limited = random.chance(0.2) && members.length === 0
  return {
    ...emptyBlock,
    sources,
    where,
    scalars,
    members,
    count: random.chance(depth === 0 ? 0.1 : 0.2),
    limit: limited ? 1 + random.below(2) : undefined,
    offset: limited && random.chance(0.4) ? 1 : 0,
    select: random.chance(0.3) && own.length > 0 ? [term(making, own), term(making, own)] : undefined,
    order: limited && own.length > 0 && random.chance(0.5) ? [term(making, own)] : [],
  }
}

/** The condition of a block; a query inside another mostly names a row around it. */
function makeWhere(making: Making, own: Seen, outer: Seen, depth: number): Test | undefined {
  const { random } = making
  const test = random.chance(0.75) ? makeTest(making, [...outer, ...own], own, depth, 2) : undefined
  const around = outer.length > 0 && random.chance(0.7) ? link(making, random.pick(own), outer) : undefined
  return test && around ? { kind: 'and', members: [around, test] } : (around ?? test)
}

function makeSource(making: Making, own: number[], outer: Seen, depth: number, first: boolean): TestSource {
  const { random } = making
  const join: JoinKind = first
    ? 'from'
    : random.weighted([
        [6, 'inner'],
        [8, 'left'],
        [2, 'right'],
        [2, 'full'],
        [1, 'cross'],
      ])
  const lateral = join === 'inner' || join === 'left' || join === 'cross'
  if (depth < 2 && random.chance(0.09)) {
    const block = makeBlock(making, lateral ? [...outer, ...own] : outer, depth + 1)
    const on = join !== 'from' && join !== 'cross' && own.length > 0 && random.chance(0.3)
    return { join, block, on: on ? makeTest(making, [...outer, ...own], own, depth, 1) : undefined }
  }
  const ref = making.tables.push(random.pick([...making.schema.tables.keys()])) - 1
  const before = [...own]
  own.push(ref)
  if (join === 'from' || join === 'cross') return { join, ref, on: undefined }
  const plain = before.length > 0 && random.chance(0.7) ? link(making, ref, before) : undefined
  const more = (): Test => makeTest(making, [...outer, ...own], random.chance(0.5) ? [ref] : own, depth, 1)
  if (plain && random.chance(0.3)) return { join, ref, on: { kind: 'and', members: [plain, more()] } }
  return { join, ref, on: plain ?? makeTest(making, [...outer, ...own], [ref], depth, 2) }
}

/** The equality by which tables are usually joined: a foreign key, from either side, or the whole primary key. */
function link(making: Making, ref: number, before: Seen): Test | undefined {
  const { random, schema, tables } = making
  const other = random.pick(before)
  const [own, there] = [schema.tables.get(tables[ref] as string)!, schema.tables.get(tables[other] as string)!]
  const pairs = [
    ...there.outgoing.flatMap((key) =>
      key.parent === own.id ? [key.columns.map((column, i) => [key.parentColumns[i] as string, column] as const)] : [],
    ),
    ...own.outgoing.flatMap((key) =>
      key.parent === there.id
        ? [key.columns.map((column, i) => [column, key.parentColumns[i] as string] as const)]
        : [],
    ),
  ]
  // Or a key that nothing enforces.
  const key = own.primaryKey?.map((column) => [column, term(making, [other]).column] as const)
  if (key && random.chance(0.25)) pairs.push(key)
  if (pairs.length === 0) return undefined
  const members = random.pick(pairs).map(([column, elsewhere]): Test => {
    const sides: [Term, Term] = [
      { ref, column },
      { ref: other, column: elsewhere },
    ]
    const [left, right] = random.chance(0.5) ? sides : [sides[1], sides[0]]
    return { kind: 'same', left, right }
  })
  return members.length === 1 ? members[0] : { kind: 'and', members }
}

function term({ random, schema, tables }: Making, refs: Seen): Term {
  const ref = random.pick(refs)
  return { ref, column: random.pick([...schema.tables.get(tables[ref] as string)!.columns.keys()]) }
}

/** A column that a class is kept for. */
function keyTerm(making: Making, refs: Seen): Term {
  const { random, schema, tables } = making
  const ref = random.pick(refs)
  const schemes = schema.schemesOf(schema.tables.get(tables[ref] as string)!)
  return schemes.length === 0 ? term(making, refs) : { ref, column: random.pick(random.pick(schemes).columns) }
}

function makeTest(making: Making, seen: Seen, near: Seen, depth: number, nested: number): Test {
  const { random } = making
  const inner = (): Test => makeTest(making, seen, near, depth, nested - 1)
  const several = (kind: 'and' | 'or'): Test => ({
    kind,
    members: Array.from({ length: 2 + random.below(2) }, inner),
  })
  const operand = (): number => random.below(PARAMS)
  const column = (refs: Seen): Term => (random.chance(0.7) ? keyTerm(making, refs) : term(making, refs))
  const kind = random.weighted<'and' | 'or' | 'not' | 'exists' | Test['kind']>([
    [nested > 0 ? 12 : 0, 'and'],
    [nested > 0 ? 3 : 0, 'or'],
    [nested > 0 ? 0.6 : 0, 'not'],
    [depth < 2 ? 0.7 : 0, 'exists'],
    [6, 'same'],
    [11, 'equals'],
    [2, 'in'],
    [3, 'null'],
    [0.7, 'less'],
    [0.4, 'other'],
    [0.2, 'never'],
  ])
  switch (kind) {
    case 'and':
    case 'or':
      return several(kind)
    case 'not':
      return { kind, member: inner() }
    case 'exists':
      return { kind, block: makeBlock(making, seen, depth + 1) }
    case 'same':
      return { kind, left: column(near), right: column(seen) }
    case 'in':
      return { kind, term: column(near), values: Array.from({ length: 1 + random.below(3) }, operand) }
    case 'equals':
    case 'less':
      return { kind, term: column(random.chance(0.7) ? near : seen), value: operand() }
    case 'null':
      return { kind, term: column(near) }
    default:
      return { kind }
  }
}

// ---- rows and writes

/** Rows that keep every key of the schema; tables stand in the order of their references. */
export function randomData(random: Random, schema: Schema): Data {
  let data: Data = new Map([...schema.tables.keys()].map((name) => [name, []]))
  for (const name of schema.tables.keys())
    for (let i = random.below(5); i > 0; i--) {
      const next = withRow(data, name, undefined, randomRow(random, schema, name))
      if (isSound(schema, next)) data = next
    }
  return data
}

function randomRow(random: Random, schema: Schema, name: string): Row {
  const columns = [...schema.tables.get(name)!.columns.values()]
  return Object.fromEntries(columns.map((column) => [column.name, randomValue(random, column)]))
}

function randomValue(random: Random, { notNull, token }: { notNull: boolean; token: string }): Value {
  if (!notNull && random.chance(0.3)) return null
  return token === 'none' ? random.pick(['1', '2', 'a', 'A']) : random.pick(VALUES)
}

/** Rows stand in the order of their contents, so that an answer depends on nothing but what the tables hold. */
function withRow(data: Data, name: string, old: Row | undefined, row: Row | undefined): Data {
  const rows = (data.get(name) ?? []).filter((each) => each !== old)
  const next = row ? [...rows, row] : rows
  const sorted = next.map((each) => [JSON.stringify(each), each] as const).sort(([a], [b]) => (a < b ? -1 : 1))
  return new Map(data).set(
    name,
    sorted.map(([, each]) => each),
  )
}

export interface Write {
  readonly table: string
  readonly old: Row | undefined
  readonly row: Row | undefined
  readonly after: Data
}

/** One row inserted, updated or deleted; undefined where the keys forbid it. */
export function randomWrite(random: Random, schema: Schema, data: Data): Write | undefined {
  const table = random.pick([...schema.tables.keys()])
  const rows = data.get(table) ?? []
  const old = rows.length > 0 && random.chance(0.75) ? random.pick(rows) : undefined
  const row = old && random.chance(0.35) ? undefined : changed(random, schema, table, old)
  const after = withRow(data, table, old, row)
  return isSound(schema, after) ? { table, old, row, after } : undefined
}

function changed(random: Random, schema: Schema, table: string, old: Row | undefined): Row {
  const fresh = randomRow(random, schema, table)
  if (!old) return fresh
  const column = random.pick(Object.keys(old))
  return { ...old, [column]: fresh[column] as Value }
}

function isSound({ tables, facts }: Schema, data: Data): boolean {
  for (const [name, rows] of data) {
    const table = tables.get(name)!
    const keys = rows.map((row) => JSON.stringify(table.primaryKey?.map((column) => row[column])))
    if (new Set(keys).size < keys.length) return false
    for (const key of table.outgoing.filter(({ proven }) => proven)) {
      const parents = data.get(facts.relations.get(key.parent)!.name) ?? []
      const has = (row: Row) => (parent: Row) =>
        key.columns.every((column, i) => parent[key.parentColumns[i] as string] === row[column])
      const free = (row: Row) => key.columns.some((column) => row[column] === null)
      if (!rows.every((row) => free(row) || parents.some(has(row)))) return false
    }
  }
  return true
}
