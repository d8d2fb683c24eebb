/** Whose answer is it: keys that imitate each other, tenants, roles, session settings, volatile text (E1, E3, E7–E9, E11). */
import { cached, memoryStore, type Store } from 'drizzle-aside'
import { and, eq, gt, inArray, sql } from 'drizzle-orm'
import { bigint, integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../../harness/databases.ts'
import { gate } from '../../harness/gates.ts'
import { hostileTexts } from '../../support/hostile-texts.ts'
import { items, itemsSetUp, outside } from '../../support/items.ts'
import { openApp, openSingle } from '../../support/open-app.ts'

const pairs = pgTable('pairs', { a: text(), b: text(), v: text() }, (t) => [primaryKey({ columns: [t.a, t.b] })])
const words = pgTable('words', { w: text().primaryKey(), v: text() })
const numbers = pgTable('numbers', { n: bigint({ mode: 'bigint' }).primaryKey(), v: text() })
const secured = pgTable('secured', { id: integer().primaryKey(), owner: text() })

type App = Awaited<ReturnType<typeof openApp>>
let database: FreshDatabase
let store: Store
let opened: { close(): Promise<void> }[]

beforeAll(async () => {
  database = await freshDatabase(18)
  await outside(
    database.url,
    `${itemsSetUp}
    create table pairs (a text, b text, v text, primary key (a, b));
    create table words (w text primary key, v text);
    create table numbers (n bigint primary key, v text);
    create table secured (id int primary key, owner text);
    insert into secured select i, 'app_' || i % 2 from generate_series(1, 4) i;
    create role app_0 nologin; create role app_1 nologin;
    grant all on secured to app_0, app_1;
    alter table secured enable row level security;
    alter table secured force row level security;
    create policy own on secured using (owner = current_user or owner = current_setting('app.owner', true));
    create schema other; create table other.items (like public.items including all);
    insert into other.items values (1, 'c1', 'of the other schema', 0);`,
  )
})
afterAll(async () => {
  await database.drop()
})
beforeEach(() => {
  store = memoryStore()
  opened = []
})
afterEach(() => Promise.all(opened.map((app) => app.close())))

const tables = [cached(items), cached(pairs), cached(words), cached(numbers), cached(secured)]
async function open(options: Partial<Parameters<typeof openApp>[0]> = {}): Promise<App> {
  const app = await openApp({ url: database.url, store, namespace: 'identity', tables, ...options })
  opened.push(app)
  return app
}
const byId = (app: Pick<App, 'db'>, id: number) => app.db.select().from(items).where(eq(items.id, id))

test('E1: keys made of delimiters, lengths, digests and twins never meet: single text keys', async () => {
  const app = await open()
  await outside(database.url, 'truncate words')
  for (const [at, w] of hostileTexts.entries()) await app.db.insert(words).values({ w, v: `word ${at}` })
  for (const _ of ['miss', 'hit']) {
    for (const [at, w] of hostileTexts.entries()) {
      expect(await app.db.select().from(words).where(eq(words.w, w))).toEqual([{ w, v: `word ${at}` }])
    }
  }
  expect(app.db.$aside.stats().hits).toBeGreaterThanOrEqual(hostileTexts.length)
  // A write to one drops that one and no other.
  const before = app.db.$aside.stats().hits
  await app.db.update(words).set({ v: 'changed' }).where(eq(words.w, '1'))
  for (const [at, w] of hostileTexts.entries()) {
    const v = w === '1' ? 'changed' : `word ${at}`
    expect(await app.db.select().from(words).where(eq(words.w, w))).toEqual([{ w, v }])
  }
  expect(app.db.$aside.stats().hits).toBe(before + hostileTexts.length - 1)
})

test('E1: composite keys whose parts could be cut differently never meet, in any order and in lists', async () => {
  const app = await open()
  await outside(database.url, 'truncate pairs')
  const parts = ['', ':', ',', '1', '1:1', '1:', ':1', 'a', 'a,', ',a', 'a:b', '{}', '#', '0:', '2:ab', 'x'.repeat(65)]
  const all = parts.flatMap((a) => parts.map((b) => ({ a, b, v: JSON.stringify([a, b]) })))
  await app.db.insert(pairs).values(all)
  for (const _ of ['miss', 'hit']) {
    for (const { a, b, v } of all) {
      expect(
        await app.db
          .select()
          .from(pairs)
          .where(and(eq(pairs.b, b), eq(pairs.a, a))),
      ).toEqual([{ a, b, v }])
    }
  }
  const found = await app.db
    .select()
    .from(pairs)
    .where(and(inArray(pairs.a, parts), eq(pairs.b, '1:')))
  expect(new Set(found.map(({ v }) => v))).toEqual(new Set(parts.map((a) => JSON.stringify([a, '1:']))))
})

test('E1: numbers and their texts, beyond 2^53 too, are told apart or together as PostgreSQL does', async () => {
  const app = await open()
  await outside(
    database.url,
    'truncate numbers',
    `insert into numbers values (9007199254740992, 'even'), (9007199254740993, 'odd'), (-1, 'minus'), (0, 'zero')`,
  )
  const of = (n: unknown) =>
    app.db
      .select({ v: numbers.v })
      .from(numbers)
      .where(eq(numbers.n, n as bigint))
  for (const _ of ['miss', 'hit']) {
    expect(await of(9007199254740992n)).toEqual([{ v: 'even' }])
    expect(await of(9007199254740993n)).toEqual([{ v: 'odd' }])
    expect(await of(sql`9007199254740993`)).toEqual([{ v: 'odd' }])
    expect(await of('9007199254740993')).toEqual([{ v: 'odd' }])
    expect(await of(-0)).toEqual([{ v: 'zero' }])
    expect(await of('-0')).toEqual([{ v: 'zero' }])
    expect(await of(' 0')).toEqual([{ v: 'zero' }])
  }
  await app.db.update(numbers).set({ v: 'changed' }).where(eq(numbers.n, 0n))
  for (const n of [0n, '0', '-0', '+0', '00', -0]) expect(await of(n)).toEqual([{ v: 'changed' }])
})

test('E3: a partial projection and a full read of one row share a record and disturb each other’s shape in nothing', async () => {
  const app = await open()
  expect(await app.db.select({ only: items.label }).from(items).where(eq(items.id, 1))).toEqual([{ only: 'old' }])
  const whole = [{ id: 1, code: 'c1', label: 'old', n: 0 }]
  expect(await byId(app, 1)).toEqual(whole)
  expect(
    await app.db
      .select({ deep: { n: items.n, id: items.id } })
      .from(items)
      .where(eq(items.id, 1)),
  ).toEqual([{ deep: { n: 0, id: 1 } }])
  expect(app.sql.count(/select/)).toBe(1)
})

test('E7: tenants share a store and no entry: 1 and "1", a tenant that is missing, a scope that throws', async () => {
  let tenant: unknown = 1
  const app = await open({
    scope: () => {
      if (tenant === 'throws') throw new Error('who is it?')
      return tenant
    },
  })
  const fills = () => app.db.$aside.stats().fills
  const long = ['t'.repeat(65), `${'t'.repeat(64)}u`]
  for (const scope of [1, '1', 1n, true, 'true', 's1:1', '', 0, ...long]) {
    tenant = scope
    const before = fills()
    await byId(app, 1)
    await byId(app, 1)
    expect(fills()).toBe(before + 1)
  }
  for (const scope of [undefined, null, 'throws', {}, Number.NaN, Symbol('x'), []]) {
    tenant = scope
    const before = fills()
    app.told.forget()
    expect(await byId(app, 1)).toHaveLength(1)
    expect(fills()).toBe(before)
    expect(app.told.of('bypass')).toMatchObject([{ reason: 'no-scope' }])
  }
  // A write by one tenant is seen by all of them.
  tenant = undefined
  await app.db.update(items).set({ label: 'for all' }).where(eq(items.id, 1))
  for (const scope of [1, '1', ...long]) {
    tenant = scope
    expect(await byId(app, 1)).toMatchObject([{ label: 'for all' }])
  }
  await app.db.update(items).set({ label: 'old' }).where(eq(items.id, 1))
})

test('E7: a table with row security is never cached without a scope, and per scope with one', async () => {
  const app = await open()
  await app.db.select().from(secured).where(eq(secured.id, 1))
  expect(app.told.of('bypass')).toMatchObject([{ reason: 'row-security' }])
  expect(app.told.of('fill')).toEqual([])
  const [zero, one] = await Promise.all(
    ['app_0', 'app_1'].map((role) => open({ scope: () => role, pool: { options: `-c role=${role}` } })),
  )
  for (const _ of ['miss', 'hit']) {
    for (const [each, owner] of [
      [zero, 'app_0'],
      [one, 'app_1'],
    ] as const) {
      for (const id of [1, 2]) {
        const rows = await each?.db.select().from(secured).where(eq(secured.id, id))
        expect(rows).toEqual(owner === `app_${id % 2}` ? [{ id, owner }] : [])
      }
    }
  }
  for (const each of [zero, one]) expect(each?.db.$aside.stats()).toMatchObject({ hits: 2, negativeHits: 1, misses: 2 })
})

test('E7: SET ROLE, search_path and custom settings outside a transaction end the cache for that client', async () => {
  const changes = [
    `set role app_1`,
    `set search_path to other`,
    `set app.owner = 'x'`,
    `select set_config('app.owner', 'x', false)`,
    `reset role`,
    `set session authorization default`,
    `set time zone 'UTC'`,
    `discard all`,
  ]
  for (const change of changes) {
    const app = await openSingle({ url: database.url, store, namespace: 'identity', tables })
    await byId(app as unknown as App, 1)
    await app.db.execute(sql.raw(change))
    app.told.forget()
    await app.db
      .select()
      .from(items)
      .where(eq(items.id, 1))
      .then(
        () => undefined,
        () => undefined,
      )
    expect(app.told.of('bypass'), change).toMatchObject([{ reason: 'session-changed' }])
    expect(app.told.of('fill')).toEqual([])
    await app.close()
  }
})

test('E7: SET LOCAL and set_config(…, true) in a transaction end with it', async () => {
  const app = await open()
  await byId(app, 1)
  await app.db.transaction(async (tx) => {
    await tx.execute(sql`set local search_path to other`)
    await tx.execute(sql`select set_config('app.owner', 'x', true)`)
    expect(await tx.select().from(items).where(eq(items.id, 1))).toMatchObject([{ label: 'of the other schema' }])
  })
  app.told.forget()
  expect(await byId(app, 1)).toMatchObject([{ label: 'old' }])
  expect(app.told.of('hit')).toHaveLength(1)
})

test('E7: connections with another search_path, time zone or role read other entries', async () => {
  const app = await open()
  const elsewhere = await open({ pool: { options: '-c search_path=other' } })
  expect(await byId(app, 1)).toMatchObject([{ label: 'old' }])
  expect(await byId(elsewhere, 1)).toMatchObject([{ label: 'of the other schema' }])
  expect(await byId(app, 1)).toMatchObject([{ label: 'old' }])
  await elsewhere.db.update(items).set({ label: 'changed there' }).where(eq(items.id, 1))
  expect(await byId(elsewhere, 1)).toMatchObject([{ label: 'changed there' }])
  expect(await byId(app, 1)).toMatchObject([{ label: 'old' }])
  const zoned = await open({ pool: { options: '-c TimeZone=Asia/Tokyo' } })
  zoned.told.forget()
  await byId(zoned, 1)
  expect(zoned.told.of('hit')).toEqual([])
  await outside(database.url, `update other.items set label = 'of the other schema'`)
})

test('E8, 53: volatile text in the selection or the condition reaches the database each time', async () => {
  const app = await open()
  await byId(app, 1)
  const one = eq(items.id, 1)
  const queries = [
    () => app.db.select({ id: items.id, r: sql`random()` }).from(items).where(one),
    () => app.db.select({ now: sql`clock_timestamp()` }).from(items).where(one),
    () => app.db.select().from(items).where(and(one, sql`random() >= 0`)),
    () =>
      app.db
        .select()
        .from(items)
        .where(and(one, gt(sql`clock_timestamp()`, sql`now() - interval '1 day'`))),
    () => app.db.select({ l: sql`pg_try_advisory_lock(1)` }).from(items).where(one),
    () => app.db.select().from(items).where(eq(items.id, sql`floor(random())::int + 1`)),
  ] as (() => Promise<unknown[]>)[]
  for (const query of queries) {
    app.sql.reset()
    expect(await query()).toHaveLength(1)
    expect(await query()).toHaveLength(1)
    expect(app.sql.count(/select/)).toBe(2)
  }
})

test('E9: when the first caller of a shared query fails, the others are answered', async () => {
  const held = gate()
  let fail = true
  const app = await open({
    hook: async (point, statement) => {
      if (point !== 'before' || !fail || !/from "items" where/.test(statement.sql)) return
      fail = false
      await held.pass()
      throw new Error('cancelled')
    },
  })
  const readers = [byId(app, 2), byId(app, 2), byId(app, 2)].map((query) => query.then((rows) => rows))
  await held.arrived
  await expect.poll(() => app.db.$aside.stats().joined).toBe(2)
  held.open()
  for (const rows of await Promise.all(readers)) expect(rows).toMatchObject([{ id: 2 }])
})

test('E9: a query that fails for everybody fails with the error of the statement as written', async () => {
  const app = await open({
    hook: (point, statement) => {
      if (point === 'before' && /from "items" where/.test(statement.sql)) throw new Error('down')
    },
  })
  const plain = await app.plain
    .select()
    .from(items)
    .where(eq(items.id, 2))
    .then(
      () => undefined,
      (error: Error) => error,
    )
  const outcomes = await Promise.allSettled([byId(app, 2), byId(app, 2)])
  for (const outcome of outcomes) {
    expect(outcome.status).toBe('rejected')
    const { reason } = outcome as PromiseRejectedResult
    expect(reason.constructor).toBe(plain?.constructor)
    expect(reason.message).toBe(plain?.message)
  }
})

test('E11: a huge range of ids that do not exist stays within the memory store’s bound and answers right', async () => {
  store = memoryStore({ maxBytes: 200_000 })
  const app = await open()
  for (let start = 10_000; start < 13_000; start += 500) {
    const ids = Array.from({ length: 500 }, (_, at) => start + at)
    expect(await app.db.select().from(items).where(inArray(items.id, ids))).toEqual([])
  }
  expect((store as ReturnType<typeof memoryStore>).stats().bytes).toBeLessThanOrEqual(200_000)
  await app.db.insert(items).values({ id: 12_999, code: 'c12999', label: 'born' })
  expect(await byId(app, 12_999)).toHaveLength(1)
  await byId(app, 12_998)
  app.sql.reset()
  expect(await byId(app, 12_998)).toEqual([])
  expect(app.sql.count()).toBe(0)
  expect(app.db.$aside.stats().negativeHits).toBeGreaterThan(0)
  await app.db.delete(items).where(eq(items.id, 12_999))
})
