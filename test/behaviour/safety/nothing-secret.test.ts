/** Nothing secret in events, explain, stats, health or our own errors, whatever goes wrong; marked values are looked for. */
import { randomBytes } from 'node:crypto'
import { redisStore } from '@drizzle-aside/redis'
import { type AsideOptions, cached, outboxMigration } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { redisLibraries } from '../../conformance/redis-clients.ts'
import { type FreshDatabase, freshDatabase, privateRedis } from '../../harness/databases.ts'
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
  drop table if exists people, aside_outbox;
  create table people (id int primary key, city text not null, ssn text not null, pin text unique);
  create index on people (city);
  insert into people select i, 'MARK-city-' || i % 3, 'MARK-ssn-' || i, 'MARK-pin-' || i from generate_series(1, 9) i;
  ${outboxMigration()}`

const [key, tokenKey] = [randomBytes(32), randomBytes(32)]
const encryption = { keys: { k1: key }, current: 'k1', tokenKey }
const keyTexts = [key, tokenKey].flatMap((bytes) =>
  (['hex', 'base64', 'base64url'] as const).map((f) => bytes.toString(f)),
)

type App = Awaited<ReturnType<typeof openApp>>
let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase(18)
})
afterAll(() => database.drop())

/** All that can be found from a value on: properties that JSON would not show, too, and bytes as their texts. */
function everything(value: unknown, seen = new Set<unknown>()): string {
  if (value instanceof Uint8Array) return `${Buffer.from(value).toString('base64')} ${Buffer.from(value).toString()}`
  if (typeof value !== 'object' || value === null || seen.has(value)) return String(value)
  seen.add(value)
  const inside = value instanceof Map || value instanceof Set ? [...value] : []
  const names = Reflect.ownKeys(value).map((name) => [String(name), Reflect.get(value, name)] as const)
  return [...names, ...inside]
    .flat()
    .map((each) => everything(each, seen))
    .join('\n')
}

function expectNoSecret(told: unknown): void {
  const found = everything(told)
  const at = found.indexOf('MARK')
  expect(at < 0 ? '' : found.slice(Math.max(0, at - 200), at + 60)).toBe('')
  for (const each of keyTexts) expect(found).not.toContain(each)
}

const ignore = (outcome: PromiseLike<unknown>): Promise<unknown> => Promise.resolve(outcome).catch((error) => error)

async function readAll({ db }: App): Promise<void> {
  for (let round = 0; round < 2; round++) {
    for (const id of [1, 2, 99]) await db.select().from(people).where(eq(people.id, id))
    await db.select({ id: people.id, city: people.city }).from(people).where(eq(people.id, 1))
    for (const where of [eq(people.city, 'MARK-city-1'), eq(people.ssn, 'MARK-ssn-1'), eq(people.pin, 'MARK-pin-1')])
      await db.select().from(people).where(where)
  }
}

async function explainAll({ db }: App): Promise<unknown[]> {
  const queries = [
    db.select().from(people).where(eq(people.id, 1)),
    db.select().from(people).where(eq(people.ssn, 'MARK-ssn-1')),
    db.select({ id: people.id }).from(people).where(eq(people.pin, 'MARK-pin-1')),
    db.select({ id: people.id }).from(people).where(sql`city = 'MARK-raw'`),
    db.update(people).set({ ssn: 'MARK-set', pin: 'MARK-set' }).where(eq(people.ssn, 'MARK-ssn-2')),
    db.insert(people).values({ id: 20, city: 'MARK-city', ssn: 'MARK', pin: 'MARK' }),
    db.delete(people).where(eq(people.pin, 'MARK-pin-3')),
  ]
  const told = await Promise.all(queries.map((query) => db.$aside.explain(query)))
  return told.flatMap((one) => [one, String(one)])
}

/** Writes that succeed, that the database refuses, and whose outcome nobody knows. */
async function writeAll(app: App, failing: { now: boolean }): Promise<void> {
  const { db } = app
  await db.update(people).set({ ssn: 'MARK-new', city: 'MARK-city-2' }).where(eq(people.id, 2))
  await db.transaction(async (tx) => {
    await tx.delete(people).where(eq(people.ssn, 'MARK-ssn-3'))
    await tx.execute(sql`update people set city = 'MARK-raw' where id = 4`)
  })
  const refused = [
    db.insert(people).values({ id: 30, city: 'MARK', ssn: 'MARK', pin: 'MARK-pin-5' }),
    db.update(people).set({ id: sql`'MARK'::int` }).where(eq(people.id, 5)),
    db
      .select()
      .from(people)
      .where(eq(people.id, 'MARK' as unknown as number)),
    db.execute(sql`select 'MARK'::int`),
  ]
  for (const outcome of refused) expect(await ignore(outcome)).toBeInstanceOf(Error)
  failing.now = true
  expect(await ignore(db.update(people).set({ ssn: 'MARK-lost' }).where(eq(people.pin, 'MARK-pin-6')))).toBeInstanceOf(
    Error,
  )
  failing.now = false
}

test.for(redisLibraries.flatMap((library) => [false, true].map((sealed) => ({ library, name: library.name, sealed }))))(
  'F17: reads, writes and failures over $name, encrypted: $sealed, tell no value',
  async ({ library, sealed }) => {
    await outside(database.url, setUp)
    const server = await privateRedis()
    await ageRegister(server.url, 'secret', database.name)
    const { client, close } = await library.open(server.url)
    const failing = { now: false }
    const options: Partial<AsideOptions> = sealed ? { encryption } : {}
    const app = await openApp({
      url: database.url,
      namespace: 'secret',
      store: redisStore(client),
      tables: [
        cached(people, {
          sensitive: (t) => [t.ssn, t.pin],
          lists: (t) => (sealed ? [t.ssn, [t.city, t.ssn]] : []),
        }),
      ],
      outbox: 'always',
      scope: () => 'MARK-scope',
      hook: (point, statement) => {
        const lost = failing.now && point === 'after' && /^(update|with)/.test(statement.sql)
        if (lost) throw Object.assign(new Error('lost MARK'), { detail: 'MARK' })
      },
      ...options,
    })
    try {
      await readAll(app)
      const hits = app.told.of('hit').length
      expect(hits).toBeGreaterThan(0)
      expectNoSecret(await explainAll(app))
      await writeAll(app, failing)
      // By hand, with what is no key.
      const byHand = [{ ssn: 'MARK' }, { nope: 'MARK' }, { id: 'MARK' }]
      for (const each of byHand) expectNoSecret(await ignore(app.db.$aside.invalidate(people, each as never)))
      await readAll(app)
      const secrets = ['MARK-ssn', 'MARK-pin', 'MARK-new', ...keyTexts]
      const kept = [...(await keptIn(server.url, 'secret'))].flat().join('\n')
      for (const secret of secrets) expect(kept).not.toContain(secret)
      // Keys and payloads hang on the errors of ioredis: full, forbidden, gone.
      await outside(database.url, `update people set city = 'MARK-late'`)
      await full(server.url)
      await app.db.$aside.invalidate(people)
      await readAll(app)
      await server.kill()
      await readAll(app)
      await ignore(app.db.update(people).set({ city: 'MARK-dark' }).where(eq(people.id, 1)))
      const dark = { ssn: 'MARK-ssn-dark', pin: 'MARK-pin-dark' }
      await app.db.transaction(async (tx) => void (await tx.update(people).set(dark).where(eq(people.id, 1))))
      const waiting = JSON.stringify(await outside(database.url, 'select * from aside_outbox'))
      expect(waiting).toContain(':R{')
      for (const secret of secrets) expect(waiting).not.toContain(secret)
      await app.db.execute(sql.raw(`set app.owner = 'MARK'`))
      await app.db.execute(sql`select set_config('app.owner', ${'MARK'}, false)`)
      const types = new Set(app.told.events.map(({ type }) => type))
      for (const type of ['storeFailed', 'outcomeUnknown', 'sessionChanged', 'pendingDelivery'] as const)
        expect(types, type).toContain(type)
      expectNoSecret([app.told.events, app.db.$aside.stats(), app.db.$aside.health()])
    } finally {
      await app.close()
      close()
      await server.stop()
    }
  },
)

/** A Redis that refuses to keep anything more. */
async function full(url: string): Promise<void> {
  const { createClient } = await import('redis')
  const admin = createClient({ url })
  await admin.connect()
  await admin.configSet('maxmemory', '1')
  admin.destroy()
}
