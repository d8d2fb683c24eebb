/** `$aside.warm`: what is kept afterwards, what it costs, and what happens to queries that fail. */
import { cached } from 'drizzle-aside'
import { asc, count, eq, gt, sql } from 'drizzle-orm'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { gate } from '../../harness/gates.ts'
import { items, itemsSetUp, notes } from '../../support/items.ts'
import { openWrapped, type WrappedDatabase } from '../../support/wrapped-database.ts'

let opened: WrappedDatabase

beforeEach(async () => {
  opened = await openWrapped(18, { ddl: itemsSetUp, tables: [cached(items), cached(notes)], maxFills: 3 })
})
afterEach(() => opened.close())

const byId = (id: number) => opened.db.select().from(items).where(eq(items.id, id))
const list = () => opened.db.select().from(items).where(gt(items.n, -1)).orderBy(asc(items.id)).limit(5)
const counted = () => opened.db.select({ n: count() }).from(items)

test('what was warmed is answered without a statement', async () => {
  const { db, count: statements } = opened
  const seen: unknown[] = []
  const summary = await db.$aside.warm([byId(1), () => byId(2), list(), counted(), byId(-1)], {
    onProgress: (progress) => seen.push(progress),
  })
  expect(summary).toEqual({ done: 5, total: 5, filled: 5, failed: 0, failures: [] })
  expect(seen).toHaveLength(5)
  expect(seen.at(-1)).toEqual({ done: 5, total: 5, filled: 5, failed: 0 })
  statements.reset()
  for (const read of [byId(1), byId(2), list(), counted(), byId(-1)]) await read
  expect(statements.count()).toBe(0)
})

test('what is there already costs no statement', async () => {
  await opened.db.$aside.warm([byId(1), list()])
  opened.count.reset()
  expect(await opened.db.$aside.warm([byId(1), list()])).toMatchObject({ done: 2, filled: 2 })
  expect(opened.count.count()).toBe(0)
})

test('a join whose partners are learned is kept, too', async () => {
  const joined = () => opened.db.select().from(items).leftJoin(notes, eq(notes.id, items.n)).where(eq(items.code, 'c1'))
  expect(await opened.db.$aside.warm([joined()])).toMatchObject({ filled: 1 })
  opened.count.reset()
  await joined()
  expect(opened.count.count()).toBe(0)
})

test('one that fails, and something that is no query, stop no other', async () => {
  const broken = () => opened.db.select({ x: sql`1/0` }).from(items)
  const summary = await opened.db.$aside.warm([broken(), byId(1), [] as never, () => Promise.reject('mine'), byId(2)])
  expect(summary).toMatchObject({ done: 5, filled: 2, failed: 3 })
  expect(summary.failures.map(({ at }) => at)).toEqual([0, 2, 3])
  expect(summary.failures[0]?.error).toMatchObject({ cause: { code: '22012' } })
  expect(summary.failures[1]?.error).toMatchObject({ code: 'ASIDE_BAD_QUERY' })
  expect(summary.failures[2]?.error).toBe('mine')
})

test('what may not be cached runs, and is not counted as filled', async () => {
  const summary = await opened.db.$aside.warm([opened.db.select().from(items).for('update'), byId(1).$withCache(false)])
  expect(summary).toMatchObject({ done: 2, filled: 0, failed: 0 })
})

test('any iterable is run to its end, and asked for no more than can run', async () => {
  const held = gate()
  let made = 0
  function* queries() {
    for (let id = 1; id <= 10; id++) {
      made++
      yield async () => {
        await held.pass()
        return byId(id)
      }
    }
  }
  const warming = opened.db.$aside.warm(queries(), { concurrency: 50 })
  await held.arrivals(3)
  expect(made).toBe(3)
  held.open()
  expect(await warming).toMatchObject({ done: 10, total: undefined, failed: 0 })
  opened.count.reset()
  for (let id = 1; id <= 10; id++) await byId(id)
  expect(opened.count.count()).toBe(0)
})

test('an async generator yields functions; builders, which it would run itself, are named', async () => {
  async function* functions() {
    for (const id of [1, 2]) yield () => byId(id)
  }
  expect(await opened.db.$aside.warm(functions())).toMatchObject({ done: 2, filled: 2 })
  async function* builders() {
    yield byId(3) as never
  }
  const { failures } = await opened.db.$aside.warm(builders())
  expect(String(failures[0]?.error)).toMatch(/must yield functions/)
})

test('an iterable that fails ends it with its error, after what ran has ended', async () => {
  function* queries() {
    yield byId(1)
    throw new Error('out of ids')
  }
  await expect(opened.db.$aside.warm(queries())).rejects.toThrow('out of ids')
  opened.count.reset()
  await byId(1)
  expect(opened.count.count()).toBe(0)
})

test('a listener that throws is told and stops nothing', async () => {
  const { db, events } = opened
  const onProgress = () => {
    throw new Error('mine')
  }
  expect(await db.$aside.warm([byId(1), byId(2)], { onProgress })).toMatchObject({ filled: 2 })
  expect(events.filter(({ type }) => type === 'listenerFailed')).toHaveLength(2)
})

test('mistakes have codes', async () => {
  const { warm } = opened.db.$aside
  await expect(warm([], { concurrency: 0 })).rejects.toMatchObject({ code: 'ASIDE_BAD_OPTION' })
  await expect(warm([], { onProgress: 1 as never })).rejects.toMatchObject({ code: 'ASIDE_BAD_OPTION' })
  await expect(warm([], { paralel: 2 } as never)).rejects.toMatchObject({ code: 'ASIDE_UNKNOWN_OPTION' })
  await expect(warm('select 1' as never)).rejects.toMatchObject({ code: 'ASIDE_BAD_QUERY' })
  await expect(warm(undefined as never)).rejects.toMatchObject({ code: 'ASIDE_BAD_QUERY' })
})
