import { seeded, shuffled } from './random.ts'
import { median } from './statistics.ts'

const random = seeded(11)

/** Collects garbage, so that nobody pays for what somebody else left behind; needs --expose-gc. */
export function collectGarbage(): void {
  ;(globalThis as { gc?: () => void }).gc?.()
}

/** Runs every contender once per round, in an order of chance, and keeps what each run gave. */
export async function alternate<T, R>(
  contenders: readonly T[],
  rounds: number,
  runOne: (contender: T, round: number) => Promise<R>,
): Promise<Map<T, R[]>> {
  const results = new Map<T, R[]>(contenders.map((contender) => [contender, []]))
  for (let round = 0; round < rounds; round++) {
    for (const contender of shuffled(contenders, random)) {
      collectGarbage()
      results.get(contender)?.push(await runOne(contender, round))
    }
  }
  return results
}

/** The median over the rounds of how many times faster `fast` was than `slow` in the same round. */
export function timesFaster(fast: readonly number[], slow: readonly number[]): number {
  return median(slow.map((ms, round) => ms / (fast[round] as number)))
}
