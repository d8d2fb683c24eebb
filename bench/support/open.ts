import { randomBytes } from 'node:crypto'
import { redisStore } from '@drizzle-aside/redis'
import { type AsideOptions, cached, type Store, type WithAside, withCache } from 'drizzle-aside'
import type { DrizzleConfig } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { createClient } from 'redis'
import { createDatabase } from '../../test/harness/create-database.ts'
import { ageRegister } from '../../test/harness/redis-keys.ts'
import { items, itemsSql } from './items.ts'

/** The servers that the starter found. */
export const servers = {
  postgres: process.env.BENCH_POSTGRES ?? '',
  redis: process.env.BENCH_REDIS ?? '',
}

/** Names keys and databases of this run, so that a given server may be shared. */
export const run = `bench-${randomBytes(4).toString('hex')}`

/** Longer than any question takes: what expires on the way would count as misses, of one contender more than of another. */
export const TTL_MS = 3_600_000

/** The same for every contender. */
const POOL_SIZE = 16

const closing: (() => Promise<unknown>)[] = []

/** Gives back everything that was opened, the last first. */
export async function closeAll(): Promise<void> {
  for (const close of closing.reverse()) await close()
}

type Schema = Record<string, unknown>

export interface Opened<S extends Schema = Record<string, never>> {
  readonly db: NodePgDatabase<S>
  readonly pool: Pool
  /** Name of the database. */
  readonly name: string
  readonly url: string
  /** Statements that this pool's clients were given. */
  statements(): number
}

/** A database of its own, with 10,000 items unless told otherwise: contenders must not see each other's writes. */
export async function openDatabase<S extends Schema = Record<string, never>>(
  config: DrizzleConfig<S> = {},
  setUp: string = itemsSql,
): Promise<Opened<S>> {
  const database = await createDatabase(servers.postgres, 'bench')
  closing.push(() => database.drop())
  const opened = await openPool(database, config)
  await opened.pool.query(setUp)
  return opened
}

/** One more pool on the database that another side uses: where sides cannot spoil each other's answers. */
export function openBeside<S extends Schema>(other: Opened<S>, config: DrizzleConfig<S> = {}): Promise<Opened<S>> {
  return openPool(other, config)
}

async function openPool<S extends Schema>(
  { name, url }: Pick<Opened, 'name' | 'url'>,
  config: DrizzleConfig<S>,
): Promise<Opened<S>> {
  const pool = new Pool({ connectionString: url, max: POOL_SIZE, idleTimeoutMillis: 0 })
  // Dropping the database may meet connections that are still saying goodbye.
  pool.on('error', () => {})
  let statements = 0
  pool.on('connect', (client) => {
    const query = client.query
    // Counts and forwards; the same small cost for all.
    client.query = function (this: unknown, ...args: unknown[]) {
      statements++
      return (query as (...args: unknown[]) => unknown).apply(this, args)
    } as typeof query
  })
  closing.push(() => pool.end())
  await Promise.all(Array.from({ length: POOL_SIZE }, () => pool.query('select pg_sleep(0.05)')))
  return { db: drizzle(pool, config), pool, name, url, statements: () => statements }
}

export type Redis = ReturnType<typeof createClient>

/** No timer per command: node-redis' default costs 3 to 5 times the throughput. */
export async function openRedis(): Promise<Redis> {
  const redis = createClient({ url: servers.redis, commandOptions: { timeout: 0 } })
  redis.on('error', () => {})
  await redis.connect()
  closing.push(async () => redis.destroy())
  return redis as unknown as Redis
}

export type AsideDb<S extends Schema = Record<string, never>> = WithAside<NodePgDatabase<S>>

/**
 * Our wrap of a db, over Redis unless another store is given; of the items unless other tables are. As in a deployment
 * that has run for a while: while its register is young nothing is served, and every write drops whole tables.
 */
export async function openAside<S extends Schema>(
  { db, name: database }: Opened<S>,
  name: string,
  { store, ...options }: Partial<AsideOptions> = {},
): Promise<AsideDb<S>> {
  const used: Store = store ?? redisStore(await openRedis())
  const namespace = `${run}-${name}`
  if (!used.processLocal) await ageRegister(servers.redis, namespace, database)
  const wrapped = withCache(db, {
    store: used,
    namespace,
    tables: [cached(items, { ttl: TTL_MS })],
    ...options,
  })
  await wrapped.$aside.ready()
  closing.push(async () => {
    await wrapped.$aside.close()
    await used.close()
  })
  return wrapped
}

/** Removes the keys of this run from a server that may be somebody else's. */
export const removeKeys = (redis: Redis): Promise<void> => removeSome(redis, () => true)

/** Empties the caches of this run. Registers stay: without them writes would drop whole tables for a while. */
export const emptyCaches = (redis: Redis): Promise<void> => removeSome(redis, (key) => !key.endsWith(':F{f}'))

async function removeSome(redis: Redis, mayGo: (key: string) => boolean): Promise<void> {
  for await (const keys of redis.scanIterator({ MATCH: `*${run}*`, COUNT: 1000 })) {
    const gone = keys.filter(mayGo)
    if (gone.length > 0) await redis.unlink(gone)
  }
}
