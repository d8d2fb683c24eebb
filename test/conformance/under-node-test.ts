/** Run by `node --test` in store-suite.test.ts: the suite of both our stores, or of one faulty store. */
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { redisStore } from '@drizzle-aside/redis'
import { describeStore, type OpenedStore } from '@drizzle-aside/store-conformance'
import { createClient } from 'redis'
import { faults, faulty } from './faulty-stores.ts'

const { REDIS_URL, STORE_FAULT } = process.env

async function openRedis(url: string): Promise<OpenedStore> {
  const clients = [createClient({ url }), createClient({ url })] as const
  for (const client of clients) await client.connect()
  const [store, second] = [redisStore(clients[0]), redisStore(clients[1])]
  const prefix = `t-node-test-${randomBytes(6).toString('hex')}:`
  async function close(): Promise<void> {
    await second.clear(prefix)
    await Promise.all([store.close(), second.close()])
    for (const client of clients) client.destroy()
  }
  return { store, second, prefix, close }
}

const fault = faults.find(({ name }) => name === STORE_FAULT)
describeStore({ describe, it }, faulty(fault ?? { name: 'memory store', plant: () => () => ({}) }))
if (REDIS_URL !== undefined) {
  const elsewhere = 'it is asked in redis-store.test.ts'
  const open = () => openRedis(REDIS_URL)
  describeStore({ describe, it }, { name: 'node-redis', open, lacks: { clock: elsewhere, bound: elsewhere } })
}
