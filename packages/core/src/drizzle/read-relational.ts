import type { QueryShape } from '../model/query-shape.ts'
import type { BypassReason } from '../model/reasons.ts'
import type { Dialect, RelationalConfig } from './internals.ts'
import type { KnownByStructure, Origin } from './lazy-sql.ts'
import { Naming } from './naming.ts'
import type { ShapeOf } from './query-shape.ts'
import { relationalKey } from './relational-key.ts'
import { type Level, LevelReader } from './relational-levels.ts'
import { type RelationalPartner, relationalPartners } from './relational-partners.ts'
import { isSelectionShared, type SelectionItem, selectionOf } from './relational-selection.ts'
import { relationalShape } from './relational-shape.ts'
import { settleRelational } from './settle-relational.ts'
import type { StructuralKey } from './structural-key.ts'

/** What is remembered about all queries of one key. */
interface Structure {
  selection?: readonly SelectionItem[]
}

/** Texts of keys are of the app's making, but a config may be put together from what a caller asks for. */
const MOST_STRUCTURES = 1_000

/** Reads the relational queries of one wrapped db. */
export class RelationalReader {
  readonly #levels: LevelReader
  readonly #naming: Naming
  readonly #shapeOf: ShapeOf
  readonly #known = new Map<string, Structure>()

  constructor(dialect: Dialect, shapeOf: ShapeOf, naming = new Naming(dialect)) {
    this.#naming = naming
    this.#levels = new LevelReader(naming)
    this.#shapeOf = shapeOf
  }

  /** Calls the callbacks of a query; all else here takes what this returns, and so must the build. */
  settle(config: RelationalConfig): RelationalConfig {
    return settleRelational(config, (relation) => this.#levels.tie(config, relation)?.target)
  }

  read(settled: RelationalConfig): RelationalRead | BypassReason {
    const level = this.#levels.read(settled)
    if (!level) return 'unknown-chunk'
    const key = relationalKey(level, this.#naming)
    return typeof key === 'string' ? key : new RelationalRead(level, key, this.#shapeOf, this.#known, this.#naming)
  }
}

/** A settled relational query, read without building anything of it. */
export class RelationalRead implements KnownByStructure {
  readonly key: StructuralKey
  private readonly level: Level
  private readonly shapeOf: ShapeOf
  private readonly known: Map<string, Structure>
  private readonly naming: Naming

  constructor(level: Level, key: StructuralKey, shapeOf: ShapeOf, known: Map<string, Structure>, naming: Naming) {
    this.level = level
    this.key = key
    this.shapeOf = shapeOf
    this.known = known
    this.naming = naming
  }

  /** False until `wasBuilt()`: what is wrong with a query shows when Drizzle builds it, and nowhere else. */
  get isKnown(): boolean {
    return this.known.has(this.key.text)
  }

  get takesValues(): boolean {
    return this.key.takesValues
  }

  /** Drizzle has built and compiled a query of this key: none of them fails in the building. */
  wasBuilt(): void {
    if (this.isKnown) return
    const [oldest] = this.known.size < MOST_STRUCTURES ? [] : this.known.keys()
    if (oldest !== undefined) this.known.delete(oldest)
    this.known.set(this.key.text, {})
  }

  /** The key of the query as it is now: builders inside it may have been changed since it was read. */
  keyNow(): StructuralKey | BypassReason {
    return relationalKey(this.level, this.naming)
  }

  /** Holds for every query of this key. */
  shape(): QueryShape {
    return relationalShape(this.level, this.shapeOf, this.key)
  }

  /** Partners that may be learned; for every query of this key. Their `ref` counts in the `refs` of the shape. */
  partners(): readonly RelationalPartner[] {
    return relationalPartners(this.level)
  }

  /** What Drizzle's mapper wants. */
  selection(): readonly SelectionItem[] {
    const known = this.known.get(this.key.text)
    if (known?.selection) return known.selection
    const selection = selectionOf(this.level)
    if (known && isSelectionShared(this.level)) known.selection = selection
    return selection
  }
}

/** How a relational query of a wrapped db may be answered as a whole. */
export function relationalReadOf(origin: Extract<Origin, { kind: 'relational' }>): RelationalRead | BypassReason {
  const whole = origin.whole()
  return typeof whole === 'string' || whole instanceof RelationalRead ? whole : 'unknown-chunk'
}
