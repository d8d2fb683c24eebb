/** What races need: the stores that two app instances share, and a gate for one statement or one store call. */
import { redisStore } from '@drizzle-aside/redis'
import { memoryStore, type Store } from 'drizzle-aside'
import { createClient } from 'redis'
import type { ManualClock } from '../harness/clock.ts'
import { freshRedis } from '../harness/databases.ts'
import { type Gate, gate } from '../harness/gates.ts'
import { ageRegister } from '../harness/redis-keys.ts'

export interface OpenedStores {
  /** Two views of one store, as two processes would have them, or one and the same where there is only one process. */
  readonly stores: readonly [Store, Store]
  readonly namespace: string
  close(): Promise<void>
}

export interface StoreKind {
  readonly name: string
  /** The method that an invalidation calls: a shared store is asked about its register in the trip that removes. */
  readonly removing: 'remove' | 'removeAndLook'
  open(clock: ManualClock, database: string): Promise<OpenedStores>
}

const memory: StoreKind = {
  name: 'the memory store',
  removing: 'remove',
  async open(clock) {
    const store = memoryStore({ clock })
    return { stores: [store, store], namespace: 'race', close: async () => store.close() }
  },
}

const redis: StoreKind = {
  name: 'Redis, each app with its own connection',
  removing: 'removeAndLook',
  async open(_clock, database) {
    const { url, namespace, drop } = await freshRedis()
    await ageRegister(url, namespace, database)
    const clients = [createClient({ url }), createClient({ url })] as const
    await Promise.all(clients.map((client) => client.connect()))
    const stores: [Store, Store] = [redisStore(clients[0]), redisStore(clients[1])]
    return {
      stores,
      namespace,
      async close() {
        await Promise.all(stores.map((store) => store.close()))
        for (const client of clients) client.destroy()
        await drop()
      },
    }
  },
}

export const storeKinds: readonly StoreKind[] = [memory, redis]

/** Holds the first call that matches at its point; all others pass. */
export function holdOnce<T>(matches: (point: 'before' | 'after', call: T) => boolean): {
  hook: (point: 'before' | 'after', call: T) => Promise<void> | undefined
  gate: Gate
} {
  const held = gate()
  let taken = false
  return {
    gate: held,
    hook: (point, call) => {
      if (taken || !matches(point, call)) return undefined
      taken = true
      return held.pass()
    },
  }
}
