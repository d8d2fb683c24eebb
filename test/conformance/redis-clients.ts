/** The client libraries that the Redis store works over, opened as an app would. */

import type { IoredisClient, NodeRedisClient } from '@drizzle-aside/redis'
import { Redis } from 'ioredis'
import { createClient } from 'redis'

export interface AppClient {
  readonly client: NodeRedisClient | IoredisClient
  /** Resolves when the app's own connection answers. */
  ping(): Promise<unknown>
  close(): void
}

export interface RedisLibrary {
  readonly name: string
  open(url: string, options?: { keyPrefix?: string }): Promise<AppClient>
}

const nodeRedis: RedisLibrary = {
  name: 'node-redis',
  async open(url, options = {}) {
    const client = createClient({ url, ...options, socket: { reconnectStrategy: 20 } })
    client.on('error', () => {})
    await client.connect()
    return { client, ping: () => client.ping(), close: () => client.destroy() }
  },
}

const ioredis: RedisLibrary = {
  name: 'ioredis',
  async open(url, options = {}) {
    const client = new Redis(url, { ...options, lazyConnect: true, retryStrategy: () => 20 })
    client.on('error', () => {})
    await client.connect()
    return { client, ping: () => client.ping(), close: () => client.disconnect() }
  },
}

export const redisLibraries: readonly RedisLibrary[] = [nodeRedis, ioredis]
