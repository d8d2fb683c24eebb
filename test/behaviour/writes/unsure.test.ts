/** What a transaction, or a session, has changed so that the facts are not those of its writes: the search path, the role, the schema. */
import { randomBytes } from 'node:crypto'
import { aside, cached, memoryStore } from 'drizzle-aside'
import { eq, type SQL, sql } from 'drizzle-orm'
import { integer, pgSchema, pgTable, text } from 'drizzle-orm/pg-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSingle } from '../../support/open-app.ts'
import {
  expectFallen,
  expectHits,
  openWrapped,
  type Read,
  type WrappedDatabase,
  warm,
} from '../../support/wrapped-database.ts'

const items = pgTable('items', { id: integer().primaryKey(), owner: integer(), label: text() })
const tenantItems = pgSchema('tenant').table('items', { id: integer().primaryKey(), owner: integer(), label: text() })
const tables = [cached(items), cached(tenantItems)]
type Schema = Record<string, never>

describe.each([15, 18] as const)('PostgreSQL %i', (line) => {
  let test: WrappedDatabase<Schema>
  const role = `writer_${randomBytes(4).toString('hex')}`
  beforeEach(async () => {
    // The tenant's table has no `extra`: what RETURNING names must be asked of the right one.
    const ddl = `
      create table items (id int primary key, owner int, label text, extra int);
      create index on items (extra);
      create schema tenant;
      create table tenant.items (id int primary key, owner int, label text);
      insert into items select n, n % 2, 'old' from generate_series(1, 4) n;
      insert into tenant.items select n, n % 2, 'old' from generate_series(1, 4) n;
      create function enter(name text) returns void language plpgsql as
        $$ begin perform set_config('search_path', name, true); end $$;
      create role ${role};
      grant insert on items to ${role};`
    test = await openWrapped<Schema>(line, { ddl, tables })
  })
  afterEach(async () => {
    await test.run(`drop owned by ${role}; drop role ${role}`)
    await test.close()
  })

  const row =
    (table: typeof items | typeof tenantItems, id: number): Read<Schema> =>
    (db) =>
      db.select().from(table).where(eq(table.id, id))
  const path = 'tenant, public'
  const ways: [string, SQL][] = [
    ['SET LOCAL', sql`set local search_path to tenant, public`],
    ['SET SCHEMA', sql`set local schema 'tenant'`],
    ['set_config', sql`select set_config('search_path', ${path}, true)`],
    ['set_config of what a parameter names', sql`select set_config(${'search_path'}, ${path}, true)`],
    ['a function', sql`select enter(${path})`],
  ]

  it.each(ways)('after %s a transaction writes the table of another schema, and its rows fall', async (_, enter) => {
    await warm(test, row(tenantItems, 1), row(tenantItems, 2))
    await test.db.transaction(async (tx) => {
      await tx.execute(enter)
      await tx.update(items).set({ label: 'new' }).where(eq(items.id, 1))
      await tx.transaction((nested) => nested.delete(items).where(eq(items.id, 2)))
    })
    await expectFallen(test, row(tenantItems, 1), row(tenantItems, 2))
  })

  it('what the user says of a table, or of raw SQL, is of the table of any schema then', async () => {
    await warm(test, row(tenantItems, 1))
    await test.db.transaction(async (tx) => {
      await tx.execute(sql`set local search_path to tenant`)
      await aside(tx)
        .with({ writes: [items] })
        .execute(sql`update items set label = 'raw' where id = 1`)
    })
    await expectFallen(test, row(tenantItems, 1))
    await test.db.transaction(async (tx) => {
      await aside(tx).with({ writes: [] }).execute(sql`select enter('tenant')`)
      await aside(tx).with({ writes: [] }).execute(sql`update items set label = 'told' where id = 1`)
      await aside(tx).wrote(items, { new: { id: 1, owner: 1, label: 'told' } })
    })
    await expectFallen(test, row(tenantItems, 1))
  })

  it('a setting of the app’s own changes nothing: writes are as exact as before', async () => {
    await warm(test, row(items, 1), row(items, 2), row(tenantItems, 1))
    await test.db.transaction(async (tx) => {
      await tx.execute(sql`select set_config('app.tenant', ${'a'}, true)`)
      await tx.execute(sql`set local app.role = 'x'`)
      await tx.update(items).set({ label: 'new' }).where(eq(items.id, 1))
    })
    await expectFallen(test, row(items, 1))
    await expectHits(test, row(items, 2), row(tenantItems, 1))
  })

  it('a role that may only insert inserts', async () => {
    await test.db.transaction(async (tx) => {
      await tx.execute(sql.raw(`set local role ${role}`))
      expect(await tx.insert(items).values({ id: 5, label: 'by another role' })).toMatchObject({ rowCount: 1 })
    })
    expect(await row(items, 5)(test.db)).toMatchObject([{ label: 'by another role' }])
  })

  it('a transaction that has changed a table goes on to write it', async () => {
    await warm(test, row(items, 1))
    await test.db.transaction(async (tx) => {
      await tx.execute(sql`alter table items drop column extra`)
      await tx.update(items).set({ label: 'migrated' }).where(eq(items.id, 1))
      await tx.insert(items).values({ id: 6 }).onConflictDoNothing()
    })
    await expectFallen(test, row(items, 1))
  })

  it('rows of a temporary table are not kept, and a session that had one may write the table that it hid', async () => {
    const shared = { url: test.url, tables, namespace: 'temporary', store: memoryStore() }
    const [reader, writer] = [await openSingle(shared), await openSingle(shared)]
    const label = ({ db }: typeof reader) => db.select({ label: items.label }).from(items).where(eq(items.id, 1))
    await writer.db.execute(sql`create temp table items (id int primary key, owner int, label text)`)
    await writer.db.insert(items).values({ id: 1, label: 'hidden' })
    for (const _ of [1, 2]) expect(await label(writer)).toEqual([{ label: 'hidden' }])
    expect(writer.told.of('fill')).toEqual([])
    expect(await label(reader)).toEqual([{ label: 'old' }])
    await writer.client.query('drop table pg_temp.items')
    await writer.db.update(items).set({ label: 'new' }).where(eq(items.id, 1))
    expect(await label(reader)).toEqual([{ label: 'new' }])
    await Promise.all([reader.close(), writer.close()])
  })

  it('a session with another search path writes the tables of that', async () => {
    const shared = { url: test.url, tables, namespace: 'unsure', store: memoryStore() }
    const [reader, writer] = [await openSingle(shared), await openSingle(shared)]
    const label = () => reader.db.select({ label: tenantItems.label }).from(tenantItems).where(eq(tenantItems.id, 1))
    expect(await label()).toEqual([{ label: 'old' }])
    await writer.db.execute(sql`set search_path to tenant`)
    await writer.db.update(items).set({ label: 'new' }).where(eq(items.id, 1))
    expect(await label()).toEqual([{ label: 'new' }])
    await reader.close()
    await writer.close()
  })
})
