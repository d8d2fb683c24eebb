import type { FacetMap, StampLoss } from '../model/facets.ts'
import type { CatalogFacts, RelationFacts, RelationId } from '../model/facts.ts'
import type { Invalidation } from '../model/invalidation.ts'
import type { Scheme, TableKeys } from '../model/keys.ts'
import type { SqlVerdict } from '../model/verdict.ts'
import type { CascadeStep } from '../model/write.ts'
import type { EpochReason } from '../ports/events.ts'
import type { Voice } from '../ports/voice.ts'
import type { Outbox } from './outbox.ts'
import type { Changes } from './scope.ts'
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

/** All that the write wing is given by the wiring; each of its parts takes what it uses. */
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
