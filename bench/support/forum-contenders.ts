import { cached } from 'drizzle-aside'
import { desc, eq } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { RedisCache } from './drizzle-cache.ts'
import { type Forum, forum, forumSql, placeholder, posts, users } from './forum.ts'
import { type Opened, openAside, openDatabase, openRedis, run, TTL_MS } from './open.ts'

/** The classes of queries: a post by key, the newest posts of an author, a post with its author. */
export const kinds = ['by key', 'list', 'join'] as const
export type Kind = (typeof kinds)[number]

/** What a read shows of a post and of an author: enough to tell whether it is old. */
export interface Shown {
  readonly posts: readonly { readonly id: number; readonly version: number }[]
  readonly author?: { readonly id: number; readonly version: number } | undefined
}

export interface Counts {
  readonly hits: number
  readonly misses: number
}

export interface ForumContender {
  readonly name: string
  read(kind: Kind, id: number): Promise<Shown>
  updatePost(id: number, version: number): Promise<unknown>
  updateAuthor(id: number, version: number): Promise<unknown>
  /** The new post's id. */
  insertPost(authorId: number): Promise<number>
  statements(): number
  /** Undefined: it has no cache. */
  counts?(): Readonly<Record<Kind, Counts>>
}

type Db = NodePgDatabase<Forum>

const author = { id: users.id, name: users.name, bio: users.bio, version: users.version }

const byKey = (db: Db, id: Value) => db.select().from(posts).where(eq(posts.id, id))
const listOf = (db: Db, id: Value) =>
  db
    .select({ post: posts, author })
    .from(users)
    .innerJoin(posts, eq(posts.authorId, users.id))
    .where(eq(users.id, id))
    .orderBy(desc(posts.id))
    .limit(20)
const joinOf = (db: Db, id: Value) =>
  db.select({ post: posts, author }).from(posts).innerJoin(users, eq(users.id, posts.authorId)).where(eq(posts.id, id))
/** A key, or the place of one in a prepared query. */
type Value = number | ReturnType<typeof placeholder>

type Pairs = Awaited<ReturnType<typeof joinOf>>
const shown = (pairs: Pairs): Shown => ({ posts: pairs.map(({ post }) => post), author: pairs[0]?.author })

function written(db: Db): (kind: Kind, id: number) => Promise<Shown> {
  return async (kind, id) => {
    if (kind === 'by key') return { posts: await byKey(db, id) }
    return shown(await (kind === 'list' ? listOf(db, id) : joinOf(db, id)))
  }
}

function ready(db: Db): (kind: Kind, id: number) => Promise<Shown> {
  const key = byKey(db, placeholder('id')).prepare('post_by_id')
  const list = listOf(db, placeholder('id')).prepare('newest_of_author')
  const join = joinOf(db, placeholder('id')).prepare('post_with_author')
  return async (kind, id) => {
    if (kind === 'by key') return { posts: await key.execute({ id }) }
    return shown(await (kind === 'list' ? list : join).execute({ id }))
  }
}

const writesOf = (db: Db) => ({
  updatePost: (id: number, version: number) => db.update(posts).set({ version }).where(eq(posts.id, id)),
  updateAuthor: (id: number, version: number) => db.update(users).set({ version }).where(eq(users.id, id)),
  insertPost: async (authorId: number) => {
    const post = { authorId, title: 'New', body: 'Just written', version: 0, madeAt: new Date() }
    const [row] = await db.insert(posts).values(post).returning({ id: posts.id })
    return (row as { id: number }).id
  },
})

const none: Counts = { hits: 0, misses: 0 }

export interface ForumSide {
  readonly contender: ForumContender
  /** The same database, asked directly: the truth at rest. */
  readonly truth: (kind: Kind, id: number) => Promise<Shown>
}

/** Plain Drizzle, prepared Drizzle, Drizzle's own cache, ours as written and prepared; a database each. */
export async function forumSides(authors: Int32Array): Promise<readonly [ForumSide, ...ForumSide[]]> {
  const open = (config: object = {}): Promise<Opened<Forum>> =>
    openDatabase<Forum>({ schema: forum, ...config }, forumSql(authors))
  const side = (
    name: string,
    { db: truth, statements }: Opened<Forum>,
    db: Db,
    how: typeof written,
    counts?: ForumContender['counts'],
  ): ForumSide => ({
    contender: { name, read: how(db), ...writesOf(db), statements, ...(counts && { counts }) },
    truth: written(truth),
  })
  const ours = async (name: string, how: typeof written): Promise<ForumSide> => {
    const opened = await open()
    const tally = new Map<string, { hits: number; misses: number }>()
    const db = await openAside(opened, name.replaceAll(/\W+/g, '-'), {
      tables: [cached(users, { ttl: TTL_MS }), cached(posts, { ttl: TTL_MS })],
      on: (event) => {
        if (event.type !== 'hit' && event.type !== 'miss') return
        const at = `${event.kind} ${event.table.replace('public.', '')}`
        const counts = tally.get(at) ?? { hits: 0, misses: 0 }
        counts[event.type === 'hit' ? 'hits' : 'misses']++
        tally.set(at, counts)
      },
    })
    const of = (at: string): Counts => ({ ...(tally.get(at) ?? none) })
    return side(name, opened, db as unknown as Db, how, () => ({
      'by key': of('key posts'),
      list: of('join users'),
      join: of('join posts'),
    }))
  }
  const plain = await open()
  const prepared = await open()
  const cache = new RedisCache(await openRedis(), `${run}:forum:`, TTL_MS / 1000)
  const builtIn = await open({ cache })
  // Its cached answers cannot be its truth: the same pool without the cache is.
  const direct = await directOf(builtIn)
  const of = (tables: string): Counts => ({ ...(cache.byTables.get(tables) ?? none) })
  return [
    side('plain Drizzle', plain, plain.db, written),
    side('Drizzle, prepared', prepared, prepared.db, ready),
    side("Drizzle's own cache", { ...builtIn, db: direct }, builtIn.db, written, () => ({
      'by key': of('posts'),
      list: of('users,posts'),
      join: of('posts,users'),
    })),
    await ours('drizzle-aside', written),
    await ours('drizzle-aside, prepared', ready),
  ]
}

async function directOf({ pool }: Opened<Forum>): Promise<Db> {
  const { drizzle } = await import('drizzle-orm/node-postgres')
  return drizzle(pool, { schema: forum })
}
