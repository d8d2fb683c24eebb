/**
 * Remembers which stamps this process has removed, so that what was filled before its own write is not served as stale.
 * Of what other processes remove nothing is known, and nothing has to be.
 */
export interface OwnWrites {
  /** These stamps are about to be removed. */
  removing(keys: readonly string[]): void
  /** False: this process has surely not removed it for as long as copies may be served. */
  has(key: string): boolean
}
