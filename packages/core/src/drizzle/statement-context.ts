import type { BypassReason } from '../model/reasons.ts'
import type { LastKnownPort } from '../ports/last-known.ts'
import type { NamedTable, ReadPath, ResultPort, Scope, WritePath } from '../ports/paths.ts'
import type { ClientState } from './client-state.ts'
import type { Dialect, Session } from './internals.ts'
import type { Naming } from './naming.ts'
import type { ReplicaFills } from './replica-fills.ts'
import type { TableShape } from './table-shape.ts'

/** What the user said for all statements of one handle (`$aside.with(…)`). */
export interface CallOptions {
  readonly ttlMs?: number
  readonly cache?: boolean
  /** The tables that raw statements write; an empty list: none. */
  readonly writes?: readonly NamedTable[]
  /** Tags that answers rest on beside their tables. */
  readonly tags?: readonly string[]
  /** Tables that selects read beside those that can be seen. */
  readonly tables?: readonly NamedTable[]
}

/** Everything a statement of one wrapped session needs to know. */
export interface StatementContext {
  readonly session: Session
  readonly dialect: Dialect
  readonly client: ClientState
  readonly read: ReadPath
  readonly results: ResultPort
  readonly write: WritePath
  /** Undefined where no table is served while the database is down. */
  readonly lastKnown: LastKnownPort | undefined
  readonly call: CallOptions
  /** For a wrap over a replica: where the queries of misses run. */
  readonly fills: ReplicaFills | undefined
  /** The transaction that the session belongs to; undefined: autocommit. */
  readonly scope: Scope | undefined
  shape(table: object): TableShape
  /** Names as structural keys have them. */
  readonly naming: Naming
}

/** The transaction that a statement takes part in, also where the driver shares one connection with everybody. */
export function currentScope({ scope, client }: StatementContext): Scope | undefined {
  return scope ?? client.open.at(-1) ?? client.rawTransaction
}

/**
 * Where the changes of a statement go. On a pool nobody knows whether a transaction that was begun by hand holds it: then
 * they go to the transaction, and to everybody at once.
 */
export function destinations({ client }: StatementContext, scope: Scope | undefined): readonly (Scope | undefined)[] {
  return scope !== undefined && scope === client.rawTransaction && !client.single ? [scope, undefined] : [scope]
}

/** True for the error that tells of a write which was committed and could not be made known (`onPending: 'reject'`). */
export const isOurs = (error: unknown): boolean => (error as { code?: unknown } | null)?.code === 'ASIDE_NOT_DELIVERED'

/** What a load is rejected with that fell, or would have fallen, into a transaction begun since it was asked for. */
export const fellIntoTransaction = Symbol('fell into a transaction')

/** Why a read of this session may not be served, whatever it asks for. */
export function sessionGate(context: StatementContext, token: unknown): BypassReason | undefined {
  if (currentScope(context)) return 'in-transaction'
  if (context.client.sessionChanged) return 'session-changed'
  if (token !== undefined) return 'auth-token'
  return context.read.gate()
}
