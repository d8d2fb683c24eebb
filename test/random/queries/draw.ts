/**
 * How a query is drawn: its shape from one seed, its values from another. The same two seeds give the same query, made
 * afresh each time as an application makes it; the same shape with other values is the same code called for another row.
 */
import { sql } from 'drizzle-orm'
import { Random } from '../random.ts'
import type { Values } from '../subjects.ts'
import type { Field, Topic } from './topics.ts'

export interface Seeds {
  readonly shape: number
  readonly values: number
}

export class Draw {
  readonly shape: Random
  /** What the query is made of; the planted faults need some of it often. */
  readonly features = new Set<string>()
  /** What it reads, as far as it is known. */
  readonly topics = new Set<Topic>()
  /** Values of the placeholders that were put instead of them. */
  readonly placed: Values
  readonly #seeds: Seeds
  readonly #values: Random
  readonly #prepared: boolean
  readonly #prefix: string
  #names = 0
  #placeholders = 0

  constructor(seeds: Seeds, prepared = false, placed: Values = {}, prefix = '') {
    this.#seeds = seeds
    this.shape = new Random(seeds.shape)
    // Neighbouring seeds begin alike.
    this.#values = new Random(Math.imul(seeds.shape ^ (seeds.values + 1), 0x9e3779b1))
    this.#prepared = prepared
    this.placed = placed
    this.#prefix = prefix
  }

  /** For what Drizzle asks for later, and perhaps more than once: each time the same is drawn. */
  later(): () => Draw {
    const shape = this.shape.below(2 ** 31)
    const prefix = this.name(`${this.#prefix}later`)
    return () => new Draw({ shape, values: this.#seeds.values }, this.#prepared, this.placed, prefix)
  }

  /** A value of the column, or a placeholder for it. NULL at most as often as the column has it. */
  value(field: Field): unknown {
    return this.#put(field.draw(this.#values), field.type === 'json' || field.type === 'time')
  }

  /** A value that is not NULL. */
  present(field: Field): unknown {
    let value = field.draw(this.#values)
    while (value === null) value = field.draw(this.#values)
    return this.#put(value, field.type === 'json' || field.type === 'time')
  }

  /** A small number that stands in the query as a value. */
  count(end: number): unknown {
    return this.#put(1 + this.#values.below(end), false)
  }

  chance(share: number): boolean {
    return this.shape.chance(share)
  }

  note(feature: string): void {
    this.features.add(feature)
  }

  /** A name that no other table or column of the query has. */
  name(prefix: string): string {
    this.#names++
    return `${prefix}${this.#names}`
  }

  /** Values that only a column's encoder can write stay where they are: placeholders have none. */
  #put(value: unknown, encoded: boolean): unknown {
    if (!this.#prepared || encoded) return value
    const name = `${this.#prefix}v${this.#placeholders++}`
    this.placed[name] = value
    return sql.placeholder(name)
  }
}
