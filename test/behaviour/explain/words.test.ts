/**
 * What `explain` says in words: read by people, so names of tables and keys stand in it as they are written in SQL.
 */
import { PGlite } from '@electric-sql/pglite'
import { cached, withCache } from 'drizzle-aside'
import { eq, gt, inArray, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { drizzle } from 'drizzle-orm/pglite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const goods = pgTable('goods', {
  id: integer('id').primaryKey(),
  slug: text('slug').notNull().unique(),
  price: integer('price').notNull(),
})
const notes = pgTable('notes', { id: integer('id').primaryKey() })

const tables = `
  create table goods (id integer primary key, slug text not null unique, price integer not null);
  create table notes (id integer primary key);
  insert into goods values (1, 'one', 1), (2, 'two', 2);
`

async function openShop() {
  const client = await PGlite.create()
  await client.exec(tables)
  const db = withCache(drizzle(client), { namespace: 'explain-words', tables: [cached(goods, { ttl: '10m' })] })
  await db.$aside.ready()
  return { client, db }
}

describe('explain in words', () => {
  let shop: Awaited<ReturnType<typeof openShop>>
  beforeAll(async () => {
    shop = await openShop()
  })
  afterAll(async () => {
    await shop.db.$aside.close()
    await shop.client.close()
  })
  const told = async (query: { getSQL(): unknown }): Promise<string[]> =>
    String(await shop.db.$aside.explain(query)).split('\n')

  it('tells a hit by key, what it rests on and how long it is kept', async () => {
    const { db } = shop
    const query = db.select({ price: goods.price }).from(goods).where(eq(goods.id, 1))
    await query
    expect(await told(query)).toEqual([
      'read from goods by primary key (id): hit',
      '  now          the row from the store in one call, no SQL',
      '  depends on   goods[id=1], goods (epoch)',
      '  kept for     10 min, or until a write to this row',
    ])
  })

  it('counts what a list finds in the store and what it asks the database for', async () => {
    const { db } = shop
    await db.select().from(goods).where(eq(goods.id, 1))
    const explained = await db.$aside.explain(
      db
        .select()
        .from(goods)
        .where(inArray(goods.id, [1, 7, 8])),
    )
    expect(explained).toMatchObject({ state: 'partial', keys: 3, cachedKeys: 1 })
    expect(explained.dependsOn).toEqual(['goods[id=1]', 'goods[id=7]', 'goods[id=8]', 'goods (epoch)'])
    expect(String(explained)).toContain('1 of 3 rows from the store, 2 by one SQL query')
  })

  it('says what a list rests on, and why it is not less', async () => {
    const { db } = shop
    const lines = await told(db.select().from(goods).where(gt(goods.price, 1)))
    expect(lines[0]).toBe('list from goods: miss')
    expect(lines).toContain('  depends on   goods (table)')
    expect(lines.join('\n')).toContain('as a whole   goods: its conditions are more than equalities')
  })

  it('says of a table that is not listed what to do', async () => {
    expect(await told(shop.db.select().from(notes).where(eq(notes.id, 1)))).toContain(
      '  what to do   add cached(table)',
    )
  })

  it('knows the switch of the query itself', async () => {
    const query = shop.db.select().from(goods).where(eq(goods.id, 1)).$withCache(false)
    expect((await shop.db.$aside.explain(query)).reason).toBe('cache-false')
  })

  it('names the rows that a write removes, by all their keys', async () => {
    const { db } = shop
    const explained = await db.$aside.explain(db.update(goods).set({ slug: 'uno' }).where(eq(goods.id, 1)))
    expect(explained.invalidates).toEqual([
      'goods[id=1]',
      'goods[slug=…] of each touched row, the old and the new value',
    ])
    expect(String(explained).split('\n')[0]).toBe('update goods: removes exactly the rows that it touches')
  })

  it('says that a write to tables outside the cache removes nothing', async () => {
    expect((await told(shop.db.insert(notes).values({ id: 1 })))[0]).toBe('insert into notes: removes nothing')
  })

  it('says of raw SQL that it is not cached, and what to use', async () => {
    const [title] = await told(sql`select * from goods where id = 1`)
    expect(title).toBe('read: not from the cache (raw-sql)')
  })

  it('runs nothing: explaining a write changes no row', async () => {
    const { db } = shop
    await db.$aside.explain(db.delete(goods))
    expect(await db.$count(goods)).toBe(2)
  })
})
