import type { Facet } from './facets.ts'
import type { RelationId } from './facts.ts'
import type { Scheme } from './keys.ts'
import type { Operand, Term } from './query-shape.ts'

/** What a query's answer rests on, before its parameters are known (DESIGN 3.3). */
export interface QueryCover {
  readonly covers: readonly RefCover[]
  readonly learned: readonly LearnedPartner[]
}

/** The narrowest sound cover of one table reference: the union of its branches. */
export interface RefCover {
  readonly ref: number
  readonly table: RelationId
  /**
   * One for each way in which a row can come in (`or`, in-lists). Empty: no row can. A branch without a candidate, or
   * of which no candidate has tokens, makes the reference rest on the whole table.
   */
  readonly branches: readonly (readonly ClassCandidate[])[]
  /** Why it is not narrower than the whole table; undefined where it is. */
  readonly widened: WidenReason | undefined
}

/** A class that covers a branch; candidates stand most specific first. */
export interface ClassCandidate {
  readonly scheme: Scheme
  /** In the order of the scheme's columns; null is SQL NULL. */
  readonly values: readonly (Operand | null)[]
}

/** A partner whose rows are known only from the result: row stamps by the values of the terms. */
export interface LearnedPartner {
  readonly ref: number
  readonly table: RelationId
  /** The partner's primary key. */
  readonly scheme: Scheme
  /** In the order of the scheme's columns: where the row holds the value. */
  readonly from: readonly Term[]
  /** What the reference rests on where its partners cannot be learned after all. */
  readonly instead: RefCover
}

export type WidenReason =
  | 'no-condition'
  | 'no-scheme'
  | 'not-an-equality'
  | 'too-many-classes'
  | 'outer-join'
  | 'opaque'
  | 'value-without-token'
  | 'partner-not-learned'
  | 'view'
  | 'rows-not-told'

/** A cover with its values: the keys of all stamps that it rests on, learned partners left out. */
export interface BoundCover {
  /** Each once, in byte order of their keys. */
  readonly dependencies: readonly BoundDependency[]
  /** Every table that the query reads, those of learned partners too: the entry records their epochs. In byte order. */
  readonly tables: readonly RelationId[]
  /** References that rest on their whole table. */
  readonly widened: readonly { readonly ref: number; readonly table: RelationId; readonly reason: WidenReason }[]
}

/** One stamp. */
export interface BoundDependency {
  readonly key: string
  readonly table: RelationId
  /** Undefined for the whole table. */
  readonly scheme: Scheme | undefined
  /** In the order of the scheme's columns; null is SQL NULL. */
  readonly tokens: readonly (string | null)[]
  /** Undefined for the stamp of a row. */
  readonly facet: Facet | undefined
}
