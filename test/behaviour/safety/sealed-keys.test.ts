/**
 * Keys and lists of sensitive columns: kept and dropped as exactly as others, and named in the store, the outbox, events and
 * explain by nothing that tells a value, or lets one be guessed.
 */
import { createHash, randomBytes } from 'node:crypto'
import { redisStore } from '@drizzle-aside/redis'
import { type AsideOptions, aside, cached, type EncryptionOptions, type Store } from 'drizzle-aside'
import { and, eq, inArray, isNull } from 'drizzle-orm'
import { integer, pgTable, text, unique } from 'drizzle-orm/pg-core'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type FreshDatabase, type FreshRedis, freshDatabase, freshRedis } from '../../harness/databases.ts'
import { type Gate, gate, gatedStore, type StoreHook } from '../../harness/gates.ts'
import { ageRegister, keptIn } from '../../harness/redis-keys.ts'
import { type App, drivers, homeOf } from '../../support/drivers.ts'
import { outside } from '../../support/items.ts'
import { openApp } from '../../support/open-app.ts'
import { outboxSetUp, services } from '../../support/outbox.ts'

/** Longer than what stands in a key as itself: a plain one would be there as its hash. */
const long = (text: string): string => `${text}-${'x'.repeat(80)}`

const patients = pgTable(
  'patients',
  {
    nhs: integer().primaryKey(),
    pin: text().unique(),
    clinic: text().notNull(),
    ward: text(),
    email: text().notNull(),
    illness: text(),
    note: text().notNull(),
  },
  (t) => [unique().on(t.clinic, t.email)],
)
const visits = pgTable('visits', { id: integer().primaryKey(), nhs: integer().notNull(), note: text().notNull() })
const setUp = `
  drop table if exists visits, patients;
  create table patients (nhs int primary key, pin text unique, clinic text not null, ward text, email text not null,
    illness text, note text not null, unique (clinic, email));
  create index on patients (illness);
  create table visits (id int primary key, nhs int not null references patients on delete cascade, note text not null);
  insert into patients select 990007700 + i, case when i < 6 then '${long('MARK-pin')}-' || i end, 'clinic' || i % 2, 'ward' || i % 3,
    'MARK-mail-' || i / 2, case when i % 3 > 0 then 'MARK-illness-' || i % 3 end, 'old' from generate_series(1, 9) i;
  insert into visits select i, 990007700 + i, 'old' from generate_series(1, 9) i;`

const sealed = cached(patients, {
  sensitive: (t) => [t.nhs, t.pin, t.email, t.illness],
  lists: (t) => [t.illness, [t.ward, t.illness]],
})
const ofPatients = cached(visits, { sensitive: (t) => [t.nhs], lists: (t) => [t.nhs] })

const [k1, oldKey, newKey] = [randomBytes(32), randomBytes(32), randomBytes(32)] as const
const by = (...tokenKey: Uint8Array[]): { encryption: EncryptionOptions } => ({
  encryption: { keys: { k1 }, current: 'k1', tokenKey },
})

let database: FreshDatabase
let redis: FreshRedis
let closing: (() => unknown)[]

beforeAll(async () => {
  database = await freshDatabase(18)
})
afterAll(() => database.drop())
beforeEach(async () => {
  closing = []
  await outside(database.url, setUp)
  redis = await freshRedis()
  await ageRegister(redis.url, redis.namespace, database.name)
})
afterEach(async () => {
  for (const close of closing.reverse()) await close()
  await redis.drop()
})

interface Given extends Partial<Omit<AsideOptions, 'encryption'>> {
  encryption?: EncryptionOptions | undefined
  watch?: StoreHook
}

/** A service with a connection of its own to Redis. */
async function service({ watch, encryption, ...options }: Given = by(oldKey)) {
  const client = createClient({ url: redis.url })
  await client.connect()
  const store: Store = redisStore(client)
  const { namespace } = redis
  const app = await openApp({
    url: database.url,
    namespace,
    store: watch ? gatedStore(store, watch) : store,
    tables: [sealed, ofPatients],
    ...(encryption && { encryption }),
    ...options,
  })
  closing.push(() => client.destroy(), app.close)
  app.told.forget()
  return app
}

/** The services know of each other, so that what falls as a whole falls for a reason of its own. */
async function acquainted(...apps: readonly App[]): Promise<void> {
  for (const app of apps) {
    await expect
      .poll(async () => {
        app.told.forget()
        await app.db.$aside.invalidate(visits, { id: 999 })
        return app.told.of('epochReplaced').filter(({ reason }) => /^register/.test(reason))
      })
      .toEqual([])
    app.told.forget()
  }
}

type Db = Pick<App['db'], 'select'>
const byNhs = (db: Db, nhs: number) => db.select().from(patients).where(eq(patients.nhs, nhs))
const byPin = (db: Db, pin: string) =>
  db
    .select()
    .from(patients)
    .where(eq(patients.pin, `${long('MARK-pin')}${pin}`))
const byMail = (db: Db, clinic: string, email: string) =>
  db
    .select()
    .from(patients)
    .where(and(eq(patients.clinic, clinic), eq(patients.email, email)))
const ofIllness = (db: Db, illness: string) =>
  db.select().from(patients).where(eq(patients.illness, illness)).orderBy(patients.nhs)
const inWard = (db: Db, ward: string, illness: string) =>
  db
    .select()
    .from(patients)
    .where(and(eq(patients.ward, ward), eq(patients.illness, illness)))
    .orderBy(patients.nhs)
const undiagnosed = (db: Db) => db.select().from(patients).where(isNull(patients.illness)).orderBy(patients.nhs)
const visitsOf = (db: Db, nhs: number) =>
  db.select().from(visits).leftJoin(patients, eq(patients.nhs, visits.nhs)).where(eq(visits.nhs, nhs))
const several = (db: Db) =>
  db
    .select()
    .from(patients)
    .where(inArray(patients.nhs, [990007701, 990007702, 990007799]))
    .orderBy(patients.nhs)

const reads: Record<string, (db: Db) => PromiseLike<unknown[]> & { getSQL(): unknown }> = {
  'a row by primary key': (db) => byNhs(db, 990007701),
  'no such row': (db) => byNhs(db, 990007798),
  'rows by a list of keys': several,
  'a row by unique key': (db) => byPin(db, '-1'),
  'a row by a unique key of two columns': (db) => byMail(db, 'clinic1', 'MARK-mail-0'),
  'a list': (db) => ofIllness(db, 'MARK-illness-1'),
  'a list of two columns': (db) => inWard(db, 'ward1', 'MARK-illness-1'),
  'a list of what is NULL': undiagnosed,
  'a join whose partner is learned': (db) => visitsOf(db, 990007701),
}

async function hits(app: App, read: (db: Db) => PromiseLike<unknown>): Promise<boolean> {
  const before = app.sql.statements.length
  await read(app.db)
  return app.sql.statements.length === before
}

/** Reads until it is a hit: joins with partners need two fills, and nobody waits for a fill. */
async function warm(app: App, ...some: readonly ((db: Db) => PromiseLike<unknown[]>)[]): Promise<void> {
  for (const read of some) await expect.poll(() => hits(app, read)).toBe(true)
}

async function expectFresh(app: App, ...some: readonly ((db: Db) => PromiseLike<unknown[]>)[]): Promise<void> {
  for (const read of some) {
    const truth = await read(app.plain as unknown as Db)
    expect(await read(app.db)).toEqual(truth)
  }
}

/** Which of the reads are still hits. */
async function left(app: App, names = Object.keys(reads)): Promise<string[]> {
  const found: string[] = []
  for (const name of names) {
    const query = (reads[name] as (typeof all)[number])(app.db)
    if ((await app.db.$aside.explain(query)).state === 'hit') found.push(name)
  }
  return found
}
const all = Object.values(reads)

describe('with encryption, over Redis', () => {
  test('rows by sensitive keys are records: one trip to Redis and no SQL', async () => {
    const calls: string[] = []
    const app = await service({
      ...by(oldKey),
      watch: (point, { method }) => void (point === 'before' && calls.push(method)),
    })
    await warm(app, ...all)
    calls.length = 0
    for (const name of [
      'a row by primary key',
      'a row by unique key',
      'a row by a unique key of two columns',
      'a list',
    ])
      expect(await hits(app, reads[name] as (typeof all)[number])).toBe(true)
    expect(calls).toEqual(['read', 'read', 'read', 'read'])
    expect(await app.db.$aside.explain(byPin(app.db, '-1'))).toMatchObject({ plan: 'record', state: 'hit' })
  })

  test('a write drops what its row was in or entered, and nothing else', async () => {
    const app = await service()
    await warm(app, ...all)
    await app.db.update(patients).set({ note: 'new' }).where(eq(patients.nhs, 990007709))
    // 990007709 has no illness, so it is in one of these lists.
    expect(await left(app)).toEqual(Object.keys(reads).filter((name) => name !== 'a list of what is NULL'))
    await expectFresh(app, ...all)
    await warm(app, ...all)
    await app.db.update(patients).set({ illness: 'MARK-illness-1', ward: 'ward1' }).where(eq(patients.nhs, 990007703))
    expect(await left(app)).toEqual([
      'a row by primary key',
      'no such row',
      'rows by a list of keys',
      'a row by unique key',
      'a row by a unique key of two columns',
      'a join whose partner is learned',
    ])
    await expectFresh(app, ...all)
    await warm(app, ...all)
    await app.db.update(patients).set({ note: 'new' }).where(eq(patients.nhs, 990007701))
    expect(await left(app)).toEqual(['no such row', 'a list of what is NULL'])
    await expectFresh(app, ...all)
    await warm(app, ...all)
    await app.db.insert(patients).values({ nhs: 990007798, clinic: 'c', email: 'MARK-new', note: 'new' })
    expect((await left(app)).sort()).not.toContain('no such row')
    await expectFresh(app, ...all)
    await app.db.delete(patients).where(eq(patients.nhs, 990007701))
    await expectFresh(app, ...all)
    expect(app.told.of('epochReplaced')).toEqual([])
  })

  test('a value that moves: the old one and the new one are found anew, by key and by list', async () => {
    const app = await service()
    const both = [(db: Db) => byPin(db, '-4'), (db: Db) => byPin(db, '-new'), (db: Db) => byPin(db, '-5')] as const
    await warm(app, ...both)
    await app.db
      .update(patients)
      .set({ pin: `${long('MARK-pin')}-new` })
      .where(eq(patients.nhs, 990007704))
    expect(await hits(app, both[2])).toBe(true)
    await expectFresh(app, ...both)
    await warm(app, ...both)
    await app.db.update(patients).set({ pin: null }).where(eq(patients.nhs, 990007704))
    await expectFresh(app, ...both)
    expect(app.told.of('epochReplaced')).toEqual([])
  })

  test('by hand: keys, lists and rows are dropped one by one', async () => {
    const app = await service()
    const drops: [() => Promise<unknown>, string[]][] = [
      [
        () => app.db.$aside.invalidate(patients, 990007701),
        ['a row by primary key', 'rows by a list of keys', 'a join whose partner is learned'],
      ],
      [() => app.db.$aside.invalidate(patients, { pin: `${long('MARK-pin')}-1` }), ['a row by unique key']],
      [
        () => app.db.$aside.invalidate(patients, { clinic: 'clinic1', email: 'MARK-mail-0' }),
        ['a row by a unique key of two columns'],
      ],
      [() => app.db.$aside.invalidate(patients, { illness: 'MARK-illness-1' }), ['a list']],
      [
        () => app.db.$aside.invalidate(patients, { ward: 'ward1', illness: 'MARK-illness-1' }),
        ['a list of two columns'],
      ],
      [() => app.db.$aside.invalidate(patients, { illness: null }), ['a list of what is NULL']],
    ]
    for (const [drop, falls] of drops) {
      await warm(app, ...all)
      await drop()
      expect(await left(app)).toEqual(Object.keys(reads).filter((name) => !falls.includes(name)))
    }
    await warm(app, ...all)
    const [row] = await byNhs(app.plain as unknown as Db, 990007702)
    const moved = { ...row, illness: 'MARK-illness-1' } as typeof row
    await outside(database.url, `update patients set illness = 'MARK-illness-1' where nhs = 990007702`)
    await app.db.$aside.wrote(patients, { old: row as never, new: moved as never })
    expect(await hits(app, (db) => byPin(db, '-1'))).toBe(true)
    await expectFresh(app, ...all)
    expect(app.told.of('epochReplaced')).toEqual([])
  })

  test('explain tells the columns, and of no sensitive one the value', async () => {
    const app = await service()
    await warm(app, ...all)
    const told = async (query: { getSQL(): unknown }) => (await app.db.$aside.explain(query)).dependsOn
    expect(await told(byPin(app.db, '-1'))).toEqual(['patients[pin=<sensitive>]', 'patients (epoch)'])
    expect(await told(inWard(app.db, 'ward1', 'MARK-illness-1'))).toEqual(['patients[illness=<sensitive>, ward=ward1]'])
    expect(await told(undiagnosed(app.db))).toEqual(['patients[illness=<sensitive>]'])
    const write = await app.db.$aside.explain(
      app.db.update(patients).set({ note: 'x' }).where(eq(patients.nhs, 990007701)),
    )
    expect(write.invalidates).toContain('patients[nhs=<sensitive>]')
  })

  test('what the user does not list rests on the table, although the database has an index', async () => {
    const app = await service({
      ...by(oldKey),
      tables: [cached(patients, { sensitive: (t) => [t.illness, t.email] })],
    })
    const told = async (query: { getSQL(): unknown }) => (await app.db.$aside.explain(query)).dependsOn
    expect(await told(ofIllness(app.db, 'MARK-illness-1'))).toEqual(['patients (table)'])
    expect(await told(byMail(app.db, 'clinic1', 'MARK-mail-0'))).toEqual([
      'patients[clinic=clinic1, email=<sensitive>]',
      'patients (epoch)',
    ])
  })
})

/** All of it as one text: keys and values, in the namespace of this test. */
const kept = async (): Promise<string> => [...(await keptIn(redis.url, redis.namespace))].flat().join('\n')

/** A value, and what anybody could make of it without a secret: long enough not to stand in random text by chance. */
function tracesOf(value: string): string[] {
  const hash = createHash('sha256').update(value).digest()
  const long = [hash.toString('base64url'), hash.subarray(0, 16).toString('base64url'), hash.toString('hex')]
  return [value, JSON.stringify(value).slice(1, -1), Buffer.from(value).toString('base64url'), ...long]
}

describe('what stands in Redis and in the outbox, and what is told', () => {
  const values = [
    'MARK-',
    '990007701',
    '990007702',
    '990007703',
    '990007709',
    '990007798',
    `${long('MARK-pin')}-1`,
    'MARK-illness-1',
    'MARK-mail-0',
  ]

  function expectNoTrace(where: string, text: string): void {
    for (const value of values)
      for (const trace of tracesOf(value)) expect(text.includes(trace), `${value} as ${trace} in ${where}`).toBe(false)
  }

  test('no sensitive value, nor a hash of one, after reads, writes, failures and by hand', async () => {
    const given: string[] = []
    const watch: StoreHook = (point, { args }) => void (point === 'before' && given.push(JSON.stringify(args)))
    const app = await service({ ...by(oldKey), watch })
    await outside(database.url, 'delete from visits where id > 3')
    await warm(app, ...all)
    const explained = [...all.map((read) => read(app.db)), ...writesOf(app)]
    for (const query of explained) given.push(String(await app.db.$aside.explain(query as never)))
    for (const write of writesOf(app)) await write
    await app.db.transaction(async (tx) => {
      await tx.update(patients).set({ illness: null }).where(eq(patients.nhs, 990007702))
      await aside(tx).invalidate(patients, { illness: 'MARK-illness-1' })
    })
    for (const bad of [{ illness: 990007701 }, { note: 'MARK-' }, { nhs: 'MARK-' }]) {
      const refused = await app.db.$aside.invalidate(patients, bad as never).catch((error: unknown) => error)
      expect(refused).toMatchObject({ code: 'ASIDE_BAD_KEY' })
      given.push(String(refused))
    }
    await expectFresh(app, ...all)
    const { events } = app.told
    expectNoTrace('Redis', await kept())
    expectNoTrace('what the store was given and what was told', given.join('\n'))
    expectNoTrace('events', JSON.stringify([events, app.db.$aside.stats(), app.db.$aside.health()]))
    // The plain parts of the same row are there: what is looked for would be found.
    const plain = await service({ tables: [cached(patients), cached(visits)] })
    await warm(
      plain,
      (db) => byNhs(db, 990007703),
      (db) => byPin(db, '-3'),
    )
    const open = await kept()
    for (const trace of ['990007703', tracesOf(`${long('MARK-pin')}-3`)[4] as string]) expect(open).toContain(trace)
  })

  const writesOf = ({ db }: Pick<App, 'db'>) => [
    db
      .insert(patients)
      .values({ nhs: 990007798, clinic: 'c', email: 'MARK-mail-0', illness: 'MARK-illness-1', note: 'x' }),
    db.update(patients).set({ illness: 'MARK-illness-2' }).where(eq(patients.nhs, 990007701)),
    db
      .update(patients)
      .set({ nhs: 990007709 + 100 })
      .where(eq(patients.nhs, 990007709)),
    db.delete(patients).where(eq(patients.nhs, 990007798)),
    db.delete(visits).where(eq(visits.nhs, 990007703)),
  ]

  test('not one name of a value is that of another token key: none can be computed without it', async () => {
    const names = async (tokenKey: Uint8Array): Promise<string[]> => {
      const app = await service(by(tokenKey))
      await warm(app, ...all)
      const found = [...(await keptIn(redis.url, redis.namespace)).keys()].filter((key) => /:[ERV]\{/.test(key))
      await app.close()
      return found
    }
    const first = await names(oldKey)
    const plain = first.filter((key) => key.includes(':R{') && key.includes('6:visits'))
    const second = await names(newKey)
    expect(first.length).toBeGreaterThan(12)
    const shared = second.filter((key) => first.includes(key) && !plain.includes(key))
    // All of the first are still there; the second made as many of its own.
    expect(shared.sort()).toEqual(first.filter((key) => !plain.includes(key)).sort())
    expect(second.length - first.length).toBeGreaterThanOrEqual(first.length - plain.length)
  })
})

describe('services that name values by different keys', () => {
  const writers: [string, (app: App, turn: string) => PromiseLike<unknown>][] = [
    ['an update', ({ db }, turn) => db.update(patients).set({ note: turn }).where(eq(patients.nhs, 990007701))],
    [
      'a move',
      ({ db }, turn) =>
        db
          .update(patients)
          .set({ illness: `MARK-illness-${(turn.length % 2) + 1}`, note: turn })
          .where(eq(patients.nhs, 990007701)),
    ],
    [
      'a transaction',
      ({ db }, turn) =>
        db.transaction(
          async (tx) => void (await tx.update(patients).set({ note: turn }).where(eq(patients.nhs, 990007701))),
        ),
    ],
    ['by hand', ({ db }) => db.$aside.invalidate(patients, { nhs: 990007701, pin: `${long('MARK-pin')}-1` })],
  ]

  test('rotation, [old] beside [new, old] beside [new]: whoever writes, nobody reads what was', async () => {
    const three = [await service(by(oldKey)), await service(by(newKey, oldKey)), await service(by(newKey))] as const
    await acquainted(...three)
    let turn = ''
    for (const [, write] of writers) {
      for (const writer of three) {
        for (const app of three) await warm(app, ...all)
        turn += 'x'
        await write(writer, turn)
        for (const app of three) await expectFresh(app, ...all)
      }
    }
    // Who has all keys drops what it touched; who lacks one, the table.
    expect(three.map(({ told }) => told.of('epochReplaced').length > 0)).toEqual([true, false, true])
    const fell = three.flatMap(({ told }) => told.of('epochReplaced').map(({ table, reason }) => `${table}: ${reason}`))
    expect(new Set(fell)).toEqual(new Set(['patients: values-unnamed']))
  })

  test('in the middle of a rotation what is untouched stays for the services of both keys', async () => {
    const both = [await service(by(oldKey, newKey)), await service(by(newKey, oldKey))] as const
    await acquainted(...both)
    for (const app of both) await warm(app, ...all)
    for (const writer of both) {
      await writer.db
        .update(patients)
        .set({ note: `${writer === both[0]}` })
        .where(eq(patients.nhs, 990007701))
      for (const app of both) {
        expect(await left(app)).toEqual(['no such row', 'a list of what is NULL'])
        await expectFresh(app, ...all)
        await warm(app, ...all)
      }
    }
    expect(both.flatMap(({ told }) => told.of('epochReplaced'))).toEqual([])
  })

  /** Holds the store's call that makes a write known, once. */
  function heldRemoval(): { watch: StoreHook; held: Gate; arm(): void } {
    const held = gate()
    let armed = false
    const watch: StoreHook = (point, { method }) => {
      if (!armed || point !== 'before' || !/^remove/.test(method)) return undefined
      armed = false
      return held.pass()
    }
    const arm = (): void => {
      armed = true
    }
    return { watch, held, arm }
  }

  test.each([
    { name: '[old], then [new, old]', old: by(oldKey), late: by(newKey, oldKey) },
    { name: '[old], then [new]', old: by(oldKey), late: by(newKey) },
    { name: '[new, old], then [new]', old: by(newKey, oldKey), late: by(newKey) },
    { name: 'none, then [new]', old: { tables: [cached(visits)] }, late: by(newKey) },
  ])('a service that comes while a write is between its commit and its removal: $name', async ({ old, late }) => {
    const { watch, held, arm } = heldRemoval()
    const witness = await service(by(oldKey))
    const writer = await service({ ...old, watch })
    await warm(witness, ...all)
    arm()
    const write = writer.db
      .update(patients)
      .set({ note: 'new', illness: null })
      .where(eq(patients.nhs, 990007701))
      .execute()
    await held.arrived
    const comer = await service(late)
    await warm(comer, ...all)
    held.open()
    await write
    for (const app of [witness, comer]) await expectFresh(app, ...all)
  })

  test('a service that comes and fills before a write that was planned without it has committed', async () => {
    const held = gate()
    let armed = false
    const client = createClient({ url: redis.url })
    await client.connect()
    closing.push(() => client.destroy())
    const writer = await openApp({
      url: database.url,
      namespace: redis.namespace,
      store: redisStore(client),
      tables: [sealed, ofPatients],
      ...by(oldKey),
      hook: (point, { sql }) => (armed && point === 'before' && /^(with|update)/.test(sql) ? held.pass() : undefined),
    })
    closing.push(writer.close)
    await warm(writer, ...all)
    armed = true
    const write = writer.db
      .update(patients)
      .set({ note: 'new', illness: null })
      .where(eq(patients.nhs, 990007701))
      .execute()
    await held.arrived
    const comer = await service(by(newKey))
    await warm(comer, ...all)
    held.open()
    await write
    for (const app of [writer, comer]) await expectFresh(app, ...all)
  })

  test('a column that is sensitive for one and plain for the other: each drops the table for both', async () => {
    const strict = await service()
    const plain = { tables: [cached(patients, { lists: (t) => [t.illness] }), cached(visits)] }
    const careless = await service(plain)
    await acquainted(strict, careless)
    for (const [writer, reader] of [
      [strict, careless],
      [careless, strict],
    ] as const) {
      await warm(strict, ...all)
      await warm(careless, ...all)
      await writer.db.update(patients).set({ illness: null, note: 'new' }).where(eq(patients.nhs, 990007702))
      await writer.db.$aside.invalidate(patients, { illness: 'MARK-illness-1' })
      await expectFresh(reader, ...all)
      await expectFresh(writer, ...all)
      expect(new Set(writer.told.of('epochReplaced').map(({ table }) => table))).toEqual(new Set(['patients']))
      writer.told.forget()
    }
  })

  test('one that has the key and calls nothing sensitive drops what it touches, under the names of the other', async () => {
    const strict = await service()
    const careless = await service({ ...by(oldKey), tables: [cached(visits)] })
    await acquainted(strict, careless)
    await warm(strict, ...all)
    await careless.db.update(patients).set({ note: 'new' }).where(eq(patients.nhs, 990007701))
    expect(await left(strict)).toEqual(['no such row', 'a list of what is NULL'])
    await expectFresh(strict, ...all)
    expect(careless.told.of('epochReplaced')).toEqual([])
  })

  test('a service without encryption keeps no key of a sensitive column, and drops the table of one that does', async () => {
    const strict = await service()
    const without = await service({
      tables: [cached(patients, { sensitive: (t) => [t.nhs, t.pin, t.email, t.illness] }), cached(visits)],
    })
    await acquainted(strict, without)
    await warm(strict, ...all)
    await without.db.update(patients).set({ note: 'new' }).where(eq(patients.nhs, 990007701))
    await expectFresh(strict, ...all)
    expect(without.told.of('epochReplaced').map(({ table }) => table)).toEqual(['patients'])
    await without.db.$aside.invalidate(patients, { pin: `${long('MARK-pin')}-1` })
    expect(without.told.of('epochReplaced')).toHaveLength(2)
  })
})

test('the outbox holds names, and who has no key delivers them', async () => {
  const home = await homeOf(drivers[0] as (typeof drivers)[number], `${outboxSetUp}; ${setUp}`)
  const world = services(home)
  try {
    const cut = world.link()
    const writer = await world.open(cut, { tables: [sealed, ofPatients], ...by(newKey, oldKey) })
    const reader = await world.open(world.link(), { tables: [sealed, ofPatients], ...by(oldKey) })
    await world.open(world.link(), { tables: [] })
    await world.grown()
    await warm(reader, ...all)
    cut.isCut = true
    await writer.db.transaction(async (tx) => {
      await tx.update(patients).set({ note: 'new', illness: 'MARK-illness-2' }).where(eq(patients.nhs, 990007701))
      await aside(tx).invalidate(patients, { illness: 'MARK-illness-1' })
    })
    const rows = JSON.stringify(await world.rows())
    expect(rows).toMatch(/:V\{/)
    for (const value of ['MARK-', '990007701', `${long('MARK-pin')}-1`, 'MARK-illness-1'])
      for (const trace of tracesOf(value)) expect(rows).not.toContain(trace)
    expect(await hits(reader, (db) => byNhs(db, 990007701))).toBe(true)
    await world.overdue()
    await world.drained()
    await expectFresh(reader, ...all)
    expect(await left(reader, ['no such row', 'a list of what is NULL'])).toHaveLength(2)
  } finally {
    await world.close()
    await home.drop()
  }
})
