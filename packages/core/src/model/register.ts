/** What the register of a shared store says when a write looks at it (PROTOCOL 3.11). */
export interface RegisterSight {
  /** Random; another one after every change of what is registered. */
  readonly version: string
  /** When the register was created, by the store's clock. */
  readonly bornMs: number
  /** The store's clock now; of a register that is more than a minute old it may be any time since it was. */
  readonly nowMs: number
}

/** How often a process enters itself anew. */
export const HEARTBEAT_MS = 2_000

/** Under this age not everybody has entered himself again, whose entries are still there. */
export const YOUNG_MS = 3 * HEARTBEAT_MS

/** How long nobody serves what is new in the register, unless every writer is sure to know it already. */
export const UNSERVED_MS = 3 * HEARTBEAT_MS

/** After so long without a successful heartbeat a process neither hits nor fills. */
export const STALE_MS = 2 * HEARTBEAT_MS

/** The version of a process that knows no union: no register has it. */
export const NO_VERSION = ''

export type RegisterDoubt = 'register-lost' | 'register-changed' | 'register-young'

/**
 * Whether keys that were derived under a version of the union are all the keys that matter. Compared with what *this
 * statement* derived from, never with what the process knows by now; and the age is the register's own, because whoever
 * finds it missing creates it anew with nothing but its own parts.
 */
export function doubtOf(sight: RegisterSight | null, derivedUnder: string): RegisterDoubt | undefined {
  if (sight === null) return 'register-lost'
  if (sight.version !== derivedUnder) return 'register-changed'
  return sight.nowMs - sight.bornMs < YOUNG_MS ? 'register-young' : undefined
}
