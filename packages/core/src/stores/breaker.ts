import type { Clock } from '../ports/clock.ts'
import type { BreakerOf, Listener } from '../ports/events.ts'

/** A window begins with a failure and lasts so long. */
const WINDOW_MS = 5_000
/** So many failures in one window, and at least half of what was asked in it, open the breaker. */
const LEAST_FAILURES = 5
/** How long it stays open before the store is tried; doubled with each try that fails, up to the last. */
const FIRST_PAUSE_MS = 500
const LAST_PAUSE_MS = 8_000

/**
 * A circuit breaker (Nygard, *Release It!*): after repeated failures the store is left alone, and one question at a time
 * tries whether it is back. Nobody waits for that one: its own asker gets "not known" at once, like everybody's.
 *
 * Closed, it costs one addition for each answer: a window begins with a failure, so while nothing fails no clock is read.
 */
export class Breaker {
  readonly #of: BreakerOf
  readonly #clock: Clock
  readonly #emit: Listener
  #answers = 0
  #failures = 0
  #windowEnds = Number.NEGATIVE_INFINITY
  #openedAt: number | undefined
  #triesAt = 0
  #pauseMs = FIRST_PAUSE_MS
  #trying = false

  constructor(of: BreakerOf, clock: Clock, emit: Listener) {
    this.#of = of
    this.#clock = clock
    this.#emit = emit
  }

  get isOpen(): boolean {
    return this.#openedAt !== undefined
  }

  /** Open, and no question may try the store now. */
  get isResting(): boolean {
    return this.#openedAt !== undefined && (this.#trying || this.#clock.now() < this.#triesAt)
  }

  /** While open: true for the one question that tries the store; {@link Breaker.tried} must hear how it ended. */
  takesTry(): boolean {
    if (this.#trying || this.#clock.now() < this.#triesAt) return false
    this.#trying = true
    return true
  }

  tried(answered: boolean): void {
    this.#trying = false
    if (answered) this.#close()
    else {
      this.#pauseMs = Math.min(2 * this.#pauseMs, LAST_PAUSE_MS)
      this.#triesAt = this.#clock.now() + this.#pauseMs
    }
  }

  answered(): void {
    this.#answers++
  }

  failed(): void {
    // What was asked before it opened says nothing about now.
    if (this.isOpen) return
    const now = this.#clock.now()
    if (now > this.#windowEnds) {
      this.#windowEnds = now + WINDOW_MS
      this.#answers = 0
      this.#failures = 0
    }
    this.#failures++
    if (this.#failures >= LEAST_FAILURES && this.#failures >= this.#answers) this.#open(now)
  }

  #open(now: number): void {
    this.#openedAt = now
    this.#pauseMs = FIRST_PAUSE_MS
    this.#triesAt = now + this.#pauseMs
    this.#emit({ type: 'breakerOpened', of: this.#of, failures: this.#failures, answers: this.#answers })
  }

  #close(): void {
    const openMs = this.#clock.now() - (this.#openedAt ?? 0)
    this.#openedAt = undefined
    this.#windowEnds = Number.NEGATIVE_INFINITY
    this.#emit({ type: 'breakerClosed', of: this.#of, openMs })
  }
}
