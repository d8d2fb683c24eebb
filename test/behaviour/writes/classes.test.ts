/** Which stamps of classes, facets and the whole table a write removes. */
import { aside, cached } from 'drizzle-aside'
import { eq, gt, sql } from 'drizzle-orm'
import { date, integer, numeric, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type RemovingStore, removingStore } from '../../support/removed-stamps.ts'
import { openWrapped, type WrappedDatabase } from '../../support/wrapped-database.ts'

const posts = pgTable('posts', {
  id: integer().primaryKey(),
  authorId: integer('author_id'),
  status: text().notNull(),
  day: date(),
  title: text(),
  views: integer().notNull().default(0),
  likes: integer().notNull().default(0),
  price: numeric(),
  secret: text(),
})
const touched = pgTable('touched', { id: integer().primaryKey(), owner: integer(), hits: integer() })
const schema = { posts, touched }
type Schema = typeof schema

const ddl = `
  create table authors (id int primary key);
  insert into authors select generate_series(1, 9);
  create table posts (id int primary key, author_id int references authors, status text not null, day date, title text,
    views int not null default 0, likes int not null default 0, price numeric, secret text);
  create index on posts (day);
  create index on posts (price);
  create index on posts (secret);
  create table touched (id int primary key, owner int, hits int default 0);
  create function touch() returns trigger language plpgsql as 'begin return new; end';
  create trigger early before update on touched for each row execute function touch();
  insert into touched values (1, 1);
`

describe.each([15, 18] as const)('PostgreSQL %i', (line) => {
  let test: WrappedDatabase<Schema>
  let spy: RemovingStore
  beforeAll(async () => {
    spy = removingStore()
    const tables = [
      cached(posts, {
        lists: (t) => [[t.authorId, t.status], t.price],
        facets: (t) => ({ counters: [t.views, t.likes], money: [t.price] }),
        sensitive: (t) => [t.secret],
      }),
      cached(touched, { lists: (t) => [t.owner], facets: (t) => ({ hits: [t.hits] }), affects: [] }),
    ]
    test = await openWrapped(line, { ddl, schema, tables, store: spy.store })
  })
  afterAll(() => test.close())
  beforeEach(async () => {
    await test.run(`delete from posts; insert into posts (id, author_id, status) values (1, 1, 'new'), (2, 2, 'new')`)
    spy.removed()
  })
  const post = { id: 5, authorId: 3, status: 'new', day: '2024-02-29' }
  const ofPost = [
    'posts id=5',
    'posts[] main',
    'posts[author_id=3,status=new] main',
    'posts[author_id=3] main',
    'posts[day=2024-02-29] main',
  ]

  it('an insert and a delete: main of every class of the row and of the whole table', async () => {
    await test.db.insert(posts).values(post)
    expect(spy.removed()).toEqual(ofPost)
    await test.db.delete(posts).where(eq(posts.id, 5))
    expect(spy.removed()).toEqual(ofPost)
  })

  it('B12: a row that moves leaves its old classes and enters new ones', async () => {
    await test.db.update(posts).set({ status: 'old', authorId: null }).where(eq(posts.id, 1))
    expect(spy.removed()).toEqual([
      'posts id=1',
      'posts[] main',
      'posts[author_id=1,status=new] main',
      'posts[author_id=1] main',
      'posts[author_id=null,status=old] main',
      'posts[author_id=null] main',
      'posts[day=null] main',
    ])
  })

  it('B12, 48: a counter removes its group of the classes of the row, and leaves main', async () => {
    await test.db.update(posts).set({ views: 7 }).where(eq(posts.id, 1))
    expect(spy.removed()).toEqual([
      'posts id=1',
      'posts[] likes+views',
      'posts[author_id=1,status=new] likes+views',
      'posts[author_id=1] likes+views',
      'posts[day=null] likes+views',
    ])
  })

  it('two groups at once, and a group beside other columns', async () => {
    await test.db.update(posts).set({ views: 7, price: '1' }).where(eq(posts.id, 1))
    expect(spy.removed().filter((key) => key.startsWith('posts[]'))).toEqual(['posts[] likes+views', 'posts[] price'])
    await test.db.update(posts).set({ views: 7, title: 'x' }).where(eq(posts.id, 1))
    expect(spy.removed().filter((key) => key.startsWith('posts[]'))).toEqual(['posts[] main'])
  })

  it('an upsert that counts removes main only for the row that it inserts', async () => {
    const count = (id: number) =>
      test.db
        .insert(posts)
        .values({ ...post, id })
        .onConflictDoUpdate({ target: posts.id, set: { views: sql`${posts.views} + 1` } })
    await count(5)
    expect(spy.removed()).toEqual(ofPost)
    await count(5)
    expect(spy.removed()).toEqual(ofPost.map((key) => key.replace('main', 'likes+views')))
  })

  it('under a BEFORE trigger any column may have changed', async () => {
    await test.db.update(touched).set({ hits: 1 }).where(eq(touched.id, 1))
    expect(spy.removed()).toEqual(['touched id=1', 'touched[] main', 'touched[owner=1] main'])
  })

  it('F14: a write that touches no row removes nothing', async () => {
    await test.db.update(posts).set({ status: 'old' }).where(eq(posts.id, 99))
    await test.db.delete(posts).where(gt(posts.id, 99))
    expect(spy.removed()).toEqual([])
  })

  it('a value without a token drops the table', async () => {
    await test.db.update(posts).set({ day: 'infinity' }).where(eq(posts.id, 1))
    expect(spy.removed()).toEqual(['posts epoch'])
  })

  it('58: a transaction removes at its commit what all its statements did, each stamp once', async () => {
    await test.db.transaction(async (tx) => {
      await tx.insert(posts).values(post)
      await tx.update(posts).set({ views: 1 }).where(eq(posts.id, 5))
      expect(spy.removed()).toEqual([])
    })
    expect(spy.removed()).toEqual(
      [...ofPost, ...ofPost.slice(1).map((key) => key.replace('main', 'likes+views'))].sort(),
    )
  })

  it('wrote() derives as a statement does; of what it was not told it drops the table', async () => {
    const { $aside } = test.db
    await $aside.wrote(posts, { new: post })
    expect(spy.removed()).toEqual(ofPost)
    await $aside.wrote(posts, { old: post, new: { ...post, authorId: 4 } })
    expect(spy.removed()).toEqual([...ofPost, 'posts[author_id=4,status=new] main', 'posts[author_id=4] main'].sort())
    await $aside.wrote(posts, { new: { id: 5, authorId: 3 } })
    expect(spy.removed()).toEqual(['posts epoch'])
    await test.db.transaction(async (tx) => {
      await aside(tx).wrote(posts, { old: post })
      expect(spy.removed()).toEqual([])
    })
    expect(spy.removed()).toEqual(ofPost)
  })

  it('invalidate() takes a key or the columns of a class, and then removes all its facets', async () => {
    const { $aside } = test.db
    await $aside.invalidate(posts, 5)
    expect(spy.removed()).toEqual(['posts id=5'])
    await $aside.invalidate(posts, { authorId: 3 })
    expect(spy.removed()).toEqual([
      'posts[author_id=3] likes+views',
      'posts[author_id=3] main',
      'posts[author_id=3] price',
    ])
    await $aside.invalidate(posts, { authorId: null, status: 'new' })
    expect(spy.removed()).toHaveLength(3)
    await $aside.invalidate(posts)
    expect(spy.removed()).toEqual(['posts epoch'])
    await expect($aside.invalidate(posts, { title: 'x' })).rejects.toThrow(/no key or list of these columns/)
  })

  it('a list on a column that can carry none is told once, and is no scheme', () => {
    expect(test.events.filter(({ type }) => type === 'listRefused')).toEqual([
      { type: 'listRefused', table: 'posts', columns: ['price'], reason: 'no-token' },
    ])
  })
})
