import { type AsideEvent, aside, cached, memoryStore, withCache } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { drizzle as drizzlePostgresJs } from 'drizzle-orm/postgres-js'
import { Client, Pool } from 'pg'
import postgres from 'postgres'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../../harness/databases.ts'

const items = pgTable('items', { id: integer('id').primaryKey(), code: text('code').unique(), n: integer('n') })

let database: FreshDatabase
const ends: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  database = await freshDatabase(15)
  const client = new Client(database.url)
  await client.connect()
  await client.query('create table items (id int primary key, code text unique, n int)')
  await client.query("insert into items values (1, 'a', 1), (2, 'b', 2)")
  await client.end()
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
  await database.drop()
})

function poolOf(): Pool {
  const pool = new Pool({ connectionString: database.url, max: 4 })
  ends.push(() => pool.end())
  return pool
}

it('a transaction() inside a raw BEGIN on a shared connection ends both: what was written before it falls at once', async () => {
  const store = memoryStore()
  const client = new Client(database.url)
  await client.connect()
  ends.push(() => client.end())
  const writer = withCache(drizzle(client), { store, namespace: 'raw', tables: [cached(items)] })
  const reader = withCache(drizzle(poolOf()), { store, namespace: 'raw', tables: [cached(items)] })
  await Promise.all([writer.$aside.ready(), reader.$aside.ready()])
  const read = () => reader.select().from(items).where(eq(items.id, 1))
  expect(await read()).toMatchObject([{ n: 1 }])
  await writer.execute(sql`begin`)
  await writer.update(items).set({ n: 10 }).where(eq(items.id, 1))
  await writer.transaction(async (tx) => void (await tx.update(items).set({ n: 20 }).where(eq(items.id, 2))))
  expect(await read()).toMatchObject([{ n: 10 }])
  await writer.$aside.close()
  await reader.$aside.close()
})

it('two wraps in one process agree: what waits for the store of one keeps both from serving hits', async () => {
  const store = memoryStore()
  let down = false
  const failing = {
    ...store,
    name: store.name,
    processLocal: true,
    read: (keys: readonly string[]) => store.read(keys),
    mint: (stamps: readonly { key: string; text: string }[], ttlMs: number) => store.mint(stamps, ttlMs),
    remove: (keys: readonly string[]) => (down ? Promise.reject(new Error('down')) : store.remove(keys)),
  }
  const options = { store: failing, namespace: 'both', tables: [cached(items)] }
  const one = withCache(drizzle(poolOf()), options)
  const two = withCache(drizzle(poolOf()), options)
  await Promise.all([one.$aside.ready(), two.$aside.ready()])
  const read = () => two.select().from(items).where(eq(items.id, 1))
  await read()
  down = true
  await one.update(items).set({ n: 99 }).where(eq(items.id, 1))
  expect(await read()).toMatchObject([{ n: 99 }])
  expect(two.$aside.stats().bypassed['pending-delivery']).toBe(1)
  down = false
  await one.$aside.close()
  await two.$aside.close()
})

it('a driver that rewrites texts on their way keeps no rows and drops whole tables', async () => {
  const client = postgres(database.url, {
    max: 2,
    transform: {
      value: (value: unknown) => (typeof value === 'string' ? value.replace(/^(\w) (\w)$/, '$1_$2') : value),
    } as never,
  })
  ends.push(() => client.end())
  const events: AsideEvent[] = []
  const db = withCache(drizzlePostgresJs(client), {
    store: memoryStore(),
    namespace: 'loud',
    tables: [cached(items)],
    on: (event) => events.push(event),
  })
  await db.$aside.ready()
  await db.select().from(items).where(eq(items.id, 1))
  await db.update(items).set({ n: 5 }).where(eq(items.id, 1))
  expect(db.$aside.stats()).toMatchObject({ hits: 0, misses: 0, bypassed: { 'catalog-unknown': 1 } })
  expect(events).toContainEqual({ type: 'epochReplaced', table: 'items', reason: 'no-images' })
  await db.$aside.close()
})

it("Drizzle's own exat and pxat are honoured; a moment that has passed is no reason to cache", async () => {
  const db = withCache(drizzle(poolOf()), { store: memoryStore(), namespace: 'at', tables: [cached(items)] })
  await db.$aside.ready()
  const byId = db.select().from(items).where(eq(items.id, 1)).$dynamic()
  await byId.$withCache({ config: { pxat: Date.now() - 1 } })
  expect(aside(db).stats().bypassed).toEqual({ 'cache-false': 1 })
  const explained = await db.$aside.explain(byId.$withCache({ config: { exat: Math.ceil(Date.now() / 1000) + 60 } }))
  expect(explained.ttlMs).toBeGreaterThan(50_000)
  expect(explained.ttlMs).toBeLessThanOrEqual(61_000)
  await db.$aside.close()
})
