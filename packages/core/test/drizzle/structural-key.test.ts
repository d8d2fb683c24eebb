/** A select's key by names: the same key is the same text, and its values are what Drizzle sends. */
import {
  and,
  desc,
  eq,
  fillPlaceholders,
  gt,
  inArray,
  is,
  like,
  ne,
  or,
  Param,
  Placeholder,
  type SQL,
  sql,
} from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { customType, integer, pgTable, QueryBuilder, text, time, timestamp, union } from 'drizzle-orm/pg-core'
import { describe, expect, it } from 'vitest'
import { countQueryOf } from '../../src/drizzle/count-query.ts'
import type { Dialect } from '../../src/drizzle/internals.ts'
import { Naming } from '../../src/drizzle/naming.ts'
import { countKey, type StructuralKey, selectKey } from '../../src/drizzle/structural-key.ts'
import {
  type Builder,
  cases,
  comments,
  compile,
  configOf,
  db,
  lazily,
  naming,
  plainDb,
  posts,
  real,
  u,
  users,
} from './builders.fixture.ts'
import { randomBuilders } from './random-builders.fixture.ts'

function keyOf(builder: object, names = naming): StructuralKey {
  const key = selectKey(configOf(builder), names)
  if (typeof key === 'string') throw new Error(`refused: ${key}`)
  return key
}

const sent = (builder: object, given: Record<string, unknown> = {}): unknown[] =>
  fillPlaceholders(compile(builder).params, given)

/** Text and placeholders: all of a compiled statement that does not change with its values. */
function statementOf(builder: object): string {
  const { sql: built, params } = compile(builder)
  const named = params.map((param) => (is(param, Param) ? ['encoded', param.value] : param))
  return built + JSON.stringify(named.map((param) => (is(param, Placeholder) || Array.isArray(param) ? param : null)))
}

describe('the values are what Drizzle compiles, in order', () => {
  it.each(cases.map((each) => [each.name, each] as const))('%s', (_, { make, given }) => {
    const key = keyOf(make())
    expect(key.values(given)).toEqual(sent(make(), given))
  })
})

describe('two builders made alike have one key', () => {
  it.each(cases.map((each) => [each.name, each] as const))('%s', (_, { make }) => {
    const again = make()
    compile(again)
    expect(keyOf(make()).text).toBe(keyOf(again).text)
  })
})

it('one key is one text, and one text is one key, over all pairs', () => {
  // What reads the same to the server but is another tree, or says that two parameters are one.
  const alsoWritten = new Set([
    'where the same param twice',
    'where one condition twice',
    'column as expression',
    'identifier',
    'embedded count',
  ])
  const texts = new Map<string, string>()
  const keys = new Map<string, string>()
  for (const { name, make } of cases) {
    const key = keyOf(make()).text
    const built = statementOf(make())
    expect([name, texts.get(key) ?? built]).toEqual([name, built])
    texts.set(key, built)
    if (alsoWritten.has(name)) continue
    expect([name, keys.get(built) ?? key]).toEqual([name, key])
    keys.set(built, key)
  }
  expect(texts.size).toBeGreaterThan(100)
})

it('one key is one text and one list of values, over random builders', () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
  console.log(`structural keys: seed ${seed}`)
  const texts = new Map<string, string>()
  const keys = new Map<string, Set<string>>()
  for (const make of randomBuilders(seed, 3_000)) {
    const builder = make()
    const key = keyOf(builder)
    const built = compile(make())
    expect(texts.get(key.text) ?? built.sql, `seed ${seed}`).toBe(built.sql)
    expect(key.values({}), `seed ${seed}`).toEqual(built.params)
    texts.set(key.text, built.sql)
    keys.set(built.sql, (keys.get(built.sql) ?? new Set()).add(key.text))
  }
  const split = [...keys.values()].filter((own) => own.size > 1).length
  console.log(`structural keys: ${texts.size} keys, ${keys.size} texts, ${split} of them with more keys than one`)
  expect(split).toBeLessThan(keys.size / 20)
  expect(texts.size).toBeLessThan(2_900)
})

describe('operands', () => {
  it('a parameter is found by its object, also where it stands twice', () => {
    const one = sql.param(5, posts.id)
    const two = sql.param(6, posts.id)
    const key = keyOf(
      db
        .select()
        .from(posts)
        .where(or(eq(posts.likes, two), eq(posts.id, one), ne(posts.id, one))),
    )
    expect([key.operandOf(two), key.operandOf(one), key.values({})]).toEqual([0, 1, [6, 5, 5]])
    expect(key.operandOf(sql.param(5))).toBeUndefined()
  })

  it('a bare value is found by its place', () => {
    const condition = sql`${posts.id} = ${5}`
    const key = keyOf(
      db
        .select()
        .from(posts)
        .where(and(eq(posts.likes, 1), condition))
        .limit(3),
    )
    expect(key.operandOf(condition.queryChunks, 3)).toBe(1)
    expect(key.operandOf(condition.queryChunks, 1)).toBeUndefined()
  })

  it('among many parameters too', () => {
    const list = Array.from({ length: 50 }, (_, at) => sql.param(at, posts.id))
    const key = keyOf(
      db
        .select()
        .from(posts)
        .where(and(inArray(posts.id, list as never), eq(posts.likes, list[49] as never))),
    )
    expect(key.operandOf(list[49] as object)).toBe(49)
    expect(key.values({})).toHaveLength(51)
    expect(key.text).toContain('=49;')
  })
})

describe('refused for a named reason', () => {
  const asSql = customType<{ data: string }>({ dataType: () => 'text', toDriver: (value) => sql`lower(${value})` })
  const odd = pgTable('odd', { id: integer(), name: asSql(), at: timestamp({ mode: 'string' }), hour: time() })
  class Own {
    getSQL(): SQL {
      return sql`1`
    }
  }
  const snake = new QueryBuilder({ casing: 'snake_case' })
  const snakeDb = lazily(drizzle.mock({ casing: 'snake_case' }) as never as typeof plainDb & { dialect: unknown })
  const sharedTerm = desc(users.id)
  const unwritten: [reason: string, make: () => Builder][] = [
    ['locking', () => db.select().from(users).for('update')],
    ['locking', () => db.select().from(db.select().from(users).for('share').as('s'))],
    ['inline-params', () => db.select().from(users).where(sql`${users.id} = ${1}`.inlineParams())],
    [
      'unknown-chunk',
      () =>
        db
          .select()
          .from(users)
          .where(eq(users.id, new Own() as never)),
    ],
    [
      'unknown-chunk',
      () =>
        db
          .select()
          .from(users)
          .where(inArray(users.id, snake.select({ id: posts.id }).from(posts))),
    ],
    [
      'unknown-chunk',
      () =>
        db
          .select()
          .from(users)
          .where(sql`${() => 1}`),
    ],
    [
      'unknown-chunk',
      () =>
        union(
          db.select({ id: users.id }).from(users).orderBy(sharedTerm),
          db.select({ id: posts.id }).from(posts),
        ).orderBy(sharedTerm) as Builder,
    ],
    ['unknown-chunk', () => db.select().from(snakeDb.select({ id: posts.id }).from(posts).as('s'))],
    [
      'data-modifying',
      () => {
        const gone = db.$with('gone').as(db.delete(posts).returning({ id: posts.id }))
        return db.with(gone).select().from(gone)
      },
    ],
    [
      'data-modifying',
      () =>
        db
          .select()
          .from(users)
          .where(sql`exists ${db.insert(posts).values({ id: 1, authorId: 1 })}`),
    ],
  ]
  it.each(unwritten)('%s (%#)', (reason, make) => {
    expect(selectKey(configOf(make()), naming)).toBe(reason)
  })

  const unsent: [reason: string, condition: SQL | undefined, given?: Record<string, unknown>][] = [
    ['encoder-sql', eq(odd.name, 'A')],
    ['relative-time', eq(odd.at, 'now')],
    ['relative-time', eq(odd.at, 'January 8, 1999')],
    ['relative-time', eq(odd.at, sql.placeholder('x')), { x: 'Today 10:00' }],
    ['relative-time', eq(odd.hour, '10:00 Europe/Paris')],
    ['relative-time', sql`${odd.at} > ${'yesterday'}`],
    ['relative-time', sql`${odd.at} > ${'10:00 Europe/Paris'}`],
    ['missing-placeholder', eq(odd.id, sql.placeholder('x'))],
    ['missing-placeholder', eq(odd.id, sql.placeholder('toString')), {}],
    ['missing-placeholder', sql`${odd.id} = ${sql.param(sql.placeholder('x'), odd.id)}`, { y: 1 }],
  ]
  it.each(unsent)('%s by its values (%#)', (reason, condition, given) => {
    expect(keyOf(db.select().from(odd).where(condition)).values(given)).toBe(reason)
  })

  it('not a text that only looks like a time', () => {
    const some = [
      eq(posts.title, 'today'),
      eq(posts.state, 'now' as never),
      like(posts.title, '%snow%'),
      eq(odd.at, '2024-01-01T10:00:00.5+02'),
      eq(odd.hour, '10:00'),
      sql`${odd.at} > ${'2024-01-01 10:00:00Z'}`,
      inArray(posts.title, ['tomorrow']),
    ]
    for (const condition of some) expect(keyOf(db.select().from(odd).where(condition)).values({})).toBeInstanceOf(Array)
  })
})

it('an encoder that throws, throws as in Drizzle', () => {
  const table = pgTable('t', { at: timestamp() })
  const builder = db
    .select()
    .from(table)
    .where(eq(table.at, 'x' as never))
  expect(() => keyOf(builder).values({})).toThrow(TypeError)
})

it('names follow the casing of the dialect', () => {
  const table = pgTable('things', { firstName: text() })
  const snake = drizzle.mock({ casing: 'snake_case' })
  const { dialect } = snake as unknown as { dialect: Dialect }
  const make = () => plainDb.select().from(table).where(eq(table.firstName, 'x'))
  expect(keyOf(make(), new Naming(dialect)).text).not.toBe(keyOf(make()).text)
  expect(keyOf(make(), new Naming(dialect)).text).toContain('10:first_name')
})

it('a prepared statement asks for its values again, with other placeholders', () => {
  const key = keyOf(
    db
      .select()
      .from(users)
      .where(eq(users.id, sql.placeholder('id'))),
  )
  expect([key.values({ id: 1 }), key.values({ id: 2 })]).toEqual([[1], [2]])
})

describe('$count', () => {
  const counts: [string, () => PromiseLike<number>][] = [
    ['all', () => db.$count(users)],
    ['filtered', () => db.$count(users, eq(users.id, 1))],
    ['by more', () => db.$count(posts, and(eq(posts.authorId, 1), gt(posts.likes, 2)))],
    ['of an alias', () => db.$count(u)],
    ['of a select', () => db.$count(db.select().from(comments).where(eq(comments.postId, 4)).as('c') as never)],
  ]
  it.each(counts)('%s', (_, make) => {
    const made = (make() as unknown as { sql: SQL }).sql
    const question = countQueryOf(made)
    const key = question && countKey(question, naming)
    if (typeof key !== 'object') throw new Error(`refused: ${key}`)
    expect(key.values({})).toEqual(real.sqlToQuery(made).params)
  })

  it('other statements are none', () => {
    expect(countQueryOf(sql`select count(*) as count from ${users}`)).toBeUndefined()
    expect(countQueryOf(db.select().from(users).getSQL())).toBeUndefined()
  })

  it('have keys that differ where the counts do', () => {
    const texts = counts.map(([, make]) => {
      const question = countQueryOf((make() as unknown as { sql: SQL }).sql)
      return question && (countKey(question, naming) as StructuralKey).text
    })
    expect(new Set(texts).size).toBe(counts.length)
  })
})
