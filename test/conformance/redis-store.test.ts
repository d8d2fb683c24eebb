import { type NodeRedisClient, redisStore } from '@drizzle-aside/redis'
import { describeStore, type OpenedStore, type StoreSubject } from '@drizzle-aside/store-conformance'
import { Redis } from 'ioredis'
import { createClient, createClientPool } from 'redis'
import { afterAll, beforeAll, describe, expect, inject, it, test } from 'vitest'
import { type FreshRedis, freshRedis, privateRedis } from '../harness/databases.ts'
import { tcpProxy } from '../harness/tcp-proxy.ts'
import { everyRedisLibrary, type RedisLibrary } from './redis-clients.ts'

let admin: ReturnType<typeof createClient>
const MINUTE = 60_000

beforeAll(async () => {
  admin = createClient({ url: inject('redis').url })
  admin.on('error', () => {})
  await admin.connect()
})
afterAll(() => admin.destroy())

/** Moves the time of kept keys by hand: each life is cut by `ms` at the server. */
async function age(part: string, ms: number): Promise<void> {
  const pattern = `*${part}*`
  for await (const keys of admin.scanIterator({ MATCH: pattern, COUNT: 1_000 })) {
    for (const key of keys) {
      const left = await admin.pTTL(key)
      if (left > ms) await admin.pExpire(key, left - ms)
      else if (left >= 0) await admin.unlink(key)
    }
  }
}

async function openOver(library: RedisLibrary, options?: { keyPrefix?: string }): Promise<OpenedStore> {
  const redis: FreshRedis = await freshRedis()
  const { store, second, close } = await openTwo(library, redis.url, options)
  return {
    store,
    second,
    prefix: `${redis.namespace}:`,
    advance: (ms) => age(redis.namespace, ms),
    async close() {
      await close()
      await redis.drop()
    },
  }
}

async function openTwo(library: RedisLibrary, url: string, options?: { keyPrefix?: string }) {
  const apps = await Promise.all([library.open(url, options), library.open(url, options)])
  const [store, second] = apps.map(({ client }) => redisStore(client))
  if (store === undefined || second === undefined) throw new Error('two stores')
  async function close(): Promise<void> {
    await Promise.all([store?.close(), second?.close()])
    for (const app of apps) app.close()
  }
  return { store, second, close }
}

/** A Redis with so much room beside what it needs itself; a tenth is for what its allocator gives away. */
async function openFull(library: RedisLibrary, maxBytes: number, policy: string): Promise<OpenedStore> {
  const server = await privateRedis()
  const two = await openTwo(library, server.url)
  await Promise.all([two.store.read(['k']), two.second.read(['k'])])
  const inServer = createClient({ url: server.url })
  await inServer.connect()
  const used = Number(/used_memory:(\d+)/.exec(await inServer.info('memory'))?.[1])
  await inServer.configSet({ 'maxmemory-policy': policy, maxmemory: String(used + Math.floor(0.9 * maxBytes)) })
  inServer.destroy()
  return { ...two, prefix: 'full:', close: () => two.close().then(() => server.stop()) }
}

const subjects = (library: RedisLibrary): StoreSubject[] => [
  {
    name: `${library.name}, evicting when full`,
    open: () => openOver(library),
    openBounded: (maxBytes) => openFull(library, maxBytes, 'allkeys-lru'),
  },
  {
    name: `${library.name}${library.knowsPrefix ? ' with a key prefix' : ''}, refusing when full`,
    open: () => openOver(library, library.knowsPrefix ? { keyPrefix: 'app[*]:' } : {}),
    openBounded: (maxBytes) => openFull(library, maxBytes, 'noeviction'),
  },
]
for (const library of everyRedisLibrary) {
  for (const subject of subjects(library)) describeStore({ describe, it }, subject)
}

describe.each(everyRedisLibrary)('redisStore over $name', (library) => {
  test('asks for the time of young registers only, and takes one that was made anew for young', async () => {
    const server = await privateRedis()
    const watcher = createClient({ url: server.url })
    await watcher.connect()
    const timesAsked = async () => Number(/cmdstat_time:calls=(\d+)/.exec(await watcher.info('commandstats'))?.[1] ?? 0)
    const two = await openTwo(library, server.url)
    const ageOf = async (name: string) => {
      const [sight] = (await two.store.removeAndLook?.(['k'], [name])) ?? []
      return sight && sight.nowMs - sight.bornMs
    }
    const [seconds] = (await watcher.sendCommand(['TIME'])) as unknown as [string, string]
    const now = Number(seconds) * 1000
    await two.store.read(['k'])
    const i = two.store.incarnations?.of('k') ?? ''
    await watcher.hSet('young', { v: '1', b: String(now - 3_000), i })
    await watcher.hSet('old', { v: '1', b: String(now - 600_000), i })
    const before = await timesAsked()
    expect(await ageOf('young')).toBeGreaterThanOrEqual(3_000)
    expect(await ageOf('young')).toBeLessThan(MINUTE)
    expect(await timesAsked()).toBe(before + 2)
    for (let looks = 0; looks < 3; looks++) expect(await ageOf('old')).toBeGreaterThanOrEqual(600_000)
    expect(await timesAsked()).toBe(before + 3)
    await watcher.hSet('old', { v: '2', b: String(now + 1_000), i })
    expect(await ageOf('old')).toBeLessThan(6_000)
    expect(await timesAsked()).toBe(before + 3)
    await watcher.del('old')
    expect(await ageOf('old')).toBeNull()
    await two.close()
    watcher.destroy()
    await server.stop()
  })

  test('closes its own connection only, and opens none before the first command', async () => {
    const server = await privateRedis()
    const watcher = createClient({ url: server.url })
    await watcher.connect()
    const connections = async () => (await watcher.clientList()).length
    const app = await library.open(server.url)
    expect(await connections()).toBe(2)
    const [store, unused] = [redisStore(app.client), redisStore(app.client)]
    await unused.close()
    expect(await connections()).toBe(2)
    await store.read(['k'])
    expect(await connections()).toBe(3)
    await store.close()
    await expect.poll(connections).toBe(2)
    expect(await app.ping()).toBe('PONG')
    app.close()
    watcher.destroy()
    await server.stop()
  })

  test('keeps the database and the password of the client', async () => {
    const server = await privateRedis()
    const inZero = createClient({ url: server.url })
    await inZero.connect()
    await inZero.configSet('requirepass', 'secret')
    const url = new URL(server.url)
    url.password = 'secret'
    url.pathname = '/7'
    const apps = await Promise.all([library.open(url.href), library.open(url.href)])
    const [store, second] = apps.map(({ client }) => redisStore(client))
    await store?.write('k', 'in seven', MINUTE, [], MINUTE)
    expect(await second?.read(['k'])).toEqual(['in seven'])
    expect(await inZero.get('k')).toBeNull()
    await Promise.all([store?.close(), second?.close()])
    for (const app of apps) app.close()
    inZero.destroy()
    await server.stop()
  })

  test('works with the app client itself, and leaves it open', async () => {
    const redis = await freshRedis()
    const app = library.name.startsWith('ioredis') ? calmIoredis(redis.url) : (await library.open(redis.url)).client
    const store = redisStore(app, { duplicate: false })
    const key = `${redis.namespace}:k`
    await store.write(key, 'A', MINUTE, [], MINUTE)
    expect(await store.read([key])).toEqual(['A'])
    await store.close()
    const again = redisStore(app, { duplicate: false })
    expect(await again.read([key])).toEqual(['A'])
    await redis.drop()
    if ('disconnect' in app) app.disconnect()
  })

  test('a mint whose answer was lost is not sent again: a stamp removed meanwhile stays away', async () => {
    const redis = await freshRedis()
    const proxy = await tcpProxy(redis.url)
    const app = await library.open(proxy.url)
    const store = redisStore(app.client)
    const key = `${redis.namespace}:s`
    await store.read([key])

    proxy.blackHole('toClient')
    const lost = store.mint([{ key, text: 'first' }], MINUTE)
    lost.catch(() => {})
    await expect.poll(() => admin.get(key)).toBe('first')
    await admin.unlink(key)
    proxy.cut()
    proxy.heal()
    await expect(lost).rejects.toThrow()
    await expect.poll(() => store.read([key]).catch(() => 'no connection')).toEqual([null])
    expect(await store.mint([{ key, text: 'second' }], MINUTE)).toEqual(['second'])

    await store.close()
    app.close()
    await proxy.close()
    await redis.drop()
  })

  test('without a connection every call fails at once and nothing is sent later', async () => {
    const redis = await freshRedis()
    const proxy = await tcpProxy(redis.url)
    const app = await library.open(proxy.url)
    const store = redisStore(app.client)
    const key = `${redis.namespace}:k`
    await store.read([key])
    proxy.refuse()
    await expect
      .poll(() =>
        store.read([key]).then(
          () => 'read',
          () => 'failed',
        ),
      )
      .toBe('failed')

    const calls = [
      store.read([key]),
      store.mint([{ key, text: 'x' }], MINUTE),
      store.write(key, 'x', MINUTE, [key], MINUTE),
      store.remove(Array.from({ length: 1_500 }, (_, index) => `${key}${index}`)),
      store.clear(key),
    ]
    // They settle without the network doing anything: before the connection is back.
    const outcomes = await Promise.allSettled(calls)
    expect(outcomes.map(({ status }) => status)).toEqual(Array(5).fill('rejected'))
    proxy.heal()
    await expect.poll(() => store.read([key]).catch(() => 'no connection')).toEqual([null])

    await store.close()
    app.close()
    await proxy.close()
  })

  test('when the server cannot be reached at the start, the first calls fail and the store recovers', async () => {
    const redis = await freshRedis()
    const proxy = await tcpProxy(redis.url)
    const app = await library.open(proxy.url)
    proxy.refuse()
    const store = redisStore(app.client)
    await expect(store.read(['k'])).rejects.toThrow()
    proxy.heal()
    await expect.poll(() => store.read([`${redis.namespace}:k`]).catch(() => 'no connection')).toEqual([null])
    await store.close()
    app.close()
    await proxy.close()
  })

  test('gives up a connection that swallows everything, and comes back on a new one', async () => {
    const redis = await freshRedis()
    const proxy = await tcpProxy(redis.url)
    const app = await library.open(proxy.url)
    const store = redisStore(app.client, { deadAfterMs: 200 })
    await store.read(['k'])
    // Held for good: what this connection sent is never answered, while new connections work.
    let held = false
    proxy.inspect((direction, chunk) => {
      if (held || direction === 'toClient' || !chunk.toString().includes('swallowed')) return 'pass'
      held = true
      return 'hold'
    })
    const swallowed = store.read(['swallowed'])
    swallowed.catch(() => {})
    await expect.poll(() => held).toBe(true)
    proxy.blackHole()
    await expect(swallowed).rejects.toThrow()
    proxy.cut()
    proxy.heal()
    await expect.poll(() => store.read(['k']).catch(() => 'no connection'), { timeout: 10_000 }).toEqual([null])
    await store.close()
    app.close()
    await proxy.close()
  })
})

function calmIoredis(url: string): Redis {
  const client = new Redis(url, { autoResendUnfulfilledCommands: false })
  client.on('error', () => {})
  return client
}

/** The client of a Redis 6.2 as far as the store can see: PEXPIRE takes no options. */
function withoutGt(client: NodeRedisClient): NodeRedisClient {
  return Object.assign(Object.create(client) as NodeRedisClient, {
    sendCommand: (words: string[], options?: object) =>
      words[0] === 'PEXPIRE' && words.length > 3
        ? Promise.reject(new Error(`ERR wrong number of arguments for 'pexpire' command`))
        : client.sendCommand(words, options),
  })
}

describe('redisStore', () => {
  test('raises lives without shortening them on Redis 6.2, which has no PEXPIRE … GT', async () => {
    const redis = await freshRedis()
    const [short, long, missing, entry] = ['short', 'long', 'missing', 'e'].map((name) => `${redis.namespace}:${name}`)
    if (!short || !long || !missing || !entry) throw new Error('four keys')
    const store = redisStore(withoutGt(admin), { duplicate: false })
    await store.mint([{ key: short, text: 's' }], MINUTE)
    await store.mint([{ key: long, text: 'l' }], 60 * MINUTE)
    for (const text of ['first, which learns', 'second']) {
      await store.write(entry, text, MINUTE, [short, long, missing], 10 * MINUTE)
      expect(await store.read([entry, missing])).toEqual([text, null])
      expect(await admin.pTTL(short)).toBeGreaterThan(9 * MINUTE)
      expect(await admin.pTTL(long)).toBeGreaterThan(59 * MINUTE)
    }
    await redis.drop()
  })

  test('refuses what is no client, and pools, and says what is', () => {
    for (const other of [createClientPool(), {}, null, 'redis://localhost']) {
      expect(() => redisStore(other as never)).toThrow(
        expect.objectContaining({
          code: 'ASIDE_BAD_STORE',
          message: expect.stringMatching(/createClient.*createCluster.*createSentinel.*ioredis.*Pools/),
        }),
      )
    }
  })

  test('refuses to use a client directly that repeats commands or answers from its own cache', () => {
    const ioredis = new Redis({ lazyConnect: true })
    expect(() => redisStore(ioredis, { duplicate: false })).toThrow(/ASIDE_BAD_STORE.*autoResendUnfulfilledCommands/)
    const caching = createClient({ RESP: 3, clientSideCache: { ttl: 0, maxEntries: 10 } })
    expect(() => redisStore(caching, { duplicate: false })).toThrow(/ASIDE_BAD_STORE.*client-side cache/)
  })

  test('never answers from a client-side cache of the app client', async () => {
    const redis = await freshRedis()
    const app = createClient({ url: redis.url, RESP: 3, clientSideCache: { ttl: 0, maxEntries: 10 } })
    app.on('error', () => {})
    await app.connect()
    const store = redisStore(app)
    const key = `${redis.namespace}:k`
    for (let round = 0; round < 50; round++) {
      await admin.set(key, `${round}`)
      expect(await store.read([key])).toEqual([`${round}`])
    }
    await store.close()
    app.destroy()
    await redis.drop()
  })

  test.each([0, -5, Number.NaN])('refuses deadAfterMs: %s', (deadAfterMs) => {
    expect(() => redisStore(admin, { deadAfterMs })).toThrow(/ASIDE_BAD_OPTION.*deadAfterMs/)
  })
})
