// What does the name of a sensitive value cost (HMAC-SHA-256), beside a plain one, and of a whole hit? Best of several rounds.
// Run: pnpm exec tsx bench/sealed-keys.bench.ts
import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { cached, memoryStore, withCache } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { drizzle } from 'drizzle-orm/pglite'
import { createEncryption } from '../packages/core/src/model/encryption.ts'
import { stampKey, TableKeys } from '../packages/core/src/model/keys.ts'
import { nanoseconds } from './support/nanoseconds.ts'

const given = { keys: { k: randomBytes(32) }, current: 'k', tokenKey: randomBytes(32) }
const [key] = createEncryption(given).sealKeys
const tables = new TableKeys('shop', 'shop', 'public', 'people')
const plain = tables.scheme('unique', ['email'], new Map([['email', 'text']]))
const sealed = tables.scheme('unique', ['email'], new Map([['email', 'text']]), { key, hides: new Set(['email']) })
const told = (ns: number): string => `${(ns / 1000).toFixed(2)} µs`

const TIMES = 20_000
let next = 0
const one = ['somebody@example.org']
console.log(`a stamp's key, plain:             ${told(nanoseconds(() => stampKey(plain, one), TIMES))}`)
console.log(`sealed, a value named of late:    ${told(nanoseconds(() => stampKey(sealed, one), TIMES))}`)
console.log(
  `sealed, a value named anew:       ${told(nanoseconds(() => stampKey(sealed, [`s${next++}@x.org`]), TIMES))}`,
)

const people = pgTable('people', { id: integer().primaryKey(), email: text().unique(), name: text() })
const client = new PGlite()
await client.exec('create table people (id int primary key, email text unique, name text)')
await client.exec(`insert into people select i, 'somebody' || i || '@example.org', 'x' from generate_series(1, 9000) i`)
const store = memoryStore()
const wraps = [cached(people), cached(people, { sensitive: (t) => [t.email] })].map((table, at) =>
  withCache(drizzle(client), { store, tables: [table], encryption: given, namespace: `bench${at}` }),
)

/** Microseconds of a hit by unique key, one after the other, over `values` values in turn. */
async function hit(db: (typeof wraps)[number], values: number): Promise<number> {
  const start = process.hrtime.bigint()
  for (let at = 0; at < 9_000; at++)
    await db
      .select()
      .from(people)
      .where(eq(people.email, `somebody${1 + (at % values)}@example.org`))
  return Number(process.hrtime.bigint() - start) / 9_000
}

for (const values of [100, 9_000]) {
  const best = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (let round = 0; round < 8; round++)
    for (const [at, db] of wraps.entries()) best[at] = Math.min(best[at] as number, await hit(db, values))
  const [open, closed] = best as [number, number]
  console.log(`a hit by unique key, memory store, ${values} values: ${told(open)}, sensitive ${told(closed)}`)
}
for (const db of wraps) await db.$aside.close()
await client.close()
