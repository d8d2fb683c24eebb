import { MAIN } from '../model/facets.ts'
import type { CatalogFacts, RelationFacts, RelationId } from '../model/facts.ts'
import { findNamesakes, findRelation, isTemporary } from '../model/facts.ts'
import type { CascadeImages, WritePlan, WriteQuestion, WriteStatement } from '../model/write.ts'
import type { NamedTable, WriteIntent } from '../ports/paths.ts'
import { boundByKey } from './bound-by-key.ts'
import { imagesOfStep } from './cascades.ts'
import { planWrite } from './plan-write.ts'
import type { CachedReach } from './reach-cached.ts'
import type { KnownRegister, WriteOp, WriteWith } from './write-with.ts'

type DecideWith = Pick<
  WriteWith,
  | 'facts'
  | 'register'
  | 'isCertain'
  | 'cached'
  | 'underivable'
  | 'keys'
  | 'schemes'
  | 'facets'
  | 'maxTouched'
  | 'cascades'
>

/**
 * Decides before a statement runs what its write is: how its rows are learned, and which other tables fall with it. Asks
 * only what is known at the moment; what is unknown falls.
 */
export class WriteDecisions {
  readonly #with: DecideWith
  readonly #reach: CachedReach
  /** Tables of which a statement was seen that sets the primary key. */
  readonly #keysMove = new Set<RelationId>()

  constructor(tools: DecideWith, reach: CachedReach) {
    this.#with = tools
    this.#reach = reach
  }

  get planKey(): string | undefined {
    const facts = this.#with.facts()
    const under = facts && this.#with.register(facts)
    if (!under) return undefined
    // Another object with other facts, too.
    if (this.#planKeyOf?.under !== under || this.#planKeyOf.moved !== this.#keysMove.size) {
      const moved = this.#keysMove.size
      this.#planKeyOf = { under, moved, key: `${facts.version}.${moved}.${under.version}` }
    }
    return this.#planKeyOf.key
  }

  /** Asked for with every statement. */
  #planKeyOf: { readonly under: KnownRegister; readonly moved: number; readonly key: string } | undefined

  plan(table: NamedTable, statement: WriteStatement): WriteIntent | undefined {
    const facts = this.#with.facts()
    const relation = facts && findRelation(facts, table.schema, table.name)
    if (!facts || !relation) return untold
    if (isTemporary(relation)) return this.planUnsurely(table)
    this.#noteKeyUpdate(relation, statement.changed)
    const union = this.#with.register(facts).version
    if (this.#intents?.facts !== facts || this.#intents.union !== union)
      this.#intents = { facts, union, known: new Map() }
    const { known } = this.#intents
    const question = questionOf(statement, relation)
    const name = `${statement.repeatable} ${this.#nameOf(question)}`
    if (known.has(name)) return known.get(name)
    if (known.size >= MOST_INTENTS) known.clear()
    const intent = this.#decide(question, statement.repeatable, facts)
    known.set(name, intent)
    return intent
  }

  /** Decided once for statements of one kind: the same ones come again with other values. */
  #intents:
    | {
        readonly facts: CatalogFacts
        readonly union: string | undefined
        readonly known: Map<string, WriteIntent | undefined>
      }
    | undefined

  /** All that a plan is made from, beside the facts. */
  #nameOf(question: WriteQuestion): string {
    const { relation, op, conflict, from, returning, nameable, native, atMost, changed, computed } = question
    const flags = `${op} ${conflict} ${from} ${returning} ${nameable} ${native} ${this.#keysMove.has(relation.id)}`
    const nameOf = (column: string): string => `${column.length}${computed.has(column) ? '=' : ':'}${column}`
    const columns = changed === 'all' ? '*' : [...changed].map(nameOf).join()
    return `${flags} ${atMost} ${columns} ${relation.id}`
  }

  #decide(question: WriteQuestion, repeatable: boolean, facts: CatalogFacts): WriteIntent | undefined {
    const { relation } = question
    const reached = this.#reach.find(facts, relation, reachOps(question), question.changed)
    const cascade = this.#cascade(facts, question, repeatable, reached)
    const { version: union, shared } = this.#with.register(facts)
    const under = { version: facts.version, union }
    if (!this.#with.cached(relation))
      // Where processes share the store, somebody may begin to cache the table before this write is over.
      return reached.reached.length > 0 || reached.everything || shared !== undefined
        ? { ...untouchedPlan, ...reached, cascade, relation, ...under }
        : undefined
    const underivable = this.#with.underivable(relation, facts)
    if (underivable) {
      const plan: WritePlan = { ...nothingLearned, reason: underivable }
      return { plan, relation, table: this.#with.keys(relation, facts), ...reached, cascade, ...under }
    }
    const plan = planWrite(question, {
      serverVersion: facts.serverVersion,
      schemes: this.#with.schemes(relation, facts),
      facets: this.#with.facets(relation, facts),
      maxTouched: this.#with.maxTouched(relation),
      keysMove: this.#keysMove.has(relation.id),
    })
    return { plan, relation, table: this.#with.keys(relation, facts), ...reached, cascade, ...under }
  }

  /** Exact where the statement names its rows by key; else, or where more than foreign keys leads on, tables fall whole. */
  #cascade(
    facts: CatalogFacts,
    { relation, op, changed, atMost }: WriteQuestion,
    repeatable: boolean,
    { reached, everything, always }: Pick<WriteIntent, 'reached' | 'everything' | 'always'>,
  ): readonly CascadeImages[] {
    if (op === 'insert' || reached.length === 0 || everything || always || !repeatable) return []
    if (atMost === undefined || atMost > this.#with.maxTouched(relation)) return []
    const steps = this.#with.cascades(facts, relation, op, changed) ?? []
    if (steps.some(({ child }) => this.#with.cached(child) && this.#with.underivable(child, facts))) return []
    return steps.map((step) =>
      imagesOfStep(step, this.#cachedChild(facts, step.child), this.#with.maxTouched(relation)),
    )
  }

  #cachedChild(facts: CatalogFacts, child: RelationFacts) {
    if (!this.#with.cached(child)) return undefined
    const schemes = this.#with.schemes(child, facts)
    return { schemes, table: this.#with.keys(child, facts), maxTouched: this.#with.maxTouched(child) }
  }

  /** By table object, for the facts of the moment: asked for with every write to a table that is not cached. */
  #harmless: { readonly under: KnownRegister; readonly known: WeakMap<NamedTable, boolean> } | undefined

  reachesNothing(table: NamedTable): boolean {
    const facts = this.#with.facts()
    const under = facts && this.#with.register(facts)
    if (!under || !this.#with.isCertain()) return false
    // Another object with other facts, too.
    if (this.#harmless?.under !== under) this.#harmless = { under, known: new WeakMap() }
    const known = this.#harmless.known.get(table)
    if (known !== undefined) return known
    const nothing = this.#findNothing(table, facts)
    this.#harmless.known.set(table, nothing)
    return nothing
  }

  #findNothing(table: NamedTable, facts: CatalogFacts): boolean {
    const relation = findRelation(facts, table.schema, table.name)
    if (!relation || isTemporary(relation) || this.#with.cached(relation)) return false
    const { reached, everything } = this.#reach.find(facts, relation, ['any'], 'all')
    return reached.length === 0 && everything === undefined
  }

  planUnsurely(table: NamedTable): WriteIntent {
    const facts = this.#with.facts()
    const found = facts ? findNamesakes(facts, table.schema, table.name) : []
    if (!facts || found.length === 0) return untold
    const ways = found.map((relation) => this.#reach.find(facts, relation, ['any'], 'all'))
    const whole = found.map(({ id }) => ({ table: id, reason: 'no-images' as const }))
    return {
      ...untold,
      reached: [...whole, ...ways.flatMap((way) => way.reached)],
      everything: ways.find((way) => way.everything)?.everything,
      // Rules and triggers may act without a row.
      always: ways.some((way) => way.always) || found.some(({ rules }) => rules),
      version: facts.version,
      union: this.#with.register(facts).version,
    }
  }

  #noteKeyUpdate(relation: RelationFacts, changed: WriteQuestion['changed']): void {
    if (changed !== 'all' && relation.primaryKey?.some((column) => changed.has(column))) this.#keysMove.add(relation.id)
  }
}

function questionOf(statement: WriteStatement, relation: RelationFacts): WriteQuestion {
  const { op, changed, computed, conflict, from, returning, nameable, native, values, where, names } = statement
  const atMost = values ?? (where && boundByKey(where, names, relation))
  // Member by member: V8 is slow to copy an object and add to it, and this is done with every write.
  return { op, relation, changed, computed, conflict, from, atMost, returning, nameable, native }
}

/** An upsert inserts or updates; it deletes nothing. */
function reachOps({ op, conflict }: Pick<WriteQuestion, 'op' | 'conflict'>): readonly WriteOp[] {
  return op === 'insert' && conflict === 'update' ? ['insert', 'update'] : [op]
}

/** Statements of one kind are few; a program that builds them at random may not fill the memory. */
const MOST_INTENTS = 1_000

const nothingLearned: WritePlan = {
  form: 'none',
  reason: 'catalog-unknown',
  columns: [],
  schemes: [],
  changes: 'all',
  stays: [MAIN],
  moves: true,
  key: [],
  limit: undefined,
  maxTouched: 0,
  lock: 'no key update',
  name: 'none',
}

const untouchedPlan = { plan: nothingLearned, table: undefined }

/** A write about which the catalog says nothing: it runs untouched and everything cached falls. */
const untold: WriteIntent = {
  plan: nothingLearned,
  relation: undefined,
  table: undefined,
  cascade: [],
  reached: [],
  everything: 'catalog-unknown',
  always: true,
  version: undefined,
  union: undefined,
}
