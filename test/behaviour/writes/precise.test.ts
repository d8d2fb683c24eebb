/** Which keys a write touches: what must fall has fallen, and what must not fall still hits. */

import { cached } from 'drizzle-aside'
import { and, eq, gt, inArray, isNotNull, or, sql } from 'drizzle-orm'
import { bigserial, integer, pgTable, primaryKey, serial, text, unique, uniqueIndex } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  expectFallen,
  expectHits,
  fallenTables,
  openWrapped,
  type Read,
  type WrappedDatabase,
  warm,
} from '../../support/wrapped-database.ts'

const products = pgTable(
  'products',
  {
    id: serial().primaryKey(),
    sku: text().notNull().unique(),
    name: text(),
    status: integer().notNull().default(0),
    views: integer().notNull().default(0),
    shop: integer(),
    slot: text(),
  },
  (t) => [unique().on(t.shop, t.slot)],
)
const seats = pgTable('seats', { hall: integer(), seat: integer(), guest: text() }, (t) => [
  primaryKey({ columns: [t.hall, t.seat] }),
])
const drafts = pgTable(
  'drafts',
  {
    id: bigserial({ mode: 'number' }).primaryKey(),
    email: text().notNull(),
    deleted: integer(),
  },
  (t) => [uniqueIndex().on(t.email).where(sql`deleted is null`)],
)
const schema = { products, seats, drafts }
type Schema = typeof schema

const ddl = `
  create table products (id serial primary key, sku text not null unique, name text, status int not null default 0,
    views int not null default 0, shop int, slot text, unique (shop, slot));
  insert into products (sku, name, shop, slot) select 'S' || n, 'name ' || n, n / 10, 'slot ' || n % 10
    from generate_series(1, 10000) n;
  create table seats (hall int, seat int, guest text, primary key (hall, seat));
  insert into seats select h, s, 'guest ' || h || s from generate_series(1, 3) h, generate_series(1, 3) s;
  create table drafts (id bigserial primary key, email text not null, deleted int);
  create unique index on drafts (email) where deleted is null;
  insert into drafts (email, deleted) values ('a@x', 1), ('a@x', null), ('b@x', null);
`

const byId =
  (id: number): Read<Schema> =>
  (db) =>
    db.select().from(products).where(eq(products.id, id))
const bySku =
  (sku: string): Read<Schema> =>
  (db) =>
    db.select().from(products).where(eq(products.sku, sku))
const byIds =
  (ids: number[]): Read<Schema> =>
  (db) =>
    db.select().from(products).where(inArray(products.id, ids))
const bySlot =
  (shop: number, slot: string): Read<Schema> =>
  (db) =>
    db
      .select()
      .from(products)
      .where(and(eq(products.slot, slot), eq(products.shop, shop)))

describe.each([15, 18] as const)('PostgreSQL %i', (line) => {
  let test: WrappedDatabase<Schema>
  beforeAll(async () => {
    test = await openWrapped(line, { ddl, schema, tables: [cached(products), cached(seats), cached(drafts)] })
  })
  afterAll(() => test.close())

  it('a counter update on one product leaves 9,999 others hitting', async () => {
    const { db, count, outside } = test
    const all = Array.from({ length: 10_000 }, (_, i) => i + 1)
    for (let from = 0; from < all.length; from += 1000) await byIds(all.slice(from, from + 1000))(db)
    count.reset()
    await db
      .update(products)
      .set({ views: sql`${products.views} + 1` })
      .where(eq(products.id, 5000))
    expect(count.count()).toBe(1)
    count.reset()
    const found: unknown[] = []
    for (const id of all) found.push(...(await db.select().from(products).where(eq(products.id, id))))
    expect(count.texts()).toHaveLength(1)
    expect(count.statements[0]?.params).toEqual([5000])
    expect(found).toEqual(await outside.select().from(products).orderBy(products.id))
  })

  it('B1: a unique key that another writer moved meanwhile falls with the move and with the next one', async () => {
    const { db, outside } = test
    // X knows sku S11, Y moves the row to S11-y and a reader caches that; then X moves it on.
    const [known] = await db.select().from(products).where(eq(products.sku, 'S11'))
    await db.update(products).set({ sku: 'S11-y' }).where(eq(products.id, 11))
    await warm(test, bySku('S11'), bySku('S11-y'), bySku('S11-x'), byIds([10, 11, 12]), bySku('S12'))
    await db
      .update(products)
      .set({ sku: 'S11-x' })
      .where(eq(products.id, known?.id as number))
    await expectFallen(test, bySku('S11-y'), bySku('S11-x'), byIds([10, 11, 12]))
    await expectHits(test, bySku('S11'), bySku('S12'), byId(10), byId(12))
    expect(await outside.$count(products, eq(products.sku, 'S11-x'))).toBe(1)
  })

  it('B2: the old image is the database’s, also where the cached copy is behind it', async () => {
    const { db, run } = test
    await warm(test, byId(21), bySku('S21'))
    // An outsider moves the row: the cache does not know, and the writer may not believe it.
    await run(`update products set sku = 'S21-outsider' where id = 21`)
    await warm(test, bySku('S21-outsider'))
    await db.update(products).set({ sku: 'S21-b' }).where(eq(products.id, 21))
    await expectFallen(test, byId(21), bySku('S21-outsider'), bySku('S21-b'))
  })

  it('B3: a unique value that moves away and back is found, and not found, as it is', async () => {
    const { db } = test
    await warm(test, bySku('S31'), bySku('moved'), bySku('other-absent'), bySku('S32'))
    await db.update(products).set({ sku: 'moved' }).where(eq(products.sku, 'S31'))
    await expectFallen(test, bySku('moved'), bySku('S31'))
    await expectHits(test, bySku('other-absent'), bySku('S32'))
    await db.update(products).set({ sku: 'S31' }).where(eq(products.sku, 'moved'))
    await expectFallen(test, bySku('moved'), bySku('S31'))
    await expectHits(test, bySku('other-absent'), bySku('S32'))
  })

  it('B4: "not found" falls when a sequence gives that id away, other absences stay', async () => {
    const { db } = test
    const [{ id }] = (await db.insert(products).values({ sku: 'seq-1' }).returning({ id: products.id })) as [
      { id: number },
    ]
    const [next, later] = [id + 1, id + 50]
    await warm(test, byId(next), byId(later), byIds([1, next]), bySku('seq-2'), bySku('seq-3'))
    await db.insert(products).values({ sku: 'seq-2' })
    await expectFallen(test, byId(next), bySku('seq-2'))
    await expectHits(test, byIds([1, next]), byId(later), bySku('seq-3'))
  })

  it('B5, 50: a where of or and of other columns reports the rows that it touched, and no others', async () => {
    const { db, run } = test
    await run('update products set status = 2 where id in (51, 52)')
    await db.$aside.invalidate(products)
    await warm(test, byId(50), byId(51), byId(52), byId(53))
    await db
      .update(products)
      .set({ name: 'B5' })
      .where(or(eq(products.id, 50), eq(products.status, 2)))
    await expectFallen(test, byId(50), byId(51), byId(52))
    await expectHits(test, byId(53))
  })

  it('B6: an update without a key touches 0, 1 or 10,000 rows and drops none, one, or the table', async () => {
    const { db, events } = test
    await warm(test, byId(60), byId(61), byId(62))
    events.length = 0
    const none = await db.update(products).set({ name: 'B6' }).where(sql`${products.name} = 'nobody'`)
    expect([none.rowCount, none.command, none.rows]).toEqual([0, 'UPDATE', []])
    expect(events.filter(({ type }) => type === 'invalidate')).toEqual([])
    await expectHits(test, byId(60), byId(61), byId(62))

    const one = await db.update(products).set({ name: 'B6' }).where(sql`${products.name} = 'name 61'`)
    expect([one.rowCount, one.command, one.rows]).toEqual([1, 'UPDATE', []])
    await expectFallen(test, byId(61))
    await expectHits(test, byId(60), byId(62))
    expect(fallenTables(events)).toEqual([])

    const total = await test.outside.$count(products)
    const all = await db.update(products).set({ name: 'B6' }).where(gt(products.id, 0))
    expect([all.rowCount, all.command, all.rows]).toEqual([total, 'UPDATE', []])
    expect(fallenTables(events)).toEqual(['products: too-many-rows'])
    await expectFallen(test, byId(60), byId(61), byId(62))
  })

  it('B6, 51: just below the limit of keys each row falls alone, above it the table', async () => {
    const { db, events } = test
    await warm(test, byId(1), byId(9000))
    events.length = 0
    // Each row has its keys (id, sku, shop and slot), ten share a shop, all the table: 164 rows are 510 keys, 165 are 513.
    await db.update(products).set({ name: 'limit' }).where(sql`${products.id} between 1 and 164`)
    expect(fallenTables(events)).toEqual([])
    await expectFallen(test, byId(1))
    await expectHits(test, byId(9000))
    await db.update(products).set({ name: 'limit' }).where(sql`${products.id} between 1 and 165`)
    expect(fallenTables(events)).toEqual(['products: too-many-keys'])
    await expectFallen(test, byId(9000))
  })

  it('B6: a delete of no, one and many rows does the same', async () => {
    const { db, events, run } = test
    await run(`insert into products (id, sku) select n, 'D' || n from generate_series(20001, 22000) n`)
    await warm(test, byId(20_001), byId(20_002), bySku('D20001'))
    events.length = 0
    expect((await db.delete(products).where(sql`${products.sku} = 'D0'`)).rowCount).toBe(0)
    await expectHits(test, byId(20_001), byId(20_002))
    expect((await db.delete(products).where(sql`${products.sku} like 'D20001'`)).rowCount).toBe(1)
    await expectFallen(test, byId(20_001), bySku('D20001'))
    await expectHits(test, byId(20_002))
    expect(fallenTables(events)).toEqual([])
    expect((await db.delete(products).where(sql`${products.sku} like 'D2%'`)).rowCount).toBe(1999)
    expect(fallenTables(events)).toEqual(['products: too-many-rows'])
    await expectFallen(test, byId(20_002))
  })

  it('B8: an upsert drops the row that it updated, whatever id was proposed; do nothing drops nothing', async () => {
    const { db, events } = test
    await warm(test, byId(81), bySku('S81'), byId(82), bySku('S82'), bySku('fresh-81'))
    events.length = 0
    const updated = await db
      .insert(products)
      .values({ sku: 'S81', name: 'proposed' })
      .onConflictDoUpdate({ target: products.sku, set: { name: 'B8' } })
      .returning()
    expect(updated).toMatchObject([{ id: 81, name: 'B8' }])
    await expectFallen(test, byId(81), bySku('S81'))
    await expectHits(test, byId(82), bySku('S82'), bySku('fresh-81'))

    const nothing = await db.insert(products).values({ sku: 'S81', name: 'never' }).onConflictDoNothing().returning()
    expect(nothing).toEqual([])
    await expectHits(test, byId(81), bySku('S81'), byId(82), bySku('S82'), bySku('fresh-81'))

    const inserted = await db
      .insert(products)
      .values({ sku: 'fresh-81' })
      .onConflictDoUpdate({ target: products.sku, set: { name: 'no' } })
      .returning()
    expect(inserted).toMatchObject([{ sku: 'fresh-81', name: null }])
    await expectFallen(test, bySku('fresh-81'))
    await expectHits(test, byId(81), byId(82))
    expect(fallenTables(events)).toEqual([])
  })

  it('B8: an upsert that moves a unique key drops the value the row had before', async () => {
    const { db, events } = test
    await warm(test, bySku('S85'), bySku('S85-moved'), byId(85), byId(86))
    events.length = 0
    await db
      .insert(products)
      .values({ id: 85, sku: 'S85-moved' })
      .onConflictDoUpdate({ target: products.id, set: { sku: 'S85-moved' } })
    await expectFallen(test, bySku('S85'), bySku('S85-moved'), byId(85))
    // Before PostgreSQL 18 the old value cannot be had, so the table falls.
    if (line === 18) await expectHits(test, byId(86))
    else await expectFallen(test, byId(86))
    // The same where the row is really inserted: exact on both.
    await warm(test, byId(86), byId(90_085), bySku('S90085'))
    events.length = 0
    await db
      .insert(products)
      .values({ id: 90_085, sku: 'S90085' })
      .onConflictDoUpdate({ target: products.id, set: { sku: 'S90085' } })
    await expectFallen(test, byId(90_085), bySku('S90085'))
    await expectHits(test, byId(86))
    expect(fallenTables(events)).toEqual([])
  })

  it('F10: an upsert with where that refuses to update touches nothing', async () => {
    const { db, events } = test
    await warm(test, byId(87), bySku('S87'))
    events.length = 0
    const refused = await db
      .insert(products)
      .values({ sku: 'S87' })
      .onConflictDoUpdate({ target: products.sku, set: { sku: 'S87-no' }, setWhere: sql`false` })
      .returning()
    expect(refused).toEqual([])
    expect(events.filter(({ type }) => type === 'invalidate')).toEqual([])
    await expectHits(test, byId(87), bySku('S87'))
    const taken = await db
      .insert(products)
      .values({ sku: 'S87' })
      .onConflictDoUpdate({
        target: products.sku,
        set: { views: sql`${products.views} + 7` },
        setWhere: isNotNull(products.sku),
      })
      .returning({ views: products.views, twice: sql<number>`${products.views} * 2` })
    expect(taken).toEqual([{ views: 7, twice: 14 }])
    await expectFallen(test, byId(87), bySku('S87'))
  })

  it('B8: many rows upserted at once, some inserted and some updated, drop exactly theirs', async () => {
    const { db } = test
    await warm(test, byId(88), byId(89), byId(90), bySku('many-1'), bySku('many-2'))
    const rows = await db
      .insert(products)
      .values([
        { sku: 'S88', name: 'x' },
        { sku: 'many-1', name: 'y' },
        { sku: 'S89', name: 'z' },
      ])
      .onConflictDoUpdate({ target: products.sku, set: { name: sql`excluded.name` } })
      .returning({ name: products.name })
    expect(rows).toEqual([{ name: 'x' }, { name: 'y' }, { name: 'z' }])
    await expectFallen(test, byId(88), byId(89), bySku('many-1'))
    await expectHits(test, byId(90), bySku('many-2'))
  })

  it('B19: in-lists of 1, 7, 8 and 500 ids, with duplicates and absent ones, lose only the row that was updated', async () => {
    const { db, count } = test
    for (const size of [1, 7, 8, 500]) {
      const ids = Array.from({ length: size }, (_, i) => 1000 + i)
      const list = [...ids, ids[0] as number, 99_000_000]
      await warm(test, byIds(list), byId(999))
      await db
        .update(products)
        .set({ views: sql`${products.views} + 1` })
        .where(eq(products.id, 1000))
      count.reset()
      const rows = await byIds(list)(db)
      expect(rows).toEqual(
        await test.outside.select().from(products).where(inArray(products.id, list)).orderBy(products.id),
      )
      // One statement, for the one row that fell.
      expect(count.statements.map(({ params }) => params)).toEqual([[1000]])
      await expectHits(test, byIds(list), byId(999))
    }
  })

  it('B19: an in-list of 5,000 ids is not composed from records, and is right', async () => {
    const ids = Array.from({ length: 5000 }, (_, i) => i + 1)
    const { db } = test
    const before = (await byIds(ids)(db)) as { id: number }[]
    expect(before).toHaveLength(await test.outside.$count(products, inArray(products.id, ids)))
    await db.update(products).set({ name: 'B19' }).where(inArray(products.id, ids))
    const after = (await db.select().from(products).where(inArray(products.id, ids)).orderBy(products.id)) as {
      name: string
    }[]
    expect(after.every(({ name }) => name === 'B19')).toBe(true)
  })

  it('B21, 50: NULL equals nothing: in a unique key, in a filter and in a list', async () => {
    const { db, events } = test
    await db.insert(products).values([
      { sku: 'null-1', shop: 7, slot: null },
      { sku: 'null-2', shop: 7, slot: null },
    ])
    await warm(test, bySku('null-1'), bySku('null-2'), bySlot(7, 'slot 0'))
    events.length = 0
    await db.update(products).set({ slot: 'was null' }).where(eq(products.sku, 'null-1'))
    await expectFallen(test, bySku('null-1'))
    await expectHits(test, bySku('null-2'), bySlot(7, 'slot 0'))
    await warm(test, bySlot(7, 'was null'))
    await db.update(products).set({ slot: null }).where(eq(products.sku, 'null-1'))
    await expectFallen(test, bySlot(7, 'was null'))
    expect(fallenTables(events)).toEqual([])
    const oddities: Read<Schema>[] = [
      (d) => d.select().from(products).where(eq(products.id, sql`null`)),
      (d) =>
        d
          .select()
          .from(products)
          .where(eq(products.slot, null as unknown as string)),
      (d) =>
        d
          .select()
          .from(products)
          .where(inArray(products.id, [1, null as unknown as number])),
      (d) =>
        d
          .select()
          .from(products)
          .where(and(eq(products.id, 1), eq(products.slot, null as unknown as string))),
      (d) =>
        d
          .select()
          .from(products)
          .where(and(eq(products.id, 1), inArray(products.slot, ['slot 1', null as unknown as string]))),
      (d) =>
        d
          .select()
          .from(products)
          .where(and(eq(products.id, 1), sql`${products.slot} is distinct from 'slot 1'`)),
      (d) =>
        d
          .select()
          .from(products)
          .where(and(eq(products.id, 1), sql`${products.shop} not in (5, null)`)),
    ]
    for (const read of oddities)
      for (let turn = 0; turn < 2; turn++) expect(await read(db)).toEqual(await read(test.outside))
  })

  it('B22: the same email in a deleted and a live row: a partial unique index is no key, and both rows are right', async () => {
    const { db } = test
    const byEmail: Read<Schema> = (d) => d.select().from(drafts).where(eq(drafts.email, 'a@x')).orderBy(drafts.id)
    const explained = await db.$aside.explain(db.select().from(drafts).where(eq(drafts.email, 'a@x')))
    // Its rows are no records: the answer is kept as a whole.
    expect(explained.plan).toBe('result')
    expect(await byEmail(db)).toHaveLength(2)
    const byDraft =
      (id: number): Read<Schema> =>
      (d) =>
        d.select().from(drafts).where(eq(drafts.id, id))
    await warm(test, byDraft(1), byDraft(2), byDraft(3))
    // Soft delete of the live one, and a new live one of the same email.
    await db
      .update(drafts)
      .set({ deleted: 1 })
      .where(and(eq(drafts.email, 'a@x'), sql`${drafts.deleted} is null`))
    await expectFallen(test, byDraft(2))
    await expectHits(test, byDraft(1), byDraft(3))
    await warm(test, byDraft(4))
    await db
      .insert(drafts)
      .values({ email: 'a@x' })
      .onConflictDoUpdate({ target: drafts.email, targetWhere: sql`deleted is null`, set: { email: 'a@x' } })
    await expectFallen(test, byDraft(4))
    await expectHits(test, byDraft(1), byDraft(2), byDraft(3))
  })

  it('composite primary keys fall and hit by all their columns', async () => {
    const { db } = test
    const seat =
      (hall: number, number: number): Read<Schema> =>
      (d) =>
        d
          .select()
          .from(seats)
          .where(and(eq(seats.seat, number), eq(seats.hall, hall)))
    const several: Read<Schema> = (d) =>
      d
        .select()
        .from(seats)
        .where(or(and(eq(seats.hall, 1), eq(seats.seat, 2)), and(eq(seats.hall, 2), eq(seats.seat, 1))))
    await warm(test, seat(1, 2), seat(2, 1), seat(1, 1), several)
    await db
      .update(seats)
      .set({ guest: 'moved' })
      .where(and(eq(seats.hall, 1), eq(seats.seat, 2)))
    await expectFallen(test, seat(1, 2))
    await expectHits(test, seat(2, 1), seat(1, 1), several)
    await db.delete(seats).where(eq(seats.hall, 2))
    await expectFallen(test, seat(2, 1))
    await expectHits(test, seat(1, 1), seat(1, 2), several)
  })

  it('composite unique keys fall by their old and their new values', async () => {
    const { db } = test
    await warm(test, bySlot(20, 'slot 1'), bySlot(20, 'slot 2'), bySlot(21, 'slot 1'), bySlot(20, 'free'))
    await db.update(products).set({ slot: 'free' }).where(eq(products.sku, 'S201'))
    await expectFallen(test, bySlot(20, 'slot 1'), bySlot(20, 'free'))
    await expectHits(test, bySlot(20, 'slot 2'), bySlot(21, 'slot 1'))
  })

  // Last: from here on PostgreSQL 15 knows that keys of this table move, and widens.
  it('B7, 41: a primary key that is updated leaves no answer under its old or its new value', async () => {
    const { db, events } = test
    await warm(test, byId(71), byId(70_071), byId(72))
    await db.update(products).set({ id: 70_071 }).where(eq(products.id, 71))
    if (line === 18) await expectHits(test, byId(72))
    else expect(fallenTables(events)).toContain('products: key-update')
    await expectFallen(test, byId(71), byId(70_071))
    await warm(test, byId(72))
    // Swapping two keys in one statement.
    await db
      .update(products)
      .set({ sku: sql`case ${products.id} when 73 then 'S74x' else 'S73x' end` })
      .where(inArray(products.id, [73, 74]))
    expect((await db.select().from(products).where(eq(products.sku, 'S74x')))[0]?.id).toBe(73)
  })
})
