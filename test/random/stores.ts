/** A store for each of two wrapped dbs. */
import { redisStore } from '@drizzle-aside/redis'
import { memoryStore, type Store } from 'drizzle-aside'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { freshRedis } from '../harness/databases.ts'

export type StoreKind = 'memory' | 'node-redis' | 'ioredis'

export interface Stores {
  readonly both: readonly [Store, Store]
  readonly namespace: string
  close(): Promise<unknown>
}

/** `one`: the same store object for both. */
export async function openStores(kind: StoreKind, one: boolean): Promise<Stores> {
  if (kind === 'memory') {
    const store = memoryStore()
    return { both: [store, store], namespace: 'random', close: async () => {} }
  }
  const redis = await freshRedis()
  const clients = kind === 'ioredis' ? [new Redis(redis.url), new Redis(redis.url)] : await connected(redis.url)
  const [first, other] = clients.map((client) => redisStore(client)) as [Store, Store]
  const close = async () => {
    for (const client of clients) client instanceof Redis ? client.disconnect() : client.destroy()
    await redis.drop()
  }
  return { both: [first, one ? first : other], namespace: redis.namespace, close }
}

async function connected(url: string) {
  const clients = [createClient({ url }), createClient({ url })]
  for (const client of clients) await client.connect()
  return clients
}
