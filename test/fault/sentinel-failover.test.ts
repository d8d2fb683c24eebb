/** A master behind Sentinel dies under load: reads are answered, and the removals of writes reach its successor. */
import { redisStore } from '@drizzle-aside/redis'
import { describeStore, type OpenedStore } from '@drizzle-aside/store-conformance'
import { cached } from 'drizzle-aside'
import { createClient } from 'redis'
import { createSentinel as sentinelOfVersion5 } from 'redis-5'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { everySentinelLibrary, type SentinelLibrary, sentinelLibraries } from '../conformance/redis-clients.ts'
import { freshDatabase } from '../harness/databases.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import { type PrivateSentinel, privateSentinel } from '../harness/redis-sentinel.ts'
import { tcpProxy } from '../harness/tcp-proxy.ts'
import { History } from '../support/history.ts'
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
    const [store, second] = apps.map(({ client }) => redisStore(client))
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

  it('the client of node-redis 5, which cannot be duplicated, is refused with what to use', () => {
    const client = sentinelOfVersion5({ name: group.name, sentinelRootNodes: [{ host: group.host, port: group.port }] })
    expect(() => redisStore(client as never)).toThrow(
      expect.objectContaining({ code: 'ASIDE_BAD_STORE', message: expect.stringMatching(/node-redis 6, or ioredis/) }),
    )
  })

  it.each(everySentinelLibrary)('$name: keeps its prefix of keys, and asks no replica', async (library) => {
    const app = await library.open(group, library.knowsPrefix ? { keyPrefix: 'app:' } : {})
    const store = redisStore(app.client)
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
    const store = redisStore(app.client)
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

test.each(sentinelLibraries)(
  'kill -9 of the master, $name: reads are answered, removals arrive, and nothing old is served',
  async (library) => {
    const group = await privateSentinel()
    const database = await freshDatabase(15)
    await outside(database.url, itemsSetUp)
    const namespace = `sentinel-${library.name}`
    await ageRegister(group.master.url, namespace, database.name)
    const clients = await Promise.all([library.open(group), library.open(group)])
    const apps = await Promise.all(
      clients.map(({ client }) =>
        openApp({ url: database.url, store: redisStore(client), namespace, tables: [cached(items)] }),
      ),
    )
    const history = new History()
    const load = history.load({
      pace: 40,
      ids: Array.from({ length: 12 }, (_, at) => at + 1),
      readers: apps.map(({ db }) => readByKey(db)),
      writers: apps.map(({ db }) => raise(db)),
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
