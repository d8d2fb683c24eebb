/**
 * C6: the database has done it, or is still about to, and the answer never comes. The writer sees an error; nobody may be
 * left with the old value. Real connections are cut at the server's answer, or held while they wait for a lock.
 */
import { type AsideEvent, type AsideOptions, cached, memoryStore, type Store } from 'drizzle-aside'
import { count, eq } from 'drizzle-orm'
import { Pool } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ManualClock, manualClock } from '../harness/clock.ts'
import { type FreshDatabase, freshDatabase } from '../harness/databases.ts'
import { gatedStore } from '../harness/gates.ts'
import { type TcpProxy, tcpProxy } from '../harness/tcp-proxy.ts'
import type { App } from '../support/drivers.ts'
import { items, itemsSetUp, notes, outside } from '../support/items.ts'
import { openApp, openPostgresJs, openSingle } from '../support/open-app.ts'

const byId = (app: App, id: number) => app.db.select().from(items).where(eq(items.id, id))
const rename = (app: App, id: number, label: string) => app.db.update(items).set({ label }).where(eq(items.id, id))

interface Way {
  readonly name: string
  open(options: AsideOptions & { url: string }): Promise<App>
}

/** Connections that postgres.js has seen closed: what it sends over one before, it throws for where nobody can catch it. */
let closed = 0
const onclose = (): void => {
  closed++
}

const ways: readonly Way[] = [
  { name: 'node-postgres pool', open: async (options) => openApp(options) },
  {
    name: 'postgres-js',
    // Its own look at the types of a new connection, when that is cut, is a rejection that nobody can catch.
    open: async (options) =>
      (await openPostgresJs({ ...options, postgres: { fetch_types: false, onclose } })) as unknown as App,
  },
]

const cases = ways.flatMap((way) => ([15, 18] as const).map((line) => ({ ...way, line })))

describe.each(cases)('over $name, PostgreSQL $line', ({ name, open, line }) => {
  let database: FreshDatabase
  let proxy: TcpProxy
  let clock: ManualClock
  let store: Store
  let shared: AsideOptions
  let writer: App
  let other: App

  beforeAll(async () => {
    database = await freshDatabase(line)
  })
  afterAll(() => database.drop())
  beforeEach(async () => {
    await outside(database.url, 'drop table if exists items, notes', itemsSetUp)
    proxy = await tcpProxy(database.url)
    clock = manualClock()
    store = memoryStore({ clock })
    shared = { store, clock, namespace: 'lost', tables: [cached(items), cached(notes)] }
    writer = await open({ ...shared, url: proxy.url })
    // Another process: its own pool, its own state; only the store is shared.
    other = await openApp({ ...shared, store: gatedStore(store, () => undefined), url: database.url })
  })
  afterEach(async () => {
    proxy.heal()
    await Promise.all([writer.close(), other.close()])
    await proxy.close()
  })

  /** Cuts the connection when the server says that it has finished, e.g. `UPDATE 1`: its answer is lost, its work is not. */
  const loseAnswer = (tag: 'UPDATE 1' | 'COMMIT' | 'SELECT'): void => {
    proxy.inspect((direction, chunk) =>
      direction === 'toClient' && chunk.toString('latin1').includes(tag) ? 'cut' : 'pass',
    )
  }
  const loseNoMore = (): void => proxy.inspect(() => 'pass')

  const untilKnown = async (app: App): Promise<void> => {
    await expect
      .poll(async () => {
        await clock.advanceAndSettle(1_000)
        return app.told.of('outcomeKnown').length
      })
      .toBeGreaterThan(0)
  }

  /** A write that waits at its backend for a row that `rival` holds, and whose client then loses its connection. */
  const loseWaitingWrite = async () => {
    const { lost, rival } = await letWriteWait()
    proxy.cut()
    return { lost, rival }
  }
  const letWriteWait = async () => {
    const rival = new Pool({ connectionString: database.url, max: 1 })
    await rival.query('begin')
    await rival.query('select 1 from items where id = 1 for update')
    const lost = rename(writer, 1, 'new').then(
      () => undefined,
      (error: unknown) => error,
    )
    await expect
      .poll(async () => (await outside(database.url, `select 1 from pg_locks where not granted`)).length)
      .toBeGreaterThan(0)
    return { lost, rival }
  }

  const warm = async (id: number): Promise<void> => {
    for (const app of [writer, other]) {
      await byId(app, id)
      await byId(app, id)
    }
  }

  test('C6, 18: an autocommit write whose answer is lost: an error for the caller, two invalidations, never stale after', async () => {
    await warm(1)
    loseAnswer('UPDATE 1')
    await expect(rename(writer, 1, 'new')).rejects.toThrow()
    loseNoMore()
    expect(writer.told.of('outcomeUnknown')).toHaveLength(1)
    expect(await byId(other, 1)).toMatchObject([{ label: 'new' }])
    expect(await byId(writer, 1)).toMatchObject([{ label: 'new' }])
    await untilKnown(writer)
    const invalidations = writer.told.of('invalidate').filter(({ cause }) => cause === 'unknown-outcome')
    expect(invalidations).toHaveLength(2)
    expect(await byId(writer, 1)).toMatchObject([{ label: 'new' }])
    expect(await byId(other, 1)).toMatchObject([{ label: 'new' }])
    const before = writer.db.$aside.stats().hits
    await byId(writer, 1)
    expect(writer.db.$aside.stats().hits).toBe(before + 1)
  })

  test('C6: lists, joins and counts of both processes are not stale after it either, and are kept again', async () => {
    const labelled = eq(items.label, 'new')
    const answers = ({ db }: App) =>
      [
        () => db.select().from(items).where(labelled).orderBy(items.id),
        () => db.select({ n: count() }).from(items).where(labelled),
        () => db.select({ of: items.label }).from(notes).innerJoin(items, eq(items.id, notes.id)).where(labelled),
      ] as (() => Promise<unknown[]>)[]
    const found = async (app: App): Promise<unknown[]> => {
      const all: unknown[] = []
      for (const query of answers(app)) all.push(await query())
      return all
    }
    for (const app of [writer, other]) for (let turn = 0; turn < 3; turn++) await found(app)
    loseAnswer('UPDATE 1')
    await expect(rename(writer, 1, 'new')).rejects.toThrow()
    loseNoMore()
    const now = [[{ id: 1, code: 'c1', label: 'new', n: 0 }], [{ n: 1 }], [{ of: 'new' }]]
    for (const app of [other, writer]) expect(await found(app)).toEqual(now)
    await untilKnown(writer)
    for (const app of [other, writer, other, writer]) expect(await found(app)).toEqual(now)
    const { hits } = writer.db.$aside.stats()
    expect(await found(writer)).toEqual(now)
    expect(writer.db.$aside.stats().hits).toBe(hits + 3)
  })

  test('C6, 18: the same for COMMIT', async () => {
    await warm(1)
    const failure = writer.db.transaction(async (tx) => {
      await tx.update(items).set({ label: 'new' }).where(eq(items.id, 1))
      loseAnswer('COMMIT')
    })
    await expect(failure).rejects.toThrow()
    loseNoMore()
    expect(writer.told.of('outcomeUnknown')).toHaveLength(1)
    await untilKnown(writer)
    expect(await byId(writer, 1)).toMatchObject([{ label: 'new' }])
    expect(await byId(other, 1)).toMatchObject([{ label: 'new' }])
  })

  test('C6: until it is known the writer’s own process bypasses those tables, and only those', async () => {
    await warm(1)
    await writer.db.select().from(notes).where(eq(notes.id, 1))
    const { lost, rival } = await loseWaitingWrite()
    expect(await lost).toBeDefined()
    // Two readers of another table hit; nothing of the written table is served or filled.
    writer.told.forget()
    await byId(writer, 1)
    await writer.db.select().from(notes).where(eq(notes.id, 1))
    expect(writer.told.of('bypass')).toMatchObject([{ reason: 'outcome-unknown' }])
    expect(writer.told.of('hit')).toMatchObject([{ table: 'public.notes' }])
    expect(writer.told.of('fill')).toEqual([])
    expect(writer.db.$aside.health()).toMatchObject({
      state: 'degraded',
      remarks: [expect.stringContaining('outcome')],
    })
    await rival.query('rollback')
    await rival.end()
    await untilKnown(writer)
    expect(writer.db.$aside.health()).toMatchObject({ state: 'ok' })
  })

  test('C6, 18: a write that goes on after its client is gone: what others refilled meanwhile falls when it commits', async () => {
    await warm(1)
    const { lost, rival } = await loseWaitingWrite()
    expect(await lost).toBeDefined()
    await byId(other, 1)
    await byId(other, 1)
    expect(await byId(other, 1)).toMatchObject([{ label: 'old' }])
    expect(writer.told.of('outcomeKnown')).toEqual([])
    await clock.advanceAndSettle(5_000)
    expect(writer.told.of('outcomeKnown')).toEqual([])
    expect(await byId(writer, 1)).toMatchObject([{ label: 'old' }])
    await rival.query('commit')
    await rival.end()
    await untilKnown(writer)
    const [row] = await outside(database.url, 'select label from items where id = 1')
    expect(await byId(other, 1)).toMatchObject([{ label: row?.label }])
    expect(await byId(writer, 1)).toMatchObject([{ label: row?.label }])
  })

  test('C6: a long transaction of somebody else on another table, or in another database, does not delay it', async () => {
    const twin = await freshDatabase(line)
    await outside(twin.url, itemsSetUp)
    const bystanders = [database.url, twin.url].map((url) => new Pool({ connectionString: url, max: 1 }))
    for (const [at, pool] of bystanders.entries()) {
      await pool.query('begin')
      await pool.query(
        at === 0 ? `update notes set body = 'x' where id = 1` : `update items set label = 'x' where id = 1`,
      )
    }
    loseAnswer('UPDATE 1')
    await rename(writer, 1, 'new').catch(() => {})
    loseNoMore()
    await untilKnown(writer)
    for (const pool of bystanders) {
      await pool.query('rollback')
      await pool.end()
    }
    await twin.drop()
  })

  test('C6: a backend that is terminated in the middle of a transaction', async () => {
    await warm(1)
    const failure = writer.db.transaction(async (tx) => {
      await tx.update(items).set({ label: 'never' }).where(eq(items.id, 1))
      const { rows } = (await tx.execute('select pg_backend_pid() as pid')) as unknown as { rows?: { pid: number }[] }
      const pid = rows?.[0]?.pid ?? (await outside(database.url, idleInTransaction))[0]?.pid
      const before = closed
      await outside(database.url, `select pg_terminate_backend(${pid})`)
      if (name === 'postgres-js') await expect.poll(() => closed).toBeGreaterThan(before)
    })
    await expect(failure).rejects.toThrow()
    if (writer.told.of('outcomeUnknown').length > 0) await untilKnown(writer)
    expect(await byId(writer, 1)).toMatchObject([{ label: 'old' }])
    expect(await byId(other, 1)).toMatchObject([{ label: 'old' }])
  })

  test('C6: a backend that is terminated while its write waits', async () => {
    await warm(1)
    const { lost, rival } = await letWriteWait()
    await outside(
      database.url,
      `select pg_terminate_backend(pid) from pg_locks where not granted and pid <> pg_backend_pid()`,
    )
    expect(await lost).toBeDefined()
    expect(writer.told.of('outcomeUnknown')).toHaveLength(1)
    await rival.query('rollback')
    await rival.end()
    await untilKnown(writer)
    expect(await byId(writer, 1)).toMatchObject([{ label: 'old' }])
  })

  test('C6: with onPending reject and the store cut as well, the caller still gets his own error, and the rest happens', async () => {
    let down = true
    const flaky = gatedStore(store, (point, { method }) => {
      if (down && point === 'before' && method === 'remove') throw new Error('the store is down')
    })
    const strict = await open({ ...shared, store: flaky, url: proxy.url, onPending: 'reject' })
    await byId(strict, 2)
    loseAnswer('UPDATE 1')
    const error = await rename(strict, 2, 'new').then(
      () => undefined,
      (reason: unknown) => reason,
    )
    loseNoMore()
    expect(error).toMatchObject({ name: expect.not.stringContaining('Aside') })
    expect((error as { code?: string }).code).not.toBe('ASIDE_NOT_DELIVERED')
    down = false
    await untilKnown(strict)
    await clock.advanceAndSettle(5_000)
    expect(strict.told.of('delivered').length).toBeGreaterThan(0)
    expect(await byId(strict, 2)).toMatchObject([{ label: 'new' }])
    expect(await byId(other, 2)).toMatchObject([{ label: 'new' }])
    await strict.close()
  })

  test('a read that loses its connection is no write: nothing falls', async () => {
    await warm(1)
    writer.told.forget()
    loseAnswer('SELECT')
    await writer.db
      .select()
      .from(items)
      .limit(3)
      .catch(() => {})
    loseAnswer('SELECT')
    await byId(writer, 50).catch(() => {})
    loseNoMore()
    expect(
      writer.told.events.filter(({ type }: AsideEvent) => type === 'outcomeUnknown' || type === 'invalidate'),
    ).toEqual([])
    expect(await byId(writer, 1)).toMatchObject([{ label: 'old' }])
    expect(writer.told.of('hit')).toHaveLength(1)
  })
})

const idleInTransaction = `select pid from pg_stat_activity where state = 'idle in transaction' and datname = current_database()`

describe('a single connection', () => {
  test('C6: a COMMIT by hand whose answer is lost counts as unknown', async () => {
    const database = await freshDatabase(15)
    await outside(database.url, itemsSetUp)
    const proxy = await tcpProxy(database.url)
    const store = memoryStore()
    const tables = [cached(items)]
    const single = await openSingle({ url: proxy.url, store, namespace: 'single', tables })
    const other = await openApp({
      url: database.url,
      store: gatedStore(store, () => undefined),
      namespace: 'single',
      tables,
    })
    await byId(other as App, 1)
    await single.db.execute('begin')
    await single.db.update(items).set({ label: 'new' }).where(eq(items.id, 1))
    let asked = false
    proxy.inspect((direction, chunk) => {
      if (direction === 'toServer' && /commit/.test(chunk.toString('latin1'))) asked = true
      return direction === 'toClient' && asked ? 'cut' : 'pass'
    })
    await expect(single.db.execute('commit')).rejects.toThrow()
    expect(single.told.of('outcomeUnknown')).toHaveLength(1)
    expect(await byId(other as App, 1)).toMatchObject([{ label: 'new' }])
    await Promise.all([single.close(), other.close()])
    await proxy.close()
    await database.drop()
  })
})
