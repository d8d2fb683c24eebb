import type { ForeignKeyAction } from './facts.ts'

/** A table as the program declares it: names as they are in the database, nothing of Drizzle. */
export interface DeclaredTable {
  readonly schema: string | undefined
  readonly name: string
  readonly columns: readonly DeclaredColumn[]
  readonly primaryKey: readonly string[]
  /** Unique constraints, and unique indexes on plain columns without a condition. */
  readonly uniqueKeys: readonly (readonly string[])[]
  /** First columns of plain B-tree indexes without a condition. */
  readonly leadingColumns: readonly string[]
  readonly foreignKeys: readonly DeclaredForeignKey[]
  /** Policies are declared, or row security is switched on. */
  readonly rowSecurity: boolean
}

export interface DeclaredColumn {
  readonly name: string
  /** As in a CREATE TABLE, e.g. `varchar(20)`. */
  readonly sqlType: string
  readonly notNull: boolean
}

export interface DeclaredForeignKey {
  readonly columns: readonly string[]
  readonly parent: { readonly schema: string | undefined; readonly name: string }
  readonly parentColumns: readonly string[]
  readonly onDelete: ForeignKeyAction
  readonly onUpdate: ForeignKeyAction
}

/** What can differ between the declared schema and the database. */
export type SchemaDifferenceKind =
  | 'missing-table'
  | 'not-a-table'
  | 'missing-column'
  | 'type'
  | 'nullable'
  | 'primary-key'
  | 'unique-key'
  | 'foreign-key'
  | 'foreign-key-not-proven'
  | 'foreign-key-action'
  | 'index'
  | 'list-without-index'
  | 'list-refused'
  | 'trigger'
  | 'rules'
  | 'row-security'
  | 'family'
  | 'no-select'

/** One thing that the database has otherwise than the declared schema, or besides it, and what that costs. */
export interface SchemaDifference {
  readonly kind: SchemaDifferenceKind
  /** `posts`; other schemas than `public` stand in front: `app.posts`. */
  readonly table: string
  /** Columns by their names in the database; empty where it is about the table. */
  readonly columns: readonly string[]
  readonly declared: string
  readonly found: string
  /**
   * - `queries`: they fail, with the cache and without;
   * - `answers`: they are of other types than declared, with the cache and without;
   * - `caching`: reads go to the database that could be answered from the cache;
   * - `precision`: writes drop more than they change;
   * - `speed`: what is asked of the database takes longer.
   */
  readonly costs: 'queries' | 'answers' | 'caching' | 'precision' | 'speed'
  /** A sentence on what it costs, and what to do. */
  readonly cost: string
}
