/**
 * A Redis that comes back with what had been removed: failovers that lose confirmed writes, restarts from a snapshot, nodes
 * that are demoted and promoted again (D7, A5; PROTOCOL 11: 59, 60, 61).
 */
import { redisStore } from '@drizzle-aside/redis'
import { type AsideOptions, cached } from 'drizzle-aside'
import { eq, inArray } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type RedisLibrary, redisLibraries } from '../conformance/redis-clients.ts'
import { type ManualClock, manualClock } from '../harness/clock.ts'
import { type FreshDatabase, freshDatabase, type PrivateServer } from '../harness/databases.ts'
import { type Gate, gate, gatedStore, type StatementHook, type StoreHook } from '../harness/gates.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import {
  asAdmin,
  follow,
  inStep,
  promote,
  redisPrimary,
  redisReplica,
  saveSnapshot,
} from '../harness/redis-replicas.ts'
import { type TcpProxy, tcpProxy } from '../harness/tcp-proxy.ts'
import { items, itemsSetUp, notes, outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'

type App = Awaited<ReturnType<typeof open>>

let database: FreshDatabase
let clock: ManualClock
let ending: (() => unknown)[]
/** Where visits to the register wait, from when it is there: what they drop would hide what stamps let through. */
let entering: Gate | undefined
let gates: Gate[]

beforeAll(async () => {
  database = await freshDatabase(18)
})
afterAll(() => database.drop())
beforeEach(async () => {
  await outside(database.url, 'drop table if exists items, notes', itemsSetUp, 'update items set n = 1 where id = 1')
  clock = manualClock()
  ending = []
  entering = undefined
  gates = []
})
afterEach(async () => {
  for (const each of gates) each.open()
  for (const end of ending.reverse()) await end()
})

const namespace = 'failover'

/** One that holds nobody beyond its test. */
function ownGate(): Gate {
  const own = gate()
  gates.push(own)
  return own
}

/** A primary, a replica over a link that can be cut, and the address that clients know. */
interface Pair {
  readonly primary: PrivateServer
  readonly replica: PrivateServer
  readonly link: TcpProxy
  readonly address: TcpProxy
}

async function startPair(): Promise<Pair> {
  const primary = await redisPrimary()
  const link = await tcpProxy(primary.url)
  // A primary takes another name when its first replica comes.
  const replica = await redisReplica(link.url)
  await ageRegister(primary.url, namespace, database.name)
  const address = await tcpProxy(primary.url)
  ending.push(
    () => address.close(),
    () => link.close(),
    () => replica.stop(),
    () => primary.stop(),
  )
  return { primary, replica, link, address }
}

/** With a register as it is after the first seconds: writes drop what they touch, and no whole tables. */
async function startPrimary(): Promise<PrivateServer> {
  const primary = await redisPrimary()
  ending.push(() => primary.stop())
  await ageRegister(primary.url, namespace, database.name)
  return primary
}

/** From now on what the primary confirms is lost with it. */
async function cutReplica({ primary, link }: Pair): Promise<void> {
  await inStep(primary.url)
  link.refuse()
}

async function failOver({ primary, replica, address }: Pair): Promise<void> {
  await promote(replica.url)
  address.moveTo(replica.url)
  await primary.kill()
  address.cut()
}

interface Opened extends Partial<AsideOptions> {
  readonly hook?: StatementHook
  readonly onStore?: StoreHook
  readonly redis?: Parameters<typeof redisStore>[1]
}

async function open(library: RedisLibrary, url: string, { redis, onStore, ...more }: Opened = {}) {
  const client = await library.open(url)
  const own = redisStore(client.client, { clock, ...redis })
  const store = gatedStore(own, (point, call) =>
    entering && point === 'before' && call.method === 'enter' ? entering.pass() : onStore?.(point, call),
  )
  const tables = [cached(items, { lists: (t) => [t.n] }), cached(notes)]
  const app = await openApp({ url: database.url, namespace, store, clock, tables, ...more })
  ending.push(async () => {
    await app.close()
    client.close()
  })
  const isBack = async () => expect.poll(() => own.read(['x']).catch(() => 'no connection')).toEqual([null])
  return { ...app, isBack }
}

const byId = ({ db }: App) => db.select().from(items).where(eq(items.id, 1))
const rename = (app: App, label: string) => app.db.update(items).set({ label }).where(eq(items.id, 1)).execute()

/** The label of the first item, asked in every way that is kept. */
const ways: Readonly<Record<string, (app: App) => Promise<string | undefined>>> = {
  'by key': async (app) => (await byId(app))[0]?.label,
  'by unique key': async ({ db }) => (await db.select().from(items).where(eq(items.code, 'c1')))[0]?.label,
  'in a list of keys': async ({ db }) =>
    (
      await db
        .select()
        .from(items)
        .where(inArray(items.id, [1]))
    )[0]?.label,
  'in a list': async ({ db }) => (await db.select().from(items).where(eq(items.n, 1)))[0]?.label,
  'as a learned partner': async ({ db }) => {
    const joined = db.select({ label: items.label, n: items.n, note: notes.id }).from(notes)
    return (await joined.leftJoin(items, eq(items.id, notes.id)).where(eq(notes.id, 1)))[0]?.label ?? undefined
  },
}

/** Reads in every way until each was a hit; whatever answered, it was the label. */
async function expectServed(app: App, label: string): Promise<void> {
  for (const [way, ask] of Object.entries(ways)) {
    const labels = new Set<string | undefined>()
    await expect
      .poll(
        async () => {
          app.told.forget()
          labels.add(await ask(app))
          await clock.advanceAndSettle(100)
          return app.told.of('hit').length
        },
        { interval: 10 },
      )
      .toBeGreaterThan(0)
    expect([...labels], way).toEqual([label])
  }
}

/** The very next answers, by what the stamps say and nothing else; then everything is served again. */
async function expectAtOnce(apps: readonly App[], label: string): Promise<void> {
  for (const app of apps) for (const [way, ask] of Object.entries(ways)) expect(await ask(app), way).toBe(label)
  entering?.open()
  entering = undefined
  for (const app of apps) await expectServed(app, label)
}

describe.each(redisLibraries)('over $name', (library) => {
  test('D7, 59: a failover that loses the last removals serves nothing that they had dropped', async () => {
    const pair = await startPair()
    const [writer, reader] = [await open(library, pair.address.url), await open(library, pair.address.url)]
    for (const app of [writer, reader]) await expectServed(app, 'old')
    await cutReplica(pair)
    await rename(writer, 'new')
    entering = ownGate()
    await failOver(pair)
    for (const app of [reader, writer]) {
      app.told.forget()
      await app.isBack()
      expect(app.told.of('incarnationChanged')).toHaveLength(1)
    }
    await expectAtOnce([reader, writer], 'new')
    // And the next write is as precise and as final as any.
    await rename(reader, 'newer')
    for (const app of [reader, writer]) await expectServed(app, 'newer')
  })

  test('D7, 60: a node that is demoted and promoted again while a connection is idle is another one within a second', async () => {
    const { primary, replica, link } = await startPair()
    const app = await open(library, primary.url)
    await expectServed(app, 'old')
    await inStep(primary.url)
    link.refuse()
    await rename(app, 'new')
    const connections = await idsOf(primary.url)
    entering = ownGate()
    await promote(replica.url)
    // It takes what the other has: the stamps from before the write.
    await follow(primary.url, replica.url)
    await promote(primary.url)
    expect(await idsOf(primary.url)).toEqual(expect.arrayContaining(connections))
    clock.advance(1_000)
    await expectAtOnce([app], 'new')
    expect(app.told.events).not.toContainEqual(expect.objectContaining({ type: 'storeFailed' }))
  })

  test('D7, 61: a restart from a snapshot that is older than the last removals serves nothing that they had dropped', async () => {
    const primary = await startPrimary()
    const app = await open(library, primary.url)
    await expectServed(app, 'old')
    await saveSnapshot(primary.url)
    await rename(app, 'new')
    entering = ownGate()
    await primary.restart()
    await app.isBack()
    await expectAtOnce([app], 'new')
  })

  const losses: [string, (pair: Pair) => Promise<unknown>][] = [
    ['fails over to a replica that has not heard of the write', failOver],
    ['is flushed', ({ primary }) => asAdmin(primary.url, (admin) => admin.flushAll())],
    ['has evicted the stamps', ({ primary }) => asAdmin(primary.url, evictStamps)],
  ]
  test.for(losses)(
    'A5: an old row stored after the write it missed is dead, though Redis %s before',
    async ([, lose]) => {
      const pair = await startPair()
      const held = ownGate()
      let holding = false
      const hook: StatementHook = async (point, { sql }) => {
        if (holding && point === 'after' && /from "items"/.test(sql)) await held.pass()
      }
      const stored = ownGate()
      const onStore: StoreHook = (point, { method }) => {
        if (point === 'after' && method === 'write') void stored.pass()
      }
      const reader = await open(library, pair.address.url, { hook, onStore })
      const writer = await open(library, pair.address.url)
      holding = true
      const reading = byId(reader).execute()
      // It has its stamps, and the row from before the write.
      await held.arrived
      await cutReplica(pair)
      await rename(writer, 'new')
      entering = ownGate()
      await lose(pair)
      for (const app of [reader, writer]) await app.isBack()
      held.open()
      expect(await reading).toMatchObject([{ label: 'old' }])
      await stored.arrived
      await expectAtOnce([reader, writer], 'new')
    },
  )

  test('PROTOCOL 3.11: a register that comes back from before a service was in it is none, so its lists fall', async () => {
    const pair = await startPair()
    const plain = await open(library, pair.address.url, { tables: [cached(items)] })
    for (let beat = 0; beat < 5; beat++) await clock.advanceAndSettle(2_000)
    await untilHit(plain, ways['by key'])
    await cutReplica(pair)
    // From now on only the primary knows of the list.
    const held = ownGate()
    let holding = false
    const onStore: StoreHook = (point, { method }) =>
      holding && point === 'before' && method === 'enter' ? held.pass() : undefined
    const api = await open(library, pair.address.url, { onStore })
    await untilHit(api, ways['in a list'])
    await clock.advanceAndSettle(2_000)
    await plain.db.$aside.ready()
    holding = true
    await failOver(pair)
    for (const app of [plain, api]) await app.isBack()
    // The writer has read the register anew, the one whose list it is has not entered it again.
    await plain.db.$aside.ready()
    await untilHit(api, ways['in a list'])
    await rename(plain, 'new')
    expect(await ways['in a list']?.(api)).toBe('new')
    held.open()
    await expectServed(api, 'new')
  })
})

async function untilHit(app: App, ask: (typeof ways)[string] | undefined): Promise<void> {
  await expect
    .poll(async () => {
      app.told.forget()
      await ask?.(app)
      return app.told.of('hit').length
    })
    .toBe(1)
}

/** Connections of clients that have been there for a while; the asker's own ends with the question. */
const idsOf = (url: string): Promise<string[]> =>
  asAdmin(url, async (admin) => {
    const own = await admin.clientId()
    const clients = await admin.clientList()
    return clients.filter(({ id, flags }) => id !== own && flags === 'N').map(({ id }) => String(id))
  })

async function evictStamps(admin: { keys(pattern: string): Promise<string[]>; unlink(keys: string[]): unknown }) {
  const stamps = (await Promise.all(['R', 'V', 'T', 'A'].map((kind) => admin.keys(`*:${kind}{*`)))).flat()
  if (stamps.length > 0) await admin.unlink(stamps)
}
