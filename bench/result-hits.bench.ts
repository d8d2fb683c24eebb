/**
 * What does the hit of a whole answer cost? A list of 20 rows of twelve columns beside a GET of the same payload by hand
 * that gives back the same types, and a relational query beside the same query asked of the database.
 *
 * Every answer is cached before and compared once with the database's: the sides differ in time alone.
 */
import { deepStrictEqual } from 'node:assert'
import { cached } from 'drizzle-aside'
import { asc, desc, eq } from 'drizzle-orm'
import { type Comparison, compare, comparisonTable, type Side } from './support/compare.ts'
import { type Forum, forum, forumSql, POSTS, placeholder, posts, users } from './support/forum.ts'
import { type Item, items, itemsSql } from './support/items.ts'
import { closeAll, openAside, openDatabase, openRedis, removeKeys, run, TTL_MS } from './support/open.ts'
import { type Bar, print, printBars, ratio } from './support/report.ts'
import { readSettings } from './support/settings.ts'

const settings = readSettings(process.argv.slice(2), { rounds: 7, ops: 2_000, concurrency: [1, 16] })
/** Brands of the items; each list shows 20 of its brand's 103. */
const BRANDS = 97
const brandOf = (index: number): string => `Brand ${index % BRANDS}`
const authorOf = (index: number): number => 1 + ((index * 7) % 100)
const redis = await openRedis()
const bars: Bar[] = []

await askLists()
await askRelations()
printBars(bars)
await removeKeys(redis)
await closeAll()

async function askLists(): Promise<void> {
  const opened = await openDatabase({}, `${itemsSql} create index items_brand on items (brand, id);`)
  const tables = [cached(items, { ttl: TTL_MS, lists: (t) => [t.brand] })]
  const db = await openAside(opened, 'lists', { tables })
  const listBy = (from: typeof opened.db, brand: string) =>
    from.select().from(items).where(eq(items.brand, brand)).orderBy(asc(items.id)).limit(20)
  const prepare = (from: typeof opened.db) =>
    from
      .select()
      .from(items)
      .where(eq(items.brand, placeholder('brand')))
      .orderBy(asc(items.id))
      .limit(20)
      .prepare('items_by_brand')
  const prepared = prepare(db)
  const plainPrepared = prepare(opened.db)
  const keyOf = (brand: string): string => `${run}:hand:list:${brand}`
  const sides: [Side, Side, ...Side[]] = [
    { name: 'GET by hand, types given back', run: async (index) => reviveList(await redis.get(keyOf(brandOf(index)))) },
    { name: 'drizzle-aside', run: (index) => listBy(db, brandOf(index)) },
    { name: 'drizzle-aside, prepared', run: (index) => prepared.execute({ brand: brandOf(index) }) },
    { name: 'plain Drizzle, from the database', run: (index) => listBy(opened.db, brandOf(index)) },
    { name: 'Drizzle, prepared, from the database', run: (index) => plainPrepared.execute({ brand: brandOf(index) }) },
  ]
  for (let index = 0; index < BRANDS; index++) {
    const rows = await listBy(opened.db, brandOf(index))
    await redis.set(keyOf(brandOf(index)), JSON.stringify(rows))
  }
  await prove(sides, BRANDS)
  const comparisons = await onlyHits(db, () => compare('list hits', sides, settings))
  print('', '## Hits of lists', '', 'Lists of 20 rows of 12 columns, all cached in Redis.', '')
  print(...comparisonTable(sides, comparisons))
  for (const [at, name] of [
    [1, 'a list hit'],
    [2, 'a list hit, prepared,'],
  ] as const)
    bars.push(...comparisons.map((each) => atMost(each, at, 1.25, `${name} costs at most 1.25 GETs by hand`)))
}

async function askRelations(): Promise<void> {
  const opened = await openDatabase<Forum>({ schema: forum }, forumSql(evenly()))
  const db = await openAside(opened, 'relations', {
    tables: [cached(users, { ttl: TTL_MS }), cached(posts, { ttl: TTL_MS })],
  })
  const withPosts = (from: typeof opened.db, id: number) =>
    from.query.users.findFirst({
      where: eq(users.id, id),
      with: { posts: { orderBy: desc(posts.id), limit: 20 } },
    })
  const prepare = (from: typeof opened.db) =>
    from.query.users
      .findFirst({
        where: eq(users.id, placeholder('id')),
        with: { posts: { orderBy: desc(posts.id), limit: 20 } },
      })
      .prepare('user_with_posts')
  const prepared = prepare(db)
  const plainPrepared = prepare(opened.db)
  const keyOf = (id: number): string => `${run}:hand:author:${id}`
  for (let id = 1; id <= 100; id++) await redis.set(keyOf(id), JSON.stringify(await withPosts(opened.db, id)))
  const sides: [Side, Side, ...Side[]] = [
    { name: 'plain Drizzle, from the database', run: (index) => withPosts(opened.db, authorOf(index)) },
    { name: 'drizzle-aside', run: (index) => withPosts(db, authorOf(index)) },
    { name: 'drizzle-aside, prepared', run: (index) => prepared.execute({ id: authorOf(index) }) },
    {
      name: 'GET by hand, types given back',
      run: async (index) => reviveAuthor(await redis.get(keyOf(authorOf(index)))),
    },
    { name: 'Drizzle, prepared, from the database', run: (index) => plainPrepared.execute({ id: authorOf(index) }) },
  ]
  await prove(sides, 100)
  const comparisons = await onlyHits(db, () => compare('relational hits', sides, settings))
  print('', '## Hits of relational queries', '')
  print('An author with the 20 newest of 25 posts (`findFirst` with `with`), all cached in Redis.', '')
  print(...comparisonTable(sides, comparisons))
  bars.push(
    ...comparisons.flatMap(({ concurrency, ratios }) =>
      [1, 2].map((at) => ({
        name: `concurrency ${concurrency}: a relational hit${at === 2 ? ', prepared,' : ''} is at least 10 times as fast as plain`,
        passed: (ratios[at] as number) >= 10,
        found: ratio(ratios[at] as number),
      })),
    ),
  )
}

/** Twice, so that a first answer that only told its partners is kept, too; then every side answers as the database. */
async function prove(sides: readonly [Side, Side, ...Side[]], count: number): Promise<void> {
  const truth = sides.at(-1) as Side
  for (let round = 0; round < 3; round++) {
    for (let index = 0; index < count; index++) {
      const expected = await truth.run(index)
      for (const side of sides) deepStrictEqual(await side.run(index), expected, side.name)
    }
  }
}

async function onlyHits<T>(db: { $aside: { stats(): { misses: number } } }, work: () => Promise<T>): Promise<T> {
  const { misses } = db.$aside.stats()
  const result = await work()
  const missed = db.$aside.stats().misses - misses
  if (missed > 0) throw new Error(`${missed} misses: not a measure of hits`)
  return result
}

function reviveList(text: string | null): Item[] {
  if (text === null) throw new Error('the list by hand is gone')
  const rows = JSON.parse(text) as Item[]
  for (const row of rows) {
    row.createdAt = new Date(row.createdAt)
    row.updatedAt = new Date(row.updatedAt)
  }
  return rows
}

interface Author {
  posts: { madeAt: Date }[]
}

function reviveAuthor(text: string | null): Author {
  if (text === null) throw new Error('the author by hand is gone')
  const author = JSON.parse(text) as Author
  for (const post of author.posts) post.madeAt = new Date(post.madeAt)
  return author
}

function atMost({ concurrency, ratios }: Comparison, at: number, most: number, what: string): Bar {
  const times = 1 / (ratios[at] as number)
  return { name: `concurrency ${concurrency}: ${what}`, passed: times <= most, found: ratio(times) }
}

function evenly(): Int32Array {
  return Int32Array.from({ length: POSTS }, (_, at) => 1 + (at % 2_000))
}
