/**
 * The table of docs/query-shapes.md is what `explain` says of these queries, word for word.
 * WRITE_SHAPES=1 writes the page anew.
 */
import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { PGlite } from '@electric-sql/pglite'
import { cached, type WithAside, withCache } from 'drizzle-aside'
import { and, asc, count, desc, eq, exists, gt, inArray, isNull, like, not, or, relations, sql } from 'drizzle-orm'
import { alias, integer, pgTable, pgView, primaryKey, text, union } from 'drizzle-orm/pg-core'
import { drizzle, type PgliteDatabase } from 'drizzle-orm/pglite'
import { afterAll, beforeAll, expect, it } from 'vitest'

const users = pgTable('users', {
  id: integer('id').primaryKey(),
  email: text('email').notNull().unique(),
  name: text('name').notNull(),
})
const posts = pgTable('posts', {
  id: integer('id').primaryKey(),
  authorId: integer('author_id')
    .notNull()
    .references(() => users.id),
  editorId: integer('editor_id').references(() => users.id),
  status: text('status').notNull(),
  title: text('title').notNull(),
  views: integer('views').notNull(),
})
const comments = pgTable('comments', {
  id: integer('id').primaryKey(),
  postId: integer('post_id')
    .notNull()
    .references(() => posts.id),
  body: text('body').notNull(),
})
const tags = pgTable('tags', { id: integer('id').primaryKey(), name: text('name').notNull() })
const postTags = pgTable(
  'post_tags',
  {
    postId: integer('post_id')
      .notNull()
      .references(() => posts.id),
    tagId: integer('tag_id')
      .notNull()
      .references(() => tags.id),
  },
  (t) => [primaryKey({ columns: [t.postId, t.tagId] })],
)
const patients = pgTable('patients', {
  id: integer('id').primaryKey(),
  nhs: text('nhs').notNull().unique(),
  illness: text('illness'),
  ward: text('ward'),
})
const published = pgView('published', { id: integer('id'), title: text('title') }).existing()

const userRelations = relations(users, ({ many }) => ({ posts: many(posts) }))
const postRelations = relations(posts, ({ one, many }) => ({
  author: one(users, { fields: [posts.authorId], references: [users.id] }),
  comments: many(comments),
  postTags: many(postTags),
}))
const commentRelations = relations(comments, ({ one }) => ({
  post: one(posts, { fields: [comments.postId], references: [posts.id] }),
}))
const postTagRelations = relations(postTags, ({ one }) => ({
  post: one(posts, { fields: [postTags.postId], references: [posts.id] }),
  tag: one(tags, { fields: [postTags.tagId], references: [tags.id] }),
}))

const schema = {
  users,
  posts,
  comments,
  tags,
  postTags,
  patients,
  userRelations,
  postRelations,
  commentRelations,
  postTagRelations,
}

const createTables = `
  create table users (id integer primary key, email text not null unique, name text not null);
  create table posts (
    id integer primary key, author_id integer not null references users, editor_id integer references users,
    status text not null, title text not null, views integer not null
  );
  create table comments (id integer primary key, post_id integer not null references posts, body text not null);
  create table tags (id integer primary key, name text not null);
  create table post_tags (
    post_id integer not null references posts, tag_id integer not null references tags, primary key (post_id, tag_id)
  );
  create table patients (id integer primary key, nhs text not null unique, illness text, ward text);
  create index on patients (ward);
  create view published as select id, title from posts where status = 'published';
`

type Db = WithAside<PgliteDatabase<typeof schema>>
type Query = Parameters<Db['$aside']['explain']>[0]

const answers = alias(comments, 'answers')

/** The code is taken from the function's own text. */
const shapes: readonly (readonly [title: string, query: (db: Db) => Query])[] = [
  ['a row by primary key', (db) => db.select().from(users).where(eq(users.id, 1))],
  [
    'rows by a list of keys',
    (db) =>
      db
        .select()
        .from(users)
        .where(inArray(users.id, [1, 2])),
  ],
  ['a row by unique key', (db) => db.select().from(users).where(eq(users.email, 'a@b.c'))],
  ['a list by foreign key', (db) => db.select({ id: posts.id }).from(posts).where(eq(posts.authorId, 1))],
  ['the same, showing a column of a group', (db) => db.select().from(posts).where(eq(posts.authorId, 1))],
  [
    'ordered, a page of it',
    (db) => db.select({ id: posts.id }).from(posts).where(eq(posts.authorId, 1)).orderBy(desc(posts.id)).limit(10),
  ],
  [
    'a keyset page',
    (db) =>
      db
        .select({ id: posts.id })
        .from(posts)
        .where(and(eq(posts.authorId, 1), gt(posts.id, 7)))
        .limit(10),
  ],
  [
    'by listed columns',
    (db) =>
      db
        .select({ id: posts.id })
        .from(posts)
        .where(and(eq(posts.status, 'draft'), eq(posts.authorId, 1))),
  ],
  [
    'by a list of values',
    (db) =>
      db
        .select({ id: posts.id })
        .from(posts)
        .where(inArray(posts.authorId, [1, 2])),
  ],
  [
    'either of two equalities',
    (db) =>
      db
        .select({ id: posts.id })
        .from(posts)
        .where(or(eq(posts.authorId, 1), eq(posts.editorId, 1))),
  ],
  ['a column that is null', (db) => db.select({ id: posts.id }).from(posts).where(isNull(posts.editorId))],
  ['everything', (db) => db.select().from(tags).orderBy(asc(tags.name))],
  ['a range', (db) => db.select({ id: posts.id }).from(posts).where(gt(posts.views, 100))],
  ['a pattern', (db) => db.select().from(tags).where(like(tags.name, 'a%'))],
  [
    'a negation',
    (db) =>
      db
        .select({ id: posts.id })
        .from(posts)
        .where(not(eq(posts.authorId, 1))),
  ],
  ['a raw condition', (db) => db.select({ id: tags.id }).from(tags).where(sql`length(${tags.name}) > 3`)],
  ['distinct', (db) => db.selectDistinct({ status: posts.status }).from(posts).where(eq(posts.authorId, 1))],
  [
    'inner join over a NOT NULL foreign key',
    (db) =>
      db
        .select({ title: posts.title, name: users.name })
        .from(posts)
        .innerJoin(users, eq(users.id, posts.authorId))
        .where(eq(posts.authorId, 1)),
  ],
  [
    'the same for partners that only the rows tell',
    (db) =>
      db
        .select({ title: posts.title, name: users.name })
        .from(posts)
        .innerJoin(users, eq(users.id, posts.authorId))
        .where(eq(posts.status, 'draft')),
  ],
  [
    'inner join over a foreign key that may be null',
    (db) =>
      db
        .select({ title: posts.title, name: users.name })
        .from(posts)
        .innerJoin(users, eq(users.id, posts.editorId))
        .where(eq(posts.authorId, 1)),
  ],
  [
    'left join by primary key',
    (db) =>
      db
        .select({ title: posts.title, name: users.name })
        .from(posts)
        .leftJoin(users, eq(users.id, posts.editorId))
        .where(eq(posts.authorId, 1)),
  ],
  [
    'ordered by the partner',
    (db) =>
      db
        .select({ title: posts.title, name: users.name })
        .from(posts)
        .leftJoin(users, eq(users.id, posts.editorId))
        .where(eq(posts.authorId, 1))
        .orderBy(users.name),
  ],
  [
    'children of a row that is fixed by key',
    (db) =>
      db
        .select({ name: users.name, title: posts.title })
        .from(users)
        .leftJoin(posts, eq(posts.authorId, users.id))
        .where(eq(users.id, 1)),
  ],
  [
    'full join',
    (db) =>
      db
        .select({ name: users.name, title: posts.title })
        .from(users)
        .fullJoin(posts, eq(posts.authorId, users.id))
        .where(eq(users.id, 1)),
  ],
  [
    'a table joined to itself',
    (db) =>
      db
        .select({ id: comments.id, other: answers.id })
        .from(comments)
        .innerJoin(answers, eq(answers.postId, comments.postId))
        .where(eq(comments.postId, 1)),
  ],
  ['a count', (db) => db.select({ n: count() }).from(comments).where(eq(comments.postId, 1))],
  ['the same by `$count`', (db) => db.$count(comments, eq(comments.postId, 1))],
  [
    'groups',
    (db) =>
      db.select({ status: posts.status, n: count() }).from(posts).where(eq(posts.authorId, 1)).groupBy(posts.status),
  ],
  [
    'set operation',
    (db) =>
      union(
        db.select({ id: posts.id }).from(posts).where(eq(posts.authorId, 1)),
        db.select({ id: posts.id }).from(posts).where(eq(posts.editorId, 1)),
      ),
  ],
  [
    'exists',
    (db) =>
      db
        .select({ id: posts.id })
        .from(posts)
        .where(
          and(
            eq(posts.authorId, 1),
            exists(db.select({ id: comments.id }).from(comments).where(eq(comments.postId, posts.id))),
          ),
        ),
  ],
  [
    'sub-query',
    (db) => db.select().from(db.select({ id: posts.id }).from(posts).where(eq(posts.authorId, 1)).as('of_author')),
  ],
  ['a view', (db) => db.select().from(published)],
  [
    'relations of a row that is fixed by key',
    (db) => db.query.posts.findFirst({ where: eq(posts.id, 1), with: { author: true, comments: true } }),
  ],
  ['relations of a list', (db) => db.query.posts.findMany({ where: eq(posts.authorId, 1), with: { comments: true } })],
  [
    'many-to-many',
    (db) => db.query.posts.findFirst({ where: eq(posts.id, 1), with: { postTags: { with: { tag: true } } } }),
  ],
  ['a row by a sensitive unique key', (db) => db.select().from(patients).where(eq(patients.nhs, '7'))],
  [
    'a list by a sensitive column that `lists` names',
    (db) => db.select().from(patients).where(eq(patients.illness, 'x')),
  ],
  [
    'a list by a sensitive column with an index alone',
    (db) => db.select().from(patients).where(eq(patients.ward, 'x')),
  ],
  ['with a lock', (db) => db.select().from(users).where(eq(users.id, 1)).for('update')],
  ['with a volatile function', (db) => db.select({ at: sql`now()` }).from(users)],
]

const page = fileURLToPath(new URL('../../../docs/query-shapes.md', import.meta.url))
let client: PGlite
let db: Db

beforeAll(async () => {
  client = await PGlite.create()
  await client.exec(createTables)
  db = withCache(drizzle(client, { schema }), {
    namespace: 'query-shapes',
    tables: [
      cached(users),
      cached(posts, { lists: (t) => [t.status, [t.authorId, t.status]], facets: (t) => ({ counters: [t.views] }) }),
      cached(comments),
      cached(tags),
      cached(postTags),
      cached(patients, { sensitive: (t) => [t.nhs, t.illness, t.ward], lists: (t) => [t.illness] }),
    ],
    encryption: { keys: { k1: randomBytes(32) }, current: 'k1', tokenKey: randomBytes(32) },
  })
  await db.$aside.ready()
})
afterAll(async () => {
  await db.$aside.close()
  await client.close()
})

it('the page of query shapes is what explain says', async () => {
  const made = await makePage()
  if (process.env.WRITE_SHAPES) await writeFile(page, made)
  expect(await readFile(page, 'utf8')).toBe(made)
})

async function makePage(): Promise<string> {
  const parts: string[] = []
  for (const [title, query] of shapes) parts.push(await rowOf(title, query))
  return `${introduction}\n${parts.join('\n')}\n`
}

async function rowOf(title: string, query: (db: Db) => Query): Promise<string> {
  const explained = await db.$aside.explain(query(db))
  const restsOn = explained.dependsOn.map((each) => `\`${each}\``).join(', ')
  const answer = explained.state === 'bypass' ? `not cached: \`${explained.reason}\`` : restsOn
  return `| ${title} | ${codeOf(query)} | ${answer} | ${wideBecause(String(explained))} |`
}

/** The bundler's way to name an import. */
const imported = /\(0, ?__vite_ssr_import_\d+__\.(\w+)\)|__vite_ssr_import_\d+__\.(\w+)/g

/** The function without what TypeScript and the bundler made of it, on one line. */
function codeOf(query: (db: Db) => Query): string {
  const words = query
    .toString()
    .replace(/^\(db\) ?=> ?/, '')
    .replace(imported, '$1$2')
    .replace(/\s+/g, ' ')
  const code = words.replace(/ \./g, '.').replaceAll('"', "'").replaceAll('|', '\\|')
  return code.includes('`') ? `\`\` ${code} \`\`` : `\`${code}\``
}

const wideBecause = (words: string): string =>
  [...words.matchAll(/^ {2}as a whole +(.*)$/gm)].map(([, reason]) => reason).join('; ')

const introduction = `# What a query rests on

Made by \`test/behaviour/results/shapes.test.ts\` from what \`explain\` says; it fails when this page and the code differ.

\`posts[author_id=1]\` is a class: the rows with that value; it falls when a row of it changes, enters or leaves.
\`users[id=1]\` is one row. \`users[id=…] of each row\` are the rows that the answer itself names. \`posts (table)\` falls
with every write to the table. A name in braces is a column group (\`facets\`): without it, a write that changes only
those columns leaves the answer. Every answer also rests on the epochs of its tables.

The tables: \`users\` (unique \`email\`); \`posts\` with the foreign keys \`author_id\` (NOT NULL) and \`editor_id\`,
\`lists: (t) => [t.status, [t.authorId, t.status]]\`, \`facets: (t) => ({ counters: [t.views] })\`; \`comments\` of posts;
\`tags\` through \`post_tags\`; the view \`published\` over \`posts\`;
\`patients\` with \`encryption\`, \`sensitive: (t) => [t.nhs, t.illness, t.ward]\` and \`lists: (t) => [t.illness]\`.

| shape | query | rests on | as a whole, because |
|---|---|---|---|`
