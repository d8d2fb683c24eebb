import { addLoss, type StampLoss } from '../model/facets.ts'
import type { RelationId } from '../model/facts.ts'
import { NO_VERSION } from '../model/register.ts'
import type { EpochReason } from '../ports/events.ts'
import type { NamedTable, Scope } from '../ports/paths.ts'

/** What one table loses: single stamps, each with what it falls for, or everything, with the reason. */
export type TableChange = Map<string, StampLoss> | { readonly reason: EpochReason }

/** Most texts that wait to be judged; more, and everything falls. */
const MOST_TEXTS = 1000

/** Most keys that a transaction collects of one table; more, and the whole table falls. */
const MOST_KEYS = 10_000

/**
 * What a write, or a transaction's writes so far, made stale. Whatever needs facts that are not there yet is kept as it
 * was said (a name, a text) and understood when it is made known.
 */
export class Changes implements Scope {
  readonly tables = new Map<RelationId, TableChange>()
  /** `anywhere`: a name without a schema may mean a table of any. */
  readonly named: { readonly table: NamedTable; readonly reason: EpochReason; readonly anywhere: boolean }[] = []
  readonly texts: string[] = []
  /** Tables that are not cached and reached nothing that is, as far as was known when they were written. */
  readonly harmless = new Set<RelationId>()
  /** Tags of the user's: everything that rests on them falls. */
  readonly tags = new Set<string>()
  /** Rows of the outbox that commit with these changes and hold their keys. */
  readonly rows = new Set<string>()
  everything: EpochReason | undefined
  /** One of the texts changed the schema. */
  ddl = false
  /** The oldest reading of the catalog that keys and tables were derived from. */
  since: number | undefined
  /** The version of the union that all keys were derived under; see {@link Changes.derivedUnder}. */
  union: string | undefined
  readonly #parent: Changes | undefined
  #over = false
  #isUnsure = false
  /** This savepoint has ended: what still comes in belongs to the transaction around it. */
  #ended = false

  constructor(parent?: Changes) {
    this.#parent = parent
  }

  /** Held by the outermost scope: savepoints end with their transaction. */
  get over(): boolean {
    return this.#parent ? this.#parent.over : this.#over
  }

  set over(over: boolean) {
    if (this.#parent) this.#parent.over = over
    else this.#over = over
  }

  /** Of the whole transaction: what a savepoint took back is not asked for. */
  get isUnsure(): boolean {
    return this.#parent ? this.#parent.isUnsure : this.#isUnsure
  }

  set isUnsure(isUnsure: boolean) {
    if (this.#parent) this.#parent.isUnsure = isUnsure
    else this.#isUnsure = isUnsure
  }

  /** What this scope and those around it have collected. */
  whole(): Changes {
    if (!this.#parent) return this
    const whole = new Changes()
    whole.absorb(this.#parent.whole())
    whole.absorb(this)
    return whole
  }

  get empty(): boolean {
    const { tables, named, texts, harmless, tags, everything } = this
    const sets = [tables, harmless, tags]
    return sets.every(({ size }) => size === 0) && named.length === 0 && texts.length === 0 && !everything
  }

  addKeys(table: RelationId, keys: readonly string[], loss: StampLoss = 'rows'): void {
    for (const key of keys) this.#addKey(table, key, loss)
  }

  #addKey(table: RelationId, key: string, loss: StampLoss): void {
    const change = this.tables.get(table)
    if (!change) this.tables.set(table, new Map([[key, loss]]))
    else if (change instanceof Map) {
      change.set(key, addLoss(change.get(key), loss))
      if (change.size > MOST_KEYS) this.addTable(table, 'too-many-keys')
    }
  }

  /** Notes under which reading of the catalog something was derived. */
  derivedFrom(version: number | undefined): void {
    if (version !== undefined && version < (this.since ?? Number.POSITIVE_INFINITY)) this.since = version
  }

  /** Notes the version of the union that a statement was planned with. Two versions in one scope are no version at all. */
  derivedUnder(version: string | undefined): void {
    if (version === undefined) return
    this.union = this.union === undefined || this.union === version ? version : NO_VERSION
  }

  addTable(table: RelationId, reason: EpochReason): void {
    if (!this.tables.has(table) || this.tables.get(table) instanceof Map) this.tables.set(table, { reason })
  }

  addNamed(table: NamedTable, reason: EpochReason, anywhere = false): void {
    const { schema, name } = table
    const isKnown = this.named.some(
      (known) => known.table.schema === schema && known.table.name === name && known.anywhere === anywhere,
    )
    if (this.everything || isKnown) return
    this.named.push({ table: { schema, name }, reason, anywhere })
  }

  addText(text: string): void {
    if (this.texts.includes(text)) return
    if (this.texts.length < MOST_TEXTS) {
      this.texts.push(text)
      return
    }
    this.addEverything('overflow')
    // One that nobody looks at may have changed the schema.
    this.ddl = true
  }

  addEverything(reason: EpochReason): void {
    this.everything ??= reason
    // What everything covers needs no name of its own. Texts stay: one of them may have changed the schema.
    this.named.length = 0
  }

  child(): Changes {
    return new Changes(this)
  }

  end(): void {
    this.#ended = true
  }

  absorb(child: Changes): void {
    if (this.#ended && this.#parent) this.#parent.absorb(child)
    else this.#take(child)
  }

  #take(child: Changes): void {
    for (const [table, change] of child.tables) {
      if (change instanceof Map) for (const [key, loss] of change) this.#addKey(table, key, loss)
      else this.addTable(table, change.reason)
    }
    for (const { table, reason, anywhere } of child.named) this.addNamed(table, reason, anywhere)
    for (const text of child.texts) this.addText(text)
    if (child.everything) this.addEverything(child.everything)
    for (const table of child.harmless) this.harmless.add(table)
    for (const tag of child.tags) this.tags.add(tag)
    for (const row of child.rows) this.rows.add(row)
    this.ddl ||= child.ddl
    this.derivedFrom(child.since)
    this.derivedUnder(child.union)
  }

  /** Forgets what was collected; a scope that was made known starts again. */
  clear(): void {
    this.tables.clear()
    this.harmless.clear()
    this.tags.clear()
    this.rows.clear()
    this.named.length = 0
    this.texts.length = 0
    this.everything = undefined
    this.ddl = false
    this.since = undefined
    this.union = undefined
  }
}
