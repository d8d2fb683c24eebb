/**
 * A reader that fills against a writer that invalidates, held at each point where the two can cross (SCENARIOS A, PROTOCOL
 * 11: 1 to 6, 10, 13).
 */
import { cached } from 'drizzle-aside'
import { and, eq, inArray } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ManualClock, manualClock } from '../harness/clock.ts'
import { type FreshDatabase, freshDatabase } from '../harness/databases.ts'
import { gatedStore, type StatementHook, type StoreHook } from '../harness/gates.ts'
import { items, itemsSetUp, outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'
import { holdOnce, type OpenedStores, storeKinds } from '../support/races.ts'

type App = Awaited<ReturnType<typeof openApp>>

const answered = (text: RegExp) => holdOnce<{ sql: string }>((point, { sql }) => point === 'after' && text.test(sql))
const storeCall = (method: string, at: 'before' | 'after') =>
  holdOnce<{ method: string }>((point, call) => point === at && call.method === method)

const loadsItem = /^select .* from "items" where/

for (const kind of storeKinds) {
  describe(`over ${kind.name}`, () => {
    const { removing } = kind
    let database: FreshDatabase
    let opened: OpenedStores
    let apps: App[]
    let clock: ManualClock

    beforeAll(async () => {
      database = await freshDatabase()
    })
    afterAll(() => database.drop())

    beforeEach(async () => {
      await outside(database.url, 'drop table if exists items, notes', itemsSetUp)
      clock = manualClock()
      opened = await kind.open(clock, database.name)
      apps = []
    })
    afterEach(async () => {
      await Promise.all(apps.map((app) => app.close()))
      await opened.close()
    })

    /** Two app instances: a reader that can be held, and a writer. */
    async function readerAndWriter(hooks: { statement?: StatementHook; store?: StoreHook } = {}) {
      const store = hooks.store ? gatedStore(opened.stores[0], hooks.store) : opened.stores[0]
      // The clock moves while Redis answers: that no call is late is not the moved clock's to say.
      const unhurried = { readDeadline: '1h', invalidateDeadline: '1h' } as const
      const shared = { url: database.url, namespace: opened.namespace, clock, tables: [cached(items)], ...unhurried }
      const reader = await openApp({ ...shared, store, ...(hooks.statement && { hook: hooks.statement }) })
      const writer = await openApp({ ...shared, store: opened.stores[1] })
      apps.push(reader, writer)
      return { reader, writer }
    }

    const byId = (app: App, id: number) => app.db.select().from(items).where(eq(items.id, id))
    const byCode = (app: App, code: string) => app.db.select().from(items).where(eq(items.code, code))
    const rename = (app: App, id: number, label: string) => app.db.update(items).set({ label }).where(eq(items.id, id))

    test('A1, 1: a row that was read before a write and stored after it is never served', async () => {
      const held = answered(loadsItem)
      const { reader, writer } = await readerAndWriter({ statement: held.hook })
      const first = byId(reader, 1)
      const early = first.then((rows) => rows)
      await held.gate.arrived
      await rename(writer, 1, 'new')
      held.gate.open()
      expect((await early)[0]?.label).toBe('old')
      expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
      expect(await byId(writer, 1)).toMatchObject([{ label: 'new' }])
      expect(reader.db.$aside.stats().hits).toBe(0)
    })

    test('A1: the same by unique key, with the row moved away from the key meanwhile', async () => {
      const held = answered(loadsItem)
      const { reader, writer } = await readerAndWriter({ statement: held.hook })
      const early = byCode(reader, 'c1').then((rows) => rows)
      await held.gate.arrived
      await writer.db.update(items).set({ code: 'moved' }).where(eq(items.id, 1))
      held.gate.open()
      expect(await early).toHaveLength(1)
      expect(await byCode(reader, 'c1')).toEqual([])
      expect(await byCode(writer, 'c1')).toEqual([])
      expect(await byCode(reader, 'moved')).toMatchObject([{ id: 1 }])
    })

    test('A1: the same when only the store call that keeps the row is late', async () => {
      const held = storeCall('write', 'before')
      const { reader, writer } = await readerAndWriter({ store: held.hook })
      expect(await byId(reader, 1)).toMatchObject([{ label: 'old' }])
      await held.gate.arrived
      await rename(writer, 1, 'new')
      held.gate.open()
      expect(await byId(writer, 1)).toMatchObject([{ label: 'new' }])
      expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
    })

    test('A1, 2: two readers in two processes store in the opposite order of their queries', async () => {
      const [slow, fast] = [storeCall('write', 'before'), storeCall('write', 'before')]
      const { reader } = await readerAndWriter({ store: slow.hook })
      const other = await openApp({
        url: database.url,
        namespace: opened.namespace,
        clock,
        store: gatedStore(opened.stores[1], fast.hook),
        tables: [cached(items)],
      })
      apps.push(other)
      await byId(reader, 1)
      await slow.gate.arrived
      await rename(other, 1, 'new')
      await byId(other, 1)
      await fast.gate.arrived
      fast.gate.open()
      slow.gate.open()
      expect(await byId(other, 1)).toMatchObject([{ label: 'new' }])
      expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
    })

    test('A2, 37: "there is no such row" that was read before an insert and stored after it is never served', async () => {
      const held = answered(loadsItem)
      const { reader, writer } = await readerAndWriter({ statement: held.hook })
      const early = byId(reader, 500).then((rows) => rows)
      await held.gate.arrived
      await writer.db.insert(items).values({ id: 500, code: 'c500', label: 'born' })
      held.gate.open()
      expect(await early).toEqual([])
      expect(await byId(reader, 500)).toMatchObject([{ label: 'born' }])
      expect(await byId(writer, 500)).toMatchObject([{ label: 'born' }])
    })

    test('A3: an insert of a row that a unique-key look-up in flight did not find is not hidden by it', async () => {
      const held = answered(loadsItem)
      const { reader, writer } = await readerAndWriter({ statement: held.hook })
      const early = byCode(reader, 'fresh').then((rows) => rows)
      await held.gate.arrived
      await writer.db.insert(items).values({ id: 501, code: 'fresh', label: 'born' })
      held.gate.open()
      expect(await early).toEqual([])
      expect(await byCode(reader, 'fresh')).toMatchObject([{ id: 501 }])
      expect(await byCode(writer, 'fresh')).toMatchObject([{ id: 501 }])
    })

    test('A3: an insert of a row that an in-list in flight did not find is not hidden by it', async () => {
      const held = answered(loadsItem)
      const { reader, writer } = await readerAndWriter({ statement: held.hook })
      const list = (app: App) =>
        app.db
          .select({ id: items.id })
          .from(items)
          .where(inArray(items.id, [1, 2, 502]))
      const early = list(reader).then((rows) => rows)
      await held.gate.arrived
      await writer.db.insert(items).values({ id: 502, code: 'c502', label: 'born' })
      held.gate.open()
      expect(await early).toEqual([{ id: 1 }, { id: 2 }])
      expect(await list(reader)).toEqual([{ id: 1 }, { id: 2 }, { id: 502 }])
      expect(await list(writer)).toEqual([{ id: 1 }, { id: 2 }, { id: 502 }])
    })

    test('A3: a further conjunct is no shield: the row that begins to satisfy it appears', async () => {
      const held = answered(loadsItem)
      const { reader, writer } = await readerAndWriter({ statement: held.hook })
      const wanted = (app: App) =>
        app.db
          .select()
          .from(items)
          .where(and(eq(items.id, 1), eq(items.label, 'new')))
      const early = wanted(reader).then((rows) => rows)
      await held.gate.arrived
      await rename(writer, 1, 'new')
      held.gate.open()
      expect(await early).toEqual([])
      expect(await wanted(reader)).toHaveLength(1)
      expect(await wanted(writer)).toHaveLength(1)
    })

    test('A4: a reader held for a day does not bring the old row back', async () => {
      const held = answered(loadsItem)
      const { reader, writer } = await readerAndWriter({ statement: held.hook })
      const early = byId(reader, 1).then((rows) => rows)
      await held.gate.arrived
      await rename(writer, 1, 'new')
      await byId(writer, 1)
      await clock.advanceAndSettle(24 * 3_600_000)
      held.gate.open()
      expect(await early).toMatchObject([{ label: 'old' }])
      expect(await byId(writer, 1)).toMatchObject([{ label: 'new' }])
      expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
    })

    test('A5: everything in the store is lost between the invalidation and the late store', async () => {
      const held = storeCall('write', 'before')
      const { reader, writer } = await readerAndWriter({ store: held.hook })
      await byId(reader, 1)
      await held.gate.arrived
      await rename(writer, 1, 'new')
      await opened.stores[1].clear('da1:')
      held.gate.open()
      expect(await byId(writer, 1)).toMatchObject([{ label: 'new' }])
      expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
    })

    test('A5, 3: everything is lost after the stamps were taken: the fill is dead, the next one is good', async () => {
      const held = answered(loadsItem)
      const { reader, writer } = await readerAndWriter({ statement: held.hook })
      const early = byId(reader, 1).then((rows) => rows)
      await held.gate.arrived
      await opened.stores[1].clear('da1:')
      await rename(writer, 1, 'new')
      held.gate.open()
      await early
      expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
      await expect.poll(async () => (await byId(reader, 1)) && reader.db.$aside.stats().hits).toBeGreaterThan(0)
      expect(await byId(writer, 1)).toMatchObject([{ label: 'new' }])
    })

    test('D5: an invalidation between taking the stamp and storing the entry kills the entry, whichever comes first', async () => {
      for (const [step, at] of [
        ['read', 'after'],
        ['mint', 'before'],
        ['mint', 'after'],
        ['write', 'before'],
        ['write', 'after'],
      ] as const) {
        const held = storeCall(step, at)
        const { reader, writer } = await readerAndWriter({ store: held.hook })
        await rename(writer, 7, `before ${step} ${at}`)
        const early = byId(reader, 7).then((rows) => rows)
        await held.gate.arrived
        await rename(writer, 7, `${step} ${at}`)
        held.gate.open()
        await early
        expect(await byId(writer, 7)).toMatchObject([{ label: `${step} ${at}` }])
        expect(await byId(reader, 7)).toMatchObject([{ label: `${step} ${at}` }])
      }
    })

    test('A8, 10: a reader that starts after a write resolved does not join a query that began before it', async () => {
      const held = answered(loadsItem)
      const { reader } = await readerAndWriter({ statement: held.hook })
      const early = byId(reader, 1).then((rows) => rows)
      await held.gate.arrived
      // The writer is the reader's own process: one flight table for both.
      await rename(reader, 1, 'new')
      const late = await byId(reader, 1)
      expect(late).toMatchObject([{ label: 'new' }])
      held.gate.open()
      expect(await early).toMatchObject([{ label: 'old' }])
      expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
    })

    test('A8: nor when another process wrote; a reader that started before the write may share', async () => {
      const held = answered(loadsItem)
      const { reader, writer } = await readerAndWriter({ statement: held.hook })
      const early = byId(reader, 1).then((rows) => rows)
      await held.gate.arrived
      const together = byId(reader, 1).then((rows) => rows)
      await expect.poll(() => reader.db.$aside.stats().joined).toBe(1)
      await rename(writer, 1, 'new')
      expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
      held.gate.open()
      expect(await early).toMatchObject([{ label: 'old' }])
      expect(await together).toMatchObject([{ label: 'old' }])
      expect(await byId(reader, 1)).toMatchObject([{ label: 'new' }])
    })

    test('A9, 13: two writers whose invalidations arrive in the other order leave nothing old behind', async () => {
      const first = storeCall(removing, 'before')
      const { reader: one, writer: two } = await readerAndWriter({ store: first.hook })
      await byId(two, 1)
      const early = rename(one, 1, 'one').then((result) => result)
      await first.gate.arrived
      await rename(two, 1, 'two')
      expect(await byId(two, 1)).toMatchObject([{ label: 'two' }])
      first.gate.open()
      await early
      expect(await byId(one, 1)).toMatchObject([{ label: 'two' }])
      expect(await byId(two, 1)).toMatchObject([{ label: 'two' }])
    })

    test('A10: of fifty rows filled together, one that changes meanwhile is refused and the others are kept', async () => {
      const held = answered(loadsItem)
      const { reader, writer } = await readerAndWriter({ statement: held.hook })
      const ids = Array.from({ length: 50 }, (_, at) => at + 1)
      const early = reader.db
        .select()
        .from(items)
        .where(inArray(items.id, ids))
        .then((rows) => rows)
      await held.gate.arrived
      await rename(writer, 25, 'new')
      held.gate.open()
      expect((await early)[24]?.label).toBe('old')
      await expect
        .poll(() => writer.db.$aside.explain(writer.db.select().from(items).where(inArray(items.id, ids))))
        .toMatchObject({ state: 'partial' })
      writer.sql.reset()
      const again = await writer.db.select().from(items).where(inArray(items.id, ids))
      expect(again.map(({ label }) => label)).toEqual(ids.map((id) => (id === 25 ? 'new' : 'old')))
      expect(writer.db.$aside.stats()).toMatchObject({ hits: 49, misses: 1 })
      expect(writer.sql.count(loadsItem)).toBe(1)
    })

    test('A11: readers behind one that hangs wait a bounded time and then ask for themselves', async () => {
      const held = answered(loadsItem)
      const { reader } = await readerAndWriter({ statement: held.hook })
      const hanging = byId(reader, 1).then((rows) => rows)
      await held.gate.arrived
      const waiting = [byId(reader, 1), byId(reader, 1)].map((query) => query.then((rows) => rows))
      await expect.poll(() => reader.db.$aside.stats().joined).toBe(2)
      await clock.advanceAndSettle(1_000)
      for (const rows of await Promise.all(waiting)) expect(rows).toMatchObject([{ label: 'old' }])
      held.gate.open()
      expect(await hanging).toMatchObject([{ label: 'old' }])
    })

    const crashes = [
      ['read', 'after'],
      ['mint', 'before'],
      ['mint', 'after'],
      ['the query', 'before'],
      ['the query', 'after'],
      ['write', 'before'],
    ] as const
    test.each(crashes)('6: a reader that gets no further than %s, %s it, leaves nothing harmful', async (step, at) => {
      const [stuckInQuery, stuckInStore] = [
        holdOnce<{ sql: string }>((point, { sql }) => step === 'the query' && point === at && loadsItem.test(sql)),
        storeCall(step, at),
      ]
      const { reader, writer } = await readerAndWriter({ statement: stuckInQuery.hook, store: stuckInStore.hook })
      const lost = byId(reader, 1).then((rows) => rows)
      await (step === 'the query' ? stuckInQuery : stuckInStore).gate.arrived
      // It is never heard of again. Others wait for it for a bounded time, then they ask, keep and are served.
      const untilServed = async (label: string): Promise<void> => {
        await expect
          .poll(async () => {
            const { hits } = writer.db.$aside.stats()
            const asked = byId(writer, 1).then((rows) => rows)
            await clock.advanceAndSettle(100)
            await clock.advanceAndSettle(100)
            expect(await asked).toMatchObject([{ label }])
            return writer.db.$aside.stats().hits - hits
          })
          .toBe(1)
      }
      await untilServed('old')
      await rename(writer, 1, 'new')
      await untilServed('new')
      // Nor does it when it was only slow.
      for (const { gate } of [stuckInQuery, stuckInStore]) gate.open()
      await lost
      for (const app of [writer, reader, writer]) expect(await byId(app, 1)).toMatchObject([{ label: 'new' }])
    })

    test('A11: a reader that dies while it fills stops nobody', async () => {
      const failing = holdOnce<{ sql: string }>((point, { sql }) => point === 'after' && loadsItem.test(sql))
      let fail = true
      const hook: StatementHook = async (point, statement) => {
        await failing.hook(point, statement)
        if (point === 'after' && fail && loadsItem.test(statement.sql)) {
          fail = false
          throw new Error('the reader died')
        }
      }
      const { reader } = await readerAndWriter({ statement: hook })
      const dying = byId(reader, 1).then((rows) => rows)
      await failing.gate.arrived
      const other = byId(reader, 1).then((rows) => rows)
      await expect.poll(() => reader.db.$aside.stats().joined).toBe(1)
      failing.gate.open()
      expect(await other).toMatchObject([{ label: 'old' }])
      expect(await dying).toMatchObject([{ label: 'old' }])
    })
  })
}
