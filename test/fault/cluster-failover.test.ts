/**
 * D11: a master of a Redis Cluster is killed under load. Reads go on, the removals of writes wait for its replica and are
 * delivered; what had not reached the replica yet is of another incarnation, and never served.
 */
import { redisStore } from '@drizzle-aside/redis'
import { cached } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { clusterLibraries } from '../conformance/redis-clients.ts'
import { freshDatabase } from '../harness/databases.ts'
import { ageClusterRegister, privateCluster } from '../harness/redis-cluster.ts'
import { History } from '../support/history.ts'
import { raise, readByCode, readByKey } from '../support/item-load.ts'
import { items, itemsSetUp, outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'

test.each(clusterLibraries)(
  'D11: kill -9 of a master, $name: reads are answered, removals arrive, and nothing old is served',
  async (library) => {
    const cluster = await privateCluster()
    const database = await freshDatabase(15)
    await outside(database.url, itemsSetUp)
    const namespace = `failover-${library.name}`
    await ageClusterRegister(cluster, namespace, database.name)
    const clients = await Promise.all([library.open(cluster.urls), library.open(cluster.urls)])
    const apps = await Promise.all(
      clients.map(({ client }) =>
        openApp({ url: database.url, store: redisStore(client), namespace, tables: [cached(items)] }),
      ),
    )
    const history = new History()
    const load = history.load({
      pace: 40,
      ids: Array.from({ length: 12 }, (_, at) => at + 1),
      readers: apps.flatMap(({ db }) => [readByKey(db), readByCode(db)]),
      writers: apps.map(({ db }) => raise(db)),
    })
    for (const { told } of apps)
      await expect.poll(() => told.of('hit').length, { timeout: 20_000 }).toBeGreaterThan(100)

    await cluster.nodes[0]?.kill()
    const [dead, ...others] = cluster.urls
    // Its replica has taken its place, and nobody waits for anything any more.
    await expect
      .poll(async () => (await cluster.mastersBy(others[0] as string)).includes(dead as string), { timeout: 20_000 })
      .toBe(false)
    await expect.poll(() => apps.map(({ db }) => db.$aside.health().state), { timeout: 20_000 }).toEqual(['ok', 'ok'])
    for (const { told } of apps) {
      const hits = told.of('hit').length
      await expect.poll(() => told.of('hit').length, { timeout: 20_000 }).toBeGreaterThan(hits + 100)
    }
    await load.end()

    expect(history.failures).toEqual([])
    expect(history.stale).toEqual([])
    const pending = apps.flatMap(({ told }) => told.of('pendingDelivery'))
    const delivered = apps.flatMap(({ told }) => told.of('delivered'))
    expect(pending.length).toBeGreaterThan(0)
    expect(delivered.length).toBeGreaterThan(0)

    // The node comes back as a replica, and is asked nothing.
    await cluster.nodes[0]?.restart()
    await expect
      .poll(async () => String(await cluster.ask(dead as string, 'INFO', 'replication').catch(String)))
      .toContain('role:slave')
    for (const { db } of apps) expect((await db.select().from(items).where(eq(items.id, 1)))[0]?.id).toBe(1)

    for (const app of apps) await app.close()
    for (const client of clients) client.close()
    await cluster.stop()
    await database.drop()
  },
  120_000,
)
