/** Keys of hard types: whatever PostgreSQL takes for equal is one key, and what it tells apart is two. */
import { cached } from 'drizzle-aside'
import { count, eq, inArray, sql, sum } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import {
  type AnyPgColumn,
  bigint,
  boolean,
  char,
  customType,
  date,
  doublePrecision,
  integer,
  jsonb,
  numeric,
  pgTable,
  smallint,
  text,
  timestamp,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core'
import { describe, expect, it } from 'vitest'
import { openWrapped, type WrappedDatabase } from '../../support/wrapped-database.ts'

const of = (name: string) => customType<{ data: string }>({ dataType: () => name })
const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' })

interface Kind {
  readonly says: string
  readonly type: string
  readonly column: () => ReturnType<typeof integer> | unknown
  readonly values: readonly unknown[]
  /** Whether rows can be cached by it. */
  readonly cached: boolean
  /** SQL before the table. */
  readonly before?: string
}

const long = 'x'.repeat(64)
const kinds: Kind[] = [
  {
    says: 'integer',
    type: 'int',
    column: () => integer(),
    values: [1, 2, -1, 0, '1', '+1', '01', ' 1 ', 2147483647, 3000000000, 1.5, '0x1'],
    cached: true,
  },
  { says: 'smallint', type: 'smallint', column: () => smallint(), values: [1, 32767, 40000, '1', '-0'], cached: true },
  {
    says: 'bigint as number',
    type: 'bigint',
    column: () => bigint({ mode: 'number' }),
    values: [1, Number.MAX_SAFE_INTEGER, 2 ** 53, 2 ** 53 + 2, '9007199254740993', '9007199254740992', 1e21],
    cached: true,
  },
  {
    says: 'bigint as bigint',
    type: 'bigint',
    column: () => bigint({ mode: 'bigint' }),
    values: [
      1n,
      9007199254740993n,
      9007199254740992n,
      -9223372036854775808n,
      9223372036854775807n,
      '0009007199254740993',
    ],
    cached: true,
  },
  {
    says: 'text',
    type: 'text',
    column: () => text(),
    values: [
      '',
      ' ',
      'a',
      'A',
      'a ',
      '%',
      '_',
      "it's",
      '"q"',
      'a:b',
      '1:a',
      '{x}',
      'é',
      'e\u0301',
      '😀',
      long,
      `${long}y`,
      `${long}z`,
      'null',
      'NULL',
      '\\',
      'tab\there',
      '\ud800',
    ],
    cached: true,
  },
  {
    says: 'varchar(5)',
    type: 'varchar(5)',
    column: () => varchar({ length: 5 }),
    values: ['a', 'a ', 'abcde', 'abcdef', ''],
    cached: true,
  },
  {
    says: 'uuid',
    type: 'uuid',
    column: () => uuid(),
    values: [
      'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
      'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11',
      '{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}',
      'a0eebc999c0b4ef8bb6d6bb9bd380a11',
      'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
      'nonsense',
    ],
    cached: true,
  },
  {
    says: 'boolean',
    type: 'boolean',
    column: () => boolean(),
    values: [true, false, 't', 'no', 'TRUE', '1'],
    cached: true,
  },
  {
    says: 'date as string',
    type: 'date',
    column: () => date({ mode: 'string' }),
    values: [
      '2020-01-01',
      '2020-1-1',
      '20200101',
      'Jan 1 2020',
      '2020-01-02',
      'infinity',
      '-infinity',
      '0044-03-15 BC',
      '10000-01-01',
      '2020-01-01 23:00',
      'today',
    ],
    cached: true,
  },
  {
    says: 'date as Date',
    type: 'date',
    column: () => date({ mode: 'date' }),
    values: [new Date('2020-01-01'), new Date('2020-01-01T12:00:00Z'), new Date('2020-01-02')],
    // Drizzle sends the time of day, too, and only dates alone are read as keys.
    cached: false,
  },
  {
    says: 'enum',
    type: 'mood',
    column: () => of('mood')(),
    values: ['happy', 'sad', 'Happy', 'neither', 'a b'],
    cached: true,
    before: `create type mood as enum ('happy', 'sad', 'Happy', 'a b')`,
  },
  {
    says: 'text without case',
    type: 'text collate loose',
    column: () => text(),
    values: ['a', 'A', 'á', 'b'],
    cached: false,
    before: `create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
  },
  {
    says: 'text under an ICU collation that tells all apart',
    type: 'text collate firm',
    column: () => text(),
    values: ['a', 'A', 'é', 'e\u0301'],
    cached: true,
    before: `create collation firm (provider = icu, locale = 'de')`,
  },
  {
    says: 'citext',
    type: 'citext',
    column: () => of('citext')(),
    values: ['a', 'A', 'b'],
    cached: false,
    before: 'create extension if not exists citext',
  },
  {
    says: 'a domain over text',
    type: 'short',
    column: () => of('short')(),
    values: ['a', 'A', 'b'],
    cached: false,
    before: 'create domain short as text check (length(value) < 5)',
  },
  {
    says: 'char(3)',
    type: 'char(3)',
    column: () => char({ length: 3 }),
    values: ['a', 'a  ', 'a ', 'abc', 'abcd'],
    cached: false,
  },
  {
    says: 'numeric',
    type: 'numeric',
    column: () => numeric(),
    values: ['1', '1.0', '1.00', '1e0', 'NaN', '0', '-0', 'Infinity'],
    cached: false,
  },
  {
    says: 'double precision',
    type: 'float8',
    column: () => doublePrecision(),
    values: [1, 0, -0, Number.NaN, Number.POSITIVE_INFINITY, 0.1],
    cached: false,
  },
  {
    says: 'timestamp with time zone',
    type: 'timestamptz',
    column: () => timestamp({ withTimezone: true, mode: 'string' }),
    values: ['2020-01-01 00:00:00+00', '2020-01-01 01:00:00+01', '2020-01-01T00:00:00.000Z', 'infinity'],
    cached: false,
  },
  {
    says: 'interval',
    type: 'interval',
    column: () => of('interval')(),
    values: ['1 day', '24:00:00', '1 mon', '30 days'],
    cached: false,
  },
  {
    says: 'inet',
    type: 'inet',
    column: () => of('inet')(),
    values: ['10.0.0.1', '10.0.0.1/32', '010.0.0.1'],
    cached: false,
  },
  { says: 'oid', type: 'oid', column: () => of('oid')(), values: ['1', '4294967295', '-1'], cached: false },
  {
    says: 'bytea',
    type: 'bytea',
    column: () => bytea(),
    values: [Buffer.from('a'), Buffer.from('61', 'hex'), Buffer.alloc(0)],
    cached: false,
  },
  {
    says: 'jsonb',
    type: 'jsonb',
    column: () => jsonb(),
    values: [{ a: 1, b: 2 }, { b: 2, a: 1 }, 'x', 1],
    cached: false,
  },
  { says: 'an array', type: 'int[]', column: () => integer().array(), values: [[1, 2], [1], []], cached: false },
]

const described = (value: unknown): string => (typeof value === 'bigint' ? `${value}n` : JSON.stringify(value))
type Db = NodePgDatabase<Record<string, unknown>>

function tablesOf({ column }: Kind) {
  const key = (): ReturnType<typeof integer> => column() as ReturnType<typeof integer>
  const primary = pgTable('by_primary', { k: key().primaryKey(), n: integer() })
  const unique = pgTable('by_unique', { id: integer().primaryKey(), k: key(), n: integer() })
  const both = pgTable('by_both', { id: integer().primaryKey(), a: integer(), k: key(), n: integer() })
  const many = pgTable('by_many', { id: integer().primaryKey(), k: key(), n: integer() })
  return { primary, unique, both, many }
}

async function settle(run: () => PromiseLike<unknown>): Promise<unknown> {
  try {
    return sorted(await run())
  } catch (error) {
    const { cause, message } = error as { cause?: { code?: string }; message: string }
    return cause?.code ?? message
  }
}

const sorted = (rows: unknown): unknown =>
  Array.isArray(rows)
    ? [...rows].sort((a, b) =>
        described(Object.values(a as object).map(String)) < described(Object.values(b as object).map(String)) ? -1 : 1,
      )
    : rows

describe.each([15, 18] as const)('PostgreSQL %i', (line) => {
  it.each(kinds)('B20: $says', async (kind) => {
    const { primary, unique, both, many } = tablesOf(kind)
    const ddl = `${kind.before ? `${kind.before};` : ''}
      create table by_primary (k ${kind.type} primary key, n int);
      create table by_unique (id int primary key, k ${kind.type} unique, n int);
      create table by_both (id int primary key, a int, k ${kind.type}, n int, unique (a, k));
      create table by_many (id int primary key, k ${kind.type}, n int);
      create index on by_many (k);`
    const listed = [cached(primary), cached(unique), cached(both), cached(many)]
    const test = await openWrapped(line, { ddl, tables: listed })
    const { db } = test as unknown as { db: Db & WrappedDatabase['db'] }
    const outside = test.outside as unknown as Db

    const conditions = (table: { k: AnyPgColumn }) => [
      ...kind.values.map((value) => eq(table.k, value)),
      // As it is spelled, without Drizzle's encoder.
      ...kind.values.filter((value) => typeof value === 'string').map((value) => sql`${table.k} = ${value}`),
      inArray(table.k, [...kind.values]),
      inArray(table.k, kind.values.slice(0, 2)),
    ]
    const reads = (asked: Db): (() => PromiseLike<unknown>)[] => [
      ...conditions(primary).map((where) => () => asked.select().from(primary).where(where)),
      ...conditions(unique).map((where) => () => asked.select().from(unique).where(where)),
      ...conditions(both).map((where) => () => asked.select().from(both).where(sql`(${both.a} = ${1} and ${where})`)),
      ...conditions(many).flatMap((where) => [
        () => asked.select().from(many).where(where),
        () =>
          asked
            .select({ n: count(), sum: sum(many.n) })
            .from(many)
            .where(where),
        () => asked.select().from(many).innerJoin(unique, eq(unique.k, many.k)).where(where),
      ]),
      ...kind.values.map(
        (value) => () =>
          asked
            .select()
            .from(both)
            .where(sql`(${eq(both.k as AnyPgColumn, value)} and ${eq(both.a, 1)})`),
      ),
    ]
    const compare = async (when: string): Promise<void> => {
      const truth: unknown[] = []
      for (const read of reads(outside)) truth.push(await settle(read))
      for (const turn of ['first', 'second'] as const) {
        for (const [at, read] of reads(db).entries()) {
          expect(await settle(read), `read ${at} ${when}, ${turn} time`).toEqual(truth[at])
        }
      }
    }
    const write = async (when: string, ...runs: (() => PromiseLike<unknown>)[]): Promise<void> => {
      for (const run of runs) await settle(run)
      await compare(when)
    }

    await compare('while the tables are empty')
    const inserts = kind.values.flatMap((value, n) => {
      const k = value as never
      return [
        () => db.insert(primary).values({ k, n }),
        () => db.insert(unique).values({ id: n, k, n }),
        () => db.insert(both).values({ id: n, a: 1, k, n }),
        () => db.insert(many).values({ id: 2 * n, k, n }),
        () => db.insert(many).values({ id: 2 * n + 1, k, n }),
      ]
    })
    await write('after the inserts', ...inserts)
    for (const value of kind.values.slice(0, 2)) {
      const k = value as never
      const n = sql`coalesce(n, 0) + 100`
      await write(
        `after updates by ${described(value)}`,
        () => db.update(primary).set({ n }).where(eq(primary.k, k)),
        () =>
          db
            .update(unique)
            .set({ k: null as never })
            .where(eq(unique.k, k)),
        () => db.update(both).set({ a: 2 }).where(eq(both.k, k)),
        () => db.update(many).set({ n }).where(eq(many.k, k)),
      )
      await write(
        `after upserts and moves to ${described(value)}`,
        () =>
          db
            .insert(primary)
            .values({ k })
            .onConflictDoUpdate({ target: primary.k, set: { n: 7 } }),
        () => db.update(unique).set({ k }).where(eq(unique.id, 0)),
        () => db.update(both).set({ a: 1 }).where(eq(both.a, 2)),
        () =>
          db
            .update(many)
            .set({ k })
            .where(inArray(many.id, [0, 3])),
      )
      await write(
        `after deletes by ${described(value)}`,
        () => db.delete(primary).where(eq(primary.k, k)),
        () => db.delete(unique).where(eq(unique.k, k)),
        () => db.delete(both).where(eq(both.k, k)),
        () => db.delete(many).where(eq(many.k, k)),
      )
    }
    const { hits } = test.db.$aside.stats()
    if (kind.cached) expect(hits).toBeGreaterThan(20)
    const explained = await db.$aside.explain(
      db
        .select()
        .from(primary)
        .where(eq(primary.k, kind.values[0] as never)),
    )
    expect(explained.plan === 'record').toBe(kind.cached)
    await test.close()
  })
})
