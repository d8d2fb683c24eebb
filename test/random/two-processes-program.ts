/**
 * One of two processes that read and write the same rows over one PostgreSQL and one Redis. It records what it saw and
 * when, by the monotonic clock that all processes of a machine share, and sends the record to its parent.
 */
import { redisStore } from '@drizzle-aside/redis'
import { cached, withCache } from 'drizzle-aside'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { createClient } from 'redis'
import { gatedPool } from '../harness/gates.ts'
import { Random } from './random.ts'
import { slotSteps } from './slot-steps.ts'
import { type Record, slots, type Task } from './slots.ts'

const task = JSON.parse(process.argv[2] as string) as Task
const random = new Random(task.seed)

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
  ...(task.tokens && { fillToken: { wait: '20ms' } }),
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
const steps = slotSteps(() => db, task, random, record)
async function write(): Promise<void> {
  await steps.write()
  resolved++
  release()
}

async function work(): Promise<void> {
  while (reads + writes > 0) {
    const writing = random.chance(writes / (reads + writes))
    if (writing) {
      writes--
      await write()
    } else {
      reads--
      await (task.tokens && random.chance(0.3) ? steps.readList() : steps.read())
    }
  }
}

process.once('message', async () => {
  await Promise.all(Array.from({ length: task.concurrency }, work))
  const { hits, misses, fillsAwaited } = db.$aside.stats()
  await db.$aside.close()
  redis.destroy()
  await pool.end()
  process.send?.({ ...record, hits, misses, served: fillsAwaited.served }, () => process.disconnect())
})
process.send?.('ready')
