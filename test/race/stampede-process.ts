/**
 * One of several processes that ask for the same cold rows: `stampede-process.ts <database> <redis> <namespace> <wait> <readers>
 * <ids>`, `wait` for fill tokens or `none`, `ids` with commas between. Says `ready`, asks when it is told `go`, says `missed`
 * when all wait for one query, and at the end what it cost.
 */
import { once } from 'node:events'
import { redisStore } from '@drizzle-aside/redis'
import { type Clock, cached, withCache } from 'drizzle-aside'
import { eq, inArray } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { createClient } from 'redis'
import { countStatements } from '../harness/counting.ts'
import { items } from '../support/items.ts'

const [database, redis, namespace, wait, readers, list] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
]
const ids = list.split(',').map(Number)
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
  // A busy machine is no fault of the store.
  readDeadline: '10s',
  tables: [cached(items)],
  ...(wait !== 'none' && { fillToken: { wait: wait as '1s' } }),
})
await db.$aside.ready()
process.stdout.write('ready\n')
await once(process.stdin, 'data')
count.reset()
const wanted = ids.length === 1 ? eq(items.id, ids[0] as number) : inArray(items.id, ids)
const reads = Promise.all(Array.from({ length: Number(readers) }, () => db.select().from(items).where(wanted)))
// All of them but one have joined: whoever still takes stamps when the first fill is done asks once more.
const others = (Number(readers) - 1) * ids.length
while (db.$aside.stats().joined < others) await new Promise((resolve) => setImmediate(resolve))
process.stdout.write('missed\n')
const answers = await reads
// Nobody waits for a fill; a process that ended now might take it along.
for (const id of ids) {
  const again = db.select().from(items).where(eq(items.id, id))
  while ((await db.$aside.explain(again)).state !== 'hit') await new Promise((resolve) => setImmediate(resolve))
}
const queries = count.statements.filter(({ sql }) => /^select .* from "items"/.test(sql))
const asked = queries.flatMap(({ params }) => params).length
const { fillsAwaited, joined } = db.$aside.stats()
const isRight = (rows: (typeof answers)[number]) =>
  rows.length === ids.length && rows.every(({ id, label }, at) => id === ids[at] && label === 'old')
const right = answers.filter(isRight).length
process.stdout.write(`${JSON.stringify({ queries: queries.length, asked, right, joined, ...fillsAwaited })}\n`)
await db.$aside.close()
await store.close()
client.destroy()
await pool.end()
process.exit(0)
