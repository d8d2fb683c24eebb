/**
 * Services with different options on one store (PROTOCOL 3.11): each service has a store object and a clock of its own
 * over the same texts, and the time of the store is another one still. The names U… and G… are those of the protocol's
 * scenarios; a read that must not be stale is one that begins after the write has resolved.
 */
import { type AsideEvent, cached, memoryStore, type Store, type TableEntry } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type ManualClock, manualClock, settle } from '../harness/clock.ts'
import { type FreshDatabase, freshDatabase } from '../harness/databases.ts'
import { type Gate, gate, type StatementHook } from '../harness/gates.ts'
import { outside } from '../support/items.ts'
import { openApp, openPostgresJs } from '../support/open-app.ts'

const users = pgTable('users', {
  id: integer('id').primaryKey(),
  email: text('email').notNull().unique(),
  name: text('name').notNull(),
})
const posts = pgTable('posts', { id: integer('id').primaryKey(), userId: integer('user_id').notNull() })
/** Created by a migration while the services run. */
const notes = pgTable('notes', { id: integer('id').primaryKey() })
const ddl = `
  create table users (id integer primary key, email text not null unique, name text not null);
  create table posts (id integer primary key, user_id integer not null references users on delete cascade);
  insert into users values (1, 'one@x', 'old'), (2, 'two@x', 'two');
  insert into posts values (1, 1), (2, 2);`

const PERIOD = 2_000

/** What a store call waits for, or how it fails. */
type StoreHook = (verb: 'enter' | 'remove' | 'look', keys: readonly string[]) => Promise<void> | undefined

let database: FreshDatabase
let storeClock: ManualClock
let texts: Store
const open: { close(): Promise<void> }[] = []

beforeEach(async () => {
  database = await freshDatabase()
  await outside(database.url, ddl)
  storeClock = manualClock()
  texts = memoryStore({ clock: storeClock })
})
afterEach(async () => {
  for (const app of open.splice(0)) await app.close()
  await database.drop()
})

/** A service's own view of the texts that all share. */
function view(hook: StoreHook): Store {
  return {
    ...texts,
    name: 'shared',
    processLocal: false,
    remove: async (keys) => {
      await hook('remove', keys)
      await texts.remove(keys)
    },
    removeAndLook: async (keys, registers) => {
      await hook('look', keys)
      return (texts.removeAndLook as NonNullable<Store['removeAndLook']>)(keys, registers)
    },
    enter: async (register, visit) => {
      await hook('enter', [register])
      return (texts.enter as NonNullable<Store['enter']>)(register, visit)
    },
    close: async () => {},
  }
}

interface Service {
  readonly db: Awaited<ReturnType<typeof openApp>>['db']
  readonly clock: ManualClock
  readonly events: AsideEvent[]
  /** A heartbeat: the service's next period. */
  beat(): Promise<void>
  /** The reasons for which whole tables fell, and what was cached of them. */
  epochs(): string[]
  bypasses(): string[]
  close(): Promise<void>
}

interface Given {
  readonly tables: readonly TableEntry[]
  readonly store?: StoreHook
  readonly statements?: StatementHook
  readonly driver?: 'node-postgres' | 'postgres-js'
}

async function service({ tables, store = () => undefined, statements, driver }: Given): Promise<Service> {
  const clock = manualClock()
  const given = { url: database.url, tables, store: view(store), namespace: 'n', clock, catalogReread: '1h' as const }
  const app =
    driver === 'postgres-js'
      ? await openPostgresJs(given)
      : await openApp({ ...given, ...(statements && { hook: statements }) })
  open.push(app)
  const { events } = app.told
  return {
    db: app.db as unknown as Service['db'],
    clock,
    events,
    async beat() {
      clock.advance(PERIOD)
      for (let turn = 0; turn < 20; turn++) await settle()
    },
    epochs: () =>
      events.flatMap((event) => (event.type === 'epochReplaced' ? [`${event.table}: ${event.reason}`] : [])),
    bypasses: () => events.flatMap((event) => (event.type === 'bypass' ? [event.reason] : [])),
    close: async () => {
      open.splice(open.indexOf(app), 1)
      await app.close()
    },
  }
}

const api = (more: Partial<Given> = {}) => service({ tables: [cached(users)], ...more })
const worker = (more: Partial<Given> = {}) => service({ tables: [cached(posts)], ...more })

const nameOf = async ({ db }: Service, id = 1) => (await db.select().from(users).where(eq(users.id, id)))[0]?.name
/** Runs at once: a builder waits for its `then`. */
const rename = ({ db }: Service, name: string) => db.update(users).set({ name }).where(eq(users.id, 1)).execute()
const register = () => `da1:n:${Buffer.byteLength(database.name)}:${database.name}:F{f}`
const lose = () => texts.remove([register()])
const hitsOf = ({ events }: Service) => events.filter(({ type }) => type === 'hit').length

/** One period goes by for the store and for all of these. */
async function period(...services: readonly Service[]): Promise<void> {
  storeClock.advance(PERIOD)
  for (const each of services) await each.beat()
}

/** So long that what is new is served, and the register so old that everybody would be back, had it been lost. */
async function threePeriods(...services: readonly Service[]): Promise<void> {
  for (let beat = 0; beat < 3; beat++) await period(...services)
}

/** All know each other, and nothing is new. */
async function grown(...services: readonly Service[]): Promise<void> {
  await threePeriods(...services)
  await period(...services)
  for (const each of services) each.events.length = 0
}

async function expectHit(reader: Service, id: number, name: string): Promise<void> {
  const before = hitsOf(reader)
  expect(await nameOf(reader, id)).toBe(name)
  expect(hitsOf(reader)).toBe(before + 1)
}

/** Reads twice, so that the second is a hit. */
async function warm(reader: Service, ...ids: readonly number[]): Promise<void> {
  for (const id of ids) {
    const name = await nameOf(reader, id)
    await expectHit(reader, id, name as string)
  }
}

describe('services with different options', () => {
  test.each(['node-postgres', 'postgres-js'] as const)(
    'invalidate each other exactly, without an epoch (U4) – %s',
    async (driver) => {
      const reader = await api()
      const writer = await worker({ driver })
      await grown(reader, writer)
      await warm(reader, 1, 2)
      await rename(writer, 'new')
      expect(await nameOf(reader)).toBe('new')
      await expectHit(reader, 2, 'two')
      await writer.db.transaction(async (tx) => {
        await tx.update(users).set({ name: 'newer' }).where(eq(users.id, 1))
        await tx.insert(posts).values({ id: 9, userId: 2 })
      })
      expect(await nameOf(reader)).toBe('newer')
      await expectHit(reader, 2, 'two')
      await rename(reader, 'newest')
      expect(await nameOf(reader)).toBe('newest')
      expect([...reader.epochs(), ...writer.epochs()]).toEqual([])
    },
  )

  test('a service that caches nothing invalidates for those who do', async () => {
    const reader = await api()
    const writer = await service({ tables: [] })
    await grown(reader, writer)
    await warm(reader, 1, 2)
    await writer.db.delete(users).where(eq(users.id, 1))
    expect(await nameOf(reader)).toBeUndefined()
    await expectHit(reader, 2, 'two')
    expect(writer.epochs()).toEqual([])
  })

  test('lists and column groups of one are known to the writes of all, as if they had declared them', async () => {
    const removed: string[][] = []
    const store: StoreHook = (verb, keys) => {
      if (verb === 'look') removed.push([...keys].sort())
      return undefined
    }
    const declared = cached(users, { lists: (t) => [[t.name, t.email]], facets: (t) => ({ texts: [t.name] }) })
    const elder = await service({ tables: [declared], store })
    const writer = await service({ tables: [], store })
    await grown(elder, writer)
    const keysOf = async (each: Service): Promise<string[]> => {
      removed.length = 0
      await rename(each, 'x')
      await outside(database.url, `update users set name = 'old' where id = 1`)
      return removed[0] as string[]
    }
    const wholeTable = (keys: readonly string[]) => keys.find((key) => key.includes(':T{'))
    const keys = await keysOf(elder)
    expect(await keysOf(writer)).toEqual(keys)
    expect(keys.some((key) => key.includes('2,5:email=v5:one@x4:name=v1:x'))).toBe(true)
    expect(wholeTable(keys)).toMatch(/g4:name$/)
    // One that groups nothing, and no write spares what it keeps.
    const third = await service({ tables: [cached(users)], store })
    await grown(elder, writer, third)
    for (const each of [elder, writer, third]) expect(wholeTable(await keysOf(each))).toMatch(/m$/)
    expect([elder, writer, third].flatMap((each) => each.epochs())).toEqual([])
  })

  test('what a write reaches counts, too: a cascade into a table that only another service caches', async () => {
    const reader = await worker()
    const writer = await service({ tables: [] })
    await grown(reader, writer)
    const post = () => reader.db.select().from(posts).where(eq(posts.id, 1))
    expect(await post()).toHaveLength(1)
    await writer.db.delete(users).where(eq(users.id, 1))
    expect(await post()).toHaveLength(0)
    // The rows that follow by the foreign key were read, so just those fell.
    expect(writer.epochs()).toEqual([])
  })

  test('raw SQL of one drops what the others cache', async () => {
    const reader = await api()
    const writer = await service({ tables: [] })
    await grown(reader, writer)
    await warm(reader, 1)
    await writer.db.execute(`update users set name = 'raw' where id = 1`)
    expect(await nameOf(reader)).toBe('raw')
    expect(writer.epochs().sort()).toEqual(['users: raw-sql'])
  })

  test('while the register is young, whole tables fall; from then on rows', async () => {
    const reader = await api()
    const writer = await worker()
    // The clock of the store stands still.
    for (let beat = 0; beat < 3; beat++) for (const each of [reader, writer]) await each.beat()
    await warm(reader, 1, 2)
    writer.events.length = 0
    await rename(writer, 'new')
    expect(writer.epochs()).toContain('users: register-young')
    expect(await nameOf(reader)).toBe('new')
    await grown(reader, writer)
    await warm(reader, 1, 2)
    await rename(writer, 'newer')
    await expectHit(reader, 2, 'two')
    expect(writer.epochs()).toEqual([])
  })
})

describe('a service joins', () => {
  /** Answers of the list `users by name`, which only those keep who declare it. */
  const namesakes = () => service({ tables: [cached(users, { lists: (t) => [[t.name]] })] })
  const namedOld = ({ db }: Service) => db.select().from(users).where(eq(users.name, 'old'))

  test('69: with a list of its own while a write is on its way: the write knows that it derived without it (U1, G2)', async () => {
    const held = gate()
    let holding = false
    const writer = await api({ store: (verb) => (holding && verb === 'look' ? held.pass() : undefined) })
    await grown(writer)
    holding = true
    const writing = rename(writer, 'new')
    await held.arrived
    await outside(database.url, `update users set name = 'old' where id = 1`)
    // Writers know the table, so the newcomer need not wait.
    const reader = await namesakes()
    expect(await namedOld(reader)).toHaveLength(1)
    await outside(database.url, `update users set name = 'new' where id = 1`)
    expect(await namedOld(reader)).toHaveLength(1)
    held.open()
    await writing
    expect(await namedOld(reader)).toHaveLength(0)
    expect(writer.epochs()).toContain('users: register-changed')
  })

  /** A writer of what nobody caches, its calls of the store, and what holds its statement or cuts off its heartbeat. */
  async function carefreeWriter() {
    const calls: string[] = []
    const held = gate()
    const state = { holding: false, cut: false }
    const writer = await worker({
      store: (verb) => {
        calls.push(verb)
        return state.cut && verb === 'enter' ? Promise.reject(new Error('cut off')) : undefined
      },
      statements: (at, { sql }) =>
        state.holding && at === 'before' && sql.startsWith('update') ? held.pass() : undefined,
    })
    await grown(writer)
    calls.length = 0
    return { writer, calls, held, state }
  }

  test('with a new table: writes that do not know of it yet need no look, for it is not served before they do', async () => {
    const { writer, calls } = await carefreeWriter()
    const reader = await api()
    await rename(writer, 'new')
    expect(calls).toEqual([])
    expect(await nameOf(reader)).toBe('new')
    for (let beat = 0; beat < 2; beat++) await period(reader, writer)
    expect(await nameOf(reader)).toBe('new')
    expect(new Set(reader.bypasses())).toEqual(new Set(['scheme-new']))
    expect(reader.epochs()).toEqual([])
    await period(reader, writer)
    expect(reader.epochs()).toEqual(['users: scheme-new'])
    await warm(reader, 1)
    await rename(writer, 'newer')
    expect(await nameOf(reader)).toBe('newer')
    expect(writer.epochs()).toEqual([])
  })

  test('with a new table, first in a register that was lost: writers go by what they knew, so it is not served yet', async () => {
    const { writer, calls } = await carefreeWriter()
    await lose()
    const reader = await api()
    await rename(writer, 'new')
    expect(calls).toEqual([])
    expect(await nameOf(reader)).toBe('new')
    expect(reader.bypasses()).toEqual(['scheme-new'])
  })

  test('with a new table, alone on an old register: it is served at once', async () => {
    const reader = await service({ tables: [cached(users), cached(notes)] })
    await grown(reader)
    await reader.db.execute('create table notes (id integer primary key)')
    await reader.db.insert(notes).values({ id: 1 })
    await reader.db.$aside.ready()
    expect(reader.epochs().filter((epoch) => epoch.endsWith('scheme-new'))).toEqual(['notes: scheme-new'])
    const noted = () => reader.db.select().from(notes).where(eq(notes.id, 1))
    expect(await noted()).toHaveLength(1)
    const before = hitsOf(reader)
    expect(await noted()).toHaveLength(1)
    expect(hitsOf(reader)).toBe(before + 1)
  })

  test.each([
    ['the writer has heard of it', false],
    ['the writer has no heartbeat', true],
  ])('with a new table, and a write that began before ends when it is served: %s', async (_, cut) => {
    const { writer, held, state } = await carefreeWriter()
    Object.assign(state, { holding: true, cut })
    const writing = rename(writer, 'new')
    await held.arrived
    const reader = await api()
    await threePeriods(reader, writer)
    expect(await nameOf(reader)).toBe('old')
    await expectHit(reader, 1, 'old')
    held.open()
    await writing
    expect(await nameOf(reader)).toBe('new')
    expect(writer.epochs()).toContain(cut ? 'users: register-changed' : 'users: no-images')
  })

  test('and the writer has read the new union before its write ends: what counts is what the statement derived from (U1b)', async () => {
    const held = gate()
    let holding = false
    const writer = await worker({ store: (verb) => (holding && verb === 'look' ? held.pass() : undefined) })
    await grown(writer)
    holding = true
    const writing = writer.db.transaction(async (tx) => {
      await tx.update(users).set({ name: 'new' }).where(eq(users.id, 1))
      const reader = await api()
      await threePeriods(reader, writer)
      expect(await nameOf(reader)).toBe('old')
      await warm(reader, 1)
      expect(writer.events.filter(({ type }) => type === 'registerChanged')).toHaveLength(1)
      return reader
    })
    await held.arrived
    held.open()
    const reader = await writing
    expect(await nameOf(reader)).toBe('new')
    expect(writer.epochs()).toContain('users: register-changed')
  })

  test('69: and a second one of its kind: neither hits before the epoch has been replaced (U3b)', async () => {
    const elder = await worker()
    await grown(elder)
    const gates: Gate[] = []
    const holds: StoreHook = (verb) => {
      if (verb !== 'remove') return undefined
      const own = gate()
      gates.push(own)
      return own.pass()
    }
    const readers = [await api({ store: holds }), await api({ store: holds })]
    await threePeriods(elder, ...readers)
    while (gates.length < 2) await settle()
    // Both know that the table is new, and both wait for their epochs.
    for (const each of gates) each.open()
    for (const reader of readers) {
      await reader.db.$aside.ready()
      expect(reader.events.filter(({ type }) => type === 'schemeNew')).toHaveLength(1)
      expect(await nameOf(reader)).toBe('old')
      await expectHit(reader, 1, 'old')
    }
  })

  test('and bypasses the table until its epoch has been replaced', async () => {
    const elder = await worker()
    await grown(elder)
    let failing = true
    const reader = await api({
      store: (verb) => (failing && verb === 'remove' ? Promise.reject(new Error('no')) : undefined),
    })
    expect(await nameOf(reader)).toBe('old')
    await threePeriods(elder, reader)
    expect(await nameOf(reader)).toBe('old')
    expect(reader.bypasses()).toEqual(['scheme-new', 'pending-delivery'])
    failing = false
    for (let beat = 0; beat < 3; beat++) await reader.beat()
    await warm(reader, 1)
  })

  test('D8, 69: a rolling deploy and its rollback: each new table costs one epoch, and nothing is stale', async () => {
    const old = await api()
    await grown(old)
    await warm(old, 1)
    const next = await service({ tables: [cached(users), cached(posts)] })
    // Users are known to all, so they are served at once.
    await expectHit(next, 1, 'old')
    expect(next.epochs()).toEqual([])
    await threePeriods(old, next)
    expect(next.epochs()).toEqual(['posts: scheme-new'])
    for (const [writer, name] of [
      [old, 'a'],
      [next, 'b'],
      [old, 'c'],
    ] as const) {
      await rename(writer, name)
      expect([await nameOf(old), await nameOf(next)]).toEqual([name, name])
    }
    const postOf = () => next.db.select().from(posts).where(eq(posts.id, 2))
    await grown(old, next)
    expect(await postOf()).toEqual([{ id: 2, userId: 2 }])
    await old.db.update(posts).set({ userId: 1 }).where(eq(posts.id, 2))
    expect(await postOf()).toEqual([{ id: 2, userId: 1 }])
    expect(old.epochs()).toEqual([])
    // Back: the new one goes, another old one comes. Its registration stays for a while, so nothing is new.
    await next.close()
    const again = await api()
    expect(again.epochs()).toEqual([])
    await warm(again, 1)
    await rename(old, 'd')
    expect(await nameOf(again)).toBe('d')
    expect(old.epochs()).toEqual([])
    // And forward again, while what was kept before may still be there.
    await old.db.update(posts).set({ userId: 2 }).where(eq(posts.id, 2))
    const forward = await service({ tables: [cached(users), cached(posts)] })
    expect(await forward.db.select().from(posts).where(eq(posts.id, 2))).toEqual([{ id: 2, userId: 2 }])
    expect(forward.epochs()).toEqual([])
  })
})

describe('69: the register is lost', () => {
  /** A reader with a warm row, and writers that know of it. */
  async function steady(more: Partial<Given> = {}) {
    const reader = await api(more)
    const writer = await worker()
    const third = await worker()
    await grown(reader, writer, third)
    await warm(reader, 1)
    return { reader, writer, third }
  }

  test('and the writer creates it anew without the reader (U5)', async () => {
    const { reader, writer } = await steady()
    await lose()
    await writer.beat()
    await rename(writer, 'new')
    expect(await nameOf(reader)).toBe('new')
    expect(writer.epochs()).toContain('users: register-young')
    expect(writer.events.map(({ type }) => type)).toContain('registerLost')
    expect(writer.db.$aside.stats().registersLost).toBe(1)
  })

  test('and somebody else creates it anew; the writer never saw it missing (U7)', async () => {
    const { reader, writer, third } = await steady()
    await lose()
    await third.beat()
    await writer.beat()
    await rename(writer, 'new')
    expect(await nameOf(reader)).toBe('new')
    expect(writer.epochs()).toContain('users: register-young')
  })

  /** Lost, made anew without the reader, and grown old before the reader could enter it again; then a write resolves. */
  async function aloneInTime() {
    let cut = false
    const services = await steady({
      store: (verb) => (cut && verb === 'enter' ? Promise.reject(new Error('cut off')) : undefined),
    })
    const { reader, writer, third } = services
    await lose()
    cut = true
    await third.beat()
    storeClock.advance(3 * PERIOD)
    for (const each of [reader, writer]) for (let beat = 0; beat < 3; beat++) await each.beat()
    await rename(writer, 'new')
    expect(writer.epochs()).toEqual([])
    const mend = (): void => {
      cut = false
    }
    return { ...services, mend }
  }

  test('and grows old while the reader has no heartbeat: then it neither hits nor fills (U10)', async () => {
    const { reader } = await aloneInTime()
    expect(await nameOf(reader)).toBe('new')
    expect(reader.bypasses()).toEqual(['register-stale'])
    expect(reader.db.$aside.health().remarks.join()).toContain('two heartbeats')
  })

  test('and the reader comes back with entries of an earlier life (U12)', async () => {
    const { reader, mend } = await aloneInTime()
    mend()
    await reader.beat()
    expect(await nameOf(reader)).toBe('new')
    for (let beat = 0; beat < 3; beat++) await reader.beat()
    expect(reader.epochs()).toEqual(['users: scheme-new'])
    expect(await nameOf(reader)).toBe('new')
    await expectHit(reader, 1, 'new')
  })

  test('and the heartbeats of all bring it back: what is served goes on, and three periods later writes are exact', async () => {
    const { reader, writer, third } = await steady()
    await lose()
    for (const each of [third, writer, reader]) await each.beat()
    expect(reader.epochs()).toEqual(['users: scheme-new'])
    await warm(reader, 1)
    await rename(writer, 'young')
    expect(writer.epochs()).toContain('users: register-changed')
    expect(await nameOf(reader)).toBe('young')
    await grown(reader, writer, third)
    await warm(reader, 1, 2)
    await rename(writer, 'new')
    expect(await nameOf(reader)).toBe('new')
    await expectHit(reader, 2, 'two')
    expect(writer.epochs()).toEqual([])
  })

  const steps = ['before the statement', 'after the statement', 'before the delivery', 'before the epochs'] as const
  const creators = ['nobody', 'the writer', 'a third', 'all'] as const
  test.each(steps.flatMap((step) => creators.map((creator) => [step, creator] as const)))(
    'in a write, %s, and %s creates it anew',
    async (step, creator) => {
      const held = gate()
      let armed = false
      const hold = (at: typeof step) => (armed && step === at ? held.pass() : undefined)
      const reader = await api()
      const third = await worker()
      const writer = await worker({
        store: (verb) =>
          verb === 'look' ? hold('before the delivery') : verb === 'remove' ? hold('before the epochs') : undefined,
        statements: (at, { sql }) =>
          sql.startsWith('update') || sql.startsWith('with')
            ? hold(at === 'before' ? 'before the statement' : 'after the statement')
            : undefined,
      })
      await grown(reader, writer, third)
      await warm(reader, 1)
      armed = true
      // Epochs are replaced where the register was lost already.
      if (step === 'before the epochs') await lose()
      const writing = rename(writer, 'new')
      await held.arrived
      await lose()
      const who = { nobody: [], 'the writer': [writer], 'a third': [third], all: [third, writer, reader] }[creator]
      held.open()
      armed = false
      for (const each of who) await each.beat()
      await writing
      expect(await nameOf(reader)).toBe('new')
      await reader.beat()
      expect(await nameOf(reader)).toBe('new')
    },
  )
})

describe('the store cannot be reached after the commit', () => {
  test('what waits is confirmed when it is delivered: a service that joined meanwhile loses what it filled', async () => {
    let cut = false
    const writer = await api({
      store: (verb) => (cut && verb !== 'enter' ? Promise.reject(new Error('cut off')) : undefined),
    })
    await grown(writer)
    cut = true
    await rename(writer, 'new')
    expect(writer.events.map(({ type }) => type)).toContain('pendingDelivery')
    // Joins under a version that the waiting keys were not derived under, and fills before the next write.
    const reader = await service({ tables: [cached(users, { lists: (t) => [[t.name]] })] })
    const named = (name: string) => reader.db.select().from(users).where(eq(users.name, name))
    expect(await named('new')).toHaveLength(1)
    await rename(writer, 'newer')
    // The named exception E-cut: until the keys are delivered, others may serve the old rows.
    expect(await named('new')).toHaveLength(1)
    cut = false
    await writer.clock.advanceAndSettle(100)
    for (let turn = 0; turn < 10; turn++) await settle()
    expect(writer.events.map(({ type }) => type)).toContain('delivered')
    expect(writer.epochs()).toContain('users: register-changed')
    expect(await named('new')).toHaveLength(0)
  })
})
