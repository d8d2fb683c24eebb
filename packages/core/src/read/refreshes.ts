import type { Clock } from '../ports/clock.ts'
import type { Voice } from '../ports/voice.ts'
import type { FillLimit } from './fill-limit.ts'

/** How long `close()` waits for queries that are on their way; what they bring later is not stored. */
const LAST_WAIT_MS = 1_000

/** Thrown by a load that would have run inside a transaction: nothing has failed. */
export const isNotNow = (error: unknown): boolean => typeof error === 'symbol'

/** Fills that nobody waits for. They take a free place, or none: readers who wait come first. */
export class Refreshes {
  readonly #limit: FillLimit
  readonly #clock: Clock
  readonly #voice: Voice
  readonly #running = new Set<Promise<void>>()

  constructor({ limit, clock, voice }: { limit: FillLimit; clock: Clock; voice: Voice }) {
    this.#limit = limit
    this.#clock = clock
    this.#voice = voice
  }

  start(table: string, fill: () => Promise<unknown>): void {
    if (!this.#limit.hasRoom) {
      this.#voice.emit({ type: 'refreshSkipped', table })
      return
    }
    this.#voice.emit({ type: 'refresh', table })
    const running: Promise<void> = fill()
      .then(nothing, (error) => this.#failed(table, error))
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  #failed(table: string, error: unknown): void {
    this.#voice.emit(isNotNow(error) ? { type: 'refreshSkipped', table } : { type: 'refreshFailed', table, error })
  }

  /** Resolves when none is on its way any more, or too late for anybody to wait. */
  async end(): Promise<void> {
    if (this.#running.size === 0) return
    let cancel = nothing
    const patience = new Promise<void>((resolve) => {
      cancel = this.#clock.setTimer(resolve, LAST_WAIT_MS)
    })
    await Promise.race([Promise.all(this.#running), patience])
    cancel()
  }
}

const nothing = (): void => {}
