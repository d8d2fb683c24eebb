/** What one session sees is not what another sees: transactions, roles, settings, and selects that write. */
import { randomBytes } from 'node:crypto'
import { cached, memoryStore } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type App, type DriverHome, drivers, homeOf } from '../../support/drivers.ts'
import { items, itemsSetUp, notes } from '../../support/items.ts'
import { openWrapped } from '../../support/wrapped-database.ts'

describe.each(drivers.map((driver) => [driver.name, driver] as const))('over %s', (_, driver) => {
  let home: DriverHome
  let app: App
  beforeAll(async () => {
    home = await homeOf(driver, itemsSetUp)
    app = await home.open({
      store: memoryStore(),
      namespace: `t-${randomBytes(6).toString('hex')}`,
      tables: [cached(items), cached(notes)],
    })
  })
  afterAll(async () => {
    await app.close()
    await home.drop()
  })
  const label = async (db: Pick<App['plain'], 'select'>, id: number) =>
    (await db.select({ label: items.label }).from(items).where(eq(items.id, id)))[0]?.label

  it('F1: a read in a transaction sees its own update, and what others have committed since', async () => {
    expect(await label(app.db, 1)).toBe('old')
    await app.db.transaction(async (tx) => {
      await tx.update(items).set({ label: 'mine' }).where(eq(items.id, 1))
      expect(await label(tx, 1)).toBe('mine')
      // With one connection for all, an outsider has none of its own to write by.
      if (driver.name !== 'pglite') {
        expect(await label(tx, 2)).toBe('old')
        await home.outside(`update items set label = 'theirs' where id = 2`)
        expect(await label(tx, 2)).toBe('theirs')
      }
    })
    expect(await label(app.db, 1)).toBe('mine')
  })

  it('F2: a row read in a transaction that rolls back reaches no other reader', async () => {
    expect(await label(app.db, 3)).toBe('old')
    const rolledBack = app.db.transaction(async (tx) => {
      await tx.update(items).set({ label: 'never' }).where(eq(items.id, 3))
      await tx.insert(items).values({ id: 1003, code: 'never', label: 'never' })
      expect([await label(tx, 3), await label(tx, 1003), await label(tx, 1003)]).toEqual(['never', 'never', 'never'])
      tx.rollback()
    })
    await expect(rolledBack).rejects.toThrow()
    for (let round = 0; round < 2; round++) {
      expect([await label(app.db, 3), await label(app.db, 1003)]).toEqual(['old', undefined])
    }
  })

  it('F3: a select that deletes runs each time, and what it deleted is gone for all', async () => {
    expect(await label(app.db, 50)).toBe('old')
    const gone = app.db.$with('gone').as(app.db.delete(items).where(eq(items.id, 50)).returning({ id: items.id }))
    const run = () => app.db.with(gone).select().from(gone)
    expect([await run(), await run()]).toEqual([[{ id: 50 }], []])
    expect(await label(app.db, 50)).toBeUndefined()
    await app.db.insert(items).values({ id: 50, code: 'c50', label: 'again' })
    expect(await label(app.db, 50)).toBe('again')
    const moved = app.db
      .$with('moved')
      .as(app.db.update(items).set({ label: 'moved' }).where(eq(items.id, 50)).returning())
    // Beside a select by key of the same table, which sees the state from before.
    const beside = app.db.with(moved).select({ label: items.label }).from(items).where(eq(items.id, 50))
    expect(await beside).toEqual([{ label: 'again' }])
    expect(await label(app.db, 50)).toBe('moved')
  })

  it('F4: settings of a transaction stay in it; one set for the session keeps its reads from the cache', async () => {
    expect(await label(app.db, 4)).toBe('old')
    await app.db.transaction(async (tx) => {
      await tx.execute(sql`set local search_path to pg_catalog, public`)
      expect(await label(tx, 4)).toBe('old')
    })
    app.sql.reset()
    expect(await label(app.db, 4)).toBe('old')
    expect(app.sql.count()).toBe(0)
    await app.db.execute(sql`set timezone to 'Asia/Tokyo'`)
    app.sql.reset()
    expect([await label(app.db, 4), await label(app.db, 4)]).toEqual(['old', 'old'])
    expect(app.sql.count(/"items"/)).toBe(2)
    expect(app.db.$aside.stats().bypassed['session-changed']).toBe(2)
    expect(app.told.of('sessionChanged')).toHaveLength(1)
  })
})

describe.each([15, 18] as const)('row security on PostgreSQL %s', (line) => {
  const owned = pgTable('owned', { id: integer().primaryKey(), tenant: text().notNull(), body: text() })

  it('F4: rows under row security are never shared between tenants, and writes to them do what the plain ones do', async () => {
    const test = await openWrapped(line, {
      ddl: `
        create table owned (id int primary key, tenant text not null, body text);
        insert into owned values (1, 'a', 'of a'), (2, 'b', 'of b');
        alter table owned enable row level security;
        create policy by_tenant on owned using (tenant = current_setting('app.tenant', true));
        do $$ begin create role tenant login password 'tenant'; exception when duplicate_object or unique_violation then null; end $$;
        grant select, update, insert, delete on owned to tenant;`,
      tables: [cached(owned)],
      role: { user: 'tenant', password: 'tenant' },
    })
    const as = <T>(tenant: string, run: (tx: Parameters<Parameters<typeof test.db.transaction>[0]>[0]) => Promise<T>) =>
      test.db.transaction(async (tx) => {
        await tx.execute(sql`select set_config('app.tenant', ${tenant}, true)`)
        return run(tx)
      })
    const read = (tenant: string) => as(tenant, (tx) => tx.select().from(owned).where(eq(owned.id, 1)))
    for (let round = 0; round < 2; round++) {
      expect(await read('a')).toEqual([{ id: 1, tenant: 'a', body: 'of a' }])
      expect(await read('b')).toEqual([])
      expect(await test.db.select().from(owned).where(eq(owned.id, 1))).toEqual([])
    }
    const update = await as('b', (tx) => tx.update(owned).set({ body: 'new' }))
    expect(update.rowCount).toBe(1)
    expect(await test.run('select body from owned order by id')).toEqual([{ body: 'of a' }, { body: 'new' }])
    expect(test.db.$aside.stats().hits).toBe(0)
    await test.close()
  })
})
