/**
 * What do reads cost while the store is down? Redis is stopped, black-holed, and 100 ms slow; beside it plain Drizzle runs on
 * the same database in the same rounds. Before the breaker opens: how long does a read wait before it asks the database?
 */
import { redisStore } from '@drizzle-aside/redis'
import { eq } from 'drizzle-orm'
import { createClient } from 'redis'
import { ageRegister } from '../test/harness/redis-keys.ts'
import { type PrivateServer, privateRedis } from '../test/harness/servers.ts'
import { type TcpProxy, tcpProxy } from '../test/harness/tcp-proxy.ts'
import { items, ROWS } from './support/items.ts'
import {
  type AsideDb,
  closeAll,
  type Opened,
  openAside,
  openBeside,
  openDatabase,
  openRedis,
  removeKeys,
  run,
} from './support/open.ts'
import { type Bar, print, printBars, progress, ratio, table } from './support/report.ts'
import { alternate } from './support/rounds.ts'
import { readSettings } from './support/settings.ts'
import { median, quantile } from './support/statistics.ts'

const { rounds, ops, quick, concurrency } = readSettings(process.argv.slice(2), { rounds: 7, ops: 8_000 })

/** Defaults of the extension, as docs/how-it-works.md tells them. */
const READ_DEADLINE_MS = 50
/** A timer that is due fires when the loop comes to it: with 64 queries in flight that takes a while. */
const TIMER_MS = 15

interface Outage {
  readonly name: string
  begin(redis: PrivateServer, proxy: TcpProxy): Promise<void> | void
}

const outages: readonly Outage[] = [
  { name: 'stopped', begin: (redis) => redis.kill() },
  { name: 'black-holed', begin: (_, proxy) => proxy.blackHole() },
  { name: '100 ms slow', begin: (_, proxy) => proxy.delay({ toServer: 50, toClient: 50 }) },
]

const idOf = (index: number): number => 1 + ((index * 7919) % ROWS)

interface Side {
  readonly name: string
  readonly db: Pick<AsideDb, 'select'>
}

interface Measured {
  readonly ms: number
  readonly latencies: Float64Array
}

const readsOf = (db: Side['db'], index: number) =>
  db
    .select()
    .from(items)
    .where(eq(items.id, idOf(index)))

async function timed({ db }: Side, inFlight: number): Promise<Measured> {
  const latencies = new Float64Array(ops)
  let next = 0
  const reader = async (): Promise<void> => {
    while (next < ops) {
      const index = next++
      const began = performance.now()
      await readsOf(db, index)
      latencies[index] = performance.now() - began
    }
  }
  const began = performance.now()
  await Promise.all(Array.from({ length: inFlight }, reader))
  return { ms: performance.now() - began, latencies }
}

interface Watch {
  /** When each read by key was handed to the driver, by its id, which is in flight once at a time. */
  readonly sent: Map<number, number>
  /** The pool is again as the other side's. */
  end(): void
}

function watchStatements({ pool }: Opened): Watch {
  const sent = new Map<number, number>()
  const query = pool.query
  pool.query = function (this: unknown, ...args: unknown[]) {
    const [id] = (args[1] as unknown[] | undefined) ?? []
    if (typeof id === 'number') sent.set(id, performance.now())
    return (query as (...args: unknown[]) => unknown).apply(this, args)
  } as typeof query
  return { sent, end: () => Reflect.deleteProperty(pool, 'query') }
}

interface Opening {
  /** The longest that a read waited for the store before it asked the database. */
  readonly longestWaitMs: number
  readonly reads: number
  /** From the outage to the open breaker. */
  readonly openedAfterMs: number
}

/** Reads until the breaker has opened, and what they waited. All were hits before. */
async function untilOpen(db: AsideDb, { sent, end }: Watch, begin: () => Promise<void> | void): Promise<Opening> {
  let [opened, longestWaitMs, reads, next] = [0, 0, 0, 0]
  const stop = db.$aside.on((event) => {
    if (event.type === 'breakerOpened' && event.of === 'reads') opened ||= performance.now()
  })
  sent.clear()
  let ended = false
  const reader = async (): Promise<void> => {
    while (opened === 0) {
      const index = next++
      const began = performance.now()
      await readsOf(db, index)
      const asked = sent.get(idOf(index))
      sent.delete(idOf(index))
      if (asked === undefined || !ended) continue
      reads++
      longestWaitMs = Math.max(longestWaitMs, asked - began)
    }
  }
  const reading = Promise.all(Array.from({ length: 16 }, reader))
  const began = performance.now()
  const beginning = begin()
  ended = true
  await beginning
  await reading
  stop()
  end()
  return { longestWaitMs, reads, openedAfterMs: opened - began }
}

async function warm(db: AsideDb): Promise<void> {
  let next = 0
  const reader = async (): Promise<void> => {
    while (next < ROWS) await readsOf(db, next++)
  }
  await Promise.all(Array.from({ length: 32 }, reader))
}

const bars: Bar[] = []
const plainDatabase = await openDatabase()
/** The same again: how much of a difference is none. */
const besideItself = await openBeside(plainDatabase)

async function measure({ name, begin }: Outage): Promise<void> {
  const redis = await privateRedis()
  const proxy = await tcpProxy(redis.url)
  const client = createClient({ url: proxy.url })
  client.on('error', () => {})
  const opened = await openBeside(plainDatabase)
  const watch = watchStatements(opened)
  const namespace = `outage-${name.replaceAll(/\W+/g, '-')}`
  await ageRegister(redis.url, `${run}-${namespace}`, opened.name)
  const db = await openAside(opened, namespace, {
    store: redisStore(client),
    readDeadline: READ_DEADLINE_MS,
  })
  await warm(db)
  const hitsBefore = db.$aside.stats().hits
  await warm(db)
  const warmShare = (db.$aside.stats().hits - hitsBefore) / ROWS
  bars.push({ name: `${name}: all were hits before`, passed: warmShare > 0.99, found: warmShare.toFixed(3) })
  const opening = await untilOpen(db, watch, () => begin(redis, proxy))
  const hits = db.$aside.stats().hits
  const sides: Side[] = [
    { name: 'plain Drizzle', db: plainDatabase.db },
    { name: 'drizzle-aside', db },
    { name: 'plain Drizzle again', db: besideItself.db },
  ]
  const rows: string[][] = []
  for (const inFlight of concurrency) {
    const results = await alternate(sides, rounds + 1, (side) => timed(side, inFlight))
    const [plain, ours, again] = sides.map((side) => (results.get(side) as Measured[]).slice(1)) as [
      Measured[],
      Measured[],
      Measured[],
    ]
    const p99 = (measured: Measured): number => quantile(measured.latencies, 0.99)
    const besidePlain = (side: Measured[]) => ({
      slower: median(side.map((each, round) => p99(each) / p99(plain[round] as Measured))),
      throughput: median(side.map(({ ms }, round) => (plain[round] as Measured).ms / ms)),
    })
    const { slower, throughput } = besidePlain(ours)
    const itself = besidePlain(again)
    rows.push([
      String(inFlight),
      median(plain.map(p99)).toFixed(2),
      median(ours.map(p99)).toFixed(2),
      ratio(slower),
      ratio(throughput),
      ratio(itself.slower),
      ratio(itself.throughput),
    ])
    bars.push(
      { name: `${name}, concurrency ${inFlight}: p99 at most 1.3`, passed: slower <= 1.3, found: ratio(slower) },
      {
        name: `${name}, concurrency ${inFlight}: throughput at least 0.9`,
        passed: throughput >= 0.9,
        found: ratio(throughput),
      },
    )
    progress(`outage: ${name}, concurrency ${inFlight} done`)
  }
  const served = db.$aside.stats().hits - hits
  bars.push({ name: `${name}: nothing was served meanwhile`, passed: served === 0, found: String(served) })
  const { longestWaitMs, reads, openedAfterMs } = opening
  bars.push({
    name: `${name}: before it opened no read waited longer than its deadline (${READ_DEADLINE_MS} ms, ${TIMER_MS} for the timer)`,
    passed: longestWaitMs <= READ_DEADLINE_MS + TIMER_MS,
    found: `${longestWaitMs.toFixed(0)} ms`,
  })
  const head = [
    'concurrency',
    'plain p99 ms',
    'drizzle-aside p99 ms',
    'p99 x plain',
    'throughput x plain',
    'plain again: p99',
    'throughput',
  ]
  print('', `### Redis ${name}`, '', ...table(head, rows), '')
  print(
    `The breaker opened ${openedAfterMs.toFixed(0)} ms after the outage began. The ${reads} reads until then that went to the`,
    `database had waited ${longestWaitMs.toFixed(1)} ms for the store at most.`,
  )
  proxy.heal()
  await proxy.close()
  await redis.stop()
}

print('', '## Reads by key while Redis is out of reach', '')
print(
  'Everything was cached before. `p99` and throughput after the breaker has opened, beside plain Drizzle; in the last columns',
)
print('plain Drizzle over another pool beside itself: so much varies by itself.')
if (quick) print('', 'Quick: few operations, so the 99th percentile is a handful of reads.')
for (const outage of outages) await measure(outage)
printBars(bars)
await removeKeys(await openRedis())
await closeAll()
