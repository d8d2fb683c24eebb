/**
 * One of several processes that ask for the same cold row: `stampede-process.ts <database> <redis> <namespace> <wait> <readers>`,
 * `wait` for fill tokens or `none`. Says `ready`, asks when it is told `go`, says `missed` when nobody is answered by the
 * cache, and at the end what it cost.
 */
import { once } from 'node:events'
import { redisStore } from '@drizzle-aside/redis'
import { type Clock, cached, withCache } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { createClient } from 'redis'
import { countStatements } from '../harness/counting.ts'
import { items } from '../support/items.ts'

const [database, redis, namespace, wait, readers] = process.argv.slice(2) as [string, string, string, string, string]
const pool = new Pool({ connectionString: database })
const count = countStatements(pool)
const client = createClient({ url: redis })
await client.connect()
const store = redisStore(client)

/** Nobody is to lose patience with a query that the test holds: here all waits are twenty times as long. */
const SLOWER = 20
const clock: Clock = {
  now: () => performance.now() / SLOWER,
  setTimer(run, ms) {
    const timer = setTimeout(run, ms * SLOWER)
    return () => clearTimeout(timer)
  },
}
const db = withCache(drizzle(pool), {
  store,
  namespace,
  clock,
  tables: [cached(items)],
  ...(wait !== 'none' && { fillToken: { wait: wait as '1s' } }),
})
await db.$aside.ready()
process.stdout.write('ready\n')
await once(process.stdin, 'data')
count.reset()
const reads = Promise.all(Array.from({ length: Number(readers) }, () => db.select().from(items).where(eq(items.id, 1))))
while (db.$aside.stats().misses < Number(readers)) await new Promise((resolve) => setImmediate(resolve))
process.stdout.write('missed\n')
const rows = await reads
// Nobody waits for a fill; a process that ended now might take it along.
const again = db.select().from(items).where(eq(items.id, 1))
while ((await db.$aside.explain(again)).state !== 'hit') await new Promise((resolve) => setImmediate(resolve))
const queries = count.texts().filter((text) => /^select .* from "items"/.test(text)).length
const { fillsAwaited, joined } = db.$aside.stats()
const right = rows.filter(([row]) => row?.label === 'old').length
process.stdout.write(`${JSON.stringify({ queries, right, joined, ...fillsAwaited })}\n`)
await db.$aside.close()
await store.close()
client.destroy()
await pool.end()
process.exit(0)
