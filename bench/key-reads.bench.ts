/**
 * Reads by key with writes among them: plain Drizzle, prepared, hand-written cache-aside, Drizzle's own cache, ours.
 *
 * All run the same operations in the same process, each on a database and with keys of its own, one kind of client
 * (node-redis, node-postgres, 16 connections), in rounds of shuffled order. Keys are zipf 0.99 over 10,000 rows of
 * twelve columns, all read once before. A read is stale when it began after a write had resolved and shows an older row.
 */
import { type Contender, drizzleCache, handWritten, ours, plain, prepared, warm } from './support/contenders.ts'
import { ROWS } from './support/items.ts'
import { closeAll, openRedis, removeKeys } from './support/open.ts'
import { createStream, type Stream, seeded, zipf } from './support/random.ts'
import { type Bar, micros, percent, print, printBars, progress, ratio, table } from './support/report.ts'
import { alternate, timesFaster } from './support/rounds.ts'
import { type RoundResult, runStream, Versions } from './support/run-stream.ts'
import { readSettings } from './support/settings.ts'
import { quantile } from './support/statistics.ts'

const { rounds, ops, concurrency, writes } = readSettings(process.argv.slice(2))
const [base, ready, hand, handBehind, builtIn, own, ownPrepared] = await Promise.all([
  plain(),
  prepared(),
  handWritten(),
  handWritten("Drizzle's builder"),
  drizzleCache(),
  ours(),
  ours('prepared'),
])
const contenders = [base, ready, hand, handBehind, builtIn, own, ownPrepared]
const versions = new Map(contenders.map((contender) => [contender, new Versions()]))

const random = seeded(42)
const draw = zipf(ROWS, 0.99, random)
/** Rows that a cache of any size with exact invalidation would hold, following the same operations. */
const held = new Uint8Array(ROWS + 1).fill(1)

function idealHits({ keys, writes: isWrite }: Stream): number {
  let hits = 0
  keys.forEach((key, at) => {
    if (isWrite[at] === 0) hits += held[key] as number
    held[key] = isWrite[at] === 0 ? 1 : 0
  })
  return hits
}

interface Cell {
  readonly concurrency: number
  readonly writes: number
  readonly results: Map<Contender, RoundResult[]>
  /** Hits of the ideal cache per read. */
  readonly ideal: number
}

for (const contender of contenders) await warm(contender)
const cells: Cell[] = []
for (const share of writes) for (const inFlight of concurrency) cells.push(await measure(inFlight, share))

print('## Reads by key', '')
print(`Zipf 0.99 over ${ROWS} rows of 12 columns, ${rounds} rounds of ${ops} operations each.`)
for (const cell of cells) printCell(cell)
printBars(cells.flatMap(barsOf))
await removeKeys(await openRedis())
await closeAll()

async function measure(inFlight: number, share: number): Promise<Cell> {
  // The first stream is not measured: code is compiled and caches reach what this share of writes leaves of them.
  const streams = Array.from({ length: rounds + 1 }, () => createStream(ops, share, draw, random))
  const judge = (contender: Contender): Versions => versions.get(contender) as Versions
  const [before, ...measured] = streams as [Stream, ...Stream[]]
  for (const contender of contenders) await runStream(contender, judge(contender), before, inFlight)
  idealHits(before)
  const hits = measured.reduce((sum, stream) => sum + idealHits(stream), 0)
  const results = await alternate(contenders, rounds, (contender, round) =>
    runStream(contender, judge(contender), measured[round] as Stream, inFlight),
  )
  progress(`key reads: ${share} % writes, concurrency ${inFlight} done`)
  return { concurrency: inFlight, writes: share, results, ideal: hits / sum(results.get(base), ({ reads }) => reads) }
}

function sum(all: readonly RoundResult[] | undefined, value: (result: RoundResult) => number): number {
  return (all ?? []).reduce((total, result) => total + value(result), 0)
}

function faster({ results }: Cell, fast: Contender, slow: Contender): number {
  const msOf = (contender: Contender): number[] => (results.get(contender) ?? []).map(({ ms }) => ms)
  return timesFaster(msOf(fast), msOf(slow))
}

function hitRate({ results }: Cell, contender: Contender): number | undefined {
  const all = results.get(contender)
  return contender.reads && sum(all, ({ hits = 0 }) => hits) / sum(all, ({ reads }) => reads)
}

function printCell(cell: Cell): void {
  const { results, ideal } = cell
  const rows = contenders.map((contender) => {
    const all = results.get(contender) ?? []
    const latencies = Float64Array.from(all.flatMap(({ latencies: each }) => [...each]))
    const rate = hitRate(cell, contender)
    return [
      contender.name,
      ratio(faster(cell, contender, base)),
      ratio(faster(cell, contender, hand)),
      rate === undefined ? '-' : percent(rate),
      rate === undefined ? '-' : percent(ideal),
      ((1000 * sum(all, ({ statements }) => statements)) / (ops * rounds)).toFixed(0),
      micros(quantile(latencies, 0.5)),
      micros(quantile(latencies, 0.99)),
      String(sum(all, ({ stale }) => stale)),
    ]
  })
  print('', `### ${cell.writes} % writes, concurrency ${cell.concurrency}`, '')
  const head = ['', 'x plain', 'x hand-written', 'hits', 'ideal', 'SQL / 1,000', 'p50 µs', 'p99 µs', 'stale']
  print(...table(head, rows))
}

function barsOf(cell: Cell): Bar[] {
  const at = `${cell.writes} % writes, concurrency ${cell.concurrency}`
  const stale = sum(cell.results.get(own), (result) => result.stale)
  const stalePrepared = sum(cell.results.get(ownPrepared), (result) => result.stale)
  const bars: Bar[] = [
    { name: `${at}: no stale read`, passed: stale + stalePrepared === 0, found: String(stale + stalePrepared) },
  ]
  const bar = (name: string, found: number, least: number): void => {
    bars.push({ name: `${at}: ${name}`, passed: found >= least, found: ratio(found) })
  }
  if (cell.writes === 0 && cell.concurrency <= 16) bar('at least 0.8 of hand-written', faster(cell, own, hand), 0.8)
  if (cell.writes === 5) {
    for (const other of [base, ready, hand, builtIn]) bar(`ahead of ${other.name}`, faster(cell, own, other), 1)
    bar("at least 4 times Drizzle's own cache", faster(cell, own, builtIn), 4)
  }
  if (cell.concurrency === 1) {
    const behind = cell.ideal - (hitRate(cell, own) ?? 0)
    const found = `${(behind * 100).toFixed(2)} points behind`
    bars.push({ name: `${at}: hit rate within 2 points of the ideal`, passed: behind <= 0.02, found })
  }
  return bars
}
