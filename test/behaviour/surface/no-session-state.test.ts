/**
 * Nothing that we send leaves state in a session of the database: a pooler in transaction mode hands the next statement to
 * another one. Everything that reaches the driver is recorded, whatever it is for.
 */
import { cached, withCache } from 'drizzle-aside'
import { eq, inArray } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { expect, test } from 'vitest'
import { manualClock } from '../../harness/clock.ts'
import { type PostgresLine, privatePair } from '../../harness/databases.ts'
import { onEveryClient } from '../../harness/pg-clients.ts'
import { drivers, homeOf } from '../../support/drivers.ts'
import { items, itemsSetUp, notes, outside } from '../../support/items.ts'
import { openApp } from '../../support/open-app.ts'
import {
  aggregate,
  innerJoin,
  list,
  relationalList,
  scene,
  sceneSetUp,
  sceneTables,
  setPost,
} from '../../support/results-scene.ts'

/** Statements, alone or in a script, that outlive their transaction. SET LOCAL and SET TRANSACTION do not. */
const outlives =
  /(?:^|;)\s*(?:set(?!\s+(?:local|transaction)\b)|reset|listen|unlisten|notify|prepare|deallocate|discard|load|declare|create\s+(?:local\s+|global\s+)?temp)\b|\bset_config\b|\bpg_(?:try_)?advisory_lock|\bwith\s+hold\b|\bpg_notify\b/i

const session = (texts: readonly string[]): string[] => texts.filter((text) => outlives.test(text))

test('what is looked for is found', () => {
  const bad = [
    'set x = 1',
    'SET SESSION x = 1',
    'begin; set x = 1',
    'listen a',
    'prepare a as select 1',
    'create temp table a ()',
  ]
  expect(session([...bad, 'select pg_advisory_lock(1)', `select set_config('a', 'b', false)`])).toHaveLength(
    bad.length + 2,
  )
  const good = [
    'set local x = 1',
    'update a set b = 1',
    'set transaction read only',
    'begin isolation level read committed',
  ]
  expect(session([...good, 'select pg_advisory_xact_lock(1)', 'insert into a values (1)'])).toEqual([])
})

test.each(drivers)('over a $name: reads, writes, transactions, facts', async (driver) => {
  for (const line of driver.name === 'pglite' ? [18] : ([15, 18] as const)) {
    const home = await homeOf(driver, sceneSetUp, line as PostgresLine)
    const app = await home.open({ schema: scene, tables: sceneTables, awaitReady: false })
    const db = app.db as unknown as Parameters<typeof list.read>[0] & typeof app.db
    await app.db.$aside.ready({ reload: true })
    for (let turn = 0; turn < 3; turn++)
      for (const kind of [list, innerJoin, aggregate, relationalList]) {
        await kind.read(db)
        await kind.change(db)
      }
    await app.db.transaction(async (tx) => {
      await setPost(1, { status: 'live', authorId: 2 })(tx as never)
      await tx.transaction((inner) => Promise.resolve(setPost(2, { score: 7 })(inner as never)))
    })
    await app.db.delete(scene.authors).where(eq(scene.authors.id, 1))
    expect(app.sql.texts().length).toBeGreaterThan(20)
    expect(session(app.sql.texts())).toEqual([])
    await app.close()
    await home.drop()
  }
})

test('with an outcome that is unknown, a lost server, fills from a replica: no text and no name outlives', async () => {
  const pair = await privatePair(15)
  await outside(pair.primary.url, itemsSetUp)
  await pair.caughtUp()
  const clock = manualClock()
  const [heard, names]: [string[], string[]] = [[], []]
  const listen = (pool: Pool): Pool => {
    onEveryClient(pool, (client) => {
      const send = client.query.bind(client) as (...args: unknown[]) => unknown
      client.query = ((...args: unknown[]) => {
        const [first] = args as [{ text?: string; name?: string } | string]
        heard.push(typeof first === 'string' ? first : String(first.text))
        if (typeof first === 'object' && first.name !== undefined) names.push(first.name)
        return send(...args)
      }) as typeof client.query
    })
    return pool
  }
  const tables = [cached(items, { lists: (t) => [t.label] }), cached(notes)]
  const app = await openApp({ url: pair.primary.url, clock, tables, awaitReady: false })
  listen(app.pool)
  const pool = listen(new Pool({ connectionString: pair.standby.url }))
  const replica = withCache(drizzle(pool), { primary: app.db })
  await replica.$aside.ready()
  for (const db of [replica, app.db] as unknown as (typeof app.db)[]) {
    await db
      .select()
      .from(items)
      .where(inArray(items.id, [1, 2, 3]))
    await db.select().from(items).where(eq(items.label, 'old')).limit(2)
    await db.$count(items)
  }
  await app.db
    .transaction(async (tx) => {
      await tx.update(items).set({ label: 'new' }).where(eq(items.id, 1))
      await outside(
        pair.primary.url,
        `select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle in transaction'`,
      )
    })
    .catch(() => {})
  await expect
    .poll(async () => {
      await clock.advanceAndSettle(1_000)
      return app.told.of('outcomeKnown').length
    })
    .toBe(app.told.of('outcomeUnknown').length)
  await app.db.update(items).set({ label: 'new' }).where(eq(items.id, 2))
  expect(heard.length).toBeGreaterThan(15)
  expect(session(heard)).toEqual([])
  // A name is only ever the user's own.
  expect(names).toEqual([])
  await replica.$aside.close()
  await pool.end()
  await app.close()
  await pair.stop()
})
