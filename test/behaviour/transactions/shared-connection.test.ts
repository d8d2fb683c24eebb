/**
 * One connection for everybody: a node-postgres Client, and transactions begun by hand. Whoever uses the db then is
 * inside the transaction, whether he knows or not; nothing of it may reach the store.
 */
import { cached, memoryStore, type Store } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../../harness/databases.ts'
import { type Gate, gate, gatedStore } from '../../harness/gates.ts'
import { items, itemsSetUp, notes, outside } from '../../support/items.ts'
import { openApp, openPglite, openPostgresJs, openSingle } from '../../support/open-app.ts'

const byId = (db: Pick<Single['db'], 'select'>, id: number) => db.select().from(items).where(eq(items.id, id))
const rename = (db: Pick<Single['db'], 'update'>, id: number, label: string) =>
  db.update(items).set({ label }).where(eq(items.id, id))

type Single = Awaited<ReturnType<typeof openSingle>>

const begin = sql`begin`
const commit = sql`commit`
const rollback = sql`rollback`

describe('a single node-postgres connection', () => {
  let database: FreshDatabase
  let app: Single
  let store: Store
  let beforeSending: ((text: string) => void) | undefined
  let hold: { method: string; gate: Gate } | undefined

  beforeAll(async () => {
    database = await freshDatabase(15)
  })
  afterAll(() => database.drop())
  beforeEach(async () => {
    await outside(database.url, 'drop table if exists items, notes', itemsSetUp)
    hold = undefined
    store = gatedStore(memoryStore(), async (point, { method }) => {
      if (point !== 'before' || hold?.method !== method) return
      const { gate: held } = hold
      hold = undefined
      await held.pass()
    })
    beforeSending = undefined
    app = await openSingle({
      url: database.url,
      store,
      namespace: 'single',
      tables: [cached(items), cached(notes)],
      hook: (point, { sql: text }) => (point === 'before' ? beforeSending?.(text) : undefined),
    })
  })
  afterEach(() => app.close())

  const isHit = async (id: number): Promise<boolean> => (await app.db.$aside.explain(byId(app.db, id))).state === 'hit'
  const holdNext = (method: string): Gate => {
    hold = { method, gate: gate() }
    return hold.gate
  }

  test('the outer db takes part in an open transaction: its reads bypass, its writes wait for the commit', async () => {
    await byId(app.db, 1)
    app.told.forget()
    await app.db.transaction(async (tx) => {
      await rename(tx, 1, 'inner')
      await rename(app.db, 2, 'outer')
      expect(await byId(app.db, 1)).toMatchObject([{ label: 'inner' }])
      expect(await byId(app.db, 2)).toMatchObject([{ label: 'outer' }])
      expect(app.told.of('fill')).toEqual([])
      expect(app.told.of('invalidate')).toEqual([])
    })
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'inner' }])
    expect(await byId(app.db, 2)).toMatchObject([{ label: 'outer' }])
  })

  test('what the outer db wrote in a transaction that rolls back is gone for everybody', async () => {
    await byId(app.db, 2)
    await app.db
      .transaction(async (tx) => {
        await rename(app.db, 2, 'never')
        expect(await byId(app.db, 2)).toMatchObject([{ label: 'never' }])
        tx.rollback()
      })
      .catch(() => {})
    expect(await byId(app.db, 2)).toMatchObject([{ label: 'old' }])
    expect(await isHit(2)).toBe(true)
  })

  test.for(['read', 'mint'])(
    'C2: a read whose query falls into a transaction that began after its look-up (%s) stores nothing of it',
    async (step) => {
      const held = holdNext(step)
      const reading = byId(app.db, 1).then((rows) => rows)
      await held.arrived
      await app.db
        .transaction(async (tx) => {
          await rename(tx, 1, 'never')
          held.open()
          expect(await reading).toMatchObject([{ label: 'never' }])
          tx.rollback()
        })
        .catch(() => {})
      expect(await byId(app.db, 1)).toMatchObject([{ label: 'old' }])
      expect(await byId(app.db, 1)).toMatchObject([{ label: 'old' }])
    },
  )

  test('C2: nor does a read whose query is sent right behind the BEGIN', async () => {
    const held = holdNext('mint')
    const reading = byId(app.db, 1).then((rows) => rows)
    await held.arrived
    const transaction = app.db.transaction(async (tx) => {
      await rename(tx, 1, 'never')
      await reading
      tx.rollback()
    })
    held.open()
    await transaction.catch(() => {})
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'old' }])
  })

  test.for(['read', 'mint'])('C2: the same for a transaction begun by hand (%s)', async (step) => {
    const held = holdNext(step)
    const reading = byId(app.db, 1).then((rows) => rows)
    await held.arrived
    await app.db.execute(begin)
    await rename(app.db, 1, 'never')
    held.open()
    expect(await reading).toMatchObject([{ label: 'never' }])
    await app.db.execute(rollback)
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'old' }])
  })

  test('C5: a write of the outer db that reaches the connection behind the COMMIT, or the ROLLBACK, is made known', async () => {
    for (const ending of ['commit', 'rollback'] as const) {
      await byId(app.db, 2)
      let late: Promise<unknown> | undefined
      // When the end is about to be sent the transaction is open for all that anyone knows; the write comes behind it.
      beforeSending = (sent) => {
        if (sent === ending) late ??= rename(app.db, 2, `behind the ${ending}`).then((result) => result)
      }
      await app.db
        .transaction(async (tx) => {
          await rename(tx, 1, ending)
          if (ending === 'rollback') tx.rollback()
        })
        .catch(() => {})
      expect(late).toBeDefined()
      await late
      expect(await byId(app.db, 2)).toEqual(await byId(app.plain, 2))
    }
  })

  test('C5: a write that waits for the connection while a transaction ends by hand is made known', async () => {
    for (const ending of [commit, rollback]) {
      await byId(app.db, 2)
      await app.db.execute(begin)
      const ended = app.db.execute(ending).then((result) => result)
      const late = rename(app.db, 2, 'behind the end').then((result) => result)
      await Promise.all([ended, late])
      expect(await byId(app.db, 2)).toMatchObject([{ label: 'behind the end' }])
      await app.db.update(items).set({ label: 'old' }).where(eq(items.id, 2))
    }
  })

  test('C3: who commits by hand inside transaction() and then fails has still committed', async () => {
    await byId(app.db, 1)
    await byId(app.db, 2)
    await expect(
      app.db.transaction(async (tx) => {
        await rename(tx, 1, 'committed')
        await tx.execute(commit)
        await rename(tx, 2, 'on its own')
        throw new Error('boom')
      }),
    ).rejects.toThrow('boom')
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'committed' }])
    expect(await byId(app.db, 2)).toMatchObject([{ label: 'on its own' }])
  })

  test('a transaction begun by hand: reads bypass, writes fall at its COMMIT', async () => {
    await byId(app.db, 1)
    await app.db.execute(begin)
    app.told.forget()
    await rename(app.db, 1, 'by hand')
    await app.db.execute(sql`savepoint s`)
    await rename(app.db, 2, 'undone')
    await app.db.execute(sql`rollback to savepoint s`)
    await app.db.execute(sql`release savepoint s`)
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'by hand' }])
    expect(app.told.of('invalidate')).toEqual([])
    expect(app.told.of('bypass')).toMatchObject([{ reason: 'in-transaction' }])
    await app.db.execute(commit)
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'by hand' }])
    expect(await byId(app.db, 2)).toMatchObject([{ label: 'old' }])
    await byId(app.db, 1)
    expect(await isHit(1)).toBe(true)
  })

  test('a transaction begun by hand and rolled back leaves the cache as it was', async () => {
    await byId(app.db, 1)
    await app.db.execute(sql.raw('START TRANSACTION ISOLATION LEVEL SERIALIZABLE'))
    await rename(app.db, 1, 'never')
    await app.db.execute(sql.raw('ABORT'))
    expect(await isHit(1)).toBe(true)
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'old' }])
  })

  test.for(['commit', 'end', 'COMMIT WORK', '/* tail */ commit and no chain;'])(
    'a transaction begun by hand ends with %s',
    async (text) => {
      await byId(app.db, 1)
      await app.db.execute(begin)
      await rename(app.db, 1, 'by hand')
      await app.db.execute(sql.raw(text))
      expect(await byId(app.db, 1)).toMatchObject([{ label: 'by hand' }])
      await byId(app.db, 1)
      expect(await isHit(1)).toBe(true)
    },
  )

  test('COMMIT AND CHAIN makes known what was written and leaves the db in the next transaction', async () => {
    await byId(app.db, 1)
    await app.db.execute(begin)
    await rename(app.db, 1, 'first')
    await app.db.execute(sql`commit and chain`)
    await rename(app.db, 1, 'never')
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'never' }])
    await app.db.execute(rollback)
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'first' }])
  })

  test('ROLLBACK TO does not end a transaction begun by hand', async () => {
    await app.db.execute(begin)
    await app.db.execute(sql`savepoint s`)
    await rename(app.db, 1, 'undone')
    await app.db.execute(sql`rollback to s`)
    await rename(app.db, 1, 'kept')
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'kept' }])
    expect(app.told.of('fill')).toEqual([])
    await app.db.execute(commit)
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'kept' }])
  })

  test('a BEGIN that fails, or a COMMIT that answers ROLLBACK, leaves no transaction behind', async () => {
    await byId(app.db, 1)
    await app.db.execute(begin)
    await rename(app.db, 1, 'never')
    await expect(app.db.execute(sql`select 1 / 0`)).rejects.toThrow()
    await app.db.execute(commit)
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'old' }])
    await byId(app.db, 1)
    expect(await isHit(1)).toBe(true)
  })
})

describe('a transaction begun by hand over a pool of one connection', () => {
  let database: FreshDatabase
  beforeAll(async () => {
    database = await freshDatabase()
    await outside(database.url, itemsSetUp)
  })
  afterAll(() => database.drop())

  test('node-postgres: what it wrote falls at COMMIT, and nothing uncommitted is kept', async () => {
    const tables = [cached(items)]
    const app = await openApp({ url: database.url, store: memoryStore(), namespace: 'raw', tables, pool: { max: 1 } })
    await byId(app.db, 1)
    await app.db.execute(begin)
    await app.db.execute(sql`update items set label = 'by hand' where id = 1`)
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'by hand' }])
    await app.db.execute(rollback)
    expect(await byId(app.db, 1)).toMatchObject([{ label: 'old' }])
    await app.close()
  })

  test('a pool with more connections: a write that the open transaction does not hold is known at once', async () => {
    const app = await openApp({ url: database.url, store: memoryStore(), namespace: 'raw', tables: [cached(items)] })
    await byId(app.db, 2)
    await app.db.execute(begin)
    const holder = await app.pool.connect()
    await rename(app.db, 2, 'on another connection')
    await app.db.$aside.wrote(items)
    await app.db.execute(rollback)
    holder.release(true)
    expect(await byId(app.db, 2)).toMatchObject([{ label: 'on another connection' }])
    expect(app.told.of('invalidate').length).toBeGreaterThan(0)
    await app.close()
  })

  test('postgres-js: the same', async () => {
    const tables = [cached(items)]
    const app = await openPostgresJs({
      url: database.url,
      store: memoryStore(),
      namespace: 'raw',
      tables,
      postgres: { max: 1 },
    })
    await app.db.select().from(items).where(eq(items.id, 1))
    await app.db.execute(begin)
    await app.db.execute(sql`update items set label = 'by hand' where id = 1`)
    expect(await app.db.select().from(items).where(eq(items.id, 1))).toMatchObject([{ label: 'by hand' }])
    await app.db.execute(rollback)
    expect(await app.db.select().from(items).where(eq(items.id, 1))).toMatchObject([{ label: 'old' }])
    await app.close()
  })

  test('PGlite: the same', async () => {
    const app = await openPglite({ setUp: itemsSetUp, store: memoryStore(), namespace: 'raw', tables: [cached(items)] })
    await app.db.select().from(items).where(eq(items.id, 1))
    await app.db.execute(begin)
    await app.db.update(items).set({ label: 'by hand' }).where(eq(items.id, 1))
    expect(await app.db.select().from(items).where(eq(items.id, 1))).toMatchObject([{ label: 'by hand' }])
    await app.db.execute(rollback)
    expect(await app.db.select().from(items).where(eq(items.id, 1))).toMatchObject([{ label: 'old' }])
    await app.close()
  })
})
