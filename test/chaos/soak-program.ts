/**
 * One process that works for a long time: reads and writes that never repeat themselves, failing statements, wraps that come
 * and go, and a Redis that is out of reach now and then. It tells how much it holds as it goes, and what is left at its end.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { redisStore } from '@drizzle-aside/redis'
import { cached, memoryStore, withCache } from 'drizzle-aside'
import { and, asc, eq, gt, inArray, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { createClient } from 'redis'
import { tcpProxy } from '../harness/tcp-proxy.ts'
import { Random } from '../random/random.ts'
import type { Sample, SoakTask } from './soak.ts'
import { accounts, configurations, notes, schema, sizes, teams } from './tables.ts'

const task = JSON.parse(process.argv[2] as string) as SoakTask
const random = new Random(task.seed)

const resources = (): string[] => process.getActiveResourcesInfo().sort()
const before = resources()

const proxy = await tcpProxy(task.redis)
const client = createClient({ url: proxy.url, socket: { reconnectStrategy: 50 } })
client.on('error', () => {})
await client.connect()
const pools = [0, 1].map(() => new Pool({ connectionString: task.database, max: 6 }))
for (const pool of pools) pool.on('error', () => {})
const [shared, alone] = pools as [Pool, Pool]

const QUEUE_BOUND = 200
const MEMORY_BYTES = 2 * 1024 * 1024
const store = redisStore(client)
const memory = memoryStore({ maxBytes: MEMORY_BYTES })
const tables = configurations.lists(2_000)
const common = { namespace: 'soak', tables }
const overRedis = withCache(drizzle(shared, { schema }), {
  ...common,
  store,
  outbox: 'always',
  queueBound: QUEUE_BOUND,
  fillToken: true,
})
const overMemory = withCache(drizzle(alone, { schema }), { ...common, store: memory })
await Promise.all([overRedis.$aside.ready(), overMemory.$aside.ready()])
type Db = typeof overRedis

let counter = 0
const next = (): number => 10_000_000 + counter++
let [operations, failures, longestQueue] = [0, 0, 0]

type Step = (db: Db) => Promise<unknown>

/** What is remembered of these is bounded by number: of each kind so many are met before anything is measured. */
const newNames: readonly Step[] = [
  // Never asked before, and never there.
  (db) => db.select().from(notes).where(eq(notes.id, next())),
  (db) =>
    db
      .select()
      .from(accounts)
      .where(eq(accounts.slot, `never ${next()}`)),
  (db) =>
    db
      .select()
      .from(notes)
      .where(inArray(notes.id, [next(), next(), next()])),
  (db) =>
    db
      .select()
      .from(accounts)
      .where(and(eq(accounts.team, random.below(sizes.teams)), gt(accounts.views, next()))),
  (db) => db.query.accounts.findMany({ where: eq(accounts.team, next()), with: { notes: true } }),
  (db) =>
    db.$aside
      .with({ tag: `tag ${next()}`, ttl: '1s' })
      .select()
      .from(teams)
      .where(eq(teams.id, next())),
  (db) => db.$aside.invalidateTag(`tag ${next()}`),
]
const MOST_NAMES = 4_500

/** Another text each time, as raw SQL with values in it makes them; 5,000 plans are remembered. */
const newTexts: readonly Step[] = [
  (db) =>
    db
      .select()
      .from(accounts)
      .where(sql.raw(`id = ${next()}`)),
  (db) => db.execute(sql.raw(`select ${next()}`)),
  (db) => db.select().from(sql.raw(`nothing_${next()}`)),
]
const MOST_TEXTS = 5_500

const steps: readonly Step[] = [
  ...newNames,
  ...newTexts,
  (db) =>
    db
      .select()
      .from(accounts)
      .where(eq(accounts.id, random.below(sizes.accounts))),
  (db) =>
    db
      .select({ id: accounts.id })
      .from(accounts)
      .where(eq(accounts.team, random.below(sizes.teams))),
  (db) =>
    db
      .select({ id: accounts.id, at: teams.at })
      .from(accounts)
      .leftJoin(teams, eq(teams.id, accounts.team))
      .where(eq(accounts.id, random.below(sizes.accounts)))
      .orderBy(asc(accounts.id)),
  (db) =>
    db
      .update(accounts)
      .set({ at: `${next()}` })
      .where(eq(accounts.id, random.below(sizes.accounts))),
  (db) =>
    db
      .update(accounts)
      .set({ team: random.below(sizes.teams) })
      .where(eq(accounts.id, random.below(sizes.accounts))),
  async (db) => {
    const id = next()
    await db.insert(notes).values({ id, accountId: random.below(sizes.accounts), at: 'soak' })
    await db.delete(notes).where(eq(notes.id, id))
  },
  (db) =>
    db.transaction(async (tx) => {
      await tx
        .update(teams)
        .set({ at: `${next()}` })
        .where(eq(teams.id, random.below(sizes.teams)))
      if (random.chance(0.3)) tx.rollback()
    }),
  (db) => db.insert(notes).values({ id: next(), accountId: -1, at: 'no such account' }),
]

async function meet(db: Db, steps: readonly Step[], most: number): Promise<void> {
  for (const step of steps) {
    let left = most
    const loop = async (): Promise<void> => {
      while (left-- > 0) await step(db).catch(() => undefined)
    }
    await Promise.all(Array.from({ length: 8 }, loop))
  }
}
for (const [steps, most] of [
  [newNames, MOST_NAMES],
  [newTexts, MOST_TEXTS],
] as const)
  await Promise.all([overRedis, overMemory as unknown as Db].map((db) => meet(db, steps, most)))
const began = performance.now()
const isOver = (): boolean => performance.now() - began > 1_000 * task.seconds

async function work(db: Db): Promise<void> {
  while (!isOver()) {
    operations++
    try {
      await random.pick(steps)(db)
    } catch {
      failures++
    }
    longestQueue = Math.max(longestQueue, db.$aside.health().store.pendingKeys)
    // Others work on this machine, too.
    if (operations % 20 === 0) await pause(20)
  }
}

/** A hot reload wraps anew, again and again. */
async function rewrap(): Promise<void> {
  while (!isOver()) {
    const db = withCache(drizzle(alone, { schema }), {
      ...common,
      tables: [cached(accounts, { ttl: '2s' })],
      store: memory,
    })
    const stop = db.$aside.on(() => {})
    await db.select().from(accounts).where(eq(accounts.id, 1))
    await db.update(accounts).set({ at: 'anew' }).where(eq(accounts.id, 1))
    stop()
    await db.$aside.close()
    await pause(50)
  }
}

async function disturb(): Promise<void> {
  while (!isOver()) {
    await pause(4_000)
    if (random.chance(0.5)) proxy.refuse()
    else proxy.blackHole()
    await pause(1_000)
    proxy.heal()
    if (random.chance(0.3)) proxy.cut()
  }
}

const collect = (globalThis as unknown as { gc(): void }).gc

async function sample(): Promise<void> {
  while (!isOver()) {
    await pause((1_000 * task.seconds) / 40)
    collect()
    const { heapUsed, external } = process.memoryUsage()
    const kept = memory.stats()
    const told: Sample = {
      heapUsed,
      external,
      handles: resources().length,
      memoryBytes: kept.bytes,
      operations,
      longestQueue,
    }
    process.send?.(told)
  }
}

const dbs = [overRedis, overMemory as unknown as Db]
const loops = [...dbs, ...dbs, ...dbs, ...dbs].map(work)
await Promise.all([...loops, rewrap(), disturb(), sample()])
// The last fault may just be over: what waits for Redis is delivered with the next try.
for (let look = 0; look < 400 && overRedis.$aside.health().store.pendingKeys > 0; look++) await pause(50)
await overRedis.$aside.close()
await overMemory.$aside.close()
const { pendingKeys } = overRedis.$aside.health().store
await Promise.all(pools.map((pool) => pool.end()))
client.destroy()
await proxy.close()
process.send?.({ operations, failures, longestQueue, pendingKeys, queueBound: QUEUE_BOUND, memoryBound: MEMORY_BYTES })
process.disconnect()
// What is closed leaves soon, on a busy machine a little later; what holds the process never does.
const left = async (): Promise<string[]> => {
  const found = () => resources().filter((name) => !before.includes(name) && name !== 'Immediate')
  for (let look = 0; look < 200 && found().length > 0; look++) await pause(25)
  return found()
}
process.stdout.write(JSON.stringify(await left()))
