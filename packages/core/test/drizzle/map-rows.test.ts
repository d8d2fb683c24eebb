/** `mapRows` beside Drizzle's own mapping of one row, over random selections: the same objects, keys in the same order. */
import { aliasedTable, sql } from 'drizzle-orm'
import { customType, integer, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Field, mapResultRow } from '../../src/drizzle/internals.ts'
import { mapRows } from '../../src/drizzle/map-rows.ts'

/** Reads the empty text as nothing, and refuses one text. */
const odd = customType<{ data: string | null; driverData: string }>({
  dataType: () => 'text',
  fromDriver: (value) => {
    if (value === 'refused') throw new Error('refused')
    return value === '' ? null : `<${value}>`
  },
})
const tables = ['t', 'u'].map((name) =>
  pgTable(name, { id: integer(), name: text(), at: timestamp(), odd: odd(), amount: integer() }),
)
const all = [...tables, aliasedTable(tables[0] as (typeof tables)[0], 'a')]
const sources: unknown[] = [
  ...all.flatMap((table) => [table.id, table.name, table.at, table.odd]),
  sql`1`,
  sql`1`.mapWith(Number),
  sql`1`.mapWith((value) => (value === 'nothing' ? null : value)).as('x'),
]

// None that every object has: Drizzle's own mapping would write to the prototype of all objects.
const name = fc.constantFrom('t', 'u', 'a', 'id', 'x', '1')
const path = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(name) },
  { weight: 4, arbitrary: fc.tuple(name, name) },
  { weight: 1, arbitrary: fc.tuple(name, name, name) },
)
const field = fc.record({ path, field: fc.constantFrom(...sources) }) as unknown as fc.Arbitrary<Field>
const cell = fc.constantFrom(null, null, '1', '', 'nothing', 'refused', '2020-01-01 00:00:00', undefined, 7, '[1]')
const selection = fc.array(field, { maxLength: 8 })
const given = selection.chain((fields) =>
  fc.record({
    fields: fc.constant(fields),
    rows: fc.array(fc.array(cell, { minLength: fields.length, maxLength: fields.length + 1 }), { maxLength: 4 }),
    joins: fc.option(fc.dictionary(fc.constantFrom('t', 'u', 'a'), fc.boolean()), { nil: undefined }),
  }),
)

/** Everything that can be told of an object: keys in order, values, what it inherits from. */
function told(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  return [
    Object.getPrototypeOf(value) === Object.prototype,
    Object.entries(value).map(([key, each]) => [key, told(each)]),
  ]
}

function outcome(run: () => unknown): unknown {
  const before = Object.getOwnPropertyNames(Object.prototype).length
  try {
    return (run() as unknown[]).map(told)
  } catch (error) {
    return String(error)
  } finally {
    expect(Object.getOwnPropertyNames(Object.prototype)).toHaveLength(before)
  }
}

test('maps every selection as Drizzle does', () => {
  let own = 0
  fc.assert(
    fc.property(given, ({ fields, rows, joins }) => {
      const real = outcome(() => rows.map((row) => mapResultRow(fields, row, joins)))
      const mapped = outcome(() => mapRows(fields, rows, joins))
      expect(mapped).toEqual(real)
      if (Array.isArray(real) && real.length > 1) own++
    }),
    { numRuns: 4_000 },
  )
  expect(own).toBeGreaterThan(400)
})

test('names a joined table that is missing null, and one that must be there not', () => {
  const [t, u] = tables as [(typeof tables)[0], (typeof tables)[0]]
  const fields = [
    { path: ['t', 'id'], field: t.id },
    { path: ['u', 'id'], field: u.id },
    { path: ['u', 'name'], field: u.name },
  ] as unknown as Field[]
  const rows = [
    [1, null, null],
    [2, 3, null],
  ]
  expect(mapRows(fields, rows, { t: true, u: false })).toEqual([
    { t: { id: 1 }, u: null },
    { t: { id: 2 }, u: { id: 3, name: null } },
  ])
  expect(mapRows(fields, rows, { t: true, u: true })[0]).toEqual({ t: { id: 1 }, u: { id: null, name: null } })
})

test('takes no selection for another one that begins with the same column', () => {
  const [t, u] = tables as [(typeof tables)[0], (typeof tables)[0]]
  const of = (...fields: readonly [readonly string[], unknown][]): Field[] =>
    fields.map(([path, each]) => ({ path, field: each })) as unknown as Field[]
  const rows = [
    ['1', '2'],
    ['3', '4'],
  ]
  const selections = [
    of([['id'], t.id], [['name'], t.name]),
    of([['id'], t.id], [['other'], t.name]),
    of([['id'], t.id], [['name'], u.name]),
    of([['id'], t.id], [['name'], t.amount]),
    of([['t', 'id'], t.id], [['t', 'name'], t.name]),
    of([['t', 'id'], t.id], [['u', 'name'], u.name]),
    of([['id'], t.id]),
  ]
  for (let round = 0; round < 2; round++) {
    for (const fields of selections) {
      const mapped = mapRows(fields, rows, { t: true, u: false })
      expect(mapped).toEqual(rows.map((row) => mapResultRow(fields, row, { t: true, u: false })))
    }
  }
})

test('asks an expression for its decoder each time', () => {
  const expression = sql`1`
  const fields = [
    { path: ['id'], field: tables[0]?.id },
    { path: ['x'], field: expression },
  ] as unknown as Field[]
  const rows = [
    [1, '2'],
    [3, '4'],
  ]
  expect(mapRows(fields, rows, undefined)).toEqual([
    { id: 1, x: '2' },
    { id: 3, x: '4' },
  ])
  expression.mapWith(Number)
  expect(mapRows(fields, rows, undefined)).toEqual([
    { id: 1, x: 2 },
    { id: 3, x: 4 },
  ])
})
