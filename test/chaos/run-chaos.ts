/**
 * A chaos run: workers read and write while one fault after the other befalls them and their servers. After each one the
 * hits must come back; at the end everything that anybody saw is judged against what the database committed.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { ageRegister } from '../harness/redis-keys.ts'
import { bundle, type Edit } from '../random/bundle.ts'
import { Random } from '../random/random.ts'
import { type FaultKind, faultKinds, faults, LONGEST_MS, type Stage } from './faults.ts'
import { judge, type Verdict } from './judge.ts'
import { openScene } from './scene.ts'
import { Crew } from './workers.ts'

export interface ChaosOptions {
  readonly seed: number
  readonly seconds: number
  readonly outbox: boolean
  readonly kinds?: readonly FaultKind[]
  readonly edits?: readonly Edit[]
  /** See `Task.hot`. */
  readonly hot?: number
  /** Hears of each fault as it ends. */
  readonly tell?: (line: string) => void
}

export interface FaultReport {
  readonly kind: string
  readonly from: number
  /** When it was over. */
  readonly until: number
  /** When all workers had their hits back; undefined: they never had. */
  readonly recovered: number | undefined
}

export interface ChaosRun {
  readonly verdict: Verdict
  readonly faults: readonly FaultReport[]
  /** Workers that ended although nobody ended them, or did not end when they were told to. */
  readonly troubles: readonly string[]
  /** Share of hits before the first fault, and over the whole run. */
  readonly hitShare: number
  readonly meanHitShare: number
  /** Events of the workers that are worth a look, with how often they came. */
  readonly events: Readonly<Record<string, number>>
}

const PLACES = 3
const NAMESPACE = 'chaos'
/** Short, so that its end is seen; with an outbox so long that it hides nothing. */
const TTL_MS = { without: 6_000, withOutbox: 300_000 }
const JITTER = 1.1
/** `drainEvery`, and the time that looks, removals and two busy cores take. */
const DRAIN_MS = 1_000 + 2_000
/** Within so many milliseconds after a fault the hits must be back: the longest pause of a breaker, and a young register. */
const BACK_WITHIN_MS = 20_000
/** Back is this share of what was hit before the first fault. */
const BACK_SHARE = 0.6
/** A cache that never hits passes everything. */
const LEAST_SHARE = 0.25
const START_WITHIN_MS = 30_000
const ENDS_WITHIN_MS = 15_000
const LOOK_MS = 20

export async function runChaos(options: ChaosOptions): Promise<ChaosRun> {
  const { seed, seconds, outbox, hot, edits = [], kinds = faultKinds, tell = () => {} } = options
  const random = new Random(seed)
  const ttlMs = outbox ? TTL_MS.withOutbox : TTL_MS.without
  const folder = mkdtempSync(join(tmpdir(), 'drizzle-aside-chaos-'))
  const [scene, program] = await Promise.all([openScene(PLACES, outbox), bundle('../chaos/worker.ts', edits)])
  const base = process.hrtime.bigint()
  const clock = Date.now()
  const now = (): number => Number(process.hrtime.bigint() - base) / 1e6
  await ageRegister(scene.redis.url, NAMESPACE, 'postgres')
  const crew = new Crew({
    program: program.file,
    folder,
    seed,
    places: PLACES,
    now,
    links: scene.links.map(({ redis, postgres }) => ({ database: postgres.url, redis: redis.url })),
    given: { namespace: NAMESPACE, outbox, ttlMs, base: `${base}`, concurrency: 24, hot },
  })
  const stalls = watchStalls(now)
  try {
    const began = now()
    await untilWell(crew, now, began, START_WITHIN_MS)
    const hitShare = await firstHits(crew, now)
    const reports: FaultReport[] = []
    const outages: [number, number][] = []
    const stage: Stage = { scene, crew, random, register: `da1:${NAMESPACE}:8:postgres:F{f}` }
    const course = faults(stage, kinds)
    const end = now() + seconds * 1_000
    while (now() < end && crew.findFaults().length === 0) {
      await pause(300 + random.below(700))
      const { kind, run, isOutage } = course.next().value
      const from = now()
      await run()
      const until = now()
      const recovered = await untilBack(crew, now, until, hitShare * BACK_SHARE)
      if (isOutage) outages.push([from, recovered ?? now()])
      reports.push({ kind, from, until, recovered })
      tell(toldFault(reports.at(-1) as FaultReport))
      if (recovered === undefined) break
    }
    // Nothing is written any more, and all is looked at again and again: at rest nothing is stale.
    for (const worker of crew.workers) worker.rest()
    await pause(outbox ? DRAIN_MS + 500 : 500)
    await crew.stop(ENDS_WITHIN_MS)
    const commits = await scene.commits()
    const processes = crew.histories()
    const verdict = judge(processes, commits, {
      ttlMs: ttlMs * JITTER,
      heldMs: LONGEST_MS + 2_000,
      drainMs: outbox ? DRAIN_MS : undefined,
      outages: [...outages, ...stalls.end()].sort(([a], [b]) => a - b),
      clock,
    })
    const events: Record<string, number> = {}
    for (const { lines } of processes)
      for (const line of lines) if (line[0] === 'event') events[line[2]] = (events[line[2]] ?? 0) + 1
    return { verdict, faults: reports, troubles: crew.findFaults(), hitShare, meanHitShare: crew.hitShare, events }
  } finally {
    stalls.end()
    await crew.kill()
    await scene.close()
    program.remove()
    if (process.env.CHAOS_KEEP === undefined) rmSync(folder, { recursive: true, force: true })
    else tell(`histories: ${folder}`)
  }
}

/** When this process itself did not come to run: nor did the others, perhaps, and nobody is to blame. */
function watchStalls(now: () => number) {
  const stalls: [number, number][] = []
  let last = now()
  const timer = setInterval(() => {
    const at = now()
    if (at - last > 300) stalls.push([last, at])
    last = at
  }, 50)
  return {
    end: () => {
      clearInterval(timer)
      return stalls
    },
  }
}

async function untilWell(crew: Crew, now: () => number, since: number, withinMs: number): Promise<void> {
  const end = now() + withinMs
  while (!crew.workers.every((worker) => worker.isWell(since))) {
    const [fault] = crew.findFaults()
    if (fault) throw new Error(fault)
    if (now() > end) throw new Error(`The workers were not well within ${withinMs} ms.`)
    await pause(LOOK_MS)
  }
}

/** The share of hits as it is when nothing is wrong, once it does not rise any more. */
async function firstHits(crew: Crew, now: () => number): Promise<number> {
  const end = now() + START_WITHIN_MS
  for (let before = 0; ; ) {
    const since = now()
    while (crew.workers.some((worker) => worker.hitShare(since) === undefined)) {
      const [fault] = crew.findFaults()
      if (fault) throw new Error(fault)
      await pause(LOOK_MS)
    }
    const share = Math.min(...crew.workers.map((worker) => worker.hitShare(since) as number))
    if (share > LEAST_SHARE && share < before + 0.03) return share
    if (now() > end) throw new Error(`No more than ${Math.round(100 * share)} % of the look-ups were hits.`)
    before = share
  }
}

/** When every worker was well again and hit as often as before, over look-ups that all came after the fault. */
async function untilBack(crew: Crew, now: () => number, since: number, share: number): Promise<number | undefined> {
  const isBack = (): boolean =>
    crew.workers.every((worker) => worker.isWell(since) && (worker.hitShare(since) ?? 0) >= share)
  while (!isBack()) {
    if (now() - since > BACK_WITHIN_MS || crew.findFaults().length > 0) return undefined
    await pause(LOOK_MS)
  }
  return now()
}

export const toldFault = ({ kind, from, until, recovered }: FaultReport): string =>
  `${(from / 1_000).toFixed(1)} s  ${kind}: ${
    recovered === undefined ? 'hits did not come back' : `hits back after ${((recovered - until) / 1_000).toFixed(1)} s`
  }`

/** What a run found, for people. */
export function toldRun({ seed, outbox }: ChaosOptions, run: ChaosRun): string {
  const { verdict, hitShare } = run
  const back = run.faults.flatMap(({ until, recovered }) => (recovered === undefined ? [] : [recovered - until]))
  const excused = Object.entries(verdict.excused).map(
    ([name, { reads, longestMs }]) => `${name} ${reads} (until ${longestMs} ms)`,
  )
  const writes = Object.entries(verdict.writes).map(([name, count]) => `${count} ${name}`)
  return [
    `chaos SEED=${seed}, ${outbox ? "outbox 'always'" : 'no outbox'}: ${run.faults.length} faults, ${verdict.reads} reads, ` +
      `${verdict.claims} claims, writes ${writes.join(', ')}; hit rate ${Math.round(100 * hitShare)} % at first, ` +
      `${Math.round(100 * run.meanHitShare)} % over all, back after ` +
      `${(Math.max(0, ...back) / 1_000).toFixed(1)} s at most`,
    `  violations ${verdict.violations.length}; excused: ${excused.join(', ') || 'none'}`,
    `  events: ${JSON.stringify(run.events)}`,
  ].join('\n')
}
