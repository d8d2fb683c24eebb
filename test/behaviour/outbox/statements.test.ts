/** The outbox of statements outside a transaction: their row is inserted by the statement itself, and names whole tables. */
import { cached } from 'drizzle-aside'
import { eq, inArray, ne, sql } from 'drizzle-orm'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type App, type DriverHome, drivers, homeOf } from '../../support/drivers.ts'
import { items, notes } from '../../support/items.ts'
import { byId, isHit, type Link, outboxSetUp, type Services, services, warm } from '../../support/outbox.ts'

const children = pgTable('children', { id: integer().primaryKey(), item: integer().notNull() })
const others = pgTable('others', { id: integer().primaryKey() })
const setUp = `${outboxSetUp};
  create table others (id int primary key);
  create table children (id int primary key, item int not null references items on delete cascade);
  insert into children values (1, 50);
  create function touch_notes() returns int language sql volatile as $$ update notes set body = 'touched' where id = 1 returning 1 $$;`

const add = (app: App, id: number) =>
  app.db
    .update(items)
    .set({ n: sql`${items.n} + 1` })
    .where(eq(items.id, id))

describe.each(drivers)('over $name', (driver) => {
  let home: DriverHome
  let world: Services
  let link: Link
  let writer: App

  beforeEach(async () => {
    home = await homeOf(driver, setUp, 15)
    world = services(home)
    link = world.link()
    writer = await world.open(link, { tables: [cached(items), cached(notes), cached(children)] })
    await world.grown()
  })
  afterEach(async () => {
    link.isCut = false
    await world.close()
    await home.drop()
  })

  test('the row commits with the statement and is taken back; all is well, so nothing but the row written falls', async () => {
    await warm(writer, 1, 2)
    await add(writer, 1)
    const [row, ...more] = await world.rows()
    expect(more).toEqual([])
    expect(row?.keys).toContain(':A{')
    expect(row?.keys).not.toContain(':R{')
    world.clock.advance(100)
    await expect.poll(() => world.rows()).toEqual([])
    expect(await isHit(writer, 2)).toBe(true)
    expect(await byId(writer, 1)).toMatchObject([{ n: 1 }])
    expect(writer.told.of('outboxDrained')).toEqual([])
  })

  test('a statement that fails leaves none, and one that touches nothing takes its own back', async () => {
    await expect(writer.db.insert(items).values({ id: 1, code: 'x', label: 'x' })).rejects.toThrow()
    expect(await world.rows()).toEqual([])
    await add(writer, 999)
    world.clock.advance(100)
    await expect.poll(() => world.rows()).toEqual([])
  })

  // Others take the same way, and PGlite its time.
  test.runIf(driver.name === 'node-postgres pool' || driver.name === 'postgres-js')(
    'a statement with as many parameters as there may be leaves its row in a transaction around it',
    async () => {
      const ids = Array.from({ length: 65_532 }, (_, n) => n + 1)
      link.isCut = true
      await writer.db.update(items).set({ n: 7 }).where(inArray(items.id, ids))
      expect((await world.rows()).map(({ keys }) => keys.includes('5:items'))).toEqual([true])
      expect(await writer.db.$count(items, ne(items.n, 7))).toBe(0)
    },
  )

  test('what follows by a foreign key is in it, too', async () => {
    link.isCut = true
    await writer.db.delete(items).where(eq(items.id, 50))
    const [row] = await world.rows()
    expect(row?.keys).toContain('5:items')
    expect(row?.keys).toContain('8:children')
    expect(row?.keys).not.toContain('5:notes')
  })

  test('a statement that calls what may write more: its row names everything, and is left to the next look', async () => {
    await writer.db.update(items).set({ n: sql`touch_notes()` }).where(eq(items.id, 1))
    const [row] = await world.rows()
    expect(row?.keys).toContain('5:notes')
    world.clock.advance(400)
    await world.overdue()
    await world.drained()
    expect(writer.told.of('outboxDrained')).toMatchObject([{ rows: 1 }])
  })

  test('a table that was dropped after the facts were read: the statement takes place once, and an event tells', async () => {
    await home.outside('drop table aside_outbox')
    const rows = await add(writer, 1).returning({ n: items.n })
    expect(rows).toEqual([{ n: 1 }])
    expect(writer.told.of('outboxFailed')).toMatchObject([{ step: 'write' }])
    expect(await byId(writer, 1)).toMatchObject([{ n: 1 }])
    const missing = writer.db.insert(pgTable('nowhere', { id: integer() })).values({ id: 1 })
    await expect(missing).rejects.toThrow('insert into "nowhere"')
  })

  test('a named statement goes on when the table comes and goes', async () => {
    const named = writer.db
      .update(items)
      .set({ n: sql`${items.n} + 1` })
      .where(eq(items.id, sql.placeholder('id')))
      .prepare('add_one')
    await named.execute({ id: 1 })
    expect(await world.rows()).toHaveLength(1)
    await home.outside('drop table aside_outbox')
    await writer.db.$aside.ready({ reload: true })
    await named.execute({ id: 1 })
    expect(await byId(writer, 1)).toMatchObject([{ n: 2 }])
    expect(writer.told.of('outboxFailed').filter(({ step }) => step === 'write')).toEqual([])
  })

  test('a write to a table that nobody caches leaves none', async () => {
    await writer.db.insert(others).values({ id: 1 })
    expect(await world.rows()).toEqual([])
  })
})

const overServers = drivers.filter(({ name }) => name === 'node-postgres pool' || name === 'postgres-js')

test.each(overServers)(
  'a table that refuses rows by a constraint of its own fails no write, and is left alone for a while: $name',
  async (driver) => {
    const home = await homeOf(driver, `${setUp}; alter table aside_outbox add check (namespace = '')`)
    const world = services(home)
    const app = await world.open(world.link())
    await world.grown()
    const tried = () => app.sql.count(/__aside_row|savepoint/)
    app.sql.reset()
    await add(app, 1)
    await app.db.transaction((tx) => tx.update(items).set({ label: 'new' }).where(eq(items.id, 1)))
    await add(app, 1)
    expect(await byId(app, 1)).toMatchObject([{ n: 2, label: 'new' }])
    expect(tried()).toBe(1)
    expect(app.told.of('outboxFailed')).toMatchObject([{ step: 'write' }])
    world.clock.advance(5_000)
    await app.db.transaction((tx) => tx.update(items).set({ label: 'newer' }).where(eq(items.id, 1)))
    expect(tried()).toBeGreaterThan(1)
    expect(await home.outside('select n, label from items where id = 1')).toEqual([{ n: 2, label: 'newer' }])
    expect(await home.outside('select * from aside_outbox')).toEqual([])
    await world.close()
    await home.drop()
  },
)

test.each(drivers)(
  'while the store is down a statement names its keys where a transaction may be begun: $name',
  async (driver) => {
    const home = await homeOf(driver, setUp)
    const world = services(home)
    const link = world.link()
    const app = await world.open(link, { outbox: { mode: 'when-down' } })
    await world.grown()
    link.isCut = true
    await add(app, 1)
    expect(await world.rows()).toEqual([])
    expect(await add(app, 2).returning({ n: items.n })).toEqual([{ n: 1 }])
    await add(app, 999)
    const [row, ...more] = await world.rows()
    // On one connection that others use their statements would fall into it.
    const mayBegin = driver.name !== 'node-postgres client'
    expect(more).toHaveLength(mayBegin ? 0 : 1)
    expect(row?.keys.includes(':R{')).toBe(mayBegin)
    expect(row?.keys.includes(':A{')).toBe(true)
    expect(app.told.of('outboxFailed')).toEqual([])
    // The row is refused: nothing has happened, and the statement takes place without it.
    await home.outside('drop table aside_outbox')
    await add(app, 3)
    expect(await home.outside('select n from items where id in (1, 2, 3)')).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }])
    expect(app.told.of('outboxFailed')).toMatchObject([{ step: 'write' }])
    link.isCut = false
    await world.close()
    await home.drop()
  },
)

test('E-cut: others learn of a statement of a process that is cut off with their next look', async () => {
  const home = await homeOf(drivers[0] as (typeof drivers)[0], setUp)
  const world = services(home)
  const link = world.link()
  const writer = await world.open(link)
  const reader = await world.open(world.link())
  await world.grown()
  await warm(reader, 1)
  const [note] = await reader.db.select().from(notes).where(eq(notes.id, 1))
  expect(note).toBeDefined()
  link.isCut = true
  await add(writer, 1)
  expect(await byId(reader, 1)).toMatchObject([{ n: 0 }])
  await world.overdue()
  await world.drained()
  expect(await byId(reader, 1)).toMatchObject([{ n: 1 }])
  const hits = reader.db.$aside.stats().hits
  await reader.db.select().from(notes).where(eq(notes.id, 1))
  expect(reader.db.$aside.stats().hits).toBe(hits + 1)
  link.isCut = false
  await world.close()
  await home.drop()
})
