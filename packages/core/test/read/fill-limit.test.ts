import { describe, expect, test } from 'vitest'
import { manualClock, settle } from '../../../../test/harness/clock.ts'
import { stillDown } from '../../src/model/outage.ts'
import { FillLimit } from '../../src/read/fill-limit.ts'

/** A limit whose queries end when they are told to. */
function open(max: number) {
  const clock = manualClock()
  const limit = new FillLimit(() => max, clock)
  const begun: string[] = []
  const ends = new Map<string, (error?: Error) => void>()
  const run = (name: string, mayGiveUp?: boolean) =>
    limit.run(() => {
      begun.push(name)
      return new Promise<string>((resolve, reject) => {
        ends.set(name, (error) => (error ? reject(error) : resolve(name)))
      })
    }, mayGiveUp)
  const end = async (name: string, error?: Error) => {
    ends.get(name)?.(error)
    await settle()
  }
  return { clock, limit, begun, run, end }
}

describe('the limit on fills', () => {
  test('whoever finds a place begins at once', () => {
    const { run, begun, limit } = open(2)
    expect(run('a').begun).toBeUndefined()
    run('b')
    expect(begun).toEqual(['a', 'b'])
    expect(limit.counts()).toEqual({ max: 2, running: 2, waiting: 0, waited: 0, overdue: 0 })
  })

  test('the others wait and begin in the order in which they came, one for each that ends', async () => {
    const { run, begun, end, limit } = open(2)
    const all = ['a', 'b', 'c', 'd', 'e'].map((name) => run(name).answer)
    expect(limit.counts()).toMatchObject({ running: 2, waiting: 3, waited: 3 })
    await end('b')
    expect(begun).toEqual(['a', 'b', 'c'])
    await end('a')
    expect(begun).toEqual(['a', 'b', 'c', 'd'])
    for (const name of ['c', 'd', 'e']) await end(name)
    expect(await Promise.all(all)).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(limit.counts()).toMatchObject({ running: 0, waiting: 0 })
  })

  test('73: where the database is down, those who have another answer leave the line, and the others keep their place', async () => {
    const { run, begun, end, limit } = open(1)
    const first = run('a', true).answer.catch((error: unknown) => error)
    const b = run('b', true)
    const failed = run('c').answer.catch(() => 'failed')
    const gaveUp = Promise.all(
      [b.answer, b.begun].map((each) => Promise.resolve(each).catch((error: unknown) => error)),
    )
    const down = Object.assign(new Error('down'), { code: 'ECONNREFUSED' })
    await end('a', down)
    expect(await first).toBe(down)
    expect(await gaveUp).toEqual([stillDown, stillDown])
    expect(begun).toEqual(['a', 'c'])
    const d = run('d', true).answer
    // What is wrong with one query is not wrong with the next.
    await end('c', Object.assign(new Error('no'), { code: '42601' }))
    expect(await failed).toBe('failed')
    expect(begun).toEqual(['a', 'c', 'd'])
    await end('d')
    expect(await d).toBe('d')
    expect(limit.counts()).toMatchObject({ running: 0, waiting: 0 })
  })

  test('one that comes when a place has just been given away does not overtake', async () => {
    const { run, begun, end } = open(1)
    run('a')
    run('b')
    const ended = end('a')
    run('c')
    await ended
    expect(begun).toEqual(['a', 'b'])
  })

  test('a query that fails gives its place back, and fails for its own reader only', async () => {
    const { run, end, begun } = open(1)
    const failing = run('a').answer
    const next = run('b').answer
    await Promise.all([expect(failing).rejects.toThrow('no such table'), end('a', new Error('no such table'))])
    expect(begun).toEqual(['a', 'b'])
    await end('b')
    expect(await next).toBe('b')
  })

  test('one that hangs loses its place after five seconds, and only to somebody who waits', async () => {
    const { run, begun, clock, end, limit } = open(1)
    run('hangs')
    await clock.advanceAndSettle(60_000)
    expect(limit.counts().overdue).toBe(0)
    run('b')
    run('c')
    await clock.advanceAndSettle(0)
    expect(begun).toEqual(['hangs', 'b'])
    await clock.advanceAndSettle(4_999)
    expect(begun).toEqual(['hangs', 'b'])
    await clock.advanceAndSettle(1)
    expect(begun).toEqual(['hangs', 'b', 'c'])
    // What has lost its place has none to give back.
    run('d')
    await end('hangs')
    await end('b')
    expect(begun).toEqual(['hangs', 'b', 'c'])
    await end('c')
    expect(begun).toEqual(['hangs', 'b', 'c', 'd'])
    expect(limit.counts()).toMatchObject({ running: 1, overdue: 2 })
  })

  test('no timer stays behind when nobody waits', async () => {
    const { run, clock, end } = open(1)
    run('a')
    expect(clock.pending()).toBe(0)
    run('b')
    expect(clock.pending()).toBe(1)
    await end('a')
    expect(clock.pending()).toBe(0)
  })

  test('the smallest number that is asked for holds, whatever is usual', () => {
    const { limit, run } = open(1)
    limit.ask(3)
    limit.ask(2)
    limit.ask(4)
    for (const name of ['a', 'b', 'c']) run(name)
    expect(limit.counts()).toMatchObject({ max: 2, running: 2, waiting: 1 })
  })
})
