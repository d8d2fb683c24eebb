/** F17: a store that fails at any step, under every kind of statement. */
import { type AsideOptions, memoryStore, type Store } from 'drizzle-aside'
import { describe, expect, it } from 'vitest'
import { compareSurface } from '../../support/compare-surface.ts'
import { drivers } from '../../support/drivers.ts'
import { surfaceCases } from '../../support/surface-cases.ts'
import { openPair } from '../../support/surface-pair.ts'

type Step = 'read' | 'mint' | 'write' | 'remove'

/** Fails at one step: always, or every second time. */
function failingStore(step: Step, every: number, how: 'rejects' | 'throws'): Store {
  const store = memoryStore()
  let calls = 0
  const fail = (...args: unknown[]): Promise<unknown> => {
    if (++calls % every !== 0) return (store[step] as (...given: unknown[]) => Promise<unknown>)(...args)
    const error = new Error(`the store failed to ${step}`)
    if (how === 'throws') throw error
    return Promise.reject(error)
  }
  return new Proxy(store, {
    get: (target, key) => {
      if (key === step) return fail
      const value: unknown = Reflect.get(target, key)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

const failures = (['read', 'mint', 'write', 'remove'] as const).flatMap(
  (step) =>
    [
      [step, 'always', 1, 'rejects'],
      [step, 'every second time', 2, 'throws'],
    ] as const,
)
const cases = surfaceCases.filter(({ name }) => !name.startsWith('query after'))

describe.each(failures)('a store that fails to %s %s', (step, _, every, how) => {
  it.each(
    drivers
      .filter(({ name }) => name === (how === 'throws' ? 'postgres-js' : 'node-postgres pool'))
      .map((driver) => [driver.name, driver] as const),
  )('F17: over %s every answer stays right, committed writes resolve, and events tell', async (_name, driver) => {
    const options: Partial<AsideOptions> = { store: failingStore(step, every, how) }
    const pair = await openPair(driver, 18, options)
    try {
      expect(await compareSurface(pair.plain, pair.wrapped, { rounds: 2, cases })).toEqual([])
      const told = pair.app.told.of('storeFailed')
      expect(told.length).toBeGreaterThan(0)
      expect(told.every((event) => event.step === step)).toBe(true)
      if (step === 'remove') expect(pair.app.told.of('pendingDelivery').length).toBeGreaterThan(0)
      // With a broken removal, nothing is served any more from the first write on.
      const { events } = pair.app.told
      const since = events.slice(events.findIndex(({ type }) => type === 'storeFailed'))
      if (every === 1) expect(since.filter(({ type }) => type === 'hit')).toEqual([])
    } finally {
      await pair.close()
    }
  })
})
