/** What the database itself says (DESIGN 3.5). Inert data: the catalog wing reads it, everyone decides from it. */

/** `schema.name` with both parts as in the catalog; the identity of a relation everywhere in this project. */
export type RelationId = string

/** Length-prefixing keeps names with dots apart: `relationId('a.b','c')` differs from `relationId('a','b.c')`. */
export const relationId = (schema: string, name: string): RelationId => `${schema.length}:${schema}.${name}`

/** The schema and the name in an id. */
export function relationWords(id: RelationId): { readonly schema: string; readonly name: string } {
  const start = id.indexOf(':') + 1
  const end = start + Number.parseInt(id, 10)
  return { schema: id.slice(start, end), name: id.slice(end + 1) }
}

/** The kinds of column type whose equality we can reproduce (PROTOCOL 3.4); `'none'` carries no key. */
export type TokenKind = 'int' | 'uuid' | 'bool' | 'enum' | 'text' | 'date' | 'none'

export interface ColumnFacts {
  readonly name: string
  /** `format_type`, e.g. `character varying(20)`. */
  readonly sqlType: string
  readonly token: TokenKind
  readonly notNull: boolean
  /** `GENERATED ALWAYS AS (…) STORED` or VIRTUAL. */
  readonly generated: boolean
}

export interface TriggerFacts {
  readonly name: string
  readonly timing: 'before' | 'after' | 'instead'
  readonly insert: boolean
  readonly update: boolean
  readonly delete: boolean
  readonly truncate: boolean
  /** The copy that PostgreSQL keeps of a partitioned ancestor's row trigger; a declaration there covers it. */
  readonly clone?: boolean
}

export type ForeignKeyAction = 'none' | 'cascade' | 'set null' | 'set default'

/** A foreign key seen from the referenced table: rows of `child` follow what happens to the parent. */
export interface IncomingKey {
  readonly child: RelationId
  readonly childColumns: readonly string[]
  readonly columns: readonly string[]
  readonly onDelete: ForeignKeyAction
  readonly onUpdate: ForeignKeyAction
}

/** A foreign key seen from the referencing table. */
export interface OutgoingKey {
  readonly parent: RelationId
  readonly columns: readonly string[]
  /** The parent's columns, in the order of `columns`. */
  readonly parentColumns: readonly string[]
  /**
   * Validated, enforced, its triggers on, equal and no period: every committed row whose columns are not NULL has its
   * parent.
   */
  readonly proven: boolean
}

export interface RelationFacts {
  readonly id: RelationId
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly kind: 'table' | 'partitioned' | 'view' | 'materialized view' | 'foreign table'
  readonly columns: ReadonlyMap<string, ColumnFacts>
  /** Columns of the valid, ready primary key in key order; undefined where there is none. */
  readonly primaryKey: readonly string[] | undefined
  /** Valid, ready, immediate, not partial, plain-column unique constraints and indexes, the primary key left out. */
  readonly uniqueKeys: readonly (readonly string[])[]
  /**
   * Every column of any unique index, partial and expression ones and those of single partitions included; `'*'` when an
   * expression hides which.
   */
  readonly uniqueIndexColumns: ReadonlySet<string>
  /** Columns of this table's own foreign keys, and of its partitions', that have an ON UPDATE action. */
  readonly updatedByParents: ReadonlySet<string>
  readonly incoming: readonly IncomingKey[]
  readonly outgoing: readonly OutgoingKey[]
  /** First columns of valid, ready, plain, not partial B-tree indexes, by name, each once. */
  readonly leadingColumns: readonly string[]
  /** Not internal, not disabled. */
  readonly triggers: readonly TriggerFacts[]
  /** For partitioned tables: those that partitions at any depth have of their own; they fire for rows that come from above, too. */
  readonly partitionTriggers?: readonly TriggerFacts[]
  readonly rules: boolean
  /** Policies decide what a reader sees; for a view: on something that it reads. */
  readonly rowSecurity: boolean
  readonly privileges: {
    readonly select: boolean
    readonly insert: boolean
    readonly update: boolean
    readonly delete: boolean
  }
  /** All ancestors and all members by partitioning or inheritance, any depth, this relation left out. */
  readonly family: readonly RelationId[]
  /** True when rows of other relations show up in a select from this one (inheritance children, not partitions). */
  readonly inheritanceChildren: boolean
  /** For views: relations it reads, through nested views, these included. A materialised view reads itself: empty. */
  readonly reads: readonly RelationId[]
  /** Tables under row security whose policies read this relation, or call a function that may: what is seen of them changes with it. */
  readonly secures?: readonly RelationId[]
  /** Reading it runs a volatile function, which may write: in the view, a nested one, or a row security policy. */
  readonly volatileView: boolean
  /**
   * For views: the answer may change without a write to `reads` (clock, session, settings, system catalogs, sequences,
   * stable functions of the user, anything unknown). Never cached. True wherever `volatileView` is true for a view.
   */
  readonly unsteadyView: boolean
  /** For materialised views: refreshing it runs a volatile function or reads a foreign table, and may write anything. */
  readonly volatileRefresh: boolean
}

/** Settings of the session that may change what a query answers; part of every entry's identity. */
export interface SessionEnvironment {
  readonly currentUser: string
  readonly searchPath: string
  readonly timeZone: string
  readonly dateStyle: string
  readonly intervalStyle: string
  readonly byteaOutput: string
  readonly extraFloatDigits: string
  readonly textSearchConfig: string
}

/** Of one session alone: another one has another table of that name, or none, and in its time the same schema. */
export const isTemporary = ({ schema }: Pick<RelationFacts, 'schema'>): boolean => schema.startsWith('pg_temp_')

export interface CatalogFacts {
  /** Grows by one with each reading that changed something. */
  readonly version: number
  /** `server_version_num`, e.g. 150004. */
  readonly serverVersion: number
  readonly standby: boolean
  readonly database: string
  /** `system_identifier`; empty when not readable. */
  readonly systemIdentifier: string
  readonly timeline: string
  readonly serverAddress: string
  /** Which life of the server it is: another one after each start and each crash recovery. */
  readonly incarnation: string
  readonly environment: SessionEnvironment
  /** `current_schemas(true)`: where unqualified names are looked for. */
  readonly schemas: readonly string[]
  readonly relations: ReadonlyMap<RelationId, RelationFacts>
  /** Function names of which every overload is immutable or stable, without schema, lower case as in pg_proc. */
  readonly quietFunctions: ReadonlySet<string>
  /** A user-made operator or cast runs a volatile function: no raw SELECT is certain to be a read. */
  readonly volatileOperators: boolean
  /** An event trigger fires when a materialised view is refreshed, and may write anything. */
  readonly refreshTriggers: boolean
}

/** What became of the server behind a client: a new life of it, a promotion, or another cluster altogether. */
export type ServerChange = 'restarted' | 'promoted' | 'another'

/** The relation that a Drizzle table names; unqualified names follow the search path as PostgreSQL does. */
export function findRelation(facts: CatalogFacts, schema: string | undefined, name: string): RelationFacts | undefined {
  if (schema !== undefined) return facts.relations.get(relationId(schema, name))
  for (const candidate of facts.schemas) {
    const found = facts.relations.get(relationId(candidate, name))
    if (found) return found
  }
  return undefined
}

/** All that a name may mean where nobody knows the search path. */
export function findNamesakes(
  { relations }: CatalogFacts,
  schema: string | undefined,
  name: string,
): readonly RelationFacts[] {
  return [...relations.values()].filter((one) => one.name === name && (schema ?? one.schema) === one.schema)
}
