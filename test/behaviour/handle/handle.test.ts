/** `db.$aside`: what it says about itself, and what changes outside the db come to once they are known. */
import { aside, cached, memoryStore, type Store } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ManualClock, manualClock } from '../../harness/clock.ts'
import { type FreshDatabase, freshDatabase } from '../../harness/databases.ts'
import { gatedStore } from '../../harness/gates.ts'
import { items, itemsSetUp, notes, outside } from '../../support/items.ts'
import { openApp } from '../../support/open-app.ts'

type App = Awaited<ReturnType<typeof openApp>>

let database: FreshDatabase
let clock: ManualClock
let store: Store
let app: App

beforeEach(async () => {
  database = await freshDatabase(15)
  await outside(database.url, itemsSetUp)
  clock = manualClock()
  store = memoryStore({ clock })
  app = await openApp({ url: database.url, store, namespace: 'handle', tables: [cached(items), cached(notes)], clock })
})
afterEach(async () => {
  await app.close()
  await database.drop()
})

const byId = (id: number) => app.db.select().from(items).where(eq(items.id, id))
const note = (id: number) => app.db.select().from(notes).where(eq(notes.id, id))
const state = async (query: Parameters<App['db']['$aside']['explain']>[0]) => (await app.db.$aside.explain(query)).state

test('explain says what a read would do, and asks the database for nothing', async () => {
  const plan = await app.db.$aside.explain(byId(1))
  expect(plan).toMatchObject({
    plan: 'record',
    state: 'miss',
    table: 'items',
    key: ['id'],
    keys: 1,
    ttlMs: 300_000,
  })
  expect(plan.dependsOn).toHaveLength(2)
  await byId(1)
  expect(await app.db.$aside.explain(byId(1))).toMatchObject({ state: 'hit' })
  expect(app.db.$aside.stats()).toMatchObject({ hits: 0, misses: 1, fills: 1 })
  expect(app.sql.count()).toBe(1)
  expect(await app.db.$aside.explain(app.db.select().from(items))).toMatchObject({ plan: 'result', state: 'miss' })
  expect(await app.db.$aside.explain(byId(1).for('update'))).toMatchObject({ state: 'bypass', reason: 'locking' })
  expect(String(await app.db.$aside.explain(byId(1)))).toContain('by primary key (id): hit')
  const write = await app.db.$aside.explain(app.db.update(items).set({ n: 1 }).where(eq(items.id, 1)))
  expect(write).toMatchObject({ plan: 'write', images: 'new' })
  expect(write.invalidates.join()).toContain('items[id=1]')
  expect(await byId(1)).toMatchObject([{ n: 0 }])
  await app.db.transaction(async (tx) => {
    expect(await aside(tx).explain(tx.select().from(items).where(eq(items.id, 1)))).toMatchObject({
      reason: 'in-transaction',
    })
  })
})

test('health is off when reads are off, and says what keeps reads from the cache', async () => {
  expect(app.db.$aside.health()).toEqual({
    state: 'ok',
    store: { name: 'memory', pendingKeys: 0, pendingTables: 0 },
    catalog: 'known',
    serverChanges: 0,
    remarks: [],
  })
  app.db.$aside.reads('off')
  expect(app.db.$aside.health().state).toBe('off')
  await byId(1)
  expect(app.told.of('bypass')).toMatchObject([{ reason: 'switched-off' }])
  app.db.$aside.reads('on')
  expect(app.db.$aside.health().state).toBe('ok')
})

test('a listener hears events until it is taken away, and disturbs nothing when it throws', async () => {
  const heard: string[] = []
  const stop = app.db.$aside.on(({ type }) => {
    heard.push(type)
    throw new Error('listener')
  })
  await byId(1)
  expect(heard).toContain('miss')
  expect(app.told.of('listenerFailed').length).toBeGreaterThan(0)
  stop()
  heard.length = 0
  await byId(1)
  expect(heard).toEqual([])
})

test('before the facts are known reads go to the database, and a write loses nothing', async () => {
  await byId(1)
  const early = await openApp({
    url: database.url,
    store,
    namespace: 'handle',
    tables: [cached(items)],
    clock,
    awaitReady: false,
  })
  expect(early.db.$aside.health().state).toBe('starting')
  const first = early.db
    .select()
    .from(items)
    .where(eq(items.id, 1))
    .then((rows) => rows)
  expect(await first).toHaveLength(1)
  expect(early.told.of('bypass')).toMatchObject([{ reason: 'starting' }])
  await early.db.update(items).set({ label: 'early' }).where(eq(items.id, 1))
  expect(await byId(1)).toMatchObject([{ label: 'early' }])
  await early.close()
})

test('inside a transaction of a pool of one connection nothing waits for facts that need another', async () => {
  await byId(1)
  const only = await openApp({
    url: database.url,
    store: gatedStore(store, () => undefined),
    namespace: 'handle',
    tables: [cached(items)],
    clock,
    awaitReady: false,
    pool: { max: 1 },
  })
  await only.db.transaction(async (tx) => {
    await tx.update(items).set({ label: 'blind' }).where(eq(items.id, 1))
    expect(await tx.select().from(items).where(eq(items.id, 1))).toMatchObject([{ label: 'blind' }])
  })
  expect(await byId(1)).toMatchObject([{ label: 'blind' }])
  await only.close()
})

test('a trigger that comes later drops everything once it is known, and its writes fall from then on', async () => {
  for (const query of [byId(1), note(1)]) await query
  await outside(
    database.url,
    `create function to_notes() returns trigger language plpgsql as $$ begin
       update notes set body = 'by trigger' where id = new.id; return null; end $$;
     create trigger late after update on items for each row execute function to_notes()`,
  )
  await app.db.$aside.ready({ reload: true })
  expect(await state(byId(1))).toBe('miss')
  expect(await state(note(1))).toBe('miss')
  for (const query of [byId(1), note(1)]) await query
  await app.db.update(items).set({ label: 'new' }).where(eq(items.id, 1))
  expect(app.told.of('undeclaredTrigger')).toMatchObject([{ table: 'items', trigger: 'late' }])
  expect(await note(1)).toMatchObject([{ body: 'by trigger' }])
})

test('a column that changes its type, a key that goes, a table dropped and made again: old answers are gone', async () => {
  for (const query of [byId(1), note(1)]) await query
  await outside(database.url, `alter table items alter column n type bigint`)
  await app.db.$aside.ready({ reload: true })
  expect(app.told.of('catalogChanged')).toHaveLength(1)
  expect(await state(byId(1))).toBe('miss')
  expect(await state(note(1))).toBe('hit')
  await outside(
    database.url,
    `drop table notes; create table notes (id int primary key, body text not null); insert into notes values (1, 'again')`,
  )
  await app.db.$aside.ready({ reload: true })
  expect(await note(1)).toMatchObject([{ body: 'again' }])
  await note(1)
  await app.db.update(notes).set({ body: 'and again' }).where(eq(notes.id, 1))
  expect(await note(1)).toMatchObject([{ body: 'and again' }])
  await outside(database.url, `alter table notes drop constraint notes_pkey; insert into notes values (1, 'twin')`)
  await app.db.$aside.ready({ reload: true })
  app.told.forget()
  expect(await note(1)).toHaveLength(2)
  // Its rows have no name any more; the answer as a whole still has one.
  expect(app.told.of('miss')).toMatchObject([{ kind: 'list' }])
})

test('DDL through the db is followed by a new reading, and facts grow old after thirty seconds', async () => {
  await byId(1)
  await app.db.execute('alter table items add column extra text')
  await app.db.$aside.ready({ reload: true })
  const wider = pgTable('items', { id: integer().primaryKey(), extra: text() })
  await app.db.execute(`update items set extra = 'x' where id = 1`)
  expect(await app.db.select().from(wider).where(eq(wider.id, 1))).toEqual([{ id: 1, extra: 'x' }])
  expect(await byId(1)).toEqual(await app.plain.select().from(items).where(eq(items.id, 1)))
  app.told.forget()
  await outside(database.url, `alter table items alter column label type varchar`)
  await clock.advanceAndSettle(30_000)
  await byId(1)
  await expect.poll(() => app.told.of('catalogChanged').length).toBe(1)
})

test('a table that is gone, or a column that never was, is an error as plain Drizzle gives it', async () => {
  const ghost = pgTable('items', { id: integer().primaryKey(), ghost: text() })
  const query = (db: Pick<App['db'], 'select'>) => db.select().from(ghost).where(eq(ghost.id, 1))
  const plain = await query(app.plain as App['db']).then(
    () => undefined,
    (error: Error) => error,
  )
  const ours = await query(app.db).then(
    () => undefined,
    (error: Error) => error,
  )
  expect(ours?.constructor).toBe(plain?.constructor)
  expect(ours?.message).toBe(plain?.message)
})

test('after close() the db goes on without cache, writes included, and closing twice is nothing', async () => {
  await byId(1)
  const other = await openApp({
    url: database.url,
    store: gatedStore(store, () => undefined),
    namespace: 'handle',
    tables: [cached(items)],
    clock,
  })
  await other.db.select().from(items).where(eq(items.id, 2))
  await other.db.$aside.close()
  await other.db.$aside.close()
  expect(other.db.$aside.health().state).toBe('off')
  expect(await other.db.select().from(items).where(eq(items.id, 2))).toHaveLength(1)
  await other.db.update(items).set({ label: 'after' }).where(eq(items.id, 2))
  await other.db.transaction((tx) => tx.update(items).set({ label: 'closed' }).where(eq(items.id, 2)))
  expect(await other.db.select().from(items).where(eq(items.id, 2))).toMatchObject([{ label: 'closed' }])
  await other.pool.end()
})

test('two wraps of one client over one store stay right when one of them is closed', async () => {
  const { withCache } = await import('drizzle-aside')
  const tables = [cached(items), cached(notes)]
  const twin = withCache(drizzle(app.pool), { store, namespace: 'handle', tables, clock })
  await twin.$aside.ready()
  await byId(1)
  await twin.update(items).set({ label: 'by the twin' }).where(eq(items.id, 1))
  expect(await byId(1)).toMatchObject([{ label: 'by the twin' }])
  await twin.$aside.close()
  await app.db.update(items).set({ label: 'by the other' }).where(eq(items.id, 1))
  expect(await byId(1)).toMatchObject([{ label: 'by the other' }])
  await byId(1)
  expect(await state(byId(1))).toBe('hit')
})

test('invalidate drops one key, one table, or everything, and nothing else', async () => {
  const warm = async () => {
    for (const query of [byId(1), byId(2), note(1)]) await query
  }
  const states = async () => Promise.all([byId(1), byId(2), note(1)].map(state))
  await warm()
  await app.db.$aside.invalidate(items, 1)
  expect(await states()).toEqual(['miss', 'hit', 'hit'])
  await warm()
  await app.db.$aside.invalidate(items, { code: 'c2' })
  expect(await state(app.db.select().from(items).where(eq(items.code, 'c2')))).toBe('miss')
  await app.db.$aside.invalidate(items)
  expect(await states()).toEqual(['miss', 'miss', 'hit'])
  await app.db.$aside.flush()
  expect(await states()).toEqual(['miss', 'miss', 'miss'])
})
