import { AsideError } from '../errors.ts'
import { type FacetMap, MAIN, type StampLoss } from '../model/facets.ts'
import type { CatalogFacts, RelationFacts, RelationId } from '../model/facts.ts'
import { findRelation, isTemporary } from '../model/facts.ts'
import type { DerivedUnder, InvalidatedTable, Invalidation } from '../model/invalidation.ts'
import type { Scheme, TableKeys } from '../model/keys.ts'
import { stampKey } from '../model/keys.ts'
import type { OutboxRow } from '../model/outbox.ts'
import type { SqlVerdict } from '../model/verdict.ts'
import type {
  CascadedRows,
  CascadeImages,
  CascadeStep,
  TouchedRows,
  WritePlan,
  WriteQuestion,
  WriteStatement,
} from '../model/write.ts'
import type { EpochReason, InvalidateCause } from '../ports/events.ts'
import type { NamedTable, Scope, WriteIntent, WritePath, WrittenRows } from '../ports/paths.ts'
import type { Voice } from '../ports/voice.ts'
import { boundByKey } from './bound-by-key.ts'
import { deriveCascade, imagesOfStep } from './cascades.ts'
import { doubtsFacts, isDefiniteFailure, isDefiniteState, sqlState } from './classify-failure.ts'
import { addRow, deriveKeys, lossOf, rowReader } from './derive-keys.ts'
import type { Outbox } from './outbox.ts'
import { planWrite } from './plan-write.ts'
import { Changes } from './scope.ts'
import type { UnknownOutcomes } from './unknown-outcome.ts'

/** Other tables that a write may reach (DESIGN 3.4, closure). */
export interface ReachedTables {
  readonly tables: ReadonlyMap<RelationId, 'cascade' | 'trigger' | 'partition'>
  readonly undeclared: readonly { readonly table: RelationId; readonly trigger: string }[]
}

export type WriteOp = 'insert' | 'update' | 'delete' | 'truncate' | 'any'

/** The union of all configurations over the store, as it is known here. */
export interface KnownRegister {
  readonly version: string
  /**
   * Key of the register of a store that several processes share: only the store knows whether the version is still the
   * one. Undefined: all are in this process, and it is.
   */
  readonly shared: string | undefined
}

export interface WriteWith {
  readonly voice: Voice
  /** Nothing is cached, by nobody. */
  idle(): boolean
  readonly onPending: 'resolve' | 'reject'
  /** Facts of the moment; wakes the catalog. */
  facts(): CatalogFacts | undefined
  /** The last facts, however old. */
  lastFacts(): CatalogFacts | undefined
  /** Waits a bounded time for the first facts. */
  awaitFacts(): Promise<void>
  /** The facts may be out of date: they are read again with the next query. */
  expireFacts(): void
  /** After DDL: resolves when the catalog was read again, or could not be in time. */
  rereadFacts(): Promise<void>
  reach(facts: CatalogFacts, table: RelationId, op: WriteOp, changed: ReadonlySet<string> | 'all'): ReachedTables
  /** The ways by which rows follow a parent; undefined where whole tables fall instead. */
  cascades(
    facts: CatalogFacts,
    parent: RelationFacts,
    op: 'update' | 'delete',
    changed: ReadonlySet<string> | 'all',
  ): readonly CascadeStep[] | undefined
  classify(text: string, facts: CatalogFacts | undefined): SqlVerdict
  writesBeyond(text: string, facts: CatalogFacts): boolean
  mayCommitWithin(text: string, inTransaction: boolean): boolean
  /** Names without a schema, or the role, may be others after it. */
  changesNames(text: string): boolean
  /** Cached by a live configuration. */
  cached(relation: RelationFacts): boolean
  /** All relations that are cached, under these facts. */
  cachedRelations(facts: CatalogFacts): readonly RelationFacts[]
  /** Every scheme that an entry of any live configuration may rest on. */
  schemes(relation: RelationFacts, facts: CatalogFacts): readonly Scheme[]
  /** The column groups of all live configurations. */
  facets(relation: RelationFacts, facts: CatalogFacts): FacetMap
  /** Why the stamps that live configurations keep of the table cannot all be derived here; undefined: they can. */
  underivable(relation: RelationFacts, facts: CatalogFacts): EpochReason | undefined
  /** Who else uses the store, as far as is known. */
  register(facts: CatalogFacts): KnownRegister
  /** Whom it does not name, he serves nothing yet: what was written until now is in all that he will ever store. */
  isCertain(): boolean
  keys(relation: RelationFacts, facts: CatalogFacts): TableKeys
  maxTouched(relation: RelationFacts): number
  /** Key of the stamp of a tag. */
  tagKey(tag: string, facts: CatalogFacts): string
  /** These stamps are about to be removed one by one, and what for. */
  removing(losses: ReadonlyMap<string, StampLoss>): void
  deliver(batch: Invalidation): Promise<'delivered' | 'queued'>
  /** Keeps changes that cannot be expressed yet until the facts are known; no hit is served meanwhile. */
  defer(changes: Changes): void
  readonly unknown: UnknownOutcomes
  /** An outage of the store was seen that is not known to be over. */
  storeIsDown(): boolean
  /** Where the keys of writes wait that may not be delivered. */
  readonly outbox: Outbox | undefined
}

/** Changes as the keys to remove, per table, with the reasons where a whole table falls. */
interface Expanded {
  readonly batch: InvalidatedTable[]
  readonly labels: string[]
  readonly epochs: { readonly table: string; readonly reason: EpochReason }[]
  readonly keys: number
  /** What single stamps fall for, table by table. */
  readonly losses: ReadonlyMap<string, StampLoss>[]
  /** The schema changed: the catalog is to be read again. */
  readonly ddl: boolean
}

/** The write path (PROTOCOL 3.6): plan before, learn the rows from the statement, make known after the commit. */
export class WriteThrough implements WritePath {
  readonly #with: WriteWith
  /** Tables of which a statement was seen that sets the primary key. */
  readonly #keysMove = new Set<RelationId>()

  constructor(tools: WriteWith) {
    this.#with = tools
  }

  get idle(): boolean {
    return this.#with.idle()
  }

  facts(): CatalogFacts | undefined {
    return this.#with.facts()
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

  async awaitFacts(): Promise<void> {
    if (!this.#with.facts()) await this.#with.awaitFacts()
  }

  newScope(): Changes {
    return new Changes()
  }

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
    const reached = this.#reach(facts, relation, reachOps(question), question.changed)
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
    const { reached, everything } = this.#reach(facts, relation, ['any'], 'all')
    return reached.length === 0 && everything === undefined
  }

  planUnsurely(table: NamedTable): WriteIntent {
    const facts = this.#with.facts()
    const found = facts ? namesakes(facts, table) : []
    if (!facts || found.length === 0) return untold
    const ways = found.map((relation) => this.#reach(facts, relation, ['any'], 'all'))
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

  #reach(facts: CatalogFacts, relation: RelationFacts, ops: readonly WriteOp[], changed: WriteQuestion['changed']) {
    const ways = ops.map((op) => this.#with.reach(facts, relation.id, op, changed))
    const entries = ways.flatMap((way) => [...way.tables])
    // A trigger may act without a row, so it is the reason that counts.
    const tables = new Map([...entries, ...entries.filter(([, reason]) => reason === 'trigger')])
    const undeclared = ways.flatMap((way) => way.undeclared)
    const isCached = (id: RelationId): boolean => {
      const found = facts.relations.get(id)
      return found !== undefined && this.#with.cached(found)
    }
    const reached = [...tables].filter(([id]) => isCached(id)).map(([table, reason]) => ({ table, reason }))
    for (const { table, trigger } of undeclared) this.#tellTrigger(facts, table, trigger)
    const everything: EpochReason | undefined = undeclared.length > 0 ? 'undeclared-trigger' : undefined
    const always = everything !== undefined || reached.some(({ reason }) => reason === 'trigger')
    return { reached, everything, always }
  }

  readonly #toldTriggers = new Set<string>()

  #tellTrigger(facts: CatalogFacts, table: RelationId, trigger: string): void {
    const name = `${table}.${trigger}`
    if (this.#toldTriggers.has(name)) return
    this.#toldTriggers.add(name)
    const label = facts.relations.get(table)?.name ?? table
    const line = `cached(${label}, { affects: [] }) if trigger ${trigger} writes no cached table, else affects: [the tables it writes]`
    this.#with.voice.emit({ type: 'undeclaredTrigger', table: label, trigger, line })
  }

  async done(
    intent: WriteIntent,
    touched: TouchedRows,
    scope: Scope | undefined,
    cascaded: CascadedRows | undefined,
    row: OutboxRow | undefined,
  ): Promise<void> {
    const changes = this.#surely(() => this.#changesOf(intent, touched, cascaded))
    if (row) changes.rows.add(row.id)
    if (changes.empty) this.#with.outbox?.release(changes.rows)
    else await this.#queueOrPublish(changes, scope, 'write')
  }

  async failedUnnoticed(table: NamedTable, error: unknown): Promise<void> {
    if (isDefiniteFailure(error)) return
    const changes = new Changes()
    changes.addNamed(table, 'unknown-outcome')
    await this.#beginUnknown(changes, error)
  }

  reachesNothingSince(planKey: string | undefined): boolean {
    return this.planKey === planKey && this.#with.isCertain()
  }

  doneHarmlessly(table: NamedTable, scope: Scope): void {
    const facts = this.#with.facts()
    const relation = facts && findRelation(facts, table.schema, table.name)
    if (!relation) return
    const changes = new Changes()
    changes.harmless.add(relation.id)
    this.#deriveNow(changes, facts)
    ;(scope as Changes).absorb(changes)
  }

  /** Queued to the transaction; made known at once when there is none, or none any more. */
  async #queueOrPublish(changes: Changes, scope: Scope | undefined, cause: InvalidateCause): Promise<void> {
    if (scope) (scope as Changes).absorb(changes)
    if (!scope || scope.over) await this.publish(changes, cause)
  }

  /** A fault of ours after a write must neither fail the write nor lose its invalidation: then everything falls. */
  #surely(derive: () => Changes): Changes {
    try {
      return derive()
    } catch (error) {
      this.#with.voice.emit({ type: 'derivationFailed', error })
      const changes = new Changes()
      changes.addEverything('no-images')
      return changes
    }
  }

  #changesOf(intent: WriteIntent, touched: TouchedRows, cascaded: CascadedRows | undefined): Changes {
    const changes = new Changes()
    const { relation, plan, table, reached, everything, always, version, union } = intent
    changes.derivedFrom(version)
    changes.derivedUnder(union)
    // A rule may write in the statement's place, and the count is then not of the rows that changed.
    const happened = touched.count !== 0 || touched.images.length > 0 || relation?.rules === true
    const acts = happened || always || (relation?.triggers.length ?? 0) > 0
    if (relation && union !== undefined && acts) changes.harmless.add(relation.id)
    if (relation && this.#with.cached(relation) && happened) {
      const derived = table ? deriveKeys(plan, touched, relation, table) : noImages
      if ('epoch' in derived) changes.addTable(relation.id, derived.epoch)
      else changes.addKeys(relation.id, derived.keys, lossOf(plan, touched))
    }
    if (happened || always) {
      const exact = cascaded && this.#addCascaded(changes, intent, cascaded, touched.count)
      for (const { table, reason } of reached) if (!exact?.has(table)) changes.addTable(table, reason)
      if (everything) changes.addEverything(everything)
    }
    return changes
  }

  /** Adds what the rows that followed kill; answers the tables about which nothing more is to be said. */
  #addCascaded(
    changes: Changes,
    { reached, cascade }: WriteIntent,
    cascaded: CascadedRows,
    touched: number | undefined,
  ): Set<RelationId> {
    const { whole, keys } = deriveCascade(cascade, cascaded, touched)
    for (const [table, stamps] of keys) changes.addKeys(table, stamps)
    const followed = new Set(cascade.flatMap(({ all }) => all))
    return new Set(reached.map(({ table }) => table).filter((table) => followed.has(table) && !whole.has(table)))
  }

  async ran(text: string, scope: Scope | undefined, tables: readonly NamedTable[] | undefined): Promise<void> {
    const changes = new Changes()
    if (scope && !scope.isUnsure && this.#makesUnsure(text)) scope.isUnsure = true
    if (tables) for (const table of tables) changes.addNamed(table, 'by-hand', scope?.isUnsure)
    else changes.addText(text)
    await this.#queueOrPublish(changes, scope, 'unknown-write')
  }

  /** What an unknown write did it may have done to the schema, too. As long as nobody caches anything, texts are not read. */
  #makesUnsure(text: string): boolean {
    if (this.idle || this.#with.changesNames(text)) return true
    const verdict = this.#with.classify(text, this.#with.facts())
    return verdict.kind === 'write' && verdict.tables === 'unknown'
  }

  changesNames(text: string): boolean {
    return this.#with.changesNames(text)
  }

  async doneUnnoticed(table: NamedTable): Promise<void> {
    const changes = new Changes()
    changes.addNamed(table, 'register-changed')
    await this.publish(changes, 'write')
  }

  judgeLater(text: string): void {
    const changes = new Changes()
    changes.addText(text)
    this.#with.defer(changes)
  }

  isQuiet(text: string): boolean {
    return this.#isQuietUnder(text, this.#with.facts())
  }

  wasQuiet(text: string): boolean {
    return this.#isQuietUnder(text, this.#with.lastFacts())
  }

  #isQuietUnder(text: string, facts: CatalogFacts | undefined): boolean {
    if (!facts || this.#with.changesNames(text)) return false
    const verdict = this.#with.classify(text, facts)
    return verdict.kind === 'harmless' || (verdict.kind === 'read' && !verdict.session)
  }

  mayCommitWithin(text: string, inTransaction: boolean): boolean {
    return this.#with.mayCommitWithin(text, inTransaction)
  }

  writesBeyond(text: string): boolean {
    const facts = this.#with.facts()
    // Without facts the statement counts as an unknown write anyway.
    return facts !== undefined && this.#with.writesBeyond(text, facts)
  }

  async failed(
    intent: WriteIntent | undefined,
    error: unknown,
    scope: Scope | undefined,
    atCommit = false,
  ): Promise<void> {
    if (atCommit ? isDefiniteState(sqlState(error)) : isDefiniteFailure(error)) return
    const changes = allOf(intent)
    // A lost connection ends the transaction, and its own outcome is decided at COMMIT. But the statement may have run
    // all the same, and only its answer could not be read (a column's mapping threw): then the transaction may go on.
    if (scope && !scope.over) (scope as Changes).absorb(changes)
    else await this.#beginUnknown(changes, error)
  }

  rowOf(scope: Scope): OutboxRow | undefined {
    return this.#rowWith((facts) => this.#pack((scope as Changes).whole(), facts))
  }

  rowBefore(intent: WriteIntent, text: string): OutboxRow | undefined {
    const { relation } = intent
    // Where rules rewrite a statement nothing may stand beside it; and what stands before a view's is not certain either.
    if (!relation || relation.rules || (relation.kind !== 'table' && relation.kind !== 'partitioned')) return undefined
    return this.#rowWith((facts) => this.#packIntent(intent, text, facts))
  }

  get storeIsDown(): boolean {
    return this.#with.storeIsDown()
  }

  rowAfter(
    row: OutboxRow,
    intent: WriteIntent,
    touched: TouchedRows,
    cascaded: CascadedRows | undefined,
  ): OutboxRow | undefined {
    const facts = this.#with.facts()
    if (!facts) return row
    const keys = this.#pack(
      this.#surely(() => this.#changesOf(intent, touched, cascaded)),
      facts,
    )
    return keys === undefined ? undefined : { ...row, keys }
  }

  /** A fault of ours may not fail a write that has not happened yet. */
  #rowWith(pack: (facts: CatalogFacts) => string | undefined): OutboxRow | undefined {
    const { outbox } = this.#with
    const into = outbox?.target()
    const facts = into === undefined ? undefined : this.#with.facts()
    if (!outbox || into === undefined || !facts) return undefined
    try {
      const keys = pack(facts)
      return keys === undefined ? undefined : outbox.row(into, keys)
    } catch (error) {
      outbox.failed('write', error)
      return undefined
    }
  }

  #pack(changes: Changes, facts: CatalogFacts): string | undefined {
    return changes.empty ? undefined : this.#with.outbox?.pack(this.expand(changes, facts, false).batch)
  }

  /** The same for every execution, until somebody else keeps something. */
  readonly #packed = new WeakMap<WriteIntent, { readonly under: KnownRegister; readonly keys: string | undefined }>()

  #packIntent(intent: WriteIntent, text: string, facts: CatalogFacts): string | undefined {
    const changes = allOf(intent)
    changes.derivedFrom(intent.version)
    if (this.writesBeyond(text)) {
      changes.addText(text)
      return this.#pack(changes, facts)
    }
    const under = this.#with.register(facts)
    const known = this.#packed.get(intent)
    // Another object with other facts, too.
    if (known?.under === under) return known.keys
    const keys = this.#pack(changes, facts)
    this.#packed.set(intent, { under, keys })
    return keys
  }

  kept(scope: Scope | undefined, { id }: OutboxRow): void {
    ;(scope as Changes | undefined)?.rows.add(id)
    this.#with.outbox?.worked('write')
  }

  notKept(error: unknown): void {
    this.#with.outbox?.failed('write', error)
  }

  async committed(scope: Scope): Promise<void> {
    const changes = this.#heeded(scope)
    if (!changes.empty) await this.publish(changes, 'transaction')
  }

  /** As long as nobody caches anything, texts were only remembered in case that somebody begins to. */
  #heeded(scope: Scope): Changes {
    const changes = (scope as Changes).whole()
    if (!this.idle) return changes
    changes.texts.length = 0
    // More texts than are remembered.
    if (changes.everything === 'overflow') {
      changes.everything = undefined
      changes.ddl = false
    }
    return changes
  }

  async uncertain(scope: Scope, error: unknown): Promise<void> {
    const changes = this.#heeded(scope)
    // What the driver says of the ROLLBACK it then tried ("not queryable") is no word on the COMMIT: only the server's is.
    if (changes.empty || isDefiniteState(sqlState(error))) return
    await this.#beginUnknown(changes, error)
  }

  async #beginUnknown(changes: Changes, error: unknown): Promise<void> {
    // A row that may only come to be when all of this was told is for others to take.
    changes.rows.clear()
    const facts = this.#with.facts()
    const resolved = facts && this.#resolve(changes, facts)
    const everything = !resolved || resolved.everything !== undefined
    const named = resolved ? [...resolved.tables.keys()] : []
    const ids = everything ? [...new Set([...named, ...this.#allIds(facts)])] : named
    // Which table such a write has locked is not known: then every writer of the moment is waited for.
    const locked = everything ? [] : ids.flatMap((id) => facts?.relations.get(id)?.oid ?? [])
    await this.#with.unknown.begin(changes, { ids, locked }, error)
  }

  #allIds(facts: CatalogFacts | undefined): RelationId[] {
    return facts ? this.#with.cachedRelations(facts).map(({ id }) => id) : []
  }

  async wrote(table: NamedTable, scope: Scope | undefined, rows: WrittenRows | undefined): Promise<void> {
    await this.awaitFactsOutside(scope)
    const changes = new Changes()
    const facts = this.#with.facts()
    const relation = facts && findRelation(facts, table.schema, table.name)
    this.#deriveNow(changes, facts)
    if (!facts || !relation || scope?.isUnsure) changes.addNamed(table, 'by-hand', scope?.isUnsure)
    else this.#addWritten(changes, facts, relation, rows)
    await this.#queueOrPublish(changes, scope, 'hand')
  }

  async invalidateTags(tags: readonly string[], scope: Scope | undefined): Promise<void> {
    const changes = new Changes()
    for (const tag of tags) changes.tags.add(tag)
    if (!changes.empty) await this.#queueOrPublish(changes, scope, 'hand')
  }

  async invalidateTables(tables: readonly (NamedTable | string)[], scope: Scope | undefined): Promise<void> {
    await this.awaitFactsOutside(scope)
    const facts = this.#with.facts()
    const changes = new Changes()
    for (const table of tables) {
      if (typeof table !== 'string') changes.addNamed(table, 'by-hand', scope?.isUnsure)
      else this.#addByName(changes, facts, table)
    }
    await this.#queueOrPublish(changes, scope, 'hand')
  }

  /** A dot may part schema and table, or belong to a name. */
  #addByName(changes: Changes, facts: CatalogFacts | undefined, text: string): void {
    const dot = text.indexOf('.')
    const names: NamedTable[] = [{ schema: undefined, name: text }]
    if (dot > 0) names.push({ schema: text.slice(0, dot), name: text.slice(dot + 1) })
    const found = facts && names.filter(({ schema, name }) => findRelation(facts, schema, name))
    if (!found?.length) changes.addEverything('by-hand')
    for (const name of found ?? []) changes.addNamed(name, 'by-hand')
  }

  noteError(error: unknown): void {
    if (doubtsFacts(error)) this.#with.expireFacts()
  }

  /** What the catalog says changed: those tables and what a write to them may reach; or everything, and why. */
  async catalogChanged(tables: readonly RelationId[], everything: EpochReason | undefined): Promise<void> {
    const changes = new Changes()
    const facts = this.#with.facts()
    if (everything) changes.addEverything(everything)
    for (const id of tables) {
      const relation = facts?.relations.get(id)
      if (facts && relation) this.#addWhole(changes, facts, relation, 'catalog-changed')
      else changes.addTable(id, 'catalog-changed')
    }
    await this.publish(changes, 'catalog')
  }

  /** Removes the stamps of one key, given as driver values by column name. */
  async invalidate(table: NamedTable, row: Readonly<Record<string, unknown>>, scope: Scope | undefined): Promise<void> {
    await this.awaitFactsOutside(scope)
    const facts = this.#with.facts()
    const relation = facts && findRelation(facts, table.schema, table.name)
    const changes = new Changes()
    this.#deriveNow(changes, facts)
    if (!facts || !relation || scope?.isUnsure) changes.addNamed(table, 'by-hand', scope?.isUnsure)
    else this.#addKey(changes, facts, relation, row)
    await this.#queueOrPublish(changes, scope, 'hand')
  }

  #addKey(
    changes: Changes,
    facts: CatalogFacts,
    relation: RelationFacts,
    row: Readonly<Record<string, unknown>>,
  ): void {
    const underivable = this.#with.underivable(relation, facts)
    if (underivable) changes.addTable(relation.id, underivable)
    else changes.addKeys(relation.id, this.#keysOfKey(facts, relation, row))
  }

  #deriveNow(changes: Changes, facts: CatalogFacts | undefined): void {
    changes.derivedFrom(facts?.version)
    changes.derivedUnder(facts && this.#with.register(facts).version)
  }

  #keysOfKey(facts: CatalogFacts, relation: RelationFacts, row: Readonly<Record<string, unknown>>): string[] {
    const all = this.#with.schemes(relation, facts)
    const within = all.filter(({ columns }) => columns.every((column) => column in row))
    const exact = within.filter(({ columns }) => columns.length === Object.keys(row).length)
    if (within.length === 0) {
      const known = all.map(({ columns }) => `(${columns.join(', ')})`)
      throw new AsideError(
        'ASIDE_BAD_KEY',
        `${relation.name} has no key or list of these columns. It has: ${known.join(' ')}.`,
      )
    }
    // Columns of one scheme name it; a whole row, or more than one key of it, names all that are in it.
    return this.#stampsIn(relation, facts, exact.length > 0 ? exact : within, row)
  }

  /** Every facet of the classes that a row is in. */
  #stampsIn(
    relation: RelationFacts,
    facts: CatalogFacts,
    schemes: readonly Scheme[],
    row: Readonly<Record<string, unknown>>,
  ): string[] {
    const read = rowReader(row)
    const { all } = this.#with.facets(relation, facts)
    return schemes.flatMap((scheme) => {
      const tokens = read(scheme)
      const isKey = tokens && !(scheme.kind === 'primary' && tokens.includes(null))
      if (isKey) return [...new Set(all.map((facet) => stampKey(scheme, tokens, facet)))]
      throw new AsideError(
        'ASIDE_BAD_KEY',
        `A value of this key of ${relation.name} is not one that rows are cached by.`,
      )
    })
  }

  async awaitFactsOutside(scope: Scope | undefined): Promise<void> {
    if (!scope) await this.awaitFacts()
  }

  /** Exact where the rows give every column of every scheme; else the whole table, and what it reaches. */
  #addWritten(changes: Changes, facts: CatalogFacts, relation: RelationFacts, rows: WrittenRows | undefined): void {
    const underivable = rows && this.#with.underivable(relation, facts)
    const keys = rows && !underivable && this.#keysOfRows(facts, relation, rows)
    if (keys) changes.addKeys(relation.id, keys)
    else this.#addWhole(changes, facts, relation, underivable ?? 'by-hand')
  }

  #keysOfRows(facts: CatalogFacts, relation: RelationFacts, rows: WrittenRows): string[] | undefined {
    const schemes = this.#with.schemes(relation, facts)
    if (schemes.length === 0) return undefined
    const keys = new Set<string>()
    // What else changed in the row the user does not say.
    const given = { schemes, stays: [MAIN], table: this.#with.keys(relation, facts) }
    const known = addRow(keys, given, rows.old && rowReader(rows.old), rows.new && rowReader(rows.new))
    return known ? [...keys] : undefined
  }

  #addWhole(changes: Changes, facts: CatalogFacts, relation: RelationFacts, reason: EpochReason): void {
    changes.addTable(relation.id, reason)
    const { reached, everything } = this.#reach(facts, relation, ['any'], 'all')
    for (const { table, reason: way } of reached) changes.addTable(table, way)
    if (everything) changes.addEverything(everything)
  }

  /** Makes changes known to every process that shares the store: one awaited round trip (PROTOCOL 3.6). */
  async publish(changes: Changes, cause: InvalidateCause): Promise<void> {
    if (changes.empty) return
    await this.awaitFacts()
    const facts = this.#with.facts()
    if (!facts) return this.#with.defer(changes)
    const expanded = this.expand(changes, facts)
    const outcome = expanded.batch.length > 0 ? await this.#tell(expanded, cause) : 'delivered'
    if (outcome === 'delivered') this.#with.outbox?.release(changes.rows)
    if (expanded.ddl) await this.#with.rereadFacts()
    // With an unknown outcome the caller gets the error that he has; of the catalog nobody is told.
    const tells = cause !== 'catalog' && cause !== 'unknown-outcome'
    if (outcome === 'queued' && this.#with.onPending === 'reject' && tells) throw notDelivered()
  }

  #tell({ batch, keys, epochs, labels, losses }: Expanded, cause: InvalidateCause): Promise<'delivered' | 'queued'> {
    for (const { table, reason } of epochs) this.#with.voice.emit({ type: 'epochReplaced', table, reason })
    // Without a label there is nothing to drop, as far as is known: the register is asked all the same.
    if (labels.length > 0)
      this.#with.voice.emit({ type: 'invalidate', keys, epochs: epochs.length, tables: labels, cause })
    for (const each of losses) this.#with.removing(each)
    return this.#with.deliver({ tables: batch })
  }

  /**
   * Closures and "all cached tables" are expanded here, when keys are made known, and not before. `atOnce`: the store is
   * told now, and not at some later time, when somebody may have begun to cache what nobody is known to.
   */
  expand(changes: Changes, facts: CatalogFacts, atOnce = true): Expanded {
    const resolved = this.#resolve(changes, facts)
    const expanded: Expanded & { keys: number } = {
      batch: [],
      labels: [],
      epochs: [],
      keys: 0,
      losses: [],
      ddl: resolved.ddl,
    }
    const whole = resolved.everything ? this.#with.cachedRelations(facts) : []
    for (const relation of whole) resolved.addTable(relation.id, resolved.everything as EpochReason)
    for (const [id, change] of resolved.tables) {
      const relation = facts.relations.get(id)
      if (!relation || !this.#with.cached(relation)) continue
      const keys = this.#with.keys(relation, facts)
      expanded.labels.push(relation.name)
      if (change instanceof Map) {
        expanded.keys += change.size
        expanded.losses.push(change)
        const derived = this.#derived(relation, facts, resolved)
        expanded.batch.push({ epoch: keys.epoch, keys: [...change.keys()], ...(derived && { derived }) })
      } else {
        expanded.epochs.push({ table: relation.name, reason: change.reason })
        expanded.batch.push({ epoch: keys.epoch, keys: 'all' })
      }
    }
    // A tag is one stamp, like an epoch: there is nothing finer that would have to be told apart under it.
    for (const tag of resolved.tags) expanded.batch.push({ epoch: this.#with.tagKey(tag, facts), keys: 'all' })
    expanded.batch.push(...this.#unnoticed(resolved, facts, atOnce))
    return expanded
  }

  /**
   * Tables that the changes may reach and that nobody is known to cache: should somebody have begun to, the register says
   * so with the delivery, and their epochs fall.
   */
  #unnoticed(changes: Changes, facts: CatalogFacts, atOnce: boolean): InvalidatedTable[] {
    const { shared, version } = this.#with.register(facts)
    const isCertain = atOnce && this.#with.isCertain() && (changes.union ?? version) === version
    if (shared === undefined || isCertain) return []
    const reached = changes.everything ? [...facts.relations.keys()] : this.#reachable(changes, facts)
    return reached.flatMap((id) => {
      const relation = facts.relations.get(id)
      if (!relation || (changes.tables.has(id) && this.#with.cached(relation))) return []
      const derived = this.#derived(relation, facts, changes)
      return derived ? [{ epoch: this.#with.keys(relation, facts).epoch, keys: [], derived }] : []
    })
  }

  #reachable({ tables, harmless }: Changes, facts: CatalogFacts): RelationId[] {
    const from = new Set([...tables.keys(), ...harmless])
    const ways = [...from].map((id) => this.#with.reach(facts, id, 'any', 'all'))
    if (ways.some(({ undeclared }) => undeclared.length > 0)) return [...facts.relations.keys()]
    return [...new Set([...from, ...ways.flatMap((way) => [...way.tables.keys()])])]
  }

  /** What a statement was planned with; what only now became tables was understood under the union that is known now. */
  #derived(relation: RelationFacts, facts: CatalogFacts, { union }: Changes): DerivedUnder | undefined {
    const { shared, version } = this.#with.register(facts)
    return shared === undefined ? undefined : { register: shared, version: union ?? version, label: relation.name }
  }

  /** Names and texts understood under the facts: only tables are left. */
  #resolve(changes: Changes, facts: CatalogFacts): Changes {
    const resolved = new Changes()
    resolved.absorb(changes)
    if (changes.since !== undefined && changes.since !== facts.version) this.#widen(resolved, facts, 'catalog-changed')
    else if (this.#isOutdated(changes, facts)) this.#widen(resolved, facts, 'register-changed')
    for (const { table, reason, anywhere } of changes.named) {
      const one = findRelation(facts, table.schema, table.name)
      const found = anywhere || (one && isTemporary(one)) ? namesakes(facts, table) : one ? [one] : []
      for (const relation of found) this.#addWhole(resolved, facts, relation, reason)
      if (found.length === 0) resolved.addEverything(reason)
    }
    for (const text of changes.texts) this.#resolveText(resolved, text, facts)
    return resolved
  }

  /** Another wrap in this process has come since; what another process does, the store says at the delivery. */
  #isOutdated({ union }: Changes, facts: CatalogFacts): boolean {
    const { shared, version } = this.#with.register(facts)
    return shared === undefined && union !== undefined && union !== version
  }

  /** Since the write was planned: there may be keys, and ways to other tables, that it did not know of. */
  #widen(resolved: Changes, facts: CatalogFacts, reason: EpochReason): void {
    for (const id of new Set([...resolved.tables.keys(), ...resolved.harmless])) {
      const relation = facts.relations.get(id)
      if (relation) this.#addWhole(resolved, facts, relation, reason)
    }
  }

  #resolveText(resolved: Changes, text: string, facts: CatalogFacts): void {
    const verdict = this.#with.classify(text, facts)
    if (verdict.kind !== 'write') return
    resolved.ddl ||= verdict.ddl
    const tables = verdict.tables === 'unknown' ? [] : verdict.tables
    if (tables.length === 0) resolved.addEverything('raw-sql')
    for (const { schema, name } of tables) {
      const relation = findRelation(facts, schema, name)
      if (relation) this.#addWhole(resolved, facts, relation, 'raw-sql')
      else resolved.addEverything('raw-sql')
    }
  }
}

const notDelivered = (): AsideError =>
  new AsideError(
    'ASIDE_NOT_DELIVERED',
    'The write is committed in the database, but the store could not be told. Its keys wait and are sent when the store answers; do not repeat the write.',
    { committed: true },
  )

function questionOf(statement: WriteStatement, relation: RelationFacts): WriteQuestion {
  const { op, changed, computed, conflict, from, returning, nameable, native, values, where, names } = statement
  const atMost = values ?? (where && boundByKey(where, names, relation))
  // Member by member: V8 is slow to copy an object and add to it, and this is done with every write.
  return { op, relation, changed, computed, conflict, from, atMost, returning, nameable, native }
}

/** All that a write may have made stale of which nothing more is known than that it was begun. */
function allOf(intent: WriteIntent | undefined): Changes {
  const changes = new Changes()
  changes.derivedUnder(intent?.union)
  if (!intent?.relation || intent === untold) changes.addEverything('unknown-outcome')
  else {
    changes.addTable(intent.relation.id, 'unknown-outcome')
    for (const { table } of intent.reached) changes.addTable(table, 'unknown-outcome')
    if (intent.everything) changes.addEverything('unknown-outcome')
  }
  return changes
}

/** All that a name may mean where nobody knows the search path. */
function namesakes({ relations }: CatalogFacts, { schema, name }: NamedTable): readonly RelationFacts[] {
  return [...relations.values()].filter((one) => one.name === name && (schema ?? one.schema) === one.schema)
}

/** An upsert inserts or updates; it deletes nothing. */
function reachOps({ op, conflict }: Pick<WriteQuestion, 'op' | 'conflict'>): readonly WriteOp[] {
  return op === 'insert' && conflict === 'update' ? ['insert', 'update'] : [op]
}

const noImages = { epoch: 'no-images' } as const

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
