import type { Condition } from '../model/condition.ts'
import type { CatalogFacts, RelationFacts, RelationId } from '../model/facts.ts'
import type { Scheme, TableKeys } from '../model/keys.ts'
import type { OutboxRow } from '../model/outbox.ts'
import type { BypassReason, EpochReason, ReadKind } from '../model/reasons.ts'
import type { LoadRecords, Lookup, LookupAnswer, LookupKey, RecordSource } from '../model/record.ts'
import type { LoadRows, ResultAnswer, ResultLookup, ResultQuestion } from '../model/result.ts'
import type { AskedWith, ResultPlan, ToldCover } from '../model/result-plan.ts'
import type { CascadedRows, CascadeImages, TouchedRows, WritePlan, WriteStatement } from '../model/write.ts'

/** A relation as a statement names it; without schema the search path decides. */
export interface NamedTable {
  readonly schema: string | undefined
  readonly name: string
}

/** Keys that a condition fixes on a source, and what else a row must satisfy. */
export interface MatchedKeys {
  readonly scheme: Scheme
  readonly kind: ReadKind
  readonly keys: readonly LookupKey[]
  /** Decides the further conjuncts on a row, by position in the table object; undefined: there are none. */
  readonly accepts: ((valueAt: (column: number) => unknown) => boolean) | undefined
}

/** The read path as the Drizzle wing uses it. */
export interface ReadPath {
  /** Why no read may be served now, whatever it asks for; undefined: it may. Also wakes the catalog. */
  gate(): BypassReason | undefined
  /** The records of a table object, given the database names of its columns; or why it has none. */
  source(table: NamedTable, names: readonly string[]): RecordSource | BypassReason
  /** True where the facts of the moment say that the table is not cached. Wakes nobody: a builder alone asks no database. */
  isUntracked(table: NamedTable, names: readonly string[]): boolean
  match(
    condition: Condition,
    source: RecordSource,
    given: Readonly<Record<string, unknown>> | undefined,
  ): MatchedKeys | BypassReason
  /** The scope's text for a key, empty where none is configured; undefined: the scope cannot be told. */
  scope(source: RecordSource): string | undefined
  read(lookup: Lookup, load: LoadRecords): Promise<LookupAnswer>
  /** Counts a read that goes to the database. */
  bypassed(table: string | undefined, reason: BypassReason): void
  /** Counts a list of more keys than are read row by row. */
  listTooLong(): void
  /** A record read failed where the user's own statement may not: the table has no records from now on. */
  loseRecords(source: RecordSource, reason: 'duplicate-key' | 'privilege' | 'missing-column'): void
}

/** The read path of whole results, as the Drizzle wing uses it. */
export interface ResultPort {
  plan(question: ResultQuestion): ResultPlan | BypassReason
  /** What one execution asks of the store, or why it may not. */
  lookup(plan: ResultPlan, asked: AskedWith): ResultLookup | BypassReason
  /** What an execution rests on, in words. */
  tell(plan: ResultPlan, params: readonly unknown[]): ToldCover
  read(lookup: ResultLookup, load: LoadRows): Promise<ResultAnswer>
  /** Whether the store holds a valid answer now; asks without counting. */
  peek(lookup: ResultLookup): Promise<'hit' | 'miss' | 'unknown'>
}

/** What a write is going to do, decided before it runs. */
export interface WriteIntent {
  readonly plan: WritePlan
  readonly relation: RelationFacts | undefined
  /** Names the stamps of the table; undefined where it is not cached. */
  readonly table: TableKeys | undefined
  /** Tables that fall as a whole with it. */
  readonly reached: readonly { readonly table: RelationId; readonly reason: EpochReason }[]
  /** Everything cached falls with it. */
  readonly everything: EpochReason | undefined
  /** The reached tables fall even when no row was touched (statement-level triggers). */
  readonly always: boolean
  /** Foreign-key actions whose rows can be read beforehand; empty: tables in `reached` fall as they stand there. */
  readonly cascade: readonly CascadeImages[]
  /** The reading of the catalog that it was decided from. */
  readonly version: number | undefined
  /** The version of the union of all configurations that it was decided from. */
  readonly union: string | undefined
}

/** Collects what a transaction makes stale until its commit. */
export interface Scope {
  /** A savepoint's own scope; its changes join this one when it is released. */
  child(): Scope
  /** Takes over what a released savepoint collected. */
  absorb(child: Scope): void
  /** Of a savepoint: it was released or rolled back. A statement that nobody awaited may still come in. */
  end(): void
  /** True once the transaction has ended: a statement that was still on its way to the connection ran on its own. */
  over: boolean
  /**
   * True once something in the transaction may have changed what its names mean, as whom it runs, or the schema: from then on
   * the facts are not those of its statements.
   */
  isUnsure: boolean
}

/** The write path as the Drizzle wing uses it. */
export interface WritePath {
  /** Facts of the moment; wakes the catalog. */
  facts(): CatalogFacts | undefined
  /** True while nothing is cached at all: statements need no attention. */
  readonly idle: boolean
  /** Waits a bounded time for the first facts. Never called inside a transaction. */
  awaitFacts(): Promise<void>
  /** Changes whenever {@link WritePath.plan} might answer otherwise; undefined without facts. */
  readonly planKey: string | undefined
  /** Decides about one builder statement; undefined: it can reach nothing that is cached. */
  plan(table: NamedTable, question: WriteStatement): WriteIntent | undefined
  /** The same where the facts are not those of the statement: it runs untouched, and whatever it may have written falls. */
  planUnsurely(table: NamedTable): WriteIntent
  /** A text after which names without a schema, or the role, may be others. */
  changesNames(text: string): boolean
  /** True when no write to the table can reach anything cached, whatever it changes. */
  reachesNothing(table: NamedTable): boolean
  newScope(): Scope
  /**
   * After a statement ran: queue its changes in the scope, or make them known now. `row`: it committed with the statement
   * and holds these changes; it is taken back when the store was told.
   */
  done(
    intent: WriteIntent,
    touched: TouchedRows,
    scope: Scope | undefined,
    cascaded: CascadedRows | undefined,
    row: OutboxRow | undefined,
  ): Promise<void>
  /** A statement in a transaction wrote a table that reaches nothing cached, as far as is known; that may change by its end. */
  doneHarmlessly(table: NamedTable, scope: Scope): void
  /** A statement outside a transaction wrote a table that reached nothing cached when it began, and now it may. */
  doneUnnoticed(table: NamedTable): Promise<void>
  /** The same where the statement failed; nothing to do for a definite failure. */
  failedUnnoticed(table: NamedTable, error: unknown): Promise<void>
  /** That a write reached nothing that is cached, as it was found under this {@link WritePath.planKey}, is still sure. */
  reachesNothingSince(planKey: string | undefined): boolean
  /** After a statement of which only the text is known ran. `tables` is the user's word on what it writes. */
  ran(text: string, scope: Scope | undefined, tables: readonly NamedTable[] | undefined): Promise<void>
  /** Remembers a text until the facts are known, without waiting for them; no hit is served meanwhile. */
  judgeLater(text: string): void
  /** True when a text surely writes nothing. */
  isQuiet(text: string): boolean
  /** The same by the last facts, however old: of a text whose connection broke, maybe because the database is down. */
  wasQuiet(text: string): boolean
  /** True when a text may have committed some of its work before it fails. */
  mayCommitWithin(text: string, inTransaction: boolean): boolean
  /** True when the text of a builder's statement may write more than its target. */
  writesBeyond(text: string): boolean
  /**
   * After a statement failed: nothing to do for a definite failure, else the unknown-outcome rules. `atCommit`: the
   * statement ran, and only the server's own word says that the COMMIT around it has failed.
   */
  failed(intent: WriteIntent | undefined, error: unknown, scope: Scope | undefined, atCommit?: boolean): Promise<void>
  /** Drizzle's own `$cache.invalidate`: tables, or their names as `name` or `schema.name`. */
  invalidateTables(tables: readonly (NamedTable | string)[], scope: Scope | undefined): Promise<void>
  /** Everything that rests on these tags falls, at once or at the commit. */
  invalidateTags(tags: readonly string[], scope: Scope | undefined): Promise<void>
  /** A statement or transaction failed: some errors say that the facts may be out of date. */
  noteError(error: unknown): void
  /**
   * The row of the outbox to insert before the COMMIT of this scope's transaction; undefined: none. Whether it was
   * inserted is told with one of the next two.
   */
  rowOf(scope: Scope): OutboxRow | undefined
  /**
   * The same for a statement outside a transaction, to be inserted with it: it names whole tables, for the rows that the
   * statement touches are not known yet. `text` as for {@link WritePath.writesBeyond}.
   */
  rowBefore(intent: WriteIntent, text: string): OutboxRow | undefined
  /**
   * True while the store is known not to answer: then rows are read by others, and it pays to name the keys of a statement
   * one by one, in a transaction around it.
   */
  readonly storeIsDown: boolean
  /** The row of {@link WritePath.rowBefore} after the statement ran, with its keys one by one; undefined: none. */
  rowAfter(
    row: OutboxRow,
    intent: WriteIntent,
    touched: TouchedRows,
    cascaded: CascadedRows | undefined,
  ): OutboxRow | undefined
  /** The row stands in the transaction: it is taken back when the store was told. */
  kept(scope: Scope | undefined, row: OutboxRow): void
  /** It does not, and the transaction is as it was before. */
  notKept(error: unknown): void
  /** The transaction of this scope has committed. */
  committed(scope: Scope): Promise<void>
  /** The transaction of this scope may or may not have committed. */
  uncertain(scope: Scope, error: unknown): Promise<void>
  /** What the user says he has written. */
  wrote(table: NamedTable, scope: Scope | undefined, rows: WrittenRows | undefined): Promise<void>
}

/** Old and new image of a row by database column name, as far as the user knows them. */
export interface WrittenRows {
  readonly old?: Readonly<Record<string, unknown>>
  readonly new?: Readonly<Record<string, unknown>>
}
