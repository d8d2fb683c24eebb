import { type Column, eq, sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import type { RelationalOptions } from '../../src/drizzle/internals.ts'
import { Naming } from '../../src/drizzle/naming.ts'
import { LevelReader } from '../../src/drizzle/relational-levels.ts'
import { settleRelational } from '../../src/drizzle/settle-relational.ts'
import { blog, configOf, dialect, schema, users } from './relational.fixture.ts'

const db = blog()
const reader = new LevelReader(new Naming(dialect))

/** Settles and builds as a wrapped db does; what was called, in order, and the SQL or what was thrown. */
function settled(query: unknown): { config: RelationalOptions; sql: () => unknown } {
  const config = configOf(query)
  const done = settleRelational(config, (relation) => reader.tie(config, relation)?.target)
  return { config: done.queryConfig as RelationalOptions, sql: () => compiled(done) }
}

const compiled = (config: ReturnType<typeof configOf>): unknown =>
  attempt(() => {
    const { sql, params } = dialect.sqlToQuery(dialect.buildRelationalQueryWithoutPK(config).sql)
    return { sql, params }
  })

function attempt(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return String(error)
  }
}

type Fields = Record<string, unknown>
/** Drizzle's types allow no condition on a single partner; its builder does. */
const oneOf = (where: (fields: Fields) => unknown): never => ({ where }) as never

/** A query of many callbacks, each telling that it was called. */
function talking(calls: string[]) {
  const told = <T>(name: string, value: T): T => {
    calls.push(name)
    return value
  }
  return db.query.users.findMany({
    orderBy: (t, { desc }) => told('order', [desc(t.id)]),
    with: {
      posts: {
        extras: (t, { sql }) => told('posts extras', { long: sql<number>`length(${t.title})`.as('long') }),
        where: (t, { and, eq, gt }) => told('posts where', and(eq(t.draft, false), gt(t.id, 3))),
        with: { author: oneOf((t) => told('author where', eq(t.id as Column, 1))) },
      },
      manager: { orderBy: (t: Fields) => told('manager order', t.id) } as never,
    },
    extras: (t, { sql }) => told('extras', { loud: sql<string>`upper(${t.fullName})`.as('loud') }),
    where: (t, { eq }) => told('where', eq(t.fullName, 'Ada')),
  })
}

describe('callbacks of relational queries', () => {
  it('are called once each, in the order in which Drizzle calls them, and give the SQL that Drizzle builds', () => {
    const plain: string[] = []
    const expected = compiled(configOf(talking(plain)))
    const calls: string[] = []
    const { sql } = settled(talking(calls))
    expect(calls).toEqual(plain)
    expect(sql()).toEqual(expected)
    expect(sql()).toEqual(expected)
    expect(calls).toEqual(plain)
  })

  it('are given the columns of their level under its alias, and what every object has', () => {
    const seen: unknown[] = []
    const look = (fields: Fields): undefined => {
      const { id, ...rest } = fields
      seen.push(Object.keys(fields), Object.keys(rest), fields.id === id, typeof fields.toString, fields.nothing)
      seen.push(dialect.sqlToQuery(sql`${id} ${rest.mail}`).sql)
      return undefined
    }
    const below = { author: oneOf(look), tags: { with: { tag: oneOf(look) } } }
    const query = (): unknown => db.query.posts.findMany({ where: look, with: below } as never)
    compiled(configOf(query()))
    const plain = seen.splice(0)
    settled(query())
    expect(seen).toEqual(plain)
  })

  it.each<[string, (called: () => never[]) => unknown]>([
    ['an unknown relation', (called) => ({ with: { posts: true, nobody: true, comments: { orderBy: called } } })],
    ['a relation that says too little', (called) => ({ with: { lost: true, posts: { orderBy: called } } })],
    ['a where that is no SQL', (called) => ({ where: { id: 1 }, orderBy: called })],
    ['a where callback whose answer is no SQL', (called) => ({ where: () => ({ id: 1 }), extras: called })],
    ['extras that are nothing', (called) => ({ extras: () => undefined, orderBy: called })],
    ['extras without a name', (called) => ({ extras: { n: sql`1` }, orderBy: called })],
    ['an order of nothing', (called) => ({ orderBy: () => undefined, with: { posts: { orderBy: called } } })],
    ['no field at all', () => ({ columns: {} })],
    ['a callback that throws', (called) => ({ where: () => thrown(), orderBy: called })],
  ])('fail where and as Drizzle does, and nothing is called behind: %s', (_, options) => {
    const calls: string[] = []
    const called = (): never[] => {
      calls.push('called')
      return []
    }
    const query = (): unknown => db.query.tags.findMany(options(called) as never)
    const expected = attempt(() => compiled(configOf(query())))
    const plain = calls.splice(0)
    expect(attempt(() => settled(query()).sql())).toEqual(expected)
    expect(expected).toMatch(/Error/)
    expect(calls).toEqual(plain)
  })

  it('leave a snapshot: changing the config afterwards changes nothing', () => {
    const columns: Record<string, boolean> = { id: true }
    const below: Record<string, unknown> = { columns: { bio: true } }
    const options = { columns, orderBy: [users.id], with: { profile: below } }
    const query = settled(db.query.users.findMany(options as never))
    const before = query.sql()
    columns.fullName = true
    options.orderBy.push(users.fullName as never)
    below.where = eq(schema.profiles.userId, 1)
    expect(query.sql()).toEqual(before)
  })
})

function thrown(): never {
  throw new Error('of the user')
}
