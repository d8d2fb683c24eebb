import { cached, memoryStore } from 'drizzle-aside'
import { desc, eq, sql } from 'drizzle-orm'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../harness/clock.ts'
import { openPglite } from '../../support/open-app.ts'

const posts = pgTable('posts', { id: integer('id').primaryKey(), authorId: integer('author_id').notNull() })

const setUp = `
  create table posts (id integer primary key, author_id integer not null);
  create index on posts (author_id);
  insert into posts values (1, 1), (2, 1), (3, 2);
  create function posts_of(a integer) returns bigint language sql stable as 'select count(*) from posts where author_id = a';
`

describe('hand controls', () => {
  let app: Awaited<ReturnType<typeof openPglite>>
  beforeEach(async () => {
    app = await openPglite({ setUp, namespace: 'hand-controls', tables: [cached(posts)] })
  })
  afterEach(() => app.close())

  const byAuthor = (db: Pick<typeof app.db, 'select'>, id: number) =>
    db.select().from(posts).where(eq(posts.authorId, id)).orderBy(desc(posts.id))
  const state = async (query: Parameters<typeof app.db.$aside.explain>[0]) => (await app.db.$aside.explain(query)).state

  it('a tag on one query ends that answer and leaves the untagged one', async () => {
    const { db } = app
    const tagged = () => byAuthor(db, 1).$withCache({ tag: 'home' })
    await tagged()
    await byAuthor(db, 1)
    expect(await state(tagged())).toBe('hit')
    await db.$aside.invalidateTag('home')
    expect([await state(tagged()), await state(byAuthor(db, 1))]).toEqual(['miss', 'hit'])
  })

  it('a tag on a handle holds for all of its queries, and writes end them as well', async () => {
    const home = app.db.$aside.with({ tag: ['home', 'start'], ttl: '1m' })
    const ofHome = async (id: number) => (await home.$aside.explain(byAuthor(home, id))).state
    await byAuthor(home, 1)
    await byAuthor(home, 2)
    await app.db.update(posts).set({ authorId: 3 }).where(eq(posts.id, 3))
    expect([await ofHome(1), await ofHome(2)]).toEqual(['hit', 'miss'])
    await app.db.$aside.invalidateTag('start')
    expect(await ofHome(1)).toBe('miss')
  })

  it('a time to live of one query is not the next one’s', async () => {
    const clock = manualClock()
    const store = memoryStore({ clock })
    const timed = await openPglite({
      setUp,
      namespace: 'own-ttl',
      clock,
      store,
      tables: [cached(posts, { ttl: '1m', jitter: 0 })],
    })
    const later = async (ms: number) => {
      await clock.advanceAndSettle(ms)
      await timed.db.$aside.ready({ reload: true })
      return (await timed.db.$aside.explain(byAuthor(timed.db, 1))).state
    }
    await byAuthor(timed.db, 1).$withCache({ config: { ex: 1 } })
    expect(await later(2_000)).toBe('miss')
    await byAuthor(timed.db, 1)
    expect(await later(50_000)).toBe('hit')
    await timed.close()
  })

  it('a tag that a rolled-back transaction ended stays', async () => {
    const { db } = app
    const tagged = () => byAuthor(db, 1).$withCache({ tag: 'home' })
    await tagged()
    const told = db.transaction(async (tx) => {
      await (tx as unknown as typeof db).$aside.invalidateTag('home')
      tx.rollback()
    })
    await expect(told).rejects.toThrow()
    expect(await state(tagged())).toBe('hit')
  })

  it('tables that a handle names are rested on as a whole', async () => {
    const { db } = app
    const named = db.$aside.with({ tables: [posts] })
    const query = () =>
      named
        .select({ n: sql`posts_of(1)`.mapWith(Number) })
        .from(posts)
        .where(eq(posts.id, 1))
    const before = await query()
    await db.insert(posts).values({ id: 4, authorId: 1 })
    const after = await query()
    expect([before, after]).toEqual([[{ n: 2 }], [{ n: 3 }]])
  })

  it('a list is dropped by its class, and no other', async () => {
    const { db } = app
    await byAuthor(db, 1)
    await byAuthor(db, 2)
    await db.$aside.invalidate(posts, { authorId: 1 })
    expect([await state(byAuthor(db, 1)), await state(byAuthor(db, 2))]).toEqual(['miss', 'hit'])
    await db.$aside.invalidate(posts)
    expect(await state(byAuthor(db, 2))).toBe('miss')
  })
})
