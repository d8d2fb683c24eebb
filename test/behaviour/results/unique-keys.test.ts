import { cached } from 'drizzle-aside'
import { count, eq, max, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openPglite } from '../../support/open-app.ts'

const posts = pgTable('posts', {
  id: integer('id').primaryKey(),
  slug: text('slug').notNull().unique(),
  title: text('title').notNull(),
  views: integer('views').notNull(),
})

const setUp = `
  create table posts (id integer primary key, slug text not null unique, title text not null, views integer not null);
  insert into posts values (1, 'a', 'A', 0), (2, 'b', 'B', 0);
`

describe('answers by unique key where columns are grouped', () => {
  let app: Awaited<ReturnType<typeof openPglite>>
  beforeEach(async () => {
    const grouped = cached(posts, { facets: (t) => ({ counters: [t.views] }) })
    app = await openPglite({ setUp, namespace: 'unique-keys', tables: [grouped] })
  })
  afterEach(() => app.close())

  const bySlug = (slug: string) => app.db.select().from(posts).where(eq(posts.slug, slug))
  const titleOf = (slug: string) => app.db.select({ title: posts.title }).from(posts).where(eq(posts.slug, slug))
  const state = async (query: Parameters<typeof app.db.$aside.explain>[0]) => (await app.db.$aside.explain(query)).state

  it('fall with a change of a grouped column that they show, and with no other', async () => {
    await Promise.all([bySlug('a'), titleOf('a'), bySlug('b')])
    await app.db
      .update(posts)
      .set({ views: sql`${posts.views} + 1` })
      .where(eq(posts.id, 1))
    expect([await state(bySlug('a')), await state(titleOf('a')), await state(bySlug('b'))]).toEqual([
      'miss',
      'hit',
      'hit',
    ])
    expect((await bySlug('a'))[0]?.views).toBe(1)
  })

  it('fall with a change of any other column', async () => {
    await Promise.all([bySlug('a'), titleOf('a')])
    await app.db.update(posts).set({ title: 'Z' }).where(eq(posts.slug, 'a'))
    expect(await titleOf('a')).toEqual([{ title: 'Z' }])
    expect((await bySlug('a'))[0]?.title).toBe('Z')
  })

  it('fall with any column where the greatest row as a whole is asked for, and not where rows are counted', async () => {
    const greatest = () => app.db.select({ row: max(posts as never) }).from(posts)
    const rows = () => app.db.select({ n: count(posts as never) }).from(posts)
    expect([await greatest(), await rows()]).toEqual([[{ row: '(2,b,B,0)' }], [{ n: 2 }]])
    await app.db.update(posts).set({ views: 7 }).where(eq(posts.id, 2))
    expect(await state(rows())).toBe('hit')
    expect(await greatest()).toEqual([{ row: '(2,b,B,7)' }])
  })

  it('B4: that found nothing fall with the insert', async () => {
    expect(await bySlug('c')).toEqual([])
    expect(await state(bySlug('c'))).toBe('hit')
    await app.db.insert(posts).values({ id: 3, slug: 'c', title: 'C', views: 0 })
    expect((await bySlug('c'))[0]?.id).toBe(3)
  })
})
