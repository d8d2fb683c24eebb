import { describe, expect, test } from 'vitest'
import { manualClock, settle } from '../../../../test/harness/clock.ts'
import { gate } from '../../../../test/harness/gates.ts'
import { entryHead } from '../../src/model/entry.ts'
import { createPayloads } from '../../src/model/payload.ts'
import type { ResultLookup, ResultRows } from '../../src/model/result.ts'
import { type Clock, systemClock } from '../../src/ports/clock.ts'
import type { AsideEvent } from '../../src/ports/events.ts'
import { FillLimit } from '../../src/read/fill-limit.ts'
import { FillTokens } from '../../src/read/fill-tokens.ts'
import { createResultReader } from '../../src/read/read-results.ts'
import { Refreshes } from '../../src/read/refreshes.ts'
import { guardStore } from '../../src/stores/guard-store.ts'
import { memoryStore } from '../../src/stores/memory-store.ts'
import { CountingVoice } from '../../src/watch/create-voice.ts'
import { BoundedDropWatch } from '../../src/watch/watch-drops.ts'

const shared = memoryStore()
let names = 0

/** A lookup of its own, whose learned keys are the first value of each row. */
function lookup(parts: Partial<ResultLookup> = {}): ResultLookup {
  const name = `r${names++}`
  return {
    label: 'public.posts',
    kind: 'list',
    entryKey: `E${name}`,
    head: entryHead(name),
    stamps: [`V${name}`, `A${name}`],
    epochs: 1,
    dependencies: [],
    reached: new Map(),
    learn: undefined,
    ttlMs: 60_000,
    jitter: 0,
    maxRows: 3,
    maxBytes: 1000,
    ...parts,
  }
}

const learning = (): Pick<ResultLookup, 'learn'> => ({
  learn: (rows) => ({ keys: rows.map(([id]) => `R${names}:${id}`), widened: false }),
})

function open({ clock = systemClock, random = () => 0.5 }: { clock?: Clock; random?: () => number } = {}) {
  const events: AsideEvent[] = []
  const voice = new CountingVoice()
  voice.listen((event) => events.push(event))
  const store = guardStore(shared, { clock: systemClock, emit: (event) => events.push(event) })
  const closed = { now: false }
  const limit = new FillLimit(() => 8, clock)
  const reader = createResultReader({
    store,
    clock,
    voice,
    payloads: createPayloads({}),
    drops: new BoundedDropWatch(),
    stampTtlMs: 120_000,
    closed: () => closed.now,
    random,
    limit,
    tokens: new FillTokens({ store, clock, voice, waitMs: undefined }),
    refreshes: new Refreshes({ limit, clock, voice }),
  })
  const loads = { count: 0 }
  const ask = async (of: ResultLookup, rows: ResultRows, keep = true) => {
    const answer = await reader.read(of, async () => {
      loads.count++
      return { rows, keep }
    })
    return 'rows' in answer ? answer.rows : answer
  }
  const met = () => Object.fromEntries(Object.entries(voice.stats().bounds).filter(([, times]) => times > 0))
  return { events, reader, ask, loads, closed, met, remove: (...keys: string[]) => shared.remove(keys) }
}

describe('reading whole results', () => {
  test('a second read is answered from the store', async () => {
    const { ask, loads, events } = open()
    const of = lookup()
    expect(await ask(of, [[1, 'a']])).toEqual([[1, 'a']])
    expect(await ask(of, [['never']])).toEqual([[1, 'a']])
    expect(loads.count).toBe(1)
    expect(events.map(({ type }) => type)).toEqual(['miss', 'fill', 'hit'])
  })

  test.each([0, 1])('removing the stamp at %i ends it', async (at) => {
    const { ask, remove } = open()
    const of = lookup()
    await ask(of, [[1]])
    await remove(of.stamps[at] as string)
    expect(await ask(of, [[2]])).toEqual([[2]])
    expect(await ask(of, [[3]])).toEqual([[2]])
  })

  test('A2: an empty result is an answer', async () => {
    const { ask, loads } = open()
    const of = lookup()
    await ask(of, [])
    expect(await ask(of, [[1]])).toEqual([])
    expect(loads.count).toBe(1)
  })

  test('B15, 48b: partners are remembered first, and their stamps taken before the query that is stored', async () => {
    const { ask, loads, events, remove } = open()
    const of = lookup(learning())
    const key = of.learn?.([[7]]).keys[0] as string
    await ask(of, [[7]])
    expect(events.at(-1)).toMatchObject({ type: 'fillRefused', reason: 'partners-unknown' })
    await ask(of, [[7]])
    expect(await ask(of, [['never']])).toEqual([[7]])
    expect(loads.count).toBe(2)
    await remove(key)
    expect(await ask(of, [[7, 'new']])).toEqual([[7, 'new']])
    expect(await ask(of, [['never']])).toEqual([[7, 'new']])
  })

  test('a partner that comes in stores what was learned, and no rows', async () => {
    const { ask } = open()
    const of = lookup(learning())
    await ask(of, [[7]])
    await ask(of, [[7]])
    await shared.remove([of.stamps[0] as string])
    expect(await ask(of, [[8]])).toEqual([[8]])
    expect(await ask(of, [[8, 'again']])).toEqual([[8, 'again']])
    expect(await ask(of, [['never']])).toEqual([[8, 'again']])
  })

  test('a process that knows no partner asks for their stamps in a second trip', async () => {
    const of = lookup(learning())
    const one = open()
    await one.ask(of, [[7]])
    await one.ask(of, [[7]])
    const other = open()
    expect(await other.ask(of, [['never']])).toEqual([[7]])
    await other.remove(of.learn?.([[7]]).keys[0] as string)
    const third = open()
    expect(await third.ask(of, [[7, 'new']])).toEqual([[7, 'new']])
    expect(await third.ask(of, [['never']])).toEqual([[7, 'new']])
  })

  test('A3: a write between the query and the store leaves nothing that anybody is served', async () => {
    const { reader, ask, remove } = open()
    const of = lookup()
    const held = gate()
    const early = reader.read(of, async () => {
      const rows = [['old']]
      await held.pass()
      return { rows, keep: true }
    })
    await held.arrived
    await remove(of.stamps[0] as string)
    held.open()
    expect(await early).toEqual({ rows: [['old']] })
    expect(await ask(of, [['new']])).toEqual([['new']])
  })

  test('A8: a reader that comes after a write does not join the query from before it', async () => {
    const { reader, ask, remove, events } = open()
    const of = lookup()
    const held = gate()
    const early = reader.read(of, async () => {
      await held.pass()
      return { rows: [['old']], keep: true }
    })
    await held.arrived
    await remove(of.stamps[1] as string)
    expect(await ask(of, [['new']])).toEqual([['new']])
    expect(events.some(({ type }) => type === 'joined')).toBe(false)
    held.open()
    expect(await early).toEqual({ rows: [['old']] })
    // What the early one stored is dead; that it took the place of the newer entry costs a miss.
    expect(await ask(of, [['newer']])).toEqual([['newer']])
  })

  test('E6: readers under the same stamps share one query, and nothing that one of them could change', async () => {
    const { reader, ask, loads } = open()
    const of = lookup()
    await ask(of, [[1]])
    await shared.remove([of.entryKey])
    const held = gate()
    const first = reader.read(of, async () => {
      await held.pass()
      return { rows: [[{ deep: 1 }]], keep: true }
    })
    await held.arrived
    const second = ask(of, [['never']])
    const third = ask(of, [['never']])
    await new Promise((resolve) => setImmediate(resolve))
    held.open()
    const [a, b, c] = await Promise.all([first, second, third])
    expect([b, c]).toEqual([[[{ deep: 1 }]], [[{ deep: 1 }]]])
    expect(loads.count).toBe(1)
    expect((b as unknown[][])[0]?.[0]).not.toBe((c as unknown[][])[0]?.[0])
    expect(a).toEqual({ rows: b })
  })

  test('more rows or a longer text than allowed are answered and not stored', async () => {
    const { ask, events, met } = open()
    const many = lookup()
    expect(await ask(many, [[1], [2], [3], [4]])).toHaveLength(4)
    expect(events.at(-1)).toMatchObject({ type: 'fillRefused', reason: 'too-many-rows' })
    const long = lookup()
    await ask(long, [['x'.repeat(1001)]])
    expect(events.at(-1)).toMatchObject({ type: 'fillRefused', reason: 'too-large' })
    expect(met()).toEqual({ maxRows: 1, maxBytes: 1 })
    expect(await ask(long, [[1]])).toEqual([[1]])
  })

  test('an answer that rests on a table for the number of its stamps is stored, and counted once', async () => {
    const { ask, met } = open()
    const of = lookup({ widened: true })
    await ask(of, [[1]])
    await ask(of, [['never']])
    expect(met()).toEqual({ stamps: 1 })
  })

  test('an answer whose rows name too many stamps is counted when it is kept', async () => {
    const { ask, met } = open()
    const of = lookup({ learn: () => ({ keys: ['T1'], widened: true }) })
    await ask(of, [[1]])
    expect(met()).toEqual({})
    await ask(of, [[1]])
    await ask(of, [['never']])
    expect(met()).toEqual({ learnedStamps: 1 })
  })

  test('C9: what fell into a transaction, and what is read while invalidations wait, is not stored', async () => {
    const { ask, closed } = open()
    const of = lookup()
    await ask(of, [['own']], false)
    closed.now = true
    await ask(of, [['waiting']])
    closed.now = false
    expect(await ask(of, [['new']])).toEqual([['new']])
  })

  test('an entry is filled anew by chance: the dearer its query and the nearer its end, the likelier', async () => {
    const clock = manualClock()
    let random = 0
    const { reader, events } = open({ clock, random: () => random })
    const of = lookup({ refresh: { beta: 1, aheadMs: 0 } })
    const ask = async (rows: ResultRows) => {
      const answer = await reader.read(of, async () => {
        clock.advance(2_000)
        return { rows, keep: true }
      })
      await settle()
      return answer
    }
    await ask([['first']])
    const refreshed = () => events.filter(({ type }) => type === 'refresh').length
    // The query took two seconds: a second before the end, a draw of 1 - e^-0.5 decides. Store time does not move.
    clock.advance(59_000)
    random = 1 - Math.exp(-0.49)
    expect(await ask([['never']])).toEqual({ rows: [['first']] })
    expect(refreshed()).toBe(0)
    random = 1 - Math.exp(-0.51)
    expect(await ask([['second']])).toEqual({ rows: [['first']] })
    expect(refreshed()).toBe(1)
    random = 0
    expect(await ask([['never']])).toEqual({ rows: [['second']] })
    expect(refreshed()).toBe(1)
  })

  test('E9: a query that fails fails for its readers, and leaves nothing', async () => {
    const { reader, ask } = open()
    const of = lookup()
    await expect(reader.read(of, () => Promise.reject(new Error('no such table')))).rejects.toThrow('no such table')
    expect(await ask(of, [[1]])).toEqual([[1]])
  })
})
