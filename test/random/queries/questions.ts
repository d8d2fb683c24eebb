/** A question is two seeds: asked again, it is drawn again. */
import type { SQL } from 'drizzle-orm'
import { type Loose, loose, type Prepared } from '../loose.ts'
import { Random } from '../random.ts'
import type { Db, Hands, Step } from '../steps.ts'
import type { Values } from '../subjects.ts'
import { Draw, type Seeds } from './draw.ts'
import { drawByKey } from './keys.ts'
import { drawRelational, unorderedWithin } from './relational.ts'
import { type Drawn, drawAggregate, drawJoin, drawList, drawSetOperation } from './selects.ts'
import type { Topic } from './topics.ts'

export type QuestionKind = 'key' | 'in-list' | 'unique' | 'list' | 'join' | 'aggregate' | 'set operation' | 'relational'

interface Asked extends Drawn {
  readonly kind: QuestionKind
  readonly draw: Draw
  readonly versions?: SQL
}

export class Question implements Step {
  readonly name: string
  readonly kind: QuestionKind
  readonly prepared: boolean
  readonly features: ReadonlySet<string>
  readonly topics: ReadonlySet<Topic>
  readonly ordered: boolean
  /** Rows within its rows come in any order. */
  readonly loose: boolean
  readonly #seeds: Seeds
  readonly #plain: Db

  /** `plain` is a db that the question is drawn on to learn about it; nothing is asked. */
  constructor(seeds: Seeds, plain: Db) {
    this.#seeds = seeds
    this.#plain = plain
    this.name = `${seeds.shape}.${seeds.values}`
    // Drawn apart, so that a question has the same shape however it is asked.
    this.prepared = new Random(seeds.shape ^ 0x5bd1e995).chance(0.15)
    const { kind, draw, ordered } = this.#draw(plain)
    this.kind = kind
    this.features = draw.features
    this.topics = draw.topics
    this.ordered = ordered
    this.loose = draw.features.has(unorderedWithin)
  }

  get label(): string {
    const { query, draw } = this.#draw(this.#plain)
    const { sql, params } = 'toSQL' in query ? (query as unknown as Shown).toSQL() : { sql: 'a count', params: [] }
    const how = this.prepared ? `prepared with ${JSON.stringify(draw.placed)}` : JSON.stringify(params)
    return `${this.kind} ${this.name} ${sql} ${how}`
  }

  async run({ db }: Hands): Promise<unknown> {
    return this.prepared ? this.#execute(db) : this.#draw(db).query
  }

  /** The builder on this db, to be explained. */
  on(db: Db): PromiseLike<unknown> {
    return this.#draw(db, false).query
  }

  /** For a read by key: a statement that tells which versions of rows are at the key. */
  get versions(): SQL | undefined {
    return this.#draw(this.#plain, false).versions
  }

  isNear(construct: string): boolean {
    return this.kind === construct || this.features.has(construct)
  }

  /** The same shape for other values. */
  sibling(values: number): Question {
    return new Question({ ...this.#seeds, values }, this.#plain)
  }

  #draw(db: Db, prepared = this.prepared): Asked {
    return drawQuestion(new Draw(this.#seeds, prepared), loose(db))
  }

  /** A shape is prepared once on each db, and executed with the values of each question of that shape. */
  async #execute(db: Db): Promise<unknown> {
    const { query } = this.#draw(db)
    if (!('prepare' in query)) return this.#draw(db, false).query
    const kept = statements.get(db) ?? new Map<number, Prepared>()
    statements.set(db, kept)
    const { shape } = this.#seeds
    const statement = kept.get(shape) ?? (query as unknown as Preparing).prepare(`q${shape}`)
    kept.set(shape, statement)
    return statement.execute(this.#placed())
  }

  /** What a callback is to hold is drawn when Drizzle calls it: the statement is made once for that. */
  #placed(): Values {
    const { query, draw } = this.#draw(this.#plain)
    ;(query as unknown as Shown).toSQL()
    return draw.placed
  }
}

interface Shown {
  toSQL(): { sql: string; params: unknown[] }
}

interface Preparing {
  prepare(name: string): Prepared
}

const statements = new WeakMap<Db, Map<number, Prepared>>()

function drawQuestion(draw: Draw, db: Loose): Asked {
  const kind = draw.shape.weighted<QuestionKind>([
    [3, 'key'],
    [1.5, 'in-list'],
    [2, 'unique'],
    [7, 'list'],
    [7, 'join'],
    [4, 'aggregate'],
    [2.5, 'set operation'],
    [6, 'relational'],
  ])
  return { ...drawKind(draw, db, kind), kind, draw }
}

function drawKind(draw: Draw, db: Loose, kind: QuestionKind): Drawn & { readonly versions?: SQL } {
  const base = { db, draw, depth: 0 }
  if (kind === 'list') return drawList(base)
  if (kind === 'join') return drawJoin(base)
  if (kind === 'aggregate') return drawAggregate(base)
  if (kind === 'set operation') return drawSetOperation(base)
  return kind === 'relational' ? drawRelational(base) : drawByKey(base, kind)
}
