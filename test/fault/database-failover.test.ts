/**
 * A commit that was acknowledged, read and cached may be gone when the database comes back: a promoted standby had not
 * received it, or `synchronous_commit = off` had not written it yet when the server crashed (PROTOCOL 3.16). From the
 * moment that any process notices, nobody is served what the database does not have.
 */
import { type AsideOptions, cached, memoryStore, type Store } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type ManualClock, manualClock } from '../harness/clock.ts'
import { type PrivateServer, privatePair, privatePostgres } from '../harness/databases.ts'
import { gatedStore } from '../harness/gates.ts'
import { descendantNamed } from '../harness/processes.ts'
import { type TcpProxy, tcpProxy } from '../harness/tcp-proxy.ts'
import type { App } from '../support/drivers.ts'
import { items, itemsSetUp, notes, outside } from '../support/items.ts'
import { openApp, openPostgresJs } from '../support/open-app.ts'

const byId = (app: App, id: number) => app.db.select().from(items).where(eq(items.id, id))
const labelled = (app: App, label: string) =>
  app.db.select({ id: items.id }).from(items).where(eq(items.label, label)).orderBy(items.id)

const ways = [
  { name: 'node-postgres pool', open: async (options: Options) => openApp(options) as Promise<App> },
  {
    name: 'postgres-js',
    open: async (options: Options) =>
      (await openPostgresJs({ ...options, postgres: { fetch_types: false } })) as unknown as App,
  },
]
type Options = AsideOptions & { url: string }

let clock: ManualClock
let store: Store
let closing: (() => Promise<unknown> | unknown)[]

beforeEach(() => {
  clock = manualClock()
  store = memoryStore({ clock })
  closing = []
})
afterEach(async () => {
  for (const close of closing.reverse()) await close()
})

/** An app with a view of the store of its own, as another process has it. */
async function open(url: string, way = ways[0] as (typeof ways)[number]): Promise<App> {
  const tables = [cached(items, { lists: (t) => [t.label] }), cached(notes)]
  const own = gatedStore(store, () => undefined)
  const app = await way.open({ url, store: own, clock, namespace: 'failover', tables })
  closing.push(() => app.close())
  return app
}

/** Reads until both kinds of answer come from the cache. */
async function warm(app: App, label: string): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    await byId(app, 1)
    await labelled(app, label)
  }
  const { hits } = app.db.$aside.stats()
  expect(await byId(app, 1)).toMatchObject([{ label }])
  expect(await labelled(app, label)).toEqual([{ id: 1 }])
  expect(app.db.$aside.stats().hits).toBe(hits + 2)
}

const rename = (app: App, label: string) => app.db.update(items).set({ label }).where(eq(items.id, 1))

/** The pauses between tries to read the catalog go by. */
async function untilNoticed(app: App, times = 1): Promise<void> {
  await expect
    .poll(async () => {
      await clock.advanceAndSettle(1_000)
      await byId(app, 90).catch(() => {})
      return app.told.of('serverChanged').length
    })
    .toBe(times)
  await expect.poll(() => app.told.of('catalogRead').length).toBeGreaterThan(times)
}

async function expectLost(url: string, ...apps: App[]): Promise<void> {
  expect(await outside(url, 'select label from items where id = 1')).toEqual([{ label: 'old' }])
  for (let turn = 0; turn < 3; turn++)
    for (const app of apps) {
      expect(await byId(app, 1)).toMatchObject([{ label: 'old' }])
      expect(await labelled(app, 'lost')).toEqual([])
    }
}

describe.each(ways)('a failover over $name', (way) => {
  test('68: a commit that the promoted standby never got is served by nobody once a failed statement told of it', async () => {
    const pair = await privatePair(15)
    closing.push(() => pair.stop())
    await outside(pair.primary.url, itemsSetUp)
    await pair.caughtUp()
    const front = await frontOf(pair.primary)
    const writer = await open(front.url, way)
    const other = await open(front.url, way)
    pair.link.blackHole()
    await rename(writer, 'lost')
    for (const app of [writer, other]) await warm(app, 'lost')

    front.blackHole('toClient')
    const failed = expect(byId(writer, 50)).rejects.toThrow()
    front.refuse()
    await failed
    await pair.primary.kill()
    await pair.promote()
    front.moveTo(pair.standby.url)
    front.heal()
    await untilNoticed(writer)

    await expectLost(pair.standby.url, writer, other)
    expect(writer.told.of('epochReplaced').filter(({ reason }) => reason === 'server-changed')).toMatchObject([
      { table: 'items' },
      { table: 'notes' },
    ])
    expect(writer.db.$aside.health()).toMatchObject({ state: 'ok', serverChanges: 1 })
    // The hooks are as they were: writes are made known, and answers are kept again.
    await rename(writer, 'after')
    for (const app of [writer, other]) await warm(app, 'after')
    // The other process, which met no error, finds out by itself, and nothing is lost by it.
    await untilNoticed(other)
    await warm(other, 'after')
  })
})

async function frontOf(server: PrivateServer): Promise<TcpProxy> {
  const front = await tcpProxy(server.url)
  closing.push(() => front.close())
  return front
}

describe('a crash that loses commits of synchronous_commit = off', () => {
  let server: PrivateServer
  beforeEach(async () => {
    server = await privatePostgres(15, ['synchronous_commit=off', 'wal_writer_delay=10s'])
    closing.push(() => server.stop())
    await outside(server.url, itemsSetUp, 'checkpoint')
  })

  /** Nothing is written to disk any more but by commits that wait for it; these do not. */
  function holdWriters(): () => void {
    const held = ['walwriter', 'checkpointer', 'background writer'].map((title) =>
      descendantNamed(server.pid, new RegExp(title)),
    )
    for (const pid of held) process.kill(pid, 'SIGSTOP')
    return () => {
      for (const pid of held) process.kill(pid, 'SIGCONT')
    }
  }

  test('is noticed after a start of the server, also by a process that begins only then', async () => {
    const app = await open(server.url)
    holdWriters()
    await rename(app, 'lost')
    await warm(app, 'lost')
    await server.restart()
    const beginner = await open(server.url)
    await expectLost(server.url, beginner)
    await untilNoticed(app)
    expect(app.told.of('serverChanged')).toMatchObject([{ how: 'restarted' }])
    await expectLost(server.url, app, beginner)
  })

  test('is noticed where the server goes on after the crash of one backend', async () => {
    const app = await open(server.url)
    const release = holdWriters()
    await rename(app, 'lost')
    await warm(app, 'lost')
    const [before] = await outside(server.url, 'select pg_postmaster_start_time() as since')
    const { rows } = await app.plain.execute<{ pid: number }>('select pg_backend_pid() as pid')
    process.kill(rows[0]?.pid as number, 'SIGKILL')
    await expect
      .poll(async () =>
        outside(server.url, 'select 1').then(
          () => 'up',
          () => 'down',
        ),
      )
      .toBe('down')
    release()
    await expect
      .poll(async () =>
        outside(server.url, 'select 1').then(
          () => 'up',
          () => 'down',
        ),
      )
      .toBe('up')
    expect(await outside(server.url, 'select pg_postmaster_start_time() as since')).toEqual([before])
    await untilNoticed(app)
    await expectLost(server.url, app)
  })

  test('D10: hooks survive a restart: writes are made known, answers are kept, nothing is missed in between', async () => {
    const app = await open(server.url)
    const other = await open(server.url)
    for (let turn = 1; turn <= 3; turn++) {
      await rename(app, `turn ${turn}`)
      for (const each of [app, other]) await warm(each, `turn ${turn}`)
      await server.restart()
      // A write whose connection is gone fails or happens, as without cache.
      await rename(app, `restart ${turn}`).catch(() => {})
      for (const each of [app, other]) await untilNoticed(each, turn)
      const [row] = await outside(server.url, 'select label from items where id = 1')
      for (const each of [app, other]) expect(await byId(each, 1)).toMatchObject([row as object])
    }
    await app.db.transaction(async (tx) => {
      await tx.update(items).set({ label: 'at last' }).where(eq(items.id, 1))
    })
    for (const each of [app, other]) await warm(each, 'at last')
  })
})
