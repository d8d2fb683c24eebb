/**
 * The tables of the random queries: a tree, a link table, keys that are proven, not validated, nullable, cascading or
 * only said by the schema, composite keys, counters, views, and two tables of one name. Used with `casing: 'snake_case'`.
 */
import { relations } from 'drizzle-orm'
import {
  type AnyPgColumn,
  boolean,
  customType,
  date,
  index,
  integer,
  jsonb,
  numeric,
  pgEnum,
  pgMaterializedView,
  pgSchema,
  pgTable,
  pgView,
  primaryKey,
  serial,
  text,
  timestamp,
  unique,
  varchar,
} from 'drizzle-orm/pg-core'

const citext = customType<{ data: string }>({ dataType: () => 'citext' })

export const phase = pgEnum('phase', ['draft', 'live', 'gone'])

/** `leadId` is a relation of the schema only: the database has no such key. */
export const teams = pgTable('teams', {
  id: integer().primaryKey(),
  name: text().unique(),
  tier: varchar({ length: 10 }),
  leadId: integer(),
  members: integer().notNull().default(0),
})

export const users = pgTable(
  'users',
  {
    id: serial().primaryKey(),
    email: text().unique(),
    nick: citext(),
    fullName: varchar('Full: Name', { length: 20 }),
    teamId: integer().references(() => teams.id, { onDelete: 'set null' }),
    phase: phase().notNull().default('draft'),
    points: integer().notNull().default(0),
    seen: integer().notNull().default(0),
    rating: numeric({ precision: 6, scale: 2 }),
    bornOn: date(),
  },
  (t) => [index('users_team').on(t.teamId)],
)

/** The database knows no key from `teamId`. */
export const posts = pgTable(
  'posts',
  {
    id: integer().primaryKey(),
    authorId: integer()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    editorId: integer().references(() => users.id, { onDelete: 'set null' }),
    teamId: integer(),
    phase: phase(),
    title: text(),
    slug: varchar({ length: 12 }).unique(),
    score: numeric({ precision: 8, scale: 2 }),
    live: boolean(),
    views: integer().notNull().default(0),
    likes: integer().notNull().default(0),
  },
  (t) => [index('posts_phase').on(t.phase, t.live), index('posts_title').on(t.title)],
)

export const comments = pgTable('comments', {
  id: integer().primaryKey(),
  postId: integer()
    .notNull()
    .references(() => posts.id, { onDelete: 'cascade' }),
  authorId: integer().references(() => users.id, { onDelete: 'set null' }),
  parentId: integer().references((): AnyPgColumn => comments.id, { onDelete: 'cascade' }),
  body: text(),
  votes: integer().notNull().default(0),
})

export const tags = pgTable('tags', { id: integer().primaryKey(), label: text().notNull().unique(), kind: text() })

export const postTags = pgTable(
  'post_tags',
  {
    postId: integer()
      .notNull()
      .references(() => posts.id, { onDelete: 'cascade' }),
    tagId: integer()
      .notNull()
      .references(() => tags.id, { onDelete: 'cascade', onUpdate: 'cascade' }),
    weight: integer().notNull().default(1),
  },
  (t) => [primaryKey({ columns: [t.postId, t.tagId] })],
)

/** Its key to `posts` is not validated: there are reviews of posts that are not there. */
export const reviews = pgTable(
  'reviews',
  {
    postId: integer().notNull(),
    reviewerId: integer()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade', onUpdate: 'cascade' }),
    verdict: phase(),
    stars: integer(),
  },
  (t) => [primaryKey({ columns: [t.postId, t.reviewerId] })],
)

/** Its trigger writes `logs`, and is declared. */
export const stock = pgTable(
  'stock',
  {
    region: text(),
    sku: text(),
    a: integer(),
    b: text(),
    qty: integer().notNull().default(0),
    price: numeric({ precision: 8, scale: 2 }),
    ownerId: integer().references(() => users.id, { onDelete: 'set null', onUpdate: 'cascade' }),
  },
  (t) => [primaryKey({ columns: [t.region, t.sku] }), unique().on(t.a, t.b), index('stock_owner').on(t.ownerId)],
)

/** Without a key of its own. */
export const logs = pgTable('logs', { userId: integer(), kind: text(), amount: integer() }, (t) => [
  index('logs_kind').on(t.kind),
])

export const settings = pgTable('settings', {
  name: varchar({ length: 10 }).primaryKey(),
  value: jsonb(),
  note: text(),
  changedAt: timestamp({ withTimezone: true }),
})

export const entries = pgTable('entries', { id: integer().primaryKey(), ref: integer(), label: text() }, (t) => [
  index('entries_ref').on(t.ref),
])

const annex = pgSchema('annex')

/** Of the same name as a table in another schema. */
export const annexEntries = annex.table(
  'entries',
  { id: integer().primaryKey(), ref: integer(), label: text() },
  (t) => [index('entries_ref').on(t.ref)],
)

/** Live posts with their authors. Drizzle cannot give the columns of an aliased view another case: they have names. */
export const livePosts = pgView('live_posts', {
  id: integer('id'),
  authorId: integer('author_id'),
  author: text('author'),
  title: text('title'),
  views: integer('views'),
}).existing()

/** Reads another view. */
export const authorLoad = pgView('author_load', {
  authorId: integer('author_id'),
  posts: integer('posts'),
  views: integer('views'),
}).existing()

export const postTotals = pgMaterializedView('post_totals', {
  authorId: integer('author_id'),
  posts: integer('posts'),
  views: integer('views'),
}).existing()

export const teamsRelations = relations(teams, ({ one, many }) => ({
  lead: one(users, { fields: [teams.leadId], references: [users.id], relationName: 'lead' }),
  users: many(users, { relationName: 'team' }),
  posts: many(posts),
}))

export const usersRelations = relations(users, ({ one, many }) => ({
  team: one(teams, { fields: [users.teamId], references: [teams.id], relationName: 'team' }),
  leads: many(teams, { relationName: 'lead' }),
  posts: many(posts, { relationName: 'author' }),
  edited: many(posts, { relationName: 'editor' }),
  comments: many(comments),
  reviews: many(reviews),
  stock: many(stock),
}))

export const postsRelations = relations(posts, ({ one, many }) => ({
  author: one(users, { fields: [posts.authorId], references: [users.id], relationName: 'author' }),
  editor: one(users, { fields: [posts.editorId], references: [users.id], relationName: 'editor' }),
  team: one(teams, { fields: [posts.teamId], references: [teams.id] }),
  comments: many(comments),
  postTags: many(postTags),
  reviews: many(reviews),
}))

export const commentsRelations = relations(comments, ({ one, many }) => ({
  post: one(posts, { fields: [comments.postId], references: [posts.id] }),
  author: one(users, { fields: [comments.authorId], references: [users.id] }),
  parent: one(comments, { fields: [comments.parentId], references: [comments.id], relationName: 'tree' }),
  children: many(comments, { relationName: 'tree' }),
}))

export const tagsRelations = relations(tags, ({ many }) => ({ postTags: many(postTags) }))

export const postTagsRelations = relations(postTags, ({ one }) => ({
  post: one(posts, { fields: [postTags.postId], references: [posts.id] }),
  tag: one(tags, { fields: [postTags.tagId], references: [tags.id] }),
}))

export const reviewsRelations = relations(reviews, ({ one }) => ({
  post: one(posts, { fields: [reviews.postId], references: [posts.id] }),
  reviewer: one(users, { fields: [reviews.reviewerId], references: [users.id] }),
}))

export const stockRelations = relations(stock, ({ one }) => ({
  owner: one(users, { fields: [stock.ownerId], references: [users.id] }),
}))

export const entriesRelations = relations(entries, ({ one }) => ({
  annex: one(annexEntries, { fields: [entries.ref], references: [annexEntries.id] }),
}))

export const annexEntriesRelations = relations(annexEntries, ({ many }) => ({ entries: many(entries) }))

export const tables = {
  teams,
  users,
  posts,
  comments,
  tags,
  postTags,
  reviews,
  stock,
  logs,
  settings,
  entries,
  annexEntries,
}

export const views = { livePosts, authorLoad, postTotals }

export const schema = {
  ...tables,
  ...views,
  teamsRelations,
  usersRelations,
  postsRelations,
  commentsRelations,
  tagsRelations,
  postTagsRelations,
  reviewsRelations,
  stockRelations,
  entriesRelations,
  annexEntriesRelations,
}

export const createTables = `
create extension citext;
create type phase as enum ('draft', 'live', 'gone');
create table teams (id integer primary key, name text unique, tier varchar(10), lead_id integer,
  members integer not null default 0);
create table users (id serial primary key, email text unique, nick citext, "Full: Name" varchar(20),
  team_id integer references teams on delete set null, phase phase not null default 'draft',
  points integer not null default 0, seen integer not null default 0, rating numeric(6,2), born_on date);
create index users_team on users (team_id);
create table posts (id integer primary key, author_id integer not null references users on delete cascade,
  editor_id integer references users on delete set null, team_id integer, phase phase, title text,
  slug varchar(12) unique, score numeric(8,2), live boolean, views integer not null default 0,
  likes integer not null default 0);
create index posts_phase on posts (phase, live);
create index posts_title on posts (title);
create table comments (id integer primary key, post_id integer not null references posts on delete cascade,
  author_id integer references users on delete set null, parent_id integer references comments on delete cascade,
  body text, votes integer not null default 0);
create table tags (id integer primary key, label text not null unique, kind text);
create table post_tags (post_id integer not null references posts on delete cascade,
  tag_id integer not null references tags on delete cascade on update cascade, weight integer not null default 1,
  primary key (post_id, tag_id));
create table reviews (post_id integer not null,
  reviewer_id integer not null references users on delete cascade on update cascade, verdict phase, stars integer,
  primary key (post_id, reviewer_id));
create table stock (region text, sku text, a integer, b text, qty integer not null default 0, price numeric(8,2),
  owner_id integer references users on delete set null on update cascade, primary key (region, sku), unique (a, b));
create index stock_owner on stock (owner_id);
create table logs (user_id integer, kind text, amount integer);
create index logs_kind on logs (kind);
create function log_stock() returns trigger language plpgsql as
  $$ begin
    insert into logs values (new.owner_id, new.region, new.qty);
    return null;
  end $$;
create trigger log_stock after update of price on stock for each row execute function log_stock();
create table settings (name varchar(10) primary key, value jsonb, note text, changed_at timestamptz);
create table entries (id integer primary key, ref integer, label text);
create index entries_ref on entries (ref);
create schema annex;
create table annex.entries (id integer primary key, ref integer, label text);
create index entries_ref on annex.entries (ref);
create view live_posts as
  select p.id, p.author_id, u."Full: Name"::text as author, p.title, p.views
  from posts p join users u on u.id = p.author_id where p.live;
create view author_load as
  select author_id, count(*)::integer as posts, sum(views)::integer as views from live_posts group by author_id;
create materialized view post_totals as
  select author_id, count(*)::integer as posts, sum(views)::integer as views from posts group by author_id;
`

/** After the first rows are in: rows that do not satisfy it are there already. */
export const addUnprovenKey = `
alter table reviews add constraint reviews_post foreign key (post_id) references posts on delete cascade not valid`
