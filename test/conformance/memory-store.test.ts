import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describeStore } from '@drizzle-aside/store-conformance'
import { describe, expect, it, test } from 'vitest'
import { memoryStore, sharedMemoryStore } from '../../packages/core/src/stores/memory-store.ts'
import { manualClock } from '../harness/clock.ts'

const MB = 1024 * 1024
let names = 0

/** Two views of one name, as two wraps of one process have them. */
async function openShared(maxBytes?: number) {
  const clock = manualClock()
  const name = `conformance-${names++}`
  const bound = maxBytes === undefined ? {} : { maxBytes }
  const [store, second] = [sharedMemoryStore(name, { clock, ...bound }), sharedMemoryStore(name)]
  const close = async () => void (await Promise.all([store.close(), second.close()]))
  return { store, second, prefix: 'p:', advance: async (ms: number) => clock.advance(ms), close }
}

describeStore({ describe, it }, { name: 'memory store', open: () => openShared(), openBounded: openShared })

describeStore(
  { describe, it },
  {
    name: 'memory store of one caller, on the clock of the process',
    async open() {
      const store = memoryStore()
      return { store, prefix: 'p:', close: () => store.close() }
    },
    async openBounded(maxBytes) {
      const store = memoryStore({ maxBytes })
      return { store, prefix: 'p:', close: () => store.close() }
    },
    lacks: {
      second: 'memoryStore() shares nothing',
      clock: 'the clock of the process cannot be moved',
    },
  },
)

describe('memory store', () => {
  test('stays within its bytes, and the least recently used give way', async () => {
    const store = memoryStore({ maxBytes: 10_000 })
    for (let index = 0; index < 1_000; index++) {
      await store.write(`k${index}`, 'x'.repeat(100), 60_000, [], 0)
      await store.read(['k0'])
      expect(store.stats().bytes).toBeLessThanOrEqual(10_000)
    }
    const { entries, evictions } = store.stats()
    expect(entries + evictions).toBe(1_000)
    expect(entries).toBeGreaterThan(20)
    expect(await store.read(['k0', 'k1', 'k999'])).toEqual(['x'.repeat(100), null, 'x'.repeat(100)])
  })

  test('counts what it keeps: removed, replaced and expired texts give their bytes back', async () => {
    const clock = manualClock()
    const store = memoryStore({ clock })
    await store.write('a', 'x'.repeat(1_000), 60_000, [], 0)
    const { bytes } = store.stats()
    expect(bytes).toBeGreaterThanOrEqual(2_000)
    await store.write('a', 'x'.repeat(1_000), 60_000, [], 0)
    expect(store.stats()).toEqual({ entries: 1, bytes, evictions: 0 })
    clock.advance(60_000)
    expect(await store.read(['a'])).toEqual([null])
    await store.write('b', 'b', 60_000, [], 0)
    await store.remove(['b', 'b'])
    expect(store.stats()).toEqual({ entries: 0, bytes: 0, evictions: 0 })
  })

  test('a text larger than the whole store is not kept, and neither is the older one under its key', async () => {
    const store = memoryStore({ maxBytes: MB })
    await store.write('a', 'small', 60_000, [], 0)
    await store.write('a', 'x'.repeat(MB), 60_000, [], 0)
    expect(await store.read(['a'])).toEqual([null])
    expect(await store.mint([{ key: 's', text: 'x'.repeat(MB) }], 60_000)).toEqual([null])
  })

  test('evictions in any order of use keep exactly the youngest', async () => {
    const store = memoryStore({ maxBytes: 100 * (120 + 2 * 5) })
    const youngest: string[] = []
    for (let step = 0; step < 5_000; step++) {
      const key = `k${String((step * 7919) % 311).padStart(3, '0')}`
      const at = youngest.indexOf(key)
      if (at >= 0) youngest.splice(at, 1)
      if (at >= 0 && step % 3 === 0) await store.read([key])
      else await store.write(key, 'x', 60_000, [], 0)
      youngest.push(key)
      if (youngest.length > 100) youngest.shift()
    }
    expect((await store.read(youngest)).every((text) => text === 'x')).toBe(true)
    expect(store.stats().entries).toBe(100)
  })

  test('two callers of memoryStore() share nothing, two of one name share everything', async () => {
    const [own, other] = [memoryStore(), memoryStore()]
    await own.write('a', 'A', 60_000, [], 0)
    expect(await other.read(['a'])).toEqual([null])
    const [first, second] = [sharedMemoryStore('twins'), sharedMemoryStore('twins')]
    await first.write('a', 'A', 60_000, [], 0)
    expect(await second.read(['a'])).toEqual(['A'])
    await Promise.all([first.close(), second.close()])
  })

  test('a shared store lives as long as one user has it open, closing twice counts once', async () => {
    const [first, second] = [sharedMemoryStore('lives'), sharedMemoryStore('lives')]
    await first.write('a', 'A', 60_000, [], 0)
    await first.close()
    await first.close()
    expect(await second.read(['a'])).toEqual(['A'])
    await second.close()
    const third = sharedMemoryStore('lives')
    expect(await third.read(['a'])).toEqual([null])
    await third.close()
  })

  test('another copy of the package, as after a hot reload, finds the same texts', async () => {
    const secondCopy = '../../packages/core/src/stores/memory-store.ts?copy'
    const copy: typeof import('../../packages/core/src/stores/memory-store.ts') = await import(secondCopy)
    expect(copy.sharedMemoryStore).not.toBe(sharedMemoryStore)
    const [here, there] = [sharedMemoryStore('reload'), copy.sharedMemoryStore('reload')]
    await here.write('a', 'A', 60_000, [], 0)
    expect(await there.read(['a'])).toEqual(['A'])
    await there.remove(['a'])
    expect(await here.read(['a'])).toEqual([null])
    await Promise.all([here.close(), there.close()])
  })

  test('keeps no more memory, however often its texts are read', async () => {
    setFlagsFromString('--expose-gc')
    const collect: () => void = runInNewContext('gc')
    const store = memoryStore()
    const keys = Array.from({ length: 20_000 }, (_, index) => `k${index}`)
    for (const key of keys) await store.write(key, 'x', 60_000, [], 0)
    await store.read(keys)
    collect()
    const before = process.memoryUsage().heapUsed
    for (let round = 0; round < 20; round++) await store.read(keys)
    collect()
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(5 * MB)
    expect(store.stats().entries).toBe(20_000)
  })

  test.each([0, -1, Number.NaN])('refuses %s bytes', (maxBytes) => {
    expect(() => memoryStore({ maxBytes })).toThrow(/ASIDE_BAD_OPTION.*positive/)
  })
})
