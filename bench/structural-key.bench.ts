/**
 * What does planning a select by its structural key cost, against Drizzle's own building and compiling of it?
 *
 * Run: `pnpm exec tsx --tsconfig tsconfig.json bench/structural-key.bench.ts`. Nanoseconds per query, best of several
 * rounds; the ratio is the figure. The budget is a fifth for a select with three joins.
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

for (const [name, query] of queries) {
  const { config } = query as { config: SelectConfig }
  const plan = (): unknown => {
    const key = selectKey(config, naming) as StructuralKey
    // A look-up by the key, as the reading path does: it makes one string of the parts.
    return [known.get(key.text), key.values(undefined)]
  }
  const key = selectKey(config, naming) as StructuralKey
  const known = new Map([[key.text, name]])
  const planned = nanoseconds(plan, 4_000)
  const built = nanoseconds(() => dialect.sqlToQuery(dialect.buildSelectQuery(config)), 1_000)
  const shaped = nanoseconds(() => selectShape(config, shapeOf, key), 500)
  const ratio = (planned / built).toFixed(3)
  console.log(`${name}: key and values ${planned.toFixed(0)}, Drizzle ${built.toFixed(0)}, ratio ${ratio}`)
  console.log(`  shape, once per key: ${shaped.toFixed(0)}`)
}
