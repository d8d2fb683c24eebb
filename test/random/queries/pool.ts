/** The questions of a run: a few of them again and again, in the way of an application with some pages. */
import type { Random } from '../random.ts'
import type { Db } from '../steps.ts'
import { Question } from './questions.ts'

const ROOM = 30
/** How many questions one shape makes. */
const SIBLINGS = 4
/** How many shapes are looked at for one that has the wanted construct. */
const LOOKED_AT = 80

export class Pool {
  readonly #random: Random
  readonly #plain: Db
  readonly #near: string | undefined
  readonly #questions: Question[] = []
  readonly #ever = new Map<string, Question>()

  /** `near`: a construct or a kind of question that most questions are to have. */
  constructor(random: Random, plain: Db, near?: string) {
    this.#random = random
    this.#plain = plain
    this.#near = near
  }

  /** Asked lately, more often than not. */
  draw(): Question {
    const known = this.#questions.length >= ROOM / 2 || this.#random.chance(0.5) ? this.#known() : undefined
    if (known && this.#random.chance(0.8)) return known
    const question = known && this.#random.chance(0.5) ? known.sibling(this.#random.below(SIBLINGS)) : this.#fresh()
    this.#keep(question)
    return question
  }

  /** Different ones that were asked lately. */
  some(count: number): Question[] {
    const chosen = Array.from({ length: count }, () => this.#known()).filter((each) => each !== undefined)
    return [...new Set(chosen)]
  }

  /** Not to be drawn again, unless it comes up anew. */
  letGo({ name }: Question): void {
    const at = this.#questions.findIndex((each) => each.name === name)
    if (at >= 0) this.#questions.splice(at, 1)
  }

  /** Everything that was ever asked, the last ones first. */
  ever(): Question[] {
    return [...this.#ever.values()].reverse()
  }

  #fresh(): Question {
    const near = this.#near
    let question = this.#any()
    if (near === undefined || this.#random.chance(0.2)) return question
    for (let more = LOOKED_AT; more > 0 && !question.isNear(near); more--) question = this.#any()
    return question
  }

  #any(): Question {
    return new Question({ shape: this.#random.below(2 ** 31), values: 0 }, this.#plain)
  }

  #known(): Question | undefined {
    const { length } = this.#questions
    return this.#questions[length - 1 - Math.floor(length * this.#random.next() ** 1.6)]
  }

  #keep(question: Question): void {
    const { name } = question
    this.#ever.delete(name)
    this.#ever.set(name, question)
    this.letGo(question)
    this.#questions.push(question)
    if (this.#questions.length > ROOM) this.#questions.shift()
  }
}
