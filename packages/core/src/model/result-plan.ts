import type { Facet } from './facets.ts'
import type { RelationFacts, RelationId } from './facts.ts'
import type { Scheme, TableKeys } from './keys.ts'
import type { QueryCover, WidenReason } from './query-cover.ts'
import type { QueryShape, Term } from './query-shape.ts'
import type { RefreshSettings } from './timing.ts'

/** How one query structure is answered, whatever its parameters are. */
export interface ResultPlan {
  readonly id: string
  readonly label: string
  readonly kind: QueryShape['kind']
  readonly cover: QueryCover
  readonly refs: readonly RefPlan[]
  /** By table, over all its references; `'all'` where one of them may reach any, or the query rests on the table as a whole. */
  readonly reached: ReadonlyMap<RelationId, ReadonlySet<string> | 'all'>
  /** Stamps of tables that the query rests on as a whole, beside what its cover says. */
  readonly whole: readonly string[]
  /** Their tables, for people, and why. */
  readonly restsOn: readonly { readonly table: string; readonly reason: WidenReason }[]
  readonly tables: readonly RelationId[]
  readonly keysByTable: ReadonlyMap<RelationId, TableKeys>
  readonly epochs: readonly string[]
  readonly learns: readonly Learn[]
  /** Columns to be selected behind the user's, for the keys of partners. */
  readonly adds: readonly Term[]
  /** Names the structure in entry keys. */
  readonly named: string
  readonly settings: MergedSettings
}

export interface RefPlan {
  readonly relation: RelationFacts
  readonly facets: readonly Facet[]
}

export interface MergedSettings {
  readonly ttlMs: number
  readonly jitter: number
  readonly maxRows: number
  readonly maxBytes: number
  readonly rows: boolean
  readonly scopes: readonly (() => unknown)[]
  readonly refresh: RefreshSettings | undefined
  readonly maxStaleMs: number | undefined
}

/** Row stamps that the rows of an answer name. */
export interface Learn {
  readonly scheme: Scheme
  /** For people. */
  readonly label: string
  /** What stands in for the rows when they cannot be told, or are too many. */
  readonly table: readonly string[]
  /** Undefined where the row cannot be read. */
  values(row: readonly unknown[]): readonly (readonly unknown[])[] | undefined
}

/** What one execution adds to its plan. */
export interface AskedWith {
  readonly params: readonly unknown[]
  readonly ttlMs: number | undefined
  readonly tags: readonly string[]
}

/** What an execution rests on, in words. */
export interface ToldCover {
  /** E.g. `posts[author_id=1]`, `posts (table)`; partners that the rows name as `users[id=…]`. */
  readonly dependsOn: readonly string[]
  /** Tables that the answer rests on as a whole, and why. */
  readonly widened: readonly { readonly table: string; readonly reason: WidenReason }[]
}
