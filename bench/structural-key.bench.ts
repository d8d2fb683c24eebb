/**
 * What does planning a select by its structural key cost, against Drizzle's own building and compiling of it?
 *
 * Nanoseconds per query, best of several rounds; the ratio is the figure. The budget is a fifth for a select with three
 * joins. It asks no server.
 */
import { aliasedTable, and, desc, eq, exists, inArray, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { boolean, integer, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import type { Dialect, SelectConfig } from '../packages/core/src/drizzle/internals.ts'
import { Naming } from '../packages/core/src/drizzle/naming.ts'
import { selectShape } from '../packages/core/src/drizzle/query-shape.ts'
import { type StructuralKey, selectKey } from '../packages/core/src/drizzle/structural-key.ts'
import { tableShapes } from '../packages/core/src/drizzle/table-shape.ts'
import { nanoseconds } from './support/nanoseconds.ts'
import { print, printBars, table } from './support/report.ts'

const users = pgTable('users', { id: integer().primaryKey(), name: text(), email: text(), active: boolean() })
const posts = pgTable('posts', {
  id: integer().primaryKey(),
  authorId: integer('author_id').notNull(),
  title: text(),
  state: text(),
  made: timestamp(),
})
const comments = pgTable('comments', { id: integer().primaryKey(), postId: integer('post_id'), body: text() })
const tags = pgTable('tags', { id: integer().primaryKey(), postId: integer('post_id'), label: text() })
const boss = aliasedTable(users, 'boss')
const db = drizzle.mock()
const { dialect } = db as unknown as { dialect: Dialect }
const naming = new Naming(dialect)
const shapeOf = tableShapes(dialect)

const joined = (partner: typeof tags | typeof boss) =>
  db
    .select()
    .from(posts)
    .innerJoin(users, eq(users.id, posts.authorId))
    .leftJoin(comments, eq(comments.postId, posts.id))
    .leftJoin(partner as typeof tags, eq(partner.id as typeof tags.id, posts.id))
    .where(and(eq(posts.authorId, 3), eq(posts.state, 'new'), inArray(users.id, [1, 2, 3])))
    .orderBy(desc(posts.made))
    .limit(20)

const queries: [name: string, query: object][] = [
  ['list', db.select().from(posts).where(eq(posts.authorId, 3)).orderBy(desc(posts.made)).limit(20)],
  ['three joins', joined(tags)],
  ['three joins, one with an alias', joined(boss)],
  [
    'three joins, partial',
    db
      .select({ id: posts.id, title: posts.title, name: users.name, body: comments.body, tag: tags.label })
      .from(posts)
      .innerJoin(users, eq(users.id, posts.authorId))
      .leftJoin(comments, eq(comments.postId, posts.id))
      .leftJoin(tags, eq(tags.postId, posts.id))
      .where(and(eq(posts.authorId, 3), eq(posts.state, 'new')))
      .limit(20),
  ],
  [
    'exists',
    db
      .select()
      .from(users)
      .where(exists(db.select({ n: sql`1` }).from(posts).where(eq(posts.authorId, users.id)))),
  ],
  [
    'in-list of 200',
    db
      .select()
      .from(posts)
      .where(
        inArray(
          posts.id,
          Array.from({ length: 200 }, (_, at) => at),
        ),
      ),
  ],
]

interface Cost {
  readonly name: string
  readonly planned: number
  readonly built: number
  readonly shaped: number
}

const costs = queries.map(([name, query]) => costOf(name, (query as { config: SelectConfig }).config))
const nanos = (value: number): string => value.toFixed(0)

print('', '## Planning by structural key', '')
print('Nanoseconds per query, best of nine; the shape is read once per key and process.', '')
print(
  ...table(
    ['', 'key and values', "Drizzle's build and compile", 'x Drizzle', 'shape, once per key'],
    costs.map(({ name, planned, built, shaped }) => [
      name,
      nanos(planned),
      nanos(built),
      (planned / built).toFixed(3),
      nanos(shaped),
    ]),
  ),
)
printBars(
  costs
    .filter(({ name }) => name.startsWith('three joins'))
    .map(({ name, planned, built }) => ({
      name: `${name}: planning takes less than a fifth of Drizzle's building and compiling`,
      passed: planned / built < 0.2,
      found: (planned / built).toFixed(3),
    })),
)

function costOf(name: string, config: SelectConfig): Cost {
  const plan = (): unknown => {
    const key = selectKey(config, naming) as StructuralKey
    // A look-up by the key, as the reading path does: it makes one string of the parts.
    return [known.get(key.text), key.values(undefined)]
  }
  const key = selectKey(config, naming) as StructuralKey
  const known = new Map([[key.text, name]])
  return {
    name,
    planned: nanoseconds(plan, 4_000),
    built: nanoseconds(() => dialect.sqlToQuery(dialect.buildSelectQuery(config)), 1_000),
    shaped: nanoseconds(() => selectShape(config, shapeOf, key), 500),
  }
}
