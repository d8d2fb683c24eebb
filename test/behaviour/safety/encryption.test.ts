/** Sensitive columns and encryption over Redis: what stands there, what is refused, and that writes drop it all the same. */
import { randomBytes } from 'node:crypto'
import { redisStore } from '@drizzle-aside/redis'
import { type AsideOptions, cached, type EncryptionOptions, memoryStore, type Store } from 'drizzle-aside'
import { eq, inArray } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type FreshDatabase, type FreshRedis, freshDatabase, freshRedis } from '../../harness/databases.ts'
import { gatedStore, type StoreHook } from '../../harness/gates.ts'
import { ageRegister, keptIn } from '../../harness/redis-keys.ts'
import { outside } from '../../support/items.ts'
import { openApp } from '../../support/open-app.ts'

const people = pgTable('people', {
  id: integer().primaryKey(),
  city: text().notNull(),
  ssn: text().notNull(),
  pin: text().unique(),
})
const setUp = `
  create table people (id int primary key, city text not null, ssn text not null, pin text unique);
  create index on people (city); create index on people (ssn);
  insert into people select i, 'city' || i % 3, 'MARK-ssn-' || i, 'MARK-pin-' || i from generate_series(1, 9) i;`

const [k1, k2, tokenKey] = [randomBytes(32), randomBytes(32), randomBytes(32)] as const
const encryption: EncryptionOptions = { keys: { k1 }, current: 'k1', tokenKey }
const secret = cached(people, { sensitive: (t) => [t.ssn, t.pin] })

type App = Awaited<ReturnType<typeof openApp>>
let database: FreshDatabase
let redis: FreshRedis
let client: ReturnType<typeof createClient>
let opened: App[]

beforeAll(async () => {
  database = await freshDatabase(18)
})
afterAll(() => database.drop())
beforeEach(async () => {
  await outside(database.url, 'drop table if exists people', setUp)
  redis = await freshRedis()
  await ageRegister(redis.url, redis.namespace, database.name)
  client = createClient({ url: redis.url })
  await client.connect()
  opened = []
})
afterEach(async () => {
  for (const app of opened) await app.close()
  client.destroy()
  await redis.drop()
})

/** Everything that was given to a store, and what became of it. */
function watched<S extends Store>(store: S): { store: S; given: string[] } {
  const given: string[] = []
  const hook: StoreHook = (point, { args }) => void (point === 'before' && given.push(JSON.stringify(args)))
  return { store: gatedStore(store, hook), given }
}

async function open(options: Partial<AsideOptions> = {}): Promise<App> {
  const { namespace } = redis
  const app = await openApp({ url: database.url, namespace, store: redisStore(client), tables: [secret], ...options })
  opened.push(app)
  return app
}

const person = ({ db }: Pick<App, 'db'>, id: number) => db.select().from(people).where(eq(people.id, id))
const bySsn = ({ db }: Pick<App, 'db'>, ssn: string) => db.select().from(people).where(eq(people.ssn, ssn))
const byPin = ({ db }: Pick<App, 'db'>, pin: string) => db.select().from(people).where(eq(people.pin, pin))
const inCity = ({ db }: Pick<App, 'db'>, city: string) =>
  db.select().from(people).where(eq(people.city, city)).orderBy(people.id)
const readAll = async (app: Pick<App, 'db'>) => [
  await person(app, 1),
  await person(app, 77),
  await app.db
    .select()
    .from(people)
    .where(inArray(people.id, [1, 2, 78])),
  await bySsn(app, 'MARK-ssn-3'),
  await byPin(app, 'MARK-pin-4'),
  await inCity(app, 'city1'),
]

/** Reads twice, so that everything which may be kept is; the second answers must be the first. */
async function warm(app: App): Promise<void> {
  const truth = await readAll({ db: app.plain as App['db'] })
  expect(await readAll(app)).toEqual(truth)
  await expect.poll(async () => (await app.db.$aside.explain(inCity(app, 'city1'))).state).not.toBe('miss')
  expect(await readAll(app)).toEqual(truth)
}

async function kept(): Promise<string> {
  return [...(await keptIn(redis.url, redis.namespace))].flat().join('\n')
}
const entries = async () => [...(await keptIn(redis.url, redis.namespace))].filter(([key]) => /:E\{/.test(key))
const refusals = (app: App) => app.told.of('payloadRefused').map(({ reason }) => reason)
const asked = async (app: App, read: PromiseLike<unknown>) => {
  const before = app.sql.statements.length
  await read
  return app.sql.statements.length - before
}

describe('without encryption', () => {
  test('sensitive values stand nowhere in Redis, and what needs them asks the database', async () => {
    const app = await open()
    await warm(app)
    await app.db.select({ id: people.id, city: people.city }).from(people).where(eq(people.id, 1))
    await app.db.update(people).set({ ssn: 'MARK-new', pin: 'MARK-pin-new' }).where(eq(people.id, 3))
    await app.db.insert(people).values({ id: 10, city: 'city1', ssn: 'MARK-10', pin: null })
    await app.db.delete(people).where(eq(people.ssn, 'MARK-10'))
    expect((await entries()).length).toBeGreaterThan(0)
    expect(await kept()).not.toContain('MARK-')
    for (const read of [person(app, 1), bySsn(app, 'MARK-new'), byPin(app, 'MARK-pin-4')])
      expect(await app.db.$aside.explain(read)).toMatchObject({ state: 'bypass', reason: 'sensitive-column' })
  })

  test('a list that another wrap keeps by the column: writes name no value, and drop the table', async () => {
    const { store, given } = watched(memoryStore())
    const careless = await open({ store, tables: [cached(people, { lists: (t) => [t.ssn] })] })
    const app = await open({ store })
    await bySsn(careless, 'MARK-ssn-3')
    given.length = 0
    await app.db.update(people).set({ ssn: 'MARK-ssn-33' }).where(eq(people.id, 3))
    await app.db.$aside.invalidate(people, { id: 3 })
    expect(given.join()).not.toContain('MARK-')
    expect(app.told.of('epochReplaced').map(({ table }) => table)).toEqual(['people', 'people'])
    expect(await bySsn(careless, 'MARK-ssn-3')).toEqual([])
  })
})

describe('with encryption', () => {
  test('sensitive columns are served from the cache, and their values stand nowhere in Redis', async () => {
    const { store, given } = watched(redisStore(client))
    const app = await open({ encryption, store })
    await warm(app)
    for (const read of [person(app, 1), person(app, 77), bySsn(app, 'MARK-ssn-3'), byPin(app, 'MARK-pin-4')])
      expect(await asked(app, read)).toBe(0)
    await app.db.update(people).set({ ssn: 'MARK-new' }).where(eq(people.id, 3))
    expect(await bySsn(app, 'MARK-ssn-3')).toEqual([])
    expect(await bySsn(app, 'MARK-new')).toMatchObject([{ id: 3 }])
    expect(await person(app, 3)).toMatchObject([{ ssn: 'MARK-new' }])
    expect((await entries()).length).toBeGreaterThan(6)
    for (const text of [await kept(), given.join()]) {
      expect(text).not.toMatch(/MARK/)
      for (const key of [k1, tokenKey])
        for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const)
          expect(text).not.toContain(key.toString(form))
    }
  })

  test('nothing that stands in Redis can be computed from a guess of the value', async () => {
    const app = await open({ encryption })
    await bySsn(app, 'MARK-ssn-3')
    await expect.poll(async () => (await entries()).length).toBe(1)
    const first = await entries()
    await client.unlink(first.map(([key]) => key))
    const other = await open({ encryption: { ...encryption, tokenKey: randomBytes(32) } })
    await bySsn(other, 'MARK-ssn-3')
    await expect.poll(async () => (await entries()).length).toBe(1)
    expect((await entries())[0]?.[0]).not.toBe(first[0]?.[0])
  })

  test('an answer that was copied to another key, another stamp or another question is refused', async () => {
    const app = await open({ encryption })
    await person(app, 1)
    await person(app, 2)
    await person(app, 77)
    await expect.poll(async () => (await entries()).length).toBe(3)
    const [one, two, none] = await Promise.all([entryOf('1:1'), entryOf('1:2'), entryOf('2:77')])
    const swapped = two.head + one.payload
    await client.set(two.key, swapped)
    expect(await person(app, 2)).toMatchObject([{ id: 2 }])
    expect(refusals(app)).toEqual(['not-authentic'])
    // "No such row" is no easier to forge.
    for (const [key, text] of [
      [one.key, one.head + none.payload],
      [one.key, one.head.replace(/R(?=S[\w-]{6}\.)/, 'N')],
      [one.key, one.head],
    ] as const) {
      await client.set(key, text)
      expect(await person(app, 1)).toMatchObject([{ id: 1 }])
    }
    expect(refusals(app)).toHaveLength(4)
    expect(app.db.$aside.stats().payloadsRefused).toMatchObject({ 'not-authentic': 2, 'not-encrypted': 2 })
  })

  test('D14: tampered, truncated and plain payloads are misses with an event, for rows and for whole answers', async () => {
    const app = await open({ encryption })
    await inCity(app, 'city1')
    await person(app, 1)
    await expect.poll(async () => (await entries()).length).toBe(2)
    for (const [key, text] of await entries()) {
      const start = text.lastIndexOf('ek1.')
      for (const damaged of [
        text.slice(0, -1),
        text.slice(0, start + 4),
        `${text.slice(0, start + 9)}~${text.slice(start + 10)}`,
        `${text.slice(0, start)}[[1,"city1","forged",null]]`,
        `${text.slice(0, start)}[1,"city1","forged",null]`,
      ]) {
        await client.set(key, damaged)
        expect(await inCity(app, 'city1')).toHaveLength(3)
        expect(await person(app, 1)).toMatchObject([{ ssn: 'MARK-ssn-1' }])
      }
    }
    expect(refusals(app)).toHaveLength(10)
    expect(new Set(refusals(app))).toEqual(new Set(['not-authentic', 'not-encrypted']))
  })

  test('rotation: old ids still decrypt, new fills use the current key, a key that is gone is a miss', async () => {
    const before = await open({ encryption })
    await person(before, 1)
    await inCity(before, 'city1')
    await expect.poll(async () => (await entries()).length).toBe(2)
    const after = await open({ encryption: { keys: { k1, k2 }, current: 'k2', tokenKey } })
    expect(await asked(after, person(after, 1))).toBe(0)
    expect(await asked(after, inCity(after, 'city1'))).toBe(0)
    await person(after, 2)
    await expect.poll(async () => (await entryOf('1:2')).payload).toMatch(/^ek2\./)
    // A process that does not know the new key yet asks the database, and says so.
    expect(await asked(before, person(before, 2))).toBe(1)
    expect(refusals(before)).toEqual(['unknown-key'])
    const late = await open({ encryption: { keys: { k2 }, current: 'k2', tokenKey } })
    expect(await person(late, 1)).toMatchObject([{ ssn: 'MARK-ssn-1' }])
    expect(refusals(late)).toEqual(['unknown-key'])
  })

  test('services with and without encryption stand side by side, and invalidate each other', async () => {
    const [plain, sealed] = [await open(), await open({ encryption })]
    for (let round = 0; round < 2; round++) for (const app of [plain, sealed]) await readAll(app)
    expect(refusals(plain).concat(refusals(sealed))).toEqual([])
    await plain.db.update(people).set({ ssn: 'MARK-by-plain' }).where(eq(people.id, 1))
    expect(await person(sealed, 1)).toMatchObject([{ ssn: 'MARK-by-plain' }])
    await sealed.db.update(people).set({ city: 'city9' }).where(eq(people.id, 1))
    expect(await plain.db.select({ city: people.city }).from(people).where(eq(people.id, 1))).toEqual([
      { city: 'city9' },
    ])
    expect(await kept()).not.toContain('MARK-')
  })
})

describe('compression', () => {
  test.each([
    ['readable', undefined],
    ['encrypted', encryption],
  ])('%s answers above the threshold are smaller in Redis, and a service without it reads them', async (_, sealing) => {
    const form = sealing ? { encryption: sealing } : {}
    await outside(database.url, `update people set city = repeat('long', 500)`)
    const cities = ({ db }: Pick<App, 'db'>) => db.select({ city: people.city }).from(people)
    const app = await open({ ...form, compression: { threshold: 1_000 } })
    const other = await open(form)
    await cities(app)
    await expect.poll(async () => (await entries()).length).toBe(1)
    const [key, text] = (await entries())[0] ?? []
    expect(text?.length).toBeLessThan(1_000)
    expect(await asked(other, cities(other))).toBe(0)
    expect(await cities(other)).toEqual(await cities({ db: app.plain as App['db'] }))
    // Damaged on its way: a miss, told once, and mended by the fill.
    await client.set(key as string, text?.slice(0, -20) as string)
    expect(await asked(app, cities(app))).toBe(1)
    expect(refusals(app)).toEqual([sealing ? 'not-authentic' : 'damaged'])
    await expect.poll(async () => (await entries())[0]?.[1].length).toBe(text?.length)
  })
})

/** The one record entry of a key, cut where its payload begins. */
async function entryOf(key: string): Promise<{ key: string; head: string; payload: string }> {
  const all = await keptIn(redis.url, redis.namespace)
  const [name, text] = [...all].find(([each]) => /:E\{/.test(each) && each.endsWith(key)) ?? []
  const at = text?.lastIndexOf('ek') ?? -1
  if (name === undefined || text === undefined || at < 0) throw new Error(`no entry of ${key}`)
  return { key: name, head: text.slice(0, at), payload: text.slice(at) }
}
