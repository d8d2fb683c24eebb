/** Transactions: what is read inside stays inside, what is written becomes known at the commit and not before (SCENARIOS C). */
import { aside, cached, memoryStore, type Store } from 'drizzle-aside'
import { eq, inArray, sql } from 'drizzle-orm'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type App, type Driver, type DriverHome, drivers, homeOf } from '../../support/drivers.ts'
import { items, itemsSetUp, notes } from '../../support/items.ts'

const setUp = `${itemsSetUp}
  create table parents (id int primary key);
  create table children (id int primary key, parent_id int not null references parents deferrable initially deferred);
  create function touch_item() returns int language sql volatile as $$ update items set label = 'by function' where id = 1 returning 1 $$;`
const reset = `truncate items, notes, parents, children; ${itemsSetUp.slice(itemsSetUp.indexOf('insert'))}`

const parents = pgTable('parents', { id: integer().primaryKey() })
const children = pgTable('children', {
  id: integer().primaryKey(),
  parentId: integer('parent_id')
    .notNull()
    .references(() => parents.id),
})

const byId = (db: Pick<App['db'], 'select'>, id: number) => db.select().from(items).where(eq(items.id, id))
const byCode = (db: Pick<App['db'], 'select'>, code: string) => db.select().from(items).where(eq(items.code, code))
const rename = (db: Pick<App['db'], 'update'>, id: number, label: string) =>
  db.update(items).set({ label }).where(eq(items.id, id))

const boom = new Error('boom')
const throwing = async (): Promise<never> => {
  throw boom
}

for (const driver of drivers) {
  describe(`over ${driver.name}`, () => transactionsOver(driver))
}

function transactionsOver(driver: Driver): void {
  let home: DriverHome
  let app: App
  let store: Store

  beforeAll(async () => {
    home = await homeOf(driver, setUp)
    store = memoryStore()
    app = await home.open({
      store,
      namespace: 'tx',
      tables: [cached(items), cached(notes), cached(parents), cached(children)],
    })
  })
  afterAll(async () => {
    await app.close()
    await home.drop()
  })
  beforeEach(async () => {
    await home.outside(reset)
    await app.db.$aside.flush()
    app.told.forget()
    app.sql.reset()
  })

  /** After each test: every row that the store still holds is the database's. */
  afterEach(async () => {
    const ids = Array.from({ length: 12 }, (_, at) => at)
    for (const id of ids) expect(await byId(app.db, id)).toEqual(await byId(app.plain, id))
    expect(await app.db.select().from(items).where(inArray(items.id, ids))).toEqual(
      await app.plain.select().from(items).where(inArray(items.id, ids)).orderBy(items.id),
    )
  })

  type Run = () => Promise<void>
  /** Where the outer db has a connection of its own while a transaction is open. */
  const apart = (name: string, run: Run): void => {
    if (driver.outer === 'another connection') test(name, run)
  }
  /** Where the outer db can be used at all while a transaction is open. */
  const beside = (name: string, run: Run): void => {
    if (driver.outer !== 'waits') test(name, run)
  }

  const warm = async (id: number): Promise<void> => {
    await byId(app.db, id)
    await byId(app.db, id)
    expect(await isHit(byId(app.db, id))).toBe(true)
  }
  const isHit = async (query: ReturnType<typeof byId>): Promise<boolean> =>
    (await app.db.$aside.explain(query)).state === 'hit'

  test('C1: nothing falls before the commit, everything before the promise resolves', async () => {
    await warm(1)
    await app.db.transaction(async (tx) => {
      await rename(tx, 1, 'new')
      expect(app.told.of('invalidate')).toEqual([])
    })
    expect(app.told.of('invalidate')).toMatchObject([{ cause: 'transaction', epochs: 0, tables: ['items'] }])
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'new' }])
  })

  test('C2, 57: an uncommitted value that the transaction reads back reaches nobody, and a rollback costs nothing', async () => {
    await warm(1)
    await expect(
      app.db.transaction(async (tx) => {
        await rename(tx, 1, 'never')
        expect(await byId(tx, 1)).toMatchObject([{ label: 'never' }])
        expect(await byCode(tx, 'c1')).toMatchObject([{ label: 'never' }])
        throw boom
      }),
    ).rejects.toBe(boom)
    expect(app.told.of('invalidate')).toEqual([])
    expect(await isHit(byId(app.db, 1))).toBe(true)
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'old' }])
    expect(await byCode(app.db, 'c1')).toMatchObject([{ label: 'old' }])
  })

  test('C2: the same with tx.rollback()', async () => {
    await warm(2)
    await expect(
      app.db.transaction(async (tx) => {
        await rename(tx, 2, 'never')
        tx.rollback()
      }),
    ).rejects.toThrow()
    expect(app.told.of('invalidate')).toEqual([])
    expect(await byId(app.db, 2)).toMatchObject([{ label: 'old' }])
  })

  test('C3: a released savepoint is undone with the transaction around it', async () => {
    await warm(3)
    await expect(
      app.db.transaction(async (tx) => {
        await tx.transaction((inner) => rename(inner, 3, 'never'))
        expect(await byId(tx, 3)).toMatchObject([{ label: 'never' }])
        throw boom
      }),
    ).rejects.toBe(boom)
    expect(app.told.of('invalidate')).toEqual([])
    expect(await byId(app.db, 3)).toMatchObject([{ label: 'old' }])
  })

  test('C4: what a released savepoint wrote falls with the commit, what a rolled-back one wrote need not', async () => {
    for (const id of [3, 4, 5]) await warm(id)
    await app.db.transaction(async (tx) => {
      await rename(tx, 3, 'outer')
      await tx.transaction((inner) => rename(inner, 4, 'inner'))
      await expect(
        tx.transaction(async (inner) => {
          await rename(inner, 5, 'undone')
          throw boom
        }),
      ).rejects.toBe(boom)
      expect(await byId(tx, 5)).toMatchObject([{ label: 'old' }])
    })
    expect(await byId(app.db, 3)).toMatchObject([{ label: 'outer' }])
    expect(await byId(app.db, 4)).toMatchObject([{ label: 'inner' }])
    expect(await isHit(byId(app.db, 5))).toBe(true)
  })

  test('C4: three levels deep, with a middle one undone and an innermost one kept', async () => {
    for (const id of [6, 7, 8, 9]) await warm(id)
    await app.db.transaction(async (tx) => {
      await rename(tx, 6, 'one')
      await tx.transaction(async (two) => {
        await rename(two, 7, 'two')
        await two.transaction((three) => rename(three, 8, 'three'))
      })
      await tx
        .transaction(async (two) => {
          await two.transaction((three) => rename(three, 9, 'undone with its parent'))
          throw boom
        })
        .catch(() => {})
    })
    for (const [id, label] of [
      [6, 'one'],
      [7, 'two'],
      [8, 'three'],
      [9, 'old'],
    ] as const) {
      expect(await byId(app.db, id)).toMatchObject([{ label }])
    }
  })

  test('C5: an error after some writes undoes them; an error that the caller survives does not lose the others', async () => {
    await warm(1)
    await warm(2)
    await app.db.transaction(async (tx) => {
      await rename(tx, 1, 'kept')
      await tx.transaction(throwing).catch(() => {})
      await rename(tx, 2, 'kept, too')
    })
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'kept' }])
    expect(await byId(app.db, 2)).toMatchObject([{ label: 'kept, too' }])
  })

  test('C5: a constraint that fails at COMMIT is a rollback: nothing falls, nothing is stale', async () => {
    await warm(1)
    const failure = app.db.transaction(async (tx) => {
      await rename(tx, 1, 'never')
      await tx.insert(children).values({ id: 1, parentId: 99 })
    })
    await expect(failure).rejects.toThrow()
    expect(app.told.of('invalidate')).toEqual([])
    expect(app.told.of('outcomeUnknown')).toEqual([])
    expect(await isHit(byId(app.db, 1))).toBe(true)
  })

  test('17: a COMMIT that answers ROLLBACK, for the error of a statement was swallowed, is an abort: nothing waits', async () => {
    await warm(1)
    const swallowed = app.db.transaction(async (tx) => {
      await rename(tx, 1, 'never')
      await Promise.resolve(tx.execute(sql`select 1 / 0`)).catch(() => {})
    })
    // postgres.js rejects with the error all the same; over the others nobody tells what the COMMIT answered, so the row
    // may have fallen needlessly.
    await swallowed.catch(() => {})
    expect(app.told.of('outcomeUnknown')).toEqual([])
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'old' }])
    await warm(1)
    expect(app.db.$aside.health().state).toBe('ok')
  })

  test('C8, 55: a read inside sees the own write by key, by list, by unique key, after raw SQL, a function and TRUNCATE', async () => {
    await warm(1)
    await byCode(app.db, 'c1')
    await app.db.transaction(async (tx) => {
      await rename(tx, 1, 'mine')
      await tx.update(items).set({ code: 'mine' }).where(eq(items.id, 2))
      expect(await byId(tx, 1)).toMatchObject([{ label: 'mine' }])
      expect(
        await tx
          .select()
          .from(items)
          .where(inArray(items.id, [1, 2]))
          .orderBy(items.id),
      ).toMatchObject([{ label: 'mine' }, { code: 'mine' }])
      expect(await byCode(tx, 'mine')).toMatchObject([{ id: 2 }])
      expect(await byCode(tx, 'c2')).toEqual([])
      await tx.execute(sql`select touch_item()`)
      expect(await byId(tx, 1)).toMatchObject([{ label: 'by function' }])
      await tx.execute(sql`truncate items`)
      expect(await byId(tx, 1)).toEqual([])
      await tx.insert(items).values({ id: 1, code: 'again', label: 'again' })
    })
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'again' }])
    expect(await byCode(app.db, 'c1')).toEqual([])
    expect(await byCode(app.db, 'c2')).toEqual([])
    expect(await byId(app.db, 2)).toEqual([])
  })

  test('C8: reads inside neither hit nor fill', async () => {
    await warm(1)
    const before = app.db.$aside.stats()
    await app.db.transaction(async (tx) => {
      app.sql.reset()
      await byId(tx, 1)
      await byId(tx, 2)
      await byCode(tx, 'c3')
      expect(app.sql.count(/^select/)).toBe(3)
    })
    const after = app.db.$aside.stats()
    expect(after.hits).toBe(before.hits)
    expect(after.fills).toBe(before.fills)
    expect((after.bypassed['in-transaction'] ?? 0) - (before.bypassed['in-transaction'] ?? 0)).toBe(3)
    expect(await isHit(byId(app.db, 2))).toBe(false)
  })

  beside(
    'C9: two identical reads at once, one in a transaction with uncommitted changes, do not share an answer',
    async () => {
      await app.db.transaction(async (tx) => {
        await rename(tx, 1, 'mine')
        const [inside, outside] = await Promise.all([byId(tx, 1), byId(app.db, 1)])
        expect(inside).toMatchObject([{ label: 'mine' }])
        expect(outside).toMatchObject([{ label: driver.outer === 'the same connection' ? 'mine' : 'old' }])
      })
      expect(await byId(app.db, 1)).toMatchObject([{ label: 'mine' }])
    },
  )

  apart('C9: what another party reads while the transaction is open dies with the commit', async () => {
    await app.db.transaction(async (tx) => {
      await rename(tx, 1, 'new')
      await warm(1)
      expect(await byId(app.db, 1)).toMatchObject([{ label: 'old' }])
    })
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'new' }])
  })

  test('C10: every locking read reaches PostgreSQL, cached row or not, inside and outside a transaction', async () => {
    await warm(1)
    const strengths = ['update', 'no key update', 'share', 'key share'] as const
    const configs = [{}, { skipLocked: true }, { noWait: true }] as const
    for (const strength of strengths) {
      for (const config of configs) {
        app.sql.reset()
        expect(await byId(app.db, 1).for(strength, config)).toHaveLength(1)
        expect(app.sql.count(/ for /)).toBe(1)
        await app.db.transaction(async (tx) => {
          expect(await byId(tx, 1).for(strength, config)).toHaveLength(1)
          expect(app.sql.count(/ for /)).toBe(2)
        })
      }
    }
    expect(app.db.$aside.stats().bypassed.locking).toBeGreaterThan(0)
  })

  test('C11: a transaction that outlives every entry still invalidates at its commit', async () => {
    await warm(1)
    await app.db.transaction(async (tx) => {
      await rename(tx, 1, 'late')
      await store.clear('da1:')
      if (driver.outer === 'another connection') await warm(1)
    })
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'late' }])
  })

  test('C13: "reads off" bypasses reads and skips no invalidation, in a transaction or not', async () => {
    await warm(1)
    await warm(2)
    app.db.$aside.reads('off')
    await rename(app.db, 1, 'while off')
    await app.db.transaction((tx) => rename(tx, 2, 'while off'))
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'while off' }])
    app.db.$aside.reads('on')
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'while off' }])
    expect(await byId(app.db, 2)).toMatchObject([{ label: 'while off' }])
  })

  test('C13: `cache: false` and $withCache(false) skip reads and no invalidation', async () => {
    await warm(1)
    const uncachedDb = app.db.$aside.with({ cache: false })
    await rename(uncachedDb, 1, 'uncached handle')
    expect(await byId(uncachedDb, 1)).toMatchObject([{ label: 'uncached handle' }])
    expect(await byId(app.db, 1).$withCache(false)).toMatchObject([{ label: 'uncached handle' }])
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'uncached handle' }])
    await uncachedDb.transaction((tx) => rename(tx, 1, 'in its transaction'))
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'in its transaction' }])
  })

  apart('C14: a long transaction that commits last does not bring back what others wrote meanwhile', async () => {
    await app.db.transaction(async (tx) => {
      await rename(tx, 1, 'long')
      await rename(app.db, 2, 'short')
      await warm(2)
      expect(await byId(tx, 2)).toMatchObject([{ label: 'short' }])
    })
    expect(await byId(app.db, 2)).toMatchObject([{ label: 'short' }])
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'long' }])
  })

  apart('C18: an id that is handed on before its row is committed leaves no lasting "not found"', async () => {
    await app.db.transaction(async (tx) => {
      const [born] = await tx.insert(items).values({ id: 600, code: 'c600', label: 'born' }).returning({ id: items.id })
      expect(await byId(app.db, born?.id ?? 0)).toEqual([])
      expect(await byCode(app.db, 'c600')).toEqual([])
      expect(await isHit(byId(app.db, 600))).toBe(true)
    })
    expect(await byId(app.db, 600)).toHaveLength(1)
    expect(await byCode(app.db, 'c600')).toHaveLength(1)
  })

  test.for(['read committed', 'repeatable read', 'serializable'] as const)(
    'A6, 56: a transaction at %s reads its own snapshot and stores nothing of it',
    async (isolationLevel) => {
      await app.db.transaction(
        async (tx) => {
          await byId(tx, 1)
          if (driver.outer === 'another connection') await rename(app.db, 1, 'meanwhile')
          await byId(tx, 1)
        },
        { isolationLevel },
      )
      const [now] = await byId(app.db, 1)
      expect(now?.label).toBe(driver.outer === 'another connection' ? 'meanwhile' : 'old')
      expect(await byId(app.db, 1)).toEqual(await byId(app.plain, 1))
    },
  )

  apart('C17: a serialization failure is a rollback, and the retry invalidates', async () => {
    await warm(1)
    let attempts = 0
    const attempt = () =>
      app.db.transaction(
        async (tx) => {
          attempts++
          const [row] = await byId(tx, 1)
          if (attempts === 1) await rename(app.db, 1, 'rival')
          await tx
            .update(items)
            .set({ label: `${row?.label}+` })
            .where(eq(items.id, 1))
        },
        { isolationLevel: 'serializable' },
      )
    await expect(attempt()).rejects.toThrow()
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'rival' }])
    await attempt()
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'rival+' }])
  })

  test('wrote() inside a transaction is told at its commit, and forgotten with its rollback', async () => {
    await warm(1)
    await app.db
      .transaction(async (tx) => {
        await aside(tx).wrote(items)
        throw boom
      })
      .catch(() => {})
    expect(await isHit(byId(app.db, 1))).toBe(true)
    await app.db.transaction(async (tx) => {
      await aside(tx).wrote(items, { old: { id: 1, code: 'c1' }, new: { id: 1, code: 'c1' } })
      expect(app.told.of('invalidate')).toEqual([])
    })
    expect(await isHit(byId(app.db, 1))).toBe(false)
  })

  test('raw SQL in a transaction is judged at its commit', async () => {
    await warm(1)
    await app.db.transaction(async (tx) => {
      await tx.execute(sql`update items set label = 'raw' where id = 1`)
      expect(app.told.of('invalidate')).toEqual([])
      expect(await byId(tx, 1)).toMatchObject([{ label: 'raw' }])
    })
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'raw' }])
  })

  test('reads in a transaction cost nothing afterwards: a transaction that only reads invalidates nothing', async () => {
    await warm(1)
    await app.db.transaction(async (tx) => {
      await byId(tx, 1)
      await tx.execute(sql`select count(*) from items`)
      await tx.execute(sql`set local statement_timeout = 1000`)
    })
    expect(app.told.of('invalidate')).toEqual([])
    expect(await isHit(byId(app.db, 1))).toBe(true)
  })
}
