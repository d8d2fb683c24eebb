import type { DriverKind } from './internals.ts'

/**
 * A statement without RETURNING answers in the driver's own form: counts, no rows. When hidden columns were added, that
 * form is put back, so that the caller sees what the plain statement would have given.
 */

/** Rows touched, as the driver says; undefined where it does not. */
export function touchedCount(kind: DriverKind, result: unknown): number | undefined {
  const { rowCount, count, affectedRows } = result as Record<string, unknown>
  const found = kind === 'node-postgres' ? rowCount : kind === 'postgres-js' ? count : affectedRows
  return typeof found === 'number' ? found : undefined
}

/** Hidden rows as arrays of values, by position: names may have been rewritten by the driver's options. */
export function hiddenRows(kind: DriverKind, result: unknown): unknown[][] {
  const rows = kind === 'postgres-js' ? (result as object[]) : (result as { rows: object[] }).rows
  return rows.map((row) => Object.values(row))
}

/** What the plain statement's command tag would have said. */
export interface PlainTag {
  readonly command: 'INSERT' | 'UPDATE' | 'DELETE'
  readonly count: number
  /** True when the user's own statement carries parameters: postgres.js then answers `columns: []`. */
  readonly withParams: boolean
  /** The user's own text, as postgres.js shows it in its result. */
  text(): string
}

/** Takes the hidden rows out of a native result, in place. */
export function restoreNative(kind: DriverKind, result: unknown, tag: PlainTag): unknown {
  if (kind === 'node-postgres') return restoreNodePostgres(result as NodePostgresResult, tag)
  if (kind === 'postgres-js') return restorePostgresJs(result as PostgresJsResult, tag)
  return restorePglite(result as Record<string, unknown>, tag)
}

/** Which properties a result has depends on PGlite's version. */
function restorePglite(result: Record<string, unknown>, { command, count }: PlainTag): unknown {
  const told = { command, affectedRows: count, rowCount: count }
  const kept = Object.fromEntries(Object.entries(told).filter(([name]) => result[name] !== undefined))
  return { ...result, rows: [], fields: [], ...kept }
}

interface NodePostgresResult {
  command: string
  rowCount: number
  oid: number | null
  rows: unknown[]
  fields: unknown[]
  _parsers: unknown
  _prebuiltEmptyResultObject: unknown
}

function restoreNodePostgres(result: NodePostgresResult, tag: PlainTag): unknown {
  result.command = tag.command
  result.rowCount = tag.count
  result.oid = tag.command === 'INSERT' ? 0 : null
  result.rows = []
  result.fields = []
  result._parsers = undefined
  result._prebuiltEmptyResultObject = null
  return result
}

interface PostgresJsResult extends Array<unknown> {
  count: number
  command: string
  columns: unknown
  statement: { string: string; columns?: unknown }
}

function restorePostgresJs(result: PostgresJsResult, tag: PlainTag): unknown {
  result.length = 0
  result.count = tag.count
  result.command = tag.command
  result.columns = tag.withParams ? [] : undefined
  // A copy: the driver's own one tells it how to read the rows when the prepared statement runs again.
  const { columns: _, ...statement } = result.statement
  result.statement = { ...statement, string: tag.text(), ...(tag.withParams && { columns: [] }) }
  return result
}

/** PGlite tells in its error which parameters it was given; those behind `count` are ours. */
export function hideParams(error: unknown, count: number): void {
  const { cause } = error as { cause?: { params?: unknown } }
  if (cause && Array.isArray(cause.params)) cause.params = cause.params.slice(0, count)
}
