/** Several processes that miss the same answer: how many of them ask the database, and who is served (SCENARIOS A12, D17). */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { redisStore } from '@drizzle-aside/redis'
import { type AsideOptions, cached, memoryStore, type Store } from 'drizzle-aside'
import type { NewStamp } from 'drizzle-aside/store'
import { eq, gt, inArray } from 'drizzle-orm'
import { Client } from 'pg'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { manualClock, settle } from '../harness/clock.ts'
import { type FreshDatabase, freshDatabase, freshRedis } from '../harness/databases.ts'
import { gate, gatedStore, type StatementHook, type StoreHook } from '../harness/gates.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import { items, itemsSetUp, outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'

/** Fill tokens are shorter. */
const STAMP_LENGTH = 24

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

describe('many readers in four processes', () => {
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

  const oneRow = [[1], [1], [1], [1]]
  // Each shares five rows with the one before it and five with the one behind it, and has one of its own.
  const lists = [0, 1, 2, 3].map((at) => [...Array.from({ length: 10 }, (_, n) => 5 * at + n + 1), 90 + at])

  test.each([
    {
      what: 'one cold row without tokens: each process asks once',
      readers: 250,
      ids: oneRow,
      wait: 'none',
      queries: 4,
      asked: 4,
    },
    {
      what: 'one cold row with tokens: one asks, the others serve its fill',
      readers: 250,
      ids: oneRow,
      wait: '10s',
      queries: 1,
      asked: 1,
    },
    {
      what: 'lists of keys without tokens: each asks for all of its own',
      readers: 25,
      ids: lists,
      wait: 'none',
      queries: 4,
      asked: 44,
    },
    {
      what: 'lists of keys with tokens: each row is asked for once',
      readers: 25,
      ids: lists,
      wait: '10s',
      queries: 4,
      asked: 29,
    },
  ])('D17, 74: $what', async ({ readers, ids, wait, queries, asked }) => {
    const redis = await freshRedis()
    await ageRegister(redis.url, redis.namespace, database.name)
    // Who comes first with a table waits for the others to know of it; that is not what is shown here.
    const client = await createClient({ url: redis.url }).connect()
    const store = redisStore(client)
    const known = await openApp({ url: database.url, store, namespace: redis.namespace, tables: [cached(items)] })
    await known.db.select().from(items).where(eq(items.id, 80))
    await expect.poll(() => known.db.$aside.stats().fills).toBe(1)
    const processes = ids.map((own) =>
      start([database.url, redis.url, redis.namespace, wait, String(readers), String(own)]),
    )
    try {
      for (const { line } of processes) expect(await line()).toBe('ready')
      const held = await lockItems()
      for (const { child } of processes) child.stdin?.write('go\n')
      for (const { line } of processes) expect(await line()).toBe('missed')
      await expect.poll(held.waiting, { timeout: 20_000 }).toBe(queries)
      await held.open()
      const told = await Promise.all(processes.map(async ({ line }) => JSON.parse(await line())))
      const sum = (name: string): number => told.reduce((all, one) => all + one[name], 0)
      const served = ids.flat().length - asked
      expect({ queries: sum('queries'), asked: sum('asked'), right: sum('right') }).toEqual({
        queries,
        asked,
        right: 4 * readers,
      })
      expect({ served: sum('served'), lapsed: sum('lapsed') }).toEqual({ served, lapsed: 0 })
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
  const byIds = (app: App, ...ids: number[]) =>
    app.db
      .select()
      .from(items)
      .where(inArray(items.id, ids))
      .then((rows) => rows)
  /** The keys that each query of rows asked for. */
  const asked = (app: App): unknown[][] =>
    app.sql.statements.filter(({ sql }) => / from "items"/.test(sql)).map(({ params }) => params.map(Number))
  const selects = (app: App): number => app.sql.texts().filter((text) => / from "items"/.test(text)).length
  const isSelect = (sql: string): boolean => /^select .* "items"/.test(sql)

  /** A reader that holds the token and stands between its query and its fill, and another that has missed, too. */
  async function holderAndOther<T>(read: (app: App) => Promise<T>) {
    const held = gate()
    const holder = await open(0, (point, { sql }) => (point === 'after' && isSelect(sql) ? held.pass() : undefined))
    const other = await open(1)
    const first = read(holder)
    await held.arrived
    const second = read(other)
    await settle()
    return { held, holder, other, first, second }
  }

  for (const [what, read, count] of [
    ['a row', (app: App) => byId(app), 1],
    ['a row that is not there', (app: App) => byId(app, -1), 1],
    ['a list of keys', (app: App) => byIds(app, 1, 2, -1), 3],
    ['a whole answer', list, 1],
  ] as const) {
    test(`D17: of two that miss ${what} one asks, and the other is served by its fill`, async () => {
      const { held, holder, other, first, second } = await holderAndOther(read)
      await clock.advanceAndSettle(100)
      held.open()
      const rows = await first
      await clock.advanceAndSettle(100)
      expect(await second).toEqual(rows)
      expect([selects(holder), selects(other)]).toEqual([1, 0])
      expect(other.db.$aside.stats()).toMatchObject({
        ...{ misses: count, fills: 0, fillsAwaited: { served: count, lapsed: 0 } },
      })
    })

    test(`A11: where the fill of ${what} takes too long, or its process died, the other asks after 200 ms`, async () => {
      const { held, other, first, second } = await holderAndOther(read)
      await clock.advanceAndSettle(199)
      expect(selects(other)).toBe(0)
      await clock.advanceAndSettle(1)
      const rows = await second
      expect(selects(other)).toBe(1)
      expect(other.db.$aside.stats().fillsAwaited).toEqual({ served: 0, lapsed: count })
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

    test(`D17: of two that miss ${what} before either has a stamp of it one asks`, async () => {
      const minting = gate()
      const atStamps: StoreHook = (point, { method }) =>
        point === 'before' && method === 'mint' ? minting.pass() : undefined
      const [one, two] = [await open(0, undefined, gated(0, atStamps)), await open(1, undefined, gated(1, atStamps))]
      const reads = [read(one), read(two)] as const
      await settle()
      minting.open()
      const rows = await reads[0]
      await clock.advanceAndSettle(100)
      expect(await reads[1]).toEqual(rows)
      expect(selects(one) + selects(two)).toBe(1)
    })

    test(`a process that got no stamps of ${what} keeps nobody waiting`, async () => {
      const fails = gated(0, (point, { method, args }) => {
        const isStamps = method === 'mint' && (args as [[NewStamp]])[0][0].text.length === STAMP_LENGTH
        if (point === 'after' && isStamps) throw new Error('late')
      })
      const one = await open(0, undefined, fails)
      const rows = await read(one)
      await settle()
      const other = await open(1)
      expect(await read(other)).toEqual(rows)
      expect([selects(one), selects(other)]).toEqual([1, 1])
      expect(one.db.$aside.stats().fills).toBe(0)
    })
  }

  /** The store as one app sees it, with a hook of its own. */
  const gated = (at: number, hook: StoreHook) => ({ store: gatedStore(stores[at] as Store, hook) })

  test('D17: of a list another process asks for what nobody has in hand, in one query, and is served the rest', async () => {
    const held = gate()
    const holder = await open(0, (point, { sql }) => (point === 'after' && isSelect(sql) ? held.pass() : undefined))
    const other = await open(1)
    const reading = byIds(holder, 11, 12, 13)
    await held.arrived
    const mixed = byIds(other, 12, 13, 14, 15)
    await expect.poll(() => asked(other)).toEqual([[14, 15]])
    const alone = [byId(other, 12), byId(other, 14)]
    held.open()
    await reading
    await clock.advanceAndSettle(100)
    expect((await mixed).map(({ id }) => id)).toEqual([12, 13, 14, 15])
    expect(await Promise.all(alone)).toMatchObject([[{ id: 12 }], [{ id: 14 }]])
    expect(asked(other)).toEqual([[14, 15]])
  })

  test('two lists that wait for each other wait no longer than for their queries', async () => {
    const held = gate()
    const hook: StatementHook = (point, { sql }) => (point === 'after' && isSelect(sql) ? held.pass() : undefined)
    const [one, two] = [await open(0, hook), await open(1, hook)]
    const singles = [byId(one, 1), byId(two, 2)]
    await held.arrivals(2)
    const lists = [byIds(one, 1, 2, 3), byIds(two, 1, 2, 4)]
    await held.arrivals(4)
    held.open()
    await Promise.all(singles)
    await clock.advanceAndSettle(40)
    expect((await Promise.all(lists)).map((rows) => rows.map(({ id }) => id))).toEqual([
      [1, 2, 3],
      [1, 2, 4],
    ])
    expect([asked(one), asked(two)]).toEqual([
      [[1], [3]],
      [[2], [4]],
    ])
  })

  test('A12: a write to one row of a list that is awaited: that row is asked for at once, the others are served', async () => {
    const { held, holder, other, first, second } = await holderAndOther((app) => byIds(app, 1, 2, 3))
    await other.db.update(items).set({ label: 'new' }).where(eq(items.id, 2))
    other.sql.reset()
    await clock.advanceAndSettle(20)
    await expect.poll(() => asked(other)).toEqual([[2]])
    held.open()
    expect((await first).map(({ label }) => label)).toEqual(['old', 'old', 'old'])
    await clock.advanceAndSettle(100)
    expect((await second).map(({ label }) => label)).toEqual(['old', 'new', 'old'])
    expect([asked(holder), asked(other)]).toEqual([[[1, 2, 3]], [[2]]])
    expect((await byIds(holder, 1, 2, 3)).map(({ label }) => label)).toEqual(['old', 'new', 'old'])
  })

  test('who joins a row of a list that waits for another process waits with it', async () => {
    const held = gate()
    const long = { fillToken: { wait: '10s' } } as const
    await open(0, (point, { sql }) => (point === 'after' && isSelect(sql) ? held.pass() : undefined), long)
    const other = await open(1, undefined, long)
    const first = byId(apps[0] as App, 1)
    await held.arrived
    const readers = [byIds(other, 1, 2), byId(other, 1)]
    await clock.advanceAndSettle(3_000)
    held.open()
    await first
    await clock.advanceAndSettle(100)
    expect((await Promise.all(readers)).map((rows) => rows.map(({ id }) => id))).toEqual([[1, 2], [1]])
    expect(asked(other)).toEqual([[2]])
  })

  test('a refresh behind hits leaves out what another process has in hand, and is skipped where that is all', async () => {
    const held = gate()
    let hold = false
    const tables = [cached(items, { ttl: '1m', jitter: 0, refresh: { ahead: '10s' } })]
    const hook: StatementHook = (point, { sql }) =>
      hold && point === 'after' && isSelect(sql) ? held.pass() : undefined
    const [holder, other] = [await open(0, hook, { tables }), await open(1, undefined, { tables })]
    await byIds(holder, 1, 2)
    await clock.advanceAndSettle(55_000)
    for (const app of apps) await app.db.$aside.ready({ reload: true })
    other.sql.reset()
    hold = true
    await byId(holder, 1)
    await held.arrived
    await byIds(other, 1, 2)
    await expect.poll(() => other.db.$aside.stats().fills).toBe(1)
    await byId(other, 1)
    await expect.poll(() => other.db.$aside.stats().refreshes).toEqual({ begun: 2, failed: 0, skipped: 1 })
    held.open()
    await expect.poll(() => holder.db.$aside.stats().fills).toBe(3)
    expect(asked(other)).toEqual([[2]])
  })

  test('a list that waits for others holds no place of maxFills', async () => {
    const held = gate()
    await open(0, (point, { sql }) => (point === 'after' && isSelect(sql) ? held.pass() : undefined))
    const other = await open(1, undefined, { maxFills: 1 })
    const first = byId(apps[0] as App, 1)
    await held.arrived
    const waiting = byIds(other, 1, 2)
    await expect.poll(() => other.db.$aside.stats().fills).toBe(1)
    expect(await byId(other, 3)).toHaveLength(1)
    held.open()
    await first
    await clock.advanceAndSettle(40)
    expect(await waiting).toHaveLength(2)
  })

  test('A1: a fill from before a write is never served to one who misses after it', async () => {
    const { held, other, first } = await holderAndOther((app) => byId(app))
    await other.db.update(items).set({ label: 'new' }).where(eq(items.id, 1))
    held.open()
    expect(await first).toMatchObject([{ label: 'old' }])
    const reading = byId(other)
    await clock.advanceAndSettle(300)
    expect(await reading).toMatchObject([{ label: 'new' }])
  })

  test('of a list whose fill was kept in part nobody is kept waiting', async () => {
    await outside(database.url, `update items set label = repeat('x', 5000) where id = 2`)
    const held = gate()
    const tables = [cached(items, { maxBytes: 1_000 })]
    const hook: StatementHook = (point, { sql }) => (point === 'after' && isSelect(sql) ? held.pass() : undefined)
    const [holder, other] = [await open(0, hook, { tables }), await open(1, undefined, { tables })]
    const first = byIds(holder, 1, 2, 3)
    await held.arrived
    const second = byIds(other, 1, 2, 3)
    await settle()
    held.open()
    expect(await first).toHaveLength(3)
    await clock.advanceAndSettle(40)
    expect(await second).toHaveLength(3)
    expect(asked(other)).toEqual([[2]])
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
