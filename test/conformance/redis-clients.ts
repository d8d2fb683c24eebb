/** The client libraries that the Redis store works over, opened as an app would. */

import type {
  IoredisClient,
  IoredisCluster,
  NodeRedisClient,
  NodeRedisCluster,
  RedisClient,
  RedisStoreOptions,
  WithOurs,
} from '@drizzle-aside/redis'
import * as ioredis5 from 'ioredis'
import * as ioredis6 from 'ioredis-6'
import * as nodeRedis6 from 'redis'
import * as nodeRedis5 from 'redis-5'

export interface AppClient {
  readonly client: NodeRedisClient | IoredisClient
  /** Resolves when the app's own connection answers. */
  ping(): Promise<unknown>
  close(): void
}

export interface RedisLibrary {
  readonly name: string
  /** Has an option for what stands before keys. */
  readonly knowsPrefix: boolean
  open(url: string, options?: { keyPrefix?: string }): Promise<AppClient>
}

export interface AppCluster {
  readonly client: NodeRedisCluster | IoredisCluster
  ping(): Promise<unknown>
  close(): void
}

/** Of clients that find their nodes by themselves. */
export interface FindingOptions {
  readonly keyPrefix?: string
  /** By the host and port that a node announces, those that it is to be reached at. */
  readonly through?: ReadonlyMap<string, string>
}

export interface ClusterLibrary {
  readonly name: string
  readonly knowsPrefix: boolean
  open(urls: readonly string[], options?: FindingOptions): Promise<AppCluster>
}

/** Where a sentinel is, and the name of the group that it watches. */
export interface SentinelAddress {
  readonly name: string
  readonly host: string
  readonly port: number
}

export interface SentinelLibrary {
  readonly name: string
  readonly knowsPrefix: boolean
  open(at: SentinelAddress, options?: FindingOptions): Promise<AppSentinel>
}

export interface AppSentinel {
  readonly client: RedisClient
  /** What `redisStore` has to be told of it. */
  readonly told: Pick<RedisStoreOptions, 'duplicate'>
  close(): unknown
}

interface Library {
  readonly single: RedisLibrary
  readonly cluster: ClusterLibrary
  readonly sentinel: SentinelLibrary
}

const addressOf = (host: string) => ({
  host: new URL(`redis://${host}`).hostname,
  port: Number(host.split(':').at(-1)),
})

/** `duplicates`: its sentinel client is left to duplicate itself. */
function nodeRedis(name: string, library: typeof nodeRedis6, { knowsPrefix = true, duplicates = true } = {}): Library {
  return {
    single: {
      name,
      knowsPrefix,
      async open(url, options = {}) {
        const client = library.createClient({ url, ...options, socket: { reconnectStrategy: 20 } })
        client.on('error', () => {})
        await client.connect()
        return { client, ping: () => client.ping(), close: () => client.destroy() }
      },
    },
    cluster: {
      name,
      knowsPrefix,
      async open(urls, { through, ...options } = {}) {
        const nodeAddressMap = through && ((address: string) => addressOf(through.get(address) ?? address))
        const client = library.createCluster({
          rootNodes: urls.map((url) => ({ url })),
          ...options,
          ...(nodeAddressMap && { nodeAddressMap }),
          defaults: { socket: { reconnectStrategy: 20 } },
        })
        client.on('error', () => {})
        await client.connect()
        return { client, ping: () => client.ping(), close: () => client.destroy() }
      },
    },
    sentinel: {
      name,
      knowsPrefix,
      async open({ name: group, host, port }, { through, ...options } = {}) {
        const given = {
          name: group,
          sentinelRootNodes: [{ host, port }],
          ...options,
          ...(through && { nodeAddressMap: (address: string) => addressOf(through.get(address) ?? address) }),
          replicaPoolSize: 1,
        }
        const client = library.createSentinel(given)
        client.on('error', () => {})
        await client.connect()
        const told = duplicates ? {} : { duplicate: (ours: WithOurs) => library.createSentinel(ours(given)) }
        return { client, told, close: () => client.destroy() }
      },
    },
  }
}

function ioredis(name: string, library: typeof ioredis5): Library {
  const knowsPrefix = true
  return {
    single: {
      name,
      knowsPrefix,
      async open(url, options = {}) {
        const client = new library.Redis(url, { ...options, lazyConnect: true, retryStrategy: () => 20 })
        client.on('error', () => {})
        await client.connect()
        return { client, ping: () => client.ping(), close: () => client.disconnect() }
      },
    },
    cluster: {
      name,
      knowsPrefix,
      async open(urls, { through, ...options } = {}) {
        const natMap = through && ((address: string) => addressOf(through.get(address) ?? address))
        const client = new library.Cluster([...urls], { lazyConnect: true, ...options, ...(natMap && { natMap }) })
        client.on('error', () => {})
        await client.connect()
        return { client, ping: () => client.ping(), close: () => client.disconnect() }
      },
    },
    sentinel: {
      name,
      knowsPrefix,
      async open({ name: group, host, port }, { through, ...options } = {}) {
        const client = new library.Redis({
          sentinels: [{ host, port }],
          name: group,
          ...options,
          ...(through && { natMap: (address: string) => addressOf(through.get(address) ?? address) }),
          lazyConnect: true,
        })
        client.on('error', () => {})
        await client.connect()
        return { client, told: {}, close: () => client.disconnect() }
      },
    },
  }
}

/** The lines that the tests use in general, and the others that are supported: the same verbs, seen from outside. */
const usual = [nodeRedis('node-redis', nodeRedis6), ioredis('ioredis', ioredis5)]
const others = [
  nodeRedis('node-redis 5', nodeRedis5 as unknown as typeof nodeRedis6, { knowsPrefix: false, duplicates: false }),
  ioredis('ioredis 6', ioredis6 as unknown as typeof ioredis5),
]

export const redisLibraries = usual.map(({ single }) => single)
export const clusterLibraries = usual.map(({ cluster }) => cluster)
export const sentinelLibraries = usual.map(({ sentinel }) => sentinel)
export const everyRedisLibrary = [...usual, ...others].map(({ single }) => single)
export const everyClusterLibrary = [...usual, ...others].map(({ cluster }) => cluster)
const byFunction = nodeRedis('node-redis by a function', nodeRedis6, { duplicates: false })
/** Whose own connections are opened by a function of the app. */
export const openedByFunction = [others[0] as Library, byFunction].map(({ sentinel }) => sentinel)
export const everySentinelLibrary = [...usual, ...others, byFunction].map(({ sentinel }) => sentinel)
