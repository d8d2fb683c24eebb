/**
 * A Redis that forgets: flushed at any moment, evicting, full (D4, D6; PROTOCOL 11: 63, 64). It costs misses, and what is
 * removed while it is full stays removed; what a full one has is served on.
 */
import { type RedisClient, redisStore } from '@drizzle-aside/redis'
import { cached } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { clusterLibraries, type RedisLibrary, redisLibraries } from '../conformance/redis-clients.ts'
import { type ManualClock, manualClock } from '../harness/clock.ts'
import { type FreshDatabase, freshDatabase, type PrivateServer, privateRedis } from '../harness/databases.ts'
import { gatedStore, type StatementHook, type StoreHook } from '../harness/gates.ts'
import { ageClusterRegister, privateCluster } from '../harness/redis-cluster.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import { asAdmin } from '../harness/redis-replicas.ts'
import { Random } from '../random/random.ts'
import { items, itemsSetUp, notes, outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'

type App = Awaited<ReturnType<typeof openApp>>

let database: FreshDatabase
let server: PrivateServer
let clock: ManualClock
let ending: (() => unknown)[]
const namespace = 'memory'

beforeAll(async () => {
  database = await freshDatabase(18)
  server = await privateRedis()
})
afterAll(async () => {
  await server.stop()
  await database.drop()
})
beforeEach(async () => {
  await outside(database.url, 'drop table if exists items, notes', itemsSetUp)
  await asAdmin(server.url, async (admin) => {
    await admin.configSet({ maxmemory: '0', 'maxmemory-policy': 'noeviction' })
    await admin.flushAll()
  })
  await ageRegister(server.url, namespace, database.name)
  clock = manualClock()
  ending = []
})
afterEach(async () => {
  for (const end of ending.reverse()) await end()
})

interface Opened {
  readonly onStore?: StoreHook
  readonly hook?: StatementHook
  readonly notes?: ReturnType<typeof cached>
}

const open = async (library: RedisLibrary, opened?: Opened): Promise<App> =>
  openOver(await library.open(server.url), opened)

async function openOver(
  client: { readonly client: RedisClient; close(): unknown },
  { onStore, notes: ofNotes = cached(notes), ...more }: Opened = {},
): Promise<App> {
  const own = redisStore(client.client, { clock })
  const store = onStore ? gatedStore(own, onStore) : own
  const tables = [cached(items, { lists: (t) => [t.n] }), ofNotes]
  const app = await openApp({ url: database.url, namespace, store, clock, tables, ...more })
  ending.push(async () => {
    await app.close()
    client.close()
  })
  return app
}

const byId = ({ db }: App, id = 1) => db.select().from(items).where(eq(items.id, id))
const inList = ({ db }: App) => db.select().from(items).where(eq(items.n, 0)).orderBy(items.id)
const labelOf = async (app: App, id = 1) => (await byId(app, id))[0]?.label
const rename = ({ db }: { readonly db: Pick<App['db'], 'update'> }, label: string, id = 1) =>
  db.update(items).set({ label }).where(eq(items.id, id)).execute()
/** A number that Redis tells of itself. */
const told = (name: string) =>
  asAdmin(server.url, async (admin) => Number(new RegExp(`${name}:(\\d+)`).exec(await admin.info())?.[1]))
const flush = () => asAdmin(server.url, (admin) => admin.flushAll())

/** By key and in a list, until both are hits; whatever answered, it was the label. */
async function expectServed(app: App, label: string): Promise<void> {
  const labels = new Set<string | undefined>()
  await expect
    .poll(
      async () => {
        app.told.forget()
        labels.add(await labelOf(app)).add((await inList(app))[0]?.label)
        // New tables are served after three heartbeats, and so are those whose register is gone.
        await clock.advanceAndSettle(500)
        return app.told.of('hit').length
      },
      { interval: 10 },
    )
    .toBe(2)
  expect([...labels]).toEqual([label])
}

/** Nothing new is kept from now on. */
const fill = (url: string) =>
  asAdmin(url, (admin) => admin.configSet({ maxmemory: '1', 'maxmemory-policy': 'noeviction' }))

/** Four heartbeats go by, and whenever the last one is answered what is kept is served. */
async function expectServedOn(app: App, label: string): Promise<void> {
  for (let half = 0; half < 16; half++) {
    await clock.advanceAndSettle(500)
    await expect
      .poll(
        async () => {
          await clock.advanceAndSettle(0)
          app.told.forget()
          const labels = [await labelOf(app), (await inList(app))[0]?.label]
          return { labels, hits: app.told.of('hit').length }
        },
        { interval: 10 },
      )
      .toEqual({ labels: [label, label], hits: 2 })
  }
}

/** `opener` opens an app over the servers that `fillAll` fills. */
async function expectServedWhileFull(opener: (opened?: Opened) => Promise<App>, fillAll: () => Promise<unknown>) {
  const [app, writer] = [await opener(), await opener()]
  for (const each of [app, writer]) await expectServed(each, 'old')
  await fillAll()
  await expectServedOn(app, 'old')
  // Who comes now enters himself all the same: as one that is known, and with what nobody else keeps.
  const late = await opener()
  await expectServed(late, 'old')
  const other = await opener({ notes: cached(notes, { lists: (t) => [t.body] }) })
  await expectServed(other, 'old')
  const all = [app, writer, late, other]
  for (const each of all) await expectServedOn(each, 'old')
  await rename(writer, 'new')
  await rename(other, 'newer', 2)
  expect([writer, other].flatMap(({ told }) => told.of('pendingDelivery'))).toEqual([])
  for (const each of all) {
    expect(await labelOf(each)).toBe('new')
    expect((await inList(each)).map(({ label }) => label).slice(0, 3)).toEqual(['new', 'newer', 'old'])
  }
}

describe.each(redisLibraries)('over $name', (library) => {
  const fillSteps = ['read', 'mint', 'the query', 'write'].flatMap((step) =>
    (['before', 'after'] as const).map((point): [string, 'before' | 'after'] => [step, point]),
  )
  describe.for(fillSteps)('63: everything is flushed, and a row written, at %s of a fill, %s it', ([step, point]) => {
    test.for(['the flush first', 'the write first'])('%s', async (order) => {
      let todo: (() => Promise<void>) | undefined
      let done: Promise<void> | undefined
      const reached = (at: string, what: string): Promise<void> | undefined => {
        if (!todo || at !== point || what !== step) return
        done = todo()
        todo = undefined
        return done
      }
      const onStore: StoreHook = (at, call) => reached(at, call.method)
      const hook: StatementHook = (at, { sql }) => (/ from "items"/.test(sql) ? reached(at, 'the query') : undefined)
      const [reader, writer] = [await open(library, { onStore, hook }), await open(library)]
      const steps = [flush, () => rename(writer, 'new')]
      if (order === 'the write first') steps.reverse()
      todo = async () => {
        for (const step of steps) await step()
      }
      expect(['old', 'new']).toContain(await labelOf(reader))
      // Nobody waits for what a fill stores.
      await expect.poll(() => done !== undefined).toBe(true)
      await done
      expect(await labelOf(reader)).toBe('new')
      for (const app of [reader, writer]) await expectServed(app, 'new')
    })
  })

  const update = /^(with .*)?update "items"/is
  const writeSteps = [
    ['the statement', 'a statement', update],
    ['its delivery', 'a statement', undefined],
    ['the statement', 'a transaction', update],
    ['its commit', 'a transaction', /^commit/i],
    ['its delivery', 'a transaction', undefined],
  ] as const
  const writePoints = writeSteps.flatMap((step) =>
    (['before', 'after'] as const).map((point) => [point, ...step] as const),
  )
  test.for(writePoints)(
    '63: everything is flushed and filled anew %s %s of a write by %s',
    async ([point, , way, text]) => {
      const reader = await open(library)
      let todo: (() => Promise<unknown>) | undefined
      const now = async () => {
        const task = todo
        todo = undefined
        await task?.()
      }
      const hook: StatementHook = (at, { sql }) => (at === point && text?.test(sql) ? now() : undefined)
      const onStore: StoreHook = (at, call) =>
        !text && at === point && call.method === 'removeAndLook' ? now() : undefined
      const writer = await open(library, { hook, onStore })
      for (const app of [reader, writer]) await expectServed(app, 'old')
      todo = async () => {
        await flush()
        await labelOf(reader)
        await inList(reader)
      }
      if (way === 'a statement') await rename(writer, 'new')
      else await writer.db.transaction((tx) => rename({ db: tx }, 'new'))
      expect(todo).toBeUndefined()
      for (const app of [reader, writer]) {
        expect(await labelOf(app)).toBe('new')
        expect((await inList(app))[0]?.label).toBe('new')
        await expectServed(app, 'new')
      }
    },
  )

  test('64: a full Redis refuses fills, which is told; reads answer, removals arrive, and it goes on when there is room', async () => {
    const [app, other] = [await open(library), await open(library)]
    await expectServed(app, 'old')
    await fill(server.url)
    app.told.forget()
    expect(await labelOf(app)).toBe('old')
    expect(app.told.of('hit')).toHaveLength(1)
    for (let id = 10; id < 16; id++) expect(await labelOf(app, id)).toBe('old')
    expect(app.told.of('fill')).toEqual([])
    expect(app.told.of('storeFailed')).toMatchObject(Array(5).fill({ step: 'mint' }))
    expect(app.told.of('breakerOpened')).toMatchObject([{ of: 'fills' }])
    expect(app.db.$aside.health().remarks).toEqual([expect.stringContaining('keeps nothing new')])
    await rename(other, 'new')
    expect(other.told.of('pendingDelivery')).toEqual([])
    expect(await labelOf(app)).toBe('new')
    expect((await inList(app))[0]?.label).toBe('new')
    expect(app.told.of('bypass')).toEqual([])
    await asAdmin(server.url, (admin) => admin.configSet({ maxmemory: '0' }))
    await clock.advanceAndSettle(500)
    await expectServed(app, 'new')
  })

  test('64: what a full Redis has is served on, heartbeats go on, and removals arrive', () =>
    expectServedWhileFull(
      (opened) => open(library, opened),
      () => fill(server.url),
    ))

  test('D4, 64: a Redis that evicts whatever it likes serves nothing old', { timeout: 120_000 }, async () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
    const random = new Random(seed)
    const long = 'x'.repeat(4_000)
    await outside(database.url, `update items set label = '${long}'`)
    const apps = [await open(library), await open(library)]
    // What their connections and scripts take is no room for rows.
    for (const app of apps) {
      await expect
        .poll(async () => {
          await labelOf(app)
          await clock.advanceAndSettle(500)
          return app.told.of('hit').length
        })
        .toBeGreaterThan(0)
      app.told.forget()
    }
    const [used, evictedBefore] = [await told('used_memory'), await told('evicted_keys')]
    const room = { maxmemory: String(used + 100_000), 'maxmemory-policy': 'allkeys-random' }
    await asAdmin(server.url, (admin) => admin.configSet(room))
    const labels = new Map<number, string>()
    for (let step = 0; step < 600; step++) {
      const id = 1 + random.below(40)
      if (random.below(10) === 0) {
        const label = `${step} ${long}`
        labels.set(id, label)
        // The one removes the stamps of the row, the other the epoch.
        const { db } = random.pick(apps)
        if (random.chance(0.8)) await rename({ db }, label, id)
        else await db.execute(sql`update items set label = ${label} where id = ${id}`)
      }
      expect(await labelOf(random.pick(apps), id), `seed ${seed}, step ${step}`).toBe(labels.get(id) ?? long)
      if (step % 10 === 0) await clock.advanceAndSettle(500)
    }
    expect((await told('evicted_keys')) - evictedBefore).toBeGreaterThan(0)
    expect(apps.flatMap(({ told }) => told.of('hit')).length).toBeGreaterThan(0)
    expect(apps.flatMap(({ told }) => told.of('pendingDelivery'))).toEqual([])
  })

  test('D6: a row whose removal was lost is served to its time to live, however often it is read', async () => {
    const app = await open(library)
    await expectServed(app, 'old')
    await outside(database.url, `update items set label = 'by an outsider' where id = 1`)
    const entries = await asAdmin(server.url, (admin) => admin.keys('*:E{*'))
    const lives = () => asAdmin(server.url, (admin) => Promise.all(entries.map((key) => admin.pTTL(key))))
    const before = await lives()
    app.told.forget()
    for (let read = 0; read < 50; read++) {
      expect(await labelOf(app)).toBe('old')
      // What is filled beside it raises the life of the stamps that it rests on.
      await labelOf(app, 2 + read)
    }
    expect(app.told.of('hit')).toHaveLength(50)
    const after = await lives()
    expect(after).toHaveLength(2)
    after.forEach((left, at) => {
      expect(left).toBeGreaterThan(0)
      expect(left).toBeLessThanOrEqual(before[at] as number)
    })
  })
})

test.each(clusterLibraries)(
  '64: what a full Cluster has is served on, heartbeats go on, and removals arrive, over $name',
  async (library) => {
    const cluster = await privateCluster({ replicas: 0 })
    ending.push(() => cluster.stop())
    await ageClusterRegister(cluster, namespace, database.name)
    await expectServedWhileFull(
      async (opened) => openOver(await library.open(cluster.urls), opened),
      () => Promise.all(cluster.urls.map(fill)),
    )
  },
)
