/**
 * Everything over pgbouncer in transaction mode, where two statements outside a transaction mostly meet two server
 * connections: answers are the database's, and no server connection keeps anything of ours. `pnpm test:pgbouncer`.
 */
import { redisStore } from '@drizzle-aside/redis'
import { type AsideOptions, cached, type Store, withCache } from 'drizzle-aside'
import { eq, inArray, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase, freshRedis, privatePair } from '../harness/databases.ts'
import { type PgBouncer, privatePgBouncer } from '../harness/pgbouncer.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import type { App } from '../support/drivers.ts'
import { items, notes, outside } from '../support/items.ts'
import { openApp, openPostgresJs } from '../support/open-app.ts'
import { outboxSetUp } from '../support/outbox.ts'

const ways = [
  { name: 'node-postgres', open: (options: Options) => openApp(options) as Promise<App> },
  {
    name: 'postgres-js',
    // What pgbouncer before 1.21 asks of it; without parameters it prepares nothing by itself.
    open: async (options: Options) =>
      (await openPostgresJs({ ...options, postgres: { prepare: false } })) as unknown as App,
  },
]
type Options = AsideOptions & { url: string }

const SERVERS = 3
/** What a session of ours may have left behind on a server connection. */
const leftBehind = `
  select 'prepared ' || name as what from pg_prepared_statements
  union all select 'listens ' || c from pg_listening_channels() c
  union all select 'lock ' || locktype from pg_locks where locktype = 'advisory'
  union all select 'temporary ' || relname from pg_class where relpersistence = 't'
  union all select 'cursor ' || name from pg_cursors where name <> '' and name not like '<unnamed%'
  union all select 'set ' || name from pg_settings where source = 'session' and name not in ('transaction_isolation',
    'transaction_read_only', 'transaction_deferrable', 'application_name')`

describe.each(ways)('over pgbouncer with $name', ({ open }) => {
  let database: FreshDatabase
  let bouncer: PgBouncer
  let redis: Awaited<ReturnType<typeof freshRedis>>
  let apps: App[]
  let stores: Store[]
  let clients: ReturnType<typeof createClient>[]

  beforeAll(async () => {
    database = await freshDatabase(15)
    bouncer = await privatePgBouncer(database.url, SERVERS)
  })
  afterAll(async () => {
    await bouncer.stop()
    await database.drop()
  })
  beforeEach(async () => {
    await outside(database.url, 'drop table if exists items, notes, aside_outbox', outboxSetUp)
    redis = await freshRedis()
    await ageRegister(redis.url, redis.namespace, database.name)
    ;[apps, stores, clients] = [[], [], []]
    for (let at = 0; at < 2; at++) {
      const client = createClient({ url: redis.url })
      await client.connect()
      const store = redisStore(client)
      const tables = [cached(items, { lists: (t) => [t.label] }), cached(notes)]
      clients.push(client as never)
      stores.push(store)
      apps.push(
        await open({ url: bouncer.through(database.url), store, namespace: redis.namespace, tables, outbox: 'always' }),
      )
    }
  })
  afterEach(async () => {
    for (const app of apps) await app.close()
    for (const store of stores) await store.close()
    for (const client of clients) client.destroy()
    await redis.drop()
  })

  async function expectClean(): Promise<void> {
    const pool = new Pool({ connectionString: bouncer.through(database.url), max: SERVERS })
    // One transaction on each server connection at a time, so that all are looked at.
    const held = await Promise.all(Array.from({ length: SERVERS }, () => pool.connect()))
    const pids = new Set<unknown>()
    for (const client of held) {
      const { rows } = await client
        .query('begin; select pg_backend_pid() as pid')
        .then((found) => (found as unknown as { rows: { pid: number }[] }[])[1] as { rows: { pid: number }[] })
      pids.add(rows[0]?.pid)
      expect((await client.query(leftBehind)).rows).toEqual([])
    }
    expect(pids.size).toBe(SERVERS)
    for (const client of held) {
      await client.query('commit')
      client.release()
    }
    await pool.end()
  }

  test('reads, writes, transactions and savepoints of many at once: nobody reads anything old, nothing is left behind', async () => {
    const work = async (app: App, id: number): Promise<void> => {
      const row = () => app.db.select().from(items).where(eq(items.id, id))
      for (let turn = 1; turn <= 8; turn++) {
        const label = `${id}, turn ${turn}`
        if (turn % 3 === 0) await app.db.update(items).set({ label }).where(eq(items.id, id))
        else
          await app.db.transaction(async (tx) => {
            await tx.update(items).set({ label }).where(eq(items.id, id))
            await tx
              .transaction(async (inner) => {
                await inner.update(items).set({ label: 'never' }).where(eq(items.id, id))
                throw new Error('back')
              })
              .catch(() => {})
          })
        for (let again = 0; again < 2; again++) {
          expect(await row()).toMatchObject([{ label }])
          expect(await app.db.select({ id: items.id }).from(items).where(eq(items.label, label))).toEqual([{ id }])
        }
      }
    }
    const [one, two] = apps as [App, App]
    await Promise.all([1, 2, 3, 4, 5, 6].map((id) => work(id % 2 ? one : two, id)))
    const ids = [1, 2, 3, 4, 5, 6]
    const all = ({ db }: Pick<App, 'db'>) => db.select().from(items).where(inArray(items.id, ids)).orderBy(items.id)
    const truth = await all({ db: one.plain as unknown as App['db'] })
    for (const app of apps) for (let turn = 0; turn < 2; turn++) expect(await all(app)).toEqual(truth)
    for (const { db, told } of apps) {
      expect(db.$aside.health()).toMatchObject({ state: 'ok', remarks: [] })
      expect(told.of('outcomeUnknown')).toEqual([])
      expect(told.of('outboxFailed')).toEqual([])
      expect(db.$aside.stats().hits).toBeGreaterThan(0)
    }
    await expectClean()
  })

  test('keys that come back, inserts, deletes, raw SQL and a broken connection leave nothing behind either', async () => {
    const [one, two] = apps as [App, App]
    await one.db.insert(items).values({ id: 500, code: 'c500', label: 'born' }).onConflictDoNothing()
    await one.db.update(items).set({ code: 'other' }).where(eq(items.id, 500))
    await one.db.delete(items).where(eq(items.id, 500))
    await one.db
      .update(items)
      .set({ label: 'many' })
      .where(inArray(items.id, [1, 2, 3]))
    await one.db.execute(sql`update notes set body = 'raw' where id = 1`)
    expect(await two.db.select().from(notes).where(eq(notes.id, 1))).toMatchObject([{ body: 'raw' }])
    await expectClean()
    await outside(
      database.url,
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
    )
    const writing = one.db.update(items).set({ label: 'after' }).where(eq(items.id, 1))
    await writing.then(undefined, () => undefined)
    await expect.poll(() => one.db.$aside.health().remarks).toEqual([])
    const [truth] = await outside(database.url, 'select label from items where id = 1')
    for (const app of apps)
      for (let turn = 0; turn < 2; turn++)
        expect(await app.db.select().from(items).where(eq(items.id, 1))).toMatchObject([truth as object])
    await expectClean()
  })
})

test('a replica behind pgbouncer is asked how far it is in the transaction that reads from it', async () => {
  const pair = await privatePair(15)
  await outside(pair.primary.url, outboxSetUp)
  await pair.caughtUp()
  const bouncers = await Promise.all([pair.primary.url, pair.standby.url].map((url) => privatePgBouncer(url, 2)))
  const [front, behind] = [pair.primary.url, pair.standby.url].map((url, at) =>
    (bouncers[at] as PgBouncer).through(url),
  ) as [string, string]
  const app = await openApp({ url: front, tables: [cached(items)], namespace: 'bounced' })
  const pool = new Pool({ connectionString: behind })
  pool.on('error', () => {})
  const replica = withCache(drizzle(pool), { primary: app.db })
  await replica.$aside.ready()
  const row = (id: number) => replica.select().from(items).where(eq(items.id, id))
  for (let id = 1; id <= 5; id++) expect(await row(id)).toMatchObject([{ label: 'old' }])
  expect(app.told.of('replicaFailed')).toEqual([])
  expect(app.db.$aside.stats().fills).toBe(5)
  await outside(pair.standby.url, 'select pg_wal_replay_pause()')
  await app.db.update(items).set({ label: 'new' }).where(eq(items.id, 1))
  for (let turn = 0; turn < 2; turn++) expect(await row(1)).toMatchObject([{ label: 'new' }])
  await app.close()
  await pool.end()
  for (const bouncer of bouncers) await bouncer.stop()
  await pair.stop()
})
