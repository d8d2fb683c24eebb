/** `stats().bounds`: each bound that a query met is counted, and the query is answered all the same. */
import { type BoundCounts, cached } from 'drizzle-aside'
import { asc, eq, inArray, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openPglite } from '../../support/open-app.ts'

const posts = pgTable('posts', {
  id: integer('id').primaryKey(),
  authorId: integer('author_id').notNull(),
  body: text('body').notNull(),
})
const authors = pgTable('authors', { id: integer('id').primaryKey(), name: text('name') })
const lines = pgTable('lines', { id: integer('id').primaryKey(), n: integer('n').notNull() })
const wide = pgTable('wide', { id: integer('id').primaryKey(), c9: integer('c9') })

const columns = Array.from({ length: 18 }, (_, at) => `c${at}`)
const setUp = `create table posts (id integer primary key, author_id integer not null, body text not null);
  create index on posts (author_id);
  insert into posts select n, n, case when n = 20 then repeat('x', 3000) else 'x' end from generate_series(1, 20) n;
  create table authors (id integer primary key, name text);
  create table lines (id integer primary key, n integer not null);
  insert into lines select n, n from generate_series(1, 600) n;
  create table wide (id integer primary key, ${columns.map((name) => `${name} integer`).join(', ')});
  ${columns.map((name) => `create index on wide (${name});`).join(' ')}`

let app: Awaited<ReturnType<typeof openPglite>>
beforeAll(async () => {
  const small = { maxRows: 17, maxBytes: 2000, maxTouched: 3 }
  const tables = [cached(posts, small), cached(authors), cached(lines), cached(wide, { lists: (t) => [t.c9] })]
  app = await openPglite({ setUp, namespace: 'bounds', tables })
})
afterAll(() => app.close())

const numbers = (count: number, first = 1) => Array.from({ length: count }, (_, at) => first + at)
const of = (ids: readonly number[]) =>
  app.db.select().from(posts).where(inArray(posts.authorId, ids)).orderBy(asc(posts.id))
const bounds = () => app.db.$aside.stats().bounds

/** Which bounds were met meanwhile, and how often. */
async function met(run: () => Promise<unknown>): Promise<Partial<BoundCounts>> {
  const before = bounds()
  await run()
  const names = Object.keys(before) as (keyof BoundCounts)[]
  const grown = names.map((name) => [name, bounds()[name] - before[name]] as const)
  return Object.fromEntries(grown.filter(([, times]) => times > 0))
}

it('counts answers of too many stamps, which are kept, and of too many rows or bytes, which are not', async () => {
  const state = async (ids: readonly number[]) => (await app.db.$aside.explain(of(ids))).state
  expect(await met(() => of(numbers(16)))).toEqual({})
  expect(await met(() => of(numbers(17)))).toEqual({ stamps: 1 })
  expect(await met(() => of(numbers(17)))).toEqual({})
  expect(await state(numbers(17))).toBe('hit')
  expect(await met(() => of(numbers(18)))).toEqual({ maxRows: 1 })
  expect(await state(numbers(18))).toBe('miss')
  expect(await met(() => of([20]))).toEqual({ maxBytes: 1 })
  expect(await state([20])).toBe('miss')
})

it('counts lists of more keys than are read row by row', async () => {
  const byKey = (count: number) =>
    app.db
      .select()
      .from(posts)
      .where(inArray(posts.id, numbers(count, 5)))
  expect(await met(() => byKey(1000))).toEqual({ maxBytes: 1 })
  expect(await met(() => byKey(1001))).toEqual({ listKeys: 1, maxBytes: 1 })
  expect(await met(async () => app.db.$aside.explain(byKey(1001)))).toEqual({})
})

it('counts answers whose rows name more partners than there is room for, when they are kept', async () => {
  const joined = (count: number) =>
    app.db
      .select({ id: posts.id, name: authors.name })
      .from(posts)
      .leftJoin(authors, eq(authors.id, posts.authorId))
      .orderBy(asc(posts.id))
      .limit(count)
  // Beside the partners there is the stamp of all posts.
  for (const expected of [{}, {}, {}]) expect(await met(() => joined(15))).toEqual(expected)
  for (const expected of [{}, { learnedStamps: 1 }, {}]) expect(await met(() => joined(16))).toEqual(expected)
})

it('counts tables that fell because a write would have removed too many keys', async () => {
  const { db } = app
  const change = (most: number) => db.update(lines).set({ n: 0 }).where(sql`${lines.id} <= ${most}`)
  expect(await met(() => change(511))).toEqual({})
  expect(await met(() => change(512))).toEqual({ writeKeys: 1 })
})

it('counts what foreign keys and indexes suggest and a table has no room for, unless it is listed', () => {
  const told = app.told.of('listRefused').map(({ table, columns: own, reason }) => [table, ...own, reason].join(' '))
  expect(told).toEqual(['wide c7 too-many-schemes', 'wide c8 too-many-schemes'])
  expect(bounds().schemes).toBe(2)
})

const firstRows = (count: number) => sql`${posts.id} <= ${count}`

it('counts tables that fell because a write touched more rows than maxTouched, and not one more', async () => {
  const change = (count: number) => app.db.update(posts).set({ body: 'y' }).where(firstRows(count))
  expect(await met(() => change(3))).toEqual({})
  expect(await met(() => change(4))).toEqual({ maxTouched: 1 })
  expect(await met(() => change(10))).toEqual({ maxTouched: 1 })
})

it('the bound is the same whatever form the rows come in: by key, with RETURNING, inserted, deleted', async () => {
  const { db } = app
  const write = async (count: number): Promise<void> => {
    const rows = numbers(count).map((id) => ({ id: 100 + id, authorId: id, body: 'x' }))
    await db
      .update(posts)
      .set({ body: 'y' })
      .where(inArray(posts.id, numbers(count)))
    await db.update(posts).set({ body: 'y' }).where(firstRows(count)).returning()
    await db.insert(posts).values(rows).returning()
    await db.delete(posts).where(sql`${posts.id} > 100`)
  }
  expect(await met(() => write(3))).toEqual({})
  expect(await met(() => write(4))).toEqual({ maxTouched: 4 })
})
