import { isDeepStrictEqual } from 'node:util'
import type { Row } from './schema.ts'

export type Answer = Row | null

/** What a write changes: the question, and its answer from now on. */
export type Change = readonly [key: string, answer: Answer]

interface History {
  readonly answers: Answer[]
  /** Position of the last answer whose write has resolved. */
  settled: number
}

/**
 * What one database has committed, kept beside it: every answer that a question has had, in order. Writes come one
 * after another, so it is known for each read which answers it may give: the one that had resolved when it began, or
 * any that came later.
 */
export class Truth {
  readonly #first: ReadonlyMap<string, Row>
  readonly #histories = new Map<string, History>()

  constructor(first: ReadonlyMap<string, Row>) {
    this.#first = first
  }

  /** A write begins: from now on its answers may be seen. */
  begin(changes: readonly Change[]): void {
    for (const [key, answer] of changes) {
      let history = this.#histories.get(key)
      if (!history) {
        history = { answers: [this.#first.get(key) ?? null], settled: 0 }
        this.#histories.set(key, history)
      }
      history.answers.push(answer)
    }
  }

  /** The write has resolved: from now on nothing older may be seen. */
  settle(changes: readonly Change[]): void {
    for (const [key] of changes) {
      const history = this.#histories.get(key) as History
      history.settled = history.answers.length - 1
    }
  }

  /** How far the answers to a question had come; asked when a read begins. */
  settledAt(key: string): number {
    return this.#histories.get(key)?.settled ?? 0
  }

  /** How many answers there were, begun ones included; asked when a read ends. */
  begunAt(key: string): number {
    return this.#histories.get(key)?.answers.length ?? 1
  }

  /** Whether an answer is one that a read between the two moments may give. */
  allows(key: string, answer: Answer, from: number, until: number): boolean {
    const answers = this.#histories.get(key)?.answers ?? [this.#first.get(key) ?? null]
    return answers.slice(from, until).some((each) => isDeepStrictEqual(each, answer))
  }

  /** The answer of the moment. */
  now(key: string): Answer {
    const history = this.#histories.get(key)
    return history ? (history.answers.at(-1) as Answer) : (this.#first.get(key) ?? null)
  }
}
