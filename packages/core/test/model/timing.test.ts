import { describe, expect, test } from 'vitest'
import { isDue, timingOf, withoutTiming, withTiming } from '../../src/model/timing.ts'

const timing = { filledAt: 1_700_000_000_000, lifeMs: 60_000, costMs: 100 }
const end = timing.filledAt + timing.lifeMs

describe('the times of an entry', () => {
  test.each(['[1,"a"]', '', '[["@x"]]'])('stand before the payload %j, and come off again', (payload) => {
    const text = withTiming(timing, payload)
    expect(timingOf(text)).toEqual(timing)
    expect(withoutTiming(text)).toBe(payload)
    expect(timingOf(payload)).toBeUndefined()
    expect(withoutTiming(payload)).toBe(payload)
  })

  test('what does not fit is cut to what does, and what is damaged is none', () => {
    const huge = withTiming({ filledAt: 0.4, lifeMs: Number.MAX_SAFE_INTEGER, costMs: -5 }, '[]')
    expect(timingOf(huge)).toEqual({ filledAt: 0, lifeMs: 36 ** 7 - 1, costMs: 0 })
    expect(withoutTiming(huge)).toBe('[]')
    expect(timingOf('@')).toBeUndefined()
  })
})

describe('a hit fills its entry anew', () => {
  test.each([
    { what: 'never before the window', beforeEnd: 10_001, aheadMs: 10_000, beta: 0, random: 0.99, due: false },
    { what: 'always in the window', beforeEnd: 10_000, aheadMs: 10_000, beta: 0, random: 0, due: true },
    { what: 'not for half its life', beforeEnd: 30_001, aheadMs: 60_000, beta: 0, random: 0, due: false },
    { what: 'in the second half at most', beforeEnd: 30_000, aheadMs: 60_000, beta: 0, random: 0, due: true },
    { what: 'by an unlikely draw, early', beforeEnd: 460, aheadMs: 0, beta: 1, random: 0.99, due: true },
    { what: 'by no likely draw, early', beforeEnd: 460, aheadMs: 0, beta: 1, random: 0.9, due: false },
    { what: 'by a likely draw, late', beforeEnd: 69, aheadMs: 0, beta: 1, random: 0.5, due: true },
    { what: 'earlier with a larger beta', beforeEnd: 138, aheadMs: 0, beta: 2, random: 0.5, due: true },
    { what: 'not by the least of draws', beforeEnd: 1, aheadMs: 0, beta: 1, random: 0, due: false },
    { what: 'at its end', beforeEnd: 0, aheadMs: 0, beta: 1, random: 0, due: true },
  ])('$what', ({ beforeEnd, aheadMs, beta, random, due }) => {
    expect(isDue(timing, { aheadMs, beta }, end - beforeEnd, random)).toBe(due)
  })
})
