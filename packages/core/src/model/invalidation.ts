/**
 * What one write (a statement or a whole transaction) makes stale, as keys of the store: per table its single stamps,
 * or, with `'all'`, everything that was ever filled on the table.
 *
 * Every entry records the epoch of each table it reads, so removing the epoch alone kills whatever the single keys of
 * that table would have killed. The bounded queue relies on it: `keys` may hold only stamps that are recorded together
 * with this `epoch`.
 */
export interface Invalidation {
  readonly tables: readonly InvalidatedTable[]
}

export interface InvalidatedTable {
  /** Key of the table's epoch stamp. */
  readonly epoch: string
  /** Keys of stamps to remove; `'all'` removes the epoch instead. */
  readonly keys: readonly string[] | 'all'
  /** Where several configurations share the store: what the keys were derived under. No keys: nobody was known to cache the table. */
  readonly derived?: DerivedUnder
}

/** The epoch falls, too, when the register does not confirm this at the delivery. */
export interface DerivedUnder {
  /** Key of the register. */
  readonly register: string
  /** The version of the union that the statement was planned with. */
  readonly version: string
  /** Names the table in events. */
  readonly label: string
}
