import { eq, sql } from 'drizzle-orm'
import { Hono } from 'hono'
import type { ForumDb } from './queries.ts'
import * as read from './queries.ts'
import { comments, visits, votes } from './schema.ts'

type Comments = NonNullable<Awaited<ReturnType<typeof read.thread>>>['comments']
type Branch = Comments[number] & { answers: Branch[] }

/** The forum over HTTP. It knows nothing of a cache. */
export function createApp(db: ForumDb): Hono {
  const app = new Hono()
  addPages(app, db)
  addChanges(app, db)
  return app
}

const number = (text: string | undefined): number => Number.parseInt(text ?? '', 10)

function addPages(app: Hono, db: ForumDb): void {
  app.get('/', async (c) => c.json(await read.frontPage(db)))
  app.get('/posts/:id', async (c) => {
    const post = await read.thread(db, number(c.req.param('id')))
    return post ? c.json({ ...post, comments: treeOf(post.comments) }) : c.notFound()
  })
  app.get('/posts/:id/best', async (c) => c.json(await read.best(db, number(c.req.param('id')))))
  app.get('/comments/:id', async (c) => {
    const found = await read.comment(db, number(c.req.param('id')))
    return found ? c.json(found) : c.notFound()
  })
  app.get('/comments/:id/voters', async (c) => c.json(await read.voters(db, number(c.req.param('id')))))
  app.get('/users/:id/comments', async (c) => c.json(await read.commentsBy(db, number(c.req.param('id')))))
  app.get('/users/:id/unread', async (c) => c.json(await read.unread(db, number(c.req.param('id')))))
  app.get('/users/:id/unread/:post', async (c) => {
    const [row] = await read.unreadBelow(db, number(c.req.param('id')), number(c.req.param('post')))
    return c.json(row)
  })
}

function addChanges(app: Hono, db: ForumDb): void {
  app.post('/comments', async (c) => {
    const made = await db
      .insert(comments)
      .values(await c.req.json<typeof comments.$inferInsert>())
      .returning()
    return c.json(made[0], 201)
  })
  app.patch('/comments/:id', async (c) => {
    const { body } = await c.req.json<{ body: string }>()
    await db
      .update(comments)
      .set({ body })
      .where(eq(comments.id, number(c.req.param('id'))))
    return c.body(null, 204)
  })
  app.delete('/comments/:id', async (c) => {
    await db.delete(comments).where(eq(comments.id, number(c.req.param('id'))))
    return c.body(null, 204)
  })
  app.put('/comments/:id/votes/:user', async (c) => {
    await vote(db, number(c.req.param('id')), number(c.req.param('user')))
    return c.body(null, 204)
  })
  app.put('/users/:id/visits/:post', async (c) => {
    const { lastCommentId } = await c.req.json<{ lastCommentId: number }>()
    await db
      .insert(visits)
      .values({ userId: number(c.req.param('id')), postId: number(c.req.param('post')), lastCommentId })
      .onConflictDoUpdate({ target: [visits.userId, visits.postId], set: { lastCommentId } })
    return c.body(null, 204)
  })
}

/** Who votes twice changes nothing. */
function vote(db: ForumDb, commentId: number, userId: number): Promise<void> {
  return db.transaction(async (tx) => {
    const counted = await tx.insert(votes).values({ commentId, userId }).onConflictDoNothing().returning()
    if (counted.length === 0) return
    await tx
      .update(comments)
      .set({ score: sql`${comments.score} + 1` })
      .where(eq(comments.id, commentId))
  })
}

/** Parents come before their answers. */
function treeOf(list: Comments): Branch[] {
  const branches = new Map<number, Branch>()
  const roots: Branch[] = []
  for (const each of list) {
    const branch = { ...each, answers: [] }
    branches.set(each.id, branch)
    const siblings = each.parentId === null ? roots : branches.get(each.parentId)?.answers
    siblings?.push(branch)
  }
  return roots
}
