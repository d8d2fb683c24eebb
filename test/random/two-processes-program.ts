/**
 * One of two processes that read and write the same rows over one PostgreSQL and one Redis. It records what it saw and
 * when, by the monotonic clock that all processes of a machine share, and sends the record to its parent.
 */
import { redisStore } from '@drizzle-aside/redis'
import { cached, withCache } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { createClient } from 'redis'
import { gatedPool } from '../harness/gates.ts'
import { Random } from './random.ts'
import { type Record, slotName, slots, type Task } from './slots.ts'

const task = JSON.parse(process.argv[2] as string) as Task
const random = new Random(task.seed)
const base = BigInt(task.base)
const now = (): number => Number(process.hrtime.bigint() - base)

const redis = createClient({ url: task.redis })
await redis.connect()
const store = redisStore(redis)
// Some readers have their row and go on only when three more writes have resolved: what they have is then old.
const held: { until: number; go: () => void }[] = []
let resolved = 0
const hold = (): Promise<void> | undefined => {
  if (held.length === mostHeld || writes < 2 * task.concurrency || !random.chance(0.3)) return undefined
  return new Promise((go) => held.push({ until: resolved + 3, go }))
}
const mostHeld = 4
const release = (): void => {
  const all = writes < 2 * task.concurrency
  for (const each of held.filter(({ until }) => all || until <= resolved)) {
    held.splice(held.indexOf(each), 1)
    each.go()
  }
}

let [reads, writes] = [task.reads, task.writes]
const pool = gatedPool(new Pool({ connectionString: task.database, max: 12 }), (at, statement) =>
  at === 'after' && statement.sql.startsWith('select "id"') ? hold() : undefined,
)
const troubles: string[] = []
const db = withCache(drizzle(pool), {
  store,
  namespace: task.namespace,
  tables: [cached(slots)],
  // A busy machine is no fault: what is counted are answers, not times.
  readDeadline: '10s',
  invalidateDeadline: '60s',
  on: (event) => {
    if (['storeFailed', 'storeLate', 'pendingDelivery', 'outcomeUnknown', 'recordsLost'].includes(event.type)) {
      troubles.push(JSON.stringify(event))
    }
  },
})
await db.$aside.ready()

const record: Record = { reads: [], writes: [], troubles, hits: 0, misses: 0 }
async function read(): Promise<void> {
  const row = random.below(task.rows)
  const slot = random.chance(0.5) ? random.below(task.places) : undefined
  const start = now()
  const where = slot === undefined ? eq(slots.id, row) : eq(slots.slot, slotName(row, slot))
  const [found] = await db.select().from(slots).where(where)
  record.reads.push(row, slot ?? -1, start, now(), found?.version ?? -1, found ? placeOf(found.slot) : -1)
}

async function write(): Promise<void> {
  const row = random.below(task.rows)
  const moves = random.chance(0.5)
  const set = { version: sql`${slots.version} + 1`, ...(moves && { slot: slotName(row, random.below(task.places)) }) }
  const returning = { version: slots.version, slot: slots.slot }
  const start = now()
  const update = (on: Pick<typeof db, 'update'>) =>
    on.update(slots).set(set).where(eq(slots.id, row)).returning(returning)
  const [changed] = random.chance(0.5) ? await update(db) : await db.transaction((tx) => update(tx))
  if (!changed) throw new Error(`Row ${row} was not updated.`)
  record.writes.push(row, changed.version, placeOf(changed.slot), start, now())
  resolved++
  release()
}

const placeOf = (slot: string): number => Number(slot.split('/')[1])

async function work(): Promise<void> {
  while (reads + writes > 0) {
    const writing = random.chance(writes / (reads + writes))
    if (writing) {
      writes--
      await write()
    } else {
      reads--
      await read()
    }
  }
}

process.once('message', async () => {
  await Promise.all(Array.from({ length: task.concurrency }, work))
  const { hits, misses } = db.$aside.stats()
  await db.$aside.close()
  redis.destroy()
  await pool.end()
  process.send?.({ ...record, hits, misses }, () => process.disconnect())
})
process.send?.('ready')
