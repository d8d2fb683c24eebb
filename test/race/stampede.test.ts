/** Several processes that miss the same answer: how many of them ask the database, and who is served (SCENARIOS A12, D17). */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { redisStore } from '@drizzle-aside/redis'
import { type AsideOptions, cached, memoryStore, type Store } from 'drizzle-aside'
import { eq, gt } from 'drizzle-orm'
import { Client } from 'pg'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { manualClock, settle } from '../harness/clock.ts'
import { type FreshDatabase, freshDatabase, freshRedis } from '../harness/databases.ts'
import { gate, gatedStore, type StatementHook } from '../harness/gates.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import { items, itemsSetUp, outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'

type App = Awaited<ReturnType<typeof openApp>>

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
beforeEach(() => outside(database.url, 'drop table if exists items, notes', itemsSetUp))
afterAll(() => database.drop())

const script = fileURLToPath(new URL('./stampede-process.ts', import.meta.url))
const config = fileURLToPath(new URL('../../tsconfig.json', import.meta.url))

/** A process of its own, and the lines that it says. */
function start(args: readonly string[]): { child: ChildProcess; line: () => Promise<string> } {
  const child = spawn(process.execPath, ['--import', 'tsx', script, ...args], {
    env: { ...process.env, TSX_TSCONFIG_PATH: config },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  return { child, line: async () => String((await lines.next()).value) }
}

describe('a thousand readers of one cold row in four processes', () => {
  const lock = new Map<string, Client>()
  afterEach(async () => {
    for (const client of lock.values()) await client.end()
    lock.clear()
  })

  /** Nobody's query ends before `open`: the row is locked, so that all of them have missed by then. */
  async function lockItems() {
    const client = new Client({ connectionString: database.url })
    lock.set('items', client)
    await client.connect()
    await client.query('begin; lock table items in access exclusive mode')
    const waiting = async (): Promise<number> => {
      const sql = `select count(*)::int n from pg_locks where not granted and relation = 'items'::regclass`
      return (await outside(database.url, sql))[0]?.n as number
    }
    return { waiting, open: () => client.query('commit') }
  }

  test.each([
    { what: 'without tokens each process asks once', wait: 'none', queries: 4, served: 0 },
    { what: 'with tokens one asks, and the others serve what it has filled', wait: '10s', queries: 1, served: 3 },
  ])('D17: $what', async ({ wait, queries, served }) => {
    const redis = await freshRedis()
    await ageRegister(redis.url, redis.namespace, database.name)
    // Who comes first with a table waits for the others to know of it; that is not what is shown here.
    const client = await createClient({ url: redis.url }).connect()
    const store = redisStore(client)
    const known = await openApp({ url: database.url, store, namespace: redis.namespace, tables: [cached(items)] })
    await known.db.select().from(items).where(eq(items.id, 2))
    await expect.poll(() => known.db.$aside.stats().fills).toBe(1)
    const args = [database.url, redis.url, redis.namespace, wait, '250']
    const processes = Array.from({ length: 4 }, () => start(args))
    try {
      for (const { line } of processes) expect(await line()).toBe('ready')
      const held = await lockItems()
      for (const { child } of processes) child.stdin?.write('go\n')
      for (const { line } of processes) expect(await line()).toBe('missed')
      await expect.poll(held.waiting, { timeout: 20_000 }).toBe(queries)
      await held.open()
      const told = await Promise.all(processes.map(async ({ line }) => JSON.parse(await line())))
      const sum = (name: string): number => told.reduce((all, one) => all + one[name], 0)
      expect({ queries: sum('queries'), right: sum('right'), served: sum('served'), lapsed: sum('lapsed') }).toEqual({
        ...{ queries, right: 1_000, served, lapsed: 0 },
      })
    } finally {
      for (const { child } of processes) child.kill('SIGKILL')
      await known.close()
      await store.close()
      client.destroy()
      await redis.drop()
    }
  })
})

describe('fill tokens', () => {
  let apps: App[]
  let stores: Store[]
  let clock: ReturnType<typeof manualClock>
  beforeEach(() => {
    apps = []
    clock = manualClock()
    const store = memoryStore({ clock })
    // Two views of one store: no flight is shared, as between two processes.
    stores = [gatedStore(store, () => {}), gatedStore(store, () => {})]
  })
  afterEach(() => Promise.all(apps.map((app) => app.close())))

  async function open(at: number, hook?: StatementHook, options: Partial<AsideOptions> = {}): Promise<App> {
    const app = await openApp({
      ...{ url: database.url, namespace: 'tokens', clock, store: stores[at] as Store, fillToken: true },
      tables: [cached(items)],
      ...(hook && { hook }),
      ...options,
    })
    apps.push(app)
    return app
  }
  const byId = (app: App, id = 1) =>
    app.db
      .select()
      .from(items)
      .where(eq(items.id, id))
      .then((rows) => rows)
  const list = (app: App) =>
    app.db
      .select()
      .from(items)
      .where(gt(items.id, 98))
      .orderBy(items.id)
      .then((rows) => rows)
  const selects = (app: App): number => app.sql.texts().filter((text) => / from "items"/.test(text)).length
  const isSelect = (sql: string): boolean => /^select .* "items"/.test(sql)

  /** A reader that holds the token and stands between its query and its fill, and another that has missed, too. */
  async function holderAndOther(read: (app: App) => Promise<unknown>) {
    const held = gate()
    const holder = await open(0, (point, { sql }) => (point === 'after' && isSelect(sql) ? held.pass() : undefined))
    const other = await open(1)
    const first = read(holder)
    await held.arrived
    const second = read(other)
    await settle()
    return { held, holder, other, first, second }
  }

  for (const [what, read] of [
    ['a row', (app: App) => byId(app)],
    ['a row that is not there', (app: App) => byId(app, -1)],
    ['a whole answer', list],
  ] as const) {
    test(`D17: of two that miss ${what} one asks, and the other is served by its fill`, async () => {
      const { held, holder, other, first, second } = await holderAndOther(read)
      await clock.advanceAndSettle(100)
      held.open()
      const rows = await first
      await clock.advanceAndSettle(100)
      expect(await second).toEqual(rows)
      expect([selects(holder), selects(other)]).toEqual([1, 0])
      expect(other.db.$aside.stats()).toMatchObject({ misses: 1, fills: 0, fillsAwaited: { served: 1, lapsed: 0 } })
    })

    test(`A11: where the fill of ${what} takes too long, or its process died, the other asks after 200 ms`, async () => {
      const { held, other, first, second } = await holderAndOther(read)
      await clock.advanceAndSettle(199)
      expect(selects(other)).toBe(0)
      await clock.advanceAndSettle(1)
      const rows = await second
      expect(selects(other)).toBe(1)
      expect(other.db.$aside.stats().fillsAwaited).toEqual({ served: 0, lapsed: 1 })
      held.open()
      expect(await first).toEqual(rows)
    })

    test(`A12: a write while ${what} is awaited: the other asks at once, and nothing old is kept`, async () => {
      const { held, other, first, second } = await holderAndOther(read)
      await other.db.$aside.wrote(items)
      await clock.advanceAndSettle(50)
      await second
      expect(selects(other)).toBe(1)
      held.open()
      await first
      await read(other)
      await read(other)
      expect(other.db.$aside.stats().hits).toBeGreaterThan(0)
    })
  }

  test('A1: a fill from before a write is never served to one who misses after it', async () => {
    const { held, other, first } = await holderAndOther((app) => byId(app))
    await other.db.update(items).set({ label: 'new' }).where(eq(items.id, 1))
    held.open()
    expect(await first).toMatchObject([{ label: 'old' }])
    const reading = byId(other)
    await clock.advanceAndSettle(300)
    expect(await reading).toMatchObject([{ label: 'new' }])
  })

  test('where nothing was stored, nobody is kept waiting', async () => {
    const held = gate()
    const tables = [cached(items, { maxRows: 1 })]
    const holder = await open(0, (point, { sql }) => (point === 'after' && isSelect(sql) ? held.pass() : undefined), {
      tables,
    })
    const other = await open(1, undefined, { tables })
    const first = list(holder)
    await held.arrived
    const second = list(other)
    held.open()
    expect(await first).toHaveLength(2)
    await clock.advanceAndSettle(40)
    expect(await second).toHaveLength(2)
  })

  test('a query that fails gives its token back, and the other asks', async () => {
    const held = gate()
    const holder = await open(0, async (point, { sql }) => {
      if (point !== 'after' || !/^select .* "items" where "items"."id" > /.test(sql)) return
      await held.pass()
      throw new Error('gone')
    })
    const other = await open(1)
    const failing = expect(list(holder)).rejects.toThrow()
    await held.arrived
    const second = list(other)
    held.open()
    await failing
    await clock.advanceAndSettle(40)
    expect(await second).toHaveLength(2)
  })
})

test('A12: continuous writes to a hot row starve no reader, and nobody reads what is older than it may be', async () => {
  const redis = await freshRedis()
  await ageRegister(redis.url, redis.namespace, database.name)
  const clients = await Promise.all([0, 1, 2].map(() => createClient({ url: redis.url }).connect()))
  const stores = clients.map((client) => redisStore(client))
  const open = (store: Store) =>
    openApp({ url: database.url, store, namespace: redis.namespace, tables: [cached(items)], fillToken: true })
  const [writer, ...readers] = (await Promise.all(stores.map(open))) as [App, App, App]
  const WRITES = 150
  let written = 0
  const done = new Map<number, number>()
  const write = async (): Promise<void> => {
    for (let n = 1; n <= WRITES; n++) {
      await writer.db.update(items).set({ n }).where(eq(items.id, 1))
      written = n
    }
  }
  const readOn = async (app: App, reader: number): Promise<void> => {
    while (written < WRITES) {
      const before = written
      const [row] = await app.db.select().from(items).where(eq(items.id, 1))
      expect(row?.n).toBeGreaterThanOrEqual(before)
      done.set(reader, (done.get(reader) ?? 0) + 1)
    }
  }
  const reading = readers.flatMap((app, at) => Array.from({ length: 10 }, (_, n) => readOn(app, 10 * at + n)))
  await Promise.all([write(), ...reading])
  expect(done.size).toBe(20)
  expect(Math.min(...done.values())).toBeGreaterThan(3)
  for (const app of readers)
    expect(await app.db.select().from(items).where(eq(items.id, 1))).toMatchObject([{ n: WRITES }])
  for (const app of [writer, ...readers]) await app.close()
  for (const store of stores) await store.close()
  for (const client of clients) client.destroy()
  await redis.drop()
})
