// What do the row codec and the value tokens cost? Ratios to bare JSON on the 12-column row of docs, best of several rounds.
// Run: pnpm exec tsx bench/row-codec.bench.ts
import { decodeRow, encodeRow } from '../packages/core/src/model/row-codec.ts'
import { tokenOf } from '../packages/core/src/model/tokens.ts'
import { nanoseconds } from './support/nanoseconds.ts'

const uuid = '6f1c3f62-9c0b-4ef8-bb6d-1234567890ab'
const scalars = [
  1,
  uuid,
  'Jane Doe',
  'jane@example.com',
  'a longer text, one sentence of it',
  'active',
  true,
  42,
  '12.50',
]
const dates = ['2024-01-01 10:00:00', '2024-01-02 10:00:00.123', null]
const rows: [name: string, row: unknown[]][] = [
  ['scalars only', [...scalars, '{"a":1}', ...dates]],
  ['with a small jsonb', [...scalars, { theme: 'dark', tags: ['a', 'b'], n: 1 }, ...dates]],
  ['with jsonb, a bigint and a 32-byte Buffer', [...scalars, { theme: 'dark' }, 12n, Buffer.alloc(32, 1), null]],
]

const told = (ns: number, bare: number) => `${ns.toFixed(0)} ns (${(ns / bare).toFixed(2)})`

for (const [name, row] of rows) {
  const plain = row.map((value) =>
    typeof value === 'bigint' ? `${value}` : Buffer.isBuffer(value) ? value.toString('base64') : value,
  )
  const json = JSON.stringify(plain)
  const text = encodeRow(row) as string
  const encode = told(
    nanoseconds(() => encodeRow(row), 100_000),
    nanoseconds(() => JSON.stringify(plain), 100_000),
  )
  const decode = told(
    nanoseconds(() => decodeRow(text), 100_000),
    nanoseconds(() => JSON.parse(json), 100_000),
  )
  console.log(`${name}: encode ${encode}, decode ${decode}`)
}

const values: [Parameters<typeof tokenOf>[0], unknown][] = [
  ['int', 12345],
  ['int', '12345'],
  ['int', 12345n],
  ['text', 'jane@example.com'],
  ['bool', true],
  ['uuid', uuid],
  ['uuid', uuid.toUpperCase()],
  ['date', '2024-02-29'],
]
for (const [kind, value] of values) {
  console.log(`token of ${kind} ${String(value)}: ${nanoseconds(() => tokenOf(kind, value), 1_000_000).toFixed(1)} ns`)
}
console.log(
  `dashes removed by slice: ${nanoseconds(() => uuid.slice(0, 8) + uuid.slice(9, 13) + uuid.slice(14, 18) + uuid.slice(19, 23) + uuid.slice(24), 1_000_000).toFixed(1)} ns`,
)
console.log(`dashes removed by replaceAll: ${nanoseconds(() => uuid.replaceAll('-', ''), 1_000_000).toFixed(1)} ns`)
