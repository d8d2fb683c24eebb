/**
 * Every form of statement that Drizzle can say, as one list: each case is run on plain Drizzle and on a wrapped db over
 * databases of the same history, several times in a row, and must come to the same each time.
 *
 * Cases change data; they do so in one order on each database, so that all keep the same history.
 */
import {
  aliasedTable,
  and,
  asc,
  avg,
  count,
  countDistinct,
  desc,
  eq,
  exists,
  getTableColumns,
  gt,
  gte,
  ilike,
  inArray,
  is,
  isNull,
  lt,
  max,
  not,
  notInArray,
  or,
  SQL,
  Subquery,
  sql,
  sum,
  Table,
} from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import {
  alias,
  except,
  intersect,
  PgInsertBase,
  type PgSelect,
  PgSelectBase,
  PgSelectBuilder,
  union,
  unionAll,
} from 'drizzle-orm/pg-core'
import {
  keyless,
  longPosts,
  memberships,
  otherUsers,
  postCounts,
  posts,
  sampleId,
  samples,
  type surfaceSchema,
  users,
} from './surface-tables.ts'

export type SurfaceDb = NodePgDatabase<typeof surfaceSchema>

export interface SurfaceCase {
  readonly name: string
  /** Answers a builder, or the promise of some results. */
  run(db: SurfaceDb): unknown
  /** Without ORDER BY the database promises no order. */
  readonly unordered?: boolean
}

const reads: SurfaceCase[] = [
  { name: 'a row by key', run: (db) => db.select().from(users).where(eq(users.id, 1)) },
  { name: 'a row that is not there', run: (db) => db.select().from(users).where(eq(users.id, 404)) },
  { name: 'a row by unique key', run: (db) => db.select().from(users).where(eq(users.email, 'bob@x')) },
  { name: 'a unique key that is not there', run: (db) => db.select().from(users).where(eq(users.email, 'no@x')) },
  { name: 'an invalid date in a row', run: (db) => db.select().from(users).where(eq(users.id, 4)) },
  { name: 'a row with json null', run: (db) => db.select().from(users).where(eq(users.id, 5)) },
  {
    name: 'partial columns by key',
    run: (db) => db.select({ id: users.id, name: users.fullName }).from(users).where(eq(users.id, 2)),
  },
  {
    name: 'one column twice and another name for it',
    run: (db) =>
      db.select({ a: users.fullName, b: users.fullName, mood: users.email }).from(users).where(eq(users.id, 2)),
  },
  {
    name: 'nested objects by key',
    run: (db) =>
      db
        .select({ who: { name: users.fullName, contact: { email: users.email } as never }, mood: users.mood })
        .from(users)
        .where(eq(users.id, 3)),
  },
  {
    name: 'a nested object of columns that are all null',
    run: (db) =>
      db
        .select({ id: users.id, none: { mood: users.mood, score: users.score } })
        .from(users)
        .where(eq(users.id, 2)),
  },
  {
    name: 'getTableColumns without one',
    run: (db) => {
      const { profile, ...rest } = getTableColumns(users)
      return db.select(rest).from(users).where(eq(users.id, 1))
    },
  },
  { name: 'limit by key', run: (db) => db.select().from(users).where(eq(users.id, 1)).limit(1) },
  { name: 'limit 0 by key', run: (db) => db.select().from(users).where(eq(users.id, 1)).limit(0) },
  { name: 'offset by key', run: (db) => db.select().from(users).where(eq(users.id, 1)).offset(1) },
  { name: 'order by by key', run: (db) => db.select().from(users).where(eq(users.id, 1)).orderBy(desc(users.email)) },
  {
    name: 'a key and a further condition that holds',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(and(eq(users.id, 1), eq(users.email, 'ada@x'))),
  },
  {
    name: 'a key and a further condition that does not hold',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(and(eq(users.id, 1), eq(users.email, 'bob@x'))),
  },
  {
    name: 'a key and is null',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(and(eq(users.id, 2), isNull(users.mood))),
  },
  {
    name: 'a key and a range',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(and(eq(users.id, 1), gt(users.score, '10'))),
  },
  { name: 'a key in raw sql', run: (db) => db.select().from(users).where(sql`${users.id} = ${1}`) },
  {
    name: 'a key or another',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(or(eq(users.id, 1), eq(users.id, 2))),
    unordered: true,
  },
  {
    name: 'two keys that contradict',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(and(eq(users.id, 1), eq(users.id, 2))),
  },
  {
    name: 'a list of keys, some twice, some missing',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(inArray(users.id, [3, 1, 3, 404, 2])),
    unordered: true,
  },
  {
    name: 'a list of keys in order',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(inArray(users.id, [3, 1, 2]))
        .orderBy(desc(users.id)),
  },
  {
    name: 'a list of keys in the order of a text',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(inArray(users.id, [3, 1, 2]))
        .orderBy(users.email),
  },
  {
    name: 'a list of keys, limited',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(inArray(users.id, [3, 1, 2]))
        .orderBy(users.id)
        .limit(2),
  },
  { name: 'an empty list of keys', run: (db) => db.select().from(users).where(inArray(users.id, [])) },
  {
    name: 'not in an empty list',
    run: (db) => db.select({ id: users.id }).from(users).where(notInArray(users.id, [])).orderBy(users.id),
  },
  {
    name: 'a composite key',
    run: (db) =>
      db
        .select()
        .from(memberships)
        .where(and(eq(memberships.userId, 1), eq(memberships.org, 'a:b'))),
  },
  {
    name: 'a composite key with an empty text',
    run: (db) =>
      db
        .select()
        .from(memberships)
        .where(and(eq(memberships.org, ''), eq(memberships.userId, 2))),
  },
  {
    name: 'half a composite key',
    run: (db) => db.select().from(memberships).where(eq(memberships.org, 'a:b')).orderBy(memberships.userId),
  },
  {
    name: 'a list over half a composite key',
    run: (db) =>
      db
        .select()
        .from(memberships)
        .where(and(eq(memberships.org, 'a:b'), inArray(memberships.userId, [1, 2]))),
    unordered: true,
  },
  { name: 'a bigint key beyond 2^53', run: (db) => db.select().from(posts).where(eq(posts.id, 9007199254740993n)) },
  { name: 'a uuid key and all types', run: (db) => db.select().from(samples).where(eq(samples.id, sampleId)) },
  {
    name: 'all types, null',
    run: (db) =>
      db
        .select()
        .from(samples)
        .where(eq(samples.id, sampleId.replace(/1$/, '2'))),
  },
  {
    name: 'a uuid key in capitals',
    run: (db) => db.select().from(samples).where(eq(samples.id, sampleId.toUpperCase())),
  },
  { name: 'a table of the same name elsewhere', run: (db) => db.select().from(otherUsers).where(eq(otherUsers.id, 1)) },
  {
    name: 'an aliased table by key',
    run: (db) => {
      const u = alias(users, 'u')
      return db.select().from(u).where(eq(u.id, 1))
    },
  },
  {
    name: 'an aliased table under the condition of the bare one fails as plain',
    run: (db) => db.select().from(aliasedTable(users, 'u')).where(eq(users.id, 1)),
  },
  { name: 'the whole table', run: (db) => db.select().from(users).orderBy(users.id) },
  { name: 'a table without key', run: (db) => db.select().from(keyless).where(eq(keyless.n, 1)) },
  { name: 'a view', run: (db) => db.select().from(longPosts).orderBy(longPosts.id) },
  { name: 'a materialized view', run: (db) => db.select().from(postCounts).orderBy(postCounts.authorId) },
  { name: '$dynamic', run: (db) => byId(db.select().from(users).$dynamic(), 1) },
  { name: '$count of a table', run: (db) => db.$count(users) },
  { name: '$count under a condition', run: (db) => db.$count(posts, eq(posts.authorId, 1)) },
  {
    name: '$count as a field',
    run: (db) =>
      db
        .select({ id: users.id, n: db.$count(posts, eq(posts.authorId, users.id)) })
        .from(users)
        .orderBy(users.id),
  },
  {
    name: '$count as a field by key',
    run: (db) =>
      db
        .select({ id: users.id, n: db.$count(posts) })
        .from(users)
        .where(eq(users.id, 1)),
  },
  { name: 'distinct', run: (db) => db.selectDistinct({ n: keyless.n }).from(keyless).orderBy(keyless.n) },
  { name: 'distinct by key', run: (db) => db.selectDistinct().from(otherUsers).where(eq(otherUsers.id, 1)) },
  {
    name: 'distinct on',
    run: (db) => db.selectDistinctOn([posts.authorId]).from(posts).orderBy(posts.authorId, desc(posts.id)),
  },
  {
    name: 'group by and having',
    run: (db) =>
      db
        .select({ author: posts.authorId, n: count(), words: sum(posts.words), most: max(posts.words) })
        .from(posts)
        .groupBy(posts.authorId)
        .having(({ n }) => gte(n, 1))
        .orderBy(posts.authorId),
  },
  {
    name: 'group by by key',
    run: (db) => db.select({ id: users.id }).from(users).where(eq(users.id, 1)).groupBy(users.id),
  },
  {
    name: 'aggregates',
    run: (db) => db.select({ n: count(), d: countDistinct(posts.authorId), a: avg(posts.words) }).from(posts),
  },
  {
    name: 'sql fields, with and without alias',
    run: (db) =>
      db
        .select({
          up: sql<string>`upper(${users.fullName})`,
          twice: sql<number>`${users.id} * 2`.mapWith(Number).as('t'),
        })
        .from(users)
        .where(eq(users.id, 1)),
  },
  {
    name: 'inner join',
    run: (db) => db.select().from(posts).innerJoin(users, eq(users.id, posts.authorId)).orderBy(posts.id),
  },
  {
    name: 'left join by key, the partner missing',
    run: (db) => db.select().from(users).leftJoin(posts, eq(posts.authorId, users.id)).where(eq(users.id, 5)),
  },
  {
    name: 'right join',
    run: (db) => db.select().from(posts).rightJoin(users, eq(users.id, posts.authorId)).orderBy(users.id, posts.id),
  },
  {
    name: 'full join',
    run: (db) => db.select().from(posts).fullJoin(users, eq(users.id, posts.authorId)).orderBy(users.id, posts.id),
  },
  {
    name: 'cross join',
    run: (db) =>
      db
        .select({ a: otherUsers.id, b: keyless.n })
        .from(otherUsers)
        .crossJoin(keyless)
        .orderBy(otherUsers.id, keyless.n),
  },
  {
    name: 'partial join with nested null',
    run: (db) =>
      db
        .select({ id: users.id, post: { title: posts.title, slug: posts.slug } })
        .from(users)
        .leftJoin(posts, and(eq(posts.authorId, users.id), eq(posts.published, true)))
        .orderBy(users.id, posts.id),
  },
  {
    name: 'self join',
    run: (db) => {
      const boss = alias(users, 'boss')
      return db
        .select({ a: users.fullName, b: boss.fullName })
        .from(users)
        .leftJoin(boss, eq(boss.id, users.managerId))
        .orderBy(users.id)
    },
  },
  {
    name: 'two tables of one name joined',
    run: (db) => {
      const named = alias(otherUsers, 'named')
      return db.select().from(users).innerJoin(named, eq(named.id, users.id)).orderBy(users.id)
    },
  },
  {
    name: 'lateral join',
    run: (db) => {
      const last = db
        .select({ title: posts.title })
        .from(posts)
        .where(eq(posts.authorId, users.id))
        .orderBy(desc(posts.id))
        .limit(1)
        .as('last')
      return db
        .select({ id: users.id, title: last.title })
        .from(users)
        .leftJoinLateral(last, sql`true`)
        .orderBy(users.id)
    },
  },
  {
    name: 'a sub-query as table',
    run: (db) => {
      const long = db
        .select({ id: posts.id, n: sql<number>`${posts.words} * 2`.as('n') })
        .from(posts)
        .as('long')
      return db.select().from(long).where(gt(long.n, 100)).orderBy(long.id)
    },
  },
  {
    name: 'a select by key as sub-query',
    run: (db) => {
      const one = db.select().from(users).where(eq(users.id, 1)).as('one')
      return db.select({ name: one.fullName, at: one.createdAt }).from(one)
    },
  },
  {
    name: 'a sub-query as field',
    run: (db) =>
      db
        .select({
          id: users.id,
          n: sql<number>`(${db.select({ n: count() }).from(posts).where(eq(posts.authorId, users.id))})`.mapWith(
            Number,
          ),
        })
        .from(users)
        .orderBy(users.id),
  },
  {
    name: 'exists and in a sub-query',
    run: (db) =>
      db
        .select({ id: users.id })
        .from(users)
        .where(
          and(
            exists(db.select().from(posts).where(eq(posts.authorId, users.id))),
            inArray(users.id, db.select({ id: otherUsers.id }).from(otherUsers)),
          ),
        )
        .orderBy(users.id),
  },
  {
    name: 'a key given by a sub-query',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(eq(users.id, db.select({ id: sql<number>`min(${otherUsers.id})` }).from(otherUsers))),
  },
  {
    name: 'not and ilike',
    run: (db) =>
      db
        .select({ id: users.id })
        .from(users)
        .where(not(ilike(users.email, 'A%')))
        .orderBy(asc(users.id)),
  },
  {
    name: 'a CTE',
    run: (db) => {
      const long = db.$with('long').as(db.select().from(posts).where(gt(posts.words, 100)))
      return db.with(long).select().from(long).orderBy(long.id)
    },
  },
  {
    name: 'a CTE and a select by key',
    run: (db) => {
      const unused = db.$with('unused').as(db.select({ id: otherUsers.id }).from(otherUsers))
      return db.with(unused).select().from(users).where(eq(users.id, 1))
    },
  },
  {
    name: 'union',
    run: (db) =>
      union(db.select({ id: users.id }).from(users), db.select({ id: otherUsers.id }).from(otherUsers)).orderBy(sql`1`),
  },
  {
    name: 'union all of selects by key',
    run: (db) =>
      unionAll(
        db.select({ id: users.id }).from(users).where(eq(users.id, 1)),
        db.select({ id: users.id }).from(users).where(eq(users.id, 2)),
      ),
    unordered: true,
  },
  {
    name: 'intersect and except as methods',
    run: (db) =>
      db
        .select({ id: users.id })
        .from(users)
        .intersect(db.select({ id: otherUsers.id }).from(otherUsers))
        .except(db.select({ id: otherUsers.id }).from(otherUsers).where(eq(otherUsers.id, 2))),
  },
  {
    name: 'set functions',
    run: async (db) => [
      await intersect(
        db.select({ id: users.id }).from(users),
        db.select({ id: otherUsers.id }).from(otherUsers),
      ).orderBy(sql`1`),
      await except(db.select({ id: users.id }).from(users), db.select({ id: otherUsers.id }).from(otherUsers)).orderBy(
        sql`1`,
      ),
    ],
  },
  { name: 'for update', run: (db) => db.select().from(users).where(eq(users.id, 1)).for('update') },
  {
    name: 'for share skip locked',
    run: (db) => db.select().from(users).where(eq(users.id, 1)).for('share', { skipLocked: true }),
  },
  {
    name: 'for no key update of nowait',
    run: (db) => db.select().from(users).where(eq(users.id, 1)).for('no key update', { of: users, noWait: true }),
  },
  {
    name: 'an unknown column fails as plain',
    run: (db) => db.select({ x: sql`no_such_column` }).from(users).where(eq(users.id, 1)),
  },
  {
    name: 'an invalid enum value',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(eq(users.mood, 'none' as 'low')),
  },
  { name: 'an invalid uuid as key', run: (db) => db.select().from(samples).where(eq(samples.id, 'not a uuid')) },
  { name: 'a number out of range as key', run: (db) => db.select().from(users).where(eq(users.id, 99_999_999_999)) },
  { name: 'NaN as key', run: (db) => db.select().from(users).where(eq(users.id, Number.NaN)) },
  { name: 'a fraction as key', run: (db) => db.select().from(users).where(eq(users.id, 1.5)) },
  {
    name: 'a text as integer key',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(eq(users.id, '1' as unknown as number)),
  },
  {
    name: 'a padded text as integer key',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(eq(users.id, ' 1 ' as unknown as number)),
  },
  { name: 'minus zero as key', run: (db) => db.select().from(users).where(eq(users.id, -0)) },
  {
    name: 'null as key',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(eq(users.id, null as unknown as number)),
  },
  { name: 'a text with a zero byte as key', run: (db) => db.select().from(users).where(eq(users.email, 'a\0b')) },
  {
    name: 'an invalid value in a list',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(inArray(users.id, [1, Number.NaN])),
  },
]

function byId<T extends PgSelect>(query: T, id: number): T {
  return query.where(eq(users.id, id))
}

const relational: SurfaceCase[] = [
  { name: 'findFirst by key', run: (db) => db.query.users.findFirst({ where: eq(users.id, 1) }) },
  { name: 'findFirst by key, callback', run: (db) => db.query.users.findFirst({ where: (t, { eq }) => eq(t.id, 1) }) },
  { name: 'findFirst that finds nothing', run: (db) => db.query.users.findFirst({ where: eq(users.id, 404) }) },
  { name: 'findFirst without condition', run: (db) => db.query.users.findFirst({ orderBy: users.id }) },
  { name: 'findMany', run: (db) => db.query.users.findMany({ orderBy: [desc(users.id)] }) },
  { name: 'findMany without config', run: (db) => db.query.otherUsers.findMany(), unordered: true },
  { name: 'findMany by key', run: (db) => db.query.users.findMany({ where: eq(users.id, 1) }) },
  {
    name: 'findMany by unique key',
    run: (db) => db.query.users.findMany({ where: (t, { eq }) => eq(t.email, 'cyd@x') }),
  },
  {
    name: 'findMany of keys',
    run: (db) => db.query.users.findMany({ where: (t, { inArray }) => inArray(t.id, [2, 1, 404]) }),
    unordered: true,
  },
  {
    name: 'findMany of keys in order',
    run: (db) => db.query.users.findMany({ where: inArray(users.id, [2, 1]), orderBy: (t, { desc }) => desc(t.id) }),
  },
  {
    name: 'findMany of keys, limited',
    run: (db) => db.query.users.findMany({ where: inArray(users.id, [2, 1]), limit: 1, orderBy: users.id }),
  },
  {
    name: 'columns chosen',
    run: (db) => db.query.users.findFirst({ where: eq(users.id, 1), columns: { fullName: true, id: true } }),
  },
  {
    name: 'columns left out',
    run: (db) => db.query.users.findFirst({ where: eq(users.id, 1), columns: { profile: false, tags: false } }),
  },
  { name: 'no columns', run: (db) => db.query.users.findFirst({ where: eq(users.id, 1), columns: {} }) },
  { name: 'all types', run: (db) => db.query.samples.findFirst({ where: eq(samples.id, sampleId) }) },
  {
    name: 'a composite key',
    run: (db) => db.query.memberships.findFirst({ where: (t, { and, eq }) => and(eq(t.org, 'a'), eq(t.userId, 1)) }),
  },
  {
    name: 'a table of the same name elsewhere',
    run: (db) => db.query.otherUsers.findFirst({ where: eq(otherUsers.id, 2) }),
  },
  { name: 'with one', run: (db) => db.query.posts.findMany({ with: { author: true }, orderBy: posts.id }) },
  { name: 'with many', run: (db) => db.query.users.findMany({ with: { posts: true }, orderBy: users.id }) },
  {
    name: 'nested with, conditions and order at each level',
    run: (db) =>
      db.query.users.findMany({
        columns: { id: true, fullName: true },
        where: lt(users.id, 4),
        orderBy: users.id,
        with: {
          // Drizzle's relation types take the other table of this name.
          manager: { columns: { email: true } as object },
          reports: { columns: { id: true }, orderBy: (t, { asc }) => asc(t.id) },
          posts: {
            columns: { title: true },
            where: (t, { gt }) => gt(t.words, 5),
            orderBy: (t, { desc }) => desc(t.id),
            limit: 2,
            with: { author: { columns: { email: true } as object } },
          },
        },
      }),
  },
  {
    name: 'by key with relations',
    run: (db) => db.query.users.findFirst({ where: eq(users.id, 1), with: { posts: { limit: 1, orderBy: posts.id } } }),
  },
  {
    name: 'by key with a relation switched off',
    run: (db) => db.query.users.findFirst({ where: eq(users.id, 1), with: { posts: undefined } as object }),
  },
  {
    name: 'extras',
    run: (db) =>
      db.query.users.findFirst({
        where: eq(users.id, 1),
        extras: { shout: sql<string>`upper(${users.fullName})`.as('shout') },
      }),
  },
  { name: 'offset', run: (db) => db.query.users.findMany({ orderBy: users.id, limit: 2, offset: 1 }) },
  { name: 'limit 0', run: (db) => db.query.users.findMany({ where: eq(users.id, 1), limit: 0 }) },
  { name: 'an invalid key', run: (db) => db.query.samples.findFirst({ where: eq(samples.id, 'not a uuid') }) },
]

const writes: SurfaceCase[] = [
  { name: 'insert one', run: (db) => db.insert(users).values({ email: nextEmail(), fullName: 'New' }) },
  {
    name: 'insert one, returning all',
    run: (db) => db.insert(users).values({ email: nextEmail(), fullName: 'New' }).returning(),
  },
  {
    name: 'insert many, returning some',
    run: (db) =>
      db
        .insert(users)
        .values([
          { email: nextEmail(), fullName: 'A', mood: 'low', score: '1.5', tags: ['x', 'y'], profile: { a: [1] } },
          { email: nextEmail(), fullName: 'B' },
        ])
        .returning({ id: users.id, at: users.createdAt, nested: sql<string>`upper(name)` }),
  },
  {
    name: 'insert returning nothing by plain columns twice',
    run: (db) =>
      db
        .insert(otherUsers)
        .values({ id: nextId(), label: nextEmail() })
        .returning({ a: otherUsers.id, b: otherUsers.id }),
  },
  {
    name: 'insert with a generated column',
    run: (db) =>
      db
        .insert(posts)
        .values({ id: BigInt(nextId()), authorId: 1, title: 'Made HERE' })
        .returning(),
  },
  {
    name: 'insert sql values',
    run: (db) =>
      db
        .insert(otherUsers)
        .values({ id: sql`${nextId()}::int + 0`, label: sql`'l' || ${nextEmail()}::text` })
        .returning(),
  },
  {
    name: 'insert with identity overridden',
    run: (db) =>
      db
        .insert(users)
        .overridingSystemValue()
        .values({ id: 1000 + nextId(), email: nextEmail(), fullName: 'O' } as never)
        .returning({ email: users.email }),
  },
  {
    name: 'insert into a table without key',
    run: (db) =>
      db
        .insert(keyless)
        .values([{ n: 7 }, { n: 7, note: 'x' }])
        .returning(),
  },
  {
    name: 'insert select',
    run: (db) =>
      db
        .insert(keyless)
        .select(db.select({ n: otherUsers.id, note: otherUsers.label }).from(otherUsers).where(lt(otherUsers.id, 3))),
  },
  {
    name: 'insert select, builder callback, returning',
    run: (db) =>
      db
        .insert(keyless)
        .select((q) =>
          q.select({ n: otherUsers.id, note: otherUsers.label }).from(otherUsers).where(eq(otherUsers.id, 1)),
        )
        .returning(),
  },
  { name: 'insert a raw select', run: (db) => db.insert(keyless).select(sql`select 5, 'raw'`) },
  {
    name: 'insert with a CTE',
    run: (db) => {
      const one = db.$with('one').as(db.select({ id: otherUsers.id }).from(otherUsers).where(eq(otherUsers.id, 1)))
      return db.with(one).insert(keyless).values({ n: sql`(select id from one)`, note: 'cte' }).returning()
    },
  },
  { name: 'insert that is not unique', run: (db) => db.insert(users).values({ email: 'ada@x', fullName: 'Again' }) },
  {
    name: 'insert that is not unique, returning',
    run: (db) => db.insert(users).values({ email: 'ada@x', fullName: 'Again' }).returning(),
  },
  {
    name: 'insert that fails a check',
    run: (db) => db.insert(users).values({ email: nextEmail(), fullName: 'Poor', score: '-1' }),
  },
  {
    name: 'insert without a column that must be there',
    run: (db) => db.insert(users).values({ email: nextEmail() } as typeof users.$inferInsert),
  },
  {
    name: 'insert of an invalid enum',
    run: (db) => db.insert(users).values({ email: nextEmail(), fullName: 'E', mood: 'odd' as 'low' }),
  },
  {
    name: 'insert without a parent',
    run: (db) => db.insert(posts).values({ id: BigInt(nextId()), authorId: 404, title: 'x' }),
  },
  {
    name: 'insert of too long a text',
    run: (db) => db.insert(memberships).values({ org: 'o', userId: 1, role: 'x'.repeat(21) }),
  },
  { name: 'insert of no values fails as plain', run: (db) => db.insert(users).values([]) },
  {
    name: 'on conflict do nothing that conflicts',
    run: (db) => db.insert(users).values({ email: 'ada@x', fullName: 'N' }).onConflictDoNothing(),
  },
  {
    name: 'on conflict do nothing, returning',
    run: (db) =>
      db
        .insert(users)
        .values([
          { email: 'ada@x', fullName: 'N' },
          { email: nextEmail(), fullName: 'N' },
        ])
        .onConflictDoNothing({ target: users.email })
        .returning({ email: users.email }),
  },
  {
    name: 'on conflict do update',
    run: (db) =>
      db
        .insert(users)
        .values({ email: 'bob@x', fullName: 'Bob' })
        .onConflictDoUpdate({ target: users.email, set: { fullName: sql`excluded.name || '!'` } }),
  },
  {
    name: 'on conflict do update, returning',
    run: (db) =>
      db
        .insert(users)
        .values({ email: 'bob@x', fullName: 'Bob' })
        .onConflictDoUpdate({ target: users.email, set: { mood: 'mid' } })
        .returning(),
  },
  {
    name: 'on conflict do update where it does not hold',
    run: (db) =>
      db
        .insert(users)
        .values({ email: 'bob@x', fullName: 'Bob' })
        .onConflictDoUpdate({ target: users.email, set: { mood: 'low' }, setWhere: eq(users.fullName, 'nobody') })
        .returning(),
  },
  {
    name: 'on conflict do update that sets a unique column',
    run: (db) =>
      db
        .insert(otherUsers)
        .values({ id: 1, label: 'x' })
        .onConflictDoUpdate({ target: otherUsers.id, set: { label: sql`${otherUsers.label} || 'x'` } })
        .returning(),
  },
  {
    name: 'on conflict on a composite key',
    run: (db) =>
      db
        .insert(memberships)
        .values([
          { org: 'a', userId: 1, role: 'r' },
          { org: 'n', userId: 1, role: 'r' },
        ])
        .onConflictDoUpdate({ target: [memberships.org, memberships.userId], set: { role: sql`excluded.role` } }),
  },
  {
    name: 'on conflict that touches a row twice',
    run: (db) =>
      db
        .insert(otherUsers)
        .values([{ id: 1 }, { id: 1 }])
        .onConflictDoUpdate({ target: otherUsers.id, set: { label: 'y' } }),
  },

  { name: 'update by key', run: (db) => db.update(users).set({ fullName: 'Ada L' }).where(eq(users.id, 1)) },
  {
    name: 'update by key, returning all',
    run: (db) => db.update(users).set({ fullName: 'Ada M' }).where(eq(users.id, 1)).returning(),
  },
  {
    name: 'update by key, returning some',
    run: (db) =>
      db
        .update(users)
        .set({ score: sql`coalesce(${users.score}, 0) + 1` })
        .where(eq(users.id, 1))
        .returning({ id: users.id, score: users.score, up: sql<string>`upper(${users.fullName})` }),
  },
  { name: 'update of no row', run: (db) => db.update(users).set({ fullName: 'x' }).where(eq(users.id, 404)) },
  {
    name: 'update of no row, returning',
    run: (db) => db.update(users).set({ fullName: 'x' }).where(eq(users.id, 404)).returning(),
  },
  {
    name: 'update of a unique column',
    run: (db) =>
      db
        .update(users)
        .set({ email: sql`${users.email} || 'x'` })
        .where(eq(users.id, 3)),
  },
  {
    name: 'update of a unique column, returning',
    run: (db) => db.update(users).set({ email: 'cyd@x' }).where(eq(users.id, 3)).returning({ email: users.email }),
  },
  {
    name: 'update of a unique column without parameters',
    run: (db) => db.update(users).set({ email: sql`email || 'y'`, touched: sql`'t'` }).where(sql`id = 3`),
  },
  { name: 'update of a column of nothing', run: (db) => db.update(otherUsers).set({ label: sql`label` }) },
  { name: 'update of all rows', run: (db) => db.update(posts).set({ words: sql`${posts.words} + 1` }) },
  {
    name: 'update of all rows, returning',
    run: (db) =>
      db
        .update(otherUsers)
        .set({ label: sql`${otherUsers.label} || '.'` })
        .returning(),
    unordered: true,
  },
  {
    name: 'update of many rows by a range',
    run: (db) => db.update(posts).set({ published: true }).where(gt(posts.words, 100)),
  },
  {
    name: 'update in a list',
    run: (db) =>
      db
        .update(users)
        .set({ mood: 'high' })
        .where(inArray(users.id, [1, 2, 404])),
  },
  {
    name: "update of a generated column's source",
    run: (db) => db.update(posts).set({ title: 'CHANGED Title' }).where(eq(posts.id, 1n)).returning(),
  },
  {
    name: 'update of a key',
    run: (db) =>
      db
        .update(otherUsers)
        .set({ id: sql`${otherUsers.id} + 100` })
        .where(gt(otherUsers.id, 50)),
  },
  {
    name: 'update to null',
    run: (db) =>
      db.update(users).set({ mood: null, managerId: null }).where(eq(users.id, 2)).returning({ mood: users.mood }),
  },
  {
    name: 'update under a limited sub-query',
    run: (db) =>
      db
        .update(posts)
        .set({ body: 'first' })
        .where(inArray(posts.id, db.select({ id: posts.id }).from(posts).orderBy(posts.id).limit(1))),
  },
  {
    name: 'update from',
    run: (db) => db.update(posts).set({ body: users.fullName }).from(users).where(eq(users.id, posts.authorId)),
  },
  {
    name: 'update from, returning',
    run: (db) =>
      db
        .update(posts)
        .set({ body: sql`${users.fullName}` })
        .from(users)
        .where(and(eq(users.id, posts.authorId), eq(posts.id, 1n)))
        .returning(),
  },
  {
    name: 'update from with joins',
    run: (db) =>
      db
        .update(posts)
        .set({ words: sql`${posts.words} + 1` })
        .from(users)
        .leftJoin(otherUsers, eq(otherUsers.id, users.id))
        .where(and(eq(users.id, posts.authorId), eq(users.id, 1)))
        .returning({ id: posts.id, words: posts.words, who: users.fullName, label: otherUsers.label }),
    unordered: true,
  },
  {
    name: 'update from of a unique column',
    run: (db) =>
      db
        .update(users)
        .set({ email: sql`${users.email} || ${otherUsers.id}::text` })
        .from(otherUsers)
        .where(and(eq(otherUsers.id, users.id), eq(users.id, 2))),
  },
  {
    name: 'update with a CTE',
    run: (db) => {
      const one = db.$with('one').as(db.select({ id: otherUsers.id }).from(otherUsers).where(eq(otherUsers.id, 1)))
      return db
        .with(one)
        .update(users)
        .set({ fullName: 'by cte' })
        .where(eq(users.id, sql`(select id from ${one})`))
        .returning({ name: users.fullName })
    },
  },
  {
    name: 'update of a table without key',
    run: (db) => db.update(keyless).set({ note: 'changed' }).where(eq(keyless.n, 1)),
  },
  { name: 'update that is not unique', run: (db) => db.update(users).set({ email: 'eve@x' }).where(eq(users.id, 1)) },
  {
    name: 'update that is not unique, returning',
    run: (db) => db.update(users).set({ email: 'eve@x' }).where(eq(users.id, 1)).returning(),
  },
  { name: 'update that fails a check', run: (db) => db.update(users).set({ score: '-1' }).where(eq(users.id, 1)) },
  {
    name: 'update to a null that must not be',
    run: (db) => db.update(users).set({ fullName: sql`null` }).where(eq(users.id, 1)).returning(),
  },
  {
    name: 'update of a generated column fails as plain',
    run: (db) =>
      db
        .update(posts)
        .set({ slug: 'x' } as never)
        .where(eq(posts.id, 1n)),
  },
  { name: 'update to nothing', run: (db) => db.update(otherUsers).set({}).where(eq(otherUsers.id, 1)) },
  {
    name: 'update of all types',
    run: (db) =>
      db
        .update(samples)
        .set({ big: 5n, float: Number.POSITIVE_INFINITY, raw: Buffer.from([1, 2]), json: ['x'], zoned: new Date(0) })
        .where(eq(samples.id, sampleId))
        .returning(),
  },

  { name: 'delete of no row', run: (db) => db.delete(users).where(eq(users.id, 404)) },
  {
    name: 'delete by key, returning',
    run: (db) =>
      db
        .delete(memberships)
        .where(and(eq(memberships.org, 'a:b'), eq(memberships.userId, 2)))
        .returning(),
  },
  {
    name: 'delete by key',
    run: (db) => db.delete(memberships).where(and(eq(memberships.org, 'a:b'), eq(memberships.userId, 1))),
  },
  {
    name: 'delete that cascades',
    run: (db) => db.delete(users).where(eq(users.fullName, 'by cte')).returning({ id: users.id }),
  },
  { name: 'delete that a reference forbids', run: (db) => db.delete(users).where(inArray(users.id, [1, 2])) },
  {
    name: 'delete in a list, returning some',
    run: (db) =>
      db
        .delete(otherUsers)
        .where(inArray(otherUsers.id, [2, 404]))
        .returning({ was: otherUsers.label }),
  },
  { name: 'delete of all rows', run: (db) => db.delete(keyless) },
  { name: 'delete of all rows of a table with key', run: (db) => db.delete(memberships) },
  {
    name: 'delete with a CTE',
    run: (db) => {
      const gone = db.$with('gone').as(db.select({ id: posts.id }).from(posts).orderBy(desc(posts.id)).limit(1))
      return db
        .with(gone)
        .delete(posts)
        .where(inArray(posts.id, sql`(select id from ${gone})`))
        .returning({ id: posts.id })
    },
  },
  { name: 'refresh a materialized view', run: (db) => db.refreshMaterializedView(postCounts) },
  { name: 'refresh with no data', run: (db) => db.refreshMaterializedView(postCounts).withNoData() },
  { name: 'a materialized view that is not filled', run: (db) => db.select().from(postCounts) },
]

const raw: SurfaceCase[] = [
  { name: 'execute a text', run: (db) => db.execute('select 1 as one, null as none') },
  {
    name: 'execute sql with parameters',
    run: (db) => db.execute(sql`select ${'x'}::text as x, ${users.email} from ${users} where ${eq(users.id, 1)}`),
  },
  { name: 'execute a select builder', run: (db) => db.execute(db.select().from(users).where(eq(users.id, 1))) },
  {
    name: "execute a select builder's sql",
    run: (db) => db.execute(db.select({ id: users.id }).from(users).where(eq(users.id, 1)).getSQL()),
  },
  {
    name: 'execute an update builder',
    run: (db) => db.execute(db.update(users).set({ fullName: 'executed' }).where(eq(users.id, 1))),
  },
  {
    name: 'execute an update builder with returning',
    run: (db) => db.execute(db.update(users).set({ fullName: 'executed' }).where(eq(users.id, 1)).returning()),
  },
  {
    name: 'execute an insert builder with returning',
    run: (db) =>
      db.execute(db.insert(otherUsers).values({ id: nextId(), label: nextEmail() }).returning({ id: otherUsers.id })),
  },
  { name: 'execute a delete builder', run: (db) => db.execute(db.delete(otherUsers).where(eq(otherUsers.id, 404))) },
  {
    name: 'execute a write',
    run: (db) => db.execute(sql`update users set name = 'raw' where id = 1 returning id, name`),
  },
  { name: 'execute a write without returning', run: (db) => db.execute(sql`update users set name = 'raw'`) },
  {
    name: 'execute a data-modifying CTE',
    run: (db) => db.execute(sql`with u as (update users set name = 'cte' where id = 1 returning id) select id from u`),
  },
  { name: 'execute duplicate column names', run: (db) => db.execute(sql`select 1 as a, 2 as a`) },
  { name: 'execute an error', run: (db) => db.execute(sql`select no_such_column`) },
  { name: 'execute a syntax error', run: (db) => db.execute('selec 1') },
  { name: 'execute show', run: (db) => db.execute(sql`show server_encoding`) },
]

const prepared: SurfaceCase[] = [
  {
    name: 'prepared by key',
    run: async (db) => {
      const query = db
        .select()
        .from(users)
        .where(eq(users.id, sql.placeholder('id')))
        .prepare(nextName())
      return [
        await query.execute({ id: 1 }),
        await query.execute({ id: 404 }),
        await query.execute({ id: 2 }),
        await query.execute({ id: 1 }),
      ]
    },
  },
  {
    name: 'prepared by key, unnamed',
    run: async (db) => {
      const query = db
        .select({ n: users.fullName })
        .from(users)
        .where(eq(users.id, sql.placeholder('id')))
        .prepare('')
      return [await query.execute({ id: 1 }), await query.execute({ id: 2 })]
    },
  },
  {
    name: 'prepared with a missing value',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(eq(users.id, sql.placeholder('id')))
        .prepare(nextName())
        .execute({}),
  },
  {
    name: 'prepared with a null',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(eq(users.id, sql.placeholder('id')))
        .prepare(nextName())
        .execute({ id: null }),
  },
  {
    name: 'prepared list',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(inArray(users.id, [sql.placeholder('a'), sql.placeholder('b')]))
        .orderBy(users.id)
        .prepare(nextName())
        .execute({ a: 2, b: 1 }),
  },
  {
    name: 'prepared with limit placeholder',
    run: (db) =>
      db.select().from(users).where(eq(users.id, 1)).limit(sql.placeholder('n')).prepare(nextName()).execute({ n: 0 }),
  },
  {
    name: 'prepared relational',
    run: async (db) => {
      const query = db.query.users
        .findFirst({ where: (t, { eq }) => eq(t.id, sql.placeholder('id')) })
        .prepare(nextName())
      return [await query.execute({ id: 1 }), await query.execute({ id: 404 })]
    },
  },
  {
    name: 'prepared relational with relations',
    run: (db) =>
      db.query.users
        .findMany({ where: eq(users.id, sql.placeholder('id')), with: { posts: true } })
        .prepare(nextName())
        .execute({ id: 1 }),
  },
  {
    name: 'prepared insert',
    run: async (db) => {
      const query = db
        .insert(otherUsers)
        .values({ id: sql.placeholder('id'), label: sql.placeholder('label') })
        .prepare(nextName())
      return [
        await query.execute({ id: nextId(), label: nextEmail() }),
        await query.execute({ id: nextId(), label: null }),
      ]
    },
  },
  {
    name: 'prepared update, returning',
    run: async (db) => {
      const query = db
        .update(users)
        .set({ fullName: sql`${sql.placeholder('name')}` })
        .where(eq(users.id, sql.placeholder('id')))
        .returning({ id: users.id, name: users.fullName })
        .prepare(nextName())
      return [await query.execute({ id: 1, name: 'p1' }), await query.execute({ id: 404, name: 'p2' })]
    },
  },
  {
    name: 'prepared update of a unique column',
    run: async (db) => {
      const query = db
        .update(otherUsers)
        .set({ label: sql`${sql.placeholder('label')}` })
        .where(eq(otherUsers.id, sql.placeholder('id')))
        .prepare(nextName())
      return [await query.execute({ id: 1, label: nextEmail() }), await query.execute({ id: 404, label: 'p' })]
    },
  },
  {
    name: 'prepared delete',
    run: (db) =>
      db
        .delete(otherUsers)
        .where(eq(otherUsers.id, sql.placeholder('id')))
        .prepare(nextName())
        .execute({ id: 404 }),
  },
]

const transactions: SurfaceCase[] = [
  {
    name: 'a transaction that reads and writes',
    run: (db) =>
      db.transaction(async (tx) => [
        await tx.select().from(users).where(eq(users.id, 1)),
        await tx
          .update(users)
          .set({ fullName: sql`${users.fullName} || '+'` })
          .where(eq(users.id, 1)),
        await tx.query.users.findFirst({ where: eq(users.id, 1) }),
        await tx.select().from(users).where(eq(users.id, 1)),
        await tx.insert(keyless).values({ n: 1 }).returning(),
        await tx.$count(keyless),
        await tx.execute(sql`select 1 as one`),
      ]),
  },
  {
    name: 'a transaction that fails',
    run: (db) =>
      db.transaction(async (tx) => {
        await tx.update(users).set({ fullName: 'never' }).where(eq(users.id, 1))
        throw new TypeError('by the user')
      }),
  },
  {
    name: 'a transaction rolled back',
    run: (db) =>
      db.transaction(async (tx) => {
        await tx.update(users).set({ fullName: 'never' }).where(eq(users.id, 1))
        tx.rollback()
      }),
  },
  { name: 'a row after transactions rolled back', run: (db) => db.select().from(users).where(eq(users.id, 1)) },
  {
    name: 'a failing statement in a transaction',
    run: (db) => db.transaction((tx) => tx.update(users).set({ email: 'eve@x' }).where(eq(users.id, 1))),
  },
  {
    name: 'savepoints',
    run: (db) =>
      db.transaction(async (tx) => {
        await tx.update(users).set({ fullName: 'outer' }).where(eq(users.id, 1))
        const failed = await tx
          .transaction(async (inner) => {
            await inner.update(users).set({ fullName: 'inner' }).where(eq(users.id, 2))
            inner.rollback()
          })
          .catch((error: unknown) => (error as Error).message)
        const kept = await tx.transaction((inner) =>
          inner.update(users).set({ fullName: 'kept' }).where(eq(users.id, 3)).returning({ id: users.id }),
        )
        return [
          failed,
          kept,
          await tx
            .select({ name: users.fullName })
            .from(users)
            .where(inArray(users.id, [1, 2, 3]))
            .orderBy(users.id),
        ]
      }),
  },
  {
    name: 'an isolation level',
    run: (db) =>
      db.transaction(async (tx) => [await tx.execute(sql`show transaction_isolation`), await tx.$count(users)], {
        isolationLevel: 'serializable',
        accessMode: 'read only',
      }),
  },
  {
    name: 'a write in a read-only transaction',
    run: (db) =>
      db.transaction((tx) => tx.update(users).set({ fullName: 'x' }).where(eq(users.id, 1)), {
        accessMode: 'read only',
      }),
  },
  {
    name: 'a prepared read in a transaction',
    run: (db) =>
      db.transaction(async (tx) => {
        const query = tx
          .select()
          .from(users)
          .where(eq(users.id, sql.placeholder('id')))
          .prepare(nextName())
        return [await query.execute({ id: 1 }), await query.execute({ id: 404 })]
      }),
  },
  {
    name: 'many reads at once',
    run: (db) => Promise.all([1, 2, 3, 1, 404].map((id) => db.select().from(users).where(eq(users.id, id)))),
  },
]

/** Builders that are kept, changed without the return value, asked twice, or put into other statements. */
const kept: SurfaceCase[] = [
  {
    name: 'where and limit without their return values',
    run: async (db) => {
      const query = db.select().from(users)
      query.where(eq(users.id, 1))
      query.limit(1)
      return query
    },
  },
  {
    name: 'a condition that replaces another',
    run: async (db) => {
      const query = db.select().from(users).$dynamic()
      query.where(eq(users.id, 1))
      const first = await query
      query.where(eq(users.id, 2))
      return [first, await query]
    },
  },
  {
    name: 'everything else without the return value',
    run: async (db) => {
      const query = db.select().from(users).$dynamic()
      query.where(inArray(users.id, [1, 2, 3]))
      query.orderBy(desc(users.id))
      query.limit(2)
      query.offset(1)
      query.limit(1)
      return query
    },
  },
  {
    name: 'a join without the return value, after an await',
    run: async (db) => {
      const query = db.select().from(users).where(eq(users.id, 1)).$dynamic()
      const first = await query
      query.leftJoin(posts, eq(posts.authorId, users.id))
      query.orderBy(posts.id)
      return [first, await query, query.toSQL()]
    },
  },
  {
    name: 'a lock without the return value, after an await',
    run: async (db) => {
      const query = db.select().from(users).where(eq(users.id, 1)).$dynamic()
      const first = await query
      query.for('update')
      return [first, await query, query.toSQL()]
    },
  },
  {
    name: 'a switch without the return value, after an await',
    run: async (db) => {
      const query = db.select().from(users).where(eq(users.id, 1)).$dynamic()
      const first = await query
      query.$withCache(false)
      return [first, await query]
    },
  },
  {
    name: 'a condition changed while the query runs',
    run: async (db) => {
      const query = db.select().from(users).where(eq(users.id, 1)).$dynamic()
      const first = query.execute()
      query.where(eq(users.id, 2))
      return [await first, await query]
    },
  },
  {
    name: 'a selection changed after from',
    run: async (db) => {
      const fields: Record<string, typeof users.id | typeof users.fullName> = { id: users.id }
      const query = db.select(fields).from(users).where(eq(users.id, 1))
      fields.name = users.fullName
      return [await query, query.toSQL(), await query]
    },
  },
  {
    name: 'one start for two tables',
    run: async (db) => {
      const start = db.select()
      return [await start.from(users).where(eq(users.id, 1)), await start.from(posts).where(eq(posts.id, 1n))]
    },
  },
  {
    name: 'awaited twice and in parallel',
    run: async (db) => {
      const query = db.select().from(users).where(eq(users.id, 3))
      const [a, b] = await Promise.all([query, query])
      return [a, b, a === b, await query, await query.execute()]
    },
  },
  {
    name: 'execute taken off its builder',
    run: async (db) => {
      const { execute } = db.select().from(users).where(eq(users.id, 1))
      return execute()
    },
  },
  {
    name: 'execute with a placeholder',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(eq(users.id, sql.placeholder('id')))
        .execute({ id: 2 }),
  },
  {
    name: 'a placeholder that is not given',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(eq(users.id, sql.placeholder('id'))),
  },
  {
    name: 'toSQL before and after the read',
    run: async (db) => {
      const query = db.select().from(users).where(eq(users.id, 1)).limit(1)
      const before = query.toSQL()
      const rows = await query
      return [before, rows, query.toSQL(), await query]
    },
  },
  {
    name: 'prepared before and after an await',
    run: async (db) => {
      const query = db.select().from(users).where(eq(users.id, 1))
      const before = query.prepare(nextName())
      const rows = await query
      return [await before.execute(), rows, await query.prepare(nextName()).execute(), await before.execute()]
    },
  },
  {
    name: 'as a subquery, and awaited itself',
    run: async (db) => {
      const query = db.select().from(users).where(eq(users.id, 1))
      const sub = query.as('sub')
      return [await query, await db.select({ name: sub.fullName }).from(sub), await query]
    },
  },
  {
    name: 'as a subquery after it was awaited',
    run: async (db) => {
      const query = db.select({ id: users.id, name: users.fullName }).from(users).where(eq(users.id, 1))
      const rows = await query
      const sub = query.as('sub')
      return [rows, await db.select().from(posts).innerJoin(sub, eq(sub.id, posts.authorId)).orderBy(posts.id)]
    },
  },
  {
    name: 'a union of two awaited selects',
    run: async (db) => {
      const one = db.select({ id: users.id }).from(users).where(eq(users.id, 1))
      const two = db.select({ id: users.id }).from(users).where(eq(users.id, 2))
      const alone = [await one, await two]
      const both = union(one, two).orderBy(sql`1`)
      return [alone, await both, await two, both.toSQL()]
    },
  },
  {
    name: 'a union that does not fit',
    run: async (db) => union(db.select({ id: users.id }).from(users), db.select().from(users) as never),
  },
  {
    name: 'a union as a method without the return value',
    run: async (db) => {
      const query = db.select({ id: users.id }).from(users).where(eq(users.id, 1)).$dynamic()
      query.union(db.select({ id: users.id }).from(users).where(eq(users.id, 3)))
      query.orderBy(sql`1 desc`)
      query.limit(1)
      return query
    },
  },
  {
    name: 'within inArray',
    run: async (db) => {
      const ids = db.select({ id: users.id }).from(users).where(eq(users.id, 1))
      const within = () => db.select({ id: posts.id }).from(posts).where(inArray(posts.authorId, ids)).orderBy(posts.id)
      return [await within(), await ids, await within()]
    },
  },
  {
    name: 'within exists and a field',
    run: async (db) => {
      const one = db.select({ id: users.id }).from(users).where(eq(users.id, 1))
      const rows = await one
      return [
        rows,
        await db
          .select({ n: sql<number>`${one}` })
          .from(posts)
          .where(exists(one))
          .orderBy(posts.id),
      ]
    },
  },
  {
    name: 'within a CTE',
    run: async (db) => {
      const one = db.$with('one').as(db.select().from(users).where(eq(users.id, 1)))
      return db.with(one).select({ name: one.fullName }).from(one)
    },
  },
  {
    name: 'executed as raw sql',
    run: async (db) => {
      const { rows } = (await db.execute(db.select({ id: users.id }).from(users).where(eq(users.id, 1)))) as {
        rows?: unknown
      }
      return rows
    },
  },
  {
    name: 'what it is',
    run: async (db) => {
      const query = db.select().from(users).where(eq(users.id, 1))
      const kinds = [PgSelectBase, PgInsertBase, SQL, Subquery, Table].map((kind) => is(query, kind as never))
      const state = query as unknown as Record<string, unknown>
      return [
        kinds,
        query instanceof PgSelectBase,
        is(db.select(), PgSelectBuilder),
        Object.keys(state._ as object),
        Object.keys(state.config as object).filter((key) => key !== 'limit'),
        state.joinsNotNullableMap,
        state.tableName,
        typeof state.getSelectedFields,
        Object.keys(query._.selectedFields),
      ]
    },
  },
  {
    name: 'a callback as the condition',
    run: (db) =>
      db
        .select({ who: users.id })
        .from(users)
        .where(((fields: { who: typeof users.id }) => eq(fields.who, 1)) as never),
  },
  {
    name: 'no condition, and one that is undefined',
    run: (db) => db.select().from(posts).where(undefined).orderBy(posts.id),
  },
  { name: 'a failing condition', run: (db) => db.select().from(users).where(sql`${users.id} = ${'x'}`) },
  {
    name: 'then, catch and finally of a failing one',
    run: async (db) => {
      const fails = () => db.select().from(users).where(sql`${users.id} = ${1} / 0`)
      const told: unknown[] = []
      await fails().then(undefined, (error: Error) => told.push(error.constructor.name))
      await fails().catch((error: Error) => told.push(error.constructor.name))
      await fails()
        .finally(() => told.push('finally'))
        .catch(() => told.push('caught'))
      await db
        .select()
        .from(users)
        .where(eq(users.id, 1))
        .finally(() => told.push('finally'))
      return told
    },
  },
  { name: 'no table', run: async (db) => db.select().from(undefined as never) },
  { name: 'an empty selection', run: (db) => db.select({}).from(users).where(eq(users.id, 1)) },
  {
    name: 'a selection from another table',
    run: (db) => db.select({ id: posts.id }).from(users).where(eq(users.id, 1)),
  },
  {
    name: 'distinct by key',
    run: (db) => db.selectDistinct().from(users).where(eq(users.id, 1)),
  },
  {
    name: 'a limit that is a placeholder',
    run: (db) =>
      db
        .select()
        .from(users)
        .where(eq(users.id, 1))
        .limit(sql.placeholder('n') as never)
        .execute({ n: 1 }),
  },
]

/** Names and numbers that are new for each statement and the same for each db that runs the list. */
let step = 0
const nextEmail = (): string => `new${++step}@x`
const nextId = (): number => 10_000 + ++step
const nextName = (): string => `statement ${++step}`

const inGroup = (group: string, cases: SurfaceCase[]): SurfaceCase[] =>
  cases.map((each) => ({ ...each, name: `${group}: ${each.name}` }))

/** In the order in which they must run. */
export const surfaceCases: readonly SurfaceCase[] = [
  ...inGroup('select', reads),
  ...inGroup('query', relational),
  ...inGroup('write', writes),
  ...inGroup('execute', raw),
  ...inGroup('prepared', prepared),
  ...inGroup('transaction', transactions),
  ...inGroup('kept', kept),
  ...inGroup('select after writes', reads),
  ...inGroup('query after writes', relational),
]

/** Sets the numbers back: called with the same number before a case runs on each of the databases. */
export function beginCase(at: number): void {
  step = at * 100
}
