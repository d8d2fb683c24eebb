/**
 * A Redis Cluster without Docker: redis-server processes that are told of each other.
 *
 * Promises: `privateCluster()` resolves when every slot is served and every replica follows its master; its nodes may be
 * killed, paused and restarted. `findCluster()` is the cluster of TEST_REDIS_CLUSTER_URLS (addresses with commas between)
 * where that is set, and else a private one; what is not there fails, nothing is skipped.
 */
import { createServer } from 'node:net'
import { createClient } from 'redis'
import { readInfo } from '../../packages/redis/src/incarnation.ts'
import { keySlot } from '../../packages/redis/src/key-slot.ts'
import { freePort } from './processes.ts'
import { type PrivateServer, privateRedis } from './servers.ts'

export interface RunningCluster {
  /** Of its masters, when it was found. */
  readonly urls: readonly string[]
  /** Sends a command to the node at a URL. */
  ask(url: string, ...words: string[]): Promise<unknown>
  /** The URLs of the masters now, as any node that answers says. */
  masters(): Promise<string[]>
  /** The same, as one node says. */
  mastersBy(url: string): Promise<string[]>
  /** Who has a slot, or the slot of a key, now. */
  ownerOf(key: string | number): Promise<string>
  stop(): Promise<void>
}

export interface PrivateCluster extends RunningCluster {
  readonly nodes: readonly PrivateServer[]
  /** Moves a slot with all its keys, step by step: keys are asked for at both nodes meanwhile. */
  move(slot: number, to: string, between?: (moved: number) => Promise<void>): Promise<void>
  /** Tells both nodes that a slot is on its way, and moves nothing yet. */
  beginMove(slot: number, to: string): Promise<SlotMove>
}

export interface SlotMove {
  /** Moves some keys of the slot. */
  keys(...keys: string[]): Promise<void>
  /** Moves the rest, and tells every master whose the slot is. */
  end(): Promise<void>
}

const SLOTS = 16_384

export async function findCluster(): Promise<RunningCluster> {
  const given = process.env.TEST_REDIS_CLUSTER_URLS
  if (!given) return privateCluster()
  const urls = given.split(',').map((url) => url.trim())
  const cluster = talkTo(urls, async () => {})
  try {
    return { ...cluster, urls: await cluster.masters() }
  } catch (cause) {
    throw new Error(`TEST_REDIS_CLUSTER_URLS is set, but no node of ${given} answers. Unset it or start them.`, {
      cause,
    })
  }
}

/** As `ageRegister` for a single Redis. */
export async function ageClusterRegister(cluster: RunningCluster, namespace: string, database: string): Promise<void> {
  const key = `da1:${namespace}:${database.length}:${database}:F{f}`
  const owner = await cluster.ownerOf(key)
  const within = readInfo(String(await cluster.ask(owner, 'INFO')))?.tag as string
  await cluster.ask(owner, 'HSET', key, 'v', 'first', 'b', '1000', 'i', within)
}

/** Three masters, and as many replicas of each. */
export async function privateCluster({ replicas = 1 } = {}): Promise<PrivateCluster> {
  const starting = Array.from({ length: 3 * (1 + replicas) }, () => privateRedis(settings, freeClusterPort))
  const outcomes = await Promise.allSettled(starting)
  const nodes = outcomes.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()))
  }
  const cluster = talkTo(
    nodes.map(({ url }) => url),
    stop,
  )
  try {
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    await join(nodes, cluster.ask)
  } catch (error) {
    await cluster.stop()
    throw error
  }
  const { ask } = cluster
  const beginMove = (slot: number, to: string) => begin({ ask, cluster, slot, to })
  return {
    ...cluster,
    urls: nodes.slice(0, 3).map(({ url }) => url),
    nodes,
    beginMove,
    async move(slot, to, between) {
      const from = await cluster.ownerOf(slot)
      const moving = await beginMove(slot, to)
      for (let moved = 0; ; moved++) {
        await between?.(moved)
        const [key] = (await ask(from, 'CLUSTER', 'GETKEYSINSLOT', String(slot), '1')) as string[]
        if (key === undefined) break
        await moving.keys(key)
      }
      await moving.end()
    },
  }
}

const settings = [
  ...['--cluster-enabled', 'yes', '--cluster-node-timeout', '800', '--cluster-replica-validity-factor', '0'],
  // On every node, or the first synchronisation waits for five seconds.
  ...['--repl-diskless-sync-delay', '0'],
]

/** The nodes talk to each other on a port that is 10,000 higher. */
async function freeClusterPort(): Promise<number> {
  for (;;) {
    const port = await freePort()
    if (port < 55_000 && (await isFree(port + 10_000))) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}

type Ask = RunningCluster['ask']

async function join(nodes: readonly PrivateServer[], ask: Ask): Promise<void> {
  const urls = nodes.map(({ url }) => url)
  const masters = urls.slice(0, 3)
  await Promise.all(urls.map((url, at) => ask(url, 'CLUSTER', 'SET-CONFIG-EPOCH', String(at + 1))))
  const share = Math.ceil(SLOTS / masters.length)
  const sharesOf = masters.map((_, at) => {
    const end = Math.min(SLOTS, (at + 1) * share)
    return Array.from({ length: end - at * share }, (__, i) => String(at * share + i))
  })
  await Promise.all(masters.map((url, at) => ask(url, 'CLUSTER', 'ADDSLOTS', ...(sharesOf[at] as string[]))))
  for (const { port } of nodes) await ask(urls[0] as string, 'CLUSTER', 'MEET', '127.0.0.1', String(port))
  await until(urls, async (url) => (await infoOf(ask, url)).cluster_known_nodes === String(nodes.length))
  const ids = await Promise.all(masters.map((url) => ask(url, 'CLUSTER', 'MYID')))
  const replicas = urls.slice(3)
  // A replica must have heard of its master.
  await until(replicas, async (url, at) => {
    const answer = await ask(url, 'CLUSTER', 'REPLICATE', String(ids[at % 3])).catch(String)
    return answer === 'OK'
  })
  await until(urls, async (url) => (await infoOf(ask, url)).cluster_state === 'ok')
  await until(replicas, async (url) => /master_link_status:up/.test(String(await ask(url, 'INFO', 'replication'))))
}

async function infoOf(ask: Ask, url: string): Promise<Record<string, string>> {
  const lines = String(await ask(url, 'CLUSTER', 'INFO')).split('\r\n')
  return Object.fromEntries(lines.map((line) => line.split(':')))
}

async function until(urls: readonly string[], holds: (url: string, at: number) => Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000
  const one = async (url: string, at: number): Promise<void> => {
    while (!(await holds(url, at))) {
      if (Date.now() > end) throw new Error(`the Redis Cluster did not come up: ${url}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  await Promise.all(urls.map(one))
}

type Range = readonly [from: number, to: number, master: readonly [host: string, port: number]]

function talkTo(urls: readonly string[], stop: () => Promise<void>): RunningCluster {
  const clients = new Map<string, ReturnType<typeof createClient>>()
  const ask: Ask = async (url, ...words) => {
    let client = clients.get(url)
    if (!client?.isReady) {
      client?.destroy()
      client = createClient({ url, socket: { reconnectStrategy: false }, disableOfflineQueue: true })
      client.on('error', () => {})
      clients.set(url, client)
      await client.connect()
    }
    return client.sendCommand(words)
  }
  const slotsBy = async (url: string): Promise<readonly Range[]> => {
    const found = (await ask(url, 'CLUSTER', 'SLOTS')) as Range[]
    if (found.length === 0) throw new Error('no slots')
    return found
  }
  const slots = () => Promise.any(urls.map(slotsBy))
  const urlOf = ([, , [host, port]]: Range) => `redis://${host}:${port}`
  return {
    urls,
    ask,
    masters: async () => [...new Set((await slots()).map(urlOf))],
    mastersBy: async (url) => [...new Set((await slotsBy(url)).map(urlOf))],
    async ownerOf(key) {
      const slot = typeof key === 'number' ? key : keySlot(key)
      return urlOf((await slots()).find(([from, to]) => from <= slot && slot <= to) as Range)
    },
    async stop() {
      for (const client of clients.values()) if (client.isOpen) client.destroy()
      await stop()
    },
  }
}

async function begin(given: { ask: Ask; cluster: RunningCluster; slot: number; to: string }): Promise<SlotMove> {
  const { ask, cluster, slot, to } = given
  const from = await cluster.ownerOf(slot)
  const [fromId, toId] = await Promise.all([from, to].map((url) => ask(url, 'CLUSTER', 'MYID')))
  await ask(to, 'CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', String(fromId))
  await ask(from, 'CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', String(toId))
  const { hostname, port } = new URL(to)
  const keys = async (...names: string[]): Promise<void> => {
    if (names.length > 0) await ask(from, 'MIGRATE', hostname, port, '', '0', '5000', 'KEYS', ...names)
  }
  return {
    keys,
    async end() {
      await keys(...((await ask(from, 'CLUSTER', 'GETKEYSINSLOT', String(slot), '1000')) as string[]))
      // The new owner first: told the other way round, nobody would have the slot for a moment.
      for (const url of [to, from]) await ask(url, 'CLUSTER', 'SETSLOT', String(slot), 'NODE', String(toId))
      for (const url of await cluster.masters())
        await ask(url, 'CLUSTER', 'SETSLOT', String(slot), 'NODE', String(toId))
    },
  }
}
