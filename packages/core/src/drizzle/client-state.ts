import type { Scope } from '../ports/paths.ts'
import type { DriverKind, Session } from './internals.ts'

/**
 * What is true of a driver's client, whoever wraps it: several wrapped dbs over one client must agree, so it is kept per
 * client object.
 */
export interface ClientState {
  readonly kind: DriverKind
  /** Set once a session setting was changed outside a transaction: later answers may differ for the same SQL. */
  sessionChanged: boolean
  /** Set once what names mean, or the role, was changed outside a transaction: the facts are not those of its writes. */
  namesChanged: boolean
  /** A transaction that was begun by raw SQL outside `transaction()`, until its end. */
  rawTransaction: Scope | undefined
  /** True when every statement runs on one and the same connection. */
  readonly single: boolean
  /** How many transactions have begun that the outer db took part in: a read notices that it fell into one. */
  begun: number
  /** Transactions that are about to begin: their BEGIN may be on its way. */
  entering: number
  /** Open transactions of a client that is one single connection, outermost first: its outer db takes part in them. */
  readonly open: Scope[]
  /** Tells embedded databases of one process apart. */
  readonly instance: string
  /** How many connections the client opens at most; undefined: it does not say, or has only one. */
  poolSize(): number | undefined
}

const states = new WeakMap<object, ClientState>()
let instances = 0

export function clientState(session: Session, kind: DriverKind): ClientState {
  const client = session.client as object
  let state = states.get(client)
  if (!state) {
    const instance = kind === 'pglite' ? `${process.pid}-${++instances}` : ''
    const single = kind === 'pglite' || (kind === 'node-postgres' && !('totalCount' in client))
    // Not asked before it is wanted: wrapping touches no client.
    const poolSize = () => (single ? undefined : poolSizeOf(client))
    state = {
      kind,
      sessionChanged: false,
      namesChanged: false,
      rawTransaction: undefined,
      single,
      begun: 0,
      entering: 0,
      open: [],
      instance,
      poolSize,
    }
    states.set(client, state)
  }
  return state
}

/** Of a node-postgres pool and of postgres.js, under the same name. */
function poolSizeOf(client: object): number | undefined {
  const max = (client as { options?: { max?: unknown } }).options?.max
  return typeof max === 'number' && max > 0 ? max : undefined
}

/** A statement that is sent now over a client of one connection might fall into somebody's transaction. */
export const mayBeInTransaction = ({ single, entering, open, rawTransaction }: ClientState): boolean =>
  single && (entering > 0 || open.length > 0 || rawTransaction !== undefined)

const claims = new WeakMap<object, { readonly store: object; users: number }>()

/** Notes which store a client is wrapped with; false when it is wrapped with another one already. */
export function claimClient(session: Session, store: object): boolean {
  const client = session.client as object
  const claimed = claims.get(client) ?? { store, users: 0 }
  if (claimed.store !== store) return false
  claimed.users++
  claims.set(client, claimed)
  return true
}

/** A wrap was closed; when it was the last one, the client may be wrapped with another store. */
export function releaseClient(session: Session): void {
  const client = session.client as object
  const claimed = claims.get(client)
  if (claimed && --claimed.users === 0) claims.delete(client)
}
