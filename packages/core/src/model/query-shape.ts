import type { NamedTable } from './verdict.ts'

/**
 * A select as inert data: which tables it reads, and what its conditions say for certain. The Drizzle wing makes it from
 * a builder's state, `map/` decides from it. What is not understood is `other`: it narrows nothing.
 */
export interface QueryShape {
  /** Every table reference anywhere in the query; a `ref` is a position in this list. */
  readonly refs: readonly TableRef[]
  readonly root: Block
  /** The root's select list: plain columns of table references, `undefined` for everything else. */
  readonly selected: readonly (Term | undefined)[]
  /**
   * Rows of the root are what its joins give, one by one, and every selected value is a plain column: no DISTINCT,
   * GROUP BY, HAVING, set operation, window or expression. Only then may partners be learned from the rows.
   */
  readonly learnable: boolean
  /**
   * References of which a column stands outside the select list and the plain join equalities (`same`): in a WHERE, an
   * ORDER BY, an expression, a sub-query.
   */
  readonly usedElsewhere: ReadonlySet<number>
  /**
   * Text stands in it that is not Drizzle's own, or a name that no source of the query explains: only the statement's
   * text can tell which other relations and functions it uses.
   */
  readonly raw: boolean
  /** What kind of query it is, for counting. */
  readonly kind: QueryKind
}

export type QueryKind = 'list' | 'join' | 'aggregate' | 'set operation' | 'relational'

export interface TableRef {
  readonly table: NamedTable
  /** Database names of the columns that the query names anywhere; `'all'` where opaque text may name any. */
  readonly reached: ReadonlySet<string> | 'all'
}

/** One SELECT level: what it joins, its condition, and the queries inside it. */
export interface Block {
  readonly sources: readonly Source[]
  readonly where: Predicate | undefined
  /**
   * Queries in any other place: CTEs, members of a set operation, EXISTS, IN, scalar sub-queries. Their conditions may
   * name references of the blocks around them, save for CTEs.
   */
  readonly inner: readonly Block[]
}

/**
 * An item of FROM, in order: a table reference, or a query of its own (derived table, lateral relation). Opaque is what
 * has no columns that a condition could name for certain: raw text, or a CTE, whose body is among the inner blocks.
 */
export type Source = {
  readonly join: JoinKind
  readonly on: Predicate | undefined
} & ({ readonly ref: number } | { readonly block: Block } | { readonly opaque: true })

export type JoinKind = 'from' | 'inner' | 'left' | 'right' | 'full' | 'cross'

/** A column of a table reference, by its name in the database. */
export interface Term {
  readonly ref: number
  readonly column: string
}

/** Position of a driver value among the statement's parameters, as its structural key lists them. */
export type Operand = number

/** A condition as far as it may narrow. Groups with a member that may reach beyond its place are `other` as a whole. */
export type Predicate =
  | { readonly kind: 'and' | 'or'; readonly members: readonly Predicate[] }
  /** Two columns are equal. */
  | { readonly kind: 'same'; readonly left: Term; readonly right: Term }
  | { readonly kind: 'equals'; readonly term: Term; readonly value: Operand }
  | { readonly kind: 'in'; readonly term: Term; readonly values: readonly Operand[] }
  | { readonly kind: 'null'; readonly term: Term }
  /** Always false: an empty IN list. */
  | { readonly kind: 'never' }
  | { readonly kind: 'other' }
