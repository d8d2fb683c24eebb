/**
 * `pg_terminate_backend` at each step of a write and of a fill, as an administrator, a failover or a pooler does it. The
 * caller may get an error; afterwards every process reads what the database has, and keeps that.
 */
import { cached, memoryStore, type Store } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { Client, type Pool } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ManualClock, manualClock } from '../harness/clock.ts'
import { type FreshDatabase, freshDatabase, type PostgresLine } from '../harness/databases.ts'
import { type Gate, gate, gatedStore } from '../harness/gates.ts'
import type { App } from '../support/drivers.ts'
import { items, itemsSetUp, notes, outside } from '../support/items.ts'
import { type AppOptions, openApp, openPostgresJs, openSingle } from '../support/open-app.ts'

/** Connections that postgres.js has seen closed: what it sends over one before, it throws for where nobody can catch it. */
let closed = 0
const onclose = (): void => {
  closed++
}

const ways = [
  { name: 'node-postgres pool', open: openApp, comesBack: true },
  { name: 'node-postgres client', open: openSingle, comesBack: false },
  {
    name: 'postgres-js',
    open: (options: AppOptions) => openPostgresJs({ ...options, postgres: { fetch_types: false, onclose } }),
    comesBack: true,
  },
] as const
const cases = ways.flatMap((way) => ([15, 18] as const).map((line: PostgresLine) => ({ ...way, line })))

/** With a constraint that is looked at in the COMMIT, and waits there for whoever holds the lock. */
const slowCommits = `
  create or replace function wait_for_lock() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock(4711); return null; end $$;
  create constraint trigger wait_in_commit after update on items deferrable initially deferred
    for each row execute function wait_for_lock();`

describe.each(cases)('over a $name, PostgreSQL $line', ({ name, open, comesBack, line }) => {
  let database: FreshDatabase
  let clock: ManualClock
  let store: Store
  let held: Gate | undefined
  let writer: App & { readonly pool?: Pool }
  let other: App
  let rival: Client

  beforeAll(async () => {
    database = await freshDatabase(line)
  })
  afterAll(() => database.drop())
  beforeEach(async () => {
    await outside(database.url, 'drop table if exists items, notes', itemsSetUp, slowCommits)
    clock = manualClock()
    store = memoryStore({ clock })
    held = undefined
    const shared = { clock, namespace: 'terminated', tables: [cached(items, { affects: [], lists: (t) => [t.label] })] }
    const holding = gatedStore(store, (point, { method }) =>
      point === 'before' && method === 'remove' ? held?.pass() : undefined,
    )
    writer = (await open({
      ...shared,
      store: holding,
      url: `${database.url}?application_name=victim`,
    })) as unknown as typeof writer
    other = await openApp({ ...shared, store: gatedStore(store, () => undefined), url: database.url })
    rival = new Client({ connectionString: database.url })
    await rival.connect()
    for (const app of [writer, other]) for (let turn = 0; turn < 2; turn++) for (const read of reads) await read(app)
  })
  afterEach(async () => {
    held?.open()
    await rival.end()
    await Promise.all([writer.close(), other.close()])
  })

  const reads = [
    ({ db }: App) => db.select().from(items).where(eq(items.id, 1)),
    ({ db }: App) => db.select({ id: items.id }).from(items).where(eq(items.label, 'new')).orderBy(items.id),
  ] as ((app: App) => Promise<unknown[]>)[]
  const rename = () => writer.db.update(items).set({ label: 'new' }).where(eq(items.id, 1))
  const inTransaction = (meanwhile: () => Promise<unknown>) =>
    writer.db.transaction(async (tx) => {
      await tx.update(items).set({ label: 'new' }).where(eq(items.id, 1))
      await meanwhile()
    })
  const terminate = async (): Promise<void> => {
    const before = closed
    const ended = await outside(
      database.url,
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'victim' and datname = current_database()`,
    )
    if (name === 'postgres-js') await expect.poll(() => closed - before).toBeGreaterThanOrEqual(ended.length)
  }
  const untilWaiting = () =>
    expect
      .poll(async () => (await outside(database.url, `select 1 from pg_locks where not granted`)).length)
      .toBeGreaterThan(0)
  const outcome = (run: PromiseLike<unknown>): Promise<unknown> =>
    Promise.resolve(run).then(
      () => 'resolved',
      (error: unknown) => error,
    )

  async function expectTruth(): Promise<void> {
    const unknown = writer.told.of('outcomeUnknown').length
    if (comesBack)
      await expect
        .poll(async () => {
          await clock.advanceAndSettle(1_000)
          return writer.told.of('outcomeKnown').length
        })
        .toBe(unknown)
    const truth = await Promise.all(reads.map((read) => read({ ...other, db: other.plain } as unknown as App)))
    for (let turn = 0; turn < 3; turn++)
      for (const app of comesBack ? [other, writer] : [other])
        expect(await Promise.all(reads.map((read) => read(app)))).toEqual(truth)
    const { hits } = other.db.$aside.stats()
    for (const read of reads) await read(other)
    expect(other.db.$aside.stats().hits).toBe(hits + reads.length)
    // A client that is gone for good serves nothing but what is valid.
    if (!comesBack)
      for (const [at, read] of reads.entries())
        expect([truth[at], undefined]).toContainEqual(await read(writer).catch(() => undefined))
  }

  test.each([
    ['a statement', () => outcome(rename())],
    ['a transaction', () => outcome(inTransaction(async () => {}))],
  ])('before %s', async (_, write) => {
    await terminate()
    // Drizzle never gives back a connection whose BEGIN fails, and its pool never ends: the pool has to know first.
    if (writer.pool) await expect.poll(() => writer.pool?.totalCount).toBe(0)
    await write()
    await expectTruth()
  })

  test('while a statement waits for a row', async () => {
    await rival.query('begin; select from items where id = 1 for update')
    const writing = outcome(rename())
    await untilWaiting()
    await terminate()
    expect(await writing).toBeInstanceOf(Error)
    await rival.query('rollback')
    await expectTruth()
    expect(await outside(database.url, 'select label from items where id = 1')).toEqual([{ label: 'old' }])
  })

  test('between the last statement of a transaction and its COMMIT', async () => {
    expect(await outcome(inTransaction(terminate))).toBeInstanceOf(Error)
    await expectTruth()
  })

  test.each([
    ['of a transaction', () => outcome(inTransaction(async () => {}))],
    ['that a statement is itself', () => outcome(rename())],
  ])('in the middle of the COMMIT %s', async (_, write) => {
    await rival.query('select pg_advisory_lock(4711)')
    const writing = write()
    await untilWaiting()
    // Not committed: the others read, and keep, what was.
    expect(await reads[0]?.(other)).toMatchObject([{ label: 'old' }])
    await terminate()
    expect(await writing).toBeInstanceOf(Error)
    expect(writer.told.of('outcomeUnknown')).toHaveLength(1)
    await rival.query('select pg_advisory_unlock(4711)')
    await expectTruth()
  })

  test.each([
    ['a statement', () => outcome(rename())],
    ['a transaction', () => outcome(inTransaction(async () => {}))],
  ])('between the COMMIT of %s and its invalidation', async (_, write) => {
    held = gate()
    const writing = write()
    await held.arrived
    await terminate()
    held.open()
    expect(await writing).toBe('resolved')
    for (const [at, expected] of [[{ label: 'new' }], [{ id: 1 }]].entries())
      expect(await reads[at]?.(other)).toMatchObject(expected)
    await expectTruth()
  })

  test('in the middle of a fill', async () => {
    await writer.db.$aside.invalidate(items)
    await rival.query('begin; lock table items in access exclusive mode')
    const reading = reads.map((read) => outcome(read(writer)))
    await untilWaiting()
    await terminate()
    await rival.query('rollback')
    await Promise.all(reading)
    const { fills } = writer.db.$aside.stats()
    await rename().then(undefined, () => undefined)
    await expectTruth()
    expect(fills).toBeGreaterThan(0)
    expect(writer.told.of('outcomeUnknown').length).toBeLessThanOrEqual(1)
  })
})

describe('transactions that others meet', () => {
  let database: FreshDatabase
  let apps: App[]
  beforeEach(async () => {
    database = await freshDatabase(15)
    await outside(database.url, itemsSetUp)
    const store = memoryStore()
    const tables = [cached(items, { lists: (t) => [t.label] }), cached(notes)]
    apps = await Promise.all([1, 2].map(() => openApp({ url: database.url, namespace: 'met', store, tables })))
  })
  afterEach(async () => {
    for (const app of apps) await app.close()
    await database.drop()
  })
  const row = ({ db }: Pick<App, 'db'>, id = 1) => db.select().from(items).where(eq(items.id, id))

  test('C12: while a writer idles in a transaction readers hit, and nothing of theirs waits', async () => {
    const [writer, reader] = apps as [App, App]
    for (let turn = 0; turn < 2; turn++) for (const id of [1, 2]) await row(reader, id)
    const [changed, ended] = [gate(), gate()]
    const idle = writer.db.transaction(async (tx) => {
      await tx.update(items).set({ label: 'new' }).where(eq(items.id, 1))
      void changed.pass()
      await ended.pass()
    })
    await changed.arrived
    reader.told.forget()
    reader.sql.reset()
    for (let turn = 0; turn < 10; turn++)
      for (const id of [1, 2]) expect(await row(reader, id)).toMatchObject([{ label: 'old' }])
    expect([reader.told.of('hit').length, reader.told.of('bypass').length, reader.sql.count(/items/)]).toEqual([
      20, 0, 0,
    ])
    // What is not there yet is filled as ever.
    expect(await row(reader, 3)).toMatchObject([{ label: 'old' }])
    ended.open()
    await idle
    for (const app of apps) expect(await row(app)).toMatchObject([{ label: 'new' }])
  })

  test('C17: serializable transactions that are tried again count once, and their failures drop nothing', async () => {
    const increment = ({ db }: App) =>
      db.transaction(
        async (tx) => {
          const [found] = await row({ db: tx as unknown as App['db'] })
          await tx
            .update(items)
            .set({ n: (found?.n ?? 0) + 1 })
            .where(eq(items.id, 1))
        },
        { isolationLevel: 'serializable' },
      )
    let failures = 0
    const insist = async (app: App): Promise<void> => {
      for (;;) {
        try {
          return await increment(app)
        } catch (error) {
          expect(
            (error as { cause?: { code?: string }; code?: string }).cause?.code ?? (error as { code?: string }).code,
          ).toBe('40001')
          failures++
        }
      }
    }
    for (const app of apps) await row(app)
    const rounds = 5
    for (let round = 1; round <= rounds; round++) {
      await Promise.all([...apps, ...apps].map(insist))
      for (const app of [...apps, ...apps]) expect(await row(app)).toMatchObject([{ n: round * 4 }])
    }
    expect(failures).toBeGreaterThan(0)
    const dropped = apps.flatMap(({ told }) => told.of('invalidate'))
    expect(dropped).toHaveLength(rounds * 4)
    expect(apps.flatMap(({ told }) => told.of('outcomeUnknown'))).toEqual([])
  })

  test('a named statement whose plan a schema change has broken fails as plain Drizzle’s, and leaves nothing', async () => {
    const app = await openApp({ url: database.url, namespace: 'plans', tables: [cached(items)], pool: { max: 1 } })
    // An error of a statement costs a pool its connection, and the plan with it: so each has a pool of its own.
    const without = await openApp({ url: database.url, tables: [], pool: { max: 1 } })
    const prepare = (db: App['db']) =>
      db
        .select()
        .from(items)
        .where(eq(items.label, sql.placeholder('label')))
        .orderBy(items.id)
        .limit(2)
        .prepare('by_label')
    const [own, plain] = [prepare(app.db), prepare(without.plain as unknown as App['db'])]
    const failed = (run: Promise<unknown>) =>
      run.then(
        () => 'resolved',
        (error) => error.cause?.code,
      )
    expect(await own.execute({ label: 'old' })).toEqual(await plain.execute({ label: 'old' }))
    await outside(database.url, 'alter table items alter column n type bigint')
    expect(await failed(plain.execute({ label: 'none' }))).toBe('0A000')
    expect(await failed(own.execute({ label: 'none' }))).toBe('0A000')
    expect(app.db.$aside.stats().fills).toBe(1)
    // It says that the schema has changed: the facts are read anew, and what was kept under the old ones falls.
    await expect
      .poll(async () => {
        await app.db.select().from(notes).limit(1)
        return app.told.of('catalogChanged').length
      })
      .toBe(1)
    for (const label of ['none', 'old'])
      for (let turn = 0; turn < 2; turn++) expect(await own.execute({ label })).toEqual(await plain.execute({ label }))
    await without.close()
    await app.close()
  })
})
