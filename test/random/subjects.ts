/** What a random step needs to know of each table: its keys, and small sets of values to draw from. */
import { getTableColumns } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { Random } from './random.ts'
import { type Schema, schema } from './tables.ts'

export type Values = Record<string, unknown>
type Draw = (random: Random) => unknown

export interface Subject {
  readonly name: keyof Schema
  readonly table: PgTable
  readonly columns: Record<string, PgColumn>
  readonly key: readonly string[]
  /** Unique keys that the catalog proves and whose equality can be reproduced. */
  readonly uniques: readonly (readonly string[])[]
  /** Columns that look like keys and are none: case-insensitive, padded, numeric, unique for some rows only. */
  readonly traps: readonly string[]
  readonly draw: Readonly<Record<string, Draw>>
  /** How often reads and writes choose this table. */
  readonly reads: number
  readonly writes: number
}

const among =
  (...values: readonly unknown[]): Draw =>
  (random) =>
    random.pick(values)
const upTo =
  (end: number): Draw =>
  (random) =>
    1 + random.below(end)

export const hostile = ['', ' ', 'a:b', '1', '01', "o'b", '{}', 'A', 'a', '__proto__', '"', '\\', '$1', 'é', 'é', '😀']
const longText = 'long '.repeat(40)
export const uuids = Array.from({ length: 8 }, (_, at) => `a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1${at}`)
const days = ['2024-02-29', '1999-12-31', '2024-03-01']
const documents = [
  null,
  1,
  'text',
  [1, [2], { three: null }],
  { __proto__: null, constructor: 'x', '': [true] },
  JSON.parse('{"__proto__": {"polluted": true}, "1": 2, "a": {"b": ["ü"]}}'),
]
const bytes = [null, Buffer.from([0, 255, 39, 92]), Buffer.alloc(0), Buffer.from('bytes')]
const floats = [null, 0, -0, 1.5, 1e300, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]

function subject(
  name: keyof Schema,
  given: Omit<Subject, 'name' | 'table' | 'columns' | 'uniques' | 'traps' | 'reads' | 'writes'> & Partial<Subject>,
): Subject {
  const table: PgTable = schema[name]
  const columns = getTableColumns(table) as Record<string, PgColumn>
  return { uniques: [], traps: [], reads: 4, writes: 4, ...given, name, table, columns }
}

const name = among('Ann', 'ANN', 'bob', "O'Neill", 'Eva', null, null)
const email = among('a@x', 'A@x', 'b@x', "o'b@x", '', longText, null)

export const subjects: readonly Subject[] = [
  subject('people', {
    key: ['id'],
    uniques: [['email'], ['nameKey']],
    traps: ['handle', 'balance'],
    draw: {
      id: upTo(9),
      email,
      handle: among('Ann', 'ann', 'BOB', null, null),
      fullName: name,
      visits: upTo(5),
      balance: among('1.00', '1.0', '12345.67', null, null),
      profile: among(...documents),
      photo: among(...bytes),
      tags: among(null, [], ['a', 'b,c', '"', null], ['{}']),
      ratio: among(...floats),
      bornOn: among(...days, null),
      seenAt: among(new Date(0), new Date('2024-02-29T12:34:56.789Z'), null),
    },
    reads: 9,
    writes: 6,
  }),
  subject('items', {
    key: ['id'],
    uniques: [['big']],
    traps: ['code', 'price'],
    draw: {
      id: among(...uuids),
      code: among('a', 'a  ', 'b', null, null),
      price: among('1.0', '1.00', '2', null, null),
      big: among(1n, 2n, 9007199254740993n, 9007199254740992n, -9223372036854775808n, null),
      hot: among(true, false, null),
      ownerId: among(1, 2, 3, 4, null, null),
    },
    reads: 7,
    writes: 5,
  }),
  subject('notes', {
    key: ['id'],
    traps: ['slug'],
    draw: {
      id: among(...hostile, longText),
      slug: among('s', 't', null),
      deletedOn: among(null, new Date('2024-02-29')),
      itemId: among(...uuids.slice(0, 4), null, null, null),
      body: among(...documents),
    },
    reads: 6,
    writes: 4,
  }),
  subject('lines', {
    key: ['orderNo', 'sku'],
    uniques: [['a', 'b']],
    draw: {
      orderNo: upTo(3),
      sku: among('', 'a:b', '1', ',', 'é'),
      a: among(1, 2, 12, null),
      b: among('1', '21', '', null),
      quantity: upTo(4),
      ownerId: among(1, 2, 3, null, null),
    },
    reads: 7,
    writes: 5,
  }),
  subject('moods', {
    key: ['feeling', 'onDay', 'active'],
    draw: {
      feeling: among('sad', 'Happy', "o'k", 'a:b'),
      onDay: among(...days),
      active: among(true, false),
      remark: among(...hostile, null),
      total: upTo(5),
    },
    reads: 5,
    writes: 3,
  }),
  subject('counters', {
    key: ['id'],
    uniques: [['ref'], ['label']],
    draw: {
      id: among(1n, 2n, 3n, 4n, 9007199254740993n, -1n),
      ref: among(1, 2, 11, 12, -32768, null),
      label: among('X', 'x', 'y', 'Z', null),
      amount: upTo(3),
    },
    reads: 6,
    writes: 3,
  }),
  subject('audit', {
    key: ['kind'],
    draw: { kind: among('insert', 'update', 'delete', 'other'), hits: upTo(3) },
    reads: 4,
    writes: 1,
  }),
  subject('ledger', {
    key: ['id'],
    uniques: [['ref']],
    draw: { id: upTo(4), ref: among('r', 's', 't', null), amount: upTo(3) },
    reads: 2,
    writes: 0.3,
  }),
  subject('tallies', { key: ['id'], draw: { id: upTo(2), total: upTo(9) }, reads: 3, writes: 0.5 }),
  subject('docs', {
    key: ['region', 'id'],
    draw: { region: upTo(3), id: upTo(4), title: among('t', 'u', null), words: upTo(3) },
    reads: 4,
    writes: 1.5,
  }),
  subject('docsNorth', {
    key: ['region', 'id'],
    draw: { region: upTo(2), id: upTo(4), title: among('t', 'u', null), words: upTo(3) },
    reads: 3,
    writes: 1,
  }),
  subject('secrets', {
    key: ['id'],
    draw: { id: upTo(4), tenant: among('a', 'b'), word: among('w', 'x', null) },
    reads: 2,
    writes: 1,
  }),
  subject('annexPeople', {
    key: ['id'],
    uniques: [['email']],
    draw: { id: upTo(9), email },
    reads: 4,
    writes: 2,
  }),
  subject('wide', {
    key: ['id'],
    draw: {
      id: among('', '1', '01', 'é', 'a b'),
      small: among(null, 0, -0, 1.1, Number.NaN),
      large: among(...floats),
      numbers: among(null, [], [1, -2], [null, 3]),
      plainJson: among(...documents),
      binaryJson: among(...documents),
      localTime: among(null, '2024-02-29 12:34:56.789', 'infinity'),
      zonedTime: among(null, '2024-02-29 12:34:56.123456+00'),
      span: among(null, '1 year 2 days 03:04:05.6', '-1 mons'),
      amounts: among(null, ['1.0', '1.00', 'NaN']),
      far: among(null, 0, 9007199254740991, -5),
      bytes: among(...bytes),
      clock: among(null, '23:59:59.999'),
      changedOn: among(null, ...days, '0044-03-15 BC'),
    },
    reads: 5,
    writes: 3,
  }),
]

export const columnOf = (subject: Subject, key: string): PgColumn => subject.columns[key] as PgColumn

/** A value of the column; values of generated columns are drawn from what they are made of. */
export function drawValue(subject: Subject, key: string, random: Random): unknown {
  if (key !== 'nameKey') return (subject.draw[key] as Draw)(random)
  const value = name(random)
  return typeof value === 'string' ? value.toLowerCase() : value
}

export function drawValues(subject: Subject, keys: readonly string[], random: Random): Values {
  return Object.fromEntries(keys.map((key) => [key, drawValue(subject, key, random)]))
}

/** A whole row to insert; columns that may be left to their default sometimes are. */
export function drawRow(subject: Subject, random: Random): Values {
  const keys = Object.keys(subject.draw).filter((key) => subject.key.includes(key) || random.chance(0.85))
  const row = drawValues(subject, keys, random)
  // A serial key is taken from its sequence now and then: the row answers a "not found" that was given before.
  if (subject.name === 'people' && random.chance(0.3)) delete row.id
  return row
}
