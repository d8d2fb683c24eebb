import { isOutage, stillDown } from '../model/outage.ts'
import type { Clock } from '../ports/clock.ts'
import type { FillCounts } from '../ports/fill-counts.ts'

/**
 * How long a query keeps its place while others wait. One that hangs, on a lock that a transaction of the very program
 * holds, say, must not keep out the query that the transaction waits for.
 */
const PLACE_MS = 5_000

interface Place {
  readonly since: number
}

interface Waiter {
  readonly begin: (place: Place) => void
  /** Undefined: it waits whatever happens. */
  readonly giveUp: ((reason: symbol) => void) | undefined
}

/** A query that runs, or waits for its turn. */
export interface Limited<T> {
  readonly answer: Promise<T>
  /** Resolves when its turn has come, and rejects where it is given up; undefined: it runs already. */
  readonly begun: Promise<unknown> | undefined
}

/**
 * Lets so many queries of misses run at a time, first come first served, so that a cold start or a flushed store does not
 * meet the database with everything at once (SCENARIOS D17). Waiting is all that happens to a reader. Nobody who holds a
 * place waits for another one: joined queries and fill tokens are waited for without a place.
 */
export class FillLimit {
  #asked: number | undefined
  #usual: number | undefined
  readonly #usually: () => number
  readonly #clock: Clock
  /** Oldest first. */
  readonly #running = new Set<Place>()
  #waiting: Waiter[] = []
  #endWatch: (() => void) | undefined
  #waited = 0
  #overdue = 0

  /** `usually`: the number where nobody asks for one; called with the first query. */
  constructor(usually: () => number, clock: Clock) {
    this.#usually = usually
    this.#clock = clock
  }

  /** Several wraps share the places of their client: the smallest number that one of them asks for holds for all. */
  ask(max: number): void {
    this.#asked = Math.min(this.#asked ?? max, max)
  }

  get #max(): number {
    if (this.#asked !== undefined) return this.#asked
    this.#usual ??= this.#usually()
    return this.#usual
  }

  /**
   * `mayGiveUp`: there is another answer than the database's, so nobody has to wait for a turn to find that it is down; then
   * it rejects with {@link stillDown}. Connecting may take seconds to fail, and the line may be long.
   */
  run<T>(query: () => Promise<T>, mayGiveUp = false): Limited<T> {
    const place = this.#take()
    if (place) return { answer: this.#hold(place, query), begun: undefined }
    this.#waited++
    const begun = new Promise<Place>((begin, giveUp) =>
      this.#waiting.push({ begin, giveUp: mayGiveUp ? giveUp : undefined }),
    )
    this.#watch()
    return { answer: begun.then((granted) => this.#hold(granted, query)), begun }
  }

  /** True where a query would begin at once. */
  get hasRoom(): boolean {
    return this.#waiting.length === 0 && this.#running.size < this.#max
  }

  counts(): FillCounts {
    const [running, waiting] = [this.#running.size, this.#waiting.length]
    return { max: this.#max, running, waiting, waited: this.#waited, overdue: this.#overdue }
  }

  #take(): Place | undefined {
    return this.hasRoom ? this.#occupy() : undefined
  }

  #occupy(): Place {
    const place = { since: this.#clock.now() }
    this.#running.add(place)
    return place
  }

  async #hold<T>(place: Place, query: () => Promise<T>): Promise<T> {
    try {
      return await query()
    } catch (error) {
      if (isOutage(error)) this.#dismiss()
      throw error
    } finally {
      if (this.#running.delete(place)) this.#grant()
    }
  }

  #dismiss(): void {
    const waiting = this.#waiting
    this.#waiting = waiting.filter(({ giveUp }) => !giveUp)
    for (const { giveUp } of waiting) giveUp?.(stillDown)
  }

  #grant(): void {
    while (this.#running.size < this.#max) {
      const next = this.#waiting.shift()
      if (!next) break
      next.begin(this.#occupy())
    }
    this.#watch()
  }

  /** One timer, and only while somebody waits. */
  #watch(): void {
    this.#endWatch?.()
    this.#endWatch = undefined
    const [oldest] = this.#running
    if (this.#waiting.length === 0 || !oldest) return
    const leftMs = oldest.since + PLACE_MS - this.#clock.now()
    this.#endWatch = this.#clock.setTimer(() => this.#dropOverdue(), leftMs)
  }

  #dropOverdue(): void {
    const due = this.#clock.now() - PLACE_MS
    for (const place of this.#running) {
      if (place.since > due) break
      this.#running.delete(place)
      this.#overdue++
    }
    this.#grant()
  }
}
