import { randomInt } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { manualClock } from '../../../../test/harness/clock.ts'
import { RememberedWrites } from '../../src/watch/remember-writes.ts'

const HOUR = 3_600_000

describe('73: the stamps that this process has removed', () => {
  test('are known for twice as long as copies may be old, and forgotten some time after', () => {
    const clock = manualClock()
    const writes = new RememberedWrites(clock)
    writes.remember(HOUR)
    expect(writes.has('a')).toBe(false)
    clock.advance(1.9 * HOUR)
    writes.removing(['a'])
    clock.advance(2 * HOUR)
    expect(writes.has('a')).toBe(true)
    expect(writes.has('b')).toBe(false)
    clock.advance(2.2 * HOUR)
    expect(writes.has('a')).toBe(false)
  })

  test('are known whenever in between they were removed and asked for', () => {
    const seed = randomInt(2 ** 31)
    console.log(`seed ${seed}`)
    let state = seed
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return (state >>> 8) % below
    }
    const clock = manualClock()
    const writes = new RememberedWrites(clock)
    writes.remember(HOUR)
    const at = new Map<string, number>()
    for (let step = 0; step < 2_000; step++) {
      clock.advance(random(HOUR / 2))
      const key = `key ${random(50)}`
      if (random(2) === 0) {
        writes.removing([key])
        at.set(key, clock.now())
      } else if (clock.now() - (at.get(key) ?? Number.NEGATIVE_INFINITY) < 2 * HOUR) expect(writes.has(key)).toBe(true)
    }
  })

  test('are all forgotten after a long rest', () => {
    const clock = manualClock()
    const writes = new RememberedWrites(clock)
    writes.remember(HOUR)
    writes.removing(['a'])
    clock.advance(100 * HOUR)
    expect(writes.has('a')).toBe(false)
    writes.removing(['b'])
    expect(writes.has('b')).toBe(true)
  })

  test('more of them than there is room for make others look like them, and lose none', () => {
    const writes = new RememberedWrites(manualClock())
    writes.remember(HOUR)
    const keys = Array.from({ length: 200_000 }, (_, at) => `da1:ns:4:shop:R{tag#0}6:public5:items1,2:id=v${at}`)
    writes.removing(keys)
    expect(keys.every((key) => writes.has(key))).toBe(true)
    const others = keys.map((key) => `${key}x`).filter((key) => writes.has(key)).length
    expect(others).toBeGreaterThan(0)
    expect(others).toBeLessThan(0.1 * keys.length)
  })

  test('may have been any, where nobody asked to remember them', () => {
    const clock = manualClock()
    const writes = new RememberedWrites(clock)
    writes.removing(['a'])
    writes.remember(HOUR)
    expect(writes.has('b')).toBe(true)
    clock.advance(4.1 * HOUR)
    expect(writes.has('b')).toBe(false)
    writes.remember(2 * HOUR)
    expect(writes.has('b')).toBe(true)
  })
})
