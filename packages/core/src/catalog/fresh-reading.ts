import type { Clock } from '../ports/clock.ts'

export interface FreshWith<T> {
  read(): Promise<T>
  failed(error: unknown): void
  readonly clock: Clock
  /** After how long it is read again, with the next {@link FreshReading.want}. */
  readonly rereadMs: number
  /** After how long without a reading it is not known any more. */
  readonly staleMs: number
}

/** Between two tries that fail. */
const REST_MS = 1_000

/** Something about a server that is read now and again while it is wanted, as the catalog is, and never believed for long. */
export class FreshReading<T> {
  readonly #with: FreshWith<T>
  #value: T | undefined
  #reading: Promise<void> | undefined
  // Flags instead of a look at the clock, which costs more than all the rest of a hit.
  #isDue = true
  #isClosed = false
  #endTimers: () => void = () => {}

  constructor(tools: FreshWith<T>) {
    this.#with = tools
  }

  get value(): T | undefined {
    return this.#value
  }

  want(): void {
    if (this.#isDue && !this.#reading && !this.#isClosed) void this.#begin()
  }

  /** Resolves when a reading has ended that was begun after this call, whatever it came to. */
  async renew(): Promise<void> {
    await this.#reading
    if (!this.#isClosed) await this.#begin()
  }

  /** It is read again with the next {@link FreshReading.want}. */
  expire(): void {
    this.#isDue = true
  }

  close(): void {
    this.#isClosed = true
    this.#value = undefined
    this.#endTimers()
  }

  #begin(): Promise<void> {
    if (this.#reading) return this.#reading
    this.#isDue = false
    this.#reading = this.#with
      .read()
      .then(
        (value) => this.#take(value),
        (error) => this.#fail(error),
      )
      .finally(() => {
        this.#reading = undefined
      })
    return this.#reading
  }

  #take(value: T): void {
    if (this.#isClosed) return
    this.#value = value
    const { clock, rereadMs, staleMs } = this.#with
    this.#endTimers()
    const endDue = clock.setTimer(() => this.expire(), rereadMs)
    const endStale = clock.setTimer(() => {
      this.#value = undefined
    }, staleMs)
    this.#endTimers = () => {
      endDue()
      endStale()
    }
  }

  /** The last value stays until it is stale. */
  #fail(error: unknown): void {
    if (this.#isClosed) return
    this.#with.failed(error)
    this.#with.clock.setTimer(() => this.expire(), REST_MS)
  }
}
