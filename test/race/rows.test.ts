/**
 * V1 (DESIGN 5): a second writer moves a row on that a first one has moved and not yet told of. The row's own stamp falls
 * with the second write, but the class that the first one left does not; `rows: true` makes answers rest on it.
 */
import { redisStore } from '@drizzle-aside/redis'
import { cached, memoryStore, type Store } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase, freshRedis } from '../harness/databases.ts'
import { gate, gatedStore } from '../harness/gates.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import { outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'

const tasks = pgTable('tasks', {
  id: integer('id').primaryKey(),
  code: text('code').notNull().unique(),
  owner: integer('owner').notNull(),
})
const setUp = `
  create table tasks (id integer primary key, code text not null unique, owner integer not null);
  create index on tasks (owner);
  insert into tasks values (1, 'a', 0), (2, 'b', 0), (3, 'c', 5);
`

interface Stores {
  readonly all: readonly [Store, Store, Store]
  readonly namespace: string
  close(): Promise<void>
}

async function onMemory(): Promise<Stores> {
  const store = memoryStore()
  return { all: [store, store, store], namespace: 'rows', close: async () => store.close() }
}

async function onRedis(database: string): Promise<Stores> {
  const { url, namespace, drop } = await freshRedis()
  await ageRegister(url, namespace, database)
  const clients = [createClient({ url }), createClient({ url }), createClient({ url })] as const
  await Promise.all(clients.map((client) => client.connect()))
  const all = [redisStore(clients[0]), redisStore(clients[1]), redisStore(clients[2])] as const
  return {
    all,
    namespace,
    async close() {
      await Promise.all(all.map((store) => store.close()))
      for (const client of clients) client.destroy()
      await drop()
    },
  }
}

describe.each([
  { name: 'memory', open: onMemory, removing: 'remove' },
  { name: 'Redis', open: onRedis, removing: 'removeAndLook' },
])('over $name', ({ open, removing }) => {
  type App = Awaited<ReturnType<typeof openApp>>
  let database: FreshDatabase
  let stores: Stores
  let apps: App[]
  beforeAll(async () => {
    database = await freshDatabase()
  })
  afterAll(() => database.drop())
  beforeEach(async () => {
    await outside(database.url, 'drop table if exists tasks', setUp)
    stores = await open(database.name)
    apps = []
  })
  afterEach(async () => {
    await Promise.all(apps.map((app) => app.close()))
    await stores.close()
  })

  /** A reader, a writer whose removals wait at a gate, and a second writer. */
  async function readerAndWriters(rows: boolean) {
    const held = gate()
    const shared = { url: database.url, namespace: stores.namespace, tables: [cached(tasks, { rows })] }
    const holding = gatedStore(stores.all[1], (point, { method }) =>
      point === 'before' && method === removing ? held.pass() : undefined,
    )
    const reader = await openApp({ ...shared, store: stores.all[0] })
    const first = await openApp({ ...shared, store: holding })
    const second = await openApp({ ...shared, store: stores.all[2] })
    apps.push(reader, first, second)
    return { reader, first, second, held }
  }

  const move = ({ db }: App, owner: number) =>
    db
      .update(tasks)
      .set({ owner, code: sql`${tasks.code} || ${String(owner)}` })
      .where(eq(tasks.id, 1))

  /** The row is moved twice, and the news of the first move is held; what the reader then gets, and after all is told. */
  async function answersAround<T>(rows: boolean, read: (app: App) => Promise<T>): Promise<T[]> {
    const { reader, first, second, held } = await readerAndWriters(rows)
    // With rows the first read only learns which they are (docs/how-it-works.md), the second fills, the third hits.
    for (let reads = 0; reads < 3; reads++) await read(reader)
    expect(reader.db.$aside.stats().hits).toBeGreaterThan(0)
    const untold = move(first, 1).then(() => undefined)
    await held.arrived
    await move(second, 2)
    const between = await read(reader)
    held.open()
    await untold
    return [between, await read(reader)]
  }

  const ofOwner = async ({ db }: App) =>
    (await db.select().from(tasks).where(eq(tasks.owner, 0)).orderBy(tasks.id)).map(({ id }) => id)
  const byCode = async ({ db }: App) => (await db.select().from(tasks).where(eq(tasks.code, 'a'))).map(({ id }) => id)
  const counted = async ({ db }: App) => db.$count(tasks, eq(tasks.owner, 0))

  test('V1, 14: with rows a list does not hold a row that a second writer has moved on', async () => {
    expect(await answersAround(true, ofOwner)).toEqual([[2], [2]])
  })

  test('V1, 14: with rows a unique key does not find a row that a second writer has moved on', async () => {
    expect(await answersAround(true, byCode)).toEqual([[], []])
  })

  test('V1, 14: with rows a count, which names no rows, rests on the table', async () => {
    expect(await answersAround(true, counted)).toEqual([1, 1])
  })

  test('V1, 14: without rows the list may hold it until the first writer has told, as documented', async () => {
    expect(await answersAround(false, ofOwner)).toEqual([[1, 2], [2]])
  })
})
