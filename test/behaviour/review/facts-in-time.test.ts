/** Writes that meet a schema in motion, and errors that say that what is known of it is out of date (DESIGN 3.5). */
import { type AsideEvent, cached } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Client } from 'pg'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { anyLine } from '../../harness/databases.ts'
import { items, itemsSetUp } from '../../support/items.ts'
import { openWrapped, type WrappedDatabase } from '../../support/wrapped-database.ts'

let app: WrappedDatabase
afterEach(() => app.close())

const setUp = `${itemsSetUp}
  create table parents (id int primary key);
  create table children (id int primary key, parent_id int);
  insert into parents values (1), (2);
  insert into children values (1, 1), (2, 2);`
const parents = pgTable('parents', { id: integer().primaryKey() })
const children = pgTable('children', { id: integer().primaryKey(), parentId: integer('parent_id') })

const open = async (): Promise<void> => {
  app = await openWrapped(anyLine, { ddl: setUp, tables: [cached(items), cached(children)] })
}

/** Holds a change of the schema open, as a migration does. */
async function migration(...statements: string[]): Promise<{ commit(): Promise<void> }> {
  const client = new Client({ connectionString: app.url })
  await client.connect()
  await client.query('begin')
  for (const statement of statements) await client.query(statement)
  return {
    commit: async () => {
      await client.query('commit')
      await client.end()
    },
  }
}

const someoneWaits = (): Promise<void> =>
  vi.waitFor(async () => {
    const waiting = await app.run(
      `select 1 from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())`,
    )
    expect(waiting).toHaveLength(1)
  })

test('a key that became unique while a write waited for its lock falls with that write', async () => {
  await open()
  const labelled = () => app.db.select().from(items).where(eq(items.label, 'first'))
  await app.run(`update items set label = 'label ' || id; update items set label = 'first' where id = 1`)
  await app.db.$aside.flush()
  const change = await migration('alter table items add unique (label)')
  let committed = () => {}
  const hold = new Promise<void>((resolve) => {
    committed = resolve
  })
  let written = () => {}
  const wrote = new Promise<void>((resolve) => {
    written = resolve
  })
  const moving = app.db.transaction(async (tx) => {
    await tx.update(items).set({ label: 'second' }).where(eq(items.id, 1))
    written()
    await hold
  })
  await someoneWaits()
  await change.commit()
  await wrote
  await app.db.$aside.ready({ reload: true })
  expect(await labelled()).toMatchObject([{ id: 1 }])
  app.count.reset()
  expect(await labelled()).toMatchObject([{ id: 1 }])
  expect(app.count.texts(), 'the new key is one that rows are cached by').toEqual([])
  committed()
  await moving
  expect(await labelled()).toEqual([])
})

test('a cascade that came while a delete waited for its lock is followed', async () => {
  await open()
  const child = () => app.db.select().from(children).where(eq(children.id, 1))
  await child()
  const change = await migration(
    'alter table children add foreign key (parent_id) references parents on delete cascade',
    'lock table parents in access exclusive mode',
  )
  let committed = () => {}
  const hold = new Promise<void>((resolve) => {
    committed = resolve
  })
  let written = () => {}
  const wrote = new Promise<void>((resolve) => {
    written = resolve
  })
  const deleting = app.db.transaction(async (tx) => {
    await tx.delete(parents).where(eq(parents.id, 1))
    written()
    await hold
  })
  await someoneWaits()
  await change.commit()
  await wrote
  await app.db.$aside.ready({ reload: true })
  expect(await child()).toHaveLength(1)
  committed()
  await deleting
  expect(await child()).toEqual([])
})

test('DDL counts as DDL behind a statement after which everything falls anyway', async () => {
  await open()
  const labelled = () => app.db.select().from(items).where(eq(items.label, 'first'))
  await app.db.transaction(async (tx) => {
    await tx.execute(sql`create table somewhere (id int primary key)`)
    // Not in the catalog that we know: a write that may reach anything.
    await tx.insert(pgTable('somewhere', { id: integer().primaryKey() })).values({ id: 1 })
    await tx.execute(sql`update items set label = 'label ' || id`)
    await tx.execute(sql`update items set label = 'first' where id = 1`)
    await tx.execute(sql`alter table items add unique (label)`)
  })
  await labelled()
  app.count.reset()
  await labelled()
  expect(app.count.texts().filter((text) => text.includes('"items"'))).toEqual([])
})

describe('an error that doubts the facts has them read again with the next query', () => {
  const readings = (): number => app.events.filter(({ type }: AsideEvent) => type === 'catalogRead').length
  const expectReread = async (failing: () => PromiseLike<unknown>): Promise<void> => {
    const before = readings()
    await expect(Promise.resolve(failing())).rejects.toThrow()
    await app.db.select().from(items).where(eq(items.id, 1))
    await vi.waitFor(() => expect(readings()).toBe(before + 1))
  }
  const raising = (state: string) => sql.raw(`do $$ begin raise exception using errcode = '${state}'; end $$`)

  // In a transaction: a DO block on its own is DDL to us.
  for (const state of ['25006', '57P01', '08006'])
    test(`SQLSTATE ${state}`, async () => {
      await open()
      await expectReread(() => app.db.transaction((tx) => tx.execute(raising(state))))
    })

  test('a table, a column or a privilege that is not there (42P01, 42703, 42501)', async () => {
    await open()
    await expectReread(() => app.db.select().from(pgTable('nowhere', { id: integer().primaryKey() })))
    await expectReread(() =>
      app.db.update(pgTable('items', { id: integer().primaryKey(), missing: text() })).set({ missing: 'x' }),
    )
    await expectReread(() => app.db.transaction((tx) => tx.execute(raising('42501'))))
  })

  test('an ordinary error, or one of the caller’s own, does not', async () => {
    await open()
    const before = readings()
    await expect(app.db.execute(sql`select 1/0`)).rejects.toThrow()
    await expect(app.db.insert(items).values({ id: 1, code: 'c1', label: '' })).rejects.toThrow()
    await expect(app.db.transaction(() => Promise.reject(new Error('mine')))).rejects.toThrow('mine')
    await app.db.select().from(items).where(eq(items.id, 1))
    await app.db.select().from(items).where(eq(items.id, 2))
    expect(readings()).toBe(before)
  })
})

test('wrapping with one table object takes nothing from another of the same name', async () => {
  await open()
  const narrow = pgTable('items', { id: integer().primaryKey(), n: integer().notNull(), label: text() })
  await app.db.$aside.ready()
  const wider = pgTable('children', { id: integer().primaryKey(), parent: integer('parent_id'), id2: integer() })
  await expect(Promise.resolve(app.db.update(wider).set({ id2: 1 }))).rejects.toMatchObject({
    cause: { code: '42703' },
  })
  await app.db.update(narrow).set({ n: 7 }).where(eq(narrow.id, 1))
  expect(await app.db.select().from(narrow).where(eq(narrow.id, 1))).toMatchObject([{ id: 1, n: 7 }])
})
