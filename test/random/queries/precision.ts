/**
 * What a write dropped against what it changed: a few answers that the cache holds are watched over each write. Dropped
 * without having changed is a needless drop, counted with its reason; changed without having been dropped is a stale
 * answer, which the next question finds.
 */
import { isDeepStrictEqual } from 'node:util'
import type { AsideEvent } from 'drizzle-aside'
import { Difference, type Outcome } from '../outcome.ts'
import type { Hands, Step } from '../steps.ts'
import type { World, Wrapped } from '../world.ts'
import { inAnyOrder } from './any-order.ts'
import { type Epoch, fellWith, needlessReason } from './needless-reason.ts'
import type { Question, QuestionKind } from './questions.ts'

export interface DropCounts {
  /** Answers that the cache held before a write. */
  watched: number
  changed: number
  dropped: number
  needless: number
  /** Needless drops by reason. */
  readonly reasons: Record<string, number>
}

interface Watched {
  readonly question: Question
  readonly before: Outcome
  readonly explained: Explained
  readonly versions: unknown
}

export type Explained = Awaited<ReturnType<Wrapped['aside']['explain']>>

export class Precision {
  readonly counts: Partial<Record<QuestionKind, DropCounts>> = {}
  readonly #world: World
  readonly #answer: (question: Question) => Promise<Outcome>
  #epochs: Epoch[] = []

  /** `answer` is what the plain db says now. */
  constructor(world: World, answer: (question: Question) => Promise<Outcome>) {
    this.#world = world
    this.#answer = answer
    for (const { aside } of world.wrapped) aside.on((event) => this.#hear(event))
  }

  #hear(event: AsideEvent): void {
    if (event.type === 'epochReplaced') this.#epochs.push({ table: event.table, reason: event.reason })
  }

  /** Watches what the cache holds of these questions while the write runs. */
  async over(questions: readonly Question[], write: Step, run: () => Promise<boolean>): Promise<void> {
    const watched: Watched[] = []
    for (const question of questions) {
      const one = await this.#watch(question)
      if (one) watched.push(one)
    }
    this.#epochs = []
    const succeeded = await run()
    const epochs = this.#epochs
    for (const one of watched) await this.#judge(one, write, epochs, succeeded)
  }

  async #watch(question: Question): Promise<Watched | undefined> {
    const explained = await this.#explain(question)
    if (explained?.state !== 'hit') return undefined
    const before = await this.#answer(question)
    return { question, before, explained, versions: await this.#versions(question) }
  }

  async #explain(question: Question): Promise<Explained | undefined> {
    const [{ aside, db }] = this.#world.wrapped
    const query = question.on(db)
    return 'getSQL' in query ? aside.explain(query as never) : undefined
  }

  async #versions({ versions }: Question): Promise<unknown> {
    return versions && rowsOf(await (this.#world.plain as Hands).db.execute(versions))
  }

  async #judge(watched: Watched, write: Step, epochs: readonly Epoch[], succeeded: boolean): Promise<void> {
    const { question, before, explained } = watched
    const after = await this.#answer(question)
    const dropped = (await this.#explain(question))?.state !== 'hit'
    const changed = !isDeepStrictEqual(inAnyOrder(before), inAnyOrder(after))
    const counts = this.#of(question.kind)
    counts.watched++
    if (changed) counts.changed++
    if (!dropped) return
    counts.dropped++
    if (changed) return
    counts.needless++
    const reason = needlessReason(explained, write, epochs)
    counts.reasons[reason] = (counts.reasons[reason] ?? 0) + 1
    if (succeeded && explained.plan === 'record') await this.#untouched(watched, write, epochs)
  }

  /** A record falls only if its row was touched, or with its whole table. */
  async #untouched({ question, explained, versions }: Watched, write: Step, epochs: readonly Epoch[]): Promise<void> {
    if (versions === undefined || fellWith(explained, epochs)) return
    if (!isDeepStrictEqual(versions, await this.#versions(question))) return
    throw new Difference(
      `${question.label}\n  was dropped, and its row not touched, by ${write.label}; epochs: ${epochs}`,
    )
  }

  #of(kind: QuestionKind): DropCounts {
    const counts = this.counts[kind] ?? { watched: 0, changed: 0, dropped: 0, needless: 0, reasons: {} }
    this.counts[kind] = counts
    return counts
  }
}

/** Drivers differ in what they give for raw text. */
const rowsOf = (result: unknown): unknown[] =>
  Array.isArray(result) ? [...result] : (result as { rows: unknown[] }).rows
