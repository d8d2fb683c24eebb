/** A master behind Sentinel dies under load: reads are answered, and the removals of writes reach its successor. */
import { redisStore } from '@drizzle-aside/redis'
import { describeStore, type OpenedStore } from '@drizzle-aside/store-conformance'
import { cached } from 'drizzle-aside'
import { createClient } from 'redis'
import { createSentinel as sentinelOfVersion5 } from 'redis-5'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import {
  everySentinelLibrary,
  openedByFunction,
  type SentinelLibrary,
  sentinelLibraries,
} from '../conformance/redis-clients.ts'
import { manualClock } from '../harness/clock.ts'
import { freshDatabase } from '../harness/databases.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import { type PrivateSentinel, privateSentinel } from '../harness/redis-sentinel.ts'
import { tcpProxy } from '../harness/tcp-proxy.ts'
import { History, type ReadNumber } from '../support/history.ts'
import { raise, readByKey } from '../support/item-load.ts'
import { items, itemsSetUp, outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'

describe('stores behind Sentinel', () => {
  let group: PrivateSentinel
  let opened = 0
  beforeAll(async () => {
    group = await privateSentinel()
  })
  afterAll(() => group.stop())

  async function openOver(library: SentinelLibrary): Promise<OpenedStore> {
    const apps = await Promise.all([library.open(group), library.open(group)])
    const [store, second] = apps.map(({ client, told }) => redisStore(client, told))
    if (!store || !second) throw new Error('two stores')
    return {
      store,
      second,
      prefix: `s${opened++}:`,
      async close() {
        await Promise.all([store.close(), second.close()])
        for (const app of apps) app.close()
      },
    }
  }

  const lacks = { clock: 'as on a single node', bound: 'as on a single node' }
  for (const library of everySentinelLibrary)
    describeStore({ describe, it }, { name: `${library.name}, Sentinel`, open: () => openOver(library), lacks })

  it('the client of node-redis 5 cannot be duplicated: without a function that opens another it is refused', () => {
    const options = { name: group.name, sentinelRootNodes: [{ host: group.host, port: group.port }] }
    const client = sentinelOfVersion5(options)
    const refused = (code: string, message: RegExp) =>
      expect.objectContaining({ code, message: expect.stringMatching(message) })
    expect(() => redisStore(client)).toThrow(refused('ASIDE_BAD_STORE', /createSentinel\(ours\(options\)\)/))
    expect(() => redisStore(client, { duplicate: () => client })).toThrow(refused('ASIDE_BAD_OPTION', /a new sentinel/))
    const single = createClient()
    expect(() => redisStore(single, { duplicate: () => client })).toThrow(
      refused('ASIDE_BAD_OPTION', /is for sentinel/),
    )
    void redisStore(client, { duplicate: (ours) => sentinelOfVersion5(ours(options)) }).close()
  })

  it.each(everySentinelLibrary)('$name: keeps its prefix of keys, and asks no replica', async (library) => {
    const app = await library.open(group, library.knowsPrefix ? { keyPrefix: 'app:' } : {})
    const store = redisStore(app.client, app.told)
    await store.write('k', 'x', 60_000, [], 0)
    expect(await store.read(['k'])).toEqual(['x'])
    const [onMaster, onReplica] = [createClient({ url: group.master.url }), createClient({ url: group.replica.url })]
    await Promise.all([onMaster.connect(), onReplica.connect()])
    expect(await onMaster.get(library.knowsPrefix ? 'app:k' : 'k')).toBe('x')
    expect(await onReplica.info('commandstats')).not.toContain('cmdstat_mget')
    for (const client of [onMaster, onReplica]) client.destroy()
    await store.close()
    app.close()
  })
})

test.each(everySentinelLibrary)(
  '$name: a mint whose answer was lost is not sent again: a stamp removed meanwhile stays away',
  async (library) => {
    const group = await privateSentinel()
    const proxy = await tcpProxy(group.master.url)
    const through = new Map([[new URL(group.master.url).host, new URL(proxy.url).host]])
    const app = await library.open(group, { through })
    const store = redisStore(app.client, app.told)
    const admin = createClient({ url: group.master.url })
    await admin.connect()
    await store.read(['k'])

    proxy.blackHole('toClient')
    const lost = store.mint([{ key: 'k', text: 'first' }], 60_000)
    lost.catch(() => {})
    await expect.poll(() => admin.get('k')).toBe('first')
    await admin.unlink('k')
    proxy.cut()
    proxy.heal()
    await expect(lost).rejects.toThrow()
    await expect.poll(() => store.read(['k']).catch(() => 'no connection'), { timeout: 10_000 }).toEqual([null])
    expect(await store.mint([{ key: 'k', text: 'second' }], 60_000)).toEqual(['second'])

    await store.close()
    app.close()
    admin.destroy()
    await proxy.close()
    await group.stop()
  },
)

test.each(everySentinelLibrary)(
  '$name: a master that has restarted in its place is asked who it is before its answers count',
  async (library) => {
    const group = await privateSentinel()
    const app = await library.open(group)
    const store = redisStore(app.client, { ...app.told, clock: manualClock() })
    await store.read(['k'])
    const before = store.incarnations?.of('k')
    expect(before).toMatch(/^[\w-]{6}$/)

    await group.master.restart()
    const told = new Set<string | undefined>()
    await expect
      .poll(
        async () => {
          const answer = await store.read(['k']).catch(() => undefined)
          if (answer) told.add(store.incarnations?.of('k'))
          // Undefined: nothing is served before he has said it.
          return [...told].some((tag) => tag !== undefined)
        },
        { interval: 10 },
      )
      .toBe(true)
    expect([...told]).not.toContain(before)

    await store.close()
    app.close()
    await group.stop()
  },
)

test.each(everySentinelLibrary)(
  '$name: a master that cannot be reached at the start is found later',
  async (library) => {
    const group = await privateSentinel()
    const proxy = await tcpProxy(group.master.url)
    const through = new Map([[new URL(group.master.url).host, new URL(proxy.url).host]])
    const app = await library.open(group, { through })
    proxy.refuse()
    const store = redisStore(app.client, app.told)
    await expect(store.read(['k'])).rejects.toThrow()
    await expect(store.remove(['k'])).rejects.toThrow()
    proxy.heal()
    await expect.poll(() => store.read(['k']).catch(() => 'no connection'), { timeout: 15_000 }).toEqual([null])
    await store.close()
    app.close()
    await proxy.close()
    await group.stop()
  },
)

test.each(openedByFunction)('$name: a master that swallows everything is given up', async (library) => {
  const group = await privateSentinel()
  const proxy = await tcpProxy(group.master.url)
  const through = new Map([[new URL(group.master.url).host, new URL(proxy.url).host]])
  const app = await library.open(group, { through })
  const store = redisStore(app.client, { ...app.told, deadAfterMs: 400 })
  await store.read(['k'])
  proxy.blackHole()
  await expect(store.read(['k'])).rejects.toThrow(/^Socket timeout/)
  proxy.heal()
  await expect.poll(() => store.read(['k']).catch(() => 'no connection'), { timeout: 10_000 }).toEqual([null])
  await store.close()
  app.close()
  await proxy.close()
  await group.stop()
})

// ioredis gives up for good where it hears of the new master while it asks for it: in about every second failover.
test.each(everySentinelLibrary.filter(({ name }) => name.startsWith('ioredis')))(
  '$name: the store comes back after each of five failovers',
  async (library) => {
    for (let failover = 0; failover < 5; failover++) {
      const group = await privateSentinel()
      const app = await library.open(group)
      const store = redisStore(app.client)
      await store.read(['k'])
      await group.master.kill()
      await expect.poll(() => store.read(['k']).catch(() => 'no connection'), { interval: 10 }).toEqual([null])
      await store.close()
      app.close()
      await group.stop()
    }
  },
  120_000,
)

/**
 * Each process finds the new master in its own time: who has found it serves from it, while a write of who has not yet waits in
 * his queue, though it has resolved (E-cut). So a write counts here when nothing of its process waits any more.
 */
const raiseAndDeliver =
  ({ db }: Awaited<ReturnType<typeof openApp>>): ReadNumber =>
  async (id) => {
    const n = await raise(db)(id)
    const waiting = () => db.$aside.health().store
    await expect.poll(waiting, { interval: 10 }).toMatchObject({ pendingKeys: 0, pendingTables: 0 })
    return n
  }

test.each([...sentinelLibraries, ...openedByFunction])(
  'kill -9 of the master, $name: reads are answered, removals arrive, and nothing old is served',
  async (library) => {
    const group = await privateSentinel()
    const database = await freshDatabase(15)
    await outside(database.url, itemsSetUp)
    const namespace = `sentinel-${library.name.replaceAll(' ', '-')}`
    await ageRegister(group.master.url, namespace, database.name)
    const clients = await Promise.all([library.open(group), library.open(group)])
    const apps = await Promise.all(
      clients.map(({ client, told }) =>
        openApp({ url: database.url, store: redisStore(client, told), namespace, tables: [cached(items)] }),
      ),
    )
    const history = new History()
    const load = history.load({
      pace: 40,
      ids: Array.from({ length: 12 }, (_, at) => at + 1),
      readers: apps.map(({ db }) => readByKey(db)),
      writers: apps.map(raiseAndDeliver),
    })
    for (const { told } of apps)
      await expect.poll(() => told.of('hit').length, { timeout: 20_000 }).toBeGreaterThan(100)

    await group.master.kill()
    await expect.poll(() => group.masterUrl(), { timeout: 20_000 }).toBe(group.replica.url)
    await expect.poll(() => apps.map(({ db }) => db.$aside.health().state), { timeout: 20_000 }).toEqual(['ok', 'ok'])
    for (const { told } of apps) {
      const hits = told.of('hit').length
      await expect.poll(() => told.of('hit').length, { timeout: 20_000 }).toBeGreaterThan(hits + 100)
    }
    await load.end()

    expect(history.failures).toEqual([])
    expect(history.stale).toEqual([])
    expect(apps.flatMap(({ told }) => told.of('pendingDelivery')).length).toBeGreaterThan(0)
    expect(apps.flatMap(({ told }) => told.of('delivered')).length).toBeGreaterThan(0)
    for (const app of apps) await app.close()
    for (const client of clients) client.close()
    await group.stop()
    await database.drop()
  },
  120_000,
)
