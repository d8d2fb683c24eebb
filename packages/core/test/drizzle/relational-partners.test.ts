import { PGlite } from '@electric-sql/pglite'
import { eq, fillPlaceholders, mapRelationalRow, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/pglite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RelationalConfig } from '../../src/drizzle/internals.ts'
import { RelationalReader } from '../../src/drizzle/read-relational.ts'
import type { RelationalPartner } from '../../src/drizzle/relational-partners.ts'
import { tableShapes } from '../../src/drizzle/table-shape.ts'
import { blog, configOf, corpus, ddl, dialect, given, posts, schema, users } from './relational.fixture.ts'

const db = blog()
const reader = new RelationalReader(dialect, tableShapes(dialect))
let client: PGlite
beforeAll(async () => {
  client = await PGlite.create()
  await client.exec(ddl)
})
afterAll(() => client.close())

function readOf(query: unknown) {
  const settled = reader.settle(configOf(query))
  const read = reader.read(settled)
  if (typeof read === 'string') throw new Error(`refused: ${read}`)
  return { settled, read }
}

/** Driver-level rows, as they are before Drizzle maps them. */
async function rowsOf(settled: RelationalConfig): Promise<unknown[][]> {
  const { sql: text, params } = dialect.sqlToQuery(dialect.buildRelationalQueryWithoutPK(settled).sql)
  const real = drizzle({ client }) as unknown as {
    session: { prepareQuery(...args: unknown[]): { execute(): unknown } }
  }
  const query = { sql: text, params: fillPlaceholders(params, given) }
  return (await real.session
    .prepareQuery(query, undefined, undefined, true, (rows: unknown) => rows)
    .execute()) as unknown[][]
}

const toldPartner = ({ ref, references, from, seenIn, inJson }: RelationalPartner): string =>
  `${ref}.${references} = ${from.map((term) => `${term.ref}.${term.column}`)}, ${seenIn}${inJson ? ' in JSON' : ''}`

async function learned(query: unknown): Promise<Record<string, unknown>> {
  const { settled, read } = readOf(query)
  const rows = await rowsOf(settled)
  const values = (partner: RelationalPartner): unknown => rows.flatMap((row) => partner.read(row) ?? ['unreadable'])
  return Object.fromEntries(read.partners().map((partner) => [toldPartner(partner), values(partner)]))
}

describe('answers mapped by a selection that was not built', () => {
  it.each(
    corpus.filter(([name]) => name !== 'a column of another table in a condition').map((each) => [...each] as const),
  )('equal those of Drizzle: %s', async (_, make) => {
    const { settled, read } = readOf(make())
    const rows = await rowsOf(settled)
    const plain = dialect.buildRelationalQueryWithoutPK(configOf(make())).selection
    const map = (selection: unknown): unknown =>
      rows.map((row) =>
        mapRelationalRow(settled.schema as never, settled.tableConfig as never, [...row], selection as never),
      )
    expect(map(read.selection())).toEqual(map(plain))
  })
})

describe('partners told by the answer', () => {
  it('stand in the columns of the root; a missing one is told, NULL has none', async () => {
    const query = db.query.posts.findMany({ with: { author: true, reviewer: true }, orderBy: posts.id })
    expect(await learned(query)).toEqual({
      '1.id = 0.author, owner': [[1], [2], [1]],
      '2.id = 0.reviewer_id, owner': [[2], [7]],
    })
  })

  it('stand in the JSON of the levels below, through many and one', async () => {
    const query = db.query.users.findMany({
      orderBy: users.id,
      with: {
        manager: { columns: { managerId: true }, with: { manager: true } },
        posts: { columns: { authorId: true, reviewerId: true }, with: { author: true, reviewer: true } },
      },
    })
    expect(await learned(query)).toEqual({
      '1.id = 0.manager_id, owner': [[1], [1]],
      '2.id = 1.manager_id, owner in JSON': [],
      '4.id = 3.author, owner in JSON': [[1], [1], [2]],
      '5.id = 3.reviewer_id, owner in JSON': [[2], [7]],
    })
  })

  it('are matched by all columns of a composite key; one that is NULL in part is none', async () => {
    const query = db.query.events.findMany({ with: { link: { columns: { tagId: true } } } })
    expect(await learned(query)).toEqual({
      '1.post_id,tag_id = 0.post_id,0.tag_id, owner': [
        [2, 1],
        [3, 1],
      ],
    })
    // A part of it in the owner is not enough, and the bigint in the partner's JSON may be rounded.
    const half = db.query.events.findMany({ columns: { tagId: true }, with: { link: true } })
    expect(await learned(half)).toEqual({})
  })

  it('are told by their own key where the owner does not show its columns', async () => {
    const with_ = { author: { columns: { id: true } } } as const
    const query = db.query.posts.findMany({ columns: { title: true }, with: with_, orderBy: posts.id })
    expect(await learned(query)).toEqual({ '1.id = 0.author, partner in JSON': [[1], [2], [1]] })
  })

  it('make a row unreadable where one is missing that only its own key would tell', async () => {
    const query = db.query.posts.findMany({
      columns: { title: true },
      where: eq(posts.id, 3),
      with: { reviewer: { columns: { id: true } } },
    })
    expect(await learned(query)).toEqual({ '1.id = 0.reviewer_id, partner in JSON': ['unreadable'] })
  })

  it.each<[string, () => unknown]>([
    [
      'no column shows which it is',
      () => db.query.posts.findMany({ columns: { title: true }, with: { author: { columns: { mail: true } } } }),
    ],
    [
      'it is a bigint in JSON, which may be rounded',
      () => db.query.tags.findMany({ with: { posts: { with: { post: true } } } }),
    ],
    ['there may be many', () => db.query.users.findMany({ with: { posts: true } })],
    ['it has a condition', () => db.query.posts.findMany({ with: { author: { where: eq(users.id, 1) } as never } })],
    ['it has an order', () => db.query.posts.findMany({ with: { author: { orderBy: users.id } as never } })],
    ['it has an offset', () => db.query.posts.findMany({ with: { author: { offset: 1 } as never } })],
    ['it has extras', () => db.query.posts.findMany({ with: { author: { extras: { n: sql<number>`1`.as('n') } } } })],
    [
      'text above it may look at it',
      () => db.query.posts.findMany({ where: sql`"posts_author"."data" is null`, with: { author: true } }),
    ],
    [
      'extras above it may look at it',
      () => db.query.posts.findMany({ extras: { n: sql`count(*) over ()`.as('n') }, with: { author: true } }),
    ],
    [
      'an order above it may look at it',
      () => db.query.posts.findMany({ orderBy: sql`"posts_author"."data"->>1`, with: { author: true } }),
    ],
    [
      'text two levels above may look at it',
      () => db.query.users.findMany({ where: sql`1 = 1`, with: { posts: { with: { reviewer: true } } } }),
    ],
  ])('are not, where %s', (_, make) => {
    expect(readOf(make()).read.partners()).toEqual([])
  })

  it('are read from a root that is a bigint, exactly', async () => {
    const query = db.query.postTags.findMany({
      columns: { postId: true },
      with: { post: { columns: { title: true } } },
    })
    expect((await learned(query))['1.id = 0.post_id, owner']).toHaveLength(3)
  })

  it('are read from JSON that a parser left as text; what is no such JSON is unreadable', () => {
    const [, partner] = readOf(
      db.query.comments.findMany({ with: { author: { with: { manager: true } } } }),
    ).read.partners()
    const row = (author: unknown): unknown[] => ['id', 1n, 3, 'body', author]
    const ada = [3, 'Cyd', null, 1, null, null, null]
    expect(partner?.read(row(ada))).toEqual([[1]])
    expect(partner?.read(row(JSON.stringify(ada)))).toEqual([[1]])
    expect(partner?.read(row(null))).toEqual([])
    expect(partner?.read(row('{'))).toBeUndefined()
    expect(partner?.read(row({ id: 3 }))).toBeUndefined()
    expect(partner?.read(row([3, 'Cyd']))).toBeUndefined()
    expect(partner?.read(row([3, 'Cyd', null, 2 ** 53, null, null]))).toBeUndefined()
  })

  it('count their refs as the shape does', () => {
    const { read } = readOf(
      db.query.comments.findMany({ with: { author: { with: { manager: true, profile: true } } } }),
    )
    const { refs } = read.shape()
    const names = read
      .partners()
      .map(({ ref, from }) => [refs[ref]?.table.name, refs[from[0]?.ref as number]?.table.name])
    expect(names).toEqual([
      ['users', 'comments'],
      ['users', 'users'],
      ['profiles', 'users'],
    ])
    expect(Object.keys(schema)).toContain('profiles')
  })
})
