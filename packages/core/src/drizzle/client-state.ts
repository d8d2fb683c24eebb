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
  /** A transaction that was begun by raw SQL outside `transaction()`, until its end. */
  rawTransaction: Scope | undefined
  /** Open transactions of a client that is one single connection, outermost first: its outer db takes part in them. */
  readonly open: Scope[]
  /** Tells embedded databases of one process apart. */
  readonly instance: string
}

const states = new WeakMap<object, ClientState>()
let instances = 0

export function clientState(session: Session, kind: DriverKind): ClientState {
  const client = session.client as object
  let state = states.get(client)
  if (!state) {
    const instance = kind === 'pglite' ? `${process.pid}-${++instances}` : ''
    state = { kind, sessionChanged: false, rawTransaction: undefined, open: [], instance }
    states.set(client, state)
  }
  return state
}

const claims = new WeakMap<object, object>()

/** Notes which store a client is wrapped with; false when it is wrapped with another one already. */
export function claimClient(session: Session, store: object): boolean {
  const client = session.client as object
  const claimed = claims.get(client)
  if (claimed) return claimed === store
  claims.set(client, store)
  return true
}
