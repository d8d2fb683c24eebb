/** Entries that are filled anew behind a hit before they expire (`refresh`), and what may come between (SCENARIOS A, D17). */
import { randomBytes } from 'node:crypto'
import { type AsideOptions, cached, memoryStore } from 'drizzle-aside'
import { eq, gt, inArray } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ManualClock, manualClock, settle } from '../harness/clock.ts'
import { type FreshDatabase, freshDatabase } from '../harness/databases.ts'
import { gate, type StatementHook } from '../harness/gates.ts'
import { items, itemsSetUp, notes, outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'

type App = Awaited<ReturnType<typeof openApp>>

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

describe('early refresh', () => {
  let clock: ManualClock
  let store: ReturnType<typeof memoryStore>
  let apps: App[]

  beforeEach(async () => {
    await outside(database.url, 'drop table if exists items, notes', itemsSetUp)
    clock = manualClock()
    store = memoryStore({ clock })
    apps = []
  })
  afterEach(() => Promise.all(apps.map((app) => app.close())))

  type Given = { hook?: StatementHook; maxFills?: number; refresh?: false } & Pick<
    AsideOptions,
    'encryption' | 'compression'
  >

  async function open(options: Given = {}): Promise<App> {
    const { refresh = { ahead: '10s' } as const, ...given } = options
    const times = { ttl: '1m', negativeTtl: '1m', jitter: 0, refresh } as const
    const tables = [cached(items, times), cached(notes, { ttl: '1m', jitter: 0 })]
    const app = await openApp({ url: database.url, store, namespace: 'early', clock, tables, ...given })
    apps.push(app)
    return app
  }

  const byId = (app: App, id: number) => app.db.select().from(items).where(eq(items.id, id))
  const reads: Record<string, (app: App) => PromiseLike<unknown>> = {
    'a row': (app) => byId(app, 1),
    'a row that is not there': (app) => byId(app, -1),
    'a row by unique key': (app) => app.db.select().from(items).where(eq(items.code, 'c1')),
    'a list of keys': (app) =>
      app.db
        .select()
        .from(items)
        .where(inArray(items.id, [1, 2, -1])),
    'a whole answer': (app) => app.db.select().from(items).where(gt(items.id, 90)).orderBy(items.id),
    'a join with a table that does not ask for it': (app) =>
      app.db.select().from(notes).innerJoin(items, eq(items.id, notes.id)).orderBy(notes.id),
  }
  /** Facts may not grow old on the way. */
  const pass = async (app: App, ms: number): Promise<void> => {
    await clock.advanceAndSettle(ms)
    await app.db.$aside.ready({ reload: true })
    app.sql.reset()
  }
  const selects = (app: App): number => app.sql.texts().filter((text) => / from "(items|notes)"/.test(text)).length
  const refreshed = (app: App) => expect.poll(() => app.db.$aside.stats().fills)

  const payloads = {
    'as it is': {},
    encrypted: { encryption: { keys: { k1: randomBytes(32) }, current: 'k1', tokenKey: randomBytes(32) } },
    'compressed and encrypted': {
      encryption: { keys: { k1: randomBytes(32) }, current: 'k1', tokenKey: randomBytes(32) },
      compression: { threshold: 1 },
    },
  } as const
  const cases = Object.keys(reads).flatMap((name) => Object.keys(payloads).map((form) => [name, form] as const))

  test.each(cases)('%s, kept %s, is filled anew behind a hit in the window, and never missed', async (name, form) => {
    const read = reads[name] as (app: App) => PromiseLike<unknown>
    const app = await open(payloads[form as keyof typeof payloads])
    const first = await read(app)
    const { fills } = app.db.$aside.stats()
    await pass(app, 49_000)
    expect(await read(app)).toEqual(first)
    await settle()
    expect(selects(app)).toBe(0)
    await pass(app, 2_000)
    expect(await read(app)).toEqual(first)
    await refreshed(app).toBe(2 * fills)
    expect(selects(app)).toBe(1)
    await pass(app, 45_000)
    expect(await read(app)).toEqual(first)
    expect(selects(app)).toBe(0)
    expect(app.db.$aside.stats()).toMatchObject({ misses: fills, refreshes: { begun: 1, failed: 0, skipped: 0 } })
  })

  test('D17: a thousand hits in the window run one query', async () => {
    const app = await open()
    await byId(app, 1)
    await pass(app, 55_000)
    const rows = await Promise.all(Array.from({ length: 1_000 }, () => byId(app, 1)))
    expect(rows.every(([row]) => row?.id === 1)).toBe(true)
    await refreshed(app).toBe(2)
    expect(selects(app)).toBe(1)
  })

  test('A1: a write that comes between the query behind a hit and its fill is never lost', async () => {
    const held = gate()
    let hold = false
    const app = await open({
      hook: (point, { sql }) => (hold && point === 'after' && /^select .* "items"/.test(sql) ? held.pass() : undefined),
    })
    const writer = await open()
    await byId(app, 1)
    await pass(app, 55_000)
    hold = true
    expect(await byId(app, 1)).toMatchObject([{ label: 'old' }])
    await held.arrived
    await writer.db.update(items).set({ label: 'new' }).where(eq(items.id, 1))
    hold = false
    held.open()
    await refreshed(app).toBe(2)
    expect(await byId(app, 1)).toMatchObject([{ label: 'new' }])
    expect(await byId(writer, 1)).toMatchObject([{ label: 'new' }])
  })

  test('one that fails is an event; the hit was served, and the entry stays', async () => {
    let broken = false
    const app = await open({
      hook: (point, { sql }) => {
        if (broken && point === 'before' && /^select .* "items"/.test(sql)) throw new Error('no connection')
      },
    })
    await byId(app, 1)
    await pass(app, 55_000)
    broken = true
    expect(await byId(app, 1)).toHaveLength(1)
    await expect.poll(() => app.told.of('refreshFailed')).toHaveLength(1)
    broken = false
    expect(await byId(app, 1)).toHaveLength(1)
    await refreshed(app).toBe(2)
    expect(app.db.$aside.stats().refreshes).toEqual({ begun: 2, failed: 1, skipped: 0 })
  })

  test('readers who wait come first: without a free place it is left to a later hit', async () => {
    const held = gate()
    let hold = false
    const app = await open({
      maxFills: 1,
      hook: (point, { sql }) => (hold && point === 'after' && /^select .* "items"/.test(sql) ? held.pass() : undefined),
    })
    await byId(app, 1)
    await pass(app, 55_000)
    hold = true
    const miss = byId(app, 2).then((rows) => rows)
    await held.arrived
    expect(await byId(app, 1)).toHaveLength(1)
    expect(app.db.$aside.stats().refreshes).toEqual({ begun: 0, failed: 0, skipped: 1 })
    held.open()
    expect(await miss).toHaveLength(1)
    await byId(app, 1)
    await refreshed(app).toBe(3)
  })

  test('what a list misses comes before what it refreshes', async () => {
    const app = await open({ maxFills: 1 })
    const some = (...ids: number[]) => app.db.select().from(items).where(inArray(items.id, ids))
    await some(1, 2)
    await pass(app, 55_000)
    expect(await some(1, 2, 3)).toHaveLength(3)
    await refreshed(app).toBe(5)
    const asked = app.sql.statements
      .filter(({ sql }) => / from "items"/.test(sql))
      .map(({ params }) => params.map(Number))
    expect(asked).toEqual([[3], [1, 2]])
  })

  test('close() waits for the one on its way, which then stores nothing; and leaves no timer', async () => {
    const held = gate()
    let hold = false
    const app = await open({
      hook: (point, { sql }) => (hold && point === 'after' && /^select .* "items"/.test(sql) ? held.pass() : undefined),
    })
    await byId(app, 1)
    await pass(app, 55_000)
    hold = true
    await byId(app, 1)
    await held.arrived
    let closed = false
    const closing = app.db.$aside.close().then(() => {
      closed = true
    })
    await settle()
    expect(closed).toBe(false)
    held.open()
    await closing
    expect(app.db.$aside.stats()).toMatchObject({ fills: 1, fillsRefused: { 'gate-closed': 1 } })
  })

  test('close() does not wait for one that hangs', async () => {
    const held = gate()
    let hold = false
    const app = await open({
      hook: (point, { sql }) => (hold && point === 'after' && /^select .* "items"/.test(sql) ? held.pass() : undefined),
    })
    await byId(app, 1)
    await pass(app, 55_000)
    hold = true
    await byId(app, 1)
    await held.arrived
    const closing = app.db.$aside.close()
    await clock.advanceAndSettle(1_000)
    await closing
    held.open()
  })

  test('entries with and without their times are read by both', async () => {
    const [early, usual] = [await open(), await open({ refresh: false })]
    await byId(early, 1)
    await byId(usual, 2)
    await pass(early, 55_000)
    await pass(usual, 0)
    for (const app of [early, usual]) for (const id of [1, 2]) expect(await byId(app, id)).toMatchObject([{ id }])
    await refreshed(early).toBe(2)
    expect([selects(early), selects(usual)]).toEqual([1, 0])
  })
})
