/** A store for each of two wrapped dbs. */
import { redisStore } from '@drizzle-aside/redis'
import { memoryStore, type Store } from 'drizzle-aside'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { clusterLibraries } from '../conformance/redis-clients.ts'
import { type FreshDatabase, freshRedis } from '../harness/databases.ts'
import { ageClusterRegister, privateCluster } from '../harness/redis-cluster.ts'
import { ageRegister } from '../harness/redis-keys.ts'

export type StoreKind = 'memory' | 'memory, spread' | 'node-redis' | 'ioredis' | 'cluster'

export interface Stores {
  readonly both: readonly [Store, Store]
  readonly namespace: string
  close(): Promise<unknown>
}

/** Undefined: a PGlite, which has one database; then both are the same store object, as two wraps of one client need. */
export async function openStores(kind: StoreKind, databases: readonly FreshDatabase[] | undefined): Promise<Stores> {
  if (kind === 'memory' || kind === 'memory, spread') {
    // As over a Redis Cluster: each table in sixteen buckets, with a copy of its epoch in each.
    const store: Store = kind === 'memory' ? memoryStore() : { ...memoryStore(), buckets: 16 }
    return { both: [store, store], namespace: 'random', close: async () => {} }
  }
  if (kind === 'cluster') return openOnCluster(databases)
  const redis = await freshRedis()
  for (const name of databases?.map(({ name }) => name) ?? ['postgres'])
    await ageRegister(redis.url, redis.namespace, name)
  const clients = kind === 'ioredis' ? [new Redis(redis.url), new Redis(redis.url)] : await connected(redis.url)
  const [first, other] = clients.map((client) => redisStore(client)) as [Store, Store]
  const close = async () => {
    for (const client of clients) client instanceof Redis ? client.disconnect() : client.destroy()
    await redis.drop()
  }
  return { both: [first, databases ? other : first], namespace: redis.namespace, close }
}

/** Three masters of its own, and a client of each library. */
async function openOnCluster(databases: readonly FreshDatabase[] | undefined): Promise<Stores> {
  const cluster = await privateCluster({ replicas: 0 })
  const namespace = 'random'
  for (const name of databases?.map((each) => each.name) ?? ['postgres'])
    await ageClusterRegister(cluster, namespace, name)
  const clients = await Promise.all(clusterLibraries.map((library) => library.open(cluster.urls)))
  const [first, other] = clients.map(({ client }) => redisStore(client)) as [Store, Store]
  const close = async () => {
    for (const client of clients) client.close()
    await cluster.stop()
  }
  return { both: [first, databases ? other : first], namespace, close }
}

async function connected(url: string) {
  const clients = [createClient({ url }), createClient({ url })]
  for (const client of clients) await client.connect()
  return clients
}
