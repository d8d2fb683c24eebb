import type { Clock } from '../ports/clock.ts'
import type { AsideEvent, Listener } from '../ports/events.ts'
import { Deadlines, Waited } from './deadlines.ts'

/** The calls that are waited for. */
export type AskedStep = Extract<AsideEvent, { type: 'storeLate' }>['step']

/** One question to the store. */
export interface Question<T> {
  readonly step: AskedStep
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
 * Every awaited call passes here and ends in `Call.end` with its outcome: this is where a circuit breaker will count.
 */
export class AskInTime {
  readonly #deadlines: Deadlines
  readonly #emit: Listener

  constructor(clock: Clock, deadlineMs: number, emit: Listener) {
    this.#deadlines = new Deadlines(clock, deadlineMs)
    this.#emit = emit
  }

  ask<T>(question: Question<T>): void {
    const call = new Call(question, this.#deadlines.ms, this.#emit)
    try {
      question.ask().then(
        (value) => call.answer(value),
        (error) => call.fail(error),
      )
      this.#deadlines.start(call)
    } catch (error) {
      call.fail(error)
    }
  }
}

// TypeScript's `private` and no closures in fields: `#` methods and bound fields, set up anew for every call, doubled
// the cost of a lone guarded read (bench/guard-read.bench.ts, memory store).
class Call<T> extends Waited {
  constructor(
    readonly question: Question<T>,
    readonly deadlineMs: number,
    readonly emit: Listener,
  ) {
    super()
  }

  answer(value: T): void {
    const error = this.question.check(value)
    if (error === undefined) this.end(value, undefined)
    else this.fail(error)
  }

  fail(error: unknown): void {
    this.end(undefined, { type: 'storeFailed', step: this.question.step, error })
  }

  /**
   * After a blocked event loop the timer runs before the sockets are read, although the answer may be lying there.
   * One turn later it has been read, so only a store that is really late is called late.
   */
  override expire(): void {
    setImmediate(() => this.end(undefined, this.late()))
  }

  private late(): AsideEvent {
    return { type: 'storeLate', step: this.question.step, deadlineMs: this.deadlineMs }
  }

  private end(answer: T | undefined, event: AsideEvent | undefined): void {
    if (this.over) return
    this.over = true
    this.question.settle(answer)
    if (event !== undefined) this.emit(event)
  }
}
