import type { TokenKind } from '../model/facts.ts'
import type { Scheme } from '../model/keys.ts'
import type { LookupKey, RecordRow, RecordSource } from '../model/record.ts'
import { tokenOfText } from '../model/tokens.ts'
import { Placeholder, type PreparedQuery } from './internals.ts'
import type { StatementContext } from './statement-context.ts'
import type { TableShape } from './table-shape.ts'

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`
const asTheyAre = (rows: unknown[][]): unknown => rows

/**
 * Reads whole records by their keys alone: no further condition, no LIMIT, so that only "there is no row of this key" can
 * come out as absence. In a list the key columns come back once more as text, to tell whose row it is.
 */
export async function loadRecords(
  context: StatementContext,
  shape: TableShape,
  source: RecordSource,
  scheme: Scheme,
  keys: readonly LookupKey[],
): Promise<readonly RecordRow[] | 'ambiguous'> {
  const rows = await run(context, shape, source, scheme, keys)
  if (keys.length > 1) return inOrder(rows, source, scheme, keys)
  if (rows.length > 1) return 'ambiguous'
  return [rows.length === 0 ? null : (rows[0] as unknown[])]
}

function run(
  context: StatementContext,
  shape: TableShape,
  source: RecordSource,
  scheme: Scheme,
  keys: readonly LookupKey[],
): Promise<unknown[][]> {
  if (keys.length === 1) {
    const { values } = keys[0] as LookupKey
    // Placeholders are named by position, so the array is what they ask.
    return loneRow(context, shape, source, scheme).execute(values as never) as Promise<unknown[][]>
  }
  const params = keys.flatMap(({ values }) => values)
  const sql = textFor(shape, source, scheme, keys.length)
  return prepare(context, sql, params).execute() as Promise<unknown[][]>
}

function prepare({ session }: StatementContext, sql: string, params: unknown[]): PreparedQuery {
  return session.prepareQuery({ sql, params }, undefined, undefined, true, asTheyAre)
}

interface Kept {
  readonly session: object
  readonly prepared: PreparedQuery
}
/** By source and scheme: table objects with other columns share the schemes of their table. */
const loneRows = new WeakMap<RecordSource, Map<Scheme, Kept>>()

/** The query for one row, prepared once (for us, not for the server): a driver's query object is dear to make. */
function loneRow(context: StatementContext, shape: TableShape, source: RecordSource, scheme: Scheme): PreparedQuery {
  let bySource = loneRows.get(source)
  if (!bySource) {
    bySource = new Map()
    loneRows.set(source, bySource)
  }
  const kept = bySource.get(scheme)
  if (kept?.session === context.session) return kept.prepared
  const params = scheme.columns.map((_, at) => new Placeholder(String(at)))
  const prepared = prepare(context, textFor(shape, source, scheme, 1), params)
  bySource.set(scheme, { session: context.session, prepared })
  return prepared
}

const texts = new WeakMap<RecordSource, Map<string, string>>()

function textFor(shape: TableShape, source: RecordSource, scheme: Scheme, count: number): string {
  let known = texts.get(source)
  if (!known) {
    known = new Map()
    texts.set(source, known)
  }
  const name = `${scheme.name}${count}`
  let text = known.get(name)
  if (text === undefined) {
    text = buildText(shape, source, scheme, count)
    // Texts of rare list lengths would fill the memory of a long-lived process.
    if (known.size < 256) known.set(name, text)
  }
  return text
}

function buildText(shape: TableShape, source: RecordSource, scheme: Scheme, count: number): string {
  const columns = source.columns.map((at) => quote(shape.names[at] as string))
  if (count > 1) columns.push(...scheme.columns.map((name) => `${quote(name)}::text`))
  const table = shape.schema === undefined ? quote(shape.name) : `${quote(shape.schema)}.${quote(shape.name)}`
  return `select ${columns.join(', ')} from ${table} where ${conditionText(scheme, count)}`
}

function conditionText({ columns }: Scheme, count: number): string {
  const width = columns.length
  if (count === 1) return columns.map((name, at) => `${quote(name)} = $${at + 1}`).join(' and ')
  const tuple = (row: number): string => columns.map((_, at) => `$${row * width + at + 1}`).join(', ')
  const list = Array.from({ length: count }, (_, row) => (width === 1 ? tuple(row) : `(${tuple(row)})`)).join(', ')
  return width === 1 ? `${quote(columns[0] as string)} in (${list})` : `(${columns.map(quote).join(', ')}) in (${list})`
}

function inOrder(
  rows: readonly unknown[][],
  source: RecordSource,
  scheme: Scheme,
  keys: readonly LookupKey[],
): readonly RecordRow[] | 'ambiguous' {
  const width = source.columns.length
  const asked = new Set(keys.map(({ tokens }) => JSON.stringify(tokens)))
  const byKey = new Map<string, RecordRow>()
  for (const row of rows) {
    const tokens = scheme.tokens.map((kind: TokenKind, at) => tokenOfText(kind, row[width + at] as string | null))
    const name = JSON.stringify(tokens)
    // A row nobody asked for means that a token is not what we think; nothing may be concluded, absence least of all.
    if (byKey.has(name) || !asked.has(name)) return 'ambiguous'
    byKey.set(name, row.slice(0, width))
  }
  return keys.map(({ tokens }) => byKey.get(JSON.stringify(tokens)) ?? null)
}
