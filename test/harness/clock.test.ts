import { expect, test } from 'vitest'
import { manualClock, settle } from './clock.ts'

test('time stands still until it is advanced', () => {
  const clock = manualClock(100)
  expect(clock.now()).toBe(100)
  clock.advance(5)
  expect(clock.now()).toBe(105)
})

test('timers fire in order of their time, equal ones in the order they were set, each at its own time', () => {
  const clock = manualClock(0)
  const seen: string[] = []
  const note = (name: string) => () => seen.push(`${name}@${clock.now()}`)
  clock.setTimer(note('late'), 30)
  clock.setTimer(note('first'), 10)
  clock.setTimer(note('second'), 10)
  clock.setTimer(note('never'), 31)
  clock.advance(30)
  expect(seen).toEqual(['first@10', 'second@10', 'late@30'])
  expect(clock.pending()).toBe(1)
})

test('a timer set by a timer takes part when it is due in the same span', () => {
  const clock = manualClock(0)
  const seen: number[] = []
  const again = () => {
    seen.push(clock.now())
    clock.setTimer(again, 10)
  }
  clock.setTimer(again, 10)
  clock.advance(35)
  expect(seen).toEqual([10, 20, 30])
  expect(clock.now()).toBe(35)
})

test('a cancelled timer does not fire, and cancelling twice is harmless', () => {
  const clock = manualClock(0)
  let fired = false
  const cancel = clock.setTimer(() => {
    fired = true
  }, 1)
  cancel()
  cancel()
  clock.advance(10)
  expect(fired).toBe(false)
})

test('advanceAndSettle lets promises run between two timers', async () => {
  const clock = manualClock(0)
  const seen: string[] = []
  clock.setTimer(() => void Promise.resolve().then(() => seen.push('promise of the first')), 1)
  clock.setTimer(() => seen.push('second'), 2)
  await clock.advanceAndSettle(2)
  expect(seen).toEqual(['promise of the first', 'second'])
})

test('advanceAndSettle fires a timer that a waiting promise sets', async () => {
  const clock = manualClock(0)
  const sleep = (ms: number) => new Promise<void>((resolve) => clock.setTimer(resolve, ms))
  let done = false
  const work = (async () => {
    await sleep(5)
    await sleep(5)
    done = true
  })()
  await clock.advanceAndSettle(10)
  await settle()
  expect(done).toBe(true)
  await work
})
