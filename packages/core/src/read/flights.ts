import type { Clock } from '../ports/clock.ts'

/** How long a reader waits for another reader's query before it runs its own. */
const PATIENCE_MS = 1000

/**
 * Queries on their way, by entry *and* stamps: a flight begun before a write carries the stamps from before it, so that
 * nobody who comes after the write joins it (PROTOCOL 3.12).
 */
export class Flights<T> {
  readonly #open = new Map<string, Promise<T>>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** What the flight comes to; undefined in it when it fails or takes too long. Undefined at once: there is none. */
  join(name: string): Promise<T | undefined> | undefined {
    const flight = this.#open.get(name)
    return flight && this.#within(flight)
  }

  /** Runs, while others may join what `shared` comes to. */
  async lead<R>(name: string, shared: Promise<T>, run: () => Promise<R>): Promise<R> {
    shared.catch(() => undefined)
    this.#open.set(name, shared)
    try {
      return await run()
    } finally {
      this.#open.delete(name)
    }
  }

  #within(flight: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve) => {
      const cancel = this.#clock.setTimer(() => resolve(undefined), PATIENCE_MS)
      const end = (value: T | undefined): void => {
        cancel()
        resolve(value)
      }
      flight.then(end, () => end(undefined))
    })
  }
}
