/**
 * What does the guard cost on a hit, over the bare store and over a plain GET?
 *
 * Run: `pnpm exec tsx --tsconfig tsconfig.json bench/guard-read.bench.ts`. It starts a Redis of its own. Microseconds
 * per read, medians of shuffled rounds; a read is MGET of an entry (500 bytes) and two stamps. Compare within a row.
 */

import { redisStore } from '@drizzle-aside/redis'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { systemClock } from '../packages/core/src/ports/clock.ts'
import { guardStore } from '../packages/core/src/stores/guard-store.ts'
import { memoryStore } from '../packages/core/src/stores/memory-store.ts'
import { privateRedis } from '../test/harness/servers.ts'

type Read = (index: number) => Promise<unknown>

const ROUNDS = 11
const server = await privateRedis()
const node = createClient({ url: server.url, commandOptions: { timeout: 0 } })
await node.connect()
const io = new Redis(server.url)
const memory = memoryStore()
const stores = { 'node-redis': redisStore(node), ioredis: redisStore(io), memory }

const keysOf = (index: number) => [`e${index % 500}`, `s${index % 500}`, 'epoch']
for (let index = 0; index < 500; index++) {
  for (const key of keysOf(index)) {
    const text = (key[0] === 'e' ? 'x' : 'S').repeat(key.startsWith('e') ? 500 : 24)
    await node.set(key, text)
    await memory.write(key, text, 3_600_000, [], 0)
  }
}

const subjects: Record<string, Read> = {
  'node-redis GET': (index) => node.get(`e${index % 500}`),
  'ioredis GET': (index) => io.get(`e${index % 500}`),
}
for (const [name, store] of Object.entries(stores)) {
  const guard = guardStore(store, { clock: systemClock, emit: (event) => console.log(event), readDeadlineMs: 5_000 })
  subjects[`${name} store.read`] = (index) => store.read(keysOf(index))
  subjects[`${name} guard.read`] = (index) => guard.read(keysOf(index))
}

for (const concurrency of [1, 16, 128]) {
  const times = new Map<string, number[]>(Object.keys(subjects).map((name) => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of shuffled([...times.keys()])) {
      times.get(name)?.push(await timeOf(subjects[name] as Read, concurrency, concurrency === 1 ? 3_000 : 12_000))
    }
  }
  const rows = [...times].map(([name, all]) => [name, Number(median(all).toFixed(2))])
  console.log(`concurrency ${concurrency}`, Object.fromEntries(rows))
}
node.destroy()
io.disconnect()
for (const store of Object.values(stores)) await store.close()
await server.stop()

async function timeOf(read: Read, concurrency: number, reads: number): Promise<number> {
  let next = 0
  const start = performance.now()
  const reader = async () => {
    while (next < reads) await read(next++)
  }
  await Promise.all(Array.from({ length: concurrency }, reader))
  return ((performance.now() - start) / reads) * 1_000
}

function shuffled<T>(items: T[]): T[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item)
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? 0
}
