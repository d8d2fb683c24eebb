import { describe, expect, test } from 'vitest'
import type { AsideEvent } from '../../packages/core/src/ports/events.ts'
import type { Store } from '../../packages/core/src/ports/store.ts'
import { guardStore } from '../../packages/core/src/stores/guard-store.ts'
import { memoryStore } from '../../packages/core/src/stores/memory-store.ts'
import { manualClock, settle } from '../harness/clock.ts'

const never = () => new Promise<never>(() => {})
const broken = () => Promise.reject(new Error('broken'))
const throwing = () => {
  throw new Error('thrown')
}

interface Guarded {
  calls: (readonly string[])[]
  events: AsideEvent[]
}

/** A memory store behind a guard, with some of its methods replaced. */
function guarded(replaced: Partial<Store> = {}) {
  const clock = manualClock()
  const seen: Guarded = { calls: [], events: [] }
  const inner = memoryStore({ clock })
  const store: Store = { ...inner, ...replaced }
  const read = store.read
  store.read = (keys) => {
    seen.calls.push(keys)
    return read(keys)
  }
  const guard = guardStore(store, { clock, emit: (event) => void seen.events.push(event) })
  return { guard, clock, inner, ...seen }
}

describe('reads of one tick', () => {
  test('are one question, and each reader gets its own values', async () => {
    const { guard, calls, inner } = guarded()
    for (const key of ['a', 'b', 'c']) await inner.write(key, key.toUpperCase(), 60_000, [], 0)
    const reads = [guard.read(['a', 'x']), guard.read(['b']), guard.read([]), guard.read(['c', 'a', 'a'])]
    expect(await Promise.all(reads)).toEqual([['A', null], ['B'], [], ['C', 'A', 'A']])
    expect(calls).toEqual([['a', 'x', 'b', 'c', 'a', 'a']])
  })

  test('that end with the same key ask for it once, and each gets its value in its place', async () => {
    const { guard, calls, inner } = guarded()
    for (const key of ['a', 'b', 'e', 'f']) await inner.write(key, key.toUpperCase(), 60_000, [], 0)
    const asked = [['a', 'e'], ['b', 'x', 'e'], ['e'], ['e'], ['b', 'f'], ['a', 'f'], ['x', 'e']]
    const values = await Promise.all(asked.map((keys) => guard.read(keys)))
    const kept = (key: string) => (key === 'x' ? null : key.toUpperCase())
    expect(values).toEqual(asked.map((keys) => keys.map(kept)))
    expect(calls).toEqual([['a', 'b', 'x', 'e', 'b', 'a', 'f', 'x', 'e']])
  })

  test('in a burst of promise continuations are one question', async () => {
    const { guard, calls } = guarded()
    let start = () => {}
    const started = new Promise<void>((resolve) => {
      start = resolve
    })
    const readers = Array.from({ length: 20 }, async (_, index) => {
      await started
      for (let hop = 0; hop < index % 5; hop++) await undefined
      return guard.read([`k${index}`])
    })
    setImmediate(start)
    expect(await Promise.all(readers)).toEqual(Array(20).fill([null]))
    expect(calls).toHaveLength(1)
    expect(calls[0]).toHaveLength(20)
  })

  test('of another tick are another question', async () => {
    const { guard, calls } = guarded()
    await guard.read(['a'])
    await guard.read(['b'])
    expect(calls).toEqual([['a'], ['b']])
  })

  test('that ask for more than 1,000 keys are split between readers, and one large read within itself', async () => {
    const { guard, calls, inner } = guarded()
    const keys = Array.from({ length: 2_300 }, (_, index) => `k${index}`)
    await inner.mint(
      keys.map((key) => ({ key, text: key })),
      60_000,
    )
    const small = [keys.slice(0, 600), keys.slice(600, 1_200), keys.slice(1_200, 1_300)]
    const [large, ...rest] = await Promise.all([guard.read(keys), ...small.map((part) => guard.read(part))])
    expect(large).toEqual(keys)
    expect(rest).toEqual(small)
    expect(Math.max(...calls.map((call) => call.length))).toBeLessThanOrEqual(1_000)
    expect(calls.flat()).toHaveLength(2_300 + 1_300)
  })

  test('fail together when the store fails, with one event', async () => {
    const { guard, events } = guarded({ read: broken })
    expect(await Promise.all([guard.read(['a']), guard.read(['b'])])).toEqual([undefined, undefined])
    expect(events).toEqual([{ type: 'storeFailed', step: 'read', error: new Error('broken') }])
  })

  test('one failed part fails a large read', async () => {
    const { guard } = guarded({ read: async (keys) => (keys.length < 1_000 ? broken() : keys.map(() => null)) })
    expect(await guard.read(Array(1_500).fill('k'))).toBeUndefined()
  })
})

describe('a store that does not answer', () => {
  test('makes a read late after 50 ms, not before, and the late answer is ignored', async () => {
    let answer: (values: string[]) => void = () => {}
    const late = () =>
      new Promise<string[]>((resolve) => {
        answer = resolve
      })
    const { guard, clock, events } = guarded({ read: late })
    let outcome: unknown = 'waiting'
    const read = guard.read(['a']).then((values) => {
      outcome = values
    })
    await clock.advanceAndSettle(49)
    expect(outcome).toBe('waiting')
    await clock.advanceAndSettle(1)
    await read
    expect(outcome).toBeUndefined()
    answer(['too late'])
    await settle()
    expect(outcome).toBeUndefined()
    expect(events).toEqual([{ type: 'storeLate', step: 'read', deadlineMs: 50 }])
  })

  test('a rejection after the deadline disturbs nobody', async () => {
    let fail: (error: Error) => void = () => {}
    const { guard, clock, events } = guarded({
      remove: () =>
        new Promise((_, reject) => {
          fail = reject
        }),
    })
    const removed = guard.remove(['a'])
    await clock.advanceAndSettle(250)
    expect(await removed).toBe(false)
    fail(new Error('late'))
    await settle()
    expect(events).toEqual([{ type: 'storeLate', step: 'remove', deadlineMs: 250 }])
  })

  test('makes a mint late after 50 ms and a removal after 250 ms', async () => {
    const { guard, clock, events } = guarded({ mint: never, remove: never })
    const [minted, removed] = [guard.mint([{ key: 's', text: 'x' }], 1), guard.remove(['a'])]
    await clock.advanceAndSettle(50)
    expect(await minted).toBeUndefined()
    expect(events.map((event) => event.type === 'storeLate' && event.step)).toEqual(['mint'])
    await clock.advanceAndSettle(200)
    expect(await removed).toBe(false)
    expect(events.map((event) => event.type === 'storeLate' && event.step)).toEqual(['mint', 'remove'])
  })

  test('the deadlines can be set', async () => {
    const clock = manualClock()
    const store: Store = { ...memoryStore(), read: never, remove: never }
    const guard = guardStore(store, { clock, emit: () => {}, readDeadlineMs: 5, removeDeadlineMs: 7 })
    const outcomes = Promise.all([guard.read(['a']), guard.remove(['a'])])
    await settle()
    await clock.advanceAndSettle(7)
    expect(await outcomes).toEqual([undefined, false])
  })

  test('an answer that lies ready when a blocked event loop comes back is not late', async () => {
    let answer: (values: string[]) => void = () => {}
    const { guard, clock } = guarded({
      read: () =>
        new Promise((resolve) => {
          answer = resolve
        }),
    })
    const read = guard.read(['a'])
    await settle()
    // The timer runs first, then the poll phase reads the socket.
    clock.advance(200)
    answer(['A'])
    expect(await read).toEqual(['A'])
  })
})

describe('timers', () => {
  test('one serves all reads, one all fills, and they end with them', async () => {
    const { guard, clock, events } = guarded()
    for (let round = 0; round < 5; round++) {
      await Promise.all(Array.from({ length: 10 }, (_, index) => guard.read([`k${index}`])))
      await guard.mint([{ key: 's', text: 'x' }], 1_000)
    }
    // One for reads and one for fills, for each has a breaker.
    expect(clock.pending()).toBe(2)
    await guard.remove(['a'])
    expect(clock.pending()).toBe(3)
    await clock.advanceAndSettle(250)
    expect(clock.pending()).toBe(0)
    expect(events).toEqual([])
  })

  test('each call has its own deadline, whatever became of those before it', async () => {
    const { guard, clock } = guarded({ read: (keys) => (keys[0] === 'slow' ? never() : Promise.resolve([null])) })
    const settledAt: Record<string, number> = {}
    const start = clock.now()
    for (const name of ['slow', 'fast', 'slow', 'slow', 'fast', 'slow']) {
      const asked = clock.now() - start
      guard.read([name]).then(() => {
        settledAt[`${name} asked at ${asked}`] = clock.now() - start
      })
      await clock.advanceAndSettle(20)
    }
    await clock.advanceAndSettle(200)
    expect(settledAt).toEqual({
      'slow asked at 0': 50,
      'fast asked at 20': 20,
      'slow asked at 40': 90,
      'slow asked at 60': 110,
      'fast asked at 80': 80,
      'slow asked at 100': 150,
    })
    expect(clock.pending()).toBe(0)
  })
})

describe('a store that fails', () => {
  test.each([
    ['rejects', broken],
    ['throws', throwing],
  ])('and %s never makes the guard reject; every call has its event', async (_, fails) => {
    const all = { read: fails, mint: fails, write: fails, remove: fails, clear: fails, close: fails }
    const { guard, events } = guarded(all)
    expect(await guard.read(['a'])).toBeUndefined()
    expect(await guard.mint([{ key: 's', text: 'x' }], 1)).toBeUndefined()
    guard.write('a', 'A', 1, [], 1)
    await settle()
    expect(await guard.remove(['a'])).toBe(false)
    expect(await guard.clear('a')).toBe(false)
    await guard.close()
    const steps = events.map((event) => event.type === 'storeFailed' && event.step)
    expect(steps).toEqual(['read', 'mint', 'write', 'remove', 'clear', 'close'])
  })

  test.each<[string, unknown]>([
    ['too few values', []],
    ['too many values', ['A', 'B', 'C']],
    ['a number', ['A', 1]],
    ['undefined', ['A', undefined]],
    ['a buffer', ['A', Buffer.from('B')]],
    ['no list', 'AB'],
    ['nothing', undefined],
  ])('is one that answers %s', async (_, values) => {
    const answers = async () => values as (string | null)[]
    const { guard, events } = guarded({ read: answers, mint: answers })
    expect(await guard.read(['a', 'b'])).toBeUndefined()
    expect(
      await guard.mint(
        ['a', 'b'].map((key) => ({ key, text: 'x' })),
        1,
      ),
    ).toBeUndefined()
    expect(events).toMatchObject([
      { type: 'storeFailed', step: 'read', error: { code: 'ASIDE_BAD_STORE' } },
      { type: 'storeFailed', step: 'mint', error: { code: 'ASIDE_BAD_STORE' } },
    ])
  })
})

describe('what goes through', () => {
  test('a guarded store keeps, removes and clears like the store behind it', async () => {
    const { guard, inner, events } = guarded()
    expect(await guard.mint([{ key: 's', text: 'S' }], 60_000)).toEqual(['S'])
    guard.write('e', 'E', 60_000, ['s'], 120_000)
    expect(await guard.read(['e', 's'])).toEqual(['E', 'S'])
    expect(await guard.remove(['s'])).toBe(true)
    expect(await guard.read(['e', 's'])).toEqual(['E', null])
    expect(await guard.clear('')).toBe(true)
    expect(inner.stats().entries).toBe(0)
    await guard.close()
    expect(await guard.read(['e'])).toBeUndefined()
    expect(guard).toMatchObject({ name: 'memory', processLocal: true })
    expect(events).toMatchObject([{ type: 'storeFailed', step: 'read', error: { code: 'ASIDE_CLOSED' } }])
  })
})

describe('a breaker', () => {
  /** A store that fails as long as it is told to. */
  function failing() {
    const state = { down: true, reads: 0, mints: 0, writes: 0 }
    const inner = memoryStore()
    const answer = <T>(value: () => Promise<T>): Promise<T> => (state.down ? broken() : value())
    const made = guarded({
      read: (keys) => {
        state.reads++
        return answer(() => inner.read(keys))
      },
      mint: (stamps, ttlMs) => {
        state.mints++
        return answer(() => inner.mint(stamps, ttlMs))
      },
      write: (...entry) => {
        state.writes++
        return answer(() => inner.write(...entry))
      },
      remove: () => broken(),
    })
    const told = (): string[] => made.events.map(({ type }) => type).filter((type) => type.startsWith('breaker'))
    const read = async (times = 1): Promise<void> => {
      for (let at = 0; at < times; at++) await made.guard.read(['a'])
    }
    return { ...made, state, told, read }
  }

  test('opens after five failures; then nobody asks the store, and nobody waits', async () => {
    const { guard, state, events, read } = failing()
    await read(4)
    expect(guard.broken).toEqual({ reads: false, fills: false })
    await read(1)
    expect(guard.broken).toEqual({ reads: true, fills: false })
    expect(events.at(-1)).toEqual({ type: 'breakerOpened', of: 'reads', failures: 5, answers: 0 })
    const count = events.length
    expect(await guard.read(['a'])).toBeUndefined()
    await read(100)
    expect(state.reads).toBe(5)
    expect(events).toHaveLength(count)
  })

  test('stays closed while more is answered than fails, and forgets what is older than five seconds', async () => {
    const { state, told, read, clock } = failing()
    for (let round = 0; round < 50; round++) {
      state.down = round % 3 === 0
      await read()
    }
    expect(told()).toEqual([])
    state.down = true
    for (let round = 0; round < 20; round++) {
      await read()
      clock.advance(1_600)
    }
    expect(told()).toEqual([])
  })

  test('tries the store once, after half a second; the one who tries does not wait for it', async () => {
    const { guard, state, events, told, read, clock } = failing()
    await read(5)
    clock.advance(499)
    await read(3)
    expect(state.reads).toBe(5)
    clock.advance(1)
    state.down = false
    const both = [guard.read(['a']), guard.read(['a'])]
    await settle()
    expect(await Promise.all(both)).toEqual([undefined, undefined])
    await settle()
    expect(state.reads).toBe(6)
    expect(told()).toEqual(['breakerOpened', 'breakerClosed'])
    expect(events.at(-1)).toEqual({ type: 'breakerClosed', of: 'reads', openMs: 500 })
    expect(await guard.read(['a'])).toEqual([null])
  })

  test('waits twice as long after each try that fails, at most eight seconds', async () => {
    const { state, read, clock } = failing()
    await read(5)
    for (const pause of [500, 1_000, 2_000, 4_000, 8_000, 8_000]) {
      const before = state.reads
      clock.advance(pause - 1)
      await read(2)
      expect(state.reads).toBe(before)
      clock.advance(1)
      await read(2)
      await settle()
      expect(state.reads).toBe(before + 1)
    }
  })

  test('counts what is late, and does not take a late answer for a sign of life', async () => {
    const answers: (() => void)[] = []
    const hanging = () => new Promise<null[]>((resolve) => void answers.push(() => resolve([null])))
    const { guard, clock, events } = guarded({ read: hanging })
    for (let at = 0; at < 5; at++) {
      const read = guard.read(['a'])
      await clock.advanceAndSettle(51)
      await read
    }
    expect(guard.broken.reads).toBe(true)
    for (const answer of answers.splice(0)) answer()
    await settle()
    expect(guard.broken.reads).toBe(true)
    // The try hangs as well: it is one, however many ask meanwhile.
    clock.advance(500)
    for (let at = 0; at < 3; at++) expect(await guard.read(['a'])).toBeUndefined()
    expect(answers).toHaveLength(1)
    await clock.advanceAndSettle(51)
    expect(guard.broken.reads).toBe(true)
    clock.advance(1_000)
    await guard.read(['a'])
    answers.at(-1)?.()
    await settle()
    expect(guard.broken.reads).toBe(false)
    expect(events.at(-1)?.type).toBe('breakerClosed')
  })

  test('judges fills apart: a store that keeps nothing new still answers', async () => {
    const { guard, state, told, read } = failing()
    for (let at = 0; at < 5; at++) await guard.mint([{ key: 's', text: 'x' }], 60_000)
    expect(guard.broken).toEqual({ reads: false, fills: true })
    guard.write('e', 'E', 60_000, [], 0)
    expect(await guard.mint([{ key: 's', text: 'x' }], 60_000)).toBeUndefined()
    expect([state.mints, state.writes]).toEqual([5, 0])
    state.down = false
    await read()
    expect(state.reads).toBe(1)
    expect(told()).toEqual(['breakerOpened'])
  })

  test('leaves removals alone: each is asked for, whatever failed before', async () => {
    const { guard, events } = failing()
    for (let at = 0; at < 20; at++) expect(await guard.remove(['a'])).toBe(false)
    expect(guard.broken).toEqual({ reads: false, fills: false })
    expect(events).toHaveLength(20)
  })
})
