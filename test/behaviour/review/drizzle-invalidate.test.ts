/** Drizzle's own `$cache.invalidate` on a wrapped db and on its transactions (DESIGN 6). */
import { cached, memoryStore, withCache } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgSchema, pgTable, text } from 'drizzle-orm/pg-core'
import { Pool } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { anyLine } from '../../harness/databases.ts'
import { items, itemsSetUp, notes } from '../../support/items.ts'
import { expectFallen, expectHits, openWrapped, type WrappedDatabase, warm } from '../../support/wrapped-database.ts'

const dotted = pgTable('a.b', { id: integer().primaryKey(), label: text() })
const elsewhere = pgSchema('elsewhere').table('items', { id: integer().primaryKey(), label: text() })

let app: WrappedDatabase
beforeEach(async () => {
  app = await openWrapped(anyLine, {
    ddl: `${itemsSetUp}
      create schema elsewhere;
      create table elsewhere.items (id int primary key, label text);
      create table "a.b" (id int primary key, label text);
      insert into elsewhere.items values (1, 'old');
      insert into "a.b" values (1, 'old');`,
    tables: [cached(items), cached(notes), cached(elsewhere), cached(dotted)],
  })
})
afterEach(() => app.close())

type Db = WrappedDatabase['outside']
const item = (db: Db) => db.select().from(items).where(eq(items.id, 1))
const note = (db: Db) => db.select().from(notes).where(eq(notes.id, 1))
const other = (db: Db) => db.select().from(elsewhere).where(eq(elsewhere.id, 1))
const strange = (db: Db) => db.select().from(dotted).where(eq(dotted.id, 1))

test('a table object drops what is cached of that table and nothing else', async () => {
  await warm(app, item, note, other)
  await app.run(`update items set label = 'by an outsider'`)
  await app.db.$cache.invalidate({ tables: items })
  await expectFallen(app, item)
  await expectHits(app, note, other)
})

test('names work alone, with their schema, and with a dot of their own', async () => {
  await warm(app, item, note, other, strange)
  await app.db.$cache.invalidate({ tables: 'items' })
  await expectFallen(app, item)
  await expectHits(app, note, other, strange)
  await app.db.$cache.invalidate({ tables: ['elsewhere.items', 'notes'] })
  await expectFallen(app, note, other)
  await expectHits(app, item, strange)
  await app.db.$cache.invalidate({ tables: ['a.b'] })
  await expectFallen(app, strange)
  await expectHits(app, item, note, other)
})

test('a name that nobody knows drops everything; tags and nothing drop nothing', async () => {
  await warm(app, item, note)
  await app.db.$cache.invalidate({ tags: ['home'] })
  await app.db.$cache.invalidate({})
  await expectHits(app, item, note)
  await app.db.$cache.invalidate({ tables: 'never heard of' })
  await expectFallen(app, item, note)
})

test('in a transaction it waits for the commit', async () => {
  await warm(app, item)
  await app.db.transaction(async (tx) => {
    await (tx as unknown as typeof app.db).$aside.with({ writes: [] }).execute(sql`update items set label = 'new'`)
    await tx.$cache.invalidate({ tables: [items] })
    await expectHits(app, item)
  })
  await expectFallen(app, item)
})

test('with nothing cached $cache stays as plain Drizzle gives it', async () => {
  const pool = new Pool({ connectionString: app.url })
  const idle = withCache(drizzle(pool), { namespace: 'idle', store: memoryStore(), tables: [] })
  expect(idle.$cache).toEqual(drizzle(pool).$cache)
  await idle.$aside.close()
  await pool.end()
})
