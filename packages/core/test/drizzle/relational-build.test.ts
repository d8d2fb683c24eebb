import { PGlite } from '@electric-sql/pglite'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/pglite'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { cached, withCache } from '../../src/index.ts'
import { corpus, ddl, given, schema } from './relational.fixture.ts'

let client: PGlite
let texts: string[]
const open = () =>
  drizzle({ client, schema, casing: 'snake_case', logger: { logQuery: (text) => void texts.push(text) } })
let plain: ReturnType<typeof open>
let db: ReturnType<typeof open>

beforeAll(async () => {
  client = await PGlite.create()
  await client.exec(ddl)
  texts = []
  plain = open()
  const wrapped = withCache(open(), { namespace: 'relational-build', tables: [cached(schema.users)] })
  await wrapped.$aside.ready()
  db = wrapped
})
afterAll(() => client.close())
beforeEach(() => {
  texts = []
})

/** The calls of the callbacks of a query with one at each place. */
function counting() {
  const calls: string[] = []
  const told = <T>(name: string, value: T): T => {
    calls.push(name)
    return value
  }
  const options = {
    where: (t: typeof schema.users) => told('where', eq(t.id, 1)),
    orderBy: (t: typeof schema.users) => told('orderBy', [t.id]),
  }
  const deep = {
    ...options,
    extras: (t: typeof schema.users, { sql }: { sql: typeof import('drizzle-orm').sql }) =>
      told('extras', { loud: sql<string>`upper(${t.fullName})`.as('loud') }),
    with: { posts: { where: (t: typeof schema.posts) => told('posts where', eq(t.draft, true)) } },
  }
  return { calls, options: options as never, deep: deep as never }
}

const shallowCalls = ['where', 'orderBy']
const deepCalls = ['where', 'extras', 'orderBy', 'posts where']

describe('callbacks of relational queries are called once per query', () => {
  it('on a miss and on a hit', async () => {
    for (const expected of [1, 0]) {
      const { calls, options } = counting()
      texts = []
      expect(await db.query.users.findFirst(options)).toMatchObject({ fullName: 'Ada' })
      expect(calls).toEqual(shallowCalls)
      expect(texts).toHaveLength(expected)
    }
  })

  it('where the query itself runs, the first time and later', async () => {
    for (let turn = 0; turn < 3; turn++) {
      const { calls, deep } = counting()
      const [found] = await db.query.users.findMany(deep)
      expect(found).toMatchObject({ loud: 'ADA', posts: [{ title: 'big' }] })
      expect(calls).toEqual(deepCalls)
    }
    expect(texts).toHaveLength(3)
  })

  it('in a transaction', async () => {
    const { calls, options, deep } = counting()
    await db.transaction(async (tx) => {
      await tx.query.users.findFirst(options)
      await tx.query.users.findMany(deep)
    })
    expect(calls).toEqual([...shallowCalls, ...deepCalls])
  })

  it('where it is prepared, however often it is executed', async () => {
    const { calls, options, deep } = counting()
    const prepared = [db.query.users.findFirst(options).prepare('one'), db.query.users.findMany(deep).prepare('two')]
    for (const query of [...prepared, ...prepared]) await query.execute()
    expect(calls).toEqual([...shallowCalls, ...deepCalls])
  })

  it('where only its text is asked for', () => {
    const { calls, deep } = counting()
    const told = { ...db.query.users.findMany(deep).toSQL() }
    expect(told).toEqual(plain.query.users.findMany(counting().deep).toSQL())
    expect(calls).toEqual(deepCalls)
  })
})

describe('relational queries through a wrapped db', () => {
  const runnable = corpus.filter(([name]) => name !== 'a column of another table in a condition')

  it.each(runnable.map((each) => [...each] as const))(
    'answer and read as without it, time after time: %s',
    async (_, make) => {
      const { tableConfig, config, mode } = make() as Asked
      const ask = (on: typeof db) => {
        const query = on.query[tableConfig.tsName as 'users']
        return mode === 'first' ? query.findFirst(config) : query.findMany(config)
      }
      const run = async (on: typeof db, name: string) => ({
        rows: await ask(on).prepare(name).execute(given),
        text: ask(on).toSQL().sql,
      })
      const expected = await run(plain, 'plain')
      for (const name of ['first', 'second']) {
        const { rows, text } = await run(db, name)
        expect(rows).toEqual(expected.rows)
        expect(text).toBe(expected.text)
      }
    },
  )

  it('fail as without it, each time', async () => {
    for (const options of [{ with: { nobody: true } }, { columns: {} }, { extras: () => undefined }]) {
      const failure = async (on: typeof db): Promise<string> => {
        const ask = () => on.query.tags.findMany(options as never)
        expect(() => ask().toSQL()).toThrow()
        try {
          return `${await ask()}`
        } catch (error) {
          return String(error)
        }
      }
      const expected = await failure(plain)
      expect(expected).toMatch(/Error/)
      expect([await failure(db), await failure(db)]).toEqual([expected, expected])
    }
  })
})

interface Asked {
  readonly tableConfig: { readonly tsName: string }
  readonly config: never
  readonly mode: 'first' | 'many'
}
