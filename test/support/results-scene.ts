/**
 * Authors, their posts and the comments on these, and one read of each kind whose answer is kept as a whole, with a
 * write that changes it: what the scenarios of lists, joins, aggregates and relational queries share.
 */
import { cached } from 'drizzle-aside'
import { and, asc, count, desc, eq, exists, isNull, relations, sum } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { alias, integer, pgTable, serial, text, union } from 'drizzle-orm/pg-core'

export const authors = pgTable('authors', {
  id: integer().primaryKey(),
  email: text().notNull().unique(),
  name: text().notNull(),
  team: integer(),
})
export const posts = pgTable('posts', {
  id: serial().primaryKey(),
  authorId: integer('author_id')
    .notNull()
    .references(() => authors.id, { onDelete: 'cascade', onUpdate: 'cascade' }),
  editorId: integer('editor_id').references(() => authors.id, { onDelete: 'set null' }),
  status: text().notNull().default('draft'),
  title: text().notNull(),
  score: integer().notNull().default(0),
})
export const comments = pgTable('comments', {
  id: serial().primaryKey(),
  postId: integer('post_id')
    .notNull()
    .references(() => posts.id, { onDelete: 'cascade', onUpdate: 'cascade' }),
  body: text().notNull(),
})
const authorRelations = relations(authors, ({ many }) => ({ posts: many(posts, { relationName: 'author' }) }))
const postRelations = relations(posts, ({ one, many }) => ({
  author: one(authors, { fields: [posts.authorId], references: [authors.id], relationName: 'author' }),
  comments: many(comments),
}))
const commentRelations = relations(comments, ({ one }) => ({
  post: one(posts, { fields: [comments.postId], references: [posts.id] }),
}))

export const scene = { authors, posts, comments, authorRelations, postRelations, commentRelations }
export type Scene = typeof scene
export const sceneTables = [
  cached(authors),
  cached(posts, {
    lists: (t) => [t.status, [t.authorId, t.status]],
    facets: (t) => ({ counters: [t.score] }),
  }),
  cached(comments),
]

/** Posts 1, 4, 7, 10 are of author 1; odd ones are live; author 4 edits 4, 8 and 12; posts 9 to 12 have no comment. */
export const sceneRows = `
  truncate authors, posts, comments restart identity;
  insert into authors select n, 'a' || n || '@x', 'author ' || n, n % 2 from generate_series(1, 5) n;
  insert into posts (author_id, editor_id, status, title, score)
    select (n - 1) % 3 + 1, case when n % 4 = 0 then 4 end, case when n % 2 = 1 then 'live' else 'draft' end,
      'post ' || n, n * 10 from generate_series(1, 12) n;
  insert into comments (post_id, body) select n, 'comment ' || n from generate_series(1, 8) n;
`
export const sceneSetUp = `
  create table authors (id int primary key, email text not null unique, name text not null, team int);
  create table posts (
    id serial primary key, author_id int not null references authors on delete cascade on update cascade,
    editor_id int references authors on delete set null, status text not null default 'draft', title text not null,
    score int not null default 0);
  create table comments (
    id serial primary key, post_id int not null references posts on delete cascade on update cascade, body text not null);
  create index on authors (team);
  ${sceneRows}
`

/** What a db and a transaction have in common. */
export type SceneDb = Pick<
  NodePgDatabase<Scene>,
  'select' | 'selectDistinct' | '$count' | 'query' | 'insert' | 'update' | 'delete' | 'execute'
>
export type SceneRead = (db: SceneDb) => PromiseLike<unknown>
export type SceneWrite = (db: SceneDb) => PromiseLike<unknown>

export interface ResultKind {
  readonly name: string
  readonly read: SceneRead
  /** A write that changes the answer. */
  readonly change: SceneWrite
}

export const byAuthor =
  (author: number): SceneRead =>
  (db) =>
    db.select().from(posts).where(eq(posts.authorId, author)).orderBy(asc(posts.id))
export const born = (author: number, more: Partial<typeof posts.$inferInsert> = {}) => {
  const row = { authorId: author, title: 'born', ...more }
  return (db: SceneDb) => db.insert(posts).values(row)
}
export const setPost = (id: number, set: Partial<typeof posts.$inferInsert>) => (db: SceneDb) =>
  db.update(posts).set(set).where(eq(posts.id, id))
export const renameAuthor =
  (id: number, name = 'renamed'): SceneWrite =>
  (db) =>
    db.update(authors).set({ name }).where(eq(authors.id, id))

const editors = alias(authors, 'editors')

export const list: ResultKind = { name: 'a list', read: byAuthor(1), change: born(1) }
export const emptyList: ResultKind = { name: 'an empty list', read: byAuthor(5), change: born(5) }
export const innerJoin: ResultKind = {
  name: 'an inner join',
  read: (db) =>
    db
      .select({ title: posts.title, by: authors.name })
      .from(posts)
      .innerJoin(authors, eq(authors.id, posts.authorId))
      .where(eq(posts.status, 'live'))
      .orderBy(asc(posts.id)),
  change: renameAuthor(1),
}
export const aggregate: ResultKind = {
  name: 'groups',
  read: (db) =>
    db
      .select({ status: posts.status, n: count(), score: sum(posts.score) })
      .from(posts)
      .where(eq(posts.authorId, 1))
      .groupBy(posts.status)
      .orderBy(asc(posts.status)),
  change: setPost(1, { status: 'draft' }),
}
export const relationalList: ResultKind = {
  name: 'a relational list',
  read: (db) =>
    db.query.posts.findMany({
      where: eq(posts.authorId, 1),
      with: { author: true, comments: true },
      orderBy: asc(posts.id),
    }),
  change: (db) => db.update(comments).set({ body: 'changed' }).where(eq(comments.id, 1)),
}

/** One of each way to an answer: one table, several, grouped, and relations. */
export const mainKinds: readonly ResultKind[] = [list, innerJoin, aggregate, relationalList]

export const resultKinds: readonly ResultKind[] = [
  ...mainKinds,
  emptyList,
  {
    name: 'a page',
    read: (db) =>
      db.select().from(posts).where(eq(posts.authorId, 1)).orderBy(desc(posts.score), asc(posts.id)).limit(2),
    change: setPost(1, { score: 1000 }),
  },
  {
    name: 'a count',
    read: (db) => db.$count(posts, eq(posts.authorId, 1)),
    change: (db) => db.delete(posts).where(eq(posts.id, 7)),
  },
  {
    name: 'a left join',
    read: (db) =>
      db
        .select({ title: posts.title, editor: editors.name })
        .from(posts)
        .leftJoin(editors, eq(editors.id, posts.editorId))
        .where(eq(posts.authorId, 1))
        .orderBy(asc(posts.id)),
    change: renameAuthor(4),
  },
  {
    name: 'an anti-join',
    read: (db) =>
      db
        .select({ id: posts.id })
        .from(posts)
        .leftJoin(comments, eq(comments.postId, posts.id))
        .where(and(eq(posts.authorId, 1), isNull(comments.id))),
    change: (db) => db.insert(comments).values({ postId: 10, body: 'the first' }),
  },
  {
    name: 'exists',
    read: (db) =>
      db
        .select({ id: authors.id })
        .from(authors)
        .where(
          exists(
            db
              .select()
              .from(posts)
              .where(and(eq(posts.authorId, authors.id), eq(posts.status, 'live'))),
          ),
        )
        .orderBy(asc(authors.id)),
    change: born(4, { status: 'live' }),
  },
  {
    name: 'a union',
    read: (db) =>
      union(
        db.select({ id: posts.id }).from(posts).where(eq(posts.authorId, 4)),
        db.select({ id: posts.id }).from(posts).where(eq(posts.editorId, 4)),
      ).orderBy((t) => asc(t.id)),
    change: setPost(1, { editorId: 4 }),
  },
  {
    name: 'a sub-query',
    read: (db) => {
      const ofAuthor = db.select().from(posts).where(eq(posts.authorId, 1)).as('of_author')
      return db.select({ title: ofAuthor.title }).from(ofAuthor).orderBy(asc(ofAuthor.id))
    },
    change: setPost(1, { title: 'retitled' }),
  },
  {
    name: 'a relational row',
    read: (db) =>
      db.query.authors.findFirst({
        where: eq(authors.id, 1),
        with: { posts: { with: { comments: true }, orderBy: asc(posts.id) } },
      }),
    change: setPost(1, { authorId: 2 }),
  },
]
