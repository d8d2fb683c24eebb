/**
 * The surface of Drizzle (SCENARIOS F) where its answers are kept as a whole: each read is kept, falls with a write that
 * changes it, and is what plain Drizzle answers. F1 and F2 are `scenarios-transactions`, F4 the rows E7 of
 * `scenarios-identity`, F16 is A7 of `scenarios-fills`; F13, F17 and F18 hold for every statement, lists, joins and
 * relations among them (`surface/same-answers.test.ts`, `surface/failing-store.test.ts`).
 *
 * F5 cannot arise: none of the supported drivers (node-postgres, postgres-js, PGlite) has `db.batch`.
 */
import { cached, memoryStore, withCache } from 'drizzle-aside'
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
  gt,
  gte,
  inArray,
  max,
  notExists,
  notInArray,
  relations,
  sql,
} from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import {
  except,
  integer,
  intersect,
  jsonb,
  pgEnum,
  pgSchema,
  pgTable,
  pgView,
  text,
  timestamp,
  union,
  unionAll,
} from 'drizzle-orm/pg-core'
import { Pool } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { countStatements } from '../../harness/counting.ts'
import { freshDatabase } from '../../harness/databases.ts'
import { outside } from '../../support/items.ts'
import {
  authors,
  born,
  byAuthor,
  comments,
  mainKinds,
  posts,
  renameAuthor,
  type Scene,
  type SceneDb,
  type SceneRead,
  type SceneWrite,
  scene,
  sceneRows,
  sceneSetUp,
  sceneTables,
  setPost,
} from '../../support/results-scene.ts'
import { expectFallen, expectHits, openWrapped, type WrappedDatabase, warm } from '../../support/wrapped-database.ts'

const livePosts = pgView('live_posts', { id: integer(), authorId: integer('author_id'), title: text() }).existing()
const replies = aliasedTable(posts, 'replies')
const ofOne = eq(posts.authorId, 1)
const retitled = setPost(1, { title: 'retitled' })
const newComment: SceneWrite = (db) => db.insert(comments).values({ postId: 10, body: 'new' })

interface Case {
  readonly says: string
  readonly read: SceneRead
  readonly write: SceneWrite
}

const cases: readonly Case[] = [
  {
    says: 'F6: a CTE',
    read: (db) => {
      const own = (db as WrappedDatabase<Scene>['db']).$with('own').as(db.select().from(posts).where(ofOne))
      return (db as WrappedDatabase<Scene>['db']).with(own).select().from(own).orderBy(asc(own.id))
    },
    write: retitled,
  },
  {
    says: 'F6: a sub-query in WHERE',
    read: (db) =>
      db
        .select()
        .from(posts)
        .where(inArray(posts.authorId, db.select({ id: authors.id }).from(authors).where(eq(authors.team, 0))))
        .orderBy(asc(posts.id)),
    write: (db) => db.update(authors).set({ team: 0 }).where(eq(authors.id, 1)),
  },
  {
    says: 'F6: not exists',
    read: (db) =>
      db
        .select({ id: posts.id })
        .from(posts)
        .where(and(ofOne, notExists(db.select().from(comments).where(eq(comments.postId, posts.id))))),
    write: newComment,
  },
  {
    says: 'F6: a scalar sub-query in the select list',
    read: (db) =>
      db
        .select({ id: posts.id, n: db.$count(comments, eq(comments.postId, posts.id)) })
        .from(posts)
        .where(ofOne)
        .orderBy(asc(posts.id)),
    write: newComment,
  },
  {
    says: 'F6: union',
    read: (db) =>
      union(
        db.select({ title: posts.title }).from(posts).where(ofOne),
        db.select({ title: authors.name }).from(authors).where(eq(authors.team, 1)),
      ).orderBy((t) => asc(t.title)),
    write: renameAuthor(1),
  },
  {
    says: 'F6: union all with a limit',
    read: (db) =>
      unionAll(
        db.select({ id: posts.id }).from(posts).where(ofOne),
        db.select({ id: posts.id }).from(posts).where(eq(posts.authorId, 2)),
      )
        .orderBy((t) => desc(t.id))
        .limit(3),
    write: born(2),
  },
  {
    says: 'F6: intersect',
    read: (db) =>
      intersect(
        db.select({ id: posts.id }).from(posts).where(ofOne),
        db.select({ id: posts.id }).from(posts).where(eq(posts.status, 'live')),
      ).orderBy((t) => asc(t.id)),
    write: setPost(4, { status: 'live' }),
  },
  {
    says: 'F6: except',
    read: (db) =>
      except(
        db.select({ id: posts.id }).from(posts).where(ofOne),
        db.select({ id: comments.postId }).from(comments),
      ).orderBy((t) => asc(t.id)),
    write: newComment,
  },
  { says: 'F6: a view', read: (db) => db.select().from(livePosts).orderBy(asc(livePosts.id)), write: retitled },
  {
    says: 'F6: a view joined to a table',
    read: (db) =>
      db
        .select({ title: livePosts.title, by: authors.name })
        .from(livePosts)
        .innerJoin(authors, eq(authors.id, livePosts.authorId))
        .orderBy(asc(livePosts.id)),
    write: renameAuthor(1),
  },
  {
    says: 'F6: a self-join under an alias',
    read: (db) =>
      db
        .select({ id: posts.id, reply: replies.title })
        .from(posts)
        .innerJoin(replies, eq(replies.authorId, posts.authorId))
        .where(eq(posts.id, 4))
        .orderBy(asc(replies.id)),
    write: retitled,
  },
  {
    says: 'F8: columns, offset and limit',
    read: (db) => db.query.posts.findMany({ columns: { title: true }, orderBy: asc(posts.id), limit: 2, offset: 0 }),
    write: retitled,
  },
  {
    says: 'F8: columns left out, where as a callback',
    read: (db) =>
      db.query.posts.findMany({
        columns: { score: false },
        where: (t, { eq, and }) => and(eq(t.authorId, 1), eq(t.status, 'live')),
        orderBy: (t, { asc }) => asc(t.id),
      }),
    write: retitled,
  },
  {
    says: 'F8: nested relations with where, order and limit of their own',
    read: (db) =>
      db.query.authors.findMany({
        where: eq(authors.team, 1),
        orderBy: asc(authors.id),
        with: {
          posts: {
            where: eq(posts.status, 'live'),
            orderBy: desc(posts.score),
            limit: 1,
            with: { comments: { columns: { body: true } } },
          },
        },
      }),
    write: setPost(1, { score: 1000 }),
  },
  {
    says: 'F8: a deep relation of a row',
    read: (db) =>
      db.query.comments.findFirst({ where: eq(comments.id, 1), with: { post: { with: { author: true } } } }),
    write: renameAuthor(1),
  },
  {
    says: 'F8: extras, on the root and on a relation',
    read: (db) =>
      db.query.posts.findMany({
        where: ofOne,
        orderBy: asc(posts.id),
        extras: { loud: sql<string>`upper(${posts.title})`.as('loud') },
        with: { comments: { extras: { size: sql<number>`length(${comments.body})`.as('size') } } },
      }),
    write: (db) => db.update(comments).set({ body: 'changed' }).where(eq(comments.id, 1)),
  },
  {
    says: 'F8: findFirst in an order, without key',
    read: (db) => db.query.posts.findFirst({ where: ofOne, orderBy: desc(posts.score), with: { author: true } }),
    write: setPost(1, { score: 1000 }),
  },
  {
    says: 'F8: findFirst that finds nothing',
    read: (db) => db.query.posts.findFirst({ where: eq(posts.authorId, 5), with: { comments: true } }),
    write: born(5),
  },
  { says: 'F12: $count', read: (db) => db.$count(posts, ofOne), write: born(1) },
  { says: 'F12: $count of a whole table', read: (db) => db.$count(posts), write: born(5) },
  {
    says: 'F12: selectDistinct',
    read: (db) => db.selectDistinct({ status: posts.status }).from(posts).where(ofOne).orderBy(asc(posts.status)),
    write: setPost(1, { status: 'gone' }),
  },
  {
    says: 'F12: selectDistinctOn',
    read: (db) =>
      (db as WrappedDatabase<Scene>['db'])
        .selectDistinctOn([posts.authorId], { by: posts.authorId, title: posts.title })
        .from(posts)
        .orderBy(asc(posts.authorId), asc(posts.id)),
    write: retitled,
  },
  {
    says: 'F12: group by and having',
    read: (db) =>
      db
        .select({ by: posts.authorId, n: count(), mean: avg(posts.score), states: countDistinct(posts.status) })
        .from(posts)
        .groupBy(posts.authorId)
        .having(gte(count(), 4))
        .orderBy(asc(posts.authorId)),
    write: born(1),
  },
  {
    says: 'F12: a group of a join',
    read: (db) =>
      db
        .select({ name: authors.name, top: max(posts.score) })
        .from(authors)
        .leftJoin(posts, eq(posts.authorId, authors.id))
        .groupBy(authors.id)
        .orderBy(asc(authors.id)),
    write: setPost(1, { score: 1000 }),
  },
  {
    says: 'F12: a lateral join',
    read: (db) => {
      const latest = db
        .select({ title: posts.title })
        .from(posts)
        .where(eq(posts.authorId, authors.id))
        .orderBy(desc(posts.id))
        .limit(1)
        .as('latest')
      return db
        .select({ name: authors.name, latest: latest.title })
        .from(authors)
        .leftJoinLateral(latest, sql`true`)
        .orderBy(asc(authors.id))
    },
    write: born(1),
  },
  {
    says: 'F12: sql in the select list, with and without alias',
    read: (db) =>
      db
        .select({
          plain: sql`${posts.title} || '!'`,
          named: sql<number>`${posts.score} * 2`.mapWith(Number).as('twice'),
        })
        .from(posts)
        .where(ofOne)
        .orderBy(asc(posts.id)),
    write: setPost(1, { score: 7 }),
  },
  {
    says: 'F12: a window',
    read: (db) =>
      db
        .select({ id: posts.id, rank: sql<number>`rank() over (order by ${posts.score} desc)`.mapWith(Number) })
        .from(posts)
        .where(ofOne)
        .orderBy(asc(posts.id)),
    write: setPost(1, { score: 1000 }),
  },
  {
    says: 'F12: not in and a range',
    read: (db) =>
      db
        .select({ id: posts.id })
        .from(posts)
        .where(and(notInArray(posts.authorId, [2, 3]), gt(posts.score, 20)))
        .orderBy(asc(posts.id)),
    write: setPost(1, { score: 21 }),
  },
]

const first = eq(posts.id, 1)
/** Each changes the list of author 1, and no list of author 2. */
const writes: readonly { readonly says: string; readonly write: (db: SceneDb) => PromiseLike<unknown> }[] = [
  { says: 'F9: an insert', write: (db) => db.insert(posts).values({ id: 50, authorId: 1, title: 'w' }) },
  {
    says: 'F9: an insert, returning',
    write: (db) => db.insert(posts).values({ id: 50, authorId: 1, title: 'w' }).returning(),
  },
  {
    says: 'F9: an insert, returning a part',
    write: (db) => db.insert(posts).values({ id: 50, authorId: 1, title: 'w' }).returning({ t: posts.title }),
  },
  { says: 'F9: an update', write: (db) => db.update(posts).set({ title: 'w' }).where(first) },
  { says: 'F9: an update, returning', write: (db) => db.update(posts).set({ title: 'w' }).where(first).returning() },
  {
    says: 'F9: an update, returning a part',
    write: (db) => db.update(posts).set({ title: 'w' }).where(first).returning({ n: posts.score }),
  },
  { says: 'F9: a delete', write: (db) => db.delete(posts).where(eq(posts.id, 10)) },
  { says: 'F9: a delete, returning', write: (db) => db.delete(posts).where(eq(posts.id, 10)).returning() },
  {
    says: 'F9: a delete, returning a part',
    write: (db) => db.delete(posts).where(eq(posts.id, 10)).returning({ t: posts.title }),
  },
  {
    says: 'F10: on conflict do update, with where',
    write: (db) =>
      db
        .insert(posts)
        .values({ id: 1, authorId: 2, title: 'proposed' })
        .onConflictDoUpdate({ target: posts.id, set: { title: sql`excluded.title` }, setWhere: gt(posts.score, 0) }),
  },
  {
    says: 'F10: on conflict do nothing, that inserts',
    write: (db) => db.insert(posts).values({ id: 50, authorId: 1, title: 'w' }).onConflictDoNothing(),
  },
  {
    says: 'F10: INSERT … SELECT',
    write: (db) =>
      db.insert(posts).select((each) =>
        each
          .select({
            id: sql<number>`${posts.id} + 100`.as('id'),
            authorId: posts.authorId,
            editorId: posts.editorId,
            status: posts.status,
            title: posts.title,
            score: posts.score,
          })
          .from(posts)
          .where(ofOne),
      ),
  },
  {
    says: 'F10: UPDATE … FROM',
    write: (db) =>
      db
        .update(posts)
        .set({ title: sql`${authors.name}` })
        .from(authors)
        .where(and(eq(posts.authorId, authors.id), eq(authors.email, 'a1@x'))),
  },
  {
    says: 'F10: UPDATE … FROM with a join',
    write: (db) =>
      db
        .update(posts)
        .set({ title: sql`${comments.body}` })
        .from(authors)
        .innerJoin(comments, eq(comments.id, authors.id))
        .where(and(eq(posts.authorId, authors.id), eq(authors.id, 1))),
  },
  {
    says: 'F10: SET to an expression',
    write: (db) =>
      db
        .update(posts)
        .set({ title: sql`${posts.title} || '!'` })
        .where(and(ofOne, exists(db.select().from(comments).where(eq(comments.postId, posts.id))))),
  },
]

describe.each([15, 18] as const)('PostgreSQL %i', (line) => {
  let test: WrappedDatabase<Scene>
  const view = `create view live_posts as select id, author_id, title from posts where status = 'live';`
  beforeAll(async () => {
    test = await openWrapped<Scene>(line, { ddl: sceneSetUp + view, schema: scene, tables: sceneTables })
  })
  afterAll(() => test.close())
  beforeEach(async () => {
    await test.run(sceneRows)
    await test.db.$aside.flush()
    test.events.length = 0
  })
  /** Joins learn their partners with a first answer that is not kept. */
  const keep = async (...reads: readonly SceneRead[]): Promise<void> => {
    for (const read of reads) await read(test.db)
    await warm(test, ...reads)
  }

  it.each(cases.map((each) => [each.says, each] as const))('%s', async (_, { read, write }) => {
    await keep(read)
    const before = await read(test.outside)
    await write(test.db)
    expect(await read(test.outside)).not.toEqual(before)
    await expectFallen(test, read)
    await keep(read)
  })

  it('F3: a select that deletes runs each time, and lists, joins and trees of what it deleted are gone', async () => {
    const reads = mainKinds.map(({ read }) => read)
    const { db } = test
    const gone = db
      .$with('gone')
      .as(db.delete(posts).where(eq(posts.id, 1)).returning({ id: posts.id, by: posts.authorId }))
    const run = () =>
      db.with(gone).select({ id: gone.id, name: authors.name }).from(gone).innerJoin(authors, eq(authors.id, gone.by))
    await keep(...reads)
    expect(await run()).toEqual([{ id: 1, name: 'author 1' }])
    await expectFallen(test, ...reads)
    expect(await run()).toEqual([])
  })

  it('F7: prepared lists, joins and relational queries serve each value its own answer, also in a transaction', async () => {
    const { db } = test
    const author = sql.placeholder('author')
    const prepared = (on: SceneDb, name: string) => [
      on.select().from(posts).where(eq(posts.authorId, author)).orderBy(asc(posts.id)).prepare(`list_${name}`),
      on
        .select({ title: posts.title, by: authors.name })
        .from(posts)
        .innerJoin(authors, eq(authors.id, posts.authorId))
        .where(eq(posts.authorId, author))
        .orderBy(asc(posts.id))
        .limit(sql.placeholder('most'))
        .prepare(`join_${name}`),
      on.query.authors
        .findMany({ where: eq(authors.id, author), with: { posts: { orderBy: asc(posts.id) } } })
        .prepare(`tree_${name}`),
    ]
    const [own, plain] = [prepared(db, 'own'), prepared(test.outside, 'plain')]
    const given = [1, 2, 3, 5].flatMap((id) => [
      { author: id, most: 1 },
      { author: id, most: 9 },
    ])
    const compare = async (): Promise<void> => {
      for (const values of given) {
        for (const [at, query] of own.entries()) {
          expect(await query.execute(values)).toEqual(await plain[at]?.execute(values))
        }
      }
    }
    for (let turn = 0; turn < 3; turn++) await compare()
    test.count.reset()
    await compare()
    expect(test.count.texts()).toEqual([])
    await setPost(1, { authorId: 2 })(db)
    await renameAuthor(3)(db)
    await compare()
    await db.transaction(async (tx) => {
      await setPost(2, { title: 'inside' })(tx)
      for (const query of prepared(tx, 'inside')) {
        expect(JSON.stringify(await query.execute({ author: 2, most: 9 }))).toContain('inside')
      }
      for (const query of own)
        expect(JSON.stringify(await query.execute({ author: 2, most: 9 }))).not.toContain('inside')
    })
    await compare()
  })

  it.each(writes.map((each) => [each.says, each] as const))(
    '%s answers as the plain one, and drops the list it changes',
    async (_, { write }) => {
      const told = async (db: SceneDb): Promise<unknown> => {
        const answer = await write(db)
        if (Array.isArray(answer)) return answer
        const { command, rowCount, rows, fields } = answer as Record<string, unknown>
        return { command, rowCount, rows, fields }
      }
      const wanted = await told(test.outside)
      await test.run(sceneRows)
      await keep(byAuthor(1), byAuthor(2))
      expect(await told(test.db)).toEqual(wanted)
      await expectFallen(test, byAuthor(1))
      await expectHits(test, byAuthor(2))
    },
  )

  it('F14: a write that touches no row leaves lists, joins, aggregates and trees', async () => {
    const { db } = test
    const reads = mainKinds.map(({ read }) => read)
    await keep(...reads)
    await db.update(posts).set({ authorId: 2 }).where(eq(posts.id, 404))
    await db.update(authors).set({ name: 'x' }).where(sql`false`).returning()
    await db.delete(comments).where(gt(comments.id, 404))
    await db.insert(authors).values({ id: 1, email: 'a1@x', name: 'x' }).onConflictDoNothing()
    await db
      .insert(authors)
      .values({ id: 1, email: 'a1@x', name: 'x' })
      .catch(() => undefined)
    await expectHits(test, ...reads)
    expect(test.events.filter(({ type }) => type === 'invalidate')).toEqual([])
  })

  it('F15: an unwrapped db over the same client is not heard, until its writes are declared', async () => {
    const plain = drizzle(test.pool, { schema: scene })
    await keep(byAuthor(1), byAuthor(2))
    const old = await byAuthor(1)(test.db)
    await plain.update(posts).set({ title: 'unheard' }).where(eq(posts.id, 1))
    expect(await byAuthor(1)(test.db)).toEqual(old)
    const image = { id: 1, authorId: 1, status: 'live', editorId: null }
    await test.db.$aside.wrote(posts, { old: image, new: image })
    await expectFallen(test, byAuthor(1))
    await expectHits(test, byAuthor(2))
  })
})

const elsewhere = pgSchema('elsewhere')
const mood = pgEnum('mood', ['low', 'high'])
const people = pgTable('people', {
  id: integer().primaryKey(),
  teamId: integer().notNull(),
  fullName: text('named').notNull(),
  nowFeels: mood(),
  extraData: jsonb(),
  bornAt: timestamp({ withTimezone: true }),
})
const teams = pgTable('teams', { id: integer().primaryKey(), longName: text().notNull() })
const otherPeople = elsewhere.table('people', {
  id: integer().primaryKey(),
  teamId: integer().notNull(),
  fullName: text(),
})
const teamRelations = relations(teams, ({ many }) => ({ people: many(people) }))
const peopleRelations = relations(people, ({ one }) => ({
  team: one(teams, { fields: [people.teamId], references: [teams.id] }),
}))
const names = { people, teams, otherPeople, teamRelations, peopleRelations }

it("F11: lists, joins and trees under casing 'snake_case', in two schemas, by enum and of columns with other names", async () => {
  const database = await freshDatabase(15)
  await outside(
    database.url,
    `create schema elsewhere; create type mood as enum ('low', 'high');
     create table teams (id int primary key, long_name text not null);
     create table people (id int primary key, team_id int not null references teams, named text not null, now_feels mood,
       extra_data jsonb, born_at timestamptz);
     create table elsewhere.people (id int primary key, team_id int not null, full_name text);
     create index on people (team_id); create index on people (now_feels); create index on elsewhere.people (team_id);
     insert into teams values (1, 'one'), (2, 'two');
     insert into people select n, 1 + n % 2, 'p' || n, case when n < 3 then 'low'::mood end, '{"a_b": [1]}', '2024-02-29' from generate_series(1, 6) n;
     insert into elsewhere.people select n, 1, 'other ' || n from generate_series(1, 3) n;`,
  )
  const pool = new Pool({ connectionString: database.url })
  const statements = countStatements(pool)
  const plain = drizzle(pool, { schema: names, casing: 'snake_case' })
  const db = withCache(drizzle(pool, { schema: names, casing: 'snake_case' }), {
    namespace: 'names',
    store: memoryStore(),
    tables: [cached(people), cached(teams), cached(otherPeople)],
  })
  await db.$aside.ready()
  type Db = typeof plain
  const [ofTeam, ofOther, tree, joined, feeling]: ((db: Db) => PromiseLike<unknown>)[] = [
    (db) => db.select().from(people).where(eq(people.teamId, 1)).orderBy(asc(people.id)),
    (db) => db.select().from(otherPeople).where(eq(otherPeople.teamId, 1)).orderBy(asc(otherPeople.id)),
    (db) => db.query.teams.findMany({ orderBy: asc(teams.id), with: { people: { orderBy: asc(people.id) } } }),
    (db) =>
      db
        .select({ team: teams.longName, person: people.fullName })
        .from(people)
        .innerJoin(teams, eq(teams.id, people.teamId))
        .orderBy(asc(people.id)),
    (db) => db.select().from(people).where(eq(people.nowFeels, 'low')).orderBy(asc(people.id)),
  ]
  const asked = async (): Promise<string[]> => {
    const all: string[] = []
    for (const [name, read] of Object.entries({ ofTeam, ofOther, tree, joined, feeling })) {
      const truth = await read?.(plain)
      statements.reset()
      expect(await read?.(db), name).toEqual(truth)
      if (statements.count() > 0) all.push(name)
    }
    return all
  }
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 2; turn++) await asked()
    expect(await asked()).toEqual([])
  }
  await settle()
  await db.update(otherPeople).set({ fullName: 'x' }).where(eq(otherPeople.id, 1))
  expect(await asked()).toEqual(['ofOther'])
  await settle()
  await db.update(people).set({ nowFeels: 'low' }).where(eq(people.id, 5))
  expect(await asked()).toEqual(['tree', 'joined', 'feeling'])
  await settle()
  await db.update(people).set({ fullName: 'y' }).where(eq(people.id, 4))
  expect(await asked()).toEqual(['ofTeam', 'tree', 'joined'])
  await db.$aside.close()
  await pool.end()
  await database.drop()
})
