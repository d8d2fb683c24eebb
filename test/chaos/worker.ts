/**
 * One process of a chaos run: it reads and writes at an easy pace until it is told to stop, or killed, and writes what it
 * did and saw to a file at once: what a killed process had in mind is lost, what it did is not.
 */
import { appendFileSync, closeSync, openSync, writeSync } from 'node:fs'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { redisStore } from '@drizzle-aside/redis'
import { type AsideEvent, withCache } from 'drizzle-aside'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Redis } from 'ioredis'
import { Pool, type PoolClient } from 'pg'
import { createClient } from 'redis'
import { Random } from '../random/random.ts'
import type { Claim, Line, Task, Told } from './history.ts'
import { chaosReads } from './reads.ts'
import { configurations, schema } from './tables.ts'
import { chaosWrites } from './writes.ts'

const task = JSON.parse(process.argv[2] as string) as Task
const random = new Random(task.seed)
const began = BigInt(task.base)
const now = (): number => Number(process.hrtime.bigint() - began) / 1e6
const tell = (what: Told): void => void process.send?.(what)

// Writes are noted at once. Of reads the last ones may be lost with the process: that only means to have looked less.
const file = openSync(task.file, 'a')
const note = (line: Line): void => void writeSync(file, `${JSON.stringify(line)}\n`)
let reads: Line[] = []
const flush = (): void => {
  if (reads.length > 0) writeSync(file, `${reads.map((line) => JSON.stringify(line)).join('\n')}\n`)
  reads = []
}

const client =
  task.client === 'ioredis'
    ? new Redis(task.redis, { lazyConnect: true })
    : createClient({ url: task.redis, socket: { reconnectStrategy: 50 } })
client.on('error', () => {})
const pool = new Pool({ connectionString: task.database, max: 8 })
pool.on('error', () => {})
// A connection that breaks while a transaction of the app's has it would end the process, as over plain Drizzle.
const connections = new Set<PoolClient>()
pool.on('connect', (connection) => {
  connections.add(connection)
  connection.on('error', () => {})
})
/** Where a BEGIN fails, Drizzle does not give the connection back, and the pool waits for it. */
async function endPool(): Promise<void> {
  await Promise.race([pool.end(), pause(1_000)])
  for (const connection of connections)
    (connection as unknown as { connection: { stream: Socket } }).connection.stream.destroy()
}

/** What waits to be made known: a queue, writes of unknown outcome, and writes that met no facts about the database. */
const waiting = { delivery: false, unknown: 0, facts: false }
let told = 0
const busy = (): number => Number(waiting.delivery) + waiting.unknown + Number(waiting.facts)
function tellBusy(): void {
  if (busy() === told) return
  told = busy()
  note(['busy', now(), told])
}

const worthTelling = new Set<AsideEvent['type']>([
  'outboxFailed',
  'outboxUnusable',
  'outboxDrained',
  'registerLost',
  'breakerOpened',
  'breakerClosed',
  'derivationFailed',
  'listenerFailed',
  'recordsLost',
  'payloadRefused',
  'pendingOverflow',
  'catalogFailed',
  'catalogChanged',
])

function hear(event: AsideEvent): void {
  if (event.type === 'pendingDelivery') waiting.delivery = true
  else if (event.type === 'delivered') waiting.delivery = false
  else if (event.type === 'outcomeUnknown') waiting.unknown++
  else if (event.type === 'outcomeKnown') waiting.unknown--
  else if (worthTelling.has(event.type)) note(['event', now(), event.type, JSON.stringify(event).slice(0, 300)])
  tellBusy()
}

const db = withCache(drizzle(pool, { schema }), {
  store: redisStore(client),
  namespace: task.namespace,
  tables: configurations[task.configuration](task.ttlMs),
  ...(task.outbox && { outbox: 'always' as const }),
  on: hear,
})

/** What is written while no facts are known is made known with them; how soon after, no event says. */
const FACTS_MS = 1_000
let factsMissedAt = Number.NEGATIVE_INFINITY
function lookForFacts(): void {
  if (db.$aside.health().catalog !== 'known') factsMissedAt = now()
  waiting.facts = now() - factsMissedAt < FACTS_MS
  tellBusy()
}

async function untilReady(): Promise<void> {
  for (;;) {
    try {
      return await db.$aside.ready()
    } catch {
      await pause(50)
    }
  }
}
await untilReady()

const read = chaosReads(db, random, task)
const write = chaosWrites(db, random, task)
let stopping = false
/** A rest at the end, in which nothing is written and everything is looked at. */
let onlyReading = false
let writes = 0

async function writeOnce(): Promise<void> {
  const name = `${task.name}-${++writes}`
  const { run, way, deletes } = write(name)
  lookForFacts()
  note(deletes === undefined ? ['begin', name, now()] : ['begin', name, now(), deletes])
  let outcome: 'ok' | 'failed' = 'ok'
  try {
    await run()
  } catch {
    outcome = 'failed'
  }
  const at = now()
  lookForFacts()
  note(['end', name, at, outcome, busy() > 0, way])
  if (outcome === 'failed') await pause(20)
}

async function readOnce(): Promise<void> {
  const { kind, run } = read()
  const start = now()
  let claims: readonly Claim[]
  try {
    claims = await run()
  } catch {
    // The database cannot be asked: no answer says nothing.
    await pause(20)
    return
  }
  reads.push(['read', start, now(), kind, claims])
  if (reads.length >= 50) flush()
}

async function work(): Promise<void> {
  while (!stopping) {
    if (!onlyReading && random.chance(task.writeShare)) await writeOnce()
    else await readOnce()
    // Many that take their time: when something is slow, many wait for it at once.
    await pause(random.below(100))
  }
}

const ticking = setInterval(() => {
  lookForFacts()
  flush()
  const { hits, misses, bypassed } = db.$aside.stats()
  const passed = Object.values(bypassed).reduce((sum, count) => sum + count, 0)
  tell({
    type: 'tick',
    lookUps: hits + misses + passed,
    hits,
    isWell: db.$aside.health().state === 'ok' && busy() === 0,
  })
}, 50)

const working = Promise.all(Array.from({ length: task.concurrency }, work))
process.on('message', (message) => {
  if (message === 'rest') onlyReading = true
  if (message === 'stop') void stop()
})
// A conductor that is gone stops nobody any more.
process.once('disconnect', () => process.exit(0))
tell({ type: 'ready' })

async function stop(): Promise<void> {
  stopping = true
  await working
  clearInterval(ticking)
  flush()
  await db.$aside.close()
  await endPool()
  closeSync(file)
  appendFileSync(task.file, `${JSON.stringify(['event', now(), 'closed', ''] satisfies Line)}\n`)
  process.removeAllListeners('disconnect')
  process.disconnect()
}
