/** Many misses at once: how many of them the database sees at a time (SCENARIOS D17). */
import { cached, memoryStore } from 'drizzle-aside'
import { eq, gt, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { manualClock, settle } from '../harness/clock.ts'
import { type FreshDatabase, freshDatabase } from '../harness/databases.ts'
import { type Gate, gate } from '../harness/gates.ts'
import { items, itemsSetUp, notes, outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
  await outside(database.url, itemsSetUp)
})
afterAll(() => database.drop())

describe('many misses at once', () => {
  let apps: Awaited<ReturnType<typeof openApp>>[]
  let held: Gate
  let running: number
  let most: number
  let order: number[]

  beforeEach(() => {
    apps = []
    held = gate()
    running = 0
    most = 0
    order = []
  })
  afterEach(() => Promise.all(apps.map((app) => app.close())))

  /** An app whose selects of items stop at the gate before they are answered. */
  async function open(options: { maxFills?: number; max?: number } = {}) {
    const { max, ...given } = options
    const clock = manualClock()
    const app = await openApp({
      url: database.url,
      store: memoryStore({ clock }),
      namespace: 'limit',
      clock,
      tables: [cached(items), cached(notes)],
      ...given,
      ...(max !== undefined && { pool: { max } }),
      hook: async (point, { sql: text, params }) => {
        if (!/^select .* from "items"/.test(text)) return
        if (point === 'before') {
          order.push(Number(params[0]))
          most = Math.max(most, ++running)
          await held.pass()
        } else running--
      },
    })
    apps.push(app)
    return { ...app, clock }
  }
  const byId = (app: { db: Awaited<ReturnType<typeof openApp>>['db'] }, id: number) =>
    app.db.select().from(items).where(eq(items.id, id))
  const allOf = (count: number) => Array.from({ length: count }, (_, at) => at + 1)

  test('D17: a hundred readers of a hundred cold rows: three queries at a time, first come first served', async () => {
    const app = await open({ maxFills: 3 })
    const reads = Promise.all(allOf(100).map((id) => byId(app, id)))
    await held.arrivals(3)
    await settle()
    expect(app.db.$aside.stats().fillLimit).toEqual({ max: 3, running: 3, waiting: 97, waited: 97, overdue: 0 })
    held.open()
    const rows = await reads
    expect(rows.map(([row]) => row?.id)).toEqual(allOf(100))
    expect(most).toBe(3)
    // Connections of a pool may pass each other by as many as run at a time.
    expect(order.filter((id, at) => Math.abs(id - at - 1) > 2)).toEqual([])
    expect(app.db.$aside.stats()).toMatchObject({ misses: 100, fills: 100, fillLimit: { running: 0, waiting: 0 } })
  })

  test('D17: lists, counts and rows share the places', async () => {
    const app = await open({ maxFills: 2 })
    const reads = allOf(20).map((n): PromiseLike<unknown> => {
      if (n % 3 === 0) return app.db.select().from(items).where(gt(items.n, n))
      return n % 3 === 1 ? byId(app, n) : app.db.$count(items, gt(items.n, -n))
    })
    const answers = Promise.all(reads)
    await held.arrivals(2)
    held.open()
    expect(await answers).toHaveLength(20)
    expect(most).toBe(2)
  })

  test('D17: readers of a row whose query waits for its turn wait with it, and ask nothing themselves', async () => {
    const app = await open({ maxFills: 1 })
    const first = byId(app, 1).then((rows) => rows)
    await held.arrived
    const others = Promise.all(allOf(50).map(() => byId(app, 2)))
    await settle()
    // Longer than anybody waits for a query that runs.
    await app.clock.advanceAndSettle(3_000)
    held.open()
    expect(await first).toHaveLength(1)
    for (const rows of await others) expect(rows).toMatchObject([{ id: 2 }])
    expect(order).toEqual([1, 2])
  })

  test('what bypasses the cache, and what runs in a transaction, waits for nobody', async () => {
    const app = await open({ maxFills: 1, max: 5 })
    const reads = Promise.all([byId(app, 1), byId(app, 2)])
    await held.arrived
    const bypass = byId(app, 3).$withCache(false)
    const inside = app.db.transaction((tx) => tx.select().from(items).where(eq(items.id, 4)))
    const others = Promise.all([bypass, inside])
    await held.arrivals(3)
    expect([...order].sort()).toEqual([1, 3, 4])
    held.open()
    expect((await others).flat().map(({ id }) => id)).toEqual([3, 4])
    expect((await reads).flat()).toHaveLength(2)
  })

  test('a transaction that a fill waits for, and whose own code waits for a fill, comes to its end', async () => {
    const app = await open({ maxFills: 1, max: 5 })
    held.open()
    const blocked = await app.db.transaction(async (tx) => {
      await tx.execute(sql`lock table items in access exclusive mode`)
      const waiting = byId(app, 1).then((rows) => rows)
      await expect.poll(() => app.db.$aside.stats().fillLimit.running).toBe(1)
      // Of another table, and its turn comes only after the one that waits for this transaction.
      const inner = app.db
        .select()
        .from(notes)
        .where(eq(notes.id, 1))
        .then((rows) => rows)
      await settle()
      expect(app.db.$aside.stats().fillLimit.waiting).toBe(1)
      await app.clock.advanceAndSettle(5_000)
      expect(await inner).toHaveLength(1)
      return { waiting }
    })
    expect(await blocked.waiting).toHaveLength(1)
    expect(app.db.$aside.stats().fillLimit).toMatchObject({ waiting: 0, overdue: 1 })
  })

  test('without a number four fifths of the pool, and one at least', async () => {
    const sizes = [undefined, 1, 3, 50]
    const limits = await Promise.all(
      sizes.map(async (max) => (await open(max === undefined ? {} : { max })).db.$aside.stats().fillLimit.max),
    )
    expect(limits).toEqual([8, 1, 2, 40])
  })
})
