/** The outbox of transactions: their keys stand in the row that commits with them, and any process delivers it. */
import { cached, outboxMigration } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type App, type DriverHome, drivers, homeOf } from '../../support/drivers.ts'
import { items, notes } from '../../support/items.ts'
import { byId, isHit, type Link, outboxSetUp, type Services, services, warm } from '../../support/outbox.ts'

type Tx = Parameters<Parameters<App['db']['transaction']>[0]>[0]

const rename = (tx: Pick<Tx, 'update'>, id: number, label = 'new') =>
  tx.update(items).set({ label }).where(eq(items.id, id))

describe.each(drivers)('over $name', (driver) => {
  let home: DriverHome
  let world: Services
  let link: Link
  let writer: App

  beforeEach(async () => {
    home = await homeOf(driver, outboxSetUp)
    world = services(home)
    link = world.link()
    writer = await world.open(link)
    await world.grown()
  })
  afterEach(async () => {
    link.isCut = false
    await world.close()
    await home.drop()
  })

  test('the row commits with the transaction, names its keys, and is taken back when the store was told', async () => {
    await warm(writer, 1, 2)
    await writer.db.transaction(async (tx) => {
      await rename(tx, 1)
    })
    const [row, ...more] = await world.rows()
    expect(more).toEqual([])
    expect(row).toMatchObject({ namespace: 'outbox' })
    expect(row?.keys).toContain(':R{')
    expect(await isHit(writer, 2)).toBe(true)
    world.clock.advance(100)
    await expect.poll(() => world.rows()).toEqual([])
    expect(await byId(writer, 1)).toMatchObject([{ label: 'new' }])
  })

  test('a rollback leaves no row, and what a rolled-back savepoint wrote is in none', async () => {
    await expect(
      writer.db.transaction(async (tx) => {
        await rename(tx, 1)
        throw new Error('back')
      }),
    ).rejects.toThrow('back')
    expect(await world.rows()).toEqual([])
    link.isCut = true
    await writer.db.transaction(async (tx) => {
      await rename(tx, 1)
      const lost = tx.transaction(async (nested) => {
        await nested.insert(notes).values({ id: 77, body: 'lost' })
        throw new Error('back')
      })
      await expect(lost).rejects.toThrow('back')
      await tx.transaction((nested) => rename(nested, 2))
    })
    const [row] = await world.rows()
    expect(row?.keys).toContain('5:items')
    expect(row?.keys).not.toContain('5:notes')
    expect(row?.keys.match(/:R\{/g)).toHaveLength(2)
  })

  test('a transaction that wrote nothing cached leaves no row', async () => {
    await writer.db.transaction(async (tx) => {
      await tx.select().from(items)
      await rename(tx, 999)
    })
    expect(await world.rows()).toEqual([])
  })

  test('a table that was dropped after the facts were read: the transaction commits, an event tells', async () => {
    await home.outside('drop table aside_outbox')
    await warm(writer, 1)
    const result = await writer.db.transaction(async (tx) => {
      await rename(tx, 1)
      return 'done'
    })
    expect(result).toBe('done')
    expect(writer.told.of('outboxFailed')).toMatchObject([{ step: 'write' }])
    expect(await byId(writer, 1)).toMatchObject([{ label: 'new' }])
    expect(await home.outside('select label from items where id = 1')).toMatchObject([{ label: 'new' }])
    expect(writer.db.$aside.health()).toMatchObject({ state: 'degraded', outbox: { state: 'failing' } })
    // The next reading of the catalog knows.
    await writer.db.$aside.ready({ reload: true })
    expect(writer.told.of('outboxUnusable')).toMatchObject([{ reason: 'missing' }])
    await writer.db.transaction((tx) => rename(tx, 1, 'newer'))
    expect(writer.told.of('outboxFailed')).toHaveLength(1)
    expect(await byId(writer, 1)).toMatchObject([{ label: 'newer' }])
  })

  test('a read-only transaction that tells of writes goes on without a row', async () => {
    const run = async (tx: Tx) => {
      const handle = (tx as unknown as App['db']).$aside
      await handle.wrote(items)
      return tx.select().from(items).where(eq(items.id, 1))
    }
    const answer = await writer.db.transaction(run, { accessMode: 'read only' })
    expect(answer).toMatchObject([{ id: 1 }])
    expect(writer.told.of('outboxFailed')).toMatchObject([{ step: 'write' }])
  })

  test('a transaction that had failed, and whose error was swallowed, is rolled back as ever', async () => {
    const swallowed = writer.db
      .transaction(async (tx) => {
        await rename(tx, 1)
        await tx.execute(sql`select 1/0`).catch(() => undefined)
      })
      .catch(() => undefined)
    await swallowed
    expect(await home.outside('select label from items where id = 1')).toMatchObject([{ label: 'old' }])
    expect(await world.rows()).toEqual([])
    expect(await byId(writer, 1)).toMatchObject([{ label: 'old' }])
    expect(writer.told.of('outboxFailed')).toEqual([])
  })
})

describe('a process that is cut off from the store', () => {
  let home: DriverHome
  let world: Services
  let link: Link
  let writer: App
  let reader: App

  beforeEach(async () => {
    home = await homeOf(drivers[0] as (typeof drivers)[0], outboxSetUp)
    world = services(home)
    link = world.link()
    writer = await world.open(link)
    reader = await world.open(world.link())
    await world.grown()
    await warm(reader, 1, 2)
  })
  afterEach(async () => {
    link.isCut = false
    await world.close()
    await home.drop()
  })

  test('E-cut: another process drains its row: the stale value is gone, and nothing else', async () => {
    link.isCut = true
    await writer.db.transaction((tx) => rename(tx, 1))
    expect(writer.told.of('pendingDelivery')).toHaveLength(1)
    expect(await byId(reader, 1)).toMatchObject([{ label: 'old' }])
    await world.overdue()
    await world.drained()
    expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
    expect(await isHit(reader, 2)).toBe(true)
    const [event] = reader.told.of('outboxDrained')
    expect(event).toMatchObject({ rows: 1, epochs: 0 })
    expect(event?.oldestMs).toBeGreaterThanOrEqual(10_000)
    expect(reader.db.$aside.stats().outboxDrained).toBe(1)
    // The writer itself serves nothing before its own queue is empty.
    expect(await byId(writer, 1)).toMatchObject([{ label: 'new' }])
    expect(writer.told.of('outboxDrained')).toEqual([])
  })

  test('a row stays while the store does not answer, and `lagMs` shows its age', async () => {
    link.isCut = true
    await writer.db.transaction((tx) => rename(tx, 1))
    await world.overdue()
    const late = world.link()
    const third = await world.open(late)
    late.isCut = true
    await reader.close()
    world.clock.advance(500)
    await expect.poll(() => third.db.$aside.health().outbox?.lagMs).toBeGreaterThanOrEqual(10_000)
    expect(await world.rows()).toHaveLength(1)
    late.isCut = false
    await world.drained()
    expect(third.told.of('outboxDrained')).toMatchObject([{ rows: 1 }])
  })

  test('a row that is not due belongs to its writer', async () => {
    link.isCut = true
    await writer.db.transaction((tx) => rename(tx, 1))
    await home.outside(`update aside_outbox set written_at = clock_timestamp() + interval '1 hour'`)
    world.clock.advance(500)
    reader.sql.reset()
    world.clock.advance(500)
    await expect.poll(() => reader.sql.count(/from "public"\."aside_outbox"/)).toBeGreaterThan(0)
    expect(await world.rows()).toHaveLength(1)
  })

  test('a row that nobody here can read drops everything cached, and removes no key of others', async () => {
    await world.texts.write('another', 'kept', 60_000, [], 60_000)
    await home.outside(
      `insert into aside_outbox (id, namespace, keys) values
         ('00000000-0000-4000-8000-000000000001', 'outbox', '[1,[["another",0]]]'),
         ('00000000-0000-4000-8000-000000000002', 'elsewhere', '[1,[]]')`,
    )
    await home.outside(`update items set label = 'by hand' where id = 1`)
    await world.overdue()
    world.clock.advance(500)
    await expect.poll(async () => (await world.rows()).map(({ namespace }) => namespace)).toEqual(['elsewhere'])
    expect(await world.texts.read(['another'])).toEqual(['kept'])
    expect(await byId(reader, 1)).toMatchObject([{ label: 'by hand' }])
    const told = [...reader.told.of('epochReplaced'), ...writer.told.of('epochReplaced')]
    expect(told.map(({ table, reason }) => `${table}: ${reason}`)).toContain('items: outbox-unreadable')
  })

  test('a process that keeps other lists: the keys of a row that knew nothing of them become whole tables', async () => {
    link.isCut = true
    await writer.db.transaction((tx) => rename(tx, 1))
    await world.open(world.link(), { tables: [cached(items, { lists: (t) => [t.label] })] })
    await world.grown()
    await warm(reader, 2)
    await world.overdue()
    await world.drained()
    expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
    expect(await isHit(reader, 2)).toBe(false)
  })

  test('with when-down only writes that begin after the outage was seen leave a row', async () => {
    const own = world.link()
    const careful = await world.open(own, { outbox: { mode: 'when-down' } })
    await world.grown()
    await careful.db.transaction((tx) => rename(tx, 3))
    expect(await world.rows()).toEqual([])
    own.isCut = true
    await careful.db.transaction((tx) => rename(tx, 1))
    expect(await world.rows()).toEqual([])
    await careful.db.transaction((tx) => rename(tx, 2))
    expect(await world.rows()).toHaveLength(1)
    await world.overdue()
    await world.drained()
    expect(await byId(reader, 2)).toMatchObject([{ label: 'new' }])
    own.isCut = false
    world.clock.advance(1_000)
    await expect.poll(() => careful.told.of('delivered').length).toBe(1)
    await careful.db.transaction((tx) => rename(tx, 1, 'healed'))
    expect(await world.rows()).toEqual([])
  })
})

describe('transactions by hand on one connection', () => {
  test('the row stands before their COMMIT, and no look falls into them', async () => {
    const home = await homeOf(drivers[1] as (typeof drivers)[0], outboxSetUp)
    const world = services(home)
    const app = await world.open(world.link())
    await world.grown()
    await app.db.execute(sql`begin`)
    await rename(app.db, 1)
    app.sql.reset()
    world.clock.advance(2_000)
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(app.sql.count(/aside_outbox/)).toBe(0)
    await app.db.execute(sql`commit`)
    const [row] = await world.rows()
    expect(row?.keys).toContain(':R{')
    await world.close()
    await home.drop()
  })
})

describe('the table', () => {
  test.each([
    ['other-columns', 'alter table aside_outbox add column more int'],
    ['side-effects', 'alter table aside_outbox enable row level security'],
    ['not-a-table', 'alter table aside_outbox rename to o; create view aside_outbox as select * from o'],
    ['missing', 'drop table aside_outbox'],
  ])('%s: an event says so, health() tells what to do, and writes go on as without', async (reason, change) => {
    const home = await homeOf(drivers[0] as (typeof drivers)[0], `${outboxSetUp}; ${change}`)
    const world = services(home)
    const app = await world.open(world.link())
    expect(app.told.of('outboxUnusable')).toEqual([{ type: 'outboxUnusable', reason }])
    expect(app.db.$aside.health()).toMatchObject({ state: 'degraded', outbox: { state: 'unusable', fault: reason } })
    expect(app.db.$aside.health().remarks.join()).toContain('The outbox cannot be used')
    await app.db.transaction((tx) => rename(tx, 1))
    expect(await byId(app, 1)).toMatchObject([{ label: 'new' }])
    expect(app.told.of('outboxFailed')).toEqual([])
    await world.close()
    await home.drop()
  })

  test('its migration may run again, and takes any name', async () => {
    const name = { schema: 'an "app"', table: `box '"` }
    const home = await homeOf(drivers[0] as (typeof drivers)[0], outboxSetUp)
    await home.outside('create schema "an ""app"""', outboxMigration(name), outboxMigration(name), outboxMigration())
    const world = services(home)
    const app = await world.open(world.link(), { outbox: { mode: 'always', ...name } })
    await world.grown()
    await app.db.transaction((tx) => rename(tx, 1))
    expect(await home.outside(`select namespace from "an ""app"""."box '"""`)).toEqual([{ namespace: 'outbox' }])
    expect(app.told.of('outboxFailed')).toEqual([])
    await world.close()
    await home.drop()
  })
})
