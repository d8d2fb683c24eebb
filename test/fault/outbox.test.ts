/**
 * E-crash and E-cut, with an outbox and without: real processes over a real Redis; one is killed, another is cut off by a
 * proxy, a third ends while it is (C7, D2, D3; PROTOCOL 11: 15, 66).
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { redisStore } from '@drizzle-aside/redis'
import { cached } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { createClient } from 'redis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ManualClock, manualClock } from '../harness/clock.ts'
import { type FreshDatabase, type FreshRedis, freshDatabase, freshRedis } from '../harness/databases.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import { tcpProxy } from '../harness/tcp-proxy.ts'
import { items, notes, outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'
import { byId, isHit, outboxSetUp, warm } from '../support/outbox.ts'

type App = Awaited<ReturnType<typeof openApp>>

let database: FreshDatabase
let redis: FreshRedis
let clock: ManualClock
let closing: (() => Promise<unknown> | unknown)[]

beforeEach(async () => {
  closing = []
  ;[database, redis] = await Promise.all([freshDatabase(15), freshRedis()])
  await outside(database.url, outboxSetUp)
  await ageRegister(redis.url, redis.namespace, database.name)
  clock = manualClock()
})
afterEach(async () => {
  for (const close of closing.reverse()) await close()
  await Promise.all([database.drop(), redis.drop()])
})

async function open(url: string, outbox: 'outbox' | 'none' = 'outbox'): Promise<App> {
  const client = createClient({ url, socket: { reconnectStrategy: 20 } })
  client.on('error', () => {})
  // The store has a connection of its own; this one tries for as long as it is cut off.
  client.connect().catch(() => {})
  const store = redisStore(client)
  const { namespace } = redis
  const tables = [cached(items), cached(notes)]
  const kept = outbox === 'outbox' ? ({ outbox: 'always' } as const) : {}
  const app = await openApp({ url: database.url, store, namespace, tables, clock, ...kept })
  closing.push(
    () => client.destroy(),
    () => store.close(),
    () => app.close(),
  )
  return app
}

/** The writer's rows, made overdue, and the reader's next look. */
async function drain(reader: App, count = 1): Promise<void> {
  const rows = await outside(
    database.url,
    `update aside_outbox set written_at = written_at - interval '10 s' returning keys`,
  )
  expect(rows).toHaveLength(count)
  await expect
    .poll(async () => {
      await clock.advanceAndSettle(500)
      return reader.told.of('outboxDrained').length
    })
    .toBe(1)
  expect(await outside(database.url, 'select * from aside_outbox')).toEqual([])
}

/** Runs a writer until its COMMIT is done and its first removal is due, and kills it there. */
async function killAfterCommit(way: string, outbox: 'outbox' | 'none' = 'outbox'): Promise<void> {
  const script = fileURLToPath(new URL('./outbox-writer.ts', import.meta.url))
  const env = { ...process.env, TSX_TSCONFIG_PATH: fileURLToPath(new URL('../../tsconfig.json', import.meta.url)) }
  const args = ['--import', 'tsx', script, database.url, redis.url, redis.namespace, way, outbox]
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const gone = new Promise((resolve) => child.once('exit', resolve))
  const said = new Promise<string>((resolve) => child.stdout.once('data', (text) => resolve(String(text))))
  expect(await Promise.race([said, gone])).toBe('committed')
  child.kill('SIGKILL')
  await gone
}

/** Nobody will ever tell of the write to the first item. */
async function expectOldForItsLife(reader: App): Promise<void> {
  expect(await byId(reader, 1)).toMatchObject([{ label: 'old' }])
  const client = await createClient({ url: redis.url }).connect()
  const entries = await client.keys(`da1:${redis.namespace}:*:E*`)
  const lives = await Promise.all(entries.map((key) => client.pTTL(key)))
  expect(lives.length).toBeGreaterThan(0)
  // Five minutes, and the tenth by which lives differ.
  for (const life of lives) expect([life > 0, life <= 5.5 * 60_000]).toEqual([true, true])
  // Redis keeps its own time: its end is brought on.
  await Promise.all(entries.map((key) => client.pExpire(key, 0)))
  client.destroy()
  expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
  expect(await isHit(reader, 1)).toBe(true)
}

test('E-crash, 15: a writer killed between its COMMIT and its invalidation leaves a row, and another process delivers it', async () => {
  const reader = await open(redis.url)
  await warm(reader, 1, 2)
  await killAfterCommit('transaction')
  expect(await byId(reader, 1)).toMatchObject([{ label: 'old' }])
  await drain(reader)
  expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
  expect(await isHit(reader, 2)).toBe(true)
})

test('E-crash: the same for a statement outside a transaction, whose row names the whole table', async () => {
  const reader = await open(redis.url)
  await warm(reader, 1, 2)
  await killAfterCommit('autocommit')
  expect(await byId(reader, 1)).toMatchObject([{ label: 'old' }])
  await drain(reader)
  expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
  expect(await isHit(reader, 2)).toBe(false)
})

test.each(['transaction', 'autocommit'])(
  'C7, 15: a writer killed between its COMMIT and its invalidation, in a %s without outbox, leaves the old row for its time to live',
  async (way) => {
    const reader = await open(redis.url)
    await warm(reader, 1, 2)
    await killAfterCommit(way, 'none')
    expect(await outside(database.url, 'select * from aside_outbox')).toEqual([])
    await expectOldForItsLife(reader)
  },
)

test('D3, E-cut, 66: a writer whose link to Redis is cut: the others know with their next look, he himself serves nothing', async () => {
  const proxy = await tcpProxy(redis.url)
  closing.push(() => proxy.close())
  const reader = await open(redis.url)
  const writer = await open(proxy.url)
  await warm(reader, 1, 2)
  proxy.refuse()
  await writer.db.transaction((tx) => tx.update(items).set({ label: 'new' }).where(eq(items.id, 1)))
  expect(writer.told.of('pendingDelivery')).toHaveLength(1)
  expect(await byId(reader, 1)).toMatchObject([{ label: 'old' }])
  await drain(reader)
  expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
  expect(await isHit(writer, 1)).toBe(false)
  proxy.heal()
  await expect
    .poll(async () => {
      await clock.advanceAndSettle(1_000)
      return writer.told.of('delivered').length
    })
    .toBe(1)
})

/** Writes while it cannot reach Redis, and is closed and started anew before it can: the queue in its memory is gone. */
async function restartCutOff(outbox: 'outbox' | 'none'): Promise<App> {
  const proxy = await tcpProxy(redis.url)
  closing.push(() => proxy.close())
  const writer = await open(proxy.url, outbox)
  proxy.refuse()
  // The first write finds out, the second knows.
  for (const [at, id] of [1, 3].entries()) {
    await writer.db.transaction((tx) => tx.update(items).set({ label: 'new' }).where(eq(items.id, id)))
    expect(writer.told.of('pendingDelivery')).toHaveLength(at + 1)
  }
  await writer.close()
  expect(writer.told.of('delivered')).toEqual([])
  const again = await open(proxy.url, outbox)
  expect(await byId(again, 1)).toMatchObject([{ label: 'new' }])
  proxy.heal()
  return again
}

test('D2: a writer that is restarted while it is cut off: what waited in its outbox it delivers after its restart', async () => {
  const reader = await open(redis.url)
  await warm(reader, 1, 2, 3)
  // The reader does not look meanwhile.
  await reader.db.$aside.close()
  const again = await restartCutOff('outbox')
  await drain(again, 2)
  const other = await open(redis.url)
  for (const app of [again, other])
    for (const id of [1, 3]) expect(await byId(app, id)).toMatchObject([{ label: 'new' }])
  await expect.poll(() => isHit(other, 2)).toBe(true)
})

test('D2: the same without an outbox: what waited is lost, and the old row is served for its time to live', async () => {
  const reader = await open(redis.url, 'none')
  await warm(reader, 1, 2)
  await restartCutOff('none')
  await expectOldForItsLife(reader)
})
