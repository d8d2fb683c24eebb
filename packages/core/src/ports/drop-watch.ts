import type { StampLoss } from '../model/facets.ts'

/**
 * Remembers what removed the stamps that answers of this process rest on, so that a read that finds its answer dropped can
 * tell whether it had to fall. Of what other processes remove nothing is known.
 */
export interface DropWatch {
  /** An answer is about to be filled under this stamp of a class or a table. */
  taken(key: string, stamp: string): void
  /** These stamps are about to be removed. */
  removing(losses: ReadonlyMap<string, StampLoss>): void
  /** What a stamp was removed for; undefined: not known. */
  lossOf(stamp: string): StampLoss | undefined
}
