/** What the pages of the forum read, as an app writes it. */
import { and, asc, count, desc, eq, gt, isNull, ne, or } from 'drizzle-orm'
import type { PgliteDatabase } from 'drizzle-orm/pglite'
import { comments, posts, type schema, users, visits, votes } from './schema.ts'

export type ForumDb = PgliteDatabase<typeof schema>

/** A post with its author and all comments below it; the page makes a tree of them. */
export const thread = (db: ForumDb, postId: number) =>
  db.query.posts.findFirst({
    where: eq(posts.id, postId),
    with: { author: true, comments: { orderBy: asc(comments.id), with: { author: true } } },
  })

/** One comment between what it answers and what answers it. */
export const comment = (db: ForumDb, id: number) =>
  db.query.comments.findFirst({
    where: eq(comments.id, id),
    with: { author: true, parent: { columns: { id: true, body: true } }, answers: { orderBy: asc(comments.id) } },
  })

/** The newest posts and who wrote them. */
export const frontPage = (db: ForumDb) =>
  db
    .select({ id: posts.id, title: posts.title, author: users.name })
    .from(posts)
    .innerJoin(users, eq(users.id, posts.authorId))
    .orderBy(desc(posts.id))
    .limit(10)

/** The comments of one author, newest first, each with the title of its post. */
export const commentsBy = (db: ForumDb, userId: number) =>
  db
    .select({ id: comments.id, body: comments.body, postId: comments.postId, title: posts.title })
    .from(comments)
    .innerJoin(posts, eq(posts.id, comments.postId))
    .where(eq(comments.authorId, userId))
    .orderBy(desc(comments.id))

/** The comments of a post that got most votes. */
export const best = (db: ForumDb, postId: number) =>
  db
    .select({ id: comments.id, score: comments.score })
    .from(comments)
    .where(eq(comments.postId, postId))
    .orderBy(desc(comments.score), asc(comments.id))
    .limit(3)

export const voters = (db: ForumDb, commentId: number) =>
  db
    .select({ id: users.id, name: users.name })
    .from(votes)
    .innerJoin(users, eq(users.id, votes.userId))
    .where(eq(votes.commentId, commentId))
    .orderBy(asc(users.id))

/** How many comments of others somebody has not seen below one post. */
export const unreadBelow = (db: ForumDb, userId: number, postId: number) =>
  db
    .select({ unread: count() })
    .from(comments)
    .leftJoin(visits, and(eq(visits.postId, comments.postId), eq(visits.userId, userId)))
    .where(
      and(
        eq(comments.postId, postId),
        ne(comments.authorId, userId),
        or(isNull(visits.lastCommentId), gt(comments.id, visits.lastCommentId)),
      ),
    )

/** The same for all posts that somebody has visited. */
export const unread = (db: ForumDb, userId: number) =>
  db
    .select({ postId: visits.postId, unread: count(comments.id) })
    .from(visits)
    .innerJoin(comments, and(eq(comments.postId, visits.postId), gt(comments.id, visits.lastCommentId)))
    .where(and(eq(visits.userId, userId), ne(comments.authorId, userId)))
    .groupBy(visits.postId)
    .orderBy(asc(visits.postId))
