import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { InvalidatedTable } from '../../packages/core/src/model/invalidation.ts'
import type { AsideEvent } from '../../packages/core/src/ports/events.ts'
import type { GuardedStore } from '../../packages/core/src/ports/guarded-store.ts'
import { createDelivery, type Delivery } from '../../packages/core/src/write/deliver.ts'
import { type ManualClock, manualClock, settle } from '../harness/clock.ts'

interface Attempt {
  readonly keys: readonly string[]
  /** When it was asked, in the order of everything that happened. */
  readonly at: number
  answer(confirmed: boolean): Promise<void>
}

/** A store whose removals are answered by hand, in any order. */
function remover(buckets = 1) {
  const attempts: Attempt[] = []
  const confirmed: { key: string; at: number }[] = []
  let steps = 0
  const remove = (keys: readonly string[]) =>
    new Promise<boolean>((resolve) => {
      const at = steps++
      const answer = async (ok: boolean) => {
        attempts.splice(attempts.indexOf(attempt), 1)
        if (ok) confirmed.push(...keys.map((key) => ({ key, at })))
        resolve(ok)
        await settle()
      }
      const attempt = { keys, at, answer }
      attempts.push(attempt)
    })
  const refuse = () => {
    throw new Error('the delivery only removes')
  }
  const store: GuardedStore = {
    name: 'by hand',
    processLocal: false,
    buckets,
    broken: { reads: false, fills: false },
    isResting: false,
    read: refuse,
    mint: refuse,
    write: refuse,
    remove,
    removeAndLook: refuse,
    enter: refuse,
    clear: refuse,
    close: refuse,
  }
  return { store, attempts, confirmed, step: () => steps++ }
}

const table = (epoch: string, ...keys: string[]): InvalidatedTable => ({ epoch, keys })
const batch = (...tables: InvalidatedTable[]) => ({ tables })

function opened(maxPendingKeys?: number) {
  const clock: ManualClock = manualClock()
  const hand = remover()
  const events: AsideEvent[] = []
  const pendingAtEvent: boolean[] = []
  let delivery: Delivery
  const emit = (event: AsideEvent) => {
    events.push(event)
    pendingAtEvent.push(delivery.pending)
  }
  delivery = createDelivery({
    store: hand.store,
    clock,
    emit,
    ...(maxPendingKeys === undefined ? {} : { maxPendingKeys }),
  })
  const next = (): Attempt => {
    const attempt = hand.attempts[0]
    if (attempt === undefined) throw new Error('no attempt is on its way')
    return attempt
  }
  return { clock, delivery, events, pendingAtEvent, next, ...hand }
}

/** A delivery that has one queued batch behind it. */
async function pending(maxPendingKeys?: number) {
  const all = opened(maxPendingKeys)
  const outcome = all.delivery.deliver(batch(table('users:epoch', 'users:1')))
  await all.next().answer(false)
  expect(await outcome).toBe('queued')
  return all
}

describe('deliver', () => {
  test('is one removal of all keys, each once, and waits for its confirmation', async () => {
    const { delivery, next, attempts, events } = opened()
    let outcome = 'waiting'
    const tables = [table('u', 'u1', 'u2', 'u1'), { epoch: 'p', keys: 'all' as const }, table('t', 'u2', 't1')]
    const delivered = delivery.deliver(batch(...tables)).then((answer) => {
      outcome = answer
    })
    await settle()
    expect(outcome).toBe('waiting')
    expect(attempts.map(({ keys }) => keys)).toEqual([['u1', 'u2', 'p', 't1']])
    await next().answer(true)
    await delivered
    expect(outcome).toBe('delivered')
    expect(delivery.pending).toBe(false)
    expect(events).toEqual([])
  })

  test('of nothing is delivered without asking the store', async () => {
    const { delivery, attempts } = opened()
    expect(await delivery.deliver(batch())).toBe('delivered')
    expect(await delivery.deliver(batch(table('u')))).toBe('delivered')
    expect(attempts).toEqual([])
  })

  test('is queued when the store does not confirm, and pending before anybody hears of it', async () => {
    const { delivery, events, pendingAtEvent } = await pending()
    expect(delivery.pending).toBe(true)
    expect(delivery.pendingCounts()).toEqual({ keys: 1, epochs: 0 })
    expect(events).toEqual([{ type: 'pendingDelivery', keys: 1, epochs: 0 }])
    expect(pendingAtEvent).toEqual([true])
  })

  test('while others wait appends without asking the store', async () => {
    const { delivery, attempts, events } = await pending()
    const more = batch(table('users:epoch', 'users:1', 'users:2'), { epoch: 'posts:epoch', keys: 'all' })
    expect(await delivery.deliver(more)).toBe('queued')
    expect(attempts).toEqual([])
    expect(delivery.pendingCounts()).toEqual({ keys: 2, epochs: 1 })
    expect(events.at(-1)).toEqual({ type: 'pendingDelivery', keys: 2, epochs: 1 })
  })
})

describe('the queue', () => {
  test('is sent again after 50 ms, doubling to one second, until it is delivered', async () => {
    const { clock, delivery, attempts, next, events, pendingAtEvent } = await pending()
    for (const wait of [50, 100, 200, 400, 800, 1_000, 1_000]) {
      await clock.advanceAndSettle(wait - 1)
      expect(attempts).toHaveLength(0)
      await clock.advanceAndSettle(1)
      expect(attempts).toHaveLength(1)
      await next().answer(false)
    }
    await clock.advanceAndSettle(1_000)
    await next().answer(true)
    expect(delivery.pending).toBe(false)
    expect(events.at(-1)).toEqual({ type: 'delivered', keys: 1, waitedMs: 4_550 })
    expect(pendingAtEvent.at(-1)).toBe(false)
    expect(clock.pending()).toBe(0)

    const again = delivery.deliver(batch(table('u', 'u1')))
    await next().answer(false)
    await again
    await clock.advanceAndSettle(50)
    expect(attempts).toHaveLength(1)
  })

  test('sends a key again that came in while an attempt with it was on its way', async () => {
    const { clock, delivery, attempts, next, events } = await pending()
    await clock.advanceAndSettle(50)
    const first = next()
    expect(await delivery.deliver(batch(table('users:epoch', 'users:1')))).toBe('queued')
    await first.answer(true)
    expect(delivery.pending).toBe(true)
    expect(attempts.map(({ keys }) => keys)).toEqual([['users:1']])
    await next().answer(true)
    expect(delivery.pending).toBe(false)
    expect(events.at(-1)).toMatchObject({ type: 'delivered', keys: 2 })
  })

  test('takes over a batch whose own attempt fails later', async () => {
    const { delivery, attempts, clock, next } = opened()
    const outcomes = [delivery.deliver(batch(table('u', 'u1'))), delivery.deliver(batch(table('p', 'p1')))]
    await attempts[1]?.answer(false)
    await clock.advanceAndSettle(50)
    await attempts[1]?.answer(true)
    expect(delivery.pending).toBe(false)
    await next().answer(false)
    expect(await Promise.all(outcomes)).toEqual(['queued', 'queued'])
    expect(delivery.pending).toBe(true)
    await clock.advanceAndSettle(50)
    expect(next().keys).toEqual(['u1'])
  })

  test('beyond its bound turns the table with most keys into its epoch', async () => {
    const { clock, delivery, next, confirmed, events } = await pending(10)
    const many = Array.from({ length: 8 }, (_, index) => `posts:${index}`)
    await delivery.deliver(batch(table('posts:epoch', ...many), table('tags:epoch', 'tags:1', 'tags:2')))
    expect(delivery.pendingCounts()).toEqual({ keys: 3, epochs: 1 })
    await delivery.deliver(batch(table('posts:epoch', 'posts:99')))
    expect(delivery.pendingCounts()).toEqual({ keys: 3, epochs: 1 })
    const overflows = events.filter(({ type }) => type === 'pendingOverflow')
    expect(overflows).toEqual([{ type: 'pendingOverflow', epochs: 1 }])
    await clock.advanceAndSettle(50)
    await next().answer(true)
    expect(confirmed.map(({ key }) => key).sort()).toEqual(['posts:epoch', 'tags:1', 'tags:2', 'users:1'])
  })

  test('holds its bound while an attempt is on its way and after it failed', async () => {
    const { clock, delivery, next } = await pending(3)
    await delivery.deliver(batch(table('users:epoch', 'users:2', 'users:3')))
    await clock.advanceAndSettle(50)
    await delivery.deliver(batch(table('posts:epoch', 'posts:1')))
    expect(delivery.pendingCounts()).toEqual({ keys: 3, epochs: 1 })
    await next().answer(false)
    expect(delivery.pendingCounts()).toEqual({ keys: 3, epochs: 1 })
  })

  test('that is long is sent in parts, epochs first, each with its own deadline', async () => {
    const { clock, delivery, next } = await pending()
    const keys = Array.from({ length: 10_000 }, (_, index) => `posts:${index}`)
    await delivery.deliver(batch(table('posts:epoch', ...keys), { epoch: 'tags:epoch', keys: 'all' }))
    await clock.advanceAndSettle(50)
    const parts: (readonly string[])[] = []
    while (delivery.pending) {
      parts.push(next().keys)
      await next().answer(true)
    }
    expect(parts[0]?.[0]).toBe('tags:epoch')
    expect(Math.max(...parts.map((part) => part.length))).toBeLessThanOrEqual(4_096)
    expect(new Set(parts.flat())).toEqual(new Set(['users:1', 'tags:epoch', ...keys]))
    expect(parts.flat()).toHaveLength(10_002)
  })
})

describe('close', () => {
  test('tries once more and stops; what is left stays pending', async () => {
    const { clock, delivery, next } = await pending()
    const closed = delivery.close()
    await settle()
    await next().answer(false)
    await closed
    expect(delivery.pending).toBe(true)
    expect(clock.pending()).toBe(0)
    const last = delivery.close()
    await settle()
    await next().answer(true)
    await last
    expect(delivery.pending).toBe(false)
  })

  test('waits for the attempt on its way', async () => {
    const { clock, delivery, next, attempts } = await pending()
    await clock.advanceAndSettle(50)
    const closed = Promise.all([delivery.close(), delivery.close()])
    await settle()
    expect(attempts).toHaveLength(1)
    await next().answer(true)
    await closed
    expect(attempts).toHaveLength(0)
    expect(delivery.pending).toBe(false)
  })

  test('does not skip invalidations: a later batch still gets its attempt', async () => {
    const { delivery, next } = opened()
    await delivery.close()
    const outcome = delivery.deliver(batch(table('u', 'u1')))
    await next().answer(true)
    expect(await outcome).toBe('delivered')
  })
})

// The queue against its promise, with the store answering in any order: fast-check prints seed and path on failure.
type Step =
  | { do: 'deliver'; tables: readonly { table: number; keys: readonly number[] | 'all' }[] }
  | { do: 'answer'; which: number; confirmed: boolean }
  | { do: 'wait'; ms: number }

const tables = fc.array(
  fc.record({
    table: fc.nat(3),
    keys: fc.oneof(
      { weight: 5, arbitrary: fc.array(fc.nat(15), { maxLength: 6 }) },
      { weight: 1, arbitrary: fc.constant('all' as const) },
    ),
  }),
  { maxLength: 3 },
)

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('deliver' as const), tables }),
    fc.record({ do: fc.constant('answer' as const), which: fc.nat(9), confirmed: fc.boolean() }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 49, 50, 100, 1_000) }),
  ),
  { maxLength: 60 },
)

test('whatever the store answers and when: no key is lost, the bound holds, and pending ends', async () => {
  const property = fc.asyncProperty(steps, fc.constantFrom(0, 3, 10, 100_000), async (script, maxKeys) => {
    const { clock, delivery, attempts, confirmed, step } = opened(maxKeys)
    const given: { key: string; epoch: string; at: number; outcome: Promise<string> }[] = []

    const run: { [Name in Step['do']]: (one: Extract<Step, { do: Name }>) => Promise<void> } = {
      async deliver(one) {
        const at = step()
        const list = one.tables.map(({ table: id, keys }) => {
          const named = keys === 'all' ? keys : keys.map((key) => `t${id}:${key}`)
          return { epoch: `t${id}`, keys: named }
        })
        const outcome = delivery.deliver({ tables: list })
        for (const { epoch, keys } of list) {
          for (const key of keys === 'all' ? [epoch] : keys) given.push({ key, epoch, at, outcome })
        }
        await settle()
      },
      async answer({ which, confirmed: ok }) {
        await attempts[which % Math.max(1, attempts.length)]?.answer(ok)
      },
      async wait({ ms }) {
        await clock.advanceAndSettle(ms)
      },
    }

    for (const one of script) {
      await run[one.do](one as never)
      expect(delivery.pendingCounts().keys).toBeLessThanOrEqual(maxKeys)
      expect(delivery.pendingCounts().epochs).toBeLessThanOrEqual(8)
      // A write that resolved as delivered is seen by everybody: its keys, or their epochs, are confirmed by now.
      if (!delivery.pending && attempts.length === 0) expect(given.filter(isLost)).toEqual([])
    }
    for (let round = 0; round < 200 && (delivery.pending || attempts.length > 0); round++) {
      await attempts[0]?.answer(true)
      await clock.advanceAndSettle(1_000)
    }
    expect(delivery.pending).toBe(false)
    expect(given.filter(isLost)).toEqual([])
    await Promise.all(given.map(({ outcome }) => outcome))

    function isLost({ key, epoch, at }: (typeof given)[number]): boolean {
      return !confirmed.some((removed) => removed.at > at && (removed.key === key || removed.key === epoch))
    }
  })
  await fc.assert(property, { numRuns: 300 })
})
