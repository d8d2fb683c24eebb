/** `serveStaleOnError`: what is served while the database does not answer, and what never (PROTOCOL 11, 73; SCENARIOS D10). */
import { randomBytes } from 'node:crypto'
import { redisStore } from '@drizzle-aside/redis'
import { type AsideOptions, cached, memoryStore, type Store } from 'drizzle-aside'
import { and, asc, eq, gt, inArray, relations } from 'drizzle-orm'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ManualClock, manualClock } from '../harness/clock.ts'
import { type FreshDatabase, freshDatabase, freshRedis, privatePostgres } from '../harness/databases.ts'
import { gate, gatedStore, type StatementHook } from '../harness/gates.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import { type TcpProxy, tcpProxy } from '../harness/tcp-proxy.ts'
import { items, itemsSetUp, notes, outside } from '../support/items.ts'
import { openApp, openPostgresJs } from '../support/open-app.ts'

const itemsRelations = relations(items, ({ one }) => ({
  note: one(notes, { fields: [items.id], references: [notes.id] }),
}))
const schema = { items, notes, itemsRelations }
type App = Awaited<ReturnType<typeof openApp<typeof schema>>>

const HOUR = 3_600_000
const times = { ttl: '1m', negativeTtl: '1m', jitter: 0 } as const
const stale = { ...times, serveStaleOnError: { maxAge: '1h' } } as const

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase(18)
})
afterAll(() => database.drop())

describe('73: while the database is down', () => {
  let clock: ManualClock
  let store: Store
  let proxy: TcpProxy
  let closing: (() => Promise<unknown>)[]
  beforeEach(async () => {
    await outside(database.url, 'drop table if exists items, notes', itemsSetUp)
    proxy = await tcpProxy(database.url)
    clock = manualClock()
    store = memoryStore({ clock })
    closing = []
  })
  afterEach(async () => {
    proxy.heal()
    await Promise.all(closing.map((close) => close()))
    await proxy.close()
  })

  const shared = () => ({ clock, namespace: 'stale', schema, tables: [cached(items, stale), cached(notes, stale)] })

  async function open(options: Partial<AsideOptions> & { hook?: StatementHook; awaitReady?: boolean } = {}) {
    const app = await openApp({ ...shared(), store, url: proxy.url, ...options })
    closing.push(app.close)
    return app
  }

  /** Another process: its own pool, its own state; only what the store keeps is shared, and its database is reached. */
  async function elsewhere(options: Partial<AsideOptions> = {}) {
    const app = await openApp({ ...shared(), store: gatedStore(store, () => {}), url: database.url, ...options })
    closing.push(app.close)
    return app
  }

  const byId = (app: App, id = 1) =>
    app.db
      .select()
      .from(items)
      .where(eq(items.id, id))
      .then((rows) => rows)
  const rename = (app: App, id: number, label: string) => app.db.update(items).set({ label }).where(eq(items.id, id))
  const filled = (app: App) => expect.poll(() => app.db.$aside.stats().fills)
  const stats = (app: App) => {
    const { staleServed, staleRefused } = app.db.$aside.stats()
    return { staleServed, staleRefused }
  }

  const reads: Record<string, (app: App) => PromiseLike<unknown>> = {
    'a row': (app) => byId(app),
    'a row that was not there': (app) => byId(app, 777),
    'a row that a further condition refuses': (app) =>
      app.db
        .select()
        .from(items)
        .where(and(eq(items.id, 1), eq(items.label, 'none'))),
    'some columns of a row': (app) => app.db.select({ label: items.label }).from(items).where(eq(items.id, 1)).limit(1),
    'a row by unique key': (app) => app.db.select().from(items).where(eq(items.code, 'c1')),
    'a list of keys': (app) =>
      app.db
        .select()
        .from(items)
        .where(inArray(items.id, [3, 1, 777])),
    'a list': (app) => app.db.select().from(items).where(gt(items.id, 98)).orderBy(asc(items.id)),
    'a list that is empty': (app) => app.db.select().from(items).where(gt(items.id, 800)),
    'a join': (app) => app.db.select().from(notes).innerJoin(items, eq(items.id, notes.id)).orderBy(notes.id),
    'a relational query': (app) => app.db.query.items.findFirst({ where: eq(items.id, 1) }),
    'a relational query with partners': (app) =>
      app.db.query.items.findMany({ where: gt(items.id, 95), with: { note: true }, orderBy: asc(items.id) }),
    'a count': (app) => app.db.$count(items, gt(items.id, 50)),
  }

  for (const [what, read] of Object.entries(reads)) {
    test(`${what}: the last answer is served for an hour, however old the facts, and the new one when it is back`, async () => {
      const [app, other] = [await open(), await elsewhere()]
      const before = await read(app)
      // The first answer of a join with partners only tells which they are.
      await read(app)
      await filled(app).toBeGreaterThan(0)
      await other.db.update(items).set({ label: 'new' })
      await other.db.insert(items).values({ id: 777, code: 'c777', label: 'new' })
      await other.db.insert(items).values({ id: 900, code: 'c900', label: 'new' })
      proxy.refuse()
      expect(await read(app)).toEqual(before)
      await clock.advanceAndSettle(HOUR / 2)
      expect(await read(app)).toEqual(before)
      await clock.advanceAndSettle(HOUR / 2 - 1)
      expect(await read(app)).toEqual(before)
      expect(app.told.of('staleServed').map(({ ageMs }) => ageMs)).toEqual([0, HOUR / 2, HOUR - 1])
      expect(stats(app)).toEqual({ staleServed: 3, staleRefused: {} })
      await clock.advanceAndSettle(1)
      await expect(read(app)).rejects.toThrow(/^Failed query: select |ECONNRESET/)
      expect(stats(app)).toEqual({ staleServed: 3, staleRefused: { 'not-kept': 1 } })
      proxy.heal()
      expect(await read(app)).toEqual(await read(other))
    })
  }

  test('a hit whose facts are too old is served as what was known, and asks the database first', async () => {
    const app = await open({ tables: [cached(items, { ...stale, ttl: '2h' })] })
    await byId(app)
    await filled(app).toBe(1)
    await clock.advanceAndSettle(60_000)
    proxy.refuse()
    expect(await byId(app)).toMatchObject([{ label: 'old' }])
    expect(app.db.$aside.stats()).toMatchObject({ hits: 0, staleServed: 1, bypassed: { starting: 1 } })
    expect(app.told.of('staleServed')).toEqual([
      { type: 'staleServed', table: 'public.items', kind: 'key', ageMs: 60_000 },
    ])
  })

  test('what the store holds and what is missed of one list go together', async () => {
    const [app, other] = [await open(), await elsewhere()]
    const some = () =>
      app.db
        .select()
        .from(items)
        .where(inArray(items.id, [1, 2]))
    const before = await some()
    await filled(app).toBe(2)
    await rename(other, 1, 'new')
    proxy.refuse()
    expect(await some()).toEqual(before)
    const three = app.db
      .select()
      .from(items)
      .where(inArray(items.id, [1, 2, 3]))
    await expect(three).rejects.toThrow()
    expect(stats(app)).toEqual({ staleServed: 1, staleRefused: { 'not-kept': 1 } })
  })

  test('what another process has filled is served, too', async () => {
    const [app, other] = [await open(), await elsewhere()]
    await byId(other)
    await filled(other).toBe(1)
    await clock.advanceAndSettle(10 * 60_000)
    proxy.refuse()
    expect(await byId(app)).toMatchObject([{ label: 'old' }])
  })

  test('health names it, with what to do, until the database is back', async () => {
    const app = await open()
    await byId(app)
    await filled(app).toBe(1)
    const remarks = () => app.db.$aside.health().remarks.filter((text) => /^The database does not answer/.test(text))
    expect(remarks()).toEqual([])
    await clock.advanceAndSettle(60_000)
    proxy.refuse()
    await byId(app)
    expect(remarks()).toEqual([
      'The database does not answer: what was known is served where serveStaleOnError allows it. Bring the database back.',
    ])
    expect(app.db.$aside.health().state).toBe('degraded')
    proxy.heal()
    await byId(app, 2)
    expect(remarks()).toEqual([])
  })

  test('explain says for how long', async () => {
    const app = await open({
      tables: [cached(items, stale), cached(notes, { ...times, serveStaleOnError: { maxAge: '10m' } })],
    })
    const asked = app.db.select().from(items).where(eq(items.id, 1))
    expect(await app.db.$aside.explain(asked)).toMatchObject({ maxStaleMs: HOUR })
    expect(String(await app.db.$aside.explain(asked))).toContain('in an outage served up to 1 h after its query')
    const joined = app.db.select().from(notes).innerJoin(items, eq(items.id, notes.id))
    expect(await app.db.$aside.explain(joined)).toMatchObject({ maxStaleMs: 600_000 })
    const plain = await open({ tables: [cached(items)], namespace: 'other' })
    expect(await plain.db.$aside.explain(plain.db.select().from(items).where(eq(items.id, 1)))).toMatchObject({
      maxStaleMs: undefined,
    })
  })

  describe('what this process has written is never served as it was', () => {
    test('by the wrap that serves', async () => {
      const app = await open()
      for (const id of [1, 2]) await byId(app, id)
      await filled(app).toBe(2)
      await rename(app, 1, 'new')
      await clock.advanceAndSettle(60_000)
      proxy.refuse()
      await expect(byId(app, 1)).rejects.toThrow()
      expect(await byId(app, 2)).toMatchObject([{ label: 'old' }])
      expect(stats(app)).toEqual({ staleServed: 1, staleRefused: { 'own-write': 1 } })
    })

    test('by another wrap of the process, which serves nothing stale itself', async () => {
      const app = await open()
      const writer = await open({ url: database.url, tables: [cached(items)] } as Partial<AsideOptions>)
      for (const id of [1, 2]) await byId(app, id)
      await filled(app).toBe(2)
      await rename(writer, 1, 'new')
      await clock.advanceAndSettle(60_000)
      proxy.refuse()
      await expect(byId(app, 1)).rejects.toThrow()
      expect(await byId(app, 2)).toHaveLength(1)
    })

    test('before anybody asked for stale answers, and by a wrap that is closed', async () => {
      const other = await elsewhere()
      for (const id of [1, 2]) await byId(other, id)
      store = Object.assign(Object.create(store) as Store, { close: async () => {} })
      const early = await open({ tables: [cached(items)] })
      await rename(early, 1, 'new')
      await early.db.$aside.close()
      const app = await open()
      await rename(other, 2, 'newer')
      proxy.refuse()
      await expect(byId(app, 1)).rejects.toThrow()
      // It cannot be told from one of ours.
      await expect(byId(app, 2)).rejects.toThrow()
      expect(stats(app)).toEqual({ staleServed: 0, staleRefused: { 'own-write': 2 } })
    })

    test.each(['a list', 'a join', 'a relational query with partners', 'a count', 'a row that was not there'] as const)(
      '%s',
      async (what) => {
        const app = await open()
        const read = reads[what] as (app: App) => PromiseLike<unknown>
        await read(app)
        await read(app)
        await filled(app).toBeGreaterThan(0)
        await app.db.insert(items).values({ id: 777, code: 'c777', label: 'new' })
        await app.db.update(items).set({ label: 'new' }).where(gt(items.id, 0))
        proxy.refuse()
        await expect(read(app)).rejects.toThrow()
        expect(stats(app)).toMatchObject({ staleServed: 0, staleRefused: { 'own-write': 1 } })
      },
    )

    test('by a whole table, a tag, or a hint that something was written elsewhere', async () => {
      const app = await open()
      const list = () => reads['a list']?.(app)
      const tagged = () => app.db.$aside.with({ tag: 'home' }).select().from(notes).where(gt(notes.id, 3))
      await list()
      await tagged()
      await byId(app)
      await filled(app).toBe(3)
      await app.db.$aside.wrote(items)
      await app.db.$aside.invalidateTag('home')
      proxy.refuse()
      await expect(list()).rejects.toThrow()
      await expect(tagged()).rejects.toThrow()
      await expect(byId(app)).rejects.toThrow()
      expect(stats(app)).toEqual({ staleServed: 0, staleRefused: { 'own-write': 3 } })
    })

    test('by a fill whose query ran before the write, and whose copy came after it', async () => {
      const held = gate()
      let hold = true
      const app = await open({
        hook: (point, { sql }) =>
          hold && point === 'after' && /^select .* "items"/.test(sql) ? held.pass() : undefined,
      })
      const reading = byId(app)
      await held.arrived
      hold = false
      const writer = await open({ url: database.url } as Partial<AsideOptions>)
      await rename(writer, 1, 'new')
      held.open()
      expect(await reading).toMatchObject([{ label: 'old' }])
      await filled(app).toBe(1)
      proxy.refuse()
      await expect(byId(app)).rejects.toThrow()
      expect(stats(app)).toEqual({ staleServed: 0, staleRefused: { 'own-write': 1 } })
    })

    test('and what was filled after it is served, by whomever', async () => {
      const [app, other] = [await open(), await elsewhere()]
      for (const id of [1, 2]) await byId(app, id)
      await app.db
        .update(items)
        .set({ label: 'new' })
        .where(inArray(items.id, [1, 2]))
      await byId(app, 1)
      await byId(other, 2)
      await filled(other).toBe(1)
      await clock.advanceAndSettle(10 * 60_000)
      proxy.refuse()
      expect(await byId(app, 1)).toMatchObject([{ label: 'new' }])
      expect(await byId(app, 2)).toMatchObject([{ label: 'new' }])
      // Somebody else has written again, and nobody knows any more whether the copy is from before our own write.
      await rename(other, 1, 'newest')
      await expect(byId(app, 1)).rejects.toThrow()
    })

    test('as long as its copies may live', async () => {
      const app = await open()
      await byId(app)
      await filled(app).toBe(1)
      await clock.advanceAndSettle(1_000)
      await rename(app, 1, 'new')
      proxy.refuse()
      await clock.advanceAndSettle(HOUR - 1_001)
      await expect(byId(app)).rejects.toThrow()
      expect(stats(app)).toEqual({ staleServed: 0, staleRefused: { 'own-write': 1 } })
    })

    test('by a write whose outcome is not known, not even filled anew by others; the rest of its table is served', async () => {
      const [app, other] = [await open(), await elsewhere()]
      for (const id of [1, 2]) await byId(app, id)
      await filled(app).toBe(2)
      proxy.inspect((direction, chunk) =>
        direction === 'toClient' && chunk.toString('latin1').includes('COMMIT') ? 'cut' : 'pass',
      )
      const writing = app.db.transaction(async (tx) => {
        await tx.update(items).set({ label: 'new' }).where(eq(items.id, 1))
      })
      await expect(writing).rejects.toThrow()
      proxy.inspect(() => 'pass')
      proxy.refuse()
      await byId(other, 1)
      await filled(other).toBe(1)
      await clock.advanceAndSettle(60_000)
      await expect(byId(app, 1)).rejects.toThrow()
      expect(await byId(app, 2)).toMatchObject([{ label: 'old' }])
      expect(stats(app)).toEqual({ staleServed: 1, staleRefused: { 'own-write': 1 } })
    })

    test('and while its invalidations wait for the store nothing is', async () => {
      let cut = false
      const failing = gatedStore(store, (_, { method }) => {
        if (cut && /^remove/.test(method)) throw new Error('cut off')
      })
      const app = await open({ store: failing })
      for (const id of [1, 2]) await byId(app, id)
      await filled(app).toBe(2)
      cut = true
      await rename(app, 1, 'new')
      proxy.refuse()
      for (const id of [1, 2]) await expect(byId(app, id)).rejects.toThrow()
      expect(stats(app).staleServed).toBe(0)
    })
  })

  describe('nothing is served', () => {
    const refused = async (app: App, read: () => PromiseLike<unknown>): Promise<void> => {
      await expect((async () => read())()).rejects.toThrow()
      expect(stats(app).staleServed).toBe(0)
    }

    test('of a table that does not allow it, nor of a join with one', async () => {
      const app = await open({ tables: [cached(items, stale), cached(notes, times)] })
      const joined = () => reads['a join']?.(app) as PromiseLike<unknown>
      const note = () => app.db.select().from(notes).where(eq(notes.id, 1))
      await joined()
      await note()
      await filled(app).toBe(2)
      proxy.refuse()
      await clock.advanceAndSettle(60_000)
      await refused(app, joined)
      await refused(app, note)
    })

    test('of a table that says no where withCache says yes', async () => {
      const tables = [cached(items, times), cached(notes, { ...times, serveStaleOnError: false })]
      const app = await open({ tables, serveStaleOnError: { maxAge: '1h' } })
      const note = () => app.db.select().from(notes).where(eq(notes.id, 1))
      await note()
      await byId(app)
      await filled(app).toBe(2)
      await clock.advanceAndSettle(60_000)
      proxy.refuse()
      await refused(app, note)
      expect(await byId(app)).toHaveLength(1)
    })

    test('that is older than the least that one of several tables allows', async () => {
      const app = await open({
        tables: [cached(items, stale), cached(notes, { ...times, serveStaleOnError: { maxAge: '10m' } })],
      })
      const joined = () => reads['a join']?.(app) as PromiseLike<unknown>
      await joined()
      await filled(app).toBe(1)
      proxy.refuse()
      await clock.advanceAndSettle(600_000 - 1)
      await joined()
      await clock.advanceAndSettle(1)
      await expect(joined()).rejects.toThrow()
      expect(stats(app).staleServed).toBe(1)
    })

    test('in a transaction, switched off, past the cache, or closed', async () => {
      const app = await open({ namespace: 'gates' })
      const list = () => reads['a list']?.(app) as PromiseLike<unknown>
      await byId(app)
      await list()
      await filled(app).toBe(2)
      await clock.advanceAndSettle(60_000)
      // The transactions begin before the outage.
      const inside = app.db.transaction(async (tx) => {
        await tx.execute('select 1')
        proxy.refuse()
        return tx.select().from(items).where(eq(items.id, 1))
      })
      await refused(app, () => inside)
      proxy.heal()
      const listing = app.db.transaction(async (tx) => {
        await tx.execute('select 1')
        proxy.refuse()
        return tx.select().from(items).where(gt(items.id, 98)).orderBy(asc(items.id))
      })
      await refused(app, () => listing)
      await refused(app, () => app.db.select().from(items).where(eq(items.id, 1)).$withCache(false))
      await refused(app, () => app.db.$aside.with({ cache: false }).select().from(items).where(eq(items.id, 1)))
      await refused(app, () => app.db.select().from(items).where(eq(items.id, 1)).for('share'))
      app.db.$aside.reads('off')
      for (const read of [() => byId(app), list]) await refused(app, read)
      app.db.$aside.reads('on')
      expect(await byId(app)).toHaveLength(1)
      expect(await list()).toHaveLength(2)
      await app.db.$aside.close()
      for (const read of [() => byId(app), list]) await expect((async () => read())()).rejects.toThrow()
      expect(stats(app).staleServed).toBe(2)
    })

    test('to another tenant', async () => {
      let tenant = 'a'
      const app = await open({ scope: () => tenant })
      await byId(app)
      await reads['a list']?.(app)
      await filled(app).toBe(2)
      proxy.refuse()
      tenant = 'b'
      await refused(app, () => byId(app))
      await refused(app, () => reads['a list']?.(app) as PromiseLike<unknown>)
      tenant = 'a'
      await clock.advanceAndSettle(60_000)
      expect(await byId(app)).toHaveLength(1)
    })

    test('by a process that started in the outage: it knows nothing of the database', async () => {
      const other = await elsewhere()
      await byId(other)
      await filled(other).toBe(1)
      proxy.refuse()
      const app = await open({ awaitReady: false })
      await refused(app, () => byId(app))
    })

    test('that was changed or put in another place, where answers are encrypted', async () => {
      const keys = { k1: randomBytes(32) }
      const encryption = { keys, current: 'k1', tokenKey: randomBytes(32) }
      const written = new Map<string, string>()
      const spied = gatedStore(store, (_, { method, args }) => {
        if (method === 'write') written.set(args[0] as string, args[1] as string)
      })
      const app = await open({ store: spied, encryption })
      for (const id of [1, 2]) await byId(app, id)
      await reads['a list']?.(app)
      await filled(app).toBe(3)
      await clock.advanceAndSettle(60_000)
      proxy.refuse()
      for (const id of [1, 2]) expect(await byId(app, id)).toMatchObject([{ id }])
      expect(await reads['a list']?.(app)).toHaveLength(2)
      const copies = [...written].filter(([key]) => key.endsWith('!stale'))
      expect(copies).toHaveLength(3)
      for (const [key, text] of copies) {
        expect(text).not.toContain('old')
        const younger = `${text.slice(0, 9)}${text[9] === 'z' ? 'y' : 'z'}${text.slice(10)}`
        await store.write(key, younger, HOUR, [], 0)
      }
      for (const id of [1, 2]) await expect(byId(app, id)).rejects.toThrow()
      await expect(reads['a list']?.(app)).rejects.toThrow()
      // Nor does the entry pass for a copy.
      for (const [key, text] of copies) {
        const entry = written.get(key.slice(0, -'!stale'.length)) as string
        await store.write(key, text.slice(0, 10) + entry, HOUR, [], 0)
      }
      for (const id of [1, 2]) await expect(byId(app, id)).rejects.toThrow()
      await expect(reads['a list']?.(app)).rejects.toThrow()
      expect(app.db.$aside.stats()).toMatchObject({ staleServed: 3, payloadsRefused: { 'not-authentic': 6 } })
    })
  })

  test.each([
    ['a syntax error', '42601'],
    ['a privilege that is gone', '42501'],
    ['a statement that took too long', '57014'],
    ['a lock that took too long', '55P03'],
    ['a conflict', '40001'],
    ['a password that does not count any more', '28P01'],
    ['a database that was dropped', '57P04'],
  ])('%s (%s) is the answer of the database, and told as it is', async (_, code) => {
    let broken = false
    const app = await open({
      hook: (point, { sql }) => {
        if (broken && point === 'before' && /"items"/.test(sql)) throw Object.assign(new Error('no'), { code })
      },
    })
    await byId(app)
    await reads['a list']?.(app)
    await filled(app).toBe(2)
    broken = true
    await clock.advanceAndSettle(60_000)
    await expect(byId(app)).rejects.toMatchObject({ cause: { code } })
    await expect(reads['a list']?.(app)).rejects.toMatchObject({ cause: { code } })
    expect(stats(app)).toEqual({ staleServed: 0, staleRefused: {} })
  })

  test.each(['57P01', '57P03', '53300', '08006'])('%s is an outage', async (code) => {
    let broken = false
    const app = await open({
      hook: (point, { sql }) => {
        if (broken && point === 'before' && /"items"/.test(sql)) throw Object.assign(new Error('no'), { code })
      },
    })
    await byId(app)
    await filled(app).toBe(1)
    broken = true
    await clock.advanceAndSettle(60_000)
    expect(await byId(app)).toHaveLength(1)
  })

  test.each([
    ['rows', (app: App, at: number) => byId(app, at), 100],
    ['one row', (app: App) => byId(app, 1), 1],
    ['lists', (app: App, at: number) => app.db.select().from(items).where(gt(items.id, at)), 100],
    ['one list', (app: App) => app.db.select().from(items).where(gt(items.id, 98)), 1],
  ] as const)(
    'D17: a hundred readers of %s wait for no turn to find that the database is down',
    async (_, read, keys) => {
      let held: ReturnType<typeof gate> | undefined
      const app = await open({
        maxFills: 1,
        fillToken: true,
        hook: async (point, { sql }) => {
          if (!held || point !== 'before' || !/"items"/.test(sql)) return
          await held.pass()
          throw Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' })
        },
      })
      const readers = Array.from({ length: 100 }, (__, at) => (keys === 1 ? 1 : at + 1))
      for (const at of new Set(readers)) await read(app, at)
      await filled(app).toBe(keys)
      await clock.advanceAndSettle(20_000)
      // All but the epoch is gone, as if others had written; a second later each has lost patience with those before him.
      const removed = gatedStore(store, () => {})
      const other = await elsewhere({ store: removed })
      await other.db.update(items).set({ label: 'new' })
      held = gate()
      app.sql.reset()
      const answers = Promise.all(readers.map((at) => read(app, at)))
      await held.arrived
      await clock.advanceAndSettle(2_000)
      held.open()
      expect((await answers).flat().every(({ label }) => label === 'old')).toBe(true)
      expect(app.sql.texts().filter((text) => /from "items"/.test(text))).toHaveLength(1)
      expect(stats(app)).toEqual({ staleServed: 100, staleRefused: {} })
    },
  )

  test('nothing is served of records that are lost', async () => {
    let code: string | undefined
    const app = await open({
      hook: (point, { sql }) => {
        if (code && point === 'before' && /"items"/.test(sql)) throw Object.assign(new Error('no'), { code })
      },
    })
    await byId(app)
    await filled(app).toBe(1)
    const other = await elsewhere()
    await rename(other, 1, 'new')
    code = '42501'
    await expect(byId(app)).rejects.toMatchObject({ cause: { code } })
    expect(app.told.of('recordsLost')).toHaveLength(1)
    code = '57P01'
    await expect(byId(app)).rejects.toMatchObject({ cause: { code } })
    await clock.advanceAndSettle(60_000)
    await expect(byId(app)).rejects.toMatchObject({ cause: { code } })
    expect(stats(app).staleServed).toBe(0)
  })

  test('an answer is as old as the beginning of its query, and one whose query took too long is not kept', async () => {
    const held = [gate(), gate()] as const
    let at = -1
    const app = await open({
      hook: (point, { sql }) => (at >= 0 && point === 'after' && /"items"/.test(sql) ? held[at]?.pass() : undefined),
    })
    for (const minutes of [61, 50]) {
      await app.db.$aside.ready({ reload: true })
      at++
      const reading = byId(app, at + 1)
      await held[at]?.arrived
      await clock.advanceAndSettle(minutes * 60_000)
      held[at]?.open()
      await reading
    }
    at = -1
    await filled(app).toBe(2)
    proxy.refuse()
    await expect(byId(app, 1)).rejects.toThrow()
    expect(await byId(app, 2)).toMatchObject([{ id: 2 }])
    expect(app.told.of('staleServed').map(({ ageMs }) => ageMs)).toEqual([50 * 60_000])
    expect(stats(app)).toEqual({ staleServed: 1, staleRefused: { 'not-kept': 1 } })
  })

  test('a statement timeout of the server itself is told', async () => {
    const app = await openApp({
      ...{ ...shared(), store, url: database.url },
      pool: { options: '-c statement_timeout=200' },
    })
    closing.push(app.close)
    await byId(app)
    await filled(app).toBe(1)
    await clock.advanceAndSettle(60_000)
    const locking = await elsewhere()
    await locking.db.transaction(async (tx) => {
      await tx.execute('lock table items in access exclusive mode')
      await expect(byId(app)).rejects.toMatchObject({ cause: { code: '57014' } })
    })
    expect(stats(app)).toEqual({ staleServed: 0, staleRefused: {} })
  })

  test('fills cost one more write each where a table allows it, and hits nothing; other tables nothing at all', async () => {
    const calls: string[] = []
    const spied = gatedStore(store, (point, { method, args }) => {
      if (point === 'before') calls.push(method === 'read' ? `read ${(args[0] as string[]).length}` : method)
    })
    const app = await open({ store: spied, tables: [cached(items, stale), cached(notes, times)] })
    const count = async (read: () => PromiseLike<unknown>): Promise<string[]> => {
      calls.length = 0
      await read()
      await clock.advanceAndSettle(0)
      return [...calls]
    }
    expect(await count(() => byId(app))).toEqual(['read 3', 'mint', 'write', 'write'])
    expect(await count(() => byId(app))).toEqual(['read 3'])
    const note = () => app.db.select().from(notes).where(eq(notes.id, 1))
    expect(await count(note)).toEqual(['read 3', 'mint', 'write'])
    expect(await count(note)).toEqual(['read 3'])
  })
})

test('73, D10: a PostgreSQL that is killed, over both drivers and Redis; what was known is served, and the new when it is back', async () => {
  const server = await privatePostgres(18)
  const redis = await freshRedis()
  const clients = await Promise.all([0, 1].map(() => createClient({ url: redis.url }).connect()))
  const [first, second] = clients.map((client) => redisStore(client)) as [Store, Store]
  await outside(server.url, itemsSetUp)
  await ageRegister(redis.url, redis.namespace, 'postgres')
  const shared = { namespace: redis.namespace, tables: [cached(items, stale), cached(notes, stale)], url: server.url }
  const pool = await openApp({ ...shared, store: first })
  const js = await openPostgresJs({ ...shared, store: second, postgres: { fetch_types: false } })
  try {
    const read = async (app: Awaited<ReturnType<typeof openApp>>) => [
      await app.db.select().from(items).where(eq(items.id, 1)),
      await app.db.select().from(items).where(gt(items.id, 98)).orderBy(items.id),
      await app.db.$count(items),
    ]
    const both = [pool, js as unknown as typeof pool] as const
    const before = [await read(both[0]), await read(both[1])]
    for (const { db } of both) await expect.poll(() => db.$aside.stats().fills).toBe(3)
    await outside(server.url, `update items set label = 'new'`)
    for (const { db } of both) await db.$aside.ready()
    await server.kill()
    // Whatever was valid is a hit; so that nothing is, the entries' stamps go with the help of a third party.
    await second.remove(await stampsOf(redis.url, redis.namespace))
    expect([await read(both[0]), await read(both[1])]).toEqual(before)
    for (const { db } of both) expect(db.$aside.stats()).toMatchObject({ staleServed: 3, staleRefused: {} })
    for (const { db } of both) expect(db.$aside.health().state).toBe('degraded')
    await server.restart()
    for (const app of both) expect((await read(app))[0]).toMatchObject([{ label: 'new' }])
  } finally {
    for (const app of [pool, js]) await app.close()
    for (const each of [first, second]) await each.close()
    for (const client of clients) client.destroy()
    await redis.drop()
    await server.stop()
  }
})

/** Keys of the stamps of rows, classes and tables of a namespace: what others remove when they write. */
async function stampsOf(url: string, namespace: string): Promise<string[]> {
  const client = await createClient({ url }).connect()
  const keys = await client.keys(`da1:${namespace}:*`)
  client.destroy()
  return keys.filter((key) => /^da1:[^:]+:\d+:[^:]+:[RVT]\{/.test(key))
}

test('73: a copy that the store still holds is refused by its age', async () => {
  const redis = await freshRedis()
  const client = await createClient({ url: redis.url }).connect()
  const store = redisStore(client)
  await outside(database.url, 'drop table if exists items, notes', itemsSetUp)
  await ageRegister(redis.url, redis.namespace, database.name)
  const proxy = await tcpProxy(database.url)
  let wallMs = 1_700_000_000_000
  const clock = {
    now: () => performance.now(),
    wallNow: () => wallMs,
    setTimer(run: () => void, ms: number) {
      const timer = setTimeout(run, ms)
      return () => clearTimeout(timer)
    },
  }
  const app = await openApp({
    ...{ url: proxy.url, store, namespace: redis.namespace, clock },
    tables: [cached(items, stale)],
  })
  try {
    const read = () => app.db.select().from(items).where(eq(items.id, 1))
    await read()
    await expect.poll(() => app.db.$aside.stats().fills).toBe(1)
    await store.remove(await stampsOf(redis.url, redis.namespace))
    proxy.refuse()
    wallMs += HOUR - 10_000
    expect(await read()).toHaveLength(1)
    wallMs += 10_001
    await expect(read()).rejects.toThrow()
    expect(app.db.$aside.stats()).toMatchObject({ staleServed: 1, staleRefused: { 'too-old': 1 } })
  } finally {
    proxy.heal()
    await app.close()
    await store.close()
    client.destroy()
    await redis.drop()
    await proxy.close()
  }
})
