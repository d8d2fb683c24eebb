import { isDeepStrictEqual } from 'node:util'
import { PGlite } from '@electric-sql/pglite'
import { drizzle as drizzlePostgres } from 'drizzle-orm/postgres-js'
import { Client, types } from 'pg'
import postgres from 'postgres'
import { describe, expect, test } from 'vitest'
import { freshDatabase } from '../../../test/harness/databases.ts'
import { decodeRow, encodeRow } from '../src/model/row-codec.ts'

const setUp = `create type mood as enum ('sad', 'it''s ok')`

/** One value or more of every type that drizzle-orm/pg-core has a column for, and arrays of most. */
const values = [
  `(-32768)::smallint`,
  `2147483647::integer`,
  `7::bigint`,
  `9223372036854775807::bigint`,
  `123456789012345678901234567890.12345::numeric`,
  `'NaN'::numeric`,
  `1.1::real`,
  `0.1::double precision`,
  `'NaN'::double precision`,
  `'Infinity'::double precision`,
  `'-Infinity'::real`,
  `'-0'::double precision`,
  `'-0'::real`,
  `12.34::money`,
  `E'a\\u2028"\\\\ 😀'::text`,
  `'abc'::varchar(5)`,
  `'ab'::char(5)`,
  `'\\x00ff7f80'::bytea`,
  `''::bytea`,
  `true`,
  `false`,
  `null::text`,
  `'2024-02-29'::date`,
  `'infinity'::date`,
  `'0044-03-15 BC'::date`,
  `'10:11:12.123456'::time`,
  `'10:11:12+02'::timetz`,
  `'2024-02-29 10:11:12.123456'::timestamp`,
  `'infinity'::timestamp`,
  `'2024-02-29 10:11:12.123456+02'::timestamptz`,
  `'-infinity'::timestamptz`,
  `'1 year 2 days 03:04:05.6'::interval`,
  `'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid`,
  `'{"__proto__": {"a": 1}, "constructor": null, "toJSON": "x", "n": [1, -0.0, 1e30, {"": []}]}'::json`,
  `'{"__proto__": {"a": 1}, "constructor": null, "toJSON": "x", "type": "Buffer", "data": [1]}'::jsonb`,
  `'["n", "NaN"]'::jsonb`,
  `'"text"'::jsonb`,
  `'null'::jsonb`,
  `'-0.0'::json`,
  `'12345678901234567890'::jsonb`,
  `'(1.5,-0)'::point`,
  `'{1,2,3}'::line`,
  `'192.168.0.1/24'::inet`,
  `'10.0.0.0/8'::cidr`,
  `'08:00:2b:01:02:03'::macaddr`,
  `'08:00:2b:01:02:03:04:05'::macaddr8`,
  `'it''s ok'::mood`,
  `B'10110'::bit(5)`,
  `'{1,null,3}'::int[]`,
  `'{{a,b},{"c,d",null}}'::text[][]`,
  `'{}'::text[]`,
  `'{1.10,NaN,null}'::numeric[]`,
  `'{7,9223372036854775807}'::bigint[]`,
  `'{0.1,NaN,Infinity,-0}'::double precision[]`,
  `'{t,f,null}'::boolean[]`,
  `array['{"__proto__": 1}', '[2]']::jsonb[]`,
  `array['\\x00ff', '\\x']::bytea[]`,
  `'{2024-02-29,infinity}'::date[]`,
  `'{10:11:12}'::time[]`,
  `array['2024-02-29 10:11:12.123456']::timestamp[]`,
  `array['2024-02-29 10:11:12.123456+00']::timestamptz[]`,
  `array['1 day 02:03:04']::interval[]`,
  `array['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']::uuid[]`,
  `array['sad', 'it''s ok']::mood[]`,
  `array['(1,2)']::point[]`,
]

const query = `select ${values.map((value, i) => `${value} as c${i}`).join(', ')}`

/** Type parsers as drizzle-orm/node-postgres/session sets them: dates and intervals stay text. */
const asText = new Set([1184, 1114, 1082, 1186, 1231, 1115, 1185, 1187, 1182])
const drizzleTypes = {
  getTypeParser: (oid: number, format: never) =>
    asText.has(oid) ? (value: string) => value : types.getTypeParser(oid, format),
} as typeof types

function expectExact(row: unknown[]): void {
  expect(row).toHaveLength(values.length)
  for (const [i, value] of row.entries()) expect([values[i], encodeRow([value])]).not.toContain(undefined)
  const text = encodeRow(row) as string
  const back = decodeRow(text) as unknown[]
  for (const [i, value] of row.entries()) {
    expect([values[i], Object.is(back[i], value) || isDeepStrictEqual(back[i], value)]).toEqual([values[i], true])
  }
  expect(encodeRow(back)).toBe(text)
}

describe.each([15, 18] as const)('every type on PostgreSQL %i', (line) => {
  test('node-postgres with the parsers of Drizzle', async () => {
    const database = await freshDatabase(line)
    const client = new Client({ connectionString: database.url, types: drizzleTypes })
    await client.connect()
    await client.query(setUp)
    const { rows } = await client.query({ text: query, rowMode: 'array' })
    await client.end()
    await database.drop()
    expectExact(rows[0] as unknown[])
  })

  test('node-postgres with its own parsers: the interval is a class instance and is refused', async () => {
    const database = await freshDatabase(line)
    const client = new Client({ connectionString: database.url })
    await client.connect()
    await client.query(setUp)
    const { rows } = await client.query({ text: query, rowMode: 'array' })
    await client.end()
    await database.drop()
    const row = rows[0] as unknown[]
    const refused = row.flatMap((value, i) => (encodeRow([value]) === undefined ? [values[i]] : []))
    expect(refused).toEqual(values.filter((value) => value.includes('interval')))
    const dated = row.filter((value) => encodeRow([value]) !== undefined && !isInvalid(value))
    expect(isDeepStrictEqual(decodeRow(encodeRow(dated) as string), dated)).toBe(true)
  })

  test.each([true, false])('postgres.js, set up by Drizzle: %s', async (byDrizzle) => {
    const database = await freshDatabase(line)
    const sql = postgres(database.url, { max: 1, onnotice: () => {} })
    if (byDrizzle) drizzlePostgres(sql)
    await sql.unsafe(setUp)
    const rows = await sql.unsafe(query).values()
    await sql.end()
    await database.drop()
    const row = rows[0] as unknown[]
    expectExact(row.map((value, i) => (isInvalid(value) ? `invalid date ${i}` : value)))
    expect(encodeRow(rows as unknown as unknown[])).toBeUndefined()
  })
})

test.each([true, false])('PGlite, dates as text as Drizzle asks for: %s', async (byDrizzle) => {
  const lite = new PGlite()
  await lite.exec(setUp)
  const parsers = Object.fromEntries([...asText].map((oid) => [oid, (value: string) => value]))
  const { rows } = await lite.query<unknown[]>(query, [], { rowMode: 'array', ...(byDrizzle ? { parsers } : {}) })
  await lite.close()
  expectExact((rows[0] as unknown[]).map((value, i) => (isInvalid(value) ? `invalid date ${i}` : value)))
})

/** `infinity` read as a Date; Node 20 takes two invalid dates for different. */
function isInvalid(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(isInvalid)
  return value instanceof Date && Number.isNaN(value.getTime())
}
