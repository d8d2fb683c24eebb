/** What the compiler sees: a wrapped db is the db that was passed in, and costs next to nothing to check. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Aside, aside, cached, memoryStore, type WithAside, withCache } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase, type NodePgQueryResultHKT } from 'drizzle-orm/node-postgres'
import { type PgDatabase, withReplicas } from 'drizzle-orm/pg-core'
import { drizzle as overPglite, type PgliteDatabase } from 'drizzle-orm/pglite'
import { drizzle as overPostgresJs, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import type { Pool, QueryResult } from 'pg'
import { expect, expectTypeOf, it } from 'vitest'
import { posts, surfaceSchema, users } from '../support/surface-tables.ts'

const plain = drizzle.mock({ schema: surfaceSchema }) as unknown as NodePgDatabase<typeof surfaceSchema> & {
  $client: Pool
}
const options = { store: memoryStore(), tables: [cached(users), cached(posts)] }
const db = withCache(plain, options)
type Plain = typeof plain
type Answer<T> = T extends PromiseLike<infer A> ? A : never

it('the wrapped db is assignable where the plain one was', () => {
  expectTypeOf(db).toExtend<Plain>()
  expectTypeOf(db).toExtend<NodePgDatabase<typeof surfaceSchema>>()
  expectTypeOf(db).toExtend<PgDatabase<NodePgQueryResultHKT, typeof surfaceSchema>>()
  expectTypeOf(db).toEqualTypeOf<WithAside<Plain>>()
  expectTypeOf(db.$client).toEqualTypeOf<Pool>()
  const takesPlain = (given: Plain): Plain => given
  expect(takesPlain(db)).toBe(db)
  const overJs = withCache(overPostgresJs.mock({ schema: surfaceSchema }), options)
  expectTypeOf(overJs).toExtend<PostgresJsDatabase<typeof surfaceSchema>>()
  const embedded = withCache(overPglite.mock({ schema: surfaceSchema }), options)
  expectTypeOf(embedded).toExtend<PgliteDatabase<typeof surfaceSchema>>()
})

it('a wrap over a replica is of the type of the replica, and takes its primary and nothing else', () => {
  const replica = drizzle.mock({ schema: surfaceSchema }) as unknown as Plain
  const wrap = () => withCache(replica, { primary: db })
  expectTypeOf(wrap).returns.toEqualTypeOf<WithAside<Plain>>()
  const both = () => withReplicas(db, [wrap()])
  expectTypeOf(both().select().from(users)).toExtend<PromiseLike<(typeof users.$inferSelect)[]>>()
  // @ts-expect-error a plain db has no store
  expect(() => withCache(replica, { primary: plain })).toThrow('ASIDE_NOT_WRAPPED')
  // @ts-expect-error its options are the primary's
  expect(() => withCache(replica, { primary: db, namespace: 'x' })).toThrow('ASIDE_UNKNOWN_OPTION')
})

it('inference is untouched', () => {
  const row = () => db.select().from(users).where(eq(users.id, 1))
  expectTypeOf<Answer<ReturnType<typeof row>>>().toEqualTypeOf<(typeof users.$inferSelect)[]>()
  const partial = () => db.select({ id: users.id, n: sql<number>`1` }).from(users)
  expectTypeOf<Answer<ReturnType<typeof partial>>>().toEqualTypeOf<{ id: number; n: number }[]>()
  const joined = () => db.select().from(posts).leftJoin(users, eq(users.id, posts.authorId))
  expectTypeOf<Answer<ReturnType<typeof joined>>>().toEqualTypeOf<
    { posts: typeof posts.$inferSelect; users: typeof users.$inferSelect | null }[]
  >()
  const relational = () =>
    db.query.posts.findFirst({ columns: { title: true }, with: { author: { columns: { id: true } } } })
  const plainRelational = () =>
    plain.query.posts.findFirst({ columns: { title: true }, with: { author: { columns: { id: true } } } })
  expectTypeOf<ReturnType<typeof relational>>().toEqualTypeOf<ReturnType<typeof plainRelational>>()
  const returning = () => db.update(users).set({ mood: 'low' }).where(eq(users.id, 1)).returning({ id: users.id })
  expectTypeOf<Answer<ReturnType<typeof returning>>>().toEqualTypeOf<{ id: number }[]>()
  const native = () => db.delete(users)
  expectTypeOf<Answer<ReturnType<typeof native>>>().toEqualTypeOf<QueryResult<never>>()
  const transaction = () => db.transaction(async (tx) => tx.select({ id: users.id }).from(users))
  expectTypeOf(transaction).returns.toEqualTypeOf<Promise<{ id: number }[]>>()
  const prepared = () => db.select({ id: users.id }).from(users).prepare('x')
  const plainPrepared = () => plain.select({ id: users.id }).from(users).prepare('x')
  expectTypeOf<ReturnType<typeof prepared>>().toEqualTypeOf<ReturnType<typeof plainPrepared>>()
})

it('$aside is typed, also in transactions and on a db with options', () => {
  expectTypeOf(db.$aside).toEqualTypeOf<Aside<Plain>>()
  expectTypeOf(db.$aside.with({ ttl: '5s', cache: true, writes: [users] })).toExtend<Plain>()
  expectTypeOf(db.$aside.with({ ttl: '5s' }).$aside).toEqualTypeOf<Aside<Plain>>()
  expectTypeOf(aside(db)).toExtend<{ stats(): unknown }>()
  const wrote = (): unknown =>
    db.transaction(async (tx) => {
      await aside(tx).wrote(users, { old: { id: 1, email: 'a' }, new: { id: 1, email: 'b' } })
      // @ts-expect-error: no such column
      await aside(tx).wrote(users, { new: { nope: 1 } })
    })
  // @ts-expect-error: a duration needs a unit
  const badTtl = (): unknown => cached(users, { ttl: '10 minutes' })
  // @ts-expect-error: no such option
  const unknown = (): unknown => cached(users, { tll: '1m' })
  const columns = (): unknown => cached(users, { sensitive: (t) => [t.profile], record: (t) => [t.id, t.fullName] })
  // @ts-expect-error: no such column
  const noColumn = (): unknown => cached(users, { sensitive: (t) => [t.nope] })
  // @ts-expect-error: a Drizzle db is wanted
  const noDb = (): unknown => withCache({}, options)
  expect([wrote, badTtl, unknown, columns, noColumn, noDb].map((each) => typeof each)).not.toContain('undefined')
})

// —— what it costs the compiler ——

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)
const TABLES = 50

/** A schema of many tables and a module that uses it as an application would, over the plain db or the wrapped one. */
function application(kind: 'plain' | 'wrapped'): string {
  const names = Array.from({ length: TABLES }, (_, at) => `t${at}`)
  const tables = names.map(
    (name, at) => `export const ${name} = pgTable('${name}', {
  id: integer().primaryKey(), name: text().notNull(), n: integer(), at: timestamp(), data: jsonb().$type<{ a: number }>(),
  parent: integer()${at > 0 ? `.references((): AnyPgColumn => t${at - 1}.id)` : ''} })
export const ${name}Relations = relations(${name}, ({ one, many }) => ({${at > 0 ? ` up: one(t${at - 1}, { fields: [${name}.parent], references: [t${at - 1}.id] }),` : ''}${at < TABLES - 1 ? ` down: many(t${at + 1}),` : ''} }))`,
  )
  const uses = names.map(
    (name, at) => `export const rows${at} = () => db.select().from(${name}).where(eq(${name}.id, 1))
export const some${at} = () => db.query.${name}.findFirst({ columns: { name: true }, where: eq(${name}.id, 1) })
export const set${at} = () => db.transaction((tx) => tx.update(${name}).set({ n: 1 }).where(eq(${name}.id, 1)).returning())`,
  )
  const wrapped = `withCache(plain, { tables: [${names.map((name) => `cached(${name})`).join(', ')}] })`
  return `import { cached, withCache } from 'drizzle-aside'
import { eq, relations } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { type AnyPgColumn, integer, jsonb, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
${tables.join('\n')}
const schema = { ${names.flatMap((name) => [name, `${name}Relations`]).join(', ')} }
const plain = drizzle('postgres://localhost/x', { schema })
// The imports stay the same, so that only the use is measured.
export const imported = [cached, withCache] as const
export const db = ${kind === 'plain' ? 'plain' : wrapped}
${uses.join('\n')}
`
}

async function instantiations(folder: string, kind: 'plain' | 'wrapped'): Promise<number> {
  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { paths: { 'drizzle-aside': [join(root, 'packages/core/src/index.ts')] } },
    include: [`./${kind}.ts`],
    exclude: [],
  }
  await writeFile(join(folder, `${kind}.ts`), application(kind))
  await writeFile(join(folder, `tsconfig.${kind}.json`), JSON.stringify(config))
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const { stdout } = await run(process.execPath, [
    tsc,
    '-p',
    join(folder, `tsconfig.${kind}.json`),
    '--extendedDiagnostics',
  ])
  return Number(/^Instantiations:\s+(\d+)/m.exec(stdout)?.[1])
}

it('a schema of 50 tables costs the compiler at most 5 % more instantiations than plain', async () => {
  const folder = await mkdtemp(join(root, 'test', 'types', '.cost-'))
  try {
    const [plainCount, wrappedCount] = await Promise.all([
      instantiations(folder, 'plain'),
      instantiations(folder, 'wrapped'),
    ])
    expect(plainCount).toBeGreaterThan(10_000)
    expect(wrappedCount / plainCount).toBeLessThan(1.05)
    console.log(
      `instantiations: plain ${plainCount}, wrapped ${wrappedCount}, ratio ${(wrappedCount / plainCount).toFixed(3)}`,
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}, 300_000)
