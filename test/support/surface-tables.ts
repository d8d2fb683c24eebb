/** The tables of the comparison with plain Drizzle: every kind of column, key, default and relation that matters to it. */
import { relations, sql } from 'drizzle-orm'
import {
  type AnyPgColumn,
  bigint,
  boolean,
  customType,
  date,
  doublePrecision,
  integer,
  jsonb,
  numeric,
  pgEnum,
  pgMaterializedView,
  pgSchema,
  pgTable,
  pgView,
  point,
  primaryKey,
  text,
  time,
  timestamp,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core'

export const mood = pgEnum('mood', ['low', 'mid', 'high'])

const bytes = customType<{ data: Buffer; driverData: Uint8Array }>({
  dataType: () => 'bytea',
  fromDriver: (value) => Buffer.from(value),
})
/** A custom type with a mapping of its own: the application sees upper case. */
const shouted = customType<{ data: string; driverData: string }>({
  dataType: () => 'text',
  toDriver: (value) => value.toLowerCase(),
  fromDriver: (value) => value.toUpperCase(),
})

export const users = pgTable('users', {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  email: text().notNull().unique(),
  fullName: text('name').notNull(),
  mood: mood(),
  managerId: integer('manager_id').references((): AnyPgColumn => users.id),
  score: numeric({ precision: 10, scale: 2 }),
  tags: text().array(),
  profile: jsonb().$type<Record<string, unknown>>(),
  createdAt: timestamp('created_at', { withTimezone: true })
    .notNull()
    .$defaultFn(() => new Date('2024-02-29T12:34:56.789Z')),
  touched: text()
    .notNull()
    .default('never')
    .$onUpdate(() => 'on update'),
})

export const posts = pgTable('posts', {
  id: bigint({ mode: 'bigint' }).primaryKey(),
  authorId: integer('author_id')
    .notNull()
    .references(() => users.id, { onDelete: 'cascade' }),
  title: text().notNull(),
  body: text(),
  words: integer().notNull().default(0),
  slug: text().generatedAlwaysAs(sql`lower(title)`),
  published: boolean().notNull().default(false),
})

export const memberships = pgTable(
  'memberships',
  { org: text().notNull(), userId: integer('user_id').notNull(), role: varchar({ length: 20 }).notNull() },
  (t) => [primaryKey({ columns: [t.org, t.userId] })],
)

export const other = pgSchema('other')
/** Of the same name as another table, in another schema. */
export const otherUsers = other.table('users', { id: integer().primaryKey(), label: text().unique() })

export const samples = pgTable('samples', {
  id: uuid().primaryKey(),
  small: bigint({ mode: 'number' }),
  big: bigint({ mode: 'bigint' }),
  exact: numeric(),
  exactNumber: numeric('exact_number', { mode: 'number' }),
  float: doublePrecision(),
  day: date(),
  dayDate: date('day_date', { mode: 'date' }),
  clock: time(),
  at: timestamp(),
  atText: timestamp('at_text', { mode: 'string' }),
  zoned: timestamp({ withTimezone: true }),
  json: jsonb(),
  raw: bytes(),
  loud: shouted(),
  matrix: integer().array().array(),
  moods: mood().array(),
  where: point({ mode: 'tuple' }),
  wherePoint: point('where_point', { mode: 'xy' }),
})

export const keyless = pgTable('keyless', { n: integer(), note: text() })

export const postCounts = pgMaterializedView('post_counts').as((db) =>
  db
    .select({ authorId: posts.authorId, n: sql<number>`count(*)::int`.as('n') })
    .from(posts)
    .groupBy(posts.authorId),
)
export const longPosts = pgView('long_posts').as((db) =>
  db.select({ id: posts.id, title: posts.title }).from(posts).where(sql`words > 100`),
)

export const usersRelations = relations(users, ({ one, many }) => ({
  manager: one(users, { fields: [users.managerId], references: [users.id], relationName: 'manager' }),
  reports: many(users, { relationName: 'manager' }),
  posts: many(posts),
}))
export const postsRelations = relations(posts, ({ one }) => ({
  author: one(users, { fields: [posts.authorId], references: [users.id] }),
}))

export const surfaceSchema = { users, posts, memberships, otherUsers, samples, keyless, usersRelations, postsRelations }
export const surfaceTables = [users, posts, memberships, otherUsers, samples, keyless]

export const sampleId = '0a0b0c0d-0000-4000-8000-000000000001'
const emptyId = '0a0b0c0d-0000-4000-8000-000000000002'

export const surfaceSetUp = `
  create type mood as enum ('low', 'mid', 'high');
  create schema other;
  create table users (
    id int primary key generated always as identity, email text not null unique, name text not null, mood mood,
    manager_id int references users, score numeric(10, 2), tags text[], profile jsonb,
    created_at timestamptz not null, touched text not null default 'never', check (score is null or score >= 0));
  create table posts (
    id bigint primary key, author_id int not null references users on delete cascade, title text not null, body text,
    words int not null default 0, slug text generated always as (lower(title)) stored, published bool not null default false);
  create table memberships (org text, user_id int, role varchar(20) not null, primary key (org, user_id));
  create table other.users (id int primary key, label text unique);
  create table samples (
    id uuid primary key, small bigint, big bigint, exact numeric, exact_number numeric, "float" double precision, day date,
    day_date date, clock time, at timestamp, at_text timestamp, zoned timestamptz, json jsonb, raw bytea, loud text,
    matrix int[][], moods mood[], "where" point, where_point point);
  create table keyless (n int, note text);
  create materialized view post_counts as select author_id, count(*)::int as n from posts group by author_id;
  create view long_posts as select id, title from posts where words > 100;
  insert into users (email, name, mood, manager_id, score, tags, profile, created_at) values
    ('ada@x', 'Ada', 'high', null, 12.50, '{a,"b c",NULL}', '{"k": [1, {"__proto__": null}], "u": "\\u2028"}', '2024-01-01 10:00+00'),
    ('bob@x', 'Bob', null, 1, null, '{}', null, '2024-01-02 10:00:00.123456+00'),
    ('cyd@x', 'Cyd', 'low', 1, 0, null, '[]', '2024-01-03 10:00+02'),
    ('dee@x', 'Dee', 'mid', 2, 99999999.99, '{x}', '"text"', 'infinity'),
    ('eve@x', 'Eve', 'mid', null, 1, '{y}', 'null', '2024-01-05 10:00+00');
  insert into posts (id, author_id, title, body, words, published) values
    (1, 1, 'First', 'body', 10, true), (2, 1, 'Second', null, 200, false), (3, 2, 'Third', 'x', 300, true),
    (9007199254740993, 3, 'Huge', 'y', 0, true);
  insert into memberships values ('a:b', 1, 'owner'), ('a', 1, 'member'), ('', 2, 'member'), ('a:b', 2, 'guest');
  insert into other.users values (1, 'other one'), (2, 'other two');
  insert into samples values
    ('${sampleId}', 9007199254740991, 9223372036854775807, 123456789012345678901234567890.1234567890, 1.5, 'NaN',
     '2024-02-29', '2024-02-29', '12:34:56.789', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789012',
     '2024-02-29 12:34:56.789+02', '{"deep": {"list": [1, null, "x"]}, "__proto__": {"a": 1}}', '\\x00ff80', 'quiet',
     '{{1,2},{3,NULL}}', '{low,high}', '(1,2.5)', '(3,4)'),
    ('${emptyId}', null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
  insert into keyless values (1, 'one'), (1, 'one'), (2, null);
  refresh materialized view post_counts;`
