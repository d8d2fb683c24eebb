import { desc, eq, fillPlaceholders, gt, inArray, isNull, type SQL, sql } from 'drizzle-orm'
import { PgDialect } from 'drizzle-orm/pg-core'
import { describe, expect, it } from 'vitest'
import type { Dialect, RelationalConfig, TableConfig } from '../../src/drizzle/internals.ts'
import { RelationalReader } from '../../src/drizzle/read-relational.ts'
import type { SelectionItem } from '../../src/drizzle/relational-selection.ts'
import { tableShapes } from '../../src/drizzle/table-shape.ts'
import { blog, configOf, corpus, dialect, given, users } from './relational.fixture.ts'

const db = blog()
const shapeOf = tableShapes(dialect)
const reader = new RelationalReader(dialect, shapeOf)

function readOf(query: unknown, by = reader) {
  const settled = by.settle(configOf(query))
  const read = by.read(settled)
  if (typeof read === 'string') throw new Error(`refused: ${read}`)
  return { settled, read, built: () => compiled(settled) }
}

function compiled(config: RelationalConfig) {
  const { sql: tree, selection } = dialect.buildRelationalQueryWithoutPK(config)
  return { ...dialect.sqlToQuery(tree), selection: selection as SelectionItem[] }
}

const only = corpus.map(([name, make]) => [name, make] as const)

describe('keys of relational queries', () => {
  it.each(only)('hold the parameters that Drizzle sends, in its order: %s', (_, make) => {
    const { read, built } = readOf(make())
    expect(read.key.values(given)).toEqual(fillPlaceholders(built().params, given))
  })

  it.each(only)('are the same for the same query made again: %s', (_, make) => {
    expect(readOf(make()).read.key.text).toBe(readOf(make()).read.key.text)
  })

  it('are one for each text of the corpus', () => {
    const texts = new Map(
      only.map(([, make]) => make()).map((query) => [readOf(query).read.key.text, readOf(query).built().sql]),
    )
    expect(texts.size).toBe(new Set(texts.values()).size)
  })

  it('are the same whatever the values, and whether the first or all are asked for', () => {
    const where = (id: number) => readOf(db.query.users.findMany({ where: eq(users.id, id), limit: id })).read.key
    expect(where(1).text).toBe(where(2).text)
    expect(where(1).values(undefined)).toEqual([1, 1])
    expect(readOf(db.query.users.findFirst({ where: eq(users.id, 7) })).read.key.text).toBe(where(1).text)
  })

  it('follow the casing of the dialect', () => {
    const plain = new PgDialect() as unknown as Dialect
    const other = new RelationalReader(plain, tableShapes(plain))
    const query = () => db.query.users.findMany({ columns: { fullName: true }, with: { manager: true } })
    expect(readOf(query(), other).read.key.text).not.toBe(readOf(query()).read.key.text)
  })

  it.each<[string, () => unknown]>([
    [
      'a condition that another builder has not built yet',
      () => ({ where: sql`${db.insert(users).values({ id: 1 })}` }),
    ],
    ['an encoder that answers SQL', () => ({ where: sql`${sql.param(1, { mapToDriverValue: () => sql`1` })} = 1` })],
  ])('are refused: %s', (_, options) => {
    const settled = reader.settle(configOf(db.query.users.findMany(options() as never)))
    const read = reader.read(settled)
    expect(typeof (typeof read === 'string' ? read : read.key.values(undefined))).toBe('string')
  })

  it('are refused where PostgreSQL would cut two names to one', () => {
    let options: Record<string, unknown> | true = true
    for (let depth = 0; depth < 8; depth++) options = { with: { manager: options } }
    expect(reader.read(reader.settle(configOf(db.query.users.findMany(options as never))))).toBe('unknown-chunk')
  })
})

describe('selections without building', () => {
  it.each(only)('are those of Drizzle: %s', (_, make) => {
    const { read, built } = readOf(make())
    expect(told(read.selection())).toEqual(told(built().selection))
    read.wasBuilt()
    expect(told(read.selection())).toEqual(told(built().selection))
    expect(read.isKnown).toBe(true)
  })

  it('are kept for a structure that was built, unless the user has a part in them', () => {
    const plain = () => readOf(db.query.tags.findMany({ with: { posts: true } })).read
    expect(plain().selection()).not.toBe(plain().selection())
    plain().wasBuilt()
    expect(plain().selection()).toBe(plain().selection())
    const extra = () => readOf(db.query.tags.findMany({ extras: { n: sql`1`.as('n') } })).read
    extra().wasBuilt()
    expect(extra().selection()).not.toBe(extra().selection())
  })
})

/** A selection with its columns as far as the mapping goes: Drizzle has them as proxies under an alias. */
function told(items: readonly SelectionItem[]): unknown[] {
  return items.map(({ field, selection, ...item }) => {
    const { name, columnType, mapFromDriverValue, sql: tree } = field as Record<string, unknown>
    const inside = tree as (SQL & { decoder: unknown }) | undefined
    return { ...item, name, columnType, mapFromDriverValue, decoder: inside?.decoder, selection: told(selection) }
  })
}

describe('random relational queries', () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

  it(`with equal keys have equal SQL, and their values are Drizzle's (SEED=${seed})`, () => {
    const next = randomFrom(seed)
    const sqlOf = new Map<string, string>()
    let met = 0
    for (let turn = 0; turn < 1_000; turn++) {
      const options = randomOptions(next, reader.settle(configOf(db.query.users.findMany())).schema, 'users', 3)
      const settled = reader.settle(configOf(db.query.users.findMany(options as never)))
      const read = reader.read(settled)
      if (typeof read === 'string') {
        expect(() => compiled(settled)).toThrow(/No fields selected/)
        continue
      }
      const { sql: text, params, selection } = compiled(settled)
      const known = sqlOf.get(read.key.text)
      if (known !== undefined) met++
      expect(text).toBe(known ?? text)
      sqlOf.set(read.key.text, text)
      expect(read.key.values(undefined)).toEqual(params)
      expect(told(read.selection())).toEqual(told(selection))
      read.wasBuilt()
    }
    expect(met).toBeGreaterThan(100)
    expect(new Set(sqlOf.values()).size).toBeGreaterThan(100)
  })
})

type Next = (below: number) => number

/** mulberry32 */
function randomFrom(seed: number): Next {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** Few choices at each place, so that different queries often come out alike. */
function randomOptions(next: Next, tables: Record<string, TableConfig>, table: string, depth: number): unknown {
  const { columns, relations } = tables[table] as TableConfig
  const names = Object.keys(columns)
  const some = columns[names[next(2)] as string] as never
  const options: Record<string, unknown> = {}
  const maybe = (key: string, chance: number, make: () => unknown): void => {
    if (next(chance) === 0) options[key] = make()
  }
  maybe('columns', 3, () => ({
    [names[next(2)] as string]: next(2) === 0,
    ...(next(4) === 0 && { [names[2] ?? '']: true }),
  }))
  maybe('where', 3, () => [eq(some, next(3)), isNull(some), inArray(some, [1, 2].slice(next(3))), gt(some, 1)][next(4)])
  maybe('extras', 6, () => ({ x: sql`${some} || ${next(3)}`.as(['x', 'y'][next(2)] as string) }))
  maybe('orderBy', 4, () => [some, [desc(some)], [some, eq(some, 1)], []][next(4)])
  maybe('limit', 4, () => [1, 0, -1, undefined][next(4)])
  maybe('offset', 6, () => [1, 0][next(2)])
  if (depth === 0) return options
  const below = Object.keys(relations).filter((name) => name !== 'lost' && next(4) === 0)
  const nameOf = (relation: string): string => {
    const target = relations[relation]?.referencedTable
    return Object.keys(tables).find((key) => tables[key]?.columns === columnsOf(target)) as string
  }
  options.with = Object.fromEntries(
    below.map((name) => [name, next(3) > 0 ? next(6) > 0 : randomOptions(next, tables, nameOf(name), depth - 1)]),
  )
  return options
}

const columnsOf = (table: unknown): unknown => (table as Record<symbol, unknown>)[Symbol.for('drizzle:Columns')]
