import type { NewStamp, RegisterAnswer, RegisterSight, RegisterVisit } from './store.ts'

/**
 * A store as the read and write paths see it: bounded in time, and never the reason that a query fails. Nothing here
 * rejects; what went wrong is an event, and the caller gets the answer "not known".
 */
export interface GuardedStore {
  /** See `Store.name`. */
  readonly name: string
  /** See `Store.processLocal`. */
  readonly processLocal: boolean
  /** See `Store.buckets`; 1 where the store says nothing. */
  readonly buckets: number
  /** Whether the store is left alone for a while, after repeated failures; of reads and of fills apart. */
  readonly broken: { readonly reads: boolean; readonly fills: boolean }
  /** A read that is asked now would not be: its answer is `undefined` at once. */
  readonly isResting: boolean
  /**
   * Values of the keys in their order, `null` where nothing is kept or a stamp of another incarnation is; `undefined` =
   * failed or late, ask the database.
   */
  read(keys: readonly string[]): Promise<(string | null)[] | undefined>
  /**
   * Take or mint, for the incarnation that answers; `undefined` = failed or late: the fill is given up. A stamp may have
   * been minted all the same.
   */
  mint(stamps: readonly NewStamp[], ttlMs: number): Promise<(string | null)[] | undefined>
  /** Keeps an entry without waiting for it. */
  write(key: string, text: string, ttlMs: number, keepAlive: readonly string[], stampTtlMs: number): void
  /** True when the store confirmed in time. False = not known: the keys must be removed again until confirmed. */
  remove(keys: readonly string[]): Promise<boolean>
  /** See `Store.removeAndLook`; `undefined` = not known: the keys must be removed again until confirmed. */
  removeAndLook(
    keys: readonly string[],
    registers: readonly string[],
  ): Promise<readonly (RegisterSight | null)[] | undefined>
  /** See `Store.enter`; `undefined` = failed or late. The visit may have taken place all the same. */
  enter(register: string, visit: RegisterVisit): Promise<RegisterAnswer | undefined>
  /** True when all keys of the prefix were removed. No deadline: an operator's verb, it may walk millions of keys. */
  clear(prefix: string): Promise<boolean>
  close(): Promise<void>
}
