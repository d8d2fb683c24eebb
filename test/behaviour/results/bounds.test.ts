/** `stats().bounds`: each bound that a query met is counted, and the query is answered all the same. */
import { cached } from 'drizzle-aside'
import { asc, inArray, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openPglite } from '../../support/open-app.ts'

const posts = pgTable('posts', {
  id: integer('id').primaryKey(),
  authorId: integer('author_id').notNull(),
  body: text('body').notNull(),
})
const setUp = `create table posts (id integer primary key, author_id integer not null, body text not null);
  create index on posts (author_id);
  insert into posts select n, n, case when n = 20 then repeat('x', 3000) else 'x' end from generate_series(1, 20) n;`

let app: Awaited<ReturnType<typeof openPglite>>
beforeAll(async () => {
  const tables = [cached(posts, { maxRows: 17, maxBytes: 2000, maxTouched: 3 })]
  app = await openPglite({ setUp, namespace: 'bounds', tables })
})
afterAll(() => app.close())

const authors = (count: number) => Array.from({ length: count }, (_, at) => at + 1)
const of = (ids: readonly number[]) =>
  app.db.select().from(posts).where(inArray(posts.authorId, ids)).orderBy(asc(posts.id))
const bounds = () => app.db.$aside.stats().bounds

it('counts answers of too many stamps, which are kept, and of too many rows or bytes, which are not', async () => {
  const { db } = app
  const state = async (ids: readonly number[]) => (await db.$aside.explain(of(ids))).state
  expect(await of(authors(16))).toHaveLength(16)
  expect(bounds()).toEqual({ maxRows: 0, maxBytes: 0, stamps: 0, maxTouched: 0 })
  expect(await of(authors(17))).toHaveLength(17)
  expect(await of(authors(17))).toHaveLength(17)
  expect([bounds(), await state(authors(17))]).toEqual([{ maxRows: 0, maxBytes: 0, stamps: 1, maxTouched: 0 }, 'hit'])
  expect(await of(authors(18))).toHaveLength(18)
  expect([bounds().maxRows, await state(authors(18))]).toEqual([1, 'miss'])
  expect(await of([20])).toHaveLength(1)
  expect([bounds().maxBytes, await state([20])]).toEqual([1, 'miss'])
})

const firstRows = (count: number) => sql`${posts.id} <= ${count}`

it('counts tables that fell because a write touched more rows than maxTouched, and not one more', async () => {
  const { db } = app
  await db.update(posts).set({ body: 'y' }).where(firstRows(3))
  expect(bounds().maxTouched).toBe(0)
  await db.update(posts).set({ body: 'z' }).where(firstRows(4))
  expect(bounds().maxTouched).toBe(1)
  await db.update(posts).set({ body: 'z' }).where(firstRows(10))
  expect(bounds().maxTouched).toBe(2)
})

it('the bound is the same whatever form the rows come in: by key, with RETURNING, inserted, deleted', async () => {
  const { db } = app
  const fallenBy = async (count: number): Promise<number> => {
    const before = bounds().maxTouched
    const rows = authors(count).map((id) => ({ id: 100 + id, authorId: id, body: 'x' }))
    await db
      .update(posts)
      .set({ body: 'y' })
      .where(inArray(posts.id, authors(count)))
    await db.update(posts).set({ body: 'y' }).where(firstRows(count)).returning()
    await db.insert(posts).values(rows).returning()
    await db.delete(posts).where(sql`${posts.id} > 100`)
    return bounds().maxTouched - before
  }
  expect([await fallenBy(3), await fallenBy(4)]).toEqual([0, 4])
})
