/**
 * A fill against an invalidation (SCENARIOS A) for answers that are kept as a whole: lists, joins, aggregates, relational
 * queries. A fill is held at a gate while a writer changes what it has read.
 *
 * 5 is of PROTOCOL 11. Of A7 only what a replica that is not wrapped may do: the others are in test/fault/replicas.test.ts.
 */
import type { Store } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { withReplicas } from 'drizzle-orm/pg-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ManualClock, manualClock } from '../../harness/clock.ts'
import { type FreshDatabase, freshDatabase } from '../../harness/databases.ts'
import { gate, gatedStore, type StatementHook, type StoreHook } from '../../harness/gates.ts'
import { outside } from '../../support/items.ts'
import { openApp } from '../../support/open-app.ts'
import { holdOnce, type OpenedStores, storeKinds } from '../../support/races.ts'
import {
  authors,
  born,
  byAuthor,
  comments,
  emptyList,
  innerJoin,
  list,
  mainKinds,
  posts,
  type ResultKind,
  relationalList,
  renameAuthor,
  resultKinds,
  type Scene,
  type SceneRead,
  scene,
  sceneRows,
  sceneSetUp,
  sceneTables,
  setPost,
} from '../../support/results-scene.ts'

type App = Awaited<ReturnType<typeof openApp<Scene>>>

/** Starts the query now: builders wait to be awaited. */
const started = async (answer: PromiseLike<unknown>): Promise<unknown> => answer
const isRead = (sql: string): boolean => /^\(?select/i.test(sql) && !sql.includes('pg_catalog.')

const idOf = ({ name }: ResultKind): string =>
  ({ [list.name]: 'A3', [emptyList.name]: 'A2', [innerJoin.name]: 'A1, 47', 'a relational row': 'A1, 47' })[name] ??
  'A1'
const named = (kinds: readonly ResultKind[]) => kinds.map((kind) => [kind.name, kind] as const)
const withIds = resultKinds.map((kind) => [idOf(kind), kind.name, kind] as const)
const joinsAndLists = named([list, innerJoin, relationalList])
const allWays = named(mainKinds)

describe.each(storeKinds)('over $name', (kind) => {
  let database: FreshDatabase
  let opened: OpenedStores
  let apps: App[]
  let clock: ManualClock

  beforeAll(async () => {
    database = await freshDatabase()
    await outside(database.url, sceneSetUp)
  })
  afterAll(() => database.drop())
  beforeEach(async () => {
    await outside(database.url, sceneRows)
    clock = manualClock()
    opened = await kind.open(clock, database.name)
    apps = []
  })
  afterEach(async () => {
    await Promise.all(apps.map((app) => app.close()))
    await opened.close()
  })

  async function open(store = opened.stores[0], hook?: StatementHook): Promise<App> {
    const shared = { url: database.url, namespace: opened.namespace, clock, schema: scene, tables: sceneTables }
    const app = await openApp<Scene>({ ...shared, store, ...(hook && { hook }) })
    apps.push(app)
    return app
  }

  /** A reader whose next read, once `arm()` was called, is held when its rows have come; and a writer. */
  async function readerAndWriter(only: (params: unknown[]) => boolean = () => true) {
    let armed = false
    const held = holdOnce<{ sql: string; params: unknown[] }>(
      (point, { sql, params }) => armed && point === 'after' && isRead(sql) && only(params),
    )
    const reader = await open(opened.stores[0], held.hook)
    const writer = await open(opened.stores[1])
    const arm = () => {
      armed = true
    }
    return { reader, writer, gate: held.gate, arm }
  }

  /** Reads until the answer is served from the store: joins learn their partners first, and nobody waits for a fill. */
  async function untilHit(app: App, read: SceneRead): Promise<void> {
    await expect
      .poll(async () => {
        const before = app.db.$aside.stats().hits
        await read(app.db)
        return app.db.$aside.stats().hits - before
      })
      .toBe(1)
  }

  /** From here on the reader knows what its answer rests on, and nothing is kept: its next read is a fill. */
  async function readyToFill(app: App, read: SceneRead): Promise<void> {
    await untilHit(app, read)
    for (const table of [authors, posts, comments]) await app.db.$aside.invalidate(table)
  }

  async function expectCurrent(read: SceneRead, ...readers: App[]): Promise<void> {
    for (const app of readers) expect(await read(app.db)).toEqual(await read(app.plain))
  }

  it.each(withIds)('%s: %s that is read before a write and stored after it is never served', async (_, __, each) => {
    const { reader, writer, gate, arm } = await readerAndWriter()
    await readyToFill(reader, each.read)
    const before = await each.read(writer.plain)
    arm()
    const early = started(each.read(reader.db))
    await gate.arrived
    await each.change(writer.db)
    gate.open()
    expect(await early).toEqual(before)
    expect(await each.read(writer.plain)).not.toEqual(before)
    await expectCurrent(each.read, reader, writer)
    await untilHit(reader, each.read)
    await expectCurrent(each.read, reader, writer)
  })

  it.each(joinsAndLists)(
    'A4: %s of a reader that was held for an hour does not come back',
    async (_, { read, change }) => {
      const { reader, writer, gate, arm } = await readerAndWriter()
      await readyToFill(reader, read)
      arm()
      const early = started(read(reader.db))
      await gate.arrived
      await change(writer.db)
      await untilHit(writer, read)
      await clock.advanceAndSettle(3_600_000)
      // Whatever guarded the key has outlived itself, and others have filled it anew since.
      await untilHit(writer, read)
      gate.open()
      await early
      await expectCurrent(read, writer, reader, writer)
    },
  )

  it.each(joinsAndLists)(
    'A5: %s is not served when all is lost between the invalidation and its late store',
    async (_, { read, change }) => {
      let armed = false
      const late = holdOnce<{ method: string }>(
        (point, { method }) => armed && point === 'before' && method === 'write',
      )
      const landed = gate()
      landed.open()
      const reader = await open(
        gatedStore(opened.stores[0], (point, call) => {
          if (armed && point === 'after' && call.method === 'write') void landed.pass()
          return late.hook(point, call)
        }),
      )
      const writer = await open(opened.stores[1])
      await readyToFill(reader, read)
      armed = true
      await read(reader.db)
      await late.gate.arrived
      await change(writer.db)
      await opened.stores[1].clear('da1:')
      // Under stamps minted anew: a stamp that came back would revive the late entry, which then replaces the new one.
      await untilHit(writer, read)
      late.gate.open()
      await landed.arrived
      await expectCurrent(read, writer, reader, writer)
    },
  )

  it.each(allWays)('A6: %s in an older snapshot is read there and never stored', async (_, { read, change }) => {
    const { reader, writer } = await readerAndWriter()
    await untilHit(reader, read)
    const before = await read(reader.plain)
    await reader.db.transaction(
      async (tx) => {
        expect(await read(tx)).toEqual(before)
        await change(writer.db)
        const { fills } = reader.db.$aside.stats()
        expect(await read(tx)).toEqual(before)
        expect(reader.db.$aside.stats().fills).toBe(fills)
      },
      { isolationLevel: 'repeatable read' },
    )
    expect(await read(reader.plain)).not.toEqual(before)
    await expectCurrent(read, reader, writer)
  })

  /** Where the keys of a read are on two nodes: what one of them said is old when the other is asked. */
  function inHalves(store: Store, lastFirst: boolean, between: () => Promise<void> | undefined): Store {
    const nodeOf = (key: string): string => /\{.*?\}/.exec(key)?.[0] ?? ''
    const read: Store['read'] = async (keys) => {
      const nodes = [...new Set(keys.map(nodeOf))]
      if (lastFirst) nodes.reverse()
      const texts = new Map<string, string | null>()
      for (const [at, node] of nodes.entries()) {
        if (at === 1) await between()
        const own = keys.filter((key) => nodeOf(key) === node)
        for (const [i, text] of (await store.read(own)).entries()) texts.set(own[i] as string, text)
      }
      return keys.map((key) => texts.get(key) ?? null)
    }
    return new Proxy(store, { get: (target, key) => (key === 'read' ? read : Reflect.get(target, key, target)) })
  }

  const ofSeveralTables = [innerJoin, relationalList].flatMap((each) => [
    [each.name, 'first', each] as const,
    [each.name, 'last', each] as const,
  ])
  it.each(ofSeveralTables)(
    '5: %s that is read in two halves, its own node %s, is all old or all new, whatever is written in between',
    async (_, which, { read }) => {
      let now: (() => Promise<void>) | undefined
      const between = async (): Promise<void> => {
        const then = now
        now = undefined
        await then?.()
      }
      const reader = await open(inHalves(opened.stores[0], which === 'last', between))
      const writer = await open(opened.stores[1])
      const change = (what: string, title: string): Promise<void> =>
        writer.db.transaction(async (tx) => {
          if (what !== 'the author') await setPost(1, { title })(tx)
          if (what !== 'the post') await renameAuthor(1, title)(tx)
        })
      // Kept before, and filled anew by somebody else or not; or not kept at all. Of what changes alone one half tells.
      const turns = [
        [true, 'both'],
        [false, 'both'],
        [false, 'the author'],
        [false, 'the post'],
        [undefined, 'both'],
      ] as const
      for (const [turn, [refilled, what]] of turns.entries()) {
        if (refilled === undefined) await readyToFill(reader, read)
        else await untilHit(reader, read)
        const before = await read(writer.plain)
        now = async () => {
          await change(what, `turn ${turn}`)
          if (refilled) await untilHit(writer, read)
        }
        const answer = await read(reader.db)
        expect(now).toBeUndefined()
        const after = await read(writer.plain)
        expect(after).not.toEqual(before)
        expect([before, after]).toContainEqual(answer)
        await expectCurrent(read, reader, writer)
        await untilHit(reader, read)
        await expectCurrent(read, reader, writer)
      }
    },
  )

  it('A7, F16: what a lagging replica answers is not stored, and the primary’s answers stay right', async () => {
    const lagging = await freshDatabase()
    await outside(lagging.url, sceneSetUp)
    const behind = await openApp<Scene>({ url: lagging.url, tables: [], schema: scene })
    const primary = await open()
    const db = withReplicas(primary.db, [behind.plain as unknown as App['db']])
    const joined = () => innerJoin.read(db.$primary)
    await joined()
    await db.update(authors).set({ name: 'ahead' }).where(eq(authors.id, 1))
    const old = await innerJoin.read(db)
    expect(old).not.toEqual(await joined())
    expect(await joined()).toEqual(await innerJoin.read(primary.plain))
    await untilHit(primary, innerJoin.read)
    await expectCurrent(innerJoin.read, primary)
    expect(await innerJoin.read(db)).toEqual(old)
    await behind.close()
    await lagging.drop()
  })

  it.each(allWays)('A8: who asks for %s after a write does not share the query from before it', async (_, each) => {
    const { reader, writer, gate, arm } = await readerAndWriter()
    await readyToFill(reader, each.read)
    const before = await each.read(reader.plain)
    arm()
    const early = started(each.read(reader.db))
    await gate.arrived
    const together = started(each.read(reader.db))
    await expect.poll(() => reader.db.$aside.stats().joined).toBe(1)
    await each.change(writer.db)
    expect(await each.read(reader.db)).toEqual(await each.read(reader.plain))
    gate.open()
    expect([await early, await together]).toEqual([before, before])
    await expectCurrent(each.read, reader, writer)
  })

  it('A9: two writers whose invalidations arrive in the other order leave no old list and no old join', async () => {
    const first = holdOnce<{ method: string }>((point, { method }) => point === 'before' && method === kind.removing)
    const one = await open(gatedStore(opened.stores[0], first.hook as StoreHook))
    const two = await open(opened.stores[1])
    for (const { read } of [list, innerJoin]) await untilHit(two, read)
    const early = started(setPost(1, { title: 'one', authorId: 2 })(one.db))
    await first.gate.arrived
    await setPost(1, { title: 'two', authorId: 3 })(two.db)
    for (const { read } of [innerJoin]) await expectCurrent(read, two)
    first.gate.open()
    await early
    for (const read of [byAuthor(1), byAuthor(2), byAuthor(3), innerJoin.read]) await expectCurrent(read, one, two)
  })

  it('A10: of fifty lists filled together, the one that changes meanwhile is refused and the others are kept', async () => {
    await outside(database.url, `insert into authors select n, 'a' || n, 'a' from generate_series(6, 50) n`)
    const { reader, writer, gate, arm } = await readerAndWriter((params) => params.includes(25))
    const all = Array.from({ length: 50 }, (_, at) => byAuthor(at + 1))
    arm()
    const early = all.map((read) => started(read(reader.db)))
    await gate.arrived
    await Promise.all(early.filter((_, at) => at !== 24))
    await born(25)(writer.db)
    gate.open()
    expect(await early[24]).toEqual([])
    await expect
      .poll(
        async () =>
          (await writer.db.$aside.explain(writer.db.select().from(posts).where(eq(posts.authorId, 25)))).state,
      )
      .toBe('miss')
    writer.sql.reset()
    for (const read of all) expect(await read(writer.db)).toEqual(await read(reader.plain))
    expect(writer.sql.statements.map(({ params }) => params)).toEqual([[25]])
  })

  it.each(allWays)(
    'A11: who waits for %s behind a reader that hangs asks alone after a second',
    async (_, { read }) => {
      const { reader, gate, arm } = await readerAndWriter()
      await readyToFill(reader, read)
      const { joined } = reader.db.$aside.stats()
      arm()
      const hanging = started(read(reader.db))
      await gate.arrived
      const waiting = [started(read(reader.db)), started(read(reader.db))]
      await expect.poll(() => reader.db.$aside.stats().joined).toBe(joined + 2)
      await clock.advanceAndSettle(1_000)
      const truth = await read(reader.plain)
      expect(await Promise.all(waiting)).toEqual([truth, truth])
      gate.open()
      expect(await hanging).toEqual(truth)
    },
  )

  it.each(allWays)(
    'A12: writes without end to one key keep nobody waiting, and %s is kept once they end',
    async (_, { read, change }) => {
      const { reader, writer, gate, arm } = await readerAndWriter()
      await readyToFill(reader, read)
      arm()
      const first = started(read(reader.db))
      await gate.arrived
      // The first fill is never released meanwhile: who waited for it would not come to an end.
      for (let turn = 0; turn < 5; turn++) {
        await setPost(1, { title: `turn ${turn}` })(writer.db)
        await renameAuthor(1, `turn ${turn}`)(writer.db)
        await expectCurrent(read, reader, writer)
      }
      await change(writer.db)
      gate.open()
      await first
      await untilHit(reader, read)
      await expectCurrent(read, reader, writer)
    },
  )
})
