import { relations } from 'drizzle-orm'
import { type AnyPgColumn, integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'

export const users = pgTable('users', {
  id: integer('id').primaryKey(),
  name: text('name').notNull(),
})

export const posts = pgTable('posts', {
  id: integer('id').primaryKey(),
  authorId: integer('author_id')
    .notNull()
    .references(() => users.id),
  title: text('title').notNull(),
})

/** A comment answers a post, and maybe another comment; with a comment its answers go. */
export const comments = pgTable('comments', {
  id: integer('id').primaryKey(),
  postId: integer('post_id')
    .notNull()
    .references(() => posts.id),
  parentId: integer('parent_id').references((): AnyPgColumn => comments.id, { onDelete: 'cascade' }),
  authorId: integer('author_id')
    .notNull()
    .references(() => users.id),
  body: text('body').notNull(),
  score: integer('score').notNull().default(0),
})

export const votes = pgTable(
  'votes',
  {
    commentId: integer('comment_id')
      .notNull()
      .references(() => comments.id, { onDelete: 'cascade' }),
    userId: integer('user_id')
      .notNull()
      .references(() => users.id),
  },
  (t) => [primaryKey({ columns: [t.commentId, t.userId] })],
)

/** How far somebody has read below a post. */
export const visits = pgTable(
  'visits',
  {
    userId: integer('user_id')
      .notNull()
      .references(() => users.id),
    postId: integer('post_id')
      .notNull()
      .references(() => posts.id),
    lastCommentId: integer('last_comment_id').notNull(),
  },
  (t) => [primaryKey({ columns: [t.userId, t.postId] })],
)

export const postRelations = relations(posts, ({ one, many }) => ({
  author: one(users, { fields: [posts.authorId], references: [users.id] }),
  comments: many(comments),
}))

export const commentRelations = relations(comments, ({ one, many }) => ({
  post: one(posts, { fields: [comments.postId], references: [posts.id] }),
  author: one(users, { fields: [comments.authorId], references: [users.id] }),
  parent: one(comments, { fields: [comments.parentId], references: [comments.id], relationName: 'answers' }),
  answers: many(comments, { relationName: 'answers' }),
}))

export const schema = { users, posts, comments, votes, visits, postRelations, commentRelations }

export const createTables = `
  create table users (id integer primary key, name text not null);
  create table posts (id integer primary key, author_id integer not null references users (id), title text not null);
  create table comments (
    id integer primary key,
    post_id integer not null references posts (id),
    parent_id integer references comments (id) on delete cascade,
    author_id integer not null references users (id),
    body text not null,
    score integer not null default 0
  );
  create index on comments (post_id);
  create index on comments (parent_id);
  create index on comments (author_id);
  create table votes (
    comment_id integer not null references comments (id) on delete cascade,
    user_id integer not null references users (id),
    primary key (comment_id, user_id)
  );
  create table visits (
    user_id integer not null references users (id),
    post_id integer not null references posts (id),
    last_comment_id integer not null,
    primary key (user_id, post_id)
  );
`
