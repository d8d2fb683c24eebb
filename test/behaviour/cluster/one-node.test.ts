/** What a hit asks of a Redis Cluster, by the servers' own statistics (PROTOCOL 3.1). */
import { randomBytes } from 'node:crypto'
import { redisStore } from '@drizzle-aside/redis'
import { and, eq, inArray } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { clusterLibraries } from '../../conformance/redis-clients.ts'
import { ageClusterRegister, findCluster, type RunningCluster } from '../../harness/redis-cluster.ts'
import { openPglite } from '../../support/open-app.ts'
import { authors, posts, scene, sceneSetUp, sceneTables } from '../../support/results-scene.ts'

let cluster: RunningCluster
beforeAll(async () => {
  cluster = await findCluster()
})
afterAll(() => cluster.stop())

/** Runs of each command on each master. */
async function counts(): Promise<Record<string, number>[]> {
  const all = await Promise.all(cluster.urls.map((url) => cluster.ask(url, 'INFO', 'commandstats')))
  return all.map((text) =>
    Object.fromEntries(
      [...String(text).matchAll(/cmdstat_([^:]+):calls=(\d+)/g)].map(([, name, calls]) => [name, Number(calls)]),
    ),
  )
}

describe.each(clusterLibraries)('over a cluster of $name', (library) => {
  let app: Awaited<ReturnType<typeof openPglite<typeof scene>>>
  let client: Awaited<ReturnType<typeof library.open>>
  beforeAll(async () => {
    const namespace = `t-${randomBytes(6).toString('hex')}`
    client = await library.open(cluster.urls)
    await ageClusterRegister(cluster, namespace, 'postgres')
    const store = redisStore(client.client)
    const slow = { readDeadline: '5s', invalidateDeadline: '5s' } as const
    app = await openPglite({ setUp: sceneSetUp, schema: scene, namespace, store, tables: sceneTables, ...slow })
  })
  afterAll(async () => {
    await app.close()
    client.close()
  })

  const byId = (id: number) => app.db.select().from(posts).where(eq(posts.id, id))
  const ofAuthor = (id: number) => app.db.select({ title: posts.title }).from(posts).where(eq(posts.authorId, id))
  const live = (id: number) =>
    app.db
      .select({ score: posts.score })
      .from(posts)
      .where(and(eq(posts.authorId, id), eq(posts.status, 'live')))

  /** The MGETs of a warm read by node, and the statements. */
  async function asked(read: () => PromiseLike<unknown>): Promise<number[]> {
    for (let times = 0; times < 3; times++) await read()
    app.sql.reset()
    const before = await counts()
    await read()
    const after = await counts()
    expect(app.sql.count()).toBe(0)
    return after.map(({ mget = 0 }, at) => mget - (before[at]?.mget ?? 0)).filter((calls) => calls > 0)
  }

  it('a warm row and a warm list of one class are one MGET to one node', async () => {
    for (const id of [1, 2, 3]) {
      expect(await asked(() => byId(id))).toEqual([1])
      expect(await asked(() => ofAuthor(id))).toEqual([1])
      expect(await asked(() => live(id))).toEqual([1])
    }
  })

  it('a list of keys and a join are one round trip: all nodes are asked at once', async () => {
    const ids = [1, 2, 3, 4, 5, 6, 7, 8]
    const list = await asked(() => app.db.select().from(posts).where(inArray(posts.id, ids)))
    expect(list.length).toBeGreaterThan(1)
    const joined = await asked(() =>
      app.db.select().from(posts).leftJoin(authors, eq(authors.id, posts.editorId)).where(eq(posts.authorId, 1)),
    )
    expect(joined.reduce((sum, calls) => sum + calls, 0)).toBeLessThanOrEqual(6)
  })

  it('what a write touched is asked again, and nothing else, on whichever node it lies', async () => {
    for (const id of [1, 2, 3]) await asked(() => byId(id))
    for (const id of [1, 2, 3]) await asked(() => ofAuthor(id))
    await app.db.update(posts).set({ title: 'New' }).where(eq(posts.id, 1))
    app.sql.reset()
    for (const id of [2, 3]) await Promise.all([byId(id), ofAuthor(id)])
    expect(app.sql.count()).toBe(0)
    expect((await byId(1))[0]?.title).toBe('New')
    expect(await ofAuthor(1)).toContainEqual({ title: 'New' })
  })

  it('a table that falls as a whole falls on every node', async () => {
    for (const id of [1, 2, 3, 4, 5, 6]) await asked(() => byId(id))
    await app.plain.update(posts).set({ title: 'Else' })
    await app.db.$aside.invalidate(posts)
    for (const id of [1, 2, 3, 4, 5, 6]) expect((await byId(id))[0]?.title).toBe('Else')
  })
})
