/** Selects of every kind that Drizzle's builders make, for the tests of structural keys and query shapes. */
import {
  aliasedTable,
  and,
  arrayContains,
  arrayOverlaps,
  asc,
  avg,
  between,
  count,
  countDistinct,
  desc,
  eq,
  exists,
  gt,
  gte,
  ilike,
  inArray,
  isNotNull,
  isNull,
  like,
  lt,
  max,
  min,
  ne,
  not,
  notBetween,
  notExists,
  notInArray,
  or,
  placeholder,
  type SQL,
  type SQLWrapper,
  sql,
  sum,
} from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import {
  boolean,
  customType,
  date,
  except,
  integer,
  intersect,
  numeric,
  pgEnum,
  pgMaterializedView,
  pgSchema,
  pgTable,
  pgView,
  QueryBuilder,
  text,
  timestamp,
  union,
  unionAll,
  uuid,
} from 'drizzle-orm/pg-core'
import { type Dialect, orderFields, type SelectConfig } from '../../src/drizzle/internals.ts'
import { lazySql } from '../../src/drizzle/lazy-sql.ts'
import { Naming } from '../../src/drizzle/naming.ts'
import { tableShapes } from '../../src/drizzle/table-shape.ts'

const upper = customType<{ data: string }>({ dataType: () => 'text', toDriver: (value) => value.toUpperCase() })
export const state = pgEnum('state', ['new', 'old'])
export const users = pgTable('users', {
  id: integer().primaryKey(),
  name: text('full_name'),
  email: text(),
  active: boolean(),
  shout: upper(),
})
export const posts = pgTable('posts', {
  id: integer().primaryKey(),
  authorId: integer('author_id').notNull(),
  title: text(),
  state: state(),
  likes: integer(),
  day: date(),
  made: timestamp(),
  tags: text().array(),
})
export const comments = pgTable('comments', {
  id: uuid().primaryKey(),
  postId: integer('post_id'),
  userId: integer('user_id'),
  body: text(),
})
export const prices = pgSchema('shop').table('prices', { id: integer().notNull(), amount: numeric(), region: text() })
export const elsewhere = pgSchema('elsewhere').table('users', { id: integer(), name: text('full_name') })
export const stats = pgView('post_stats', { authorId: integer('author_id'), n: integer() }).existing()
export const heavy = pgMaterializedView('heavy', { id: integer() }).existing()
export const u = aliasedTable(users, 'u')
export const boss = aliasedTable(users, 'boss')

/** A db whose builders hand on what they hold, as a wrapped one's do. */
export function lazily<T extends { dialect: unknown }>(db: T): T {
  const real = db.dialect as Dialect
  const dialect = Object.create(real) as Dialect
  dialect.buildSelectQuery = (config) => {
    const setOperators = config.setOperators.map((operator) => ({ ...(operator as object) }))
    const snapshot = { ...config, setOperators, ...(config.joins && { joins: [...config.joins] }) }
    return lazySql({ kind: 'select', config: snapshot, dialect: real }, () => real.buildSelectQuery(snapshot))
  }
  for (const kind of ['insert', 'update', 'delete'] as const) {
    const name = ({ insert: 'buildInsertQuery', update: 'buildUpdateQuery', delete: 'buildDeleteQuery' } as const)[kind]
    dialect[name] = (config) =>
      lazySql({ kind, config, parts: undefined as never }, () => real[name](config) as unknown as never)
  }
  return Object.assign(db, { dialect })
}

export const plainDb = drizzle.mock()
export const real = (plainDb as unknown as { dialect: Dialect }).dialect
export const db = lazily(drizzle.mock() as never as typeof plainDb & { dialect: unknown })
export const naming = new Naming(real)
export const shapeOf = tableShapes(real)
const qb = new QueryBuilder()

export type Builder = SQLWrapper & { getSQL(): SQL }
export const configOf = (builder: object): SelectConfig => (builder as { config: SelectConfig }).config

/** What Drizzle makes of a select: its text and its parameters. */
export function compile(builder: object): { sql: string; params: unknown[] } {
  const config = configOf(builder)
  orderFields(config.fields)
  return real.sqlToQuery(real.buildSelectQuery(config))
}

export interface Case {
  readonly name: string
  /** Makes the builder anew each time, out of new objects. */
  readonly make: () => Builder
  readonly given?: Record<string, unknown>
}

const p = (name: string) => sql.placeholder(name)
const where = (condition: SQL | undefined): Builder => db.select().from(posts).where(condition)
const postsOf = () => db.select({ id: posts.id, authorId: posts.authorId }).from(posts)
const given = { id: 3, x: 'X', n: 5 }

const shared = () => eq(posts.id, 7)

const list: [name: string, make: () => Builder, given?: Record<string, unknown>][] = [
  ['all', () => db.select().from(users)],
  ['other table', () => db.select().from(posts)],
  ['in a schema', () => db.select().from(prices)],
  ['of one name elsewhere', () => db.select().from(elsewhere)],
  ['alias', () => db.select().from(u)],
  ['other alias', () => db.select().from(boss)],
  ['partial', () => db.select({ id: users.id }).from(users)],
  ['partial, renamed', () => db.select({ x: users.name, y: users.id }).from(users)],
  ['partial, other order', () => db.select({ y: users.id, x: users.name }).from(users)],
  ['nested selection', () => db.select({ a: { id: users.id }, b: users.email }).from(users)],
  ['table as field', () => db.select({ user: users }).from(users)],
  ['distinct', () => db.selectDistinct({ id: posts.authorId }).from(posts)],
  ['distinct on', () => db.selectDistinctOn([posts.authorId]).from(posts).orderBy(posts.authorId, desc(posts.id))],
  ['distinct on two', () => db.selectDistinctOn([posts.authorId, posts.state]).from(posts)],
  ['limit', () => db.select().from(posts).limit(10)],
  ['limit 0', () => db.select().from(posts).limit(0)],
  ['limit below 0', () => db.select().from(users).limit(-1)],
  ['offset', () => db.select().from(posts).offset(10)],
  ['limit and offset', () => db.select().from(posts).limit(10).offset(20)],
  ['limit by placeholder', () => db.select().from(posts).limit(p('n')).offset(p('id')), given],
  ['order', () => db.select().from(posts).orderBy(posts.id)],
  ['order desc', () => db.select().from(posts).orderBy(desc(posts.id))],
  ['order asc, desc', () => db.select().from(posts).orderBy(asc(posts.title), desc(posts.id))],
  ['order by raw', () => db.select().from(posts).orderBy(sql`${posts.likes} desc nulls last`)],
  ['where eq', () => where(eq(posts.id, 1))],
  ['where eq placeholder', () => where(eq(posts.id, p('id'))), given],
  ['where raw param', () => where(sql`${posts.id} = ${1}`)],
  ['where ne', () => where(ne(posts.id, 1))],
  ['where gt gte lt', () => where(and(gt(posts.id, 1), gte(posts.likes, 2), lt(posts.id, 9)))],
  ['where and', () => where(and(eq(posts.id, 1), eq(posts.title, 'a')))],
  ['where or', () => where(or(eq(posts.id, 1), eq(posts.title, 'a')))],
  ['where and of or', () => where(and(eq(posts.authorId, 1), or(eq(posts.state, 'new'), isNull(posts.state))))],
  ['where not', () => where(not(eq(posts.id, 1)))],
  ['where in', () => where(inArray(posts.id, [1, 2, 3]))],
  ['where in two', () => where(inArray(posts.id, [1, 2]))],
  [
    'where in many',
    () =>
      where(
        inArray(
          posts.id,
          Array.from({ length: 40 }, (_, at) => at),
        ),
      ),
  ],
  ['where in none', () => where(inArray(posts.id, []))],
  ['where in placeholders', () => where(inArray(posts.id, [p('id'), p('n')])), given],
  ['where not in', () => where(notInArray(posts.id, [1, 2]))],
  ['where not in none', () => where(notInArray(posts.id, []))],
  ['where raw list', () => where(sql`${posts.id} in ${[1, 2]}`)],
  ['where null', () => where(isNull(posts.title))],
  ['where not null', () => where(isNotNull(posts.title))],
  ['where between', () => where(between(posts.likes, 1, 5))],
  ['where not between', () => where(notBetween(posts.likes, 1, 5))],
  ['where like', () => where(like(posts.title, 'a%'))],
  ['where ilike', () => where(ilike(posts.title, '%snow%'))],
  ['where array', () => where(arrayContains(posts.tags, ['a', 'now']))],
  ['where overlaps', () => where(arrayOverlaps(posts.tags, ['a']))],
  ['where two columns', () => where(eq(posts.id, posts.authorId))],
  ['where raw', () => where(sql`${posts.id} = 1 or true`)],
  ['where raw beside', () => where(and(eq(posts.id, 1), sql`${posts.likes} > 1`))],
  ['where a call', () => where(and(eq(posts.authorId, 1), eq(sql`lower(${posts.title})`, 'a')))],
  ['where date', () => where(eq(posts.day, '2024-02-29'))],
  ['where Date', () => where(gt(posts.made, new Date(0)))],
  ['where raw Date', () => where(sql`${posts.made} > ${new Date(0)}`)],
  ['where null param', () => where(sql`${posts.title} is not distinct from ${null}`)],
  ['where enum', () => where(eq(posts.state, 'new'))],
  ['where enum type', () => where(sql`${posts.title}::${state} = ${'new'}`)],
  ['where encoder', () => db.select().from(users).where(eq(users.shout, 'abc'))],
  [
    'where encoded placeholder',
    () =>
      db
        .select()
        .from(users)
        .where(sql`${users.shout} = ${sql.param(placeholder('x'), users.shout)}`),
    given,
  ],
  [
    'where bare placeholder',
    () =>
      db
        .select()
        .from(users)
        .where(eq(users.shout, placeholder('x'))),
    given,
  ],
  ['where nothing', () => where(and())],
  ['where column', () => db.select().from(users).where(sql`${users.active}`)],
  [
    'where callback',
    () =>
      db
        .select({ id: posts.id, n: sql<number>`${posts.likes} + 1`.as('n') })
        .from(posts)
        .where((f) => gt(f.n, 3)),
  ],
  [
    'where the same param twice',
    () => {
      const one = sql.param(5, posts.id)
      return where(or(eq(posts.id, one), eq(posts.likes, one)))
    },
  ],
  [
    'where two equal params',
    () => where(or(eq(posts.id, sql.param(5, posts.id)), eq(posts.likes, sql.param(5, posts.id)))),
  ],
  [
    'where one condition twice',
    () => {
      const one = sql`${posts.id} = ${5}`
      return where(or(one, and(one, isNull(posts.title))))
    },
  ],
  [
    'where one condition made twice',
    () => where(or(sql`${posts.id} = ${5}`, and(sql`${posts.id} = ${5}`, isNull(posts.title)))),
  ],
  [
    'where many, one twice',
    () => {
      const one = sql.param(5, posts.id)
      return where(
        and(
          inArray(
            posts.id,
            Array.from({ length: 20 }, (_, at) => at),
          ),
          eq(posts.likes, one),
          ne(posts.id, one),
        ),
      )
    },
  ],
  ['where a shared condition', () => where(shared())],
  ['group', () => db.select({ a: posts.authorId, n: count() }).from(posts).groupBy(posts.authorId)],
  [
    'group, having',
    () =>
      db
        .select({ a: posts.authorId, n: count(posts.id) })
        .from(posts)
        .groupBy(posts.authorId)
        .having(gt(count(posts.id), 3)),
  ],
  [
    'aggregates',
    () =>
      db
        .select({
          s: sum(posts.likes),
          a: avg(posts.likes),
          m: max(posts.id),
          n: min(posts.id),
          d: countDistinct(posts.authorId),
        })
        .from(posts),
  ],
  ['raw count', () => db.select({ n: sql<number>`count(*)::int` }).from(posts).where(eq(posts.authorId, 1))],
  ['expression', () => db.select({ n: sql`${posts.likes} + ${1}` }).from(posts)],
  [
    'aliased expression',
    () =>
      db
        .select({ n: sql`${posts.likes} + ${1}`.as('n') })
        .from(posts)
        .orderBy((f) => f.n),
  ],
  ['nested expression', () => db.select({ n: sql`${sql`${posts.likes}`}` }).from(posts)],
  ['flat expression', () => db.select({ n: sql`${posts.likes}` }).from(posts)],
  ['column as expression', () => db.select({ n: posts.likes }).from(posts)],
  [
    'window',
    () =>
      db
        .select({ id: posts.id, n: sql`row_number() over (partition by ${posts.authorId} order by ${posts.id})` })
        .from(posts),
  ],
  ['identifier', () => db.select({ n: sql`${sql.identifier('likes')}` }).from(posts)],
  ['left join', () => db.select().from(posts).leftJoin(users, eq(posts.authorId, users.id))],
  ['inner join', () => db.select().from(posts).innerJoin(users, eq(posts.authorId, users.id))],
  ['right join', () => db.select().from(posts).rightJoin(users, eq(posts.authorId, users.id))],
  ['full join', () => db.select().from(posts).fullJoin(users, eq(posts.authorId, users.id))],
  ['cross join', () => db.select().from(posts).crossJoin(users)],
  ['join where', () => db.select().from(posts).leftJoin(users, eq(posts.authorId, users.id)).where(eq(posts.id, 1))],
  [
    'join where partner',
    () => db.select().from(posts).leftJoin(users, eq(posts.authorId, users.id)).where(eq(users.active, true)),
  ],
  [
    'join order by partner',
    () => db.select().from(posts).leftJoin(users, eq(posts.authorId, users.id)).orderBy(users.name),
  ],
  [
    'join on more',
    () =>
      db
        .select()
        .from(posts)
        .leftJoin(users, and(eq(posts.authorId, users.id), eq(users.active, true))),
  ],
  [
    'three joins',
    () =>
      db
        .select({ id: posts.id, user: users.name, boss: boss.name, body: comments.body })
        .from(posts)
        .innerJoin(users, eq(users.id, posts.authorId))
        .leftJoin(boss, eq(boss.id, users.id))
        .leftJoin(comments, eq(comments.postId, posts.id))
        .where(and(eq(posts.authorId, 3), eq(posts.state, 'new')))
        .orderBy(desc(posts.id))
        .limit(20),
  ],
  ['self join', () => db.select().from(users).innerJoin(boss, eq(users.id, boss.id)).where(eq(boss.id, 1))],
  [
    'self join, other side',
    () => db.select().from(users).innerJoin(boss, eq(users.id, boss.id)).where(eq(users.id, 1)),
  ],
  [
    'join of schemas',
    () => db.select().from(users).innerJoin(prices, eq(prices.id, users.id)).where(eq(prices.region, 'eu')),
  ],
  ['join on raw', () => db.select().from(posts).leftJoin(users, sql`${posts.authorId} = ${users.id} and true`)],
  [
    'join expression',
    () =>
      db
        .select({ n: sql`${posts.likes} + ${users.id}` })
        .from(posts)
        .innerJoin(users, eq(posts.authorId, users.id)),
  ],
  [
    'derived',
    () => {
      const s = postsOf().where(eq(posts.authorId, 2)).as('s')
      return db.select().from(s).where(eq(s.id, 1))
    },
  ],
  [
    'derived, other name',
    () => {
      const s = postsOf().where(eq(posts.authorId, 2)).as('z')
      return db.select().from(s).where(eq(s.id, 1))
    },
  ],
  [
    'derived, joined',
    () => {
      const s = postsOf().as('s')
      return db
        .select({ name: users.name, id: s.id })
        .from(users)
        .leftJoin(s, eq(s.authorId, users.id))
        .where(eq(users.id, 4))
    },
  ],
  [
    'derived with expression',
    () => {
      const s = db
        .select({ a: posts.authorId, n: count().as('n') })
        .from(posts)
        .groupBy(posts.authorId)
        .as('s')
      return db.select({ name: users.name, n: s.n }).from(users).leftJoin(s, eq(s.a, users.id)).orderBy(desc(s.n))
    },
  ],
  [
    'lateral',
    () => {
      const s = db.select().from(posts).where(eq(posts.authorId, users.id)).limit(3).as('s')
      return db.select().from(users).leftJoinLateral(s, sql`true`).where(eq(users.id, 1))
    },
  ],
  [
    'cross lateral',
    () => {
      const s = db.select().from(posts).where(eq(posts.authorId, users.id)).as('s')
      return db.select().from(users).crossJoinLateral(s)
    },
  ],
  [
    'cte',
    () => {
      const c = db.$with('c').as(postsOf().where(eq(posts.authorId, 1)))
      return db.with(c).select().from(c).where(eq(c.id, 2))
    },
  ],
  [
    'cte, joined',
    () => {
      const c = db.$with('c').as(postsOf())
      return db
        .with(c)
        .select({ n: users.name, id: c.id })
        .from(users)
        .innerJoin(c, eq(c.authorId, users.id))
        .where(eq(users.id, 1))
    },
  ],
  [
    'two ctes',
    () => {
      const c = db.$with('c').as(postsOf())
      const d = db.$with('d').as(db.select({ id: c.id }).from(c))
      return db.with(c, d).select().from(d)
    },
  ],
  [
    'cte called as a table',
    () => {
      const c = db.$with('posts').as(db.select().from(posts).where(eq(posts.id, 1)))
      return db.with(c).select({ id: posts.id }).from(posts)
    },
  ],
  [
    'cte never listed',
    () => {
      const c = db.$with('c').as(postsOf())
      return db.select().from(c)
    },
  ],
  [
    'raw cte',
    () => {
      const c = db.$with('c', { n: sql<number>`n`.as('n') }).as(sql`select 1 as n`)
      return db.with(c).select({ n: c.n }).from(c)
    },
  ],
  [
    'exists',
    () =>
      db
        .select()
        .from(users)
        .where(exists(db.select().from(posts).where(eq(posts.authorId, users.id)))),
  ],
  [
    'exists and eq',
    () =>
      db
        .select()
        .from(users)
        .where(
          and(
            eq(users.id, 1),
            exists(
              db
                .select({ id: posts.id })
                .from(posts)
                .where(and(eq(posts.authorId, users.id), eq(posts.state, 'new'))),
            ),
          ),
        ),
  ],
  [
    'not exists',
    () =>
      db
        .select()
        .from(users)
        .where(notExists(db.select().from(posts).where(eq(posts.authorId, users.id)))),
  ],
  [
    'in a select',
    () =>
      db
        .select()
        .from(users)
        .where(inArray(users.id, db.select({ id: posts.authorId }).from(posts).where(eq(posts.state, 'new')))),
  ],
  [
    'standalone builder',
    () =>
      db
        .select()
        .from(users)
        .where(inArray(users.id, qb.select({ id: posts.authorId }).from(posts))),
  ],
  [
    'standalone derived',
    () => {
      const s = qb.select({ id: posts.authorId }).from(posts).as('s')
      return db.select().from(s)
    },
  ],
  [
    'scalar select',
    () =>
      db
        .select({
          id: users.id,
          n: sql<number>`${db.select({ n: count() }).from(posts).where(eq(posts.authorId, users.id))}`,
        })
        .from(users),
  ],
  [
    'scalar select by as',
    () => db.select({ id: users.id, n: sql`(${db.select({ n: max(posts.id) }).from(posts)})`.as('n') }).from(users),
  ],
  [
    'order by a select',
    () =>
      db
        .select()
        .from(users)
        .orderBy(desc(sql`(${db.select({ n: count() }).from(posts).where(eq(posts.authorId, users.id)).getSQL()})`)),
  ],
  ['embedded count', () => db.select({ id: users.id, n: db.$count(posts, eq(posts.authorId, users.id)) }).from(users)],
  [
    'embedded count of all',
    () =>
      db
        .select({ id: users.id, n: db.$count(posts) })
        .from(users)
        .where(eq(users.id, 1)),
  ],
  [
    'union',
    () =>
      db
        .select({ id: users.id })
        .from(users)
        .union(db.select({ id: posts.id }).from(posts).where(eq(posts.id, 1))),
  ],
  [
    'union all',
    () =>
      db
        .select({ id: users.id })
        .from(users)
        .unionAll(db.select({ id: posts.id }).from(posts).where(eq(posts.id, 1))),
  ],
  [
    'union function',
    () =>
      union(
        db.select({ id: users.id }).from(users),
        db.select({ id: posts.id }).from(posts),
        db.select({ id: prices.id }).from(prices),
      ) as Builder,
  ],
  [
    'union, order, limit',
    () =>
      unionAll(db.select({ id: users.id }).from(users).where(eq(users.id, 2)), db.select({ id: posts.id }).from(posts))
        .orderBy(desc(users.id))
        .limit(5)
        .offset(1) as Builder,
  ],
  [
    'union, order by column',
    () =>
      union(db.select({ id: users.id }).from(users), db.select({ id: posts.id }).from(posts)).orderBy(
        users.id,
      ) as Builder,
  ],
  [
    'intersect',
    () => intersect(db.select({ id: users.id }).from(users), db.select({ id: posts.authorId }).from(posts)) as Builder,
  ],
  [
    'except then union',
    () =>
      except(db.select({ id: users.id }).from(users).limit(3), db.select({ id: posts.authorId }).from(posts))
        .union(db.select({ id: prices.id }).from(prices))
        .limit(2) as Builder,
  ],
  [
    'derived union',
    () => {
      const s = union(db.select({ id: users.id }).from(users), db.select({ id: posts.id }).from(posts)).as('s')
      return db.select().from(s).where(eq(s.id, 1))
    },
  ],
  ['view', () => db.select().from(stats).where(eq(stats.authorId, 1))],
  ['view, joined', () => db.select().from(users).leftJoin(stats, eq(stats.authorId, users.id)).where(eq(users.id, 1))],
  ['materialised view', () => db.select().from(heavy)],
  ['raw source', () => db.select({ n: sql<number>`n` }).from(sql`generate_series(1, ${3}) as n`)],
  ['raw source of a table', () => db.select({ n: sql<number>`id` }).from(sql`${posts}`)],
  [
    'raw select in where',
    () => db.select().from(users).where(sql`exists (select 1 from ${posts} where ${posts.authorId} = ${users.id})`),
  ],
  ['whole row', () => db.select({ r: sql`row_to_json(${users})` }).from(users)],
  ['unbalanced', () => where(and(eq(posts.id, 1), sql`true) or (true`))],
  ['unbalanced in the list', () => db.select({ n: sql`1) as x, (2` }).from(posts).where(eq(posts.id, 1))],
  [
    'union in the list',
    () =>
      db
        .select({ n: sql`1 from ${users} union select 2` })
        .from(posts)
        .where(eq(posts.id, 1)),
  ],
  ['quotes', () => where(and(eq(posts.id, 1), sql`${posts.title} = 'it''s ('`))],
  ['open quote', () => where(and(eq(posts.id, 1), sql`${posts.title} = 'it`))],
  ['where and of one', () => where(and(eq(posts.id, 1)))],
  ['where a value first', () => where(sql`${1} = ${posts.id}`)],
  ['where not of a group', () => where(and(eq(posts.id, 1), not(or(eq(posts.likes, 1), isNull(posts.title)) as SQL)))],
  ['where not of raw', () => where(and(eq(posts.id, 1), not(sql`${posts.likes} > 1 or true`)))],
  ['where loose or in and', () => where(and(eq(posts.id, 1), sql`${eq(posts.likes, 1)} or ${eq(posts.likes, 2)}`))],
  ['where loose and in or', () => where(or(eq(posts.id, 1), sql`${eq(posts.id, 2)} and ${eq(posts.likes, 2)}`))],
  ['where loose or alone', () => where(sql`${eq(posts.id, 1)} or ${eq(posts.id, 2)}`)],
  [
    'where loose or in parentheses',
    () => where(and(eq(posts.authorId, 1), sql`(${eq(posts.id, 1)} or ${eq(posts.id, 2)})`)),
  ],
  ['where raw in parentheses', () => where(and(eq(posts.authorId, 1), sql`(${sql`${posts.likes} > 1 or true`})`))],
  ['where eq of raw', () => where(and(eq(posts.authorId, 1), eq(posts.id, sql`1 or true`)))],
  ['where eq of calls', () => where(and(eq(posts.authorId, 1), eq(posts.likes, sql`greatest(${posts.id}, ${2})`)))],
  ['where two calls', () => where(and(eq(posts.authorId, 1), eq(posts.id, sql`abs(1) or abs(2)`)))],
  ['where distinct from', () => where(sql`${posts.title} is distinct from ${posts.state}`)],
  ['where extract', () => where(and(eq(posts.authorId, 1), gt(sql`extract(year from ${posts.made})`, 2000)))],
  ['where eq of a select', () => where(eq(posts.authorId, db.select({ m: max(users.id) }).from(users) as never))],
  ['where in of raw', () => where(inArray(posts.id, [1, sql`2` as never]))],
  ['where a comment of two', () => where(and(eq(posts.id, 1), sql`${posts.likes} -${sql`-1`}`))],
  [
    'join on a comment',
    () => db.select({ id: posts.id }).from(posts).leftJoin(users, sql`true -- `).where(eq(posts.id, 1)),
  ],
  [
    'join on stolen where',
    () => db.select({ id: posts.id }).from(posts).leftJoin(users, sql`true union select 1`).where(eq(posts.id, 1)),
  ],
  [
    'join of one name in two schemas',
    () =>
      db
        .select({ id: users.id, other: elsewhere.id })
        .from(users)
        .innerJoin(elsewhere, eq(users.id, elsewhere.id))
        .where(eq(elsewhere.id, 1)),
  ],
  ['alias of another table', () => db.select({ n: sql`1` }).from(aliasedTable(posts, 'u')).where(eq(u.id, 1))],
  [
    'a column of no source',
    () =>
      db
        .select()
        .from(posts)
        .where(and(eq(posts.id, 1), eq(comments.userId, 2))),
  ],
  [
    'outer column without its table',
    () =>
      db
        .select()
        .from(users)
        .where(exists(db.select({ n: sql`${users.id}` }).from(posts))),
  ],
  [
    'inner hides outer',
    () =>
      db
        .select()
        .from(users)
        .where(exists(db.select({ id: users.id }).from(users).where(eq(users.id, 5)))),
  ],
  [
    'derived beside',
    () => {
      const s = db.select({ id: posts.id }).from(posts).where(eq(posts.authorId, users.id)).as('s')
      return db.select({ id: users.id }).from(users).innerJoin(s, eq(s.id, users.id))
    },
  ],
  [
    'a name that a table has too',
    () => {
      const s = db
        .select({ a: posts.authorId, l: sum(posts.likes).as('likes') })
        .from(posts)
        .groupBy(posts.authorId)
        .as('s')
      return db
        .select({ id: users.id })
        .from(users)
        .innerJoin(s, eq(s.a, users.id))
        .where(
          exists(
            db
              .select({ n: comments.id })
              .from(comments)
              .innerJoin(posts, eq(posts.id, comments.postId))
              .where(gt(s.l, '3')),
          ),
        )
    },
  ],
  [
    'union of joins',
    () =>
      union(
        db.select({ id: users.id }).from(users).innerJoin(posts, eq(posts.authorId, users.id)),
        db.select({ id: posts.id }).from(posts),
      ) as Builder,
  ],
  [
    'cte beside a union',
    () => {
      const c = db.$with('c').as(postsOf())
      return union(db.with(c).select({ id: c.id }).from(c), db.select({ id: users.id }).from(users)) as Builder
    },
  ],
  [
    'cte in a derived table',
    () => {
      const c = db.$with('c').as(postsOf())
      const s = db.with(c).select({ id: c.id }).from(c).as('s')
      return db.select().from(s)
    },
  ],
  [
    'cte used inside',
    () => {
      const c = db.$with('c').as(postsOf())
      return db
        .with(c)
        .select({ id: users.id })
        .from(users)
        .where(inArray(users.id, db.select({ id: c.authorId }).from(c).where(eq(c.id, users.id))))
    },
  ],
  [
    'having a select',
    () =>
      db
        .select({ a: posts.authorId })
        .from(posts)
        .groupBy(posts.authorId)
        .having(exists(db.select({ id: users.id }).from(users).where(eq(users.id, posts.authorId)))),
  ],
  [
    'count in order',
    () =>
      db
        .select({ id: users.id })
        .from(users)
        .orderBy(desc(db.$count(posts, and(eq(posts.authorId, users.id), eq(posts.state, 'new'))))),
  ],
  ['count of an alias inside', () => db.select({ id: posts.id, n: db.$count(u) }).from(posts)],
  [
    'lateral of a lateral',
    () => {
      const a = db.select({ id: posts.id }).from(posts).where(eq(posts.authorId, users.id)).as('a')
      const b = db
        .select({ id: comments.id })
        .from(comments)
        .where(and(eq(comments.userId, users.id), eq(comments.postId, a.id)))
        .as('b')
      return db
        .select({ u: users.id, b: b.id })
        .from(users)
        .innerJoinLateral(a, sql`true`)
        .leftJoinLateral(b, sql`true`)
        .where(eq(users.id, 1))
    },
  ],
]

export const cases: readonly Case[] = list.map(([name, make, own]) => ({ name, make, ...(own && { given: own }) }))
