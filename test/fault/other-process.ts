/** A second process for tests: `other-process.ts <database> <redis> <namespace> read|write`; prints its counts. */
import { redisStore } from '@drizzle-aside/redis'
import { allTables, cached, withCache } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { createClient } from 'redis'
import { items, notes } from '../support/items.ts'

const [database, redis, namespace, verb] = process.argv.slice(2)
const pool = new Pool({ connectionString: database })
const client = createClient({ url: redis as string })
await client.connect()
const store = redisStore(client)
const tables = [cached(notes), ...allTables({ items }, { ttl: '1m' })]
const db = withCache(drizzle(pool), { store, namespace: namespace as string, tables })
await db.$aside.ready()
if (verb === 'write') await db.update(items).set({ label: 'by another process' }).where(eq(items.id, 1))
else {
  await db.select().from(items).where(eq(items.id, 1))
  const second = db.select().from(items).where(eq(items.code, 'c2'))
  await second
  // Nobody waits for a fill; a process that ended now might take it along.
  while ((await db.$aside.explain(second)).state !== 'hit') await new Promise((resolve) => setImmediate(resolve))
}
process.stdout.write(JSON.stringify(db.$aside.stats()))
await db.$aside.close()
await store.close()
client.destroy()
await pool.end()
