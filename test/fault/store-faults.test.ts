/** A store that loses, damages, delays or refuses things: queries answer, writes resolve, nothing stale is served (D, E-cut). */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { redisStore } from '@drizzle-aside/redis'
import { type AsideOptions, cached, memoryStore, type Store } from 'drizzle-aside'
import { count, desc, eq, inArray, sql } from 'drizzle-orm'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ManualClock, manualClock } from '../harness/clock.ts'
import { type FreshDatabase, freshDatabase, freshRedis } from '../harness/databases.ts'
import { gate, gatedStore, type StoreHook } from '../harness/gates.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import { tcpProxy } from '../harness/tcp-proxy.ts'
import { items, itemsSetUp, notes, outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'

type App = Awaited<ReturnType<typeof openApp>>

const byId = (app: App, id: number) => app.db.select().from(items).where(eq(items.id, id))
/** Rests on the whole table. */
const first = (app: App) => app.db.select().from(items).orderBy(items.id).limit(1)
const byCode = (app: App, code: string) => app.db.select().from(items).where(eq(items.code, code))
const rename = (app: App, id: number, label: string) => app.db.update(items).set({ label }).where(eq(items.id, id))

let database: FreshDatabase
let clock: ManualClock
let opened: App[]

beforeAll(async () => {
  database = await freshDatabase(18)
})
afterAll(() => database.drop())
beforeEach(async () => {
  await outside(database.url, 'drop table if exists items, notes', itemsSetUp)
  clock = manualClock()
  opened = []
})
afterEach(() => Promise.all(opened.map((app) => app.close())))

async function open(store: Store, more: Partial<AsideOptions> = {}): Promise<App> {
  const tables = [cached(items), cached(notes)]
  const app = await openApp({ url: database.url, namespace: 'faults', store, clock, tables, ...more })
  opened.push(app)
  return app
}

const isHit = async (app: App, id: number): Promise<boolean> =>
  (await app.db.$aside.explain(byId(app, id))).state === 'hit'

describe('a store that loses things', () => {
  /** Names in the store: `da1:namespace:db:` and then E (entry), R or V (stamps), A (epoch). */
  const kindOf = (key: string): string => /^da1:[^:]+:(?:\d+:|#)[^:]*:(.)/.exec(key)?.[1] ?? '?'

  test.for([
    ['entries', 'E'],
    ['row stamps', 'R'],
    ['stamps of unique keys', 'V'],
    ['epochs', 'A'],
    ['stamps of whole tables', 'T'],
    ['the register', 'F'],
    ['all entries and stamps', 'ERVTA'],
  ])('D4, 4: losing only %s costs misses and nothing else, before or after a write', async ([, kind]) => {
    const { url, namespace, drop } = await freshRedis()
    await ageRegister(url, namespace, database.name)
    const client = createClient({ url })
    await client.connect()
    const store = redisStore(client)
    const [app, other] = [await open(store, { namespace }), await open(store, { namespace })]
    const lose = async (): Promise<number> => {
      const keys = (await client.keys(`da1:${namespace}:*`)).filter((key) => kind?.includes(kindOf(key)))
      return keys.length > 0 ? client.unlink(keys) : 0
    }
    const warm = async (): Promise<void> => {
      for (let round = 0; round < 2; round++) {
        await byId(app, 1)
        await byCode(app, 'c1')
        await first(app)
      }
      await expect.poll(() => isHit(app, 1)).toBe(true)
    }
    // Whoever did not write asks first: the writer knows what it has removed.
    const expectLabel = async (label: string): Promise<void> => {
      for (const each of [other, app]) {
        expect(await byId(each, 1)).toMatchObject([{ label }])
        expect(await byCode(each, 'c1')).toMatchObject([{ label }])
        expect(await first(each)).toMatchObject([{ label }])
      }
    }
    // The one removes the stamps of the row, the other the epoch.
    const blindly = (_: App, id: number, label: string) =>
      app.db.execute(sql`update items set label = ${label} where id = ${id}`)
    for (const write of [rename, blindly]) {
      await warm()
      await expectLabel(write === rename ? 'old' : 'rename before the loss')
      // A register that was lost comes back with a heartbeat.
      expect(await lose()).toBeGreaterThanOrEqual(kind === 'F' && write === blindly ? 0 : 1)
      await write(app, 1, `${write.name} after the loss`)
      await expectLabel(`${write.name} after the loss`)
      await warm()
      await write(app, 1, `${write.name} before the loss`)
      await lose()
      await expectLabel(`${write.name} before the loss`)
    }
    await store.close()
    client.destroy()
    await drop()
  })

  test('D4: a stamp that is lost and minted anew does not revive what was filled under the old one', async () => {
    const texts = new Map<string, string>()
    const store = plainStore(texts)
    const app = await open(store)
    await byId(app, 1)
    const entries = new Map(texts)
    await rename(app, 1, 'new')
    await byId(app, 1)
    // The old entry comes back, as out of a snapshot; its stamps do not.
    for (const [key, text] of entries) if (key.includes(':E{')) texts.set(key, text)
    expect(await byId(app, 1)).toMatchObject([{ label: 'new' }])
  })
})

describe('a store that damages things', () => {
  const damages: [string, (text: string) => string][] = [
    ['empty', () => ''],
    ['another format', (text) => `2${text.slice(1)}`],
    ['cut in the middle of the row', (text) => text.slice(0, -5)],
    ['cut in the stamps', (text) => text.slice(0, text.indexOf('S000000.') + 10)],
    ['a row with fewer values', (text) => `${text.slice(0, text.lastIndexOf('['))}[1]`],
    ['a row that is no list', (text) => `${text.slice(0, text.lastIndexOf('['))}{"id":1}`],
    ['not JSON', (text) => `${text.slice(0, text.lastIndexOf('['))}[1,`],
    ['another flag', (text) => text.replace(/RS000000\./, 'QS000000.')],
    ['"no such row" with a row behind it', (text) => text.replace(/RS000000\./, 'NS000000.')],
    ['binary', () => '\u0000\uffff\u0001'],
  ]

  test.for(damages)(
    'D14, 7, 8: an entry that is %s is a miss, is read through, and is replaced',
    async ([, damage]) => {
      const texts = new Map<string, string>()
      const app = await open(plainStore(texts))
      await byId(app, 1)
      await byId(app, 1)
      const [key, text] = [...texts].find(([name]) => name.includes(':E{')) ?? ['', '']
      texts.set(key, damage(text))
      app.sql.reset()
      expect(await byId(app, 1)).toEqual(await byId({ ...app, db: app.plain as App['db'] }, 1))
      expect(app.sql.count(/select/)).toBe(2)
      await expect.poll(() => texts.get(key)).toBe(text)
      expect(app.told.of('storeFailed')).toEqual([])
    },
  )

  test('E2: an entry of another key, table or scope under this key’s name is a miss, even with this key’s stamps', async () => {
    const texts = new Map<string, string>()
    const app = await open(plainStore(texts))
    await byId(app, 1)
    await byId(app, 2)
    await app.db.select().from(notes).where(eq(notes.id, 1))
    const entries = [...texts].filter(([name]) => name.includes(':E{'))
    const stampsOf = (text: string): string[] => text.match(/S000000\.[\w-]{16}/g) ?? []
    for (const [key, own] of entries) {
      for (const [other, foreign] of entries) {
        if (other === key) continue
        // As a hash that collides would have it: the other's answer, under stamps that hold here.
        const [stamp = '', epoch = ''] = stampsOf(own)
        const [theirs = '', theirEpoch = ''] = stampsOf(foreign)
        texts.set(key, foreign.replace(theirs, stamp).replace(theirEpoch, epoch))
        expect(await byId(app, 1)).toMatchObject([{ id: 1 }])
        expect(await byId(app, 2)).toMatchObject([{ id: 2 }])
        texts.set(key, own)
      }
    }
  })

  test('E2: a list, a projection, a count or a join under the name of another is a miss, though they rest on the same', async () => {
    const texts = new Map<string, string>()
    const app = await open(plainStore(texts))
    const { db } = app
    const withN = (n: number) => db.select().from(items).where(eq(items.n, n)).orderBy(items.id)
    const queries = [
      () => withN(0),
      () => withN(1),
      () => db.select({ id: items.id }).from(items).where(eq(items.n, 0)).orderBy(items.id),
      () => db.select({ id: items.id }).from(items).where(eq(items.n, 0)).orderBy(desc(items.id)),
      () => db.select({ n: count() }).from(items).where(eq(items.n, 0)),
      () => db.select({ id: items.id }).from(items).innerJoin(notes, eq(notes.id, items.n)).orderBy(items.id),
    ]
    const answers: unknown[] = []
    for (const query of queries) answers.push(await query())
    const entries = [...texts].filter(([name]) => name.includes(':E{'))
    expect(entries).toHaveLength(queries.length)
    for (const [key, own] of entries) {
      for (const [, foreign] of entries) {
        texts.set(key, foreign)
        for (const [at, query] of queries.entries()) expect(await query()).toEqual(answers[at])
        texts.set(key, own)
      }
    }
    // And under their own names they are what is served.
    app.sql.reset()
    for (const query of queries) await query()
    expect(app.sql.count(/from "items"/)).toBe(0)
  })

  test('D14: a stamp that is not one (damage, another program’s value) is no hit and no fill', async () => {
    const texts = new Map<string, string>()
    const app = await open(plainStore(texts))
    await byId(app, 1)
    const stamp = [...texts.keys()].find((name) => name.includes(':R{')) ?? ''
    for (const text of ['', 'x', 'L000000.0123456789abcdef', 'S'.repeat(25)]) {
      texts.set(stamp, text)
      app.told.forget()
      expect(await byId(app, 1)).toHaveLength(1)
      expect(app.told.of('hit')).toEqual([])
      expect(app.told.of('fill')).toEqual([])
    }
    await rename(app, 1, 'new')
    expect(await byId(app, 1)).toMatchObject([{ label: 'new' }])
    expect(texts.get(stamp)).toMatch(/^S/)
  })
})

describe('a slow store', () => {
  test('D13: a read waits for its deadline and no longer, then asks the database', async () => {
    const held = gate()
    const store = gatedStore(memoryStore(), (point, { method }) =>
      point === 'before' && method === 'read' ? held.pass() : undefined,
    )
    const app = await open(store)
    const reading = byId(app, 1).then((rows) => rows)
    await held.arrived
    expect(app.sql.count()).toBe(0)
    await clock.advanceAndSettle(49)
    expect(app.sql.count()).toBe(0)
    await clock.advanceAndSettle(1)
    expect(await reading).toMatchObject([{ label: 'old' }])
    expect(app.told.of('storeLate')).toEqual([{ type: 'storeLate', step: 'read', deadlineMs: 50 }])
    expect(app.told.of('bypass')).toMatchObject([{ reason: 'store-failed' }])
    held.open()
  })

  test('D13: a fill whose stamps are late is given up, the answer is not', async () => {
    const held = gate()
    const store = gatedStore(memoryStore(), (point, { method }) =>
      point === 'before' && method === 'mint' ? held.pass() : undefined,
    )
    const app = await open(store)
    const reading = byId(app, 1).then((rows) => rows)
    await held.arrived
    await clock.advanceAndSettle(50)
    expect(await reading).toMatchObject([{ label: 'old' }])
    expect(app.told.of('fill')).toEqual([])
    held.open()
  })

  test('D13: nobody waits for an entry to be stored', async () => {
    const held = gate()
    const store = gatedStore(memoryStore(), (point, { method }) =>
      point === 'before' && method === 'write' ? held.pass() : undefined,
    )
    const app = await open(store)
    expect(await byId(app, 1)).toMatchObject([{ label: 'old' }])
    await held.arrived
    held.open()
    await expect.poll(() => isHit(app, 1)).toBe(true)
  })

  test('D13: a write resolves at its own deadline with an event; its keys wait, and arrive', async () => {
    const held = gate()
    const store = gatedStore(memoryStore(), (point, { method }) =>
      point === 'before' && method === 'remove' ? held.pass() : undefined,
    )
    const app = await open(store)
    await byId(app, 1)
    const writing = rename(app, 1, 'new').then((result) => result)
    await held.arrived
    await clock.advanceAndSettle(249)
    expect(app.told.of('pendingDelivery')).toEqual([])
    await clock.advanceAndSettle(1)
    await writing
    expect(app.told.of('pendingDelivery')).toMatchObject([{ keys: 3, epochs: 0 }])
    expect(await byId(app, 1)).toMatchObject([{ label: 'new' }])
    held.open()
    await clock.advanceAndSettle(2_000)
    await expect.poll(() => app.told.of('delivered').length).toBe(1)
    expect(await byId(app, 1)).toMatchObject([{ label: 'new' }])
  })
})

describe('a store that hangs', () => {
  test('after five reads nobody waits for it; it is tried by one question, and hits go on when it is back', async () => {
    let down = false
    const app = await open(gatedStore(memoryStore(), () => (down ? new Promise<void>(() => {}) : undefined)))
    await byId(app, 1)
    down = true
    for (let at = 0; at < 5; at++) {
      const read = byId(app, 1).then((rows) => rows)
      await clock.advanceAndSettle(51)
      expect(await read).toMatchObject([{ id: 1 }])
    }
    expect(app.told.of('breakerOpened')).toEqual([{ type: 'breakerOpened', of: 'reads', failures: 5, answers: 0 }])
    const { health, explain } = app.db.$aside
    expect(health()).toMatchObject({ state: 'degraded', remarks: [expect.stringContaining('until it answers')] })
    // The clock stands still: whoever waited would wait for ever.
    for (let at = 0; at < 20; at++) expect(await byId(app, 1)).toMatchObject([{ id: 1 }])
    expect(app.told.of('storeLate')).toHaveLength(5)
    expect(app.db.$aside.stats().bypassed).toEqual({ 'store-failed': 25 })
    down = false
    clock.advance(500)
    await byId(app, 1)
    await expect.poll(() => app.told.of('breakerClosed').length).toBe(1)
    expect((await explain(byId(app, 1))).state).toBe('hit')
    expect(health().state).toBe('ok')
  })
})

describe('E-cut: the store cannot be reached after the commit', () => {
  /** A store that can be cut off from one process. */
  function cuttable(inner: Store): { store: Store; cut(): void; heal(): void } {
    let down = false
    const hook: StoreHook = (point) => {
      if (down && point === 'before') throw new Error('the store is cut off')
    }
    return {
      store: gatedStore(inner, hook),
      cut: () => {
        down = true
      },
      heal: () => {
        down = false
      },
    }
  }

  test('16: the write resolves with an event; this process serves no hit until it is delivered; then all is well', async () => {
    const inner = memoryStore()
    const link = cuttable(inner)
    const app = await open(link.store)
    const other = await open(gatedStore(inner, () => undefined))
    for (const each of [app, other]) await byId(each, 1)
    await app.db.select().from(notes).where(eq(notes.id, 1))
    link.cut()
    await rename(app, 1, 'new')
    link.heal()
    // The store answers again, but the keys are still on their way.
    expect(app.told.of('pendingDelivery')).toMatchObject([{ keys: 3, epochs: 0 }])
    app.told.forget()
    expect(await byId(app, 1)).toMatchObject([{ label: 'new' }])
    await app.db.select().from(notes).where(eq(notes.id, 1))
    expect(app.told.of('hit')).toEqual([])
    expect(app.told.of('fill')).toEqual([])
    expect(app.told.of('bypass')).toMatchObject([{ reason: 'pending-delivery' }, { reason: 'pending-delivery' }])
    expect(app.db.$aside.health()).toMatchObject({ state: 'degraded', store: { pendingKeys: 3, pendingTables: 0 } })
    await clock.advanceAndSettle(50)
    await expect.poll(() => app.told.of('delivered').length).toBe(1)
    expect(app.db.$aside.health()).toMatchObject({ state: 'ok', store: { pendingKeys: 0 } })
    expect(await byId(other, 1)).toMatchObject([{ label: 'new' }])
    expect(await byId(app, 1)).toMatchObject([{ label: 'new' }])
    await byId(app, 1)
    expect(app.told.of('hit').length).toBeGreaterThan(0)
  })

  test('C13: while the store is down reads bypass it and every write still waits for delivery, merged', async () => {
    const link = cuttable(memoryStore())
    const app = await open(link.store)
    for (const id of [1, 2, 3]) await byId(app, id)
    link.cut()
    await rename(app, 1, 'one')
    await app.db.transaction((tx) => tx.update(items).set({ label: 'two' }).where(eq(items.id, 2)))
    await rename(app, 1, 'one again')
    await rename(app, 3, 'three')
    // A row and a unique key each, and the table's stamp once.
    expect(app.db.$aside.health().store.pendingKeys).toBe(7)
    for (const [id, label] of [
      [1, 'one again'],
      [2, 'two'],
      [3, 'three'],
    ] as const) {
      expect(await byId(app, id)).toMatchObject([{ label }])
    }
    link.heal()
    await clock.advanceAndSettle(2_000)
    await expect.poll(() => app.told.of('delivered').length).toBe(1)
    for (const [id, label] of [
      [1, 'one again'],
      [2, 'two'],
      [3, 'three'],
    ] as const) {
      expect(await byId(app, id)).toMatchObject([{ label }])
    }
  })

  test('beyond its bound the queue turns into whole tables, and nothing is forgotten', async () => {
    const link = cuttable(memoryStore())
    const app = await open(link.store, { queueBound: 10 })
    const ids = Array.from({ length: 30 }, (_, at) => at + 1)
    await app.db.select().from(items).where(inArray(items.id, ids))
    await app.db.select().from(notes).where(eq(notes.id, 1))
    link.cut()
    await app.db.update(notes).set({ body: 'new' }).where(eq(notes.id, 1))
    for (const id of ids) await rename(app, id, 'new')
    expect(app.db.$aside.health().store).toMatchObject({ pendingKeys: 2, pendingTables: 1 })
    expect(app.db.$aside.stats().bounds.queueBound).toBe(1)
    link.heal()
    await clock.advanceAndSettle(5_000)
    await expect.poll(() => app.told.of('delivered').length).toBe(1)
    const rows = await app.db.select().from(items).where(inArray(items.id, ids))
    expect(new Set(rows.map(({ label }) => label))).toEqual(new Set(['new']))
    expect(await app.db.select().from(notes).where(eq(notes.id, 1))).toMatchObject([{ body: 'new' }])
  })

  test('16: onPending: reject tells the caller that the write is committed and not delivered, in or out of a transaction', async () => {
    const link = cuttable(memoryStore())
    const app = await open(link.store, { onPending: 'reject' })
    await byId(app, 1)
    link.cut()
    const rejected = { code: 'ASIDE_NOT_DELIVERED', committed: true }
    await expect(rename(app, 1, 'new')).rejects.toMatchObject(rejected)
    const transaction = app.db.transaction((tx) => tx.update(items).set({ label: 'newer' }).where(eq(items.id, 1)))
    await expect(transaction).rejects.toMatchObject(rejected)
    expect(app.told.of('outcomeUnknown')).toEqual([])
    expect(await outside(database.url, 'select label from items where id = 1')).toEqual([{ label: 'newer' }])
    link.heal()
    await clock.advanceAndSettle(2_000)
    await expect.poll(() => app.told.of('delivered').length).toBe(1)
    expect(await byId(app, 1)).toMatchObject([{ label: 'newer' }])
  })

  test('what still waits when the app closes is tried once more', async () => {
    const inner = memoryStore()
    const link = cuttable(inner)
    const app = await open(link.store)
    const other = await open(gatedStore(inner, () => undefined))
    await byId(other, 1)
    link.cut()
    await rename(app, 1, 'new')
    link.heal()
    await app.db.$aside.close()
    expect(await byId(other, 1)).toMatchObject([{ label: 'new' }])
  })

  test('D3, 66: over a real Redis the link of one process is cut during a write, and comes back', async () => {
    const { url, namespace, drop } = await freshRedis()
    await ageRegister(url, namespace, database.name)
    const proxy = await tcpProxy(url)
    const [mine, theirs] = [
      createClient({ url: proxy.url, socket: { reconnectStrategy: 20 } }),
      createClient({ url }),
    ] as const
    for (const client of [mine, theirs]) client.on('error', () => {})
    await Promise.all([mine.connect(), theirs.connect()])
    const stores = [redisStore(mine), redisStore(theirs)] as const
    const app = await open(stores[0], { namespace })
    const other = await open(stores[1], { namespace })
    for (const each of [app, other]) await byId(each, 1)
    await expect.poll(() => isHit(other, 1)).toBe(true)
    proxy.refuse()
    await rename(app, 1, 'new')
    expect(app.told.of('pendingDelivery')).toHaveLength(1)
    expect(await byId(app, 1)).toMatchObject([{ label: 'new' }])
    proxy.heal()
    await expect
      .poll(async () => {
        await clock.advanceAndSettle(1_000)
        return app.told.of('delivered').length
      })
      .toBe(1)
    expect(await byId(other, 1)).toMatchObject([{ label: 'new' }])
    expect(await byId(app, 1)).toMatchObject([{ label: 'new' }])
    await Promise.all(stores.map((store) => store.close()))
    for (const client of [mine, theirs]) client.destroy()
    await proxy.close()
    await drop()
  })
})

test('F17: a store that throws from every method disturbs no query of any kind', async () => {
  const broken = gatedStore(memoryStore(), (point) => {
    if (point === 'before') throw new Error('broken')
  })
  const app = await open(broken)
  expect(await byId(app, 1)).toHaveLength(1)
  expect(await byCode(app, 'c1')).toHaveLength(1)
  expect(
    await app.db
      .select()
      .from(items)
      .where(inArray(items.id, [1, 2, 999])),
  ).toHaveLength(2)
  await rename(app, 1, 'new')
  expect(await app.db.insert(items).values({ id: 900, code: 'c900', label: 'x' }).returning()).toHaveLength(1)
  await app.db.delete(items).where(eq(items.id, 900))
  await app.db.$aside.flush()
  await app.db.$aside.invalidate(items, 1)
  expect(await byId(app, 1)).toMatchObject([{ label: 'new' }])
  expect(app.told.of('storeFailed').length).toBeGreaterThan(0)
})

test('D15: another process names every key alike, whatever the order of its tables and options', async () => {
  const { url, namespace, drop } = await freshRedis()
  await ageRegister(url, namespace, database.name)
  const client = createClient({ url })
  await client.connect()
  const store = redisStore(client)
  const app = await open(store, { namespace })
  const child = promisify(execFile)
  const script = fileURLToPath(new URL('./other-process.ts', import.meta.url))
  const run = (verb: string) =>
    child(process.execPath, ['--import', 'tsx', script, database.url, url, namespace, verb], {
      env: { ...process.env, TSX_TSCONFIG_PATH: fileURLToPath(new URL('../../tsconfig.json', import.meta.url)) },
    })
  await byId(app, 1)
  await byId(app, 1)
  await expect.poll(() => isHit(app, 1)).toBe(true)
  // The other process hits what this one has filled, and this one hits what the other has filled.
  expect(JSON.parse((await run('read')).stdout)).toMatchObject({ hits: 1, misses: 1 })
  await byCode(app, 'c2')
  expect(app.db.$aside.stats().byKind.unique).toMatchObject({ hits: 1, misses: 0 })
  // And what the other writes falls here.
  await run('write')
  expect(await byId(app, 1)).toMatchObject([{ label: 'by another process' }])
  await store.close()
  client.destroy()
  await drop()
})

/** A store over a map that the test can look into and change by hand. */
function plainStore(texts: Map<string, string>): Store {
  return {
    name: 'plain',
    processLocal: true,
    read: async (keys) => keys.map((key) => texts.get(key) ?? null),
    mint: async (stamps) =>
      stamps.map(({ key, text }) => {
        if (!texts.has(key)) texts.set(key, text)
        return texts.get(key) ?? null
      }),
    write: async (key, text) => void texts.set(key, text),
    remove: async (keys) => {
      for (const key of keys) texts.delete(key)
    },
    clear: async (prefix) => {
      for (const key of texts.keys()) if (key.startsWith(prefix)) texts.delete(key)
    },
    close: async () => {},
  }
}
