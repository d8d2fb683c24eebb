import { randomBytes } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { redisStore } from '@drizzle-aside/redis'
import { type AsideEvent, cached, memoryStore, type WithAside, withCache } from 'drizzle-aside'
import { createClient, type RedisClientType } from 'redis'
import type { Home, ShopDb } from './homes.ts'
import type { QueryClass } from './reads.ts'
import { cartItems, categories, customers, follows, prices, products, regions, stock } from './schema.ts'
import { MapCache, RedisTableCache } from './table-level-cache.ts'
import { type Fact, Truth } from './truth.ts'

/** One way to run the shop, and what it came to so far. */
export interface Contender {
  readonly name: string
  readonly db: ShopDb
  readonly home: Home
  readonly truth: Truth
  readonly tally: Tally
}

export type OperationClass = QueryClass | 'writes'

export interface Tally {
  readonly byClass: Map<OperationClass, ClassTally>
  /** All that reached the database, also what no operation has asked for. */
  statements: number
  milliseconds: number
}

export interface ClassTally {
  operations: number
  /** Operations that no statement was sent for. */
  withoutSql: number
  statements: number
  /** From asked to answered, all together. */
  milliseconds: number
  /** Answers that were older than what had been committed and resolved before, or were never committed at all. */
  stale: number
}

export function tallyOf({ byClass }: Tally, operationClass: OperationClass): ClassTally {
  let tally = byClass.get(operationClass)
  if (!tally) {
    tally = { operations: 0, withoutSql: 0, statements: 0, milliseconds: 0, stale: 0 }
    byClass.set(operationClass, tally)
  }
  return tally
}

export const operationsOf = ({ byClass }: Tally): number => sumOf(byClass.values(), (each) => each.operations)
export const staleOf = ({ byClass }: Tally): number => sumOf(byClass.values(), (each) => each.stale)

export const sumOf = <T>(list: Iterable<T>, value: (each: T) => number): number =>
  [...list].reduce((sum, each) => sum + value(each), 0)

export interface Contenders {
  readonly all: readonly Contender[]
  readonly plain: Contender
  readonly drizzles: Contender
  readonly ours: Contender & { readonly db: WithAside<ShopDb> }
  /** What the extension had to say beside hits and misses. */
  readonly troubles: ReadonlyMap<string, number>
  close(): Promise<void>
}

export async function openContenders(
  [first, second, third]: readonly Home[],
  facts: ReadonlyMap<string, Fact>,
  redisUrl: string | undefined,
): Promise<Contenders> {
  if (!first || !second || !third) throw new Error('three contenders need three databases')
  const corner = redisUrl === undefined ? undefined : await openRedisCorner(redisUrl)
  const troubles = new Map<string, number>()
  const contender = <Db extends ShopDb>(name: string, home: Home, db: Db) => ({
    name,
    home,
    db,
    truth: new Truth(facts),
    tally: { byClass: new Map(), statements: 0, milliseconds: 0 },
  })

  const plain = contender('plain Drizzle', first, first.open())

  const tableCache = corner ? new RedisTableCache(corner.redis, `${corner.namespace}:tables`) : new MapCache()
  const drizzles = contender("Drizzle's own cache", second, second.open({ cache: tableCache }))

  // This is all that an app changes.
  const db = withCache(third.open(), {
    store: corner ? redisStore(corner.redis) : memoryStore(),
    namespace: corner?.namespace ?? 'shop',
    tables: [
      cached(products),
      cached(prices),
      cached(stock),
      cached(customers),
      cached(follows),
      cached(cartItems),
      cached(categories, { ttl: '1h' }),
      cached(regions, { ttl: '1h' }),
    ],
    on: (event) => noteTrouble(troubles, event),
  })
  const ours = contender('drizzle-aside', third, db)
  await db.$aside.ready()
  // Others might be on a Redis that is met for the first time: until they would be known, nothing is served.
  if (corner) await setTimeout(9_000)
  troubles.clear()

  return {
    all: [plain, drizzles, ours],
    plain,
    drizzles,
    ours,
    troubles,
    close: async () => {
      await db.$aside.close()
      await corner?.close()
    },
  }
}

const everyday: readonly AsideEvent['type'][] = ['hit', 'miss', 'fill', 'joined', 'bypass', 'invalidate', 'catalogRead']

function noteTrouble(troubles: Map<string, number>, event: AsideEvent): void {
  if (everyday.includes(event.type)) return
  const name = 'reason' in event ? `${event.type} (${event.reason})` : event.type
  troubles.set(name, (troubles.get(name) ?? 0) + 1)
}

/** A part of somebody's Redis that is ours alone, and is empty again afterwards. */
async function openRedisCorner(url: string) {
  const redis = createClient({ url }) as RedisClientType
  await redis.connect()
  const namespace = `shop-demo-${randomBytes(6).toString('hex')}`
  return {
    redis,
    namespace,
    close: async () => {
      for await (const keys of redis.scanIterator({ MATCH: `*${namespace}*`, COUNT: 1000 })) {
        if (keys.length > 0) await redis.unlink(keys)
      }
      await redis.close()
    },
  }
}
