/**
 * One of several services with different options over one PostgreSQL and one Redis. It goes through rounds, as a service
 * that is deployed anew: each has its own tables, its own wrap and its own store. What it saw goes to its parent.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { redisStore } from '@drizzle-aside/redis'
import { type AsideEvent, cached, withCache } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { drizzle as overPostgresJs } from 'drizzle-orm/postgres-js'
import { Pool } from 'pg'
import postgres from 'postgres'
import { createClient } from 'redis'
import { Random } from './random.ts'
import { others, type Service } from './register-service.ts'
import { slotSteps } from './slot-steps.ts'
import { type Record, slots } from './slots.ts'

const task = JSON.parse(process.argv[2] as string) as Service
const random = new Random(task.seed)
const tell = (what: unknown): void => void process.send?.(what)

const redis = createClient({ url: task.redis })
await redis.connect()
const pool = new Pool({ connectionString: task.database, max: 8 })
const postgresJs = postgres(task.database, { max: 8, onnotice: () => {} })
const record = { reads: [] as number[], writes: [] as number[], troubles: [] as string[], hits: 0, misses: 0 }
const epochs: string[] = []
const told = ['storeFailed', 'storeLate', 'pendingDelivery', 'outcomeUnknown', 'recordsLost', 'derivationFailed']

function open(tables: readonly string[]) {
  const options = {
    store: redisStore(redis),
    namespace: task.namespace,
    tables: [slots, others].flatMap((table) =>
      tables.includes(table === slots ? 'slots' : 'others') ? [cached(table)] : [],
    ),
    // A busy machine is no fault: what is counted are answers, not times.
    readDeadline: '10s',
    invalidateDeadline: '60s',
    on: (event: AsideEvent) => {
      if (told.includes(event.type)) record.troubles.push(JSON.stringify(event))
      if (event.type === 'epochReplaced') epochs.push(`${task.name}: ${event.table}: ${event.reason}`)
    },
  } as const
  const db =
    task.driver === 'postgres-js' ? withCache(overPostgresJs(postgresJs), options) : withCache(drizzle(pool), options)
  return db as ReturnType<typeof withCache<NodePgDatabase>>
}
let db = open(task.rounds[0] as readonly string[])
await db.$aside.ready()

const { read, write } = slotSteps(() => db, task, random, record)

async function round(): Promise<void> {
  let left = task.steps
  const work = async (): Promise<void> => {
    while (left-- > 0) {
      if (left % 100 === 0) tell('step')
      if (random.chance(task.writeShare)) await write()
      else await read()
    }
  }
  await Promise.all(Array.from({ length: task.concurrency }, work))
}

/**
 * Until everybody has read the same union, and nothing in it is new: a write that meets a newer one says so by an epoch,
 * and reads it; a read of a new table is a bypass.
 */
async function agree(): Promise<void> {
  const unserved = (): number => db.$aside.stats().bypassed['scheme-new'] ?? 0
  let before: number
  do {
    epochs.length = 0
    before = unserved()
    for (const table of [slots, others]) await db.select().from(table).where(eq(table.id, -1))
    await db.$aside.invalidate(slots, { id: -1 })
    await db.$aside.ready()
    await pause(20)
  } while (epochs.length > 0 || unserved() > before)
}

async function run(): Promise<void> {
  if (task.agree) await agree()
  for (const [at, tables] of task.rounds.entries()) {
    if (at > 0) {
      db = open(tables)
      await db.$aside.ready()
    }
    await round()
    const { hits, misses } = db.$aside.stats()
    record.hits += hits
    record.misses += misses
    await db.$aside.close()
  }
  redis.destroy()
  await pool.end()
  await postgresJs.end()
  process.send?.({ record: record satisfies Record, epochs }, () => process.disconnect())
}
process.once('message', () => {
  run().catch((error) => {
    console.error(error)
    process.exit(1)
  })
})
tell('ready')
