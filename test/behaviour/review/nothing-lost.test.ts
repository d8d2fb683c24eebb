/** Ways in which an invalidation could be lost on its way from the statement to the store, each once found by reading the code. */
import { cached, memoryStore } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { customType, integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type App, type Driver, type DriverHome, drivers, homeOf } from '../../support/drivers.ts'
import { items, itemsSetUp, notes } from '../../support/items.ts'

const setUp = `${itemsSetUp}
  create table strange (id int primary key, label text not null);
  create procedure rename_and_fail() language plpgsql as $$
    begin
      update items set label = 'by procedure' where id = 1;
      commit;
      raise exception 'after the commit';
    end $$;`
const reset = `truncate items, notes, strange; ${itemsSetUp.slice(itemsSetUp.indexOf('insert'))}`

/** Its mapping to JavaScript fails for one value. */
const picky = customType<{ data: string }>({
  dataType: () => 'text',
  fromDriver: (value) => {
    if (value === 'poison') throw new TypeError('cannot map poison')
    return String(value)
  },
})
const strange = pgTable('strange', { id: integer().primaryKey(), label: picky().notNull() })
const viewed = pgTable('strange', { id: integer().primaryKey(), label: text().notNull() })

for (const driver of drivers) describe(`over ${driver.name}`, () => nothingLost(driver))

function nothingLost(driver: Driver): void {
  let home: DriverHome
  let app: App

  beforeAll(async () => {
    home = await homeOf(driver, setUp)
    app = await home.open({
      store: memoryStore(),
      namespace: 'review',
      tables: [cached(items), cached(notes), cached(strange)],
    })
  })
  afterAll(async () => {
    await app.close()
    await home.drop()
  })
  beforeEach(async () => {
    await home.outside(reset)
    await app.db.$aside.flush()
  })

  const labelOf = async (id: number): Promise<string | undefined> =>
    (await app.db.select().from(items).where(eq(items.id, id)))[0]?.label
  const warm = async (id: number): Promise<void> => {
    await labelOf(id)
    app.sql.reset()
    await labelOf(id)
    expect(app.sql.texts()).toEqual([])
  }

  test('a write whose answer cannot be mapped has happened all the same', async () => {
    await home.outside(`insert into strange values (1, 'fine')`)
    const read = () => app.db.select().from(viewed).where(eq(viewed.id, 1))
    expect(await read()).toEqual([{ id: 1, label: 'fine' }])
    await expect(app.db.update(strange).set({ label: 'poison' }).where(eq(strange.id, 1)).returning()).rejects.toThrow(
      'cannot map poison',
    )
    expect(await read()).toEqual([{ id: 1, label: 'poison' }])
  })

  test('the same in a transaction that goes on and commits', async () => {
    await home.outside(`insert into strange values (1, 'fine')`)
    const read = () => app.db.select().from(viewed).where(eq(viewed.id, 1))
    expect(await read()).toEqual([{ id: 1, label: 'fine' }])
    await app.db.transaction(async (tx) => {
      await expect(tx.update(strange).set({ label: 'poison' }).where(eq(strange.id, 1)).returning()).rejects.toThrow(
        'cannot map poison',
      )
    })
    expect(await read()).toEqual([{ id: 1, label: 'poison' }])
  })

  test('a data-modifying CTE whose select cannot be mapped has written, in a transaction that commits', async () => {
    await warm(1)
    await app.db.transaction(async (tx) => {
      const renamed = tx
        .$with('renamed')
        .as(tx.update(items).set({ label: 'by cte' }).where(eq(items.id, 1)).returning({ id: items.id }))
      const poisoned = sql`'poison'`.mapWith(strange.label).as('p')
      await expect(tx.with(renamed).select({ id: renamed.id, p: poisoned }).from(renamed)).rejects.toThrow(
        'cannot map poison',
      )
    })
    expect(await labelOf(1)).toBe('by cte')
  })

  test('a script that fails after its own COMMIT has written', async () => {
    // Over the extended protocol, which a statement with parameters takes, no script is possible.
    await warm(1)
    const script = `begin; update items set label = 'by script' where id = 1; commit; select 1/0`
    await expect(app.db.execute(sql.raw(script)).then((result) => result)).rejects.toThrow()
    const [row] = await home.outside('select label from items where id = 1')
    expect(await labelOf(1)).toBe(row?.label)
  })

  test('a procedure that fails after its own COMMIT has written', async () => {
    await warm(1)
    await expect(app.db.execute(sql`call rename_and_fail()`).then((result) => result)).rejects.toThrow()
    const [row] = await home.outside('select label from items where id = 1')
    expect(row).toEqual({ label: 'by procedure' })
    expect(await labelOf(1)).toBe('by procedure')
  })

  test('a handle with options inside a transaction opens savepoints whose writes are seen', async () => {
    await warm(1)
    await warm(2)
    await app.db.transaction(async (tx) => {
      const bound = (tx as unknown as typeof app.db).$aside.with({ ttl: '1m' })
      await bound.transaction((inner) => inner.update(items).set({ label: 'inner' }).where(eq(items.id, 1)))
      await bound
        .transaction(async (inner) => {
          await inner.update(items).set({ label: 'undone' }).where(eq(items.id, 2))
          throw new Error('boom')
        })
        .catch(() => {})
    })
    expect(await labelOf(1)).toBe('inner')
    expect(await labelOf(2)).toBe('old')
  })

  test('a write that nobody awaits inside a savepoint belongs to the transaction', async () => {
    await warm(1)
    let left: Promise<unknown> | undefined
    await app.db.transaction(async (tx) => {
      await tx.transaction(async (inner) => {
        left = inner.update(items).set({ label: 'left alone' }).where(eq(items.id, 1)).execute()
      })
      await left
    })
    expect(await labelOf(1)).toBe('left alone')
  })

  test('invalidating a key inside a transaction takes effect at its commit', async () => {
    await warm(1)
    await app.db.transaction(async (tx) => {
      const handle = (tx as unknown as typeof app.db).$aside
      await handle.with({ writes: [] }).execute(sql`update items set label = 'by hand' where id = 1`)
      await handle.invalidate(items, 1)
      if (driver.outer === 'another connection') expect(await labelOf(1)).toBe('old')
    })
    expect(await labelOf(1)).toBe('by hand')
  })
}
