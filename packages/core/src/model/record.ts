import type { RelationFacts, RelationId, TokenKind } from './facts.ts'
import type { Scheme, TableKeys } from './keys.ts'
import type { BypassReason, ReadKind } from './reasons.ts'
import type { RefreshSettings } from './timing.ts'

/** Per-table settings after their defaults were filled in. */
export interface TableSettings {
  readonly ttlMs: number
  readonly negativeTtlMs: number
  /** Share of the time to live by which it is varied, e.g. 0.1. */
  readonly jitter: number
  readonly maxBytes: number
  readonly maxTouched: number
  readonly compose: boolean
  /** Database names of columns whose values may name nothing in the store. */
  readonly sensitive: ReadonlySet<string>
  /** Those of them that may not enter the store at all: without encryption, all. */
  readonly hidden: ReadonlySet<string>
  /** Database names of the columns that a record holds; undefined: all. */
  readonly record: ReadonlySet<string> | undefined
  readonly scope: (() => unknown) | undefined
  /** Combinations of columns, by their database names, that lists are asked by. */
  readonly lists: readonly (readonly string[])[]
  /** Groups of columns whose change most results do not notice, by their database names; a column is in at most one. */
  readonly facets: readonly (readonly string[])[]
  /** A result also rests on each row that it holds. */
  readonly rows: boolean
  /** Most rows of a result that is stored. */
  readonly maxRows: number
  /** How early entries are filled anew; undefined: when they are missed. */
  readonly refresh: RefreshSettings | undefined
  /** How old an answer may be that is served while the database is down; undefined: none is. */
  readonly maxStaleMs: number | undefined
}

/** How the records of one Drizzle table object look under the facts of the moment. */
export interface RecordSource {
  readonly relation: RelationFacts
  readonly table: RelationId
  readonly label: string
  readonly settings: TableSettings
  readonly keys: TableKeys
  readonly schemes: readonly Scheme[]
  /** For each column of the table object its position in a record, or -1. */
  readonly slots: readonly number[]
  /** Positions, in the table object, of the record's columns. */
  readonly columns: readonly number[]
  /** Token kind by position in the table object. */
  readonly kinds: readonly TokenKind[]
  /** The same for the type, as the catalog writes it. */
  readonly types: readonly (string | undefined)[]
  /** For each column of the table object the scheme that consists of it alone; the primary key wins. */
  readonly byColumn: readonly (Scheme | undefined)[]
  /** Positions of each scheme's columns, by scheme name. */
  readonly schemeColumns: ReadonlyMap<string, readonly number[]>
  /** Entry key prefixes by scheme name, and then by bucket. */
  readonly prefixes: ReadonlyMap<string, readonly string[]>
  readonly fingerprint: string
}

/** One key asked for: its tokens name it, its values are what the database is asked with. */
export interface LookupKey {
  readonly tokens: readonly string[]
  readonly values: readonly unknown[]
}

/** Rows by key: what the read path is asked. */
export interface Lookup {
  readonly source: RecordSource
  readonly scheme: Scheme
  readonly kind: ReadKind
  readonly keys: readonly LookupKey[]
  /** Encoded scope, empty where none is configured. */
  readonly scope: string
  readonly ttlMs: number
}

/** A record as driver values by record position; null: there is no such row. */
export type RecordRow = readonly unknown[] | null

/** Reads rows from the database, one answer per key in order; 'ambiguous' when a key met two rows. */
export type LoadRecords = (keys: readonly LookupKey[]) => Promise<readonly RecordRow[] | 'ambiguous'>

/** Rows, or why the statement must run as the user wrote it. */
export type LookupAnswer = { readonly rows: readonly RecordRow[] } | { readonly bypass: BypassReason }
