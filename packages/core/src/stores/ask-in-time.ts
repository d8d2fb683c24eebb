import type { Clock } from '../ports/clock.ts'
import type { AsideEvent, Listener } from '../ports/events.ts'
import type { Breaker } from './breaker.ts'
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
 * What comes after the deadline is ignored. While the breaker is open, the store is not asked at all, but by the one
 * question that tries it.
 */
export class AskInTime {
  readonly #deadlines: Deadlines
  readonly #emit: Listener
  readonly #breaker: Breaker | undefined

  constructor(clock: Clock, deadlineMs: number, emit: Listener, breaker?: Breaker) {
    this.#deadlines = new Deadlines(clock, deadlineMs)
    this.#emit = emit
    this.#breaker = breaker
  }

  ask<T>(question: Question<T>): void {
    if (this.#breaker?.isOpen) this.#askWhileOpen(question, this.#breaker)
    else this.#send(new Call(question, this.#deadlines.ms, this.#emit, this.#breaker, false))
  }

  /** Nobody waits for a store that was not there a moment ago. */
  #askWhileOpen<T>(question: Question<T>, breaker: Breaker): void {
    question.settle(undefined)
    if (!breaker.takesTry()) return
    this.#send(new Call({ ...question, settle: nothing }, this.#deadlines.ms, this.#emit, breaker, true))
  }

  #send<T>(call: Call<T>): void {
    const { question } = call
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
    readonly breaker: Breaker | undefined,
    readonly isTry: boolean,
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
    if (this.isTry) this.breaker?.tried(event === undefined)
    else if (event === undefined) this.breaker?.answered()
    else this.breaker?.failed()
  }
}

const nothing = (): void => {}
