/**
 * Whose answer is it (SCENARIOS E) where lists, joins, aggregates and relational queries are kept as a whole. E2 is
 * `fault/store-faults.test.ts`, E5 and E6 are `safety/exact-values.test.ts`.
 *
 * Two cannot arise:
 * - E4: Drizzle reads no PostgreSQL answer row by row (`.iterator()` is MySQL's), so none can be abandoned half-way;
 * - E10: no index of keys is kept beside the rows: the entry of a list holds its rows as the database gave them.
 */
import { cached, memoryStore, type Store } from 'drizzle-aside'
import { and, asc, count, eq, gt, inArray, max, sql } from 'drizzle-orm'
import { alias, index, integer, pgTable, serial, text } from 'drizzle-orm/pg-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../../harness/databases.ts'
import { gate } from '../../harness/gates.ts'
import { hostileTexts } from '../../support/hostile-texts.ts'
import { outside } from '../../support/items.ts'
import { type AppOptions, openApp, openSingle } from '../../support/open-app.ts'
import {
  authors,
  born,
  byAuthor,
  comments,
  list,
  mainKinds,
  posts,
  type Scene,
  type SceneDb,
  type SceneRead,
  scene,
  sceneRows,
  sceneSetUp,
  sceneTables,
  setPost,
} from '../../support/results-scene.ts'

const words = pgTable('words', { id: serial().primaryKey(), w: text().notNull(), v: integer().notNull() }, (t) => [
  index().on(t.w),
])
const pairs = pgTable('pairs', { id: serial().primaryKey(), a: text().notNull(), b: text().notNull() })
const secured = pgTable('secured', { id: integer().primaryKey(), owner: text().notNull(), kind: integer() })

type App = Awaited<ReturnType<typeof openApp<Scene>>>
let database: FreshDatabase
let store: Store
let opened: { close(): Promise<void> }[]

beforeAll(async () => {
  database = await freshDatabase()
  await outside(
    database.url,
    `${sceneSetUp}
    create table words (id serial primary key, w text not null, v int not null);
    create index on words (w);
    create table pairs (id serial primary key, a text not null, b text not null);
    create table secured (id int primary key, owner text not null, kind int);
    create index on secured (kind);
    insert into secured select n, 'lists_' || n % 2, 1 from generate_series(1, 4) n;
    create role lists_0 nologin; create role lists_1 nologin;
    grant all on secured to lists_0, lists_1;
    alter table secured enable row level security;
    alter table secured force row level security;
    create policy own on secured using (owner = current_user);
    create schema elsewhere;
    create table elsewhere.posts (like public.posts including all);
    create table elsewhere.authors (like public.authors including all);
    create table elsewhere.comments (like public.comments including all);`,
  )
})
afterAll(() => database.drop())
beforeEach(async () => {
  await outside(database.url, sceneRows)
  store = memoryStore()
  opened = []
})
afterEach(() => Promise.all(opened.map((app) => app.close())))

const tables = [
  ...sceneTables,
  cached(words),
  cached(pairs, { lists: (t) => [[t.a, t.b]] }),
  cached(secured, { lists: (t) => [t.kind] }),
]
const shared = () => ({ url: database.url, store, namespace: 'identity', tables, schema: scene })
async function open(options: Partial<AppOptions<Scene>> = {}): Promise<App> {
  const app = await openApp<Scene>({ ...shared(), ...options })
  opened.push(app)
  return app
}
const kinds = mainKinds.map((kind) => [kind.name, kind] as const)
/** Joins learn their partners with a first answer that is not kept. */
const keep = async (app: Pick<App, 'db'>, read: SceneRead): Promise<void> => {
  for (let turn = 0; turn < 2; turn++) await read(app.db)
  const { hits } = app.db.$aside.stats()
  await read(app.db)
  expect(app.db.$aside.stats().hits).toBe(hits + 1)
}

it('E1: lists by texts made of delimiters, lengths, digests and twins never meet', async () => {
  const app = await open()
  const rows = hostileTexts.flatMap((w, at) => [
    { w, v: at },
    { w, v: at + 100 },
  ])
  for (let at = 0; at < rows.length; at += 20) await app.db.insert(words).values(rows.slice(at, at + 20))
  const ofWord = (w: string) => app.db.select({ v: words.v }).from(words).where(eq(words.w, w)).orderBy(asc(words.id))
  for (const _ of ['miss', 'hit']) {
    for (const [at, w] of hostileTexts.entries()) expect(await ofWord(w)).toEqual([{ v: at }, { v: at + 100 }])
  }
  const { hits } = app.db.$aside.stats()
  expect(hits).toBe(hostileTexts.length)
  // A write to one drops that one and no other.
  await app.db.update(words).set({ v: 1000 }).where(eq(words.w, '1'))
  for (const [at, w] of hostileTexts.entries()) {
    expect(await ofWord(w)).toEqual(w === '1' ? [{ v: 1000 }, { v: 1000 }] : [{ v: at }, { v: at + 100 }])
  }
  expect(app.db.$aside.stats().hits).toBe(hits + hostileTexts.length - 1)
})

it('E1: lists by two texts that could be cut differently never meet, nor do lists of values', async () => {
  const app = await open()
  const parts = [
    '',
    ':',
    ',',
    '1',
    '1:1',
    '1:',
    ':1',
    'a',
    'a,',
    ',a',
    'a:b',
    '{}',
    '#',
    '0:',
    '2:ab',
    'as',
    'sa',
    'x'.repeat(65),
  ]
  const all = parts.flatMap((a) => parts.map((b) => ({ a, b })))
  await app.db.insert(pairs).values(all)
  const of = (a: string, b: string) =>
    app.db
      .select({ a: pairs.a, b: pairs.b })
      .from(pairs)
      .where(and(eq(pairs.b, b), eq(pairs.a, a)))
  const among = (...given: string[]) => app.db.$count(pairs, inArray(pairs.a, given))
  for (const _ of ['miss', 'hit']) {
    for (const { a, b } of all) expect(await of(a, b)).toEqual([{ a, b }])
    for (const [at, part] of parts.entries())
      expect(await among(part, parts[at - 1] ?? '')).toBe((at === 0 ? 1 : 2) * parts.length)
  }
  expect(app.db.$aside.stats().hits).toBe(all.length + parts.length)
})

it('E3: a projection, the whole list, its count and another name for its columns do not disturb each other', async () => {
  const app = await open()
  const where = eq(posts.authorId, 1)
  const reads: SceneRead[] = [
    (db) => db.select({ only: posts.title }).from(posts).where(where).orderBy(asc(posts.id)),
    byAuthor(1),
    (db) => db.select({ title: posts.title, only: posts.id }).from(posts).where(where).orderBy(asc(posts.id)),
    (db) =>
      db
        .select({ deep: { id: posts.id, title: posts.title } })
        .from(posts)
        .where(where)
        .orderBy(asc(posts.id)),
    (db) => db.$count(posts, where),
    (db) => db.query.posts.findMany({ where, columns: { title: true }, orderBy: asc(posts.id) }),
    (db) => db.query.posts.findMany({ where, columns: { title: false }, orderBy: asc(posts.id) }),
    (db) => db.query.posts.findMany({ where, orderBy: asc(posts.id), with: { comments: { columns: { id: true } } } }),
    (db) => db.query.posts.findMany({ where, orderBy: asc(posts.id), with: { comments: true } }),
  ]
  for (const read of [...reads, ...reads]) expect(await read(app.db)).toEqual(await read(app.plain))
  expect(app.db.$aside.stats().hits).toBe(reads.length)
  await setPost(1, { title: 'E3' })(app.db)
  for (const read of [...reads, ...reads]) expect(await read(app.db)).toEqual(await read(app.plain))
})

it.each(kinds)(
  'E7, F4: tenants share no %s, and one that is missing or cannot be told has none',
  async (_, { read, change }) => {
    let tenant: unknown
    const app = await open({
      scope: () => {
        if (tenant === 'throws') throw new Error('who is it?')
        return tenant
      },
    })
    const fills = () => app.db.$aside.stats().fills
    const scopes = [1, '1', 1n, true, 'true', 's1:1', '', 0, 't'.repeat(65), `${'t'.repeat(64)}u`]
    for (const scope of scopes) {
      tenant = scope
      const before = fills()
      await keep(app, read)
      expect(fills()).toBe(before + 1)
    }
    for (const scope of [undefined, null, 'throws', {}, Number.NaN, []]) {
      tenant = scope
      const before = fills()
      app.told.forget()
      await read(app.db)
      expect(fills()).toBe(before)
      expect(app.told.of('bypass')).toMatchObject([{ reason: 'no-scope' }])
    }
    await change(app.db)
    for (const scope of scopes) {
      tenant = scope
      expect(await read(app.db)).toEqual(await read(app.plain))
    }
  },
)

it('E7, F4, 53: lists and joins of a table with row security are not kept without a scope, and for each scope with one', async () => {
  const ofKind = (db: SceneDb) => db.select().from(secured).where(eq(secured.kind, 1)).orderBy(asc(secured.id))
  const joined = (db: SceneDb) =>
    db
      .select({ owner: secured.owner })
      .from(posts)
      .innerJoin(secured, eq(secured.id, posts.id))
      .where(eq(posts.authorId, 1))
  const open1 = await open()
  for (const read of [ofKind, joined]) await read(open1.db)
  expect(open1.told.of('bypass').map(({ reason }) => reason)).toEqual(['row-security', 'row-security'])
  await outside(database.url, 'grant select on posts to lists_0, lists_1')
  for (const role of ['lists_0', 'lists_1']) {
    const app = await open({ scope: () => role, pool: { options: `-c role=${role}` } })
    for (const _ of ['miss', 'hit']) {
      const owners = (await ofKind(app.db)).map(({ owner }) => owner)
      expect(owners).toEqual([role, role])
      for (const { owner } of await joined(app.db)) expect(owner).toBe(role)
    }
    expect(app.db.$aside.stats().hits).toBe(2)
  }
})

it.each(kinds)(
  'E7, F4: after SET ROLE, search_path or a setting outside a transaction %s is not kept',
  async (_, { read }) => {
    for (const change of [`set search_path to elsewhere`, `set app.owner = 'x'`, 'reset role', `set time zone 'UTC'`]) {
      const app = await openSingle<Scene>(shared())
      await read(app.db)
      await app.db.execute(sql.raw(change))
      app.told.forget()
      expect(await read(app.db)).toEqual(await read(app.plain))
      expect(app.told.of('bypass'), change).toMatchObject([{ reason: 'session-changed' }])
      expect(app.told.of('fill')).toEqual([])
      await app.close()
    }
  },
)

it.each(kinds)(
  'E7, F4: connections with another search_path or time zone keep a %s of their own',
  async (_, { read, change }) => {
    const app = await open()
    await keep(app, read)
    const there = await open({ pool: { options: '-c search_path=elsewhere' } })
    const zoned = await open({ pool: { options: '-c TimeZone=Asia/Tokyo' } })
    for (const other of [there, zoned]) {
      expect(await read(other.db)).toEqual(await read(other.plain))
      expect(other.told.of('hit')).toEqual([])
    }
    expect(await read(there.db)).not.toEqual(await read(app.db))
    await change(zoned.db)
    for (const other of [app, there, zoned]) expect(await read(other.db)).toEqual(await read(other.plain))
  },
)

it('E8: volatile, session and time functions in lists, joins, aggregates and relations reach the database each time', async () => {
  const app = await open()
  const other = alias(posts, 'other')
  const queries: SceneRead[] = [
    (db) => db.select({ id: posts.id, r: sql`random()` }).from(posts).where(eq(posts.authorId, 1)),
    (db) =>
      db
        .select()
        .from(posts)
        .where(and(eq(posts.authorId, 1), sql`random() >= 0`)),
    (db) => db.select({ id: posts.id, at: sql`now()` }).from(posts).where(eq(posts.authorId, 1)),
    (db) => db.select({ next: sql`nextval('posts_id_seq')` }).from(posts).where(eq(posts.authorId, 1)),
    (db) => db.select({ said: sql`pg_notify('x', 'y')` }).from(posts).where(eq(posts.authorId, 1)),
    (db) => db.select({ lock: sql`pg_try_advisory_lock(1)` }).from(posts).where(eq(posts.authorId, 1)),
    (db) => db.select({ who: sql`current_setting('role')` }).from(posts).where(eq(posts.authorId, 1)),
    (db) => db.select().from(posts).innerJoin(other, sql`${other.id} = ${posts.id} and clock_timestamp() is not null`),
    (db) => db.select({ n: count(), last: max(sql`clock_timestamp()`) }).from(posts),
    (db) => db.select({ id: posts.id }).from(posts).where(gt(sql`clock_timestamp()`, sql`now() - interval '1 day'`)),
    (db) => db.query.posts.findMany({ extras: { at: sql`clock_timestamp()`.as('at') }, with: { comments: true } }),
    (db) => db.query.posts.findMany({ with: { comments: { where: sql`random() >= 0` } } }),
  ]
  for (const [at, query] of queries.entries()) {
    app.sql.reset()
    await query(app.db)
    await query(app.db)
    expect(app.sql.count(/select/), `query ${at}`).toBe(2)
  }
  expect(app.db.$aside.stats()).toMatchObject({ hits: 0, fills: 0 })
})

it.each(kinds)(
  'E9: when the first who asks for %s fails, those who share its query are answered',
  async (_, { read }) => {
    const held = gate()
    let armed = false
    const app = await open({
      hook: async (point, statement) => {
        if (!armed || point !== 'before' || statement.sql.includes('pg_catalog.')) return
        armed = false
        await held.pass()
        throw new Error('cancelled')
      },
    })
    await keep(app, read)
    for (const table of [authors, posts, comments]) await app.db.$aside.invalidate(table)
    const wanted = await read(app.plain)
    armed = true
    const readers = [1, 2, 3].map(async () => read(app.db))
    const outcomes = Promise.allSettled(readers)
    await held.arrived
    await expect.poll(() => app.db.$aside.stats().joined).toBe(2)
    held.open()
    const answered = (await outcomes).filter(({ status }) => status === 'fulfilled')
    expect(answered.length).toBeGreaterThanOrEqual(2)
    for (const { value } of answered as PromiseFulfilledResult<unknown>[]) expect(value).toEqual(wanted)
    expect(await read(app.db)).toEqual(wanted)
  },
)

it('E11: lists that are empty for a huge range of values stay within the memory store’s bound, and are right', async () => {
  store = memoryStore({ maxBytes: 200_000 })
  const app = await open()
  for (let author = 10_000; author < 12_000; author++) expect(await byAuthor(author)(app.db)).toEqual([])
  expect((store as ReturnType<typeof memoryStore>).stats().bytes).toBeLessThanOrEqual(200_000)
  await outside(database.url, `insert into authors values (11999, 'late@x', 'late')`)
  await byAuthor(11_998)(app.db)
  app.sql.reset()
  expect(await byAuthor(11_998)(app.db)).toEqual([])
  expect(app.sql.count()).toBe(0)
  await born(11_999)(app.db)
  expect(await byAuthor(11_999)(app.db)).toHaveLength(1)
  expect(await list.read(app.db)).toEqual(await list.read(app.plain))
})
