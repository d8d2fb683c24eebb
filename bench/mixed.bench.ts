/**
 * Rows, lists and joins with writes among them: plain Drizzle, prepared, Drizzle's own cache, ours.
 *
 * 10,000 authors and 50,000 posts; the keys of reads and writes and the authors of posts are zipf 0.99. All run the same
 * steps, each on a database of its own, in rounds of shuffled order; one run of reads comes first. A read is stale when
 * it shows a version, or lacks a new post, although the write that came after it, or made it, had resolved before the
 * read began. After each share of writes the last answers are compared with the database's, with no write in flight.
 */
import { isDeepStrictEqual } from 'node:util'
import { POSTS, USERS } from './support/forum.ts'
import { type Counts, type ForumSide, forumSides, type Kind, kinds } from './support/forum-contenders.ts'
import {
  createSteps,
  type Draws,
  EqualityClasses,
  Judge,
  type Ran,
  runSteps,
  type Step,
} from './support/forum-stream.ts'
import { closeAll, openRedis, removeKeys } from './support/open.ts'
import { seeded, zipf } from './support/random.ts'
import { type Bar, percent, print, printBars, progress, ratio, table } from './support/report.ts'
import { alternate, timesFaster } from './support/rounds.ts'
import { readSettings } from './support/settings.ts'

const presets = { rounds: 5, ops: 3_000, concurrency: [16], writes: [0.1, 1, 5, 20] }
const { rounds, ops, concurrency, writes } = readSettings(process.argv.slice(2), presets)
/** Reads before the first share of writes, so that what is asked often is cached. */
const WARM = 15 * ops
/** Answers compared with the database's after each share of writes. */
const AT_REST = 300

/** What a simulation of the same mix over 2,000,000 steps found for a cache by equality class: by key, list, join. */
const simulated: Readonly<Record<string, readonly [number, number, number]>> = {
  0.1: [98, 99.7, 86],
  1: [97, 97, 74],
  5: [91, 87, 57],
  20: [72, 61, 33],
}

const random = seeded(42)
const draws: Draws = { random, post: zipf(POSTS, 0.99, random), author: zipf(USERS, 0.99, random) }
const authors = Int32Array.from({ length: POSTS }, () => draws.author())
const sides = await forumSides(authors)
const [plain] = sides
const ours = sides.filter(({ contender }) => contender.name.startsWith('drizzle-aside'))
const withCache = sides.filter(({ contender }) => contender.counts)
const judges = new Map(sides.map((side) => [side, new Judge()]))
const judgeOf = (side: ForumSide): Judge => judges.get(side) as Judge
const model = new EqualityClasses((post) => authors[post - 1] as number)
const bars: Bar[] = []

await warm()
print('', '## Rows, lists and joins', '')
print(
  `Reads: 50 % by key, 30 % lists of an author's newest 20, 20 % a post with its author. ${rounds} rounds of ${ops} steps.`,
)
for (const share of writes) for (const inFlight of concurrency) await measure(share, inFlight)
printBars(bars)
await removeKeys(await openRedis())
await closeAll()

async function warm(): Promise<void> {
  const steps = createSteps(WARM, 0, draws)
  model.follow(steps)
  for (const side of withCache) await runSteps(side.contender, judgeOf(side), steps, 64)
  progress('mixed: warm')
}

async function measure(share: number, inFlight: number): Promise<void> {
  const [before, ...measured] = Array.from({ length: rounds + 1 }, () => createSteps(ops, share, draws)) as [
    Step[],
    ...Step[][],
  ]
  for (const side of sides) await runSteps(side.contender, judgeOf(side), before, inFlight)
  model.follow(before)
  const possible = add(measured.map((steps) => model.follow(steps)))
  const results = await alternate(sides, rounds, (side, round) =>
    runSteps(side.contender, judgeOf(side), measured[round] as Step[], inFlight),
  )
  const rest = new Map<ForumSide, number>()
  for (const side of withCache) rest.set(side, await differences(side, measured.flat()))
  printCell(share, inFlight, results, possible, rest)
  progress(`mixed: ${share} % writes, concurrency ${inFlight} done`)
}

/** How many of the last answers, read again with no write in flight, are not the database's. */
async function differences({ contender, truth }: ForumSide, steps: readonly Step[]): Promise<number> {
  const asked = new Map(steps.flatMap((step) => ('read' in step ? [[`${step.read} ${step.id}`, step] as const] : [])))
  let found = 0
  for (const { read, id } of [...asked.values()].slice(-AT_REST)) {
    if (!isDeepStrictEqual(await contender.read(read, id), await truth(read, id))) found++
  }
  return found
}

function add(all: readonly Readonly<Record<Kind, Counts>>[]): Record<Kind, Counts> {
  const sum = (kind: Kind, what: keyof Counts): number => all.reduce((total, counts) => total + counts[kind][what], 0)
  const entries = kinds.map((kind) => [kind, { hits: sum(kind, 'hits'), misses: sum(kind, 'misses') }] as const)
  return Object.fromEntries(entries) as Record<Kind, Counts>
}

function rate({ hits, misses }: Counts): number {
  return hits / (hits + misses)
}

function overall(counts: Readonly<Record<Kind, Counts>>): number {
  const all = kinds.map((kind) => counts[kind])
  return rate({ hits: all.reduce((n, { hits }) => n + hits, 0), misses: all.reduce((n, { misses }) => n + misses, 0) })
}

function rates(counts: Readonly<Record<Kind, Counts>>): string[] {
  return [overall(counts), ...kinds.map((kind) => rate(counts[kind]))].map(percent)
}

function printCell(
  share: number,
  inFlight: number,
  results: Map<ForumSide, Ran[]>,
  possible: Readonly<Record<Kind, Counts>>,
  rest: Map<ForumSide, number>,
): void {
  const of = (side: ForumSide): Ran[] => results.get(side) ?? []
  const faster = (side: ForumSide, beside: ForumSide): number =>
    timesFaster(
      of(side).map(({ ms }) => ms),
      of(beside).map(({ ms }) => ms),
    )
  const total = (side: ForumSide, what: 'stale' | 'statements'): number =>
    of(side).reduce((sum, ran) => sum + ran[what], 0)
  const rows = sides.map((side) => [
    side.contender.name,
    ratio(faster(side, plain)),
    ...(side.contender.counts ? rates(add(of(side).flatMap(({ counts }) => counts ?? []))) : ['-', '-', '-', '-']),
    ((1000 * total(side, 'statements')) / (ops * rounds)).toFixed(0),
    String(total(side, 'stale')),
    rest.has(side) ? String(rest.get(side)) : '-',
  ])
  const far = simulated[share]?.map((each) => `${each} %`)
  print('', `### ${share} % writes, concurrency ${inFlight}`, '')
  print(
    ...table(
      ['', 'x plain', 'hits', ...kinds, 'SQL / 1,000', 'stale', 'stale at rest'],
      [
        ...rows,
        ['by equality class, the same steps', '-', ...rates(possible), '-', '-', '-'],
        ...(far ? [['by equality class, 2,000,000 steps (simulated)', '-', '-', ...far, '-', '-', '-']] : []),
      ],
    ),
  )
  const at = `${share} % writes, concurrency ${inFlight}`
  for (const side of ours) {
    const stale = total(side, 'stale') + (rest.get(side) ?? 0)
    bars.push({ name: `${at}: ${side.contender.name}: no stale read`, passed: stale === 0, found: String(stale) })
  }
}
