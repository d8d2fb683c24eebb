/** The Redis store over a cluster: the whole suite for stores, and what only several nodes can show. */
import { randomBytes } from 'node:crypto'
import { redisStore } from '@drizzle-aside/redis'
import { describeStore, type OpenedStore } from '@drizzle-aside/store-conformance'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { keySlot } from '../../packages/redis/src/key-slot.ts'
import { findCluster, privateCluster, type RunningCluster } from '../harness/redis-cluster.ts'
import { tcpProxy } from '../harness/tcp-proxy.ts'
import { type ClusterLibrary, clusterLibraries, everyClusterLibrary } from './redis-clients.ts'

const MINUTE = 60_000
let cluster: RunningCluster

beforeAll(async () => {
  cluster = await findCluster()
})
afterAll(() => cluster.stop())

const onEveryMaster = (...words: string[]) => Promise.all(cluster.urls.map((url) => cluster.ask(url, ...words)))
const keysOf = async (url: string, part: string) => (await cluster.ask(url, 'KEYS', `*${part}*`)) as string[]

/** Moves the time of kept keys by hand: each life is cut by `ms` at the server. */
async function age(part: string, ms: number): Promise<void> {
  for (const url of cluster.urls) {
    for (const key of await keysOf(url, part)) {
      const left = Number(await cluster.ask(url, 'PTTL', key))
      if (left > ms) await cluster.ask(url, 'PEXPIRE', key, String(left - ms))
      else if (left >= 0) await cluster.ask(url, 'UNLINK', key)
    }
  }
}

async function openOver(library: ClusterLibrary, keyPrefix?: string): Promise<OpenedStore> {
  const part = `t-${randomBytes(6).toString('hex')}`
  const options = keyPrefix === undefined ? {} : { keyPrefix }
  const apps = await Promise.all([library.open(cluster.urls, options), library.open(cluster.urls, options)])
  const [store, second] = apps.map(({ client }) => redisStore(client))
  if (store === undefined || second === undefined) throw new Error('two stores')
  return {
    store,
    second,
    prefix: `${part}:`,
    advance: (ms) => age(part, ms),
    async close() {
      await Promise.all([store.close(), second.close()])
      for (const app of apps) app.close()
      for (const url of cluster.urls) for (const key of await keysOf(url, part)) await cluster.ask(url, 'UNLINK', key)
    },
  }
}

const lacks = { bound: 'each node is bounded as a single one is' }
for (const library of everyClusterLibrary) {
  describeStore({ describe, it }, { name: `${library.name}, cluster`, open: () => openOver(library), lacks })
}
for (const library of clusterLibraries.filter(({ knowsPrefix }) => knowsPrefix)) {
  const open = () => openOver(library, 'app[*]:')
  describeStore({ describe, it }, { name: `${library.name}, cluster with a key prefix`, open, lacks })
}

describe('the slot of a key', () => {
  test('is the one that the servers name', async () => {
    const url = cluster.urls[0] as string
    const braces = fc.constantFrom('{', '}', '{}', '{a}', 'é', '😀', ':')
    const key = fc.array(fc.oneof(braces, fc.string({ maxLength: 5 })), { maxLength: 6 }).map((parts) => parts.join(''))
    const sample = [...fc.sample(key, 300), '', 'foo', '{user1000}.following', 'foo{}{bar}', 'foo{{bar}}zap', 'x{é}y']
    for (const each of sample)
      expect([each, keySlot(each)]).toEqual([each, Number(await cluster.ask(url, 'CLUSTER', 'KEYSLOT', each))])
  })
})

describe.each(everyClusterLibrary)('redisStore over a cluster of $name', (library) => {
  test('asks the store for sixteen buckets, keeps keys on every master, and clears them there', async () => {
    const { store, prefix, close } = await openOver(library)
    expect(store.buckets).toBe(16)
    for (let at = 0; at < 60; at++) await store.write(`${prefix}${at}`, 'x', MINUTE, [], MINUTE)
    const found = await Promise.all(cluster.urls.map((url) => keysOf(url, prefix)))
    expect(found.every((keys) => keys.length > 0)).toBe(true)
    expect(found.flat()).toHaveLength(60)
    await store.clear(prefix)
    expect((await Promise.all(cluster.urls.map((url) => keysOf(url, prefix)))).flat()).toEqual([])
    await close()
  })

  test('a read of one group of keys is one MGET to one node, one of several at most one to each', async () => {
    const { store, prefix, close } = await openOver(library)
    const mgets = async () => {
      const stats = await onEveryMaster('INFO', 'commandstats')
      return stats.map((text) => Number(/cmdstat_mget:calls=(\d+)/.exec(String(text))?.[1] ?? 0))
    }
    const asked = async (keys: string[]): Promise<number[]> => {
      const before = await mgets()
      await store.read(keys)
      const after = await mgets()
      return after.map((calls, at) => calls - (before[at] as number)).filter((calls) => calls > 0)
    }
    await store.read([prefix])
    expect(await asked(['E', 'V', 'A'].map((letter) => `${prefix}${letter}{tag#1}`))).toEqual([1])
    const everywhere = Array.from({ length: 40 }, (_, at) => `${prefix}{${at}}`)
    const slots = new Set(everywhere.map(keySlot)).size
    expect((await asked(everywhere)).reduce((sum, calls) => sum + calls, 0)).toBe(slots)
    await close()
  })

  test('opens connections of its own with the first command, to the masters alone, and closes them', async () => {
    const own = await privateCluster()
    const named = async (url: string) =>
      String(await own.ask(url, 'CLIENT', 'LIST'))
        .split('\n')
        .filter((line) => / cmd=(mget|set|cluster|hello|asking|ping)/.test(line)).length
    const app = await library.open(own.urls)
    const counts = () => Promise.all(own.nodes.map(({ url }) => named(url)))
    const before = await counts()
    const store = redisStore(app.client)
    const unused = redisStore(app.client)
    await unused.close()
    expect(await counts()).toEqual(before)
    await store.read(Array.from({ length: 60 }, (_, at) => String(at)))
    await expect
      .poll(async () => (await counts()).slice(0, 3).map((count, at) => count - (before[at] as number)))
      .toEqual([1, 1, 1])
    await expect.poll(async () => (await counts()).slice(3)).toEqual(before.slice(3))
    await store.close()
    await expect.poll(counts).toEqual(before)
    expect(await app.ping()).toBe('PONG')
    app.close()
    await own.stop()
  })

  test('a mint whose answer was lost is not sent again: a stamp removed meanwhile stays away', async () => {
    const proxies = await Promise.all(cluster.urls.map((url) => tcpProxy(url)))
    const through = new Map(cluster.urls.map((url, at) => [new URL(url).host, new URL(proxies[at]?.url ?? '').host]))
    const app = await library.open(cluster.urls, { through })
    const store = redisStore(app.client)
    const key = `t-${randomBytes(6).toString('hex')}`
    await store.read([key])
    const owner = await cluster.ownerOf(key)
    const proxy = proxies[cluster.urls.indexOf(owner)]
    expect(proxy?.connections()).toBeGreaterThan(0)

    proxy?.blackHole('toClient')
    const lost = store.mint([{ key, text: 'first' }], MINUTE)
    lost.catch(() => {})
    await expect.poll(() => cluster.ask(owner, 'GET', key)).toBe('first')
    await cluster.ask(owner, 'UNLINK', key)
    proxy?.cut()
    proxy?.heal()
    await expect(lost).rejects.toThrow()
    await expect.poll(() => store.read([key]).catch(() => 'no connection')).toEqual([null])
    expect(await store.mint([{ key, text: 'second' }], MINUTE)).toEqual(['second'])
    await store.remove([key])
    await store.close()
    app.close()
    for (const each of proxies) await each.close()
  })

  test('when no node can be reached at the start, the first calls fail and the store recovers', async () => {
    const own = await privateCluster({ replicas: 0 })
    const app = await library.open(own.urls)
    const store = redisStore(app.client)
    for (const node of own.nodes) node.pause()
    await expect(store.read(['k'])).rejects.toThrow()
    for (const node of own.nodes) node.resume()
    await expect.poll(() => store.read(['k']).catch(() => 'no connection'), { timeout: 10_000 }).toEqual([null])
    await store.close()
    app.close()
    await own.stop()
  })

  test('is refused where its own client is to be used, which repeats commands', async () => {
    const app = await library.open(cluster.urls)
    expect(() => redisStore(app.client, { duplicate: false })).toThrow(/ASIDE_BAD_STORE|leave `duplicate` on/)
    app.close()
  })
})
