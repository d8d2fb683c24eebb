import * as drizzle from 'drizzle-orm'
import { Column, entityKind, is, Param, Placeholder, SQL, StringChunk, Table } from 'drizzle-orm'
import { PgDatabase } from 'drizzle-orm/pg-core'
import { npmVersion } from 'drizzle-orm/version'
import { AsideError } from '../errors.ts'

/**
 * Every private or undocumented member of drizzle-orm that this project touches, for the lines 0.44 and 0.45.
 * Nothing outside this file casts a Drizzle object. `checkDrizzle` proves the members at wrap time, and the contract
 * test runs it against each supported version, so a new Drizzle fails there with the name of what moved.
 */

export { Column, entityKind, is, Param, Placeholder, SQL, StringChunk, Table }

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
  readonly withList?: readonly unknown[]
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

/** The state of an insert, update or delete builder, as far as each has it. */
export interface WriteConfig {
  readonly table: Table
  readonly withList?: readonly unknown[]
  readonly returning?: readonly Field[]
  readonly where?: unknown
  readonly set?: Record<string, unknown>
  readonly from?: unknown
  readonly joins?: readonly unknown[]
  readonly values?: unknown
  readonly select?: boolean
  readonly onConflict?: SQL
}

/** What `db.query.x` hands to the dialect. */
export interface RelationalConfig {
  readonly table: Table
  readonly tableConfig: { readonly columns: Record<string, Column>; readonly tsName: string }
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
  readonly selection: unknown[]
}

/** The methods of `PgDialect` that we call or override. */
export interface Dialect {
  casing: { getColumnCasing(column: Column): string }
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
}

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
}
const symbols = (Table as unknown as { Symbol: Symbols }).Symbol
const read = <T>(table: unknown, symbol: symbol): T => (table as Record<symbol, T>)[symbol] as T

/** Name used in SQL text: the alias where there is one. */
export const aliasOf = (table: unknown): string => read(table, symbols.Name)
export const schemaOf = (table: unknown): string | undefined => read(table, symbols.Schema)
export const originalNameOf = (table: unknown): string => read(table, symbols.OriginalName)
export const columnsOf = (table: unknown): Record<string, Column> => read(table, symbols.Columns)

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
  if (session?.prepareQuery?.length !== 7) moved.push('session.prepareQuery with seven parameters')
  if (typeof session?.transaction !== 'function') moved.push('session.transaction')
  if (!Array.isArray(new StringChunk('').value)) moved.push('StringChunk.value as an array')
  if (typeof mapResultRow !== 'function') moved.push('mapResultRow')
  for (const name of ['Name', 'Schema', 'OriginalName', 'Columns'] as const)
    if (typeof symbols?.[name] !== 'symbol') moved.push(`Table.Symbol.${name}`)
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
