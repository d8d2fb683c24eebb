import type { Condition } from '../model/condition.ts'
import { type CatalogFacts, findRelation, type RelationFacts, type RelationId } from '../model/facts.ts'
import type { Scheme, TableKeys } from '../model/keys.ts'
import type { BypassReason } from '../model/reasons.ts'
import type { LoadRecords, Lookup, LookupAnswer, RecordSource, TableSettings } from '../model/record.ts'
import type { MatchedKeys, NamedTable, ReadPath } from '../ports/paths.ts'
import type { Voice } from '../ports/voice.ts'
import { type PayloadIdentity, recordSource } from './record-source.ts'
import { scopeText } from './scope-text.ts'

export interface ReadPathWith {
  readonly voice: Voice
  /** Facts of the moment; wakes the catalog. */
  facts(): CatalogFacts | undefined
  /** The same, and wakes nobody. */
  knownFacts(): CatalogFacts | undefined
  /** Why no read at all may be served now. */
  gate(): BypassReason | undefined
  /** The store is left alone now, or has not been heard of for so long that nothing may be served whatever it answers. */
  shut(): boolean
  /** Why nothing of this table may be served now: a write's outcome is unknown, or others do not know yet how it is kept. */
  blocks(table: RelationId): BypassReason | undefined
  /** Settings of a cached relation; undefined: it is not cached. */
  settings(relation: RelationFacts): TableSettings | undefined
  schemes(relation: RelationFacts, facts: CatalogFacts): readonly Scheme[]
  keys(relation: RelationFacts, facts: CatalogFacts): TableKeys
  /** Undefined until the driver's parsers have been tried. */
  identity(): PayloadIdentity | undefined
  match(
    condition: Condition,
    source: RecordSource,
    given: Readonly<Record<string, unknown>> | undefined,
  ): MatchedKeys | BypassReason
  read(lookup: Lookup, load: LoadRecords): Promise<LookupAnswer>
}

/** Sources already decided, for one reading of the catalog. */
interface Decided {
  readonly version: number
  readonly identity: PayloadIdentity
  readonly bySource: WeakMap<readonly string[], RecordSource | BypassReason>
}

/** The read path up to the look-up: gates, sources, scopes. */
export class RecordReadPath implements ReadPath {
  readonly #with: ReadPathWith
  readonly #lost = new Map<RelationId, number>()
  #decided: Decided | undefined

  constructor(tools: ReadPathWith) {
    this.#with = tools
  }

  gate(): BypassReason | undefined {
    return this.#with.gate()
  }

  source(table: NamedTable, names: readonly string[]): RecordSource | BypassReason {
    const facts = this.#with.facts()
    const identity = this.#with.identity()
    if (!facts || !identity) return 'starting'
    const source = this.#sourceUnder(table, names, facts, identity)
    return typeof source === 'string' ? source : (this.#refuseNow(source, facts) ?? source)
  }

  isShut(): boolean {
    return this.#with.shut()
  }

  isUntracked(table: NamedTable, names: readonly string[]): boolean {
    const facts = this.#with.knownFacts()
    const identity = this.#with.identity()
    return (
      facts !== undefined &&
      identity !== undefined &&
      this.#sourceUnder(table, names, facts, identity) === 'untracked-table'
    )
  }

  #sourceUnder(
    table: NamedTable,
    names: readonly string[],
    facts: CatalogFacts,
    identity: PayloadIdentity,
  ): RecordSource | BypassReason {
    const decided = this.#sourcesFor(facts, identity)
    let source = decided.bySource.get(names)
    if (source === undefined) {
      source = this.#decide(table, names, facts, identity)
      decided.bySource.set(names, source)
    }
    return source
  }

  #sourcesFor(facts: CatalogFacts, identity: PayloadIdentity): Decided {
    const { version } = facts
    if (this.#decided?.version !== version || this.#decided.identity !== identity) {
      // Column lists are known by identity: each table object has one, and keeps it.
      this.#decided = { version, identity, bySource: new WeakMap() }
    }
    return this.#decided
  }

  #decide(
    table: NamedTable,
    names: readonly string[],
    facts: CatalogFacts,
    identity: PayloadIdentity,
  ): RecordSource | BypassReason {
    const relation = findRelation(facts, table.schema, table.name)
    const settings = relation && this.#with.settings(relation)
    if (!relation || !settings) return 'untracked-table'
    const schemes = this.#with.schemes(relation, facts)
    return recordSource(names, relation, facts, settings, identity, schemes, this.#with.keys(relation, facts))
  }

  /** What changes from one moment to the next. */
  #refuseNow({ table }: RecordSource, facts: CatalogFacts): BypassReason | undefined {
    const blocked = this.#with.blocks(table)
    if (blocked) return blocked
    return this.#lost.get(table) === facts.version ? 'records-lost' : undefined
  }

  match(
    condition: Condition,
    source: RecordSource,
    given: Readonly<Record<string, unknown>> | undefined,
  ): MatchedKeys | BypassReason {
    return this.#with.match(condition, source, given)
  }

  scope({ settings }: RecordSource): string | undefined {
    return scopeText(settings.scope)
  }

  read(lookup: Lookup, load: LoadRecords): Promise<LookupAnswer> {
    return this.#with.read(lookup, load)
  }

  bypassed(table: string | undefined, reason: BypassReason): void {
    this.#with.voice.bypass(table, reason)
  }

  listTooLong(): void {
    this.#with.voice.listTooLong()
  }

  loseRecords(source: RecordSource, reason: 'duplicate-key' | 'privilege' | 'missing-column'): void {
    const version = this.#with.facts()?.version
    if (version === undefined || this.#lost.get(source.table) === version) return
    this.#lost.set(source.table, version)
    this.#with.voice.emit({ type: 'recordsLost', table: source.label, reason })
  }
}
