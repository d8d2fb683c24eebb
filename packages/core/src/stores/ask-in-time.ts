import type { Clock } from '../ports/clock.ts'
import type { AsideEvent, Listener } from '../ports/events.ts'

/** The calls that are waited for; `write` is not. */
export type AskedStep = Extract<AsideEvent, { type: 'storeLate' }>['step']

/** One question to the store. */
export interface Question<T> {
  readonly step: AskedStep
  readonly deadlineMs: number
  ask(): Promise<T>
  /** What is wrong with the answer, e.g. the number of values; `undefined` = nothing. */
  check(answer: T): Error | undefined
  /** Called exactly once; `undefined` = failed or late. Events follow it, so a listener never delays the asker. */
  settle(answer: T | undefined): void
}

/**
 * Asks the store and settles in time, whatever the store does: an answer, an exception, a rejection, silence.
 * What comes after the deadline is ignored.
 *
 * Every awaited call passes here and ends in `#end` with its outcome: this is where a circuit breaker will count.
 */
export class AskInTime {
  readonly #clock: Clock
  readonly #emit: Listener

  constructor(clock: Clock, emit: Listener) {
    this.#clock = clock
    this.#emit = emit
  }

  ask<T>(question: Question<T>): void {
    const call = new Call(question, this.#emit)
    try {
      const answer = question.ask()
      call.stopTimer = this.#clock.setTimer(() => call.expire(), question.deadlineMs)
      answer.then(
        (value) => call.answer(value),
        (error) => call.fail(error),
      )
    } catch (error) {
      call.fail(error)
    }
  }
}

class Call<T> {
  stopTimer: (() => void) | undefined
  #over = false

  constructor(
    readonly question: Question<T>,
    readonly emit: Listener,
  ) {}

  answer(value: T): void {
    const error = this.question.check(value)
    if (error === undefined) this.#end(value, undefined)
    else this.fail(error)
  }

  fail(error: unknown): void {
    this.#end(undefined, { type: 'storeFailed', step: this.question.step, error })
  }

  /**
   * After a blocked event loop the timer runs before the sockets are read, although the answer may be lying there.
   * One turn later it has been read, so only a store that is really late is called late.
   */
  expire(): void {
    setImmediate(() => {
      const { step, deadlineMs } = this.question
      this.#end(undefined, { type: 'storeLate', step, deadlineMs })
    })
  }

  #end(answer: T | undefined, event: AsideEvent | undefined): void {
    if (this.#over) return
    this.#over = true
    this.stopTimer?.()
    this.question.settle(answer)
    if (event !== undefined) this.emit(event)
  }
}
