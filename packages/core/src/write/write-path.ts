import { AsideError } from '../errors.ts'
import type { CatalogFacts, RelationId } from '../model/facts.ts'
import { findRelation } from '../model/facts.ts'
import type { OutboxRow } from '../model/outbox.ts'
import type { CascadedRows, TouchedRows, WriteStatement } from '../model/write.ts'
import type { EpochReason, InvalidateCause } from '../ports/events.ts'
import type { NamedTable, Scope, WriteIntent, WritePath, WrittenRows } from '../ports/paths.ts'
import { ChangesByHand } from './changes-by-hand.ts'
import { allOf, ChangesOfWrites } from './changes-of-writes.ts'
import { doubtsFacts, isDefiniteFailure, isDefiniteState, sqlState } from './classify-failure.ts'
import { WriteDecisions } from './decide-writes.ts'
import { ChangeExpansion, type Expanded } from './expand-changes.ts'
import { CachedReach } from './reach-cached.ts'
import { Changes } from './scope.ts'
import type { KnownRegister, WriteWith } from './write-with.ts'

/** The write path (PROTOCOL 3.6): plan before, learn the rows from the statement, make known after the commit. */
export class WriteThrough implements WritePath {
  readonly #with: WriteWith
  readonly #decisions: WriteDecisions
  readonly #expansion: ChangeExpansion
  readonly #changes: ChangesOfWrites
  readonly #byHand: ChangesByHand

  constructor(tools: WriteWith) {
    this.#with = tools
    const reach = new CachedReach(tools)
    this.#decisions = new WriteDecisions(tools, reach)
    this.#expansion = new ChangeExpansion(tools, reach)
    this.#changes = new ChangesOfWrites(tools)
    this.#byHand = new ChangesByHand(tools, this.#expansion)
  }

  get idle(): boolean {
    return this.#with.idle()
  }

  facts(): CatalogFacts | undefined {
    return this.#with.facts()
  }

  get planKey(): string | undefined {
    return this.#decisions.planKey
  }

  plan(table: NamedTable, statement: WriteStatement): WriteIntent | undefined {
    return this.#decisions.plan(table, statement)
  }

  planUnsurely(table: NamedTable): WriteIntent {
    return this.#decisions.planUnsurely(table)
  }

  reachesNothing(table: NamedTable): boolean {
    return this.#decisions.reachesNothing(table)
  }

  async awaitFacts(): Promise<void> {
    if (!this.#with.facts()) await this.#with.awaitFacts()
  }

  newScope(): Changes {
    return new Changes()
  }

  async done(
    intent: WriteIntent,
    touched: TouchedRows,
    scope: Scope | undefined,
    cascaded: CascadedRows | undefined,
    row: OutboxRow | undefined,
  ): Promise<void> {
    const changes = this.#changes.of(intent, touched, cascaded)
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
    changes.derivedFrom(facts.version)
    changes.derivedUnder(this.#with.register(facts).version)
    ;(scope as Changes).absorb(changes)
  }

  /** Queued to the transaction; made known at once when there is none, or none any more. */
  async #queueOrPublish(changes: Changes, scope: Scope | undefined, cause: InvalidateCause): Promise<void> {
    if (scope) (scope as Changes).absorb(changes)
    if (!scope || scope.over) await this.publish(changes, cause)
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
    const keys = this.#pack(this.#changes.of(intent, touched, cascaded), facts)
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
    return changes.empty ? undefined : this.#with.outbox?.pack(this.#expansion.expand(changes, facts, false).batch)
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
    const resolved = facts && this.#expansion.resolve(changes, facts)
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
    await this.#queueOrPublish(this.#byHand.ofRows(table, rows, scope?.isUnsure), scope, 'hand')
  }

  async invalidateTags(tags: readonly string[], scope: Scope | undefined): Promise<void> {
    const changes = new Changes()
    for (const tag of tags) changes.tags.add(tag)
    if (!changes.empty) await this.#queueOrPublish(changes, scope, 'hand')
  }

  async invalidateTables(tables: readonly (NamedTable | string)[], scope: Scope | undefined): Promise<void> {
    await this.awaitFactsOutside(scope)
    await this.#queueOrPublish(this.#byHand.ofTables(tables, scope?.isUnsure), scope, 'hand')
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
      if (facts && relation) this.#expansion.addWhole(changes, facts, relation, 'catalog-changed')
      else changes.addTable(id, 'catalog-changed')
    }
    await this.publish(changes, 'catalog')
  }

  /** Removes the stamps of one key, given as driver values by column name. */
  async invalidate(table: NamedTable, row: Readonly<Record<string, unknown>>, scope: Scope | undefined): Promise<void> {
    await this.awaitFactsOutside(scope)
    await this.#queueOrPublish(this.#byHand.ofKey(table, row, scope?.isUnsure), scope, 'hand')
  }

  async awaitFactsOutside(scope: Scope | undefined): Promise<void> {
    if (!scope) await this.awaitFacts()
  }

  /** What the store is to be told of changes; see {@link ChangeExpansion.expand}. */
  expand(changes: Changes, facts: CatalogFacts, atOnce: boolean): Expanded {
    return this.#expansion.expand(changes, facts, atOnce)
  }

  /** Makes changes known to every process that shares the store: one awaited round trip (PROTOCOL 3.6). */
  async publish(changes: Changes, cause: InvalidateCause): Promise<void> {
    if (changes.empty) return
    await this.awaitFacts()
    const facts = this.#with.facts()
    if (!facts) return this.#with.defer(changes)
    const expanded = this.#expansion.expand(changes, facts)
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
}

const notDelivered = (): AsideError =>
  new AsideError(
    'ASIDE_NOT_DELIVERED',
    'The write is committed in the database, but the store could not be told. Its keys wait and are sent when the store answers; do not repeat the write.',
    { committed: true },
  )
