import type { ResultLookup } from '../model/result.ts'
import type { Clock } from '../ports/clock.ts'

/** A time to live, varied by a share of itself, so that entries filled together do not expire together. */
export const spread = (ttlMs: number, jitter: number, random: number): number =>
  Math.max(1, Math.round(ttlMs * (1 + jitter * (2 * random - 1))))

/** What a query took, without the time that it waited for its turn. */
export function stopwatch(clock: Clock): Stopwatch {
  let ms = 0
  let began = clock.now()
  return {
    get ms() {
      return ms
    },
    get sinceMs() {
      return clock.now() - began
    },
    async of(query) {
      began = clock.now()
      const value = await query()
      ms = clock.now() - began
      return value
    },
  }
}

export interface Stopwatch {
  readonly ms: number
  /** How long ago the query began. */
  readonly sinceMs: number
  of<T>(query: () => Promise<T>): Promise<T>
}

/** How often, within its life, the life of an epoch is raised; each fill of its table would be far too often. */
const EXTENSIONS = 8

/** Which stamps must be given a longer life, for an entry to be of use to its end. */
export class KeepAlive {
  readonly #clock: Clock
  readonly #stampTtlMs: number
  /** When each epoch's life was last raised. */
  readonly #raised = new Map<string, number>()

  constructor(clock: Clock, stampTtlMs: number) {
    this.#clock = clock
    this.#stampTtlMs = stampTtlMs
  }

  of(
    { stamps, epochs }: Pick<ResultLookup, 'stamps' | 'epochs'>,
    learned: readonly string[],
    minted: ReadonlySet<string>,
    stampTtlMs: number,
  ): string[] {
    const all = [...stamps, ...learned]
    // A longer life than usual was asked for: then nothing that was done before is enough.
    if (stampTtlMs > this.#stampTtlMs) return all
    const shared = new Set(epochs > 0 ? stamps.slice(-epochs) : [])
    return all.filter((key) => (shared.has(key) ? this.#isDue(key) : !minted.has(key)))
  }

  #isDue(epoch: string): boolean {
    const now = this.#clock.now()
    if (now - (this.#raised.get(epoch) ?? Number.NEGATIVE_INFINITY) < this.#stampTtlMs / EXTENSIONS) return false
    this.#raised.set(epoch, now)
    return true
  }
}
