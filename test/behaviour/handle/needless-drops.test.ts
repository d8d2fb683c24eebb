/** `stats().needlessDrops`: which columns drop answers that do not read them, and the line that ends it. */
import { cached, memoryStore, type TableEntry } from 'drizzle-aside'
import { count, eq, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../../harness/databases.ts'
import { outside } from '../../support/items.ts'
import { openApp } from '../../support/open-app.ts'

const posts = pgTable('posts', {
  id: integer().primaryKey(),
  authorId: integer('author_id').notNull(),
  title: text().notNull(),
  'view-count': integer('view_count').notNull().default(0),
  likes: integer().notNull().default(0),
  seenAt: integer('seen_at')
    .notNull()
    .default(0)
    .$onUpdate(() => 1),
})
const scored = pgTable('scored', { id: integer().primaryKey(), likes: integer().notNull(), note: text() })
const scoredWhole = pgTable('scored', {
  id: integer().primaryKey(),
  likes: integer().notNull(),
  note: text(),
  score: integer().generatedAlwaysAs(sql`likes * 2`),
})
const touched = pgTable('touched', { id: integer().primaryKey(), likes: integer().notNull(), note: text() })
const schema = { posts, scoredWhole }

const ddl = `
  create table posts (id int primary key, author_id int not null, title text not null, view_count int not null default 0,
    likes int not null default 0, seen_at int not null default 0);
  create index on posts (author_id);
  insert into posts (id, author_id, title) select n, n % 3, 'title ' || n from generate_series(1, 9) n;
  create table scored (id int primary key, likes int not null, note text, score int generated always as (likes * 2) stored);
  insert into scored values (1, 0, 'x');
  create table touched (id int primary key, likes int not null, note text);
  create function touch() returns trigger language plpgsql as 'begin return new; end';
  create trigger early before update on touched for each row execute function touch();
  insert into touched values (1, 0, 'x');`

/** The entry of `tables` that a line of stats() makes, pasted as it is. */
const pasted = (advice: string | undefined): TableEntry =>
  new Function('cached', 'posts', 'scored', `return ${advice}`)(cached, posts, scoredWhole)

describe.each([15, 18] as const)('PostgreSQL %i', (line) => {
  let database: FreshDatabase
  const apps: { close(): Promise<void> }[] = []
  beforeEach(async () => {
    database = await freshDatabase(line)
    await outside(database.url, ddl)
  })
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close()
    await database.drop()
  })

  async function open(tables: readonly TableEntry[] | 'all', store = memoryStore()) {
    const app = await openApp({ url: database.url, schema, store, namespace: 'needless', tables })
    apps.push(app)
    return app
  }
  type App = Awaited<ReturnType<typeof open>>

  const titles = ({ db }: App, author = 1) =>
    db.select({ title: posts.title }).from(posts).where(eq(posts.authorId, author)).orderBy(posts.id)
  const counted = ({ db }: App) => db.select({ all: count() }).from(posts)
  const liked = ({ db }: App) => db.select({ likes: posts.likes }).from(posts).where(eq(posts.authorId, 1))
  const viewed = ({ db }: App, id = 1) => db.update(posts).set({ 'view-count': id }).where(eq(posts.id, id))
  const like = ({ db }: App, id = 1) => db.update(posts).set({ likes: id }).where(eq(posts.id, id))
  const told = ({ db }: App) =>
    db.$aside.stats().needlessDrops.map(({ columns, count: times }) => `${columns} ${times}`)
  const advised = ({ db }: App, at = 0) => db.$aside.stats().needlessDrops[at]?.advice

  /** Two answers that are read again after each view of a post; how often the database was asked for them. */
  async function stream(app: App): Promise<number> {
    const before = app.db.$aside.stats().misses
    for (let round = 0; round < 4; round++) {
      expect([await titles(app), await counted(app)]).toMatchObject([{ length: 3 }, [{ all: 9 }]])
      await viewed(app)
    }
    return app.db.$aside.stats().misses - before
  }

  it('the columns are named, and with the line pasted the same stream drops nothing', async () => {
    const app = await open([cached(posts)])
    expect(app.db.$aside.stats().needlessDrops).toEqual([])
    expect(await stream(app)).toBe(8)
    const advice = 'cached(posts, { facets: (t) => ({ seenAt: [t.seenAt, t["view-count"]] }) })'
    const columns = ['seen_at', 'view_count']
    expect(app.db.$aside.stats().needlessDrops).toEqual([{ table: 'public.posts', columns, count: 6, advice }])
    expect(app.told.of('needlessDrop')).toHaveLength(6)

    const grouped = await open([pasted(advice)])
    expect(await stream(grouped)).toBe(2)
    expect(told(grouped)).toEqual([])
  })

  it('what is read in any place, rows that come and go, and what fell for more than that, is no needless drop', async () => {
    const app = await open([cached(posts)])
    const { db } = app
    const byViews = () => db.select({ id: posts.id }).from(posts).orderBy(posts['view-count'], posts.id)
    const seen = () => db.select({ all: count() }).from(posts).where(sql`${posts.seenAt} >= 0`)
    const ofOne = () => db.select({ all: count() }).from(posts).where(eq(posts.id, 1))
    const writes = [
      () => viewed(app),
      () => db.insert(posts).values({ id: 50, authorId: 7, title: 'new' }),
      () => db.delete(posts).where(eq(posts.id, 50)),
    ]
    for (const write of writes) {
      for (const read of [byViews, seen, ofOne]) await read()
      await write()
    }
    for (const read of [byViews, seen, ofOne]) await read()
    expect(told(app)).toEqual([])

    await counted(app)
    await db.insert(posts).values({ id: 51, authorId: 7, title: 'new' })
    await viewed(app)
    await counted(app)
    await viewed(app)
    await db.$aside.invalidate(posts)
    await counted(app)
    expect(told(app)).toEqual([])
    await viewed(app)
    await counted(app)
    expect(told(app)).toEqual(['seen_at,view_count 1'])
  })

  it('groups that are there are kept, and split where one column drops answers that read another', async () => {
    const declared = cached(posts, { facets: (t) => ({ counters: [t.likes, t['view-count']], seen: [t.seenAt] }) })
    const app = await open([declared])
    await liked(app)
    await viewed(app)
    await liked(app)
    const advice =
      'cached(posts, { facets: (t) => ({ counters: [t.likes], "view-count": [t["view-count"]], seen: [t.seenAt] }) })'
    expect([told(app), advised(app)]).toEqual([['seen_at,view_count 1'], advice])

    const split = await open([pasted(advice)])
    await liked(split)
    await viewed(split)
    await liked(split)
    expect([told(split), split.db.$aside.stats().misses]).toEqual([[], 1])
  })

  it('those with most drops stand first, and a line holds the groups of the items above it', async () => {
    const app = await open([cached(posts)])
    for (const write of [like, viewed, viewed, viewed]) {
      await titles(app)
      await write(app)
    }
    await titles(app)
    expect(told(app)).toEqual(['seen_at,view_count 3', 'likes,seen_at 1'])
    const both = await open([pasted(advised(app, 1))])
    for (const read of [titles, counted]) await read(both)
    for (const write of [viewed, like]) {
      await write(both)
      for (const read of [titles, counted]) await read(both)
    }
    expect([told(both), both.db.$aside.stats().misses]).toEqual([[], 2])
  })

  it('a transaction counts as what it has changed in all, and only if it commits', async () => {
    const app = await open([cached(posts)])
    const { db } = app
    const inOne = async (...writes: ((tx: App) => PromiseLike<unknown>)[]) => {
      await titles(app)
      await db.transaction(async (tx) => {
        for (const write of writes) await write({ ...app, db: tx as unknown as App['db'] })
      })
      await titles(app)
    }
    await inOne(viewed, ({ db: tx }) => tx.insert(posts).values({ id: 60, authorId: 1, title: 'new' }))
    await expect(inOne(viewed, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(told(app)).toEqual([])
    await inOne(viewed, like)
    expect(told(app)).toEqual(['likes,seen_at,view_count 1'])
  })

  it('what no group could spare is not counted: a BEFORE trigger may change any column', async () => {
    const app = await open([cached(touched, { affects: [] })])
    const notes = () => app.db.select({ note: touched.note }).from(touched)
    await notes()
    await app.db.update(touched).set({ likes: 1 })
    await notes()
    expect([told(app), app.db.$aside.stats().misses]).toEqual([[], 2])
  })

  it('a column that the table object does not declare can stand in no line', async () => {
    const run = async (table: typeof scored, entry: TableEntry): Promise<App> => {
      const app = await open([entry])
      await app.db.select({ note: table.note }).from(table)
      await app.db.update(table).set({ likes: 1 })
      await app.db.select({ note: table.note }).from(table)
      return app
    }
    const without = await run(scored, cached(scored))
    expect([told(without), advised(without)]).toEqual([['likes,score 1'], undefined])
    const whole = scoredWhole as unknown as typeof scored
    const advice = advised(await run(whole, cached(scoredWhole)))
    expect(advice).toBe('cached(scored, { facets: (t) => ({ likes: [t.likes, t.score] }) })')
    expect(told(await run(whole, pasted(advice)))).toEqual([])
  })

  it('wraps over one store see what each other writes; with all tables, those of the schema are known', async () => {
    const store = memoryStore()
    const reader = await open('all', store)
    const writer = await open('all', store)
    await titles(reader)
    await viewed(writer)
    await titles(reader)
    expect([told(reader), told(writer)]).toEqual([['seen_at,view_count 1'], []])
    expect(pasted(advised(reader)).table).toBe(posts)
  })
})
