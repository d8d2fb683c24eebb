import { desc, eq, inArray, sql } from 'drizzle-orm'
import { db } from './db.ts'
import { posts, users } from './schema.ts'

export async function signUp(email: string, name: string) {
  const [user] = await db.insert(users).values({ email, name }).returning()
  if (!user) throw new Error('the insert returned no row')
  return user
}

export const findUser = (id: number) => db.query.users.findFirst({ where: eq(users.id, id) })

export const findUserByEmail = (email: string) => db.query.users.findFirst({ where: eq(users.email, email) })

export const renameUser = (id: number, name: string) => db.update(users).set({ name }).where(eq(users.id, id))

export const deleteUser = (id: number) => db.delete(users).where(eq(users.id, id))

export async function publish(authorId: number, slug: string, title: string, body: string) {
  const [post] = await db.insert(posts).values({ authorId, slug, title, body }).returning()
  if (!post) throw new Error('the insert returned no row')
  return post
}

/** What a visitor sees; counts the visit. */
export async function openPost(slug: string) {
  const [post] = await db.select().from(posts).where(eq(posts.slug, slug))
  if (!post) return undefined
  await db
    .update(posts)
    .set({ views: sql`${posts.views} + 1` })
    .where(eq(posts.id, post.id))
  return post
}

export const findPosts = (ids: number[]) => db.select().from(posts).where(inArray(posts.id, ids))

export const movePost = (id: number, slug: string) => db.update(posts).set({ slug }).where(eq(posts.id, id))

export const latestPosts = (count: number) =>
  db
    .select({ slug: posts.slug, title: posts.title, author: users.name })
    .from(posts)
    .innerJoin(users, eq(users.id, posts.authorId))
    .orderBy(desc(posts.createdAt), desc(posts.id))
    .limit(count)

/** All of an author's posts under another author, or none of them. */
export const handOver = (fromId: number, toId: number) =>
  db.transaction(async (tx) => {
    const successor = await tx.query.users.findFirst({ where: eq(users.id, toId) })
    if (!successor) tx.rollback()
    return tx.update(posts).set({ authorId: toId }).where(eq(posts.authorId, fromId)).returning({ id: posts.id })
  })
