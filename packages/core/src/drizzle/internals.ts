import * as drizzle from 'drizzle-orm'
import {
  Column,
  entityKind,
  getTableUniqueName,
  is,
  Many,
  Name,
  normalizeRelation,
  Param,
  Placeholder,
  type Relation,
  SQL,
  StringChunk,
  Subquery,
  Table,
  View,
  ViewBaseConfig,
} from 'drizzle-orm'
import {
  getTableConfig,
  integer,
  isPgEnum,
  PgDatabase,
  PgDeleteBase,
  PgInsertBase,
  PgSelectBase,
  PgSelectBuilder,
  PgSelectQueryBuilderBase,
  PgUpdateBase,
  pgTable,
  pgView,
  QueryBuilder,
} from 'drizzle-orm/pg-core'
import { npmVersion } from 'drizzle-orm/version'
import { AsideError } from '../errors.ts'

/**
 * Every private or undocumented member of drizzle-orm that this project touches, for the lines 0.44 and 0.45.
 * Nothing outside this file casts a Drizzle object. `checkDrizzle` proves the members at wrap time, and the contract
 * test runs it against each supported version, so a new Drizzle fails there with the name of what moved.
 */

export { Column, entityKind, is, Param, Placeholder, type Relation, SQL, StringChunk, Subquery, Table }

export type DriverKind = 'node-postgres' | 'postgres-js' | 'pglite'

/** A statement as the drivers take it. */
export interface Query {
  sql: string
  params: unknown[]
  typings?: unknown[] | undefined
}

/** One entry of a flattened selection: where the value goes, and what it is. */
export interface Field {
  readonly path: readonly string[]
  readonly field: unknown
}

/** The state of a select builder (`PgSelectConfig`). */
export interface SelectConfig {
  readonly withList?: readonly unknown[] | undefined
  readonly fields: Record<string, unknown>
  readonly fieldsFlat?: readonly Field[]
  readonly where?: unknown
  readonly having?: unknown
  readonly table: unknown
  readonly limit?: unknown
  readonly offset?: unknown
  readonly joins?: readonly unknown[]
  readonly orderBy?: readonly unknown[]
  readonly groupBy?: readonly unknown[]
  readonly lockingClause?: unknown
  readonly distinct?: unknown
  readonly setOperators: readonly unknown[]
}

/** One join of a select builder. */
export interface JoinConfig {
  readonly on?: unknown
  readonly table: unknown
  readonly joinType: 'inner' | 'left' | 'right' | 'full' | 'cross'
  readonly alias?: string | undefined
  readonly lateral?: boolean
}

/** One set operation of a select builder: what stands behind the select so far. */
export interface SetOperatorConfig {
  readonly type: string
  readonly isAll: boolean
  readonly rightSelect: unknown
  readonly orderBy?: readonly unknown[]
  readonly limit?: unknown
  readonly offset?: unknown
}

/** The state of an insert, update or delete builder, as far as each has it. */
export interface WriteConfig {
  readonly table: Table
  readonly withList?: readonly unknown[] | undefined
  readonly returning?: readonly Field[] | undefined
  readonly where?: unknown
  readonly set?: Record<string, unknown>
  readonly from?: unknown
  readonly joins?: readonly unknown[]
  readonly values?: unknown
  readonly select?: boolean
  readonly onConflict?: SQL
}

/** A table of the schema that `drizzle()` was given, with its relations by name. */
export interface TableConfig {
  readonly tsName: string
  readonly columns: Record<string, Column>
  readonly relations: Record<string, Relation>
}

/** What `db.query.x` hands to the dialect, and the dialect to itself for each relation below. */
export interface RelationalConfig {
  readonly fullSchema: Record<string, Table>
  readonly schema: Record<string, TableConfig>
  readonly tableNamesMap: Record<string, string>
  readonly table: Table
  readonly tableConfig: TableConfig
  readonly queryConfig: true | RelationalOptions
  readonly tableAlias: string
  readonly nestedQueryRelation?: unknown
}

export interface RelationalOptions {
  readonly columns?: Record<string, boolean | undefined>
  readonly where?: unknown
  readonly with?: Record<string, unknown>
  readonly extras?: unknown
  readonly orderBy?: unknown
  readonly limit?: unknown
  readonly offset?: unknown
}

export interface RelationalQuery {
  readonly tableTsKey: string
  readonly sql: SQL
  readonly selection: readonly unknown[]
}

/** The level below a relation as the relational builder finds it. */
export interface RelationTarget {
  readonly many: boolean
  readonly table: Table
  readonly tableConfig: TableConfig
  /** The parent's columns, and those of the level below that equal them. */
  readonly fields: readonly Column[]
  readonly references: readonly Column[]
}

/**
 * Follows a relation as `buildRelationalQueryWithoutPK` does (0.44 and 0.45); undefined where it fails, be it that the
 * relation does not exist or that the schema does not say enough.
 */
export function followRelation(
  { fullSchema, schema, tableNamesMap }: RelationalConfig,
  relation: Relation | undefined,
): RelationTarget | undefined {
  if (!is(relation, drizzle.Relation)) return undefined
  const name = tableNamesMap[getTableUniqueName(relation.referencedTable)] as string
  const table = fullSchema[name]
  const tableConfig = schema[name]
  if (!table || !tableConfig) return undefined
  try {
    const { fields, references } = normalizeRelation(schema as never, tableNamesMap, relation)
    return { many: is(relation, Many), table, tableConfig, fields, references }
  } catch {
    // Drizzle throws the same error when it builds, where the user sees it.
    return undefined
  }
}

/** How a dialect names columns that were declared without a name. */
export interface Casing {
  getColumnCasing(column: Column): string
  /** One function of the module for each rule, so that equal rules are the same function. */
  readonly convert: (name: string) => string
}

/** The methods of `PgDialect` that we call or override. */
export interface Dialect {
  casing: Casing
  escapeName(name: string): string
  buildWithCTE(queries: readonly unknown[] | undefined): SQL | undefined
  buildSelection(fields: readonly Field[], options: { isSingleTable: boolean }): SQL
  buildSelectQuery(config: SelectConfig): SQL
  buildInsertQuery(config: WriteConfig): SQL
  buildUpdateQuery(config: WriteConfig): SQL
  buildDeleteQuery(config: WriteConfig): SQL
  buildUpdateSet(table: Table, set: Record<string, unknown>): SQL
  buildRefreshMaterializedViewQuery(config: { view: unknown }): SQL
  buildRelationalQueryWithoutPK(config: RelationalConfig): RelationalQuery
  sqlToQuery(sql: SQL, invokeSource?: string): Query
}

export type ResultMapper = (rows: unknown[][], mapColumnValue?: (value: unknown) => unknown) => unknown

/** What a driver's `prepareQuery` returns, as far as builders and we use it. */
export interface PreparedQuery {
  joinsNotNullableMap?: Record<string, boolean> | undefined
  execute(placeholderValues?: Record<string, unknown>, token?: unknown): Promise<unknown>
  all(placeholderValues?: Record<string, unknown>): Promise<unknown>
  getQuery(): Query
  mapResult(response: unknown, isFromBatch?: boolean): unknown
  setToken(token: unknown): PreparedQuery
  isResponseInArrayMode(): boolean
}

export interface Session {
  dialect: Dialect
  readonly client: unknown
  prepareQuery(
    query: Query,
    fields: readonly Field[] | undefined,
    name: string | undefined,
    arrayMode: boolean,
    mapper?: ResultMapper,
    metadata?: unknown,
    cacheConfig?: unknown,
  ): PreparedQuery
  transaction(run: (tx: Transaction) => Promise<unknown>, config?: unknown): Promise<unknown>
  /** What `db.$count` calls. */
  count(sql: SQL, token?: unknown): Promise<number>
}

/** The same session over another client of its driver; every session reads its `client` when it prepares (0.44, 0.45). */
export const sessionOver = (session: Session, client: unknown): Session =>
  Object.assign(Object.create(session) as Session, { client })

/** A connection of a pool of `pg`, as far as {@link transactionOfOurs} has to do with it. */
interface PoolConnection {
  on(event: 'error', listener: () => void): unknown
  off(event: 'error', listener: () => void): unknown
  release(destroy?: unknown): unknown
}

/**
 * A transaction over a pool of `pg` that we put around a statement. What Drizzle leaves to chance in those of its users
 * (0.44 and 0.45, node-postgres/session) may not befall a statement that over plain Drizzle would only reject:
 * - `pg` also emits `error` on a connection that is lost. One that was taken out of its pool has no listener, and the event
 *   ends the process;
 * - where BEGIN fails the connection is never given back.
 *
 * `transaction` asks `this.client` for a connection, and knows a pool by its prototype: the view of the pool has the pool
 * itself for that.
 */
export async function transactionOfOurs(
  session: Session,
  run: (tx: Transaction) => Promise<unknown>,
): Promise<unknown> {
  const pool = session.client as { connect(): Promise<PoolConnection> }
  let giveBack = (_destroy: unknown): void => {}
  const connect = async (): Promise<PoolConnection> => {
    const connection = await pool.connect()
    const { release } = connection
    connection.on('error', ignore)
    giveBack = (destroy) => {
      giveBack = ignore
      connection.off('error', ignore)
      release.call(connection, destroy)
    }
    // A new one with each time that the connection is taken out.
    connection.release = (destroy) => giveBack(destroy)
    return connection
  }
  const view = Object.create(session, { client: { value: Object.create(pool, { connect: { value: connect } }) } })
  try {
    return await (view as Session).transaction(run)
  } finally {
    giveBack(true)
  }
}

const ignore = (): void => {}

export interface Database {
  readonly dialect: Dialect
  readonly session: Session
  _: { schema: unknown; fullSchema: Record<string, unknown>; tableNamesMap: Record<string, string>; session: Session }
  query: Record<string, unknown>
  $client?: unknown
  $cache?: unknown
}

export interface Transaction extends Database {
  schema: { fullSchema: Record<string, unknown>; schema: unknown; tableNamesMap: Record<string, string> } | undefined
  nestedIndex: number
  transaction(run: (tx: Transaction) => Promise<unknown>): Promise<unknown>
}

/** What `db.select(…)` returns, before the table is named (`PgSelectBuilder`). */
export interface SelectStart {
  fields: Record<string, unknown> | undefined
  session: Session
  dialect: Dialect
  withList: readonly unknown[]
  distinct: unknown
  authToken: unknown
  from(source: unknown): SelectBuilder
}

/** A select builder (`PgSelectBase`), as far as we call it. */
export interface SelectBuilder {
  where(condition: unknown): SelectBuilder
  limit(count: unknown): SelectBuilder
  execute(placeholders?: Record<string, unknown>): Promise<unknown>
  then(onFulfilled?: unknown, onRejected?: unknown): Promise<unknown>
  _prepare(name?: string): PreparedQuery
}

interface SelectClasses {
  readonly start: new (config: Pick<SelectStart, 'fields' | 'session' | 'dialect'>) => SelectStart
  readonly select: { readonly prototype: SelectBuilder }
}
/** The two classes behind `db.select(…).from(…)`; their constructors and most of their members are `@internal`. */
export const selectClasses = { start: PgSelectBuilder, select: PgSelectBase } as unknown as SelectClasses

/** Members of a select builder: those of its classes, and those that each builder gets as its own. */
export function selectMembers(): { readonly own: readonly string[]; readonly inherited: readonly string[] } {
  const sample = new PgSelectBuilder({ fields: {}, session: undefined, dialect: undefined as never }).from(new SQL([]))
  const inherited = new Set<string>()
  for (let at = PgSelectBase.prototype; at && at !== Object.prototype; at = Object.getPrototypeOf(at))
    for (const name of Object.getOwnPropertyNames(at)) inherited.add(name)
  inherited.delete('constructor')
  return { own: Object.keys(sample), inherited: [...inherited] }
}

const selectOfDrizzle: unknown = PgDatabase.prototype.select
/** True unless somebody has put a `select` of his own on the db or its class. */
export const hasPlainSelect = (db: Database): boolean => (db as { select?: unknown }).select === selectOfDrizzle

type Mapped = (fields: readonly Field[], row: readonly unknown[], joins?: Record<string, boolean>) => unknown
/** Drizzle's own mapping of one raw row; public at run time, stripped from its types. */
export const { mapResultRow, orderSelectedFields: orderFields } = drizzle as unknown as {
  mapResultRow: Mapped
  /** Flattens a selection as the builders do. */
  orderSelectedFields(fields: Record<string, unknown>): Field[]
}

interface Symbols {
  readonly Name: symbol
  readonly Schema: symbol
  readonly OriginalName: symbol
  readonly Columns: symbol
  readonly IsAlias: symbol
}
const symbols = (Table as unknown as { Symbol: Symbols }).Symbol
const read = <T>(table: unknown, symbol: symbol): T => (table as Record<symbol, T>)[symbol] as T

/** True for a table that was given another name: columns are then qualified by that name alone. */
export const isAliased = (table: unknown): boolean => read(table, symbols.IsAlias)
/** Name used in SQL text: the alias where there is one. */
export const aliasOf = (table: unknown): string => read(table, symbols.Name)
export const schemaOf = (table: unknown): string | undefined => read(table, symbols.Schema)
export const originalNameOf = (table: unknown): string => read(table, symbols.OriginalName)
export const columnsOf = (table: unknown): Record<string, Column> => read(table, symbols.Columns)

/** Constraints, indexes and policies of a table, as far as we compare them with the catalog. */
export interface DeclaredConfig {
  readonly primaryKeys: readonly { readonly columns: readonly Column[] }[]
  readonly uniqueConstraints: readonly { readonly columns: readonly Column[] }[]
  readonly indexes: readonly {
    /** Without a name: an expression. */
    readonly columns: readonly { readonly name?: string }[]
    readonly unique: boolean
    readonly condition: boolean
    readonly method: string
    /** Another operator class than the type's own. */
    readonly ownOperators: boolean
  }[]
  readonly foreignKeys: readonly {
    readonly columns: readonly Column[]
    readonly foreignTable: object
    readonly foreignColumns: readonly Column[]
    readonly onDelete: string | undefined
    readonly onUpdate: string | undefined
  }[]
  readonly rowSecurity: boolean
}

/** What `pgTable` was told beside the columns; runs the table's callbacks. */
export function declaredConfig(table: object): DeclaredConfig {
  const { primaryKeys, uniqueConstraints, indexes, foreignKeys, policies, enableRLS } = getTableConfig(table as never)
  type Indexed = { readonly name?: string; readonly indexConfig?: { readonly opClass?: string } }
  return {
    primaryKeys,
    uniqueConstraints,
    indexes: indexes.map(({ config }) => ({
      columns: config.columns as Indexed[],
      unique: config.unique,
      condition: config.where !== undefined,
      method: config.method ?? 'btree',
      ownOperators: (config.columns as Indexed[]).some(({ indexConfig }) => indexConfig?.opClass !== undefined),
    })),
    foreignKeys: foreignKeys.map(({ reference, onDelete, onUpdate }) => ({ ...reference(), onDelete, onUpdate })),
    rowSecurity: enableRLS || policies.length > 0,
  }
}

/** The tables of the schema that `drizzle()` was given. */
export const schemaTables = (db: Database): object[] =>
  Object.values(db._.fullSchema ?? {}).filter((value) => is(value, Table)) as object[]

/**
 * Names of columns as a dialect gives them, without its memory: that is kept by table name, so that looking at one table
 * object would take the names from another of the same name (`CasingCache`, 0.44 and 0.45).
 */
export function columnNaming({ casing }: Dialect): (column: Column) => string {
  return (column) => {
    const own = Object.create(casing, { cache: { value: {} }, cachedTables: { value: {} } }) as Dialect['casing']
    return own.getColumnCasing(column)
  }
}

/** Members of a column that are not in its type. */
export const keyIsName = (column: Column): boolean => (column as unknown as { keyAsName: boolean }).keyAsName
export const onUpdateOf = (column: Column): unknown => (column as { onUpdateFn?: unknown }).onUpdateFn
export const encoderOf = (param: Param): { mapToDriverValue(value: unknown): unknown } => param.encoder
export const decode = (column: Column, value: unknown): unknown => column.mapFromDriverValue(value as never)

/** Chunks of a condition; `undefined` for anything that is not an SQL tree. */
export const chunksOf = (node: unknown): readonly unknown[] | undefined =>
  node instanceof SQL || is(node, SQL) ? (node as SQL).queryChunks : undefined
export const inlinesParams = (node: SQL): boolean =>
  (node as unknown as { shouldInlineParams: boolean }).shouldInlineParams
/** Text of a string chunk; undefined for every other chunk. */
export function textOf(chunk: unknown): string | undefined {
  if (!(chunk instanceof StringChunk) && !is(chunk, StringChunk)) return undefined
  const { value } = chunk as StringChunk
  return value.length === 1 ? value[0] : value.join('')
}

/** What Drizzle's renderer of chunks (`SQL.buildQueryFromSourceParams`) tells apart. */
export type ChunkKind =
  | 'text'
  | 'name'
  | 'list'
  | 'sql'
  | 'table'
  | 'column'
  | 'view'
  | 'param'
  | 'placeholder'
  | 'aliased'
  | 'subquery'
  | 'select'
  | 'write'
  | 'other'

type EntityClass = Parameters<typeof is>[1]
// In the renderer's order.
const kinds: readonly (readonly [EntityClass, ChunkKind])[] = [
  [StringChunk, 'text'],
  [Name, 'name'],
  [SQL, 'sql'],
  [Table, 'table'],
  [Column, 'column'],
  [View, 'view'],
  [Param, 'param'],
  [Placeholder, 'placeholder'],
  [SQL.Aliased, 'aliased'],
  [Subquery, 'subquery'],
  [PgSelectQueryBuilderBase as EntityClass, 'select'],
  [PgInsertBase as EntityClass, 'write'],
  [PgUpdateBase as EntityClass, 'write'],
  [PgDeleteBase as EntityClass, 'write'],
]
const kindOfPrototype = new Map<object | null, ChunkKind>([[Array.prototype, 'list']])

/**
 * The kind of a chunk. `is()` decides from the prototype alone, and asking it is nearly half of what Drizzle spends on
 * building; so each prototype is asked about once. Unlike `constructor`, the prototype of a proxy runs no code.
 */
export function chunkKind(chunk: object): ChunkKind {
  const prototype = Object.getPrototypeOf(chunk) as object | null
  return kindOfPrototype.get(prototype) ?? learnKind(chunk, prototype)
}

function learnKind(chunk: object, prototype: object | null): ChunkKind {
  // An object's own prototype is no key to keep: `Object.create(row)` would fill the memory.
  if (prototype === null || prototype === Object.prototype) return 'other'
  const kind = Array.isArray(chunk) ? 'list' : (kinds.find(([type]) => is(chunk, type))?.[1] ?? 'other')
  if (kind !== 'other' && Object.hasOwn(prototype, 'constructor')) kindOfPrototype.set(prototype, kind)
  return kind
}

/** The same for anything; undefined for what is no object. */
export const kindOf = (chunk: unknown): ChunkKind | undefined =>
  typeof chunk === 'object' && chunk !== null ? chunkKind(chunk) : undefined

/** True for what Drizzle would ask for its SQL. */
export const isWrapper = (chunk: object): boolean => typeof (chunk as { getSQL?: unknown }).getSQL === 'function'

/** Schema and name of a `pgEnum`, which is a function; undefined for everything else. */
export function enumOf(chunk: unknown): { readonly schema: string | undefined; readonly name: string } | undefined {
  return isPgEnum(chunk) ? { schema: chunk.schema, name: chunk.enumName } : undefined
}

/** State and dialect of a select builder. */
export const builderOf = (builder: object): { readonly config: SelectConfig; readonly dialect: Dialect } =>
  builder as { config: SelectConfig; dialect: Dialect }

export const nameOf = (name: object): string => (name as Name).value
export const placeholderName = (placeholder: object): string => (placeholder as Placeholder).name
export const isPlaceholder = (value: unknown): value is Placeholder => kindOf(value) === 'placeholder'

/** A field under another name; `selected` where it only repeats the name of a field of a sub-query. */
export interface AliasedField {
  readonly sql: SQL
  readonly fieldAlias: string
  readonly isSelectionField: boolean
}
export const aliasedField = (chunk: object): AliasedField => chunk as AliasedField

export interface SubqueryParts {
  readonly sql: SQL
  readonly alias: string
  readonly isWith: boolean
  readonly selectedFields: Record<string, unknown>
}
/** What a sub-query holds. Each call makes proxies, so ask once. */
export const subqueryOf = (chunk: object): SubqueryParts => (chunk as { _: SubqueryParts })._

export interface ViewParts {
  readonly name: string
  readonly originalName: string
  readonly schema: string | undefined
  readonly isAlias: boolean
}
/** What a view is called. Each call makes proxies, so ask once. */
export const viewOf = (chunk: object): ViewParts =>
  (chunk as Record<symbol, ViewParts>)[ViewBaseConfig as unknown as symbol] as ViewParts

const driverKinds: Record<string, DriverKind> = {
  NodePgSession: 'node-postgres',
  PostgresJsSession: 'postgres-js',
  PgliteSession: 'pglite',
}

export function driverKindOf(session: object): DriverKind | undefined {
  for (let type = session.constructor as unknown; type; type = Object.getPrototypeOf(type)) {
    const kind = driverKinds[(type as Record<symbol, string>)[entityKind] ?? '']
    if (kind) return kind
  }
  return undefined
}

const known = /^0\.4[45]\./
const dialectMembers = [
  'buildWithCTE',
  'buildSelection',
  'buildSelectQuery',
  'buildInsertQuery',
  'buildUpdateQuery',
  'buildDeleteQuery',
  'buildUpdateSet',
  'buildRefreshMaterializedViewQuery',
  'buildRelationalQueryWithoutPK',
  'sqlToQuery',
] as const

/** What is not where it was in the known Drizzle lines; empty when everything is. */
export function movedMembers(db: unknown, version: string = npmVersion): string[] {
  const { dialect, session } = db as Database
  const moved: string[] = []
  if (!known.test(version)) moved.push(`version ${version}`)
  if (!is(db, PgDatabase)) moved.push('db is not a PgDatabase')
  for (const name of dialectMembers) if (typeof dialect?.[name] !== 'function') moved.push(`dialect.${name}`)
  if (typeof dialect?.casing?.getColumnCasing !== 'function') moved.push('dialect.casing.getColumnCasing')
  if (typeof dialect?.casing?.convert !== 'function') moved.push('dialect.casing.convert')
  if (session?.prepareQuery?.length !== 7) moved.push('session.prepareQuery with seven parameters')
  if (typeof session?.transaction !== 'function') moved.push('session.transaction')
  if (!Array.isArray(new StringChunk('').value)) moved.push('StringChunk.value as an array')
  if (typeof mapResultRow !== 'function') moved.push('mapResultRow')
  moved.push(...movedSelect())
  for (const name of ['Name', 'Schema', 'OriginalName', 'Columns', 'IsAlias'] as const)
    if (typeof symbols?.[name] !== 'symbol') moved.push(`Table.Symbol.${name}`)
  return [...moved, ...movedParts()]
}

/** The same for what select builders and their parts keep inside. */
function movedParts(): string[] {
  const moved: string[] = []
  const table = pgTable('t', { id: integer() })
  const view = pgView('v', { id: integer() }).existing()
  const select = new QueryBuilder().select({ n: drizzle.sql`1`.as('n') }).from(table)
  const { config, dialect } = builderOf(select)
  if (config?.table !== table || !Array.isArray(config?.setOperators)) moved.push('config of a select builder')
  if (typeof dialect?.casing?.convert !== 'function') moved.push('dialect of a select builder')
  const subquery = subqueryOf(select.as('s'))
  if (subquery?.alias !== 's' || subquery.isWith !== false || !is(subquery.sql, SQL)) moved.push('Subquery._')
  const { n } = select.as('s') as unknown as { n: object }
  if (aliasedField(n).fieldAlias !== 'n' || !aliasedField(n).isSelectionField) moved.push('SQL.Aliased')
  const { name, originalName, isAlias } = viewOf(view) ?? {}
  if (name !== 'v' || originalName !== 'v' || isAlias !== false) moved.push('View[ViewBaseConfig]')
  if (keyIsName(columnsOf(table).id as Column) !== true) moved.push('Column.keyAsName')
  return moved
}

/** What a lean select builder (lean-select.ts) rests on. */
function movedSelect(): string[] {
  const { start, select } = selectClasses
  const moved: string[] = []
  if (typeof start?.prototype?.from !== 'function') moved.push('PgSelectBuilder.from')
  for (const name of ['where', 'limit', '$dynamic', '_prepare', 'then', 'getSQL'] as const)
    if (typeof (select?.prototype as unknown as Record<string, unknown>)?.[name] !== 'function')
      moved.push(`PgSelectBase.${name}`)
  return moved
}

/** Throws unless the db is of a known driver and Drizzle line. Returns its driver kind. */
export function checkDrizzle(db: unknown): DriverKind {
  const session = (db as Partial<Database> | null)?.session
  const kind = session && driverKindOf(session)
  if (!kind) {
    const kinds = 'drizzle-orm/node-postgres, drizzle-orm/postgres-js and drizzle-orm/pglite'
    throw new AsideError(
      'ASIDE_UNSUPPORTED_DRIVER',
      `withCache takes a db made by ${kinds}. Pass what drizzle() returned.`,
    )
  }
  const moved = movedMembers(db)
  if (moved.length > 0) {
    const advice = `drizzle-orm 0.44 and 0.45 are known. Install one of them, or a newer drizzle-aside.`
    throw new AsideError('ASIDE_UNSUPPORTED_DRIZZLE', `This drizzle-orm differs: ${moved.join(', ')}. ${advice}`)
  }
  return kind
}

interface QueryError extends Error {
  readonly query: string
  readonly params: unknown[]
}
type QueryErrorClass = new (query: string, params: unknown[], cause: Error) => Error

/** True for Drizzle's own wrapper around a driver error; known by shape, since 0.44.0 does not export the class. */
export function isQueryError(error: unknown): error is QueryError {
  return (
    error instanceof Error && error.constructor.name === 'DrizzleQueryError' && 'query' in error && 'params' in error
  )
}

/** The same failure told about another text: the caller knows the statement as written, not as rewritten. */
export function retellError(error: unknown, query: Query): unknown {
  if (!isQueryError(error)) return error
  return new (error.constructor as QueryErrorClass)(query.sql, query.params, error.cause as Error)
}

/** A driver's error as Drizzle wraps it for a statement; known by running its own wrapper, for 0.44.0 hides the class. */
export async function queryErrorOf(
  prepared: unknown,
  text: string,
  params: unknown[],
  error: unknown,
): Promise<unknown> {
  if (isQueryError(error)) return retellError(error, { sql: text, params })
  type Wraps = { queryWithCache?(text: string, params: unknown[], run: () => Promise<never>): Promise<never> }
  const wrapped = (prepared as Wraps).queryWithCache?.(text, params, () => Promise.reject(error))
  return (await wrapped?.catch((told: unknown) => told)) ?? error
}

/**
 * A statement that may fail inside postgres.js' own transaction: there a failed statement ends the transaction even when
 * its rejection is caught, except in the driver's own savepoint. Drizzle's session holds the driver's transaction as its
 * client (0.44, 0.45). False: there is no transaction.
 */
export async function postgresJsSavepoint({ client }: Session, text: string): Promise<boolean> {
  interface Inner {
    unsafe(text: string): Promise<unknown>
  }
  const { savepoint } = client as { savepoint?: (run: (inner: Inner) => Promise<unknown>) => Promise<unknown> }
  await savepoint?.((inner) => inner.unsafe(text))
  return savepoint !== undefined
}
