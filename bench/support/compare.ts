import { progress, ratio, table } from './report.ts'
import { alternate, timesFaster } from './rounds.ts'

/** One side of a comparison: an operation that is called with 0, 1, 2 … and what is done before each timed run. */
export interface Side {
  readonly name: string
  run(index: number): Promise<unknown>
  /** Before a round, not timed. `round` counts all rounds of the side, so that fresh keys can be derived from it. */
  before?(round: number): Promise<unknown>
  /** After a round, timed: waits for what the operations left to be done. */
  after?(): Promise<unknown>
}

export interface Comparison {
  readonly concurrency: number
  /** Throughput of each side beside the first one. */
  readonly ratios: readonly number[]
}

export interface CompareOptions {
  readonly rounds: number
  readonly ops: number
  readonly concurrency: readonly number[]
}

/** Runs the sides in alternating rounds at each concurrency; one round before them is not counted. */
export async function compare(
  title: string,
  sides: readonly Side[],
  { rounds, ops, concurrency }: CompareOptions,
): Promise<Comparison[]> {
  const comparisons: Comparison[] = []
  const turns = new Map<Side, number>(sides.map((side) => [side, 0]))
  for (const inFlight of concurrency) {
    const results = await alternate(sides, rounds + 1, (side) => timeOf(side, nextTurn(turns, side), ops, inFlight))
    const msOf = (side: Side): number[] => (results.get(side) ?? []).slice(1)
    const base = msOf(sides[0] as Side)
    comparisons.push({ concurrency: inFlight, ratios: sides.map((side) => timesFaster(msOf(side), base)) })
    progress(`${title}: concurrency ${inFlight} done`)
  }
  return comparisons
}

function nextTurn(turns: Map<Side, number>, side: Side): number {
  const turn = turns.get(side) ?? 0
  turns.set(side, turn + 1)
  return turn
}

async function timeOf(side: Side, turn: number, ops: number, concurrency: number): Promise<number> {
  await side.before?.(turn)
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < ops) await side.run(next++)
  }
  const began = performance.now()
  await Promise.all(Array.from({ length: concurrency }, worker))
  await side.after?.()
  return performance.now() - began
}

/** One line per side, one column per concurrency: throughput beside the first side. */
export function comparisonTable(sides: readonly Side[], comparisons: readonly Comparison[]): string[] {
  const head = ['throughput x the first line', ...comparisons.map(({ concurrency }) => `concurrency ${concurrency}`)]
  return table(
    head,
    sides.map(({ name }, at) => [name, ...comparisons.map(({ ratios }) => ratio(ratios[at] as number))]),
  )
}
