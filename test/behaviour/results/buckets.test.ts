/** A store that spreads each table over buckets, as a Redis Cluster does: what is together, and what falls together. */
import { memoryStore, type Store, withCache } from 'drizzle-aside'
import { eq, inArray } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPglite } from '../../support/open-app.ts'
import { authors, posts, scene, sceneSetUp, sceneTables } from '../../support/results-scene.ts'

const BUCKETS = 16

/** A memory store that says what was asked of it. */
function told() {
  const memory = memoryStore()
  const reads: (readonly string[])[] = []
  const removed: string[] = []
  const store: Store = {
    ...memory,
    buckets: BUCKETS,
    read: (keys) => {
      reads.push(keys)
      return memory.read(keys)
    },
    remove: (keys) => {
      removed.push(...keys)
      return memory.remove(keys)
    },
  }
  return { store, reads, removed }
}

const groupsOf = (keys: readonly string[]): string[] => [
  ...new Set(keys.map((key) => /\{[^}]*\}/.exec(key)?.[0] ?? '')),
]

describe('over a store with 16 buckets', () => {
  let memory: ReturnType<typeof told>
  let app: Awaited<ReturnType<typeof openPglite<typeof scene>>>
  beforeAll(async () => {
    memory = told()
    const given = { setUp: sceneSetUp, schema: scene, namespace: 'buckets', tables: sceneTables, store: memory.store }
    app = await openPglite(given)
  })
  afterAll(() => app.close())

  const byId = (id: number) => app.db.select().from(posts).where(eq(posts.id, id))
  const ofAuthor = (id: number) => app.db.select({ title: posts.title }).from(posts).where(eq(posts.authorId, id))
  const scoresOf = (id: number) => app.db.select({ score: posts.score }).from(posts).where(eq(posts.authorId, id))
  const withAuthors = () => app.db.select().from(posts).innerJoin(authors, eq(authors.id, posts.authorId))
  const list = (...ids: number[]) => app.db.select().from(posts).where(inArray(posts.id, ids))

  /** What a read that hits asks of the store. */
  async function warm(read: () => PromiseLike<unknown>): Promise<readonly string[]> {
    await read()
    await read()
    app.sql.reset()
    memory.reads.length = 0
    await read()
    expect(app.sql.count()).toBe(0)
    expect(memory.reads).toHaveLength(1)
    return memory.reads[0] as readonly string[]
  }

  it('a hit by key and one of a list of one class read one group of keys, and not all of them the same', async () => {
    const groups = new Set<string>()
    for (const id of [1, 2, 3, 4, 5]) {
      for (const read of [() => byId(id), () => ofAuthor(id), () => scoresOf(id)]) {
        const own = groupsOf(await warm(read))
        expect(own).toHaveLength(1)
        groups.add(own[0] as string)
      }
    }
    expect(groups.size).toBeGreaterThan(4)
  })

  it('a hit of a list of keys reads each epoch once, from beside each row', async () => {
    const keys = await warm(() => list(1, 2, 3, 4, 5, 6))
    expect(keys.length).toBe(new Set(keys).size)
    const groups = groupsOf(keys)
    expect(groups.length).toBeGreaterThan(1)
    expect(keys).toHaveLength(2 * 6 + groups.length)
  })

  it('a join lies beside its first class, and rests on the first epoch of the other table', async () => {
    const keys = await warm(withAuthors)
    expect(keys.filter((key) => key.includes(':A{')).every((key) => key.includes('#0}'))).toBe(true)
    await app.db.update(authors).set({ name: 'New' }).where(eq(authors.id, 1))
    expect((await withAuthors()).map((row) => row.authors.name)).toContain('New')
  })

  it('a table that falls as a whole falls in every bucket, and no other table does', async () => {
    const ids = Array.from({ length: 12 }, (_, at) => at + 1)
    const reads = [...ids.map((id) => () => byId(id)), ...[1, 2, 3].map((id) => () => ofAuthor(id))]
    for (const read of [...reads, withAuthors]) await warm(read)
    await warm(() => app.db.select().from(authors).where(eq(authors.id, 1)))
    memory.removed.length = 0
    await app.db.$aside.invalidate(posts)
    // Its children follow by a foreign key.
    const tables = ['5:posts', '8:comments']
    for (const table of tables) expect(memory.removed.filter((key) => key.endsWith(table))).toHaveLength(BUCKETS)
    expect(memory.removed).toHaveLength(BUCKETS * tables.length)
    for (const read of [...reads, withAuthors])
      expect((await app.db.$aside.explain(read() as ReturnType<typeof byId>)).state).toBe('miss')
    expect((await app.db.$aside.explain(app.db.select().from(authors).where(eq(authors.id, 1)))).state).toBe('hit')
  })

  it('a write drops what it touched and nothing else, wherever it lies', async () => {
    for (const id of [1, 2, 3]) await warm(() => byId(id))
    for (const id of [1, 2, 3]) await warm(() => ofAuthor(id))
    await app.db.update(posts).set({ title: 'New' }).where(eq(posts.id, 1))
    const state = async (read: ReturnType<typeof byId>) => (await app.db.$aside.explain(read)).state
    expect(await Promise.all([1, 2, 3].map((id) => state(byId(id))))).toEqual(['miss', 'hit', 'hit'])
    expect(await Promise.all([1, 2, 3].map((id) => state(ofAuthor(id) as never)))).toEqual(['miss', 'hit', 'hit'])
  })
})

describe('the number of buckets', () => {
  it.each([0, -1, 1.5, 65, Number.NaN])('is refused where it is %s', (buckets) => {
    const store = { ...memoryStore(), buckets }
    expect(() => withCache(drizzle(new Pool()), { tables: 'all', store })).toThrow(
      expect.objectContaining({ code: 'ASIDE_BAD_STORE', message: expect.stringContaining('buckets') }),
    )
  })
})
