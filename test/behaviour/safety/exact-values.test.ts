/**
 * E5: every PostgreSQL type that Drizzle maps, in every mode, with values that break naive caches: a hit equals a miss
 * equals plain Drizzle, prototypes included, over all drivers.
 */
import { deepStrictEqual } from 'node:assert'
import { cached, memoryStore } from 'drizzle-aside'
import { eq, gt, inArray, relations } from 'drizzle-orm'
import {
  alias,
  bigint,
  bigserial,
  boolean,
  char,
  cidr,
  customType,
  date,
  doublePrecision,
  inet,
  integer,
  interval,
  json,
  jsonb,
  line,
  macaddr,
  macaddr8,
  numeric,
  pgEnum,
  pgTable,
  point,
  real,
  serial,
  smallint,
  smallserial,
  text,
  time,
  timestamp,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { type App, type DriverHome, drivers, homeOf } from '../../support/drivers.ts'

class Money {
  constructor(readonly cents: bigint) {}
}
const money = customType<{ data: Money; driverData: string }>({
  dataType: () => 'numeric(20, 2)',
  fromDriver: (value) => new Money(BigInt(value.replace('.', ''))),
  toDriver: ({ cents }) => `${cents}e-2`,
})
const bytea = customType<{ data: Uint8Array; driverData: Uint8Array }>({ dataType: () => 'bytea' })
const tags = customType<{ data: Set<string>; driverData: string }>({
  dataType: () => 'text',
  fromDriver: (value) => new Set(value.split(',')),
})
const mood = pgEnum('mood', ['ok', 'not ok', "it's {odd}"])

const everything = pgTable('everything', {
  id: integer().primaryKey(),
  small: smallint(),
  smallSerial: smallserial('small_serial'),
  serialNumber: serial('serial_number'),
  bigSerial: bigserial('big_serial', { mode: 'bigint' }),
  bigNumber: bigint('big_number', { mode: 'number' }),
  bigInt: bigint('big_int', { mode: 'bigint' }),
  real: real(),
  double: doublePrecision(),
  numericText: numeric('numeric_text'),
  numericNumber: numeric('numeric_number', { mode: 'number' }),
  numericBigint: numeric('numeric_bigint', { mode: 'bigint' }),
  bool: boolean(),
  text: text(),
  textEnum: text('text_enum', { enum: ['a', 'b'] }),
  varchar: varchar({ length: 20 }),
  char: char({ length: 5 }),
  uuid: uuid(),
  mood: mood(),
  json: json(),
  jsonb: jsonb(),
  date: date(),
  dateDate: date('date_date', { mode: 'date' }),
  time: time(),
  timetz: time({ withTimezone: true }),
  timestamp: timestamp(),
  timestampText: timestamp('timestamp_text', { mode: 'string', precision: 6 }),
  timestamptz: timestamp({ withTimezone: true }),
  timestamptzText: timestamp('timestamptz_text', { withTimezone: true, mode: 'string' }),
  interval: interval(),
  cidr: cidr(),
  inet: inet(),
  macaddr: macaddr(),
  macaddr8: macaddr8(),
  pointTuple: point('point_tuple'),
  pointXy: point('point_xy', { mode: 'xy' }),
  lineTuple: line('line_tuple'),
  lineAbc: line('line_abc', { mode: 'abc' }),
  ints: integer().array(),
  bigs: bigint({ mode: 'bigint' }).array(),
  texts: text().array(),
  matrix: integer().array().array(),
  moments: timestamp({ withTimezone: true }).array(),
  numerics: numeric().array(),
  jsons: jsonb().array(),
  moods: mood().array(),
  bytes: bytea(),
  money: money(),
  tags: tags(),
})

const setUp = `
  create type mood as enum ('ok', 'not ok', 'it''s {odd}');
  create table everything (
    id int primary key, small smallint, small_serial smallserial, serial_number serial, big_serial bigserial,
    big_number bigint, big_int bigint, "real" real, "double" double precision, numeric_text numeric,
    numeric_number numeric, numeric_bigint numeric, bool boolean, text text, text_enum text, "varchar" varchar(20),
    "char" char(5), uuid uuid, mood mood, json json, jsonb jsonb, date date, date_date date, "time" time,
    timetz timetz, "timestamp" timestamp, timestamp_text timestamp(6), timestamptz timestamptz,
    timestamptz_text timestamptz, "interval" interval, cidr cidr, inet inet, macaddr macaddr, macaddr8 macaddr8,
    point_tuple point, point_xy point, line_tuple line, line_abc line, ints int[], bigs bigint[], texts text[],
    matrix int[][], moments timestamptz[], numerics numeric[], jsons jsonb[], moods mood[], bytes bytea,
    money numeric(20, 2), tags text);
  insert into everything values (
    1, -32768, 1, 2, 9007199254740993, 9007199254740991, 9223372036854775807, 1.5, 0.1, '1.00', 12.5, 12345678901234567890,
    true, 'plain', 'a', 'v', 'c', '0A0B0C0D-0000-4000-8000-00000000000F', 'not ok', '{"a": 1, "a": 2}', '{"b": [1, null, {"c": false}]}',
    '2024-02-29', '2024-02-29', '12:34:56.789', '12:34:56.789+05:30', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789012',
    '2024-02-29 12:34:56.789012+02', '2024-02-29 12:34:56.789012+02', '1 year -2 mons 3 days 04:05:06.789', '10.0.0.0/8',
    '192.168.0.1/24', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '(1.5,-2)', '(3,4)', '{1,2,3}', '{4,5,6}', '{1,NULL,3}',
    '{9007199254740993,-1}', '{a,NULL,"NULL","",",{}\\"","\\\\"}', '{{1,2},{3,4}}', '{"2024-02-29 12:00:00+00"}', '{1.10,NaN}',
    array['{"a": 1}', '[2]']::jsonb[], '{ok,"it''s {odd}"}', '\\x00ff10', 12.34, 'x,y');
  insert into everything values (
    2, 32767, 2, 3, 1, -9007199254740991, -9223372036854775808, 'NaN', 'Infinity', 'NaN', 0, -1, false, '', 'b', '', '',
    'ffffffff-ffff-ffff-ffff-ffffffffffff', 'it''s {odd}', '"text"',
    '{"__proto__": {"polluted": 1}, "constructor": {"prototype": 1}, "toJSON": "x", "": 0, "a.b": 1, "\\u20ac": "\\u2028", "n": 1e300, "neg": -0.0}',
    '0001-01-01', '9999-12-31', '24:00:00', '00:00:00-15', 'infinity', '-infinity', 'infinity', '-infinity', '-1 second', '::/0', '::1',
    'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff', '(Infinity,NaN)', '(-0,0)', '{1,0,0}', '{0,1,0}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
    '{}', '', -0.01, '');
  insert into everything (id, small_serial, serial_number, big_serial) values (3, 3, 4, 2);
  insert into everything (id, "real", "double", json, jsonb, date, "timestamp", timestamptz, bytes, texts, text)
    values (4, '-Infinity', '-0', 'null', 'null', '0044-03-15 BC', '0044-03-15 12:00:00 BC', '1900-01-01 00:00:00.000001+00',
    decode(string_agg_all(), 'hex'), array['multi
line', E'tab\\t', '\u00e9\u{1f600}'], E'\\u0001 \u{1f600} line
break');
  insert into everything (id, json, jsonb, "double") values (5, '[]', '[[], {}, [null], "s", 12345678901234567890, 0.1]', 1.7976931348623157e308);
  insert into everything (id, json, jsonb, "double") values (6, '12345678901234567890', 'true', 5e-324);`.replace(
  'string_agg_all()',
  `'${Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join('')}'`,
)

const ids = [1, 2, 3, 4, 5, 6]
const twins = alias(everything, 'twins')
const twinRelation = relations(everything, ({ one }) => ({
  twin: one(everything, { fields: [everything.id], references: [everything.id] }),
}))
/** What Drizzle itself maps out of JSON. */
const insideJson = {
  id: true,
  text: true,
  jsonb: true,
  ints: true,
  date: true,
  mood: true,
  timestamptz: true,
  bool: true,
}
const schema = { everything, twinRelation }

type Relational = { query: { everything: { findMany(config: object): Promise<unknown> } } }
/** Answers that are kept as a whole. */
const wholeReads: readonly ((db: App['db'] | App['plain']) => PromiseLike<unknown>)[] = [
  (db) => db.select().from(everything).where(gt(everything.id, 0)).orderBy(everything.id),
  (db) => db.select().from(everything).leftJoin(twins, eq(twins.id, everything.id)).orderBy(everything.id),
  (db) =>
    (db as unknown as Relational).query.everything.findMany({
      orderBy: everything.id,
      with: { twin: { columns: insideJson } },
    }),
]

for (const driver of drivers) {
  for (const line of driver.name === 'pglite' ? ([18] as const) : ([15, 18] as const)) {
    describe(`over ${driver.name}, PostgreSQL ${line}`, () => {
      let home: DriverHome
      let app: App

      const using = async (run: () => Promise<void>): Promise<void> => {
        home = await homeOf(driver, setUp, line)
        app = await home.open({ store: memoryStore(), namespace: 'types', tables: [cached(everything)], schema })
        try {
          await run()
        } finally {
          await app.close()
          await home.drop()
        }
      }

      test('E5: a hit equals a miss equals plain Drizzle, for every type and mode', () =>
        using(async () => {
          const byId = (db: App['db'] | App['plain'], id: number) =>
            db.select().from(everything).where(eq(everything.id, id))
          for (const id of ids) {
            const plain = await byId(app.plain, id)
            expect(plain).toHaveLength(1)
            for (const _ of ['miss', 'hit', 'hit']) same(await byId(app.db, id), plain)
          }
          expect(app.told.of('fillRefused')).toEqual([])
          expect(app.db.$aside.stats()).toMatchObject({ hits: 12, misses: 6 })
        }))

      test('E5: the same in lists, in projections under other names, and in relational queries', () =>
        using(async () => {
          const list = (db: App['db'] | App['plain']) =>
            db.select().from(everything).where(inArray(everything.id, ids)).orderBy(everything.id)
          const some = (db: App['db'] | App['plain'], id: number) =>
            db
              .select({
                when: { exactly: everything.timestamptz, text: everything.timestamptzText, all: everything.moments },
                amounts: { money: everything.money, big: everything.bigInt, bytes: everything.bytes },
                hostile: everything.jsonb,
              })
              .from(everything)
              .where(eq(everything.id, id))
          type Relational = { query: { everything: { findFirst(config: object): Promise<unknown> } } }
          const first = (db: unknown, id: number) =>
            (db as Relational).query.everything.findFirst({ where: eq(everything.id, id) })
          for (const _ of ['miss', 'hit', 'hit']) {
            same(await list(app.db), await list(app.plain))
            for (const id of ids) {
              same(await some(app.db, id), await some(app.plain, id))
              same(await first(app.db, id), await first(app.plain, id))
            }
          }
          expect(app.db.$aside.stats()).toMatchObject({ misses: 6 })
        }))

      test('E5: the same in lists, joins and relations that are kept as a whole', () =>
        using(async () => {
          for (const read of wholeReads) {
            const plain = await read(app.plain)
            for (let turn = 0; turn < 4; turn++) same(await read(app.db), plain)
          }
          expect(app.db.$aside.stats().hits).toBeGreaterThanOrEqual(2 * wholeReads.length)
        }))

      test('E6: whoever changes a list, a join or a tree that he was given changes nobody else’s', () =>
        using(async () => {
          for (const read of wholeReads) {
            const { joined, hits } = app.db.$aside.stats()
            const plain = await read(app.plain)
            for (const rows of await Promise.all([read(app.db), read(app.db)])) {
              same(rows, plain)
              ruin(rows)
            }
            for (let turn = 0; turn < 4; turn++) {
              const rows = await read(app.db)
              same(rows, plain)
              ruin(rows)
            }
            expect(app.db.$aside.stats().joined).toBeGreaterThan(joined)
            expect(app.db.$aside.stats().hits).toBeGreaterThan(hits + 1)
          }
        }))

      test('E6: whoever changes what he was given, deeply, changes nobody else’s: hit, miss, list or joined flight', () =>
        using(async () => {
          const byId = () => app.db.select().from(everything).where(eq(everything.id, 1))
          const plain = await app.plain.select().from(everything).where(eq(everything.id, 1))
          const [leader, joined] = await Promise.all([byId(), byId()])
          expect(app.db.$aside.stats().joined).toBe(1)
          for (const rows of [leader, joined, await byId(), await byId()]) {
            same(rows, plain)
            ruin(rows)
          }
          const list = await app.db
            .select()
            .from(everything)
            .where(inArray(everything.id, [1, 2]))
          same(list[0], plain[0])
          ruin(list)
          same(await byId(), plain)
        }))
    })
  }
}

/** Types and prototypes included. Two invalid dates are the same here, which Node 20 denies. */
function same(found: unknown, wanted: unknown): void {
  deepStrictEqual(comparable(found), comparable(wanted))
}

const invalidDate = Symbol('invalid date')

function comparable(value: unknown): unknown {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? invalidDate : value
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, comparable(member)]))
}

/** Changes everything that can be reached: values, elements, bytes, times, prototypes' own members excepted. */
function ruin(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  if (value instanceof Date) return void value.setTime(0)
  if (ArrayBuffer.isView(value)) return void (value as Uint8Array).fill(7)
  if (value instanceof Set) return void value.clear()
  for (const [key, member] of Object.entries(value)) {
    ruin(member)
    ;(value as Record<string, unknown>)[key] = 'ruined'
  }
  if (Array.isArray(value)) value.push('ruined')
  else Object.assign(value, { added: 'ruined' })
}
