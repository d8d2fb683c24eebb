import { AsideError, type Clock, type Store, systemClock } from 'drizzle-aside/store'
import { ClusterConnection, type ClusterNodes } from './cluster.ts'
import type { ConnectionOptions, SingleConnection, WithOurs } from './connection.ts'
import { type Fallback, ServerIncarnation } from './incarnation.ts'
import { connectIoredis, type IoredisClient, isIoredis } from './ioredis.ts'
import { type IoredisCluster, isIoredisCluster, nodesOfIoredis } from './ioredis-cluster.ts'
import { connectNodeRedis, isNodeRedis, type NodeRedisClient } from './node-redis.ts'
import { isNodeRedisCluster, type NodeRedisCluster, nodesOfNodeRedis } from './node-redis-cluster.ts'
import { connectNodeRedisSentinel, isNodeRedisSentinel, type NodeRedisSentinel } from './node-redis-sentinel.ts'
import { storeOver } from './redis-store.ts'

export type { WithOurs } from './connection.ts'
export type { IoredisClient } from './ioredis.ts'
export type { IoredisCluster } from './ioredis-cluster.ts'
export type { NodeRedisClient } from './node-redis.ts'
export type { NodeRedisCluster } from './node-redis-cluster.ts'
export type { NodeRedisSentinel } from './node-redis-sentinel.ts'

/** The clients that the store works over. */
export type RedisClient = NodeRedisClient | NodeRedisCluster | NodeRedisSentinel | IoredisClient | IoredisCluster

export interface RedisStoreOptions {
  /**
   * Whether the store opens a connection of its own with the client's settings. Default: true. With `false` it sends
   * its commands over the client itself, with that client's queueing and time limits; the client must be connected by
   * the app and must not repeat commands after a reconnect.
   *
   * A function for a sentinel client of node-redis: how to open another one like it, with the store's settings on top, which
   * `ours` puts there. That of version 5 needs it, for it cannot be duplicated.
   *
   * @example
   * redisStore(createSentinel(options), { duplicate: (ours) => createSentinel(ours(options)) })
   */
  duplicate?: boolean | ((ours: WithOurs) => NodeRedisSentinel)
  /**
   * After how many milliseconds without a sign of life the store's own connection is given up and opened anew.
   * Default: 5,000. It has nothing to do with the deadlines of a query, which are much shorter.
   */
  deadAfterMs?: number
  /**
   * What is done about failovers where the server does not say who it is: where its user may not run INFO, behind some
   * proxies, on some serverless services. All who share the store must be told alike. Default: `'reconnect-flush'`, with
   * the event `failoverGuardLowered` and a remark in `health()`; both are left out where it is said here.
   *
   * - `'reconnect-flush'`: everything cached is dropped whenever a process has lost its connection and is back;
   * - `'none'`: nothing. After a failover that lost removals, old rows may be served until their time to live.
   */
  failoverGuard?: 'reconnect-flush' | 'none'
  /** For tests that move the time by hand. Default: the clock of the process. */
  clock?: Clock
}

/**
 * A store on Redis (6.2 or newer, or Valkey) over the client that the app already has: node-redis 5 and 6, ioredis 5 and 6;
 * for a single node, a master behind Sentinel, or a Cluster. The store duplicates the client: same servers, user, database
 * and key prefix, but with settings that suit a cache (nothing queues while disconnected, nothing is sent twice). The
 * duplicate connects with the first command and, like the app's client, keeps the process alive until it is closed;
 * `close()` closes it alone.
 *
 * Over a Cluster each table is spread over 16 buckets (see `Store.buckets`), and the store keeps a connection to each master;
 * all who share it must use Cluster clients. Replicas are never read.
 *
 * Commands: MGET, SET, UNLINK, PEXPIRE, PTTL, PING, SCAN for `clear`; HMGET, TIME and EVAL (one script, every two
 * seconds) for the register by which services with different options know of each other; INFO (the sections `server` and
 * `replication`, once a second while in use) and, after a failover, EVAL for each stamp that is replaced; on a Cluster CLUSTER
 * SLOTS (once a second) and ASKING. A text is kept as UTF-8.
 *
 * A failover, or a restart from a snapshot, that brings removed keys back serves none of them: see docs/guarantees.md.
 *
 * @example
 * const redis = createClient({ url: process.env.REDIS_URL }) // or new Redis(process.env.REDIS_URL)
 * const db = withCache(drizzle(pool), { store: redisStore(redis), namespace: 'shop', tables: [cached(users)] })
 *
 * redisStore(createCluster({ rootNodes: [{ url: 'redis://node-1:6379' }] })) // or new Cluster([…]) of ioredis
 *
 * @throws AsideError `ASIDE_BAD_STORE` when the client is none of these, or unfit with `duplicate: false` (as those of Sentinel
 * and Cluster of node-redis, and of a Cluster of ioredis, always are);
 * `ASIDE_BAD_OPTION` when `deadAfterMs` is not a positive number, or `failoverGuard` none of its words, or
 * `'reconnect-flush'` on a Cluster, or `duplicate` a function for another client than one of Sentinel.
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): Store {
  const { duplicate = true, deadAfterMs = 5_000, failoverGuard: fallback, clock = systemClock } = options
  if (!(deadAfterMs > 0)) {
    throw new AsideError(
      'ASIDE_BAD_OPTION',
      `deadAfterMs must be a positive number of milliseconds, not ${deadAfterMs}.`,
    )
  }
  if (fallback !== undefined && !fallbacks.includes(fallback)) {
    throw new AsideError('ASIDE_BAD_OPTION', `failoverGuard must be one of ${fallbacks.join(', ')}, not ${fallback}.`)
  }
  if (typeof duplicate === 'function' && !isNodeRedisSentinel(client)) refuseFunction()
  const settings = { duplicate, deadAfterMs }
  const nodes = clusterNodes(client, settings)
  if (nodes) {
    if (fallback === 'reconnect-flush') refuseFlush()
    const cluster = new ClusterConnection(nodes, { clock, fallback })
    return storeOver(cluster, cluster.incarnations)
  }
  const connection = connect(client, settings)
  const incarnation = new ServerIncarnation({ connection, clock, fallback })
  return storeOver(incarnation.watch(connection), incarnation)
}

function refuseFunction(): never {
  throw new AsideError(
    'ASIDE_BAD_OPTION',
    'a function for `duplicate` is for sentinel clients of node-redis; all others are duplicated without.',
  )
}

function refuseFlush(): never {
  throw new AsideError(
    'ASIDE_BAD_OPTION',
    "failoverGuard: 'reconnect-flush' is for a single address; let the store's user run INFO on a Cluster, or say 'none'.",
  )
}

function clusterNodes(client: RedisClient, options: ConnectionOptions): ClusterNodes | undefined {
  if (isNodeRedisCluster(client)) return nodesOfNodeRedis(client, options)
  return isIoredisCluster(client) ? nodesOfIoredis(client, options) : undefined
}

const fallbacks: readonly Fallback[] = ['reconnect-flush', 'none']

function connect(client: RedisClient, options: ConnectionOptions): SingleConnection {
  if (isNodeRedis(client)) return connectNodeRedis(client, options)
  if (isNodeRedisSentinel(client)) return connectNodeRedisSentinel(client, options)
  if (isIoredis(client)) return connectIoredis(client, options)
  throw new AsideError(
    'ASIDE_BAD_STORE',
    'redisStore() takes a client of node-redis (createClient, createCluster, createSentinel) or of ioredis (new Redis, ' +
      'new Cluster). Pools of node-redis are not supported: one connection is enough.',
  )
}
