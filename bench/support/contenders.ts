import * as drizzle from 'drizzle-orm'
import { eq } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { RedisCache } from './drizzle-cache.ts'
import { type Item, idPlaceholder, items, ROWS, reviveItem } from './items.ts'
import { type Opened, openAside, openBeside, openDatabase, openRedis, run, TTL_MS } from './open.ts'

/** One way to read and write items by key, on a database of its own or, where nobody writes, on one for all. */
export interface Contender {
  readonly name: string
  read(id: number): Promise<Item | undefined>
  write(id: number, version: number): Promise<unknown>
  /** Statements sent to the database since the start. */
  statements(): number
  /** Reads answered by its cache, and reads that were not, since the start; undefined: it has no cache. */
  reads?(): { hits: number; misses: number }
}

type Db = NodePgDatabase

const open = (beside: Opened | undefined, config = {}): Promise<Opened> =>
  beside ? openBeside(beside, config) : openDatabase(config)

const updateBy =
  (db: Db) =>
  (id: number, version: number): Promise<unknown> =>
    db.update(items).set({ version, updatedAt: new Date() }).where(eq(items.id, id))

const selectBy =
  (db: Db) =>
  async (id: number): Promise<Item | undefined> =>
    (await db.select().from(items).where(eq(items.id, id)))[0]

/** The name makes it a prepared statement of the server, too. */
function preparedBy(db: Db): (id: number) => Promise<Item | undefined> {
  const prepared = db.select().from(items).where(eq(items.id, idPlaceholder)).prepare('item_by_id')
  return async (id) => (await prepared.execute({ id }))[0]
}

export async function plain(beside?: Opened): Promise<Contender> {
  const { db, statements } = await open(beside)
  return { name: 'plain Drizzle', read: selectBy(db), write: updateBy(db), statements }
}

export async function prepared(): Promise<Contender> {
  const { db, statements } = await openDatabase()
  return { name: 'Drizzle, prepared', read: preparedBy(db), write: updateBy(db), statements }
}

const { orderSelectedFields } = drizzle as unknown as { orderSelectedFields(fields: object): unknown }

/**
 * What `await db.select()…where(…)` does before any session or dialect is asked: no cache behind Drizzle's builder can
 * save it. With it, hand-written shows what a cache that costs nothing itself could reach.
 */
const buildOnly =
  (db: Db) =>
  (id: number): void => {
    const query = db.select().from(items).where(eq(items.id, id))
    orderSelectedFields((query as unknown as { config: { fields: object } }).config.fields)
  }

/**
 * What a careful hand writes: GET, on a miss a prepared statement and a SET nobody waits for, UNLINK after the write.
 * Its reads are not Drizzle queries, which is why it needs no query builder on a hit.
 */
export async function handWritten(
  behind: 'nothing' | "Drizzle's builder" = 'nothing',
  beside?: Opened,
): Promise<Contender> {
  const { db, statements } = await open(beside)
  const redis = await openRedis()
  const load = preparedBy(db)
  const update = updateBy(db)
  let hits = 0
  let misses = 0
  const keyOf = (id: number): string => `${run}:hand:item:${id}`
  const px = { expiration: { type: 'PX', value: TTL_MS } } as const
  const build = behind === 'nothing' ? () => undefined : buildOnly(db)
  return {
    name: behind === 'nothing' ? 'hand-written GET/SET' : `hand-written behind ${behind}`,
    statements,
    reads: () => ({ hits, misses }),
    async read(id) {
      build(id)
      const key = keyOf(id)
      const text = await redis.get(key)
      if (text !== null) {
        hits++
        return reviveItem(text)
      }
      misses++
      const item = await load(id)
      if (item) redis.set(key, JSON.stringify(item), px).catch(() => {})
      return item
    },
    async write(id, version) {
      await update(id, version)
      await redis.unlink(keyOf(id))
    },
  }
}

export async function drizzleCache(beside?: Opened): Promise<Contender> {
  const cache = new RedisCache(await openRedis(), `${run}:drizzle:`, TTL_MS / 1000)
  const { db, statements } = await open(beside, { cache })
  return {
    name: "Drizzle's own cache",
    read: selectBy(db),
    write: updateBy(db),
    statements,
    reads: () => ({ hits: cache.hits, misses: cache.misses }),
  }
}

/** Ours twice: the queries as they stand, and one prepared once by the app. */
export async function ours(how: 'as written' | 'prepared' = 'as written', beside?: Opened): Promise<Contender> {
  const opened = await open(beside)
  const db = await openAside(opened, how === 'prepared' ? 'prepared' : 'ours')
  return {
    name: how === 'prepared' ? 'drizzle-aside, prepared' : 'drizzle-aside',
    read: how === 'prepared' ? preparedBy(db) : selectBy(db),
    write: updateBy(db),
    statements: opened.statements,
    reads: () => db.$aside.stats(),
  }
}

/** Reads every row once, so that what can be cached is. */
export async function warm(contender: Contender): Promise<void> {
  let next = 1
  const reader = async (): Promise<void> => {
    while (next <= ROWS) await contender.read(next++)
  }
  await Promise.all(Array.from({ length: 32 }, reader))
}
