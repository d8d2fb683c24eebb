/**
 * Random questions and writes on a plain Drizzle db and on two wrapped ones; the first difference ends the run. Free of
 * vitest, so that it can be bundled with a core that has a planted fault.
 */
import { isDeepStrictEqual } from 'node:util'
import { drawMembers, membersLabel, runMembers } from '../members.ts'
import { Difference, type Outcome, outcomeOf, same, spoil } from '../outcome.ts'
import { Random } from '../random.ts'
import type { RunOptions } from '../run-in-world.ts'
import type { Step } from '../steps.ts'
import { added, sum } from '../tallies.ts'
import { timed } from '../timed.ts'
import type { World, Wrapped } from '../world.ts'
import { inAnyOrder } from './any-order.ts'
import { Pool } from './pool.ts'
import { type DropCounts, Precision } from './precision.ts'
import type { Question, QuestionKind } from './questions.ts'
import { writtenFor } from './topics.ts'
import { drawWrite } from './writes.ts'

export const hitClasses = [
  'key',
  'in-list',
  'unique',
  'negative',
  'list',
  'join',
  'aggregate',
  'set operation',
  'relational',
] as const
export type HitClass = (typeof hitClasses)[number]

export interface QueryReport {
  readonly seed: number
  readonly steps: number
  readonly reads: number
  readonly writes: number
  /** Statements that failed on both sides alike. */
  readonly failures: number
  readonly races: number
  readonly swept: number
  readonly hits: Readonly<Record<HitClass, { readonly hits: number; readonly asked: number }>>
  readonly drops: Readonly<Partial<Record<QuestionKind, DropCounts>>>
  readonly bypassed: Readonly<Record<string, number>>
  readonly epochs: Readonly<Record<string, number>>
  readonly milliseconds: number
}

/** How many questions are asked again at the end. */
const SWEPT = 400

/** Of the times that a question other than by key answers nothing, how often it is not asked again. */
const LET_GO = 0.6

const byKey: ReadonlySet<QuestionKind> = new Set(['key', 'in-list', 'unique'])

const isNothing = (outcome: Outcome): boolean =>
  'ok' in outcome && (outcome.ok === undefined || (Array.isArray(outcome.ok) && outcome.ok.length === 0))

export interface QueryOptions extends RunOptions {
  /** A construct or a kind of question that most questions are to have. */
  readonly near?: string | undefined
}

/** Throws a {@link Difference} that names the seed and the step. */
export async function runQueries(world: World, options: QueryOptions): Promise<QueryReport> {
  const run = new Run(world, options)
  return run.report(await timed(run, options.seed))
}

class Run {
  readonly #world: World
  readonly #options: QueryOptions
  readonly #random: Random
  readonly #pool: Pool
  readonly #precision: Precision
  /** What the plain db answered since the last write: between writes it answers the same. */
  readonly #answers = new Map<string, Outcome>()
  readonly #negative = { hits: 0, asked: 0 }
  readonly #count = { reads: 0, writes: 0, failures: 0, races: 0, swept: 0 }
  at = 0

  constructor(world: World, options: QueryOptions) {
    this.#world = world
    this.#options = options
    this.#random = new Random(options.seed)
    this.#pool = new Pool(this.#random, world.plain.db, options.near)
    this.#precision = new Precision(world, (question) => this.#answer(question))
  }

  async steps(): Promise<void> {
    for (this.at = 0; this.at < this.#options.steps; this.at++) await this.#step()
  }

  get #one(): Wrapped {
    return this.#random.pick(this.#world.wrapped)
  }

  get #isNear(): boolean {
    return this.#options.near !== undefined
  }

  /** Where most questions have a construct, most writes are of what one of them reads. */
  #drawWrite(inside = false, questions = this.#isNear ? this.#pool.some(1) : []): Step {
    const likely = questions.flatMap(({ topics }) => [...topics]).flatMap(writtenFor)
    return drawWrite(this.#random, { inside, likely })
  }

  #step(): Promise<unknown> {
    const held = this.#world.hold !== undefined
    return this.#random.weighted<() => Promise<unknown>>([
      [86, () => this.#read(this.#pool.draw(), this.#one)],
      [2, () => this.#together()],
      [4, () => this.#write(this.#drawWrite())],
      [this.#isNear ? 20 : 4, () => this.#watchedWrite()],
      [1.5, () => this.#transaction()],
      [held ? 2 : 0, () => this.#holdReader()],
      [0.1, () => this.#one.aside.flush()],
    ])()
  }

  async #answer(question: Question): Promise<Outcome> {
    const known = this.#answers.get(question.name)
    if (known) return known
    const answer = await outcomeOf(() => question.run(this.#world.plain))
    this.#answers.set(question.name, answer)
    return answer
  }

  #tell(label: string): void {
    this.#options.trace?.(this.at, label)
  }

  #compare(step: Step, plain: Outcome, wrapped: Outcome, label = step.label): void {
    if ('failed' in plain) this.#count.failures++
    const loose = 'loose' in step && step.loose === true
    same(
      label,
      loose ? (inAnyOrder(plain) as Outcome) : plain,
      loose ? (inAnyOrder(wrapped) as Outcome) : wrapped,
      step.ordered,
    )
    if ('ok' in wrapped) spoil(wrapped.ok)
  }

  async #read(question: Question, one: Wrapped): Promise<void> {
    this.#tell(question.name)
    this.#count.reads++
    const plain = await this.#answer(question)
    const before = keyReads(one)
    const wrapped = await outcomeOf(() => question.run(one))
    this.#countNegative(plain, before, keyReads(one))
    this.#differs(question, plain, wrapped)
    if (this.#isNear) this.#letGo(question, plain)
  }

  /** Few writes change what answers nothing, and most drawn conditions let no row through. */
  #letGo(question: Question, plain: Outcome): void {
    if (isNothing(plain) && !byKey.has(question.kind) && this.#random.chance(LET_GO)) this.#pool.letGo(question)
  }

  /** The label of a question is put together only where it is needed. */
  #differs(question: Question, plain: Outcome, wrapped: Outcome, when = ''): void {
    try {
      this.#compare(question, plain, wrapped, '')
    } catch (error) {
      if (!(error instanceof Difference)) throw error
      throw new Difference(`${when}${question.label}${error.message}`)
    }
  }

  #countNegative(plain: Outcome, before: KeyReads, after: KeyReads): void {
    if (after.asked - before.asked !== 1 || !isNothing(plain)) return
    this.#negative.asked++
    this.#negative.hits += after.hits - before.hits
  }

  /** Several readers at once, on both wrapped dbs: they share queries, and nothing else. */
  async #together(): Promise<void> {
    const questions = Array.from({ length: 2 + this.#random.below(3) }, () => this.#pool.draw())
    const twice = [...questions, ...questions]
    const ones = twice.map(() => this.#one)
    this.#tell(`together ${twice.map(({ name }) => name)}`)
    this.#count.reads += twice.length
    const plain = await Promise.all(twice.map((question) => this.#answer(question)))
    const wrapped = await Promise.all(twice.map((question, at) => outcomeOf(() => question.run(ones[at] as Wrapped))))
    twice.forEach((question, at) => {
      this.#differs(question, plain[at] as Outcome, wrapped[at] as Outcome, 'together: ')
    })
  }

  /** True when it succeeded. */
  async #write(step: Step): Promise<boolean> {
    const one = this.#one
    this.#tell(step.label)
    this.#count.writes++
    const plain = await outcomeOf(() => step.run(this.#world.plain))
    this.#answers.clear()
    const wrapped = await outcomeOf(() => step.run(one))
    this.#compare(step, plain, wrapped)
    return 'ok' in plain
  }

  /** Some answers are made sure to be held before it, and looked at after it. */
  async #watchedWrite(): Promise<void> {
    const questions = this.#pool.some(4)
    const ones = questions.map(() => this.#one)
    const ask = async () => {
      for (const [at, question] of questions.entries()) await this.#read(question, ones[at] as Wrapped)
    }
    await ask()
    // An answer that learns its partners is kept from its second fill on.
    if (this.#isNear) await ask()
    const write = this.#isNear ? this.#drawWrite(false, questions) : this.#drawWrite()
    await this.#precision.over(questions, write, () => this.#write(write))
    await ask()
  }

  async #transaction(): Promise<void> {
    const questions = this.#pool.some(2)
    for (const question of questions) await this.#read(question, this.#one)
    const steps = { read: () => this.#pool.draw(), write: () => this.#drawWrite(true) }
    const members = drawMembers(this.#random, steps)
    const fails = this.#random.chance(0.2)
    const one = this.#one
    const label = `transaction${fails ? ' that fails' : ''}${membersLabel(members)}`
    this.#tell(label)
    this.#count.writes++
    const plain = await outcomeOf(() => runMembers(this.#world.plain, members, fails))
    this.#answers.clear()
    const wrapped = await outcomeOf(() => runMembers(one, members, fails))
    same(label, inAnyOrder(plain) as Outcome, inAnyOrder(wrapped) as Outcome, true)
    for (const question of questions) await this.#read(question, this.#one)
  }

  /**
   * A reader that has its rows from the database and has not stored them yet; a write resolves; a second reader comes,
   * then the first goes on. Whatever it stores, or shares, may not be what later readers get.
   */
  async #holdReader(): Promise<void> {
    const question = this.#pool.draw()
    const write = this.#drawWrite()
    const [first, writer, last] = [this.#one, this.#one, this.#one]
    this.#tell(`held reader of ${question.name} while ${write.label}`)
    const old = await this.#answer(question)
    const hold = this.#world.hold as NonNullable<World['hold']>
    const held = hold('after', (sql) => /^(select|with|\(select)/.test(sql))
    const early = outcomeOf(() => question.run(first))
    const reached = await Promise.race([held.arrived.then(() => true), early.then(() => false)])
    // What the cache answers reaches no database: the gate may not stay for somebody else.
    if (!reached) held.open()
    await this.#write(write).finally(() => held.open())
    const now = await this.#answer(question)
    if (reached) this.#count.races++
    const before = await early
    const when = `reader held while ${write.label}: `
    if (!this.#alike(question, before, old)) this.#differs(question, now, before, when)
    this.#differs(question, now, await outcomeOf(() => question.run(last)), `afterwards, ${when}`)
    this.#differs(question, now, await outcomeOf(() => question.run(writer)), `at the end, ${when}`)
  }

  #alike({ loose, ordered }: Question, one: Outcome, other: Outcome): boolean {
    const same = (outcome: Outcome) => (loose || !ordered ? inAnyOrder(outcome) : outcome)
    return isDeepStrictEqual(same(one), same(other))
  }

  /** Asks everything again, on each wrapped db, twice: the second answer is what the first has stored. */
  async sweep(): Promise<void> {
    for (const question of this.#pool.ever().slice(0, SWEPT)) {
      this.#tell(`sweep ${question.name}`)
      const plain = await this.#answer(question)
      for (const one of this.#world.wrapped) {
        this.#differs(question, plain, await outcomeOf(() => question.run(one)), 'sweep: ')
        this.#count.swept++
      }
    }
    const trouble = this.#world.wrapped.flatMap(({ counts }) => counts.trouble)
    if (trouble.length > 0) throw new Difference(`events that may not happen here: ${trouble.slice(0, 5).join(' ')}`)
  }

  report(milliseconds: number): QueryReport {
    const { seed, steps } = this.#options
    const { wrapped } = this.#world
    const of = (kind: QuestionKind) => {
      const hits = sum(wrapped.map(({ counts }) => counts.hits[kind]))
      return { hits, asked: hits + sum(wrapped.map(({ counts }) => counts.misses[kind])) }
    }
    const hits = Object.fromEntries(
      hitClasses.map((name) => [name, name === 'negative' ? this.#negative : of(name)]),
    ) as QueryReport['hits']
    const stats = wrapped.map(({ aside }) => aside.stats())
    const bypassed = added(stats.map((each) => each.bypassed))
    const epochs = added(stats.map((each) => each.epochsReplaced))
    return { seed, steps, ...this.#count, hits, drops: this.#precision.counts, bypassed, epochs, milliseconds }
  }
}

interface KeyReads {
  readonly hits: number
  readonly asked: number
}

/** Reads of single keys. */
function keyReads({ counts: { hits, misses } }: Wrapped): KeyReads {
  const found = hits.key + hits.unique
  return { hits: found, asked: found + misses.key + misses.unique }
}
