import { eq, exists, inArray, relations, sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  customType,
  date,
  foreignKey,
  integer,
  jsonb,
  numeric,
  PgDialect,
  pgSchema,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core'
import { drizzle } from 'drizzle-orm/pglite'
import type { Dialect, RelationalConfig } from '../../src/drizzle/internals.ts'

/** A blog with everything that relational queries have rules for; names of columns come from the casing or are given. */
const shouted = customType<{ data: string; driverData: string }>({
  dataType: () => 'text',
  toDriver: (value) => value.toLowerCase(),
  fromDriver: (value) => value.toUpperCase(),
})
const audit = pgSchema('audit')

export const users = pgTable('users', {
  id: integer().primaryKey(),
  fullName: text(),
  mail: text('e_mail'),
  managerId: integer(),
  createdAt: timestamp({ mode: 'date' }),
  motto: shouted(),
})
export const profiles = pgTable('profiles', {
  userId: integer().primaryKey(),
  bio: text(),
  settings: jsonb(),
})
export const posts = pgTable('posts', {
  id: bigint({ mode: 'number' }).primaryKey(),
  authorId: integer('author').notNull(),
  reviewerId: integer(),
  title: text(),
  score: numeric(),
  draft: boolean(),
  publishedOn: date(),
})
export const comments = pgTable('comments', {
  id: uuid().primaryKey(),
  postId: bigint({ mode: 'bigint' }),
  authorId: integer(),
  body: text(),
})
export const tags = pgTable('tags', { id: integer().primaryKey(), label: text() })
export const postTags = pgTable('post_tags', { postId: bigint({ mode: 'number' }), tagId: integer() }, (t) => [
  primaryKey({ columns: [t.postId, t.tagId] }),
])
/** In another schema, under a name that the first one has too, with a composite foreign key. */
export const events = audit.table(
  'comments',
  {
    day: date(),
    no: integer(),
    postId: bigint({ mode: 'number' }),
    tagId: integer(),
  },
  (t) => [
    primaryKey({ columns: [t.day, t.no] }),
    foreignKey({ columns: [t.postId, t.tagId], foreignColumns: [postTags.postId, postTags.tagId] }),
  ],
)

const usersRelations = relations(users, ({ one, many }) => ({
  manager: one(users, { fields: [users.managerId], references: [users.id], relationName: 'management' }),
  reports: many(users, { relationName: 'management' }),
  profile: one(profiles),
  posts: many(posts, { relationName: 'author' }),
  reviews: many(posts, { relationName: 'reviewer' }),
  comments: many(comments),
}))
const profilesRelations = relations(profiles, ({ one }) => ({
  user: one(users, { fields: [profiles.userId], references: [users.id] }),
}))
const postsRelations = relations(posts, ({ one, many }) => ({
  author: one(users, { fields: [posts.authorId], references: [users.id], relationName: 'author' }),
  reviewer: one(users, { fields: [posts.reviewerId], references: [users.id], relationName: 'reviewer' }),
  comments: many(comments),
  tags: many(postTags),
}))
const commentsRelations = relations(comments, ({ one }) => ({
  post: one(posts, { fields: [comments.postId], references: [posts.id] }),
  author: one(users, { fields: [comments.authorId], references: [users.id] }),
}))
const tagsRelations = relations(tags, ({ many }) => ({
  posts: many(postTags),
  // Nothing on the other side says how: Drizzle cannot follow it.
  lost: many(profiles),
}))
const postTagsRelations = relations(postTags, ({ one, many }) => ({
  post: one(posts, { fields: [postTags.postId], references: [posts.id] }),
  tag: one(tags, { fields: [postTags.tagId], references: [tags.id] }),
  events: many(events),
}))
const eventsRelations = relations(events, ({ one }) => ({
  link: one(postTags, { fields: [events.postId, events.tagId], references: [postTags.postId, postTags.tagId] }),
}))

export const schema = {
  users,
  profiles,
  posts,
  comments,
  tags,
  postTags,
  events,
  usersRelations,
  profilesRelations,
  postsRelations,
  commentsRelations,
  tagsRelations,
  postTagsRelations,
  eventsRelations,
}
/** A db without a client; its statements are looked at, not run. */
export const blog = () => drizzle.mock({ schema, casing: 'snake_case' })
export const dialect = new PgDialect({ casing: 'snake_case' }) as unknown as Dialect

/** What a relational builder hands to the dialect. */
export function configOf(query: unknown): RelationalConfig {
  const { fullSchema, schema, tableNamesMap, table, tableConfig, config } = query as RelationalConfig & {
    config: RelationalConfig['queryConfig']
  }
  return { fullSchema, schema, tableNamesMap, table, tableConfig, queryConfig: config, tableAlias: tableConfig.tsName }
}

const db = blog()

/** Below the root Drizzle's types know no offset; its builder does. */
const offset = (offset: number): object => ({ offset })

/** Queries of every form that the builder has rules for. */
export const corpus: readonly (readonly [name: string, make: () => unknown])[] = [
  ['all rows', () => db.query.users.findMany()],
  ['the first row', () => db.query.users.findFirst({ where: eq(users.id, 1) })],
  ['chosen columns', () => db.query.posts.findMany({ columns: { title: true, authorId: true, draft: false } })],
  ['columns left out', () => db.query.posts.findMany({ columns: { score: false, title: undefined as never } })],
  ['no columns but a relation', () => db.query.posts.findMany({ columns: {}, with: { author: true } })],
  ['one, twice to one table', () => db.query.posts.findMany({ with: { author: true, reviewer: true } })],
  ['many', () => db.query.users.findMany({ with: { posts: true }, where: eq(users.id, 1) })],
  ['one from the other side', () => db.query.users.findMany({ with: { profile: true } })],
  ['many to many', () => db.query.posts.findMany({ with: { tags: { with: { tag: true } } } })],
  [
    'to itself, both ways',
    () =>
      db.query.users.findMany({ with: { manager: { with: { manager: true } }, reports: { with: { profile: true } } } }),
  ],
  [
    'three levels with a condition at each',
    () =>
      db.query.users.findMany({
        where: (t, { and, eq, isNull }) => and(eq(t.id, 1), isNull(t.managerId)),
        with: {
          posts: {
            where: (t, { eq }) => eq(t.draft, false),
            with: { comments: { where: inArray(comments.authorId, [3, 4]) } },
          },
        },
      }),
  ],
  ['a composite key in another schema', () => db.query.events.findMany({ with: { link: { with: { tag: true } } } })],
  ['many by a composite key', () => db.query.postTags.findMany({ with: { events: true } })],
  [
    'equal names in two schemas',
    () => db.query.postTags.findMany({ with: { events: true, post: { with: { comments: true } } } }),
  ],
  [
    'order, limit and offset at two levels',
    () =>
      db.query.users.findMany({
        orderBy: (t, { desc }) => [desc(t.fullName), t.id],
        limit: 2,
        offset: 1,
        with: { posts: { orderBy: (t, { asc }) => asc(t.title), limit: 3, ...offset(1) } },
      }),
  ],
  [
    'an order with values, which many rows repeat',
    () => db.query.users.findMany({ with: { posts: { orderBy: (t) => [eq(t.id, 2), sql`${t.title} = ${'two'}`] } } }),
  ],
  [
    'extras',
    () =>
      db.query.users.findMany({
        extras: (t, { sql }) => ({ loud: sql<string>`upper(${t.fullName} || ${'!'})`.as('loud') }),
      }),
  ],
  [
    'extras beside relations, and below',
    () =>
      db.query.users.findMany({
        extras: { twice: sql<number>`${users.id} * ${2}`.mapWith(Number).as('twice') },
        with: { posts: { extras: (t, { sql }) => ({ size: sql<number>`length(${t.title})`.as('size') }) } },
      }),
  ],
  ['every type, at the root', () => db.query.posts.findMany({ where: eq(posts.id, 3) })],
  [
    'every type, in JSON',
    () => db.query.comments.findMany({ with: { post: true, author: { with: { profile: true } } } }),
  ],
  [
    'placeholders',
    () =>
      db.query.posts.findMany({
        where: (t, { and, eq }) =>
          and(eq(t.authorId, sql.placeholder('author')), eq(t.title, sql.param(sql.placeholder('title'), t.title))),
        limit: sql.placeholder('limit'),
        with: { comments: { limit: sql.placeholder('few') } },
      }),
  ],
  [
    'a condition on one, and an offset',
    () => db.query.posts.findMany({ with: { author: { where: eq(users.fullName, 'Ada'), ...offset(0) } as never } }),
  ],
  [
    'a sub-query in a condition',
    () =>
      db.query.users.findMany({
        where: (t) => exists(db.select({ n: sql`1` }).from(posts).where(eq(posts.authorId, t.id))),
        with: { posts: true },
      }),
  ],
  [
    'raw text in a condition',
    () =>
      db.query.users.findMany({
        where: sql`${users.id} = 1 or true`,
        with: { posts: { where: sql`${posts.id} = ${2} or ${posts.draft}` } },
      }),
  ],
  [
    'a bare value in a condition',
    () => db.query.users.findMany({ with: { posts: { where: sql`${posts.id} = ${2}` } } }),
  ],
  ['a column of another table in a condition', () => db.query.users.findMany({ where: eq(tags.id, 1) })],
  [
    'an empty list',
    () => db.query.users.findMany({ where: inArray(users.id, []), with: { posts: { where: inArray(posts.id, []) } } }),
  ],
  ['a list of many', () => db.query.users.findMany({ where: inArray(users.id, [1, 2, 3]), with: { manager: true } })],
  [
    'limits that are none',
    () => db.query.users.findMany({ limit: -1, offset: 0, with: { posts: { limit: -1, ...offset(0) } } }),
  ],
]

/** Values for the placeholders of the corpus. */
export const given = { author: 1, title: 'two', limit: 5, few: 1 }

export const ddl = `
  create table users (id int primary key, full_name text, e_mail text, manager_id int, created_at timestamp, motto text);
  create table profiles (user_id int primary key, bio text, settings jsonb);
  create table posts (id bigint primary key, author int not null, reviewer_id int, title text, score numeric,
    draft boolean, published_on date);
  create table comments (id uuid primary key, post_id bigint, author_id int, body text);
  create table tags (id int primary key, label text);
  create table post_tags (post_id bigint, tag_id int, primary key (post_id, tag_id));
  create schema audit;
  create table audit.comments (day date, no int, post_id bigint, tag_id int, primary key (day, no));
  insert into users values
    (1, 'Ada', 'ada@x.org', null, '2024-01-02 03:04:05.678', 'onwards'), (2, 'Bob', null, 1, null, null),
    (3, 'Cyd', 'cyd@x.org', 1, '2023-01-01', 'slowly');
  insert into profiles values (1, 'first', '{"a": [1, {"b": null}]}'), (3, null, '"text"');
  insert into posts values (9007199254740993, 1, null, 'big', 1.50, true, '2024-02-29'),
    (2, 1, 2, 'two', null, false, null), (3, 2, 7, null, 2, null, '2020-01-01');
  insert into comments values ('6f1c3f62-9c0b-4ef8-bb6d-000000000001', 2, 3, 'a'),
    ('6f1c3f62-9c0b-4ef8-bb6d-000000000002', 2, null, 'b'), ('6f1c3f62-9c0b-4ef8-bb6d-000000000003', 3, 9, null);
  insert into tags values (1, 'x'), (2, 'y');
  insert into post_tags values (2, 1), (2, 2), (3, 1);
  insert into audit.comments values ('2024-05-06', 1, 2, 1), ('2024-05-06', 2, null, 1), ('2024-05-07', 1, 3, 1);
`
