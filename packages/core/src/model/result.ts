import type { RelationId } from './facts.ts'
import type { BoundDependency } from './query-cover.ts'
import type { QueryKind, QueryShape, Term } from './query-shape.ts'
import type { BypassReason } from './reasons.ts'
import type { RefreshSettings } from './timing.ts'

/** A select as the read path is asked for it: its structure by names, and the rest where it is wanted. */
export interface ResultQuestion {
  /** Says everything that makes up the query but the values of its parameters; the same text is the same query. */
  readonly structure: string
  /** Called when the structure is met for the first time. */
  shape(): QueryShape
  /** The statement's text, for a second look at what it reads and calls. */
  text(): string
  /** Tables that the user names for what the text does not tell (`$aside.with({ tables })`). */
  readonly named: readonly { readonly schema?: string | undefined; readonly name: string }[]
  /** Of a relational query: partners whose keys stand in its answers. */
  partners?(): readonly PartnerReader[]
}

/** Finds the key values of one partner of a relational query in a row of its answer. */
export interface PartnerReader {
  readonly ref: number
  /** Columns of the partner, by their names in the database, and beside them the owner's columns that they equal. */
  readonly references: readonly string[]
  readonly from: readonly Term[]
  /** Values that stand only in the partner's own rows tell nothing of one that is missing. */
  readonly seenIn: 'owner' | 'partner'
  /** Read from JSON, where a bigint is not exact. */
  readonly inJson: boolean
  /** Undefined where the row cannot be read: then nothing may be learned from it. */
  read(row: readonly unknown[]): readonly (readonly unknown[])[] | undefined
}

/** One stored result asked for: its names in the store, what it rests on, and how it may be kept. */
export interface ResultLookup {
  readonly label: string
  readonly kind: QueryKind
  readonly entryKey: string
  /** What a stored entry must begin with to be about this very question. */
  readonly head: string
  /** Keys of the stamps that the answer rests on as far as the question tells, in an order that all processes share. */
  readonly stamps: readonly string[]
  /** How many of them, from the back, are epochs: many results share them. */
  readonly epochs: number
  /** What those of them stand for that are no epochs, tags, or tables that it rests on whatever changes. */
  readonly dependencies: readonly BoundDependency[]
  /** The columns that the query reaches, by table. */
  readonly reached: ReadonlyMap<RelationId, ReadonlySet<string> | 'all'>
  /** The stamps that the answer also rests on, known from its rows. Undefined: there are none. */
  readonly learn: ((rows: readonly (readonly unknown[])[]) => LearnedKeys) | undefined
  /** True where its stamps would have been too many, and a whole table stands in for them. */
  readonly widened?: boolean
  readonly ttlMs: number
  readonly jitter: number
  readonly maxRows: number
  readonly maxBytes: number
  /** How early the entry is filled anew; undefined: when it is missed. */
  readonly refresh?: RefreshSettings | undefined
  /** How old it may be served while the database is down; undefined: not at all. */
  readonly maxStaleMs?: number | undefined
}

/** Keys of the stamps that only the rows of an answer name. */
export interface LearnedKeys {
  readonly keys: readonly string[]
  /** True where they would have been too many, and a whole table stands in for them. */
  readonly widened: boolean
}

/** Rows as driver values by position. */
export type ResultRows = readonly (readonly unknown[])[]

/**
 * Runs the statement. `keep: false`: the rows may be answered and never stored (they are a transaction's own). In the
 * background it rejects with a symbol, rather than run inside a transaction that has begun since the question.
 */
export type LoadRows = (how?: 'in-background') => Promise<{ readonly rows: ResultRows; readonly keep: boolean }>

export type ResultAnswer = { readonly rows: ResultRows } | { readonly bypass: BypassReason }
