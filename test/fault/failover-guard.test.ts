/**
 * How a Redis says who it is, and what is done where it does not (PROTOCOL 3.10): INFO once a second beside other commands,
 * `failoverGuard` where the user may not run it, or where several servers answer by turns.
 */
import { type RedisStoreOptions, redisStore } from '@drizzle-aside/redis'
import { cached } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { SingleConnection } from '../../packages/redis/src/connection.ts'
import { GENERATION_KEY, readInfo, ServerIncarnation } from '../../packages/redis/src/incarnation.ts'
import { type RedisLibrary, redisLibraries } from '../conformance/redis-clients.ts'
import { type ManualClock, manualClock } from '../harness/clock.ts'
import { type FreshDatabase, freshDatabase, type PrivateServer, privateRedis } from '../harness/databases.ts'
import { gate } from '../harness/gates.ts'
import { asAdmin, follow, redisPrimary, saveSnapshot } from '../harness/redis-replicas.ts'
import { items, itemsSetUp, notes, outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'

type App = Awaited<ReturnType<typeof openApp>>

let database: FreshDatabase
let clock: ManualClock
let ending: (() => unknown)[]

beforeAll(async () => {
  database = await freshDatabase(18)
})
afterAll(() => database.drop())
beforeEach(async () => {
  await outside(database.url, 'drop table if exists items, notes', itemsSetUp)
  clock = manualClock()
  ending = []
})
afterEach(async () => {
  for (const end of ending.reverse()) await end()
})

async function start(args: string[] = []): Promise<PrivateServer> {
  const server = await privateRedis(args)
  ending.push(() => server.stop())
  return server
}

/** A server that has a user who may do everything but run INFO, and the URL of that user. */
async function startMute(): Promise<{ server: PrivateServer; url: string }> {
  const server = await start(['--user', 'app', 'on', '>secret', '~*', '&*', '+@all', '-info'])
  return { server, url: server.url.replace('redis://', 'redis://app:secret@') }
}

async function openStore(library: RedisLibrary, url: string, options: RedisStoreOptions = {}) {
  const client = await library.open(url)
  const store = redisStore(client.client, { clock, ...options })
  ending.push(async () => {
    await store.close()
    client.close()
  })
  return store
}

async function open(library: RedisLibrary, url: string, options: RedisStoreOptions = {}): Promise<App> {
  const store = await openStore(library, url, options)
  const tables = [cached(items), cached(notes)]
  const app = await openApp({ url: database.url, namespace: 'guard', store, clock, tables })
  ending.push(() => app.close())
  return app
}

const byId = ({ db }: App) => db.select().from(items).where(eq(items.id, 1))

/** What was served when it was a hit; new tables are served after three heartbeats. */
async function served(app: App): Promise<string | undefined> {
  let label: string | undefined
  await expect
    .poll(
      async () => {
        app.told.forget()
        label = (await byId(app))[0]?.label
        await clock.advanceAndSettle(500)
        return app.told.of('hit').length
      },
      { interval: 10 },
    )
    .toBe(1)
  return label
}

const commandsOf = (url: string, name: string): Promise<number> =>
  asAdmin(url, async (admin) =>
    Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(await admin.info('commandstats'))?.[1] ?? 0),
  )

describe.each(redisLibraries)('over $name', (library) => {
  test('INFO is asked once a second while commands are sent, whatever their number, and never without one', async () => {
    const server = await start()
    const store = await openStore(library, server.url)
    const asked = async (run: () => Promise<unknown>): Promise<number> => {
      // The question itself asks twice.
      const before = await commandsOf(server.url, 'info')
      await run()
      return (await commandsOf(server.url, 'info')) - before - 1
    }
    await store.read(['a'])
    expect(await asked(() => Promise.all(Array.from({ length: 50 }, () => store.read(['a']))))).toBe(0)
    clock.advance(999)
    expect(await asked(() => store.read(['a']))).toBe(0)
    clock.advance(1)
    expect(await asked(() => Promise.all(Array.from({ length: 50 }, () => store.read(['a']))))).toBe(2)
    expect(await asked(() => store.mint([{ key: 'm', text: 'x' }], 1_000))).toBe(0)
    clock.advance(60_000)
    expect(await asked(async () => clock.advanceAndSettle(1_000))).toBe(0)
    expect(await asked(() => store.removeAndLook?.([], ['F']) ?? Promise.resolve())).toBe(2)
    expect(clock.pending()).toBe(0)
  })

  test('a replica has no name: it is left for whoever answers at the address now, and knows its own again as a primary', async () => {
    const [other, server] = [await redisPrimary(), await redisPrimary()]
    ending.push(
      () => server.stop(),
      () => other.stop(),
    )
    const store = await openStore(library, server.url)
    await store.read(['a'])
    const name = store.incarnations?.of('a')
    expect(name).toMatch(/^[\w-]{6}$/)
    await follow(server.url, other.url)
    const before = await idsOf(server.url)
    await expect(store.mint([{ key: 's', text: 'x' }], 1_000)).rejects.toThrow(/READONLY/)
    expect(store.incarnations?.of('a')).toBeUndefined()
    await expect.poll(() => store.read(['a']).catch(() => 'no connection')).toEqual([null])
    expect(store.incarnations?.of('a')).toBeUndefined()
    expect(await idsOf(server.url)).not.toEqual(expect.arrayContaining(before))
    await asAdmin(server.url, (admin) => admin.sendCommand(['REPLICAOF', 'NO', 'ONE']))
    await expect
      .poll(async () => {
        clock.advance(1_000)
        await store.read(['a']).catch(() => undefined)
        return store.incarnations?.of('a') ?? name
      })
      .not.toBe(name)
  })

  test('where INFO may not be asked, everything is dropped after a lost connection; it is told, and how to end that', async () => {
    const { server, url } = await startMute()
    const [app, other] = [await open(library, url), await open(library, url)]
    expect(app.told.of('failoverGuardLowered')).toEqual([
      { type: 'failoverGuardLowered', guard: 'reconnect-flush', reason: 'not-told' },
    ])
    for (const each of [app, other]) expect(await served(each)).toBe('old')
    expect(app.db.$aside.health()).toMatchObject({
      state: 'degraded',
      store: { failoverGuard: 'reconnect-flush' },
      remarks: [expect.stringMatching(/Let its user run INFO, or choose failoverGuard/)],
    })
    await saveSnapshot(server.url)
    await app.db.update(items).set({ label: 'new' }).where(eq(items.id, 1))
    await server.restart()
    for (const each of [app, other, app]) expect(await served(each)).toBe('new')
  })

  test('whoever chooses it is not told; a name that was lost is made anew, and costs misses', async () => {
    const { server, url } = await startMute()
    const app = await open(library, url, { failoverGuard: 'reconnect-flush' })
    expect(await served(app)).toBe('old')
    expect(app.told.of('failoverGuardLowered')).toEqual([])
    expect(app.db.$aside.health()).toMatchObject({ state: 'ok', store: { failoverGuard: 'reconnect-flush' } })
    const name = await asAdmin(server.url, (admin) => admin.get(GENERATION_KEY))
    await asAdmin(server.url, (admin) => admin.unlink(GENERATION_KEY))
    clock.advance(1_000)
    await byId(app)
    expect(app.told.of('incarnationChanged')).toMatchObject([{ from: name }])
    expect(await served(app)).toBe('old')
  })

  test('with none nothing is done: after a restart from an old snapshot an old row is served', async () => {
    const { server, url } = await startMute()
    const app = await open(library, url, { failoverGuard: 'none' })
    expect(await served(app)).toBe('old')
    await saveSnapshot(server.url)
    await app.db.update(items).set({ label: 'new' }).where(eq(items.id, 1))
    await server.restart()
    expect(await served(app)).toBe('old')
    expect(app.db.$aside.health()).toMatchObject({ state: 'ok', store: { failoverGuard: 'none' } })
  })
})

test('servers that answer by turns are found out when the first is back, and their names are not gone by', async () => {
  const servers = [await start(), await start()]
  const urls = servers.map(({ url }) => url)
  let turn = 0
  // What is kept goes to the first; who it is, each says in turn.
  const connection = connectionTo((names) => urls[names.includes('INFO') ? turn++ % 2 : 0] as string)
  const incarnation = new ServerIncarnation({ connection, clock, fallback: undefined })
  const news: unknown[] = []
  incarnation.listen((each) => void news.push(each))
  const names: (string | undefined)[] = []
  for (let time = 0; time < 4; time++) {
    await incarnation.confirm()
    names.push(incarnation.of())
    clock.advance(1_000)
  }
  const generation = await asAdmin(urls[0] as string, (admin) => admin.get(GENERATION_KEY))
  expect(new Set(names).size).toBe(3)
  expect(names.slice(2)).toEqual([generation, generation])
  expect(news).toMatchObject([
    { type: 'incarnationChanged', from: names[0], to: names[1] },
    { type: 'failoverGuardLowered', guard: 'reconnect-flush', reason: 'not-unique' },
    { type: 'incarnationChanged', from: names[1], to: generation },
  ])
  expect(incarnation.lowered).toBe('not-unique')
})

test.each([
  ['who answers is asked', 'INFO'],
  ['the shared name is read', 'GET'],
  ['the shared name is replaced', 'SET'],
] as const)('a connection that is lost while %s: what the old server said is not believed', async (_, step) => {
  const [old, now] = step === 'INFO' ? [await start(), await start()] : [await startMute(), await startMute()]
  let url = old.url
  let holding = false
  const held = gate()
  // As a client would that settles what it has sent only after it has said that it is connected again.
  const connection = connectionTo(
    () => url,
    async (names) => {
      if (holding && url === old.url && names.includes(step)) await held.pass()
    },
  )
  const incarnation = new ServerIncarnation({ connection, clock, fallback: undefined })
  await incarnation.confirm()
  expect(incarnation.of()).toBeDefined()
  // What the other server has kept since before.
  await asAdmin(now.url, (admin) => admin.set(GENERATION_KEY, 'older_'))
  if (step === 'SET') connection.ready()
  clock.advance(1_000)
  holding = true
  const asked = incarnation.confirm()
  await held.arrived
  url = now.url
  connection.ready()
  held.open()
  await asked
  const name = await asAdmin(now.url, async (admin) =>
    step === 'INFO' ? readInfo(await admin.info())?.tag : admin.get(GENERATION_KEY),
  )
  expect(incarnation.of()).toBe(name)
  expect(name).not.toBe('older_')
})

test('the name is that of the process and of its replication history: a restart and a promotion change it', async () => {
  const [server, other] = [await start(), await start()]
  const name = () => asAdmin(server.url, async (admin) => readInfo(await admin.info())?.tag)
  const names = [await name()]
  expect(await name()).toBe(names[0])
  await follow(server.url, other.url)
  names.push(await name())
  await asAdmin(server.url, (admin) => admin.sendCommand(['REPLICAOF', 'NO', 'ONE']))
  names.push(await name())
  await server.restart()
  names.push(await name())
  expect(new Set(names).size).toBe(4)
  expect(readInfo('redis_version:7.0.0\r\nrole:master\r\n')).toBeUndefined()
})

test('failoverGuard is one of its words', () => {
  const client = { isPubSubActive: false, isReady: false } as never
  expect(() => redisStore(client, { failoverGuard: 'flush' as never })).toThrow(
    /ASIDE_BAD_OPTION.*reconnect-flush, none/,
  )
})

/** Of no client library: each trip goes where it is said to, and may be held before its answers are given. */
function connectionTo(urlOf: (names: readonly string[]) => string, hold?: (names: readonly string[]) => Promise<void>) {
  const opened = new Set<() => void>()
  const connection: Pick<SingleConnection, 'runAll' | 'onReady' | 'reopen'> = {
    async runAll(commands) {
      const names = commands.map(({ name }) => name)
      const answers = await asAdmin(urlOf(names), async (admin) => {
        const each: unknown[] = []
        for (const { name, keys, args = [] } of commands) each.push(await admin.sendCommand([name, ...keys, ...args]))
        return each
      })
      await hold?.(names)
      return answers
    },
    onReady: (run) => {
      opened.add(run)
      return () => opened.delete(run)
    },
    reopen: () => {},
  }
  return {
    ...connection,
    ready: () => {
      for (const run of opened) run()
    },
  }
}

const idsOf = (url: string): Promise<string[]> =>
  asAdmin(url, async (admin) => {
    const own = await admin.clientId()
    return (await admin.clientList()).filter(({ id }) => id !== own).map(({ id }) => String(id))
  })
