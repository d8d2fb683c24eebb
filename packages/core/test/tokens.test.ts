import fc from 'fast-check'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../../../test/harness/databases.ts'
import type { TokenKind } from '../src/model/facts.ts'
import { tokenOf, tokenOfText } from '../src/model/tokens.ts'

const same: [TokenKind, unknown, string][] = [
  ['int', 0, '0'],
  ['int', -0, '0'],
  ['int', 7, '7'],
  ['int', -7, '-7'],
  ['int', Number.MAX_SAFE_INTEGER, '9007199254740991'],
  ['int', 12n, '12'],
  ['int', -9223372036854775808n, '-9223372036854775808'],
  ['int', '007', '7'],
  ['int', '+5', '5'],
  ['int', '-0', '0'],
  ['int', '+0', '0'],
  ['int', '-0012', '-12'],
  ['int', '9223372036854775807', '9223372036854775807'],
  ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc999c0b4ef8bb6d6bb9bd380a11'],
  ['uuid', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'a0eebc999c0b4ef8bb6d6bb9bd380a11'],
  ['uuid', '{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}', 'a0eebc999c0b4ef8bb6d6bb9bd380a11'],
  ['uuid', 'a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11', 'a0eebc999c0b4ef8bb6d6bb9bd380a11'],
  ['bool', true, 't'],
  ['bool', false, 'f'],
  ['enum', 'in progress', 'in progress'],
  ['text', '', ''],
  ['text', 'É', 'É'],
  ['text', '  a ', '  a '],
  ['text', '😀', '😀'],
  ['date', '2024-02-29', '2024-02-29'],
]

const none: [TokenKind, unknown][] = [
  ...(['int', 'uuid', 'bool', 'enum', 'text', 'date', 'none'] as const).flatMap((kind): [TokenKind, unknown][] => [
    [kind, null],
    [kind, undefined],
    [kind, {}],
    [kind, []],
    [kind, new Date(0)],
    [kind, Symbol('x')],
    [kind, Object('5')],
  ]),
  ['int', 1.5],
  ['int', Number.NaN],
  ['int', 2 ** 53],
  ['int', true],
  ['int', ''],
  ['int', ' 5'],
  ['int', '5\n'],
  ['int', '1e3'],
  ['int', '0x1F'],
  ['int', '1_000'],
  ['int', '--5'],
  ['int', '٣'],
  ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1'],
  ['uuid', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['uuid', 'a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-'],
  ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\n'],
  ['uuid', ' a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['uuid', 'ß0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['bool', 'true'],
  ['bool', 1],
  ['text', 5],
  ['text', 'a\0b'],
  ['text', '\ud800'],
  ['text', '\udc00\ud800'],
  ['date', '2024-2-29'],
  ['date', '20240229'],
  ['date', '2024-02-29T00:00:00Z'],
  ['date', 'today'],
  ['date', '+2024-02-29'],
  ['date', '12024-02-29'],
  ['none', 'a'],
]

test.each(same)('a request value of kind %s, %s, has the token %s', (kind, value, token) => {
  expect(tokenOf(kind, value)).toBe(token)
})

test.each(none)('a request value of kind %s, %o, has no token', (kind, value) => {
  expect(tokenOf(kind, value)).toBeUndefined()
})

test('texts of the database: NULL is null, and what cannot be told has no token', () => {
  for (const kind of ['int', 'uuid', 'bool', 'enum', 'text', 'date', 'none'] as const) {
    expect(tokenOfText(kind, null)).toBeNull()
  }
  expect(tokenOfText('bool', 'true')).toBe('t')
  expect(tokenOfText('bool', 'f')).toBe('f')
  for (const date of [
    'infinity',
    '-infinity',
    '0044-03-15 BC',
    '10000-01-01',
    '02/29/2024',
    '29.02.2024',
    '02-29-2024',
  ]) {
    expect(tokenOfText('date', date)).toBeUndefined()
  }
})

// Each kind draws from few values in many spellings, so that equal pairs are common.
const digit = fc.constantFrom('0', '1', '2')
const ints = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc
    .tuple(fc.constantFrom('', '+', '-'), fc.string({ unit: digit, minLength: 1, maxLength: 4 }))
    .map((parts) => parts.join('')),
  fc
    .tuple(fc.constantFrom(' ', '\t', ''), digit, fc.constantFrom(' ', '\n', '', '.0', '_0', 'e1'))
    .map((parts) => parts.join('')),
)
const baseUuids = [
  'a0eebc999c0b4ef8bb6d6bb9bd380a11',
  '00000000000000000000000000000000',
  'abcdefabcdefabcdefabcdefabcdefab',
]
const uuids = fc
  .tuple(
    fc.constantFrom(...baseUuids),
    fc.array(fc.boolean(), { minLength: 7, maxLength: 7 }),
    fc.boolean(),
    fc.nat(32),
  )
  .map(([base, dashes, braces, upper]) => {
    const mixed = base.slice(0, upper).toUpperCase() + base.slice(upper)
    const dashed = (mixed.match(/.{4}/g) as string[]).map((group, i) => group + (dashes[i] ? '-' : '')).join('')
    return braces ? `{${dashed}}` : dashed
  })
const labels = ['a', 'A', ' a', 'in progress', 'é', 'e\u0301', "it's", '😀', 'null', '']
const texts = fc.oneof(
  fc.constantFrom(...labels, 'a ', 'ﬀ', 'ff', 'ß', 'ss', 'ı', 'i', '\u212b', '\u00c5', 'A\u030a'),
  fc.string({ unit: 'binary', maxLength: 4 }),
)
const dates = fc.oneof(
  fc.constantFrom('2024-01-01', '2024-01-02', '1970-01-01', '2024-02-29'),
  fc
    .tuple(
      fc.constantFrom('2024', '0024', '24', '9999', '12024', '0000'),
      fc.constantFrom('01', '1', 'Jan', '02'),
      fc.constantFrom('01', '1', '29', '31'),
    )
    .map((parts) => parts.join('-')),
  fc.constantFrom(
    '20240101',
    '2024-01-01 BC',
    'infinity',
    '-infinity',
    'epoch',
    '2024-01-01T10:00:00Z',
    '01/01/2024',
    ' 2024-01-01',
    '1970-01-01',
  ),
  fc
    .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
    .map((date) => date.toISOString().slice(0, 10)),
)

const kinds: [type: string, kind: TokenKind, values: fc.Arbitrary<unknown>][] = [
  ['smallint', 'int', ints],
  ['integer', 'int', ints],
  ['bigint', 'int', ints],
  ['uuid', 'uuid', uuids],
  ['boolean', 'bool', fc.oneof(fc.boolean(), fc.constantFrom('t', 'TRUE', 'yes', 'on', '1', '0', 'off'))],
  ['mood', 'enum', fc.constantFrom(...labels)],
  ['text', 'text', texts],
  ['character varying', 'text', texts],
  ['character varying(40)', 'text', texts],
  ['date', 'date', dates],
]

const dateStyles = ['ISO, MDY', 'ISO, DMY', 'SQL, DMY', 'German', 'Postgres, YMD']

describe.each([15, 18] as const)('PostgreSQL %i', (line) => {
  let database: FreshDatabase
  let client: Client

  beforeAll(async () => {
    database = await freshDatabase(line)
    client = new Client({ connectionString: database.url })
    await client.connect()
    await client.query(`create type mood as enum (${labels.map((label) => `'${label.replaceAll("'", "''")}'`).join()})`)
    await client.query(`
      create function canonical(type text, value text) returns text language plpgsql as $$
      declare answer text;
      begin
        execute format('select ($1::%s)::text', type) into answer using value;
        return answer;
      exception when others then return null;
      end $$;
      create function same(type text, a text, b text) returns boolean language plpgsql as $$
      declare answer boolean;
      begin
        execute format('select $1::%s = $2::%s', type, type) into answer using a, b;
        return answer;
      exception when others then return null;
      end $$`)
  })

  afterAll(async () => {
    await client?.end()
    await database?.drop()
  })

  test.each(kinds)('52: equal values of type %s have equal tokens', async (type, kind, values) => {
    const pairs = fc.sample(fc.tuple(values, values), 6000)
    const { rows } = await client.query<{ equal: boolean | null; left: string | null; right: string | null }>(
      `select same($1, a, b) as equal, canonical($1, a) as left, canonical($1, b) as right
       from unnest($2::text[], $3::text[]) with ordinality as pair(a, b, i) order by i`,
      [type, pairs.map(([a]) => sent(a)), pairs.map(([, b]) => sent(b))],
    )
    let equal = 0
    for (const [i, [a, b]] of pairs.entries()) {
      const row = rows[i]!
      const [left, right] = [tokenOf(kind, a), tokenOf(kind, b)]
      if (left !== undefined && row.left !== null) expect(tokenOfText(kind, row.left)).toBe(left)
      if (right !== undefined && row.right !== null) expect(tokenOfText(kind, row.right)).toBe(right)
      if (row.equal !== true || left === undefined || right === undefined) continue
      expect(left).toBe(right)
      equal += 1
    }
    expect(equal).toBeGreaterThan(10)
  })

  test.each(dateStyles)('dates under DateStyle %s', async (style) => {
    await client.query(`select set_config('datestyle', $1, false)`, [style])
    for (const value of ['2024-01-02', '0024-12-11', '9999-02-03', '0001-01-01']) {
      const { rows } = await client.query(`select $1::date::text as text, to_char($1::date, 'YYYY-MM-DD') as iso`, [
        value,
      ])
      expect(tokenOf('date', value)).toBe(rows[0].iso)
      expect([undefined, rows[0].iso]).toContain(tokenOfText('date', rows[0].text))
    }
    await client.query('reset datestyle')
  })

  test('values go through the driver to the token of the column', async () => {
    const cases: [string, TokenKind, unknown][] = [
      ['integer', 'int', -0],
      ['bigint', 'int', Number.MAX_SAFE_INTEGER],
      ['bigint', 'int', -9223372036854775808n],
      ['bigint', 'int', '+007'],
      ['uuid', 'uuid', '{A0EEBC99-9C0B4EF8-BB6D6BB9-BD380A11}'],
      ['boolean', 'bool', true],
      ['boolean', 'bool', false],
      ['mood', 'enum', "it's"],
      ['text', 'text', 'e\u0301😀\u2028'],
      ['date', 'date', '2024-02-29'],
    ]
    for (const [type, kind, value] of cases) {
      const { rows } = await client.query(`select $1::${type}::text as text`, [value])
      expect(tokenOfText(kind, rows[0].text)).toBe(tokenOf(kind, value))
      expect(tokenOf(kind, value)).toBeDefined()
    }
  })
})

/** What node-postgres sends; NUL cannot be sent and is replaced, its token is `undefined` anyway. */
function sent(value: unknown): string {
  return String(value).replaceAll('\0', '?')
}
