import type { Clock } from '../ports/clock.ts'

/** How long a reader waits for another reader's query before it runs its own. */
const PATIENCE_MS = 1000

interface Flight<T> {
  readonly shared: Promise<T>
  readonly begun: Promise<unknown> | undefined
}

/**
 * Queries on their way, by entry *and* stamps: a flight begun before a write carries the stamps from before it, so that
 * nobody who comes after the write joins it (PROTOCOL 3.12).
 */
export class Flights<T> {
  readonly #open = new Map<string, Flight<T>>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** What the flight comes to; undefined in it when it fails or takes too long. Undefined at once: there is none. */
  join(name: string): Promise<T | undefined> | undefined {
    const flight = this.#open.get(name)
    return flight && this.#within(flight)
  }

  has(name: string): boolean {
    return this.#open.has(name)
  }

  /** Lets others join what `shared` comes to, until {@link Flights.land}. `begun`: the query waits for its turn until then. */
  start(name: string, shared: Promise<T>, begun: Promise<unknown> | undefined): void {
    shared.catch(() => undefined)
    this.#open.set(name, { shared, begun })
  }

  land(name: string): void {
    this.#open.delete(name)
  }

  /** A query that waits for its turn is before all that its joiners could run: their patience begins with it. */
  async #within({ shared, begun }: Flight<T>): Promise<T | undefined> {
    // Where it gave its turn up because the database is down, those who joined it are told the same.
    await begun
    return new Promise((resolve) => {
      const cancel = this.#clock.setTimer(() => resolve(undefined), PATIENCE_MS)
      const end = (value: T | undefined): void => {
        cancel()
        resolve(value)
      }
      shared.then(end, () => end(undefined))
    })
  }
}
