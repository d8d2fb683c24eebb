import { beforeEach, expect, it } from 'vitest'
import { type ManualClock, manualClock, settle } from '../../../../test/harness/clock.ts'
import { FreshReading } from '../../src/catalog/fresh-reading.ts'

let clock: ManualClock
let answers: (number | Error)[]
let failures: unknown[]
let reading: FreshReading<number>

beforeEach(() => {
  clock = manualClock()
  answers = []
  failures = []
  reading = new FreshReading<number>({
    read: async () => {
      const next = answers.shift() ?? expect.unreachable('nothing to read')
      if (next instanceof Error) throw next
      return next
    },
    failed: (error) => void failures.push(error),
    clock,
    rereadMs: 24_000,
    staleMs: 30_000,
  })
})

it('is read when it is wanted, and again when it is due, and believed for so long only', async () => {
  answers.push(1, 2)
  expect(reading.value).toBeUndefined()
  reading.want()
  reading.want()
  await settle()
  expect(reading.value).toBe(1)
  await clock.advanceAndSettle(23_999)
  reading.want()
  await clock.advanceAndSettle(1)
  expect(answers).toEqual([2])
  reading.want()
  await settle()
  expect(reading.value).toBe(2)
  await clock.advanceAndSettle(29_999)
  expect(reading.value).toBe(2)
  await clock.advanceAndSettle(1)
  expect(reading.value).toBeUndefined()
})

it('one that fails keeps the last value until it is stale, and is tried again a second later', async () => {
  answers.push(1, new Error('gone'), 3)
  reading.want()
  await settle()
  reading.expire()
  reading.want()
  await settle()
  reading.want()
  expect([reading.value, failures.length, answers.length]).toEqual([1, 1, 1])
  await clock.advanceAndSettle(1_000)
  reading.want()
  await settle()
  expect(reading.value).toBe(3)
})

it('renew() waits for a reading that began after it; after close() there is none', async () => {
  answers.push(1, 2)
  reading.want()
  await reading.renew()
  expect(reading.value).toBe(2)
  reading.close()
  reading.want()
  await reading.renew()
  expect([reading.value, clock.pending()]).toEqual([undefined, 0])
})
