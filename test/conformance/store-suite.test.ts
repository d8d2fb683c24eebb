/** The suite for store authors: what it finds, what it says of what it does not ask, and that any runner runs it. */
import { fileURLToPath } from 'node:url'
import { describeStore, type StoreSubject, storeConformance } from '@drizzle-aside/store-conformance'
import type { Store } from 'drizzle-aside/store'
import { describe, expect, inject, test } from 'vitest'
import { memoryStore } from '../../packages/core/src/stores/memory-store.ts'
import { runTsx } from '../support/run-tsx.ts'
import { faults, faulty } from './faulty-stores.ts'
import { foundBy } from './found-by.ts'

async function broken(subject: StoreSubject): Promise<string[]> {
  const names: string[] = []
  for (const { name, run } of storeConformance(subject).cases) await run().catch(() => names.push(name))
  return names
}

const right = { name: 'right', plant: () => () => ({}) }
const declaring = 'lacks what it declares, and nothing else'

describe('the suite', () => {
  test('finds nothing in the memory store', async () => {
    expect(await broken(faulty(right))).toEqual([])
  })

  test.each(faults)('finds a store that $name', async (fault) => {
    const found = await broken(faulty(fault))
    expect(found).toEqual(foundBy[fault.name])
    expect(found).not.toEqual([])
  })

  test('has no case that no fault has failed', () => {
    const { cases } = storeConformance(faulty(right))
    const names = cases.map(({ name }) => name).filter((name) => name !== declaring)
    expect(new Set(Object.values(foundBy).flat())).toEqual(new Set(names))
    expect(new Set(names).size).toBe(names.length)
  })

  test('closes what it opened, also when a case fails, and tells of the case', async () => {
    let open = 0
    const subject: StoreSubject = {
      name: 'counted',
      async open() {
        open++
        const close = async () => {
          open--
          throw new Error('closing failed as well')
        }
        return { store: { ...memoryStore(), read: async () => ['wrong'] }, prefix: 'p:', close }
      },
      lacks: { second: 'one is enough', clock: 'it stands still', bound: 'none' },
    }
    const outcomes = await Promise.allSettled(storeConformance(subject).cases.map(({ run }) => run()))
    expect(open).toBe(0)
    expect(outcomes[1]).toMatchObject({ reason: { code: 'ERR_ASSERTION' } })
    expect(outcomes.at(-1)).toMatchObject({ reason: { message: 'closing failed as well' } })
  })
})

/** A store of one process without a register, whose time cannot be moved. */
function small(lacks: StoreSubject['lacks'] = {}): StoreSubject {
  const open = async () => {
    const { enter, removeAndLook, ...verbs } = memoryStore()
    return { store: verbs as Store, prefix: 'p:', close: () => verbs.close() }
  }
  return { name: 'small', open, ...(lacks ? { lacks } : {}) }
}

const without = { second: 'one process', clock: 'real time', register: 'one process', bound: 'it is small' }

describe('what a store lacks', () => {
  test('is not asked, and each promise of it is told with the reason', async () => {
    const { cases, notAsked } = storeConformance(small(without))
    expect(await broken(small(without))).toEqual([])
    const all = storeConformance(faulty(right)).cases.map(({ name }) => name)
    const between = (name: string) => name.replace(' (between two instances)', '')
    const told = [...cases.map(({ name }) => name), ...notAsked.map(({ name }) => between(name))]
    expect(new Set(told)).toEqual(new Set(all))
    expect(notAsked).toContainEqual({
      name: 'a register: lives as long as the party that stays longest',
      lacks: 'register',
      reason: 'one process',
    })
    for (const lacks of Object.keys(without)) expect(notAsked.filter((each) => each.lacks === lacks)).not.toEqual([])
  })

  test('is printed before the runner starts', () => {
    const [lines, declared]: string[][] = [[], []]
    const runner = { describe: (_: string, body: () => void) => body(), it: (name: string) => declared?.push(name) }
    describeStore(runner, small(without), { print: (line) => void lines?.push(line) })
    expect(lines).toContain('small: not asked, for there is no clock (real time):')
    expect(lines).toContain('  taking a stamp does not start its life anew')
    expect(lines).toHaveLength(storeConformance(small(without)).notAsked.length + 4)
    expect(declared).toEqual(storeConformance(small(without)).cases.map(({ name }) => name))
  })

  test.each(Object.keys(without))('fails where it was not declared, and says how to: %s', async (capability) => {
    const others = Object.entries(without).filter(([other]) => other !== capability)
    const { cases } = storeConformance(small(Object.fromEntries(others)))
    const outcomes = await Promise.allSettled(cases.map(({ run }) => run()))
    const told = outcomes.flatMap((each) => (each.status === 'rejected' ? [each.reason.message] : []))
    expect(told.join()).toContain(`lacks: { ${capability}: 'the reason' }`)
    expect(told.at(-1)).toContain(`neither there nor declared as lacking: ${capability}`)
  })

  test('fails where it is there', async () => {
    const subject = { ...faulty(right), lacks: { clock: 'none' } }
    expect(await broken(subject)).toEqual([declaring])
  })

  test('fails where several processes share a store without a register', async () => {
    const subject = small(without)
    const shared: StoreSubject = {
      ...subject,
      open: async () => {
        const opened = await subject.open()
        return { ...opened, store: { ...opened.store, processLocal: false } }
      },
    }
    expect(await broken(shared)).toEqual([declaring])
  })

  test.each([{ time: 'no clock' }, { clock: ' ' }])('is refused where it is %s', (lacks) => {
    expect(() => storeConformance(small(lacks as object))).toThrow(/ASIDE_BAD_OPTION.*second, clock, register, bound/)
  })
})

describe('under node:test', () => {
  test('both of our stores pass', async () => {
    const { code, output } = await runNodeTest({ REDIS_URL: inject('redis').url })
    expect(code, output).toBe(0)
    const { cases } = storeConformance(faulty(right))
    expect(output).toMatch(/keeps the store contract/)
    expect(output).toMatch(/node-redis: not asked, for there is no clock/)
    expect(Number(/^\S+ pass (\d+)$/m.exec(output)?.[1])).toBeGreaterThan(2 * cases.length - 12)
    expect(output).toMatch(/^\S+ skipped 0$/m)
  })

  test('a faulty store fails', async () => {
    const { code, output } = await runNodeTest({ STORE_FAULT: 'ignores times to live' })
    expect(code).toBe(1)
    expect(output).toContain('taking a stamp does not start its life anew')
    expect(output).toMatch(new RegExp(`^\\S+ fail ${foundBy['ignores times to live']?.length}$`, 'm'))
  })
})

const here = fileURLToPath(new URL('.', import.meta.url))
const runNodeTest = (env: NodeJS.ProcessEnv) => runTsx(here, ['--test', 'under-node-test.ts'], env)
