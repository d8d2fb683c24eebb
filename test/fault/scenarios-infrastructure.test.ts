/**
 * What befalls all who share a store (SCENARIOS D): it is out of reach of everybody, versions of a service stand side by
 * side while the schema changes, clocks differ, one dependency has very many dependents. The others of D are in the files
 * beside this one and in `test/race`; of D16 what is documented is F15.
 */
import { redisStore } from '@drizzle-aside/redis'
import { type AsideOptions, cached } from 'drizzle-aside'
import { eq, inArray, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type RedisLibrary, redisLibraries } from '../conformance/redis-clients.ts'
import { type ManualClock, manualClock } from '../harness/clock.ts'
import { countRedisCommands } from '../harness/counting.ts'
import { type FreshDatabase, type FreshRedis, freshDatabase, freshRedis, privateRedis } from '../harness/databases.ts'
import { ageRegister, keptIn } from '../harness/redis-keys.ts'
import { asAdmin } from '../harness/redis-replicas.ts'
import { tcpProxy } from '../harness/tcp-proxy.ts'
import { Random } from '../random/random.ts'
import { items, itemsSetUp, notes, outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'

type App = Awaited<ReturnType<typeof openApp>>

let database: FreshDatabase
let redis: FreshRedis
let clock: ManualClock
let ending: (() => unknown)[]

beforeEach(async () => {
  ending = []
  ;[database, redis] = await Promise.all([freshDatabase(18), freshRedis()])
  await outside(database.url, itemsSetUp, 'create index on items (n)', 'update items set n = id % 4')
  await ageRegister(redis.url, redis.namespace, database.name)
  clock = manualClock()
})
afterEach(async () => {
  for (const end of ending.reverse()) await end()
  await Promise.all([database.drop(), redis.drop()])
})

const itemTables = [cached(items), cached(notes)]

async function open(
  library: RedisLibrary,
  url = redis.url,
  tables = itemTables,
  more: Partial<AsideOptions> = {},
): Promise<App> {
  const { client, close } = await library.open(url)
  const app = await openApp({
    url: database.url,
    namespace: redis.namespace,
    store: redisStore(client, { clock }),
    clock,
    tables,
    ...more,
  })
  ending.push(async () => {
    await app.close()
    close()
  })
  return app
}

const rename = ({ db }: { readonly db: Pick<App['db'], 'update'> }, id: number, label: string) =>
  db.update(items).set({ label }).where(eq(items.id, id)).execute()

/** The label of an item, asked in every way that is kept. */
const ways: Readonly<Record<string, (db: App['db'] | App['plain'], id: number) => Promise<string | undefined>>> = {
  'by key': async (db, id) => (await db.select().from(items).where(eq(items.id, id)))[0]?.label,
  'by unique key': async (db, id) =>
    (
      await db
        .select()
        .from(items)
        .where(eq(items.code, `c${id}`))
    )[0]?.label,
  'in a list': async (db, id) => {
    const rows = await db
      .select()
      .from(items)
      .where(eq(items.n, id % 4))
    return rows.find((row) => row.id === id)?.label
  },
  'in a join': async (db, id) => {
    const joined = db.select({ label: items.label }).from(notes).innerJoin(items, eq(items.id, notes.id))
    return (await joined.where(eq(notes.id, id)))[0]?.label
  },
}

async function expectLabel(app: App, id: number, label: string): Promise<void> {
  for (const [way, ask] of Object.entries(ways)) expect(await ask(app.db, id), way).toBe(label)
}

/** Reads in every way until each was a hit; whatever answered, it was the label. */
async function expectServed(app: App, id: number, label: string): Promise<void> {
  for (const [way, ask] of Object.entries(ways)) {
    const labels = new Set<string | undefined>()
    await expect
      .poll(async () => {
        app.told.forget()
        labels.add(await ask(app.db, id))
        await clock.advanceAndSettle(200)
        return app.told.of('hit').length
      })
      .toBeGreaterThan(0)
    expect([...labels], way).toEqual([label])
  }
}

describe.each(redisLibraries)('over $name', (library) => {
  test('D1: Redis is out of reach of all while they write, and comes back with its data: nothing old is served', async () => {
    const proxy = await tcpProxy(redis.url)
    ending.push(() => proxy.close())
    const [one, two] = [await open(library, proxy.url), await open(library, proxy.url)]
    for (const app of [one, two]) for (const id of [1, 2, 3]) await expectServed(app, id, 'old')
    const kept = await keptIn(redis.url, redis.namespace)
    proxy.refuse()
    await rename(one, 1, 'of one')
    await two.db.transaction((tx) => rename({ db: tx }, 2, 'of two'))
    await rename(two, 3, 'first of two')
    await rename(one, 3, 'then of one')
    const all = [
      [1, 'of one'],
      [2, 'of two'],
      [3, 'then of one'],
    ] as const
    for (const app of [one, two]) for (const [id, label] of all) await expectLabel(app, id, label)
    // The premise: all that had been kept is still there.
    const entries = [...kept].filter(([key]) => key.includes(':E{'))
    const still = await keptIn(redis.url, redis.namespace)
    expect(entries.length).toBeGreaterThan(0)
    for (const [key, entry] of entries) expect(still.get(key)).toBe(entry)
    proxy.heal()
    // Each sees its own writes at once, those of the other when that one has told.
    await expectLabel(one, 1, 'of one')
    await expectLabel(one, 3, 'then of one')
    await expectLabel(two, 2, 'of two')
    for (const app of [one, two]) {
      await expect
        .poll(async () => {
          await clock.advanceAndSettle(1_000)
          return app.told.of('delivered').length
        })
        .toBe(1)
    }
    for (const app of [one, two]) for (const [id, label] of all) await expectServed(app, id, label)
  })

  test('D8: two versions of a service over one table, while a column comes and goes: each drops what the other keeps', async () => {
    const wider = pgTable('items', {
      id: integer('id').primaryKey(),
      code: text('code').notNull().unique(),
      label: text('label').notNull(),
      n: integer('n').notNull().default(0),
      mark: text('mark'),
    })
    // The clock moves while Redis answers: that no call is late is not the moved clock's to say.
    const unhurried = { readDeadline: '1h', invalidateDeadline: '1h' } as const
    const old = await open(library, redis.url, itemTables, unhurried)
    await expectServed(old, 1, 'old')
    // The migration runs before the first process of the new version, while the old one serves.
    await outside(database.url, `alter table items add column mark text default 'none'`)
    const nextTables = [cached(wider, { lists: (t) => [t.mark] }), cached(notes)]
    const next = await open(library, redis.url, nextTables, unhurried)
    const marked = async (mark: string) =>
      (await next.db.select().from(wider).where(eq(wider.mark, mark)).orderBy(wider.id)).map(({ id }) => id)
    const markOf = async (id: number) => (await next.db.select().from(wider).where(eq(wider.id, id)))[0]?.mark
    await expectServed(next, 1, 'old')
    const untilMarkedIsHit = async (mark: string): Promise<void> => {
      await expect
        .poll(async () => {
          next.told.forget()
          const asking = marked(mark)
          await clock.advanceAndSettle(500)
          await asking
          return next.told.of('hit').length
        })
        .toBe(1)
    }
    const inTurn = [
      [old, 'by the old'],
      [next, 'by the new'],
      [old, 'by the old again'],
    ] as const
    for (const [writer, label] of inTurn) {
      for (const app of [old, next]) await expectServed(app, 1, (await ways['by key']?.(app.plain, 1)) as string)
      await untilMarkedIsHit('none')
      await rename(writer, 1, label)
      for (const app of [old, next]) await expectLabel(app, 1, label)
    }
    await untilMarkedIsHit('seen')
    await next.db.update(wider).set({ mark: 'seen' }).where(eq(wider.id, 1))
    expect([await marked('seen'), await markOf(1)]).toEqual([[1], 'seen'])
    // What only the new version has: the old one inserts and deletes rows that are in lists of it.
    await untilMarkedIsHit('none')
    await old.db.insert(items).values({ id: 500, code: 'c500', label: 'born' })
    expect(await marked('none')).toContain(500)
    await untilMarkedIsHit('none')
    await old.db.delete(items).where(eq(items.id, 500))
    expect(await marked('none')).not.toContain(500)
    // The way back: the new version goes, then its column.
    await next.db.$aside.close()
    await outside(database.url, 'alter table items drop column mark')
    await old.db.$aside.ready({ reload: true })
    await rename(old, 1, 'after the rollback')
    await expectServed(old, 1, 'after the rollback')
  })

  test('D9, 70: clocks that differ, and are set on and back by an hour: what was written is read, also within one tick', async () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
    const random = new Random(seed)
    // Everybody's hour is another one; how long something takes all agree on.
    const skews = [5_000, -5_000]
    const clocks = skews.map(
      (_, at): NonNullable<AsideOptions['clock']> => ({ ...clock, wallNow: () => clock.now() + (skews[at] as number) }),
    )
    const tables = [
      cached(items, { refresh: { ahead: '1m' }, serveStaleOnError: { maxAge: '1h' } }),
      cached(notes, { serveStaleOnError: { maxAge: '1h' } }),
    ]
    const apps: App[] = []
    for (const own of clocks) apps.push(await open(library, redis.url, tables, { clock: own }))
    const labels = new Map<number, string>()
    for (let step = 0; step < 400; step++) {
      const app = random.pick(apps)
      const id = 1 + random.below(5)
      if (random.chance(0.1)) skews[random.below(2)] = random.pick([-3_600_000, -5_000, 0, 5_000, 3_600_000])
      // Most steps stand in the tick of the one before.
      if (random.chance(0.1)) await clock.advanceAndSettle(random.below(500))
      if (random.chance(0.2)) {
        labels.set(id, `step ${step}`)
        await rename(app, id, `step ${step}`)
      }
      const [way, ask] = random.pick(Object.entries(ways)) as [string, (typeof ways)[string]]
      expect(await ask(app.db, id), `seed ${seed}, step ${step}, ${way}`).toBe(labels.get(id) ?? 'old')
    }
    for (const app of apps) expect(app.told.of('hit').length).toBeGreaterThan(20)
  })
})

const many = pgTable('many', { id: integer().primaryKey(), label: text().notNull() })

test('D12: a dependency with 100,000 dependents falls by one command, as one with a thousand', async () => {
  const server = await privateRedis()
  ending.push(() => server.stop())
  await ageRegister(server.url, 'many', database.name)
  await outside(
    database.url,
    `create table many (id int primary key, label text not null)`,
    `insert into many select i, 'old' from generate_series(1, 100000) i`,
  )
  const [library] = redisLibraries as [RedisLibrary]
  const { client, close } = await library.open(server.url)
  // Its time stands still: no heartbeat is among the commands, and nothing is late.
  const store = redisStore(client, { clock })
  const app = await openApp({ url: database.url, namespace: 'many', store, clock, tables: [cached(many)] })
  ending.push(async () => {
    await app.close()
    close()
  })
  const counted = await countRedisCommands(server.url)
  ending.push(() => counted.stop())
  const chunk = async (at: number) => {
    const ids = Array.from({ length: 1_000 }, (_, i) => 1_000 * at + i + 1)
    return app.db.select().from(many).where(inArray(many.id, ids))
  }
  /** Keeps rows, drops them all by one write of everything, and tells what that took. */
  async function dropped(chunks: number, label: string) {
    const before = app.db.$aside.stats().fills
    for (let at = 0; at < chunks; at++) await chunk(at)
    await expect.poll(async () => (await app.db.$aside.explain(chunk0())).state).toBe('hit')
    expect(app.db.$aside.stats().fills - before).toBe(1_000 * chunks)
    const kept = await asAdmin(server.url, async (admin) => (await admin.keys('*:E{*')).length)
    await counted.reset()
    await app.db.update(many).set({ label }).where(sql`true`)
    const commands = await counted.commands()
    for (let at = 0; at < chunks; at += 20) {
      const rows = await chunk(at)
      expect(new Set(rows.map((row) => row.label))).toEqual(new Set([label]))
    }
    return { commands, kept }
  }
  const chunk0 = () => app.db.select().from(many).where(eq(many.id, 1))
  const few = await dropped(1, 'once')
  await app.db.$aside.flush()
  const all = await dropped(100, 'twice')
  expect([few.kept, all.kept]).toEqual([1_000, 100_000])
  expect([few.commands, all.commands]).toEqual([{ unlink: 1 }, { unlink: 1 }])
})
