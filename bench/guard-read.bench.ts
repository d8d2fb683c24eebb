/**
 * What does the guard (deadline, breaker, merging of reads) cost on a hit, over the bare store and over a plain GET, and what
 * share is that of a whole hit? A read is MGET of an entry (500 bytes) and two stamps.
 */
import { redisStore } from '@drizzle-aside/redis'
import { eq } from 'drizzle-orm'
import { Redis } from 'ioredis'
import { systemClock } from '../packages/core/src/ports/clock.ts'
import { guardStore } from '../packages/core/src/stores/guard-store.ts'
import { memoryStore } from '../packages/core/src/stores/memory-store.ts'
import { items } from './support/items.ts'
import { closeAll, openAside, openDatabase, openRedis, removeKeys, run, servers } from './support/open.ts'
import { type Bar, micros, percent, print, printBars, progress, table } from './support/report.ts'
import { alternate } from './support/rounds.ts'
import { readSettings } from './support/settings.ts'
import { median } from './support/statistics.ts'

const { rounds, ops, concurrency } = readSettings(process.argv.slice(2), { rounds: 9, ops: 2_000 })

interface Subject {
  readonly name: string
  read(index: number): Promise<unknown>
}

const KEYS = 500
const node = await openRedis()
const io = new Redis(servers.redis)
const stores = { 'node-redis': redisStore(node), ioredis: redisStore(io), memory: memoryStore() }
const keysOf = (index: number): string[] => {
  const at = index % KEYS
  return [`${run}:e${at}`, `${run}:s${at}`, `${run}:epoch`]
}
for (let index = 0; index < KEYS; index++) {
  for (const [at, key] of keysOf(index).entries()) {
    const text = at === 0 ? 'x'.repeat(500) : 'S'.repeat(24)
    await node.set(key, text)
    await stores.memory.write(key, text, 3_600_000, [], 0)
  }
}

const entryOf = (index: number): string => keysOf(index)[0] as string
const bare: Subject[] = []
const guarded: Subject[] = []
for (const [name, store] of Object.entries(stores)) {
  const guard = guardStore(store, { clock: systemClock, emit: (event) => progress(JSON.stringify(event)) })
  bare.push({ name: `${name}, store.read`, read: (index) => store.read(keysOf(index)) })
  guarded.push({ name: `${name}, guard.read`, read: (index) => guard.read(keysOf(index)) })
}
const db = await openAside(await openDatabase(), 'guard')
const hit: Subject = {
  name: 'a whole hit by key over node-redis',
  read: (index) =>
    db
      .select()
      .from(items)
      .where(eq(items.id, 1 + (index % KEYS))),
}
const subjects: readonly Subject[] = [
  { name: 'node-redis, GET', read: (index) => node.get(entryOf(index)) },
  { name: 'ioredis, GET', read: (index) => io.get(entryOf(index)) },
  ...bare.flatMap((subject, at) => [subject, guarded[at] as Subject]),
  hit,
]
for (let index = 0; index < KEYS; index++) await hit.read(index)

const bars: Bar[] = []
const columns: number[][] = []
for (const inFlight of concurrency) {
  const results = await alternate(subjects, rounds + 1, (subject) => timeOf(subject, inFlight))
  const of = (subject: Subject): number => median((results.get(subject) as number[]).slice(1))
  columns.push(subjects.map(of))
  for (const [at, subject] of guarded.entries()) {
    const share = (of(subject) - of(bare[at] as Subject)) / of(hit)
    if (subject.name.startsWith('memory')) continue
    const name = `concurrency ${inFlight}: ${subject.name} adds under 10 % of a whole hit`
    bars.push({ name, passed: share < 0.1, found: percent(share) })
  }
  progress(`guard-read: concurrency ${inFlight} done`)
}

print('', '## The guard of the store', '')
print(
  'Microseconds per read, medians of shuffled rounds. Over Redis reads of one tick are one question behind the guard, so',
)
print('that with many in flight it costs less than none.', '')
const head = ['µs per read', ...concurrency.map((inFlight) => `concurrency ${inFlight}`)]
print(
  ...table(
    head,
    subjects.map(({ name }, row) => [name, ...columns.map((column) => micros(column[row] as number))]),
  ),
)
printBars(bars)
await removeKeys(await openRedis())
io.disconnect()
for (const store of Object.values(stores)) await store.close()
await closeAll()

/** Milliseconds per read. */
async function timeOf({ read }: Subject, inFlight: number): Promise<number> {
  let next = 0
  const began = performance.now()
  const reader = async (): Promise<void> => {
    while (next < ops) await read(next++)
  }
  await Promise.all(Array.from({ length: inFlight }, reader))
  return (performance.now() - began) / ops
}
