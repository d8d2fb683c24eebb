import { redisStore } from '@drizzle-aside/redis'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../packages/core/src/ports/clock.ts'
import type { AsideEvent } from '../../packages/core/src/ports/events.ts'
import { guardStore } from '../../packages/core/src/stores/guard-store.ts'
import { type RedisLibrary, redisLibraries } from '../conformance/redis-clients.ts'
import { manualClock } from '../harness/clock.ts'
import { type PrivateServer, privateRedis } from '../harness/databases.ts'
import { tcpProxy } from '../harness/tcp-proxy.ts'

let server: PrivateServer
beforeAll(async () => {
  server = await privateRedis()
})
afterAll(() => server.stop())

async function guardedRedis(library: RedisLibrary, url: string, clock: Clock) {
  const app = await library.open(url)
  const events: AsideEvent[] = []
  const guard = guardStore(redisStore(app.client), { clock, emit: (event) => void events.push(event) })
  const close = async () => {
    await guard.close()
    app.close()
  }
  // The connection is opened by the first read; on a manual clock it takes as long as it takes.
  await expect.poll(() => guard.read(['warm'])).toEqual([null])
  events.length = 0
  return { guard, events, close }
}

/** From now on the server refuses every command that needs memory. */
async function leaveNoMemory(url: string): Promise<void> {
  const client = createClient({ url })
  await client.connect()
  await client.configSet({ maxmemory: '1', 'maxmemory-policy': 'noeviction' })
  client.destroy()
}

async function commandCalls(name: string): Promise<number> {
  const client = createClient({ url: server.url })
  await client.connect()
  const stats = await client.info('commandstats')
  client.destroy()
  return Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
}

describe.each(redisLibraries)('a guarded Redis over $name', (library) => {
  test('reads of one tick are exactly one MGET at the server', async () => {
    const { guard, close } = await guardedRedis(library, server.url, manualClock())
    const before = await commandCalls('mget')
    const reads = Array.from({ length: 50 }, (_, index) => guard.read([`a${index}`, `b${index}`]))
    expect(await Promise.all(reads)).toEqual(Array(50).fill([null, null]))
    expect(await commandCalls('mget')).toBe(before + 1)
    await close()
  })

  test('a removal of 1,200 keys is three UNLINK, a mint of three stamps three SET and one MGET', async () => {
    const { guard, close } = await guardedRedis(library, server.url, manualClock())
    const names = ['unlink', 'set', 'mget']
    const before = await Promise.all(names.map(commandCalls))
    expect(await guard.remove(Array.from({ length: 1_200 }, (_, index) => `k${index}`))).toBe(true)
    await guard.mint(
      ['s', 't', 'u'].map((key) => ({ key, text: 'x' })),
      60_000,
    )
    const after = await Promise.all(names.map(commandCalls))
    expect(after.map((count, index) => count - (before[index] ?? 0))).toEqual([3, 3, 1])
    await close()
  })

  test('a hanging server: late at the deadline, not before; as new when it goes on', async () => {
    const clock = manualClock()
    const { guard, events, close } = await guardedRedis(library, server.url, clock)
    server.pause()
    let settled = 0
    const calls = [guard.read(['a']), guard.mint([{ key: 's', text: 'x' }], 60_000), guard.remove(['a'])] as const
    for (const call of calls) call.then(() => settled++)
    await clock.advanceAndSettle(49)
    expect(settled).toBe(0)
    await clock.advanceAndSettle(201)
    expect(await Promise.all(calls)).toEqual([undefined, undefined, false])
    expect(events.map(({ type }) => type)).toEqual(['storeLate', 'storeLate', 'storeLate'])
    server.resume()
    await expect.poll(() => guard.remove(['a', 's'])).toBe(true)
    expect(await guard.read(['a', 's'])).toEqual([null, null])
    await close()
  })

  test('a black hole on the way: late at the deadline; as new when bytes flow again', async () => {
    const clock = manualClock()
    const proxy = await tcpProxy(server.url)
    const { guard, events, close } = await guardedRedis(library, proxy.url, clock)
    proxy.blackHole()
    const calls = [guard.read(['a']), guard.remove(['a'])] as const
    await clock.advanceAndSettle(250)
    expect(await Promise.all(calls)).toEqual([undefined, false])
    expect(events.map(({ type }) => type)).toEqual(['storeLate', 'storeLate'])
    proxy.heal()
    await expect.poll(() => guard.remove(['a'])).toBe(true)
    expect(await guard.read(['a'])).toEqual([null])
    await close()
    await proxy.close()
  })

  test('a killed server: fails without waiting for the deadline; as new when it is back, empty', async () => {
    // The clock stands still, so whatever settles settles by itself and not by a deadline.
    const clock = manualClock()
    const { guard, events, close } = await guardedRedis(library, server.url, clock)
    guard.write('a', 'A', 60_000, [], 0)
    await expect.poll(() => guard.read(['a'])).toEqual(['A'])
    server.pause()
    const pending = [guard.read(['a']), guard.remove(['a'])] as const
    await new Promise((resolve) => setImmediate(resolve))
    await server.kill()
    expect(await Promise.all(pending)).toEqual([undefined, false])
    guard.write('a', 'B', 60_000, [], 0)
    expect(await guard.read(['a'])).toBeUndefined()
    expect(await guard.mint([{ key: 's', text: 'x' }], 60_000)).toBeUndefined()
    expect(await guard.remove(['a'])).toBe(false)
    expect(new Set(events.map(({ type }) => type))).toEqual(new Set(['storeFailed']))
    await server.restart()
    const readLater = () => {
      // The breaker tries the store again when time goes by.
      clock.advance(10_000)
      return guard.read(['a'])
    }
    await expect.poll(readLater, { timeout: 10_000 }).toEqual([null])
    expect(await guard.remove(['a'])).toBe(true)
    await close()
  })

  test('a blocked event loop does not make an answer late that has arrived meanwhile', async () => {
    const { guard, events, close } = await guardedRedis(library, server.url, systemClock)
    for (let round = 0; round < 5; round++) {
      const read = guard.read(['a'])
      // Two turns: the question has left the process.
      for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve))
      const end = performance.now() + 120
      while (performance.now() < end) {}
      expect(await read).toEqual([null])
    }
    expect(events).toEqual([])
    await close()
  })

  test('a full server refuses what is new and still removes', async () => {
    const full = await privateRedis()
    const { guard, events, close } = await guardedRedis(library, full.url, manualClock())
    await guard.mint([{ key: 's', text: 'stamp' }], 60_000)
    await leaveNoMemory(full.url)
    guard.write('e', 'entry', 60_000, ['s'], 120_000)
    await expect.poll(() => events.some((event) => event.type === 'storeFailed' && event.step === 'write')).toBe(true)
    expect(await guard.mint([{ key: 't', text: 'stamp' }], 60_000)).toBeUndefined()
    expect(await guard.read(['s', 't'])).toEqual(['stamp', null])
    expect(await guard.remove(['s'])).toBe(true)
    expect(await guard.read(['s'])).toEqual([null])
    await close()
    await full.stop()
  })

  test('a server that evicts answers null, never another text', async () => {
    const small = await privateRedis(['--maxmemory', '3mb', '--maxmemory-policy', 'allkeys-lru'])
    const { guard, events, close } = await guardedRedis(library, small.url, manualClock())
    const keys = Array.from({ length: 60 }, (_, index) => `k${index}`)
    for (const key of keys) guard.write(key, key.repeat(20_000), 60_000, [], 0)
    const values = await guard.read(keys)
    expect(values?.filter((text, index) => text !== null && text !== keys[index]?.repeat(20_000))).toEqual([])
    expect(values).toContain(null)
    expect(events).toEqual([])
    await close()
    await small.stop()
  })
})
