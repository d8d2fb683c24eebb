/** Two wraps over one memory store, in one process, that keep different things: the writes of each know what the other keeps. */
import { cached, type MemoryStore, memoryStore, type TableEntry } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../../harness/databases.ts'
import { gate, type StatementHook } from '../../harness/gates.ts'
import { outside } from '../../support/items.ts'
import { openApp } from '../../support/open-app.ts'

const posts = pgTable('posts', {
  id: integer('id').primaryKey(),
  topic: integer('topic').notNull(),
  views: integer('views').notNull(),
})
const notes = pgTable('notes', { id: integer('id').primaryKey(), views: integer('views').notNull() })
const ddl = `
  create table posts (id int primary key, topic int not null, views int not null);
  create table notes (id int primary key, views int not null);
  insert into posts values (1, 1, 0), (2, 2, 0);
  insert into notes values (1, 0), (2, 0);`

type App = Awaited<ReturnType<typeof openApp>>

let database: FreshDatabase
let store: MemoryStore
const open: App[] = []

beforeEach(async () => {
  database = await freshDatabase(18)
  await outside(database.url, ddl)
  store = memoryStore()
})
afterEach(async () => {
  for (const app of open.splice(0)) await app.close()
  await database.drop()
})

async function wrap(tables: readonly TableEntry[], hook?: StatementHook): Promise<App> {
  const app = await openApp({ url: database.url, store, namespace: 'wraps', tables, ...(hook && { hook }) })
  open.push(app)
  return app
}

const ofTopic = ({ db }: App, topic: number) => db.select().from(posts).where(eq(posts.topic, topic))
const viewed = ({ db }: App, id = 1) => db.update(posts).set({ views: 1 }).where(eq(posts.id, id))
const noted = ({ db }: App) => db.update(notes).set({ views: 1 }).where(eq(notes.id, 1))
const note = ({ db }: App, id = 1) => db.select().from(notes).where(eq(notes.id, id))
const fresh = [{ views: 1 }]

/** Holds the statement before it is sent. */
function heldAt(at: RegExp) {
  const held = gate()
  const hook: StatementHook = (point, { sql }) => (point === 'before' && at.test(sql) ? held.pass() : undefined)
  return { held, hook }
}

test('a list of one wrap is known to the writes of the other, and only what they touched falls', async () => {
  const writer = await wrap([cached(posts)])
  const reader = await wrap([cached(posts, { lists: (t) => [t.topic] })])
  for (const topic of [1, 2]) await ofTopic(reader, topic)
  await writer.db.insert(posts).values({ id: 3, topic: 1, views: 1 })
  reader.sql.reset()
  expect(await ofTopic(reader, 1)).toHaveLength(2)
  expect(await ofTopic(reader, 2)).toHaveLength(1)
  expect(reader.sql.statements).toHaveLength(1)
  expect(writer.told.of('epochReplaced')).toEqual([])
})

test('a column group of one wrap is none for the answers of the other', async () => {
  const writer = await wrap([cached(posts, { lists: (t) => [t.topic], facets: (t) => ({ counters: [t.views] }) })])
  const reader = await wrap([cached(posts, { lists: (t) => [t.topic] })])
  await ofTopic(reader, 1)
  await viewed(writer)
  expect(await ofTopic(reader, 1)).toMatchObject(fresh)
})

test('answers that rest on different stamps stand side by side: two wraps by turns do not put out each other’s', async () => {
  const both = [await wrap([cached(posts)]), await wrap([cached(posts, { lists: (t) => [t.topic] })])]
  for (const each of both) await ofTopic(each, 1)
  for (const each of both) each.sql.reset()
  for (const each of [...both, ...both]) expect(await ofTopic(each, 1)).toHaveLength(1)
  for (const { sql } of both) expect(sql.statements).toEqual([])
})

test('a wrap with `rows` is not answered by what a wrap without them has stored', async () => {
  const without = await wrap([cached(posts, { lists: (t) => [t.topic] })])
  const careful = await wrap([cached(posts, { lists: (t) => [t.topic], rows: true })])
  await ofTopic(without, 1)
  careful.sql.reset()
  // The first fill learns the keys of its rows, the second is kept.
  for (let read = 0; read < 4; read++) expect(await ofTopic(careful, 1)).toHaveLength(1)
  expect(careful.sql.statements).toHaveLength(2)
})

test('a table that only one wrap caches is written by the other', async () => {
  const writer = await wrap([cached(posts)])
  const reader = await wrap([cached(notes)])
  for (const id of [1, 2]) await note(reader, id)
  await noted(writer)
  expect(await note(reader)).toMatchObject(fresh)
})

test('a wrap that caches nothing writes what another caches', async () => {
  const writer = await wrap([])
  const reader = await wrap([cached(notes)])
  await note(reader)
  await noted(writer)
  expect(await note(reader)).toMatchObject(fresh)
})

test('a long transaction is not looked at while nobody caches anything', async () => {
  const { db, told } = await wrap([])
  await db.transaction(async (tx) => {
    for (let i = 0; i <= 1000; i++) await tx.execute(sql.raw(`select ${i}`))
  })
  // The one at the start of the app; a second reading would mean that the texts were judged.
  expect(told.events.map(({ type }) => type)).toEqual(['catalogRead'])
})

test('what a closed wrap has kept is known: a later one of its kind finds nothing stale', async () => {
  const entries = [cached(posts, { lists: (t) => [t.topic] })]
  const first = await wrap(entries)
  const writer = await wrap([cached(notes)])
  await ofTopic(first, 1)
  await first.close()
  open.splice(open.indexOf(first), 1)
  await viewed(writer)
  expect(await ofTopic(await wrap(entries), 1)).toMatchObject(fresh)
})

const writers = {
  'caches the table without lists': [cached(posts)],
  'caches another table': [cached(notes)],
  'caches nothing': [],
}

test.each(Object.entries(writers))(
  'a wrap that comes while a write is on its way finds nothing stale: the writer %s',
  async (_, tables) => {
    const { held, hook } = heldAt(/^update/)
    const writer = await wrap(tables, hook)
    const write = viewed(writer).execute()
    await held.arrived
    const late = await wrap([cached(posts, { lists: (t) => [t.topic] })])
    expect(await ofTopic(late, 1)).toMatchObject([{ views: 0 }])
    held.open()
    await write
    expect(await ofTopic(late, 1)).toMatchObject(fresh)
  },
)

test.each(Object.entries(writers))(
  'a wrap that comes while a transaction is open finds nothing stale: the writer %s',
  async (_, tables) => {
    const { held, hook } = heldAt(/^commit/)
    const writer = await wrap(tables, hook)
    const write = writer.db.transaction(async (tx) => {
      await tx.update(posts).set({ views: 1 }).where(eq(posts.id, 1))
    })
    await held.arrived
    const late = await wrap([cached(posts, { lists: (t) => [t.topic] })])
    expect(await ofTopic(late, 1)).toMatchObject([{ views: 0 }])
    held.open()
    await write
    expect(await ofTopic(late, 1)).toMatchObject(fresh)
  },
)
