import type { RelationFacts } from './facts.ts'
import type { DerivedUnder, InvalidatedTable } from './invalidation.ts'

/**
 * The outbox: a table of the user's database that holds the keys of a write until the store has been told. A row commits
 * with its write, so it is there exactly when the write is.
 */
export interface OutboxName {
  /** Undefined: the search path decides, as for every unqualified name. */
  readonly schema: string | undefined
  readonly table: string
}

/** One row as it is inserted; the database adds the time. */
export interface OutboxRow {
  /** The table, quoted and qualified: a search path set inside a transaction does not matter. */
  readonly into: string
  readonly id: string
  readonly namespace: string
  readonly keys: string
}

/** Why the table cannot be used, as events and `health()` show it. */
export type OutboxFault = 'missing' | 'not-a-table' | 'other-columns' | 'no-privilege' | 'side-effects'

export const DEFAULT_OUTBOX = 'aside_outbox'

/** PostgreSQL cuts names after 63 bytes, and the index is named after the table. */
export const LONGEST_OUTBOX = 59

const columns: Readonly<Record<string, string>> = {
  id: 'uuid',
  namespace: 'text',
  keys: 'text',
  written_at: 'timestamp with time zone',
}

/**
 * Why a relation cannot be the outbox; undefined: it can. Nothing but our own rows may come of an insert, and nothing of
 * the user's may fail by one, so a table with triggers, rules, policies or further columns is refused.
 */
export function outboxFault(relation: RelationFacts | undefined): OutboxFault | undefined {
  if (!relation) return 'missing'
  if (relation.kind !== 'table' || relation.inheritanceChildren) return 'not-a-table'
  const names = Object.entries(columns)
  const fits = names.every(([name, type]) => relation.columns.get(name)?.sqlType === type)
  if (!fits || relation.columns.size !== names.length) return 'other-columns'
  const { select, insert, delete: remove } = relation.privileges
  if (!select || !insert || !remove) return 'no-privilege'
  return relation.triggers.length > 0 || relation.rules || relation.rowSecurity ? 'side-effects' : undefined
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

export const quotedOutbox = ({ schema, table }: OutboxName): string =>
  schema === undefined ? quote(table) : `${quote(schema)}.${quote(table)}`

/**
 * The statements that create an outbox. Rows live for a moment, so the table is vacuumed by their number, not by a share
 * of it; and it is an ordinary table, for an unlogged one is empty after a crash of the server.
 */
export function outboxTable(name: OutboxName): string {
  const table = quotedOutbox(name)
  return `create table if not exists ${table} (
  id uuid primary key,
  namespace text not null,
  keys text not null,
  written_at timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
create index if not exists ${quote(`${name.table}_due`)} on ${table} (namespace, written_at);
`
}

/** The form of a row's keys: a version, then table by table the epoch, the keys (0: all) and what they were derived under. */
type Packed = readonly [version: 1, tables: readonly PackedTable[]]
type PackedTable = readonly [epoch: string, keys: readonly string[] | 0, ...derived: string[]]

/** The keys of a batch as the text of a row: ASCII alone, so that no client encoding can change it. */
export function packBatch(tables: readonly InvalidatedTable[]): string {
  const packed: Packed = [1, tables.map(packTable)]
  return JSON.stringify(packed).replace(/[\u007f-\uffff]/g, escaped)
}

const packTable = ({ epoch, keys, derived }: InvalidatedTable): PackedTable => {
  const under = derived ? [derived.register, derived.version, derived.label] : []
  return [epoch, keys === 'all' ? 0 : keys, ...under]
}

const escaped = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`

/**
 * The batch in a row; undefined where it is none: written by a later release, or by somebody else. Keys of other
 * namespaces are no batch either, for who may insert a row shall not remove any key of the store.
 */
export function unpackBatch(text: string, namespace: string): InvalidatedTable[] | undefined {
  const packed = parsed(text)
  if (!Array.isArray(packed) || packed[0] !== 1 || !Array.isArray(packed[1])) return undefined
  const ours = (key: unknown): boolean => typeof key === 'string' && key.startsWith(`da1:${namespace}:`)
  const tables = packed[1].map((each) => unpackTable(each, ours))
  return tables.includes(undefined) ? undefined : (tables as InvalidatedTable[])
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function unpackTable(packed: unknown, ours: (key: unknown) => boolean): InvalidatedTable | undefined {
  if (!Array.isArray(packed)) return undefined
  const [epoch, keys, ...under] = packed
  if (!ours(epoch) || !(keys === 0 || (Array.isArray(keys) && keys.every(ours)))) return undefined
  const derived = unpackDerived(under)
  if (under.length > 0 && !(derived && ours(derived.register))) return undefined
  return { epoch, keys: keys === 0 ? 'all' : keys, ...(derived && { derived }) }
}

function unpackDerived(under: readonly unknown[]): DerivedUnder | undefined {
  const [register, version, label] = under
  const texts = under.length === 3 && under.every((part) => typeof part === 'string')
  return texts ? ({ register, version, label } as DerivedUnder) : undefined
}

/** The insert with its values in it, for where several statements go in one message and none may carry parameters. */
export const insertWithValues = ({ into, id, namespace, keys }: OutboxRow): string =>
  `insert into ${into} (id, namespace, keys) values (${[id, namespace, keys].map(literal).join(', ')})`

/** In this form a backslash means the same whatever `standard_conforming_strings` says. */
const literal = (text: string): string => `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
