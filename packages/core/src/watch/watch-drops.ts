import { addLoss, type StampLoss } from '../model/facets.ts'
import type { DropWatch } from '../ports/drop-watch.ts'

/** Most stamps that are watched, and most that are remembered after their removal: under a megabyte each. */
const MOST_STAMPS = 4_096

/** The watch over one store, shared by all wraps of this process; bounded, the oldest go first. */
export class BoundedDropWatch implements DropWatch {
  readonly #most: number
  readonly #taken = new Map<string, string>()
  readonly #removed = new Map<string, StampLoss>()

  constructor(most = MOST_STAMPS) {
    this.#most = most
  }

  taken(key: string, stamp: string): void {
    putLast(this.#taken, key, stamp, this.#most)
  }

  removing(losses: ReadonlyMap<string, StampLoss>): void {
    for (const [key, loss] of losses) {
      const stamp = this.#taken.get(key)
      // Until another stamp is taken, every further write would have dropped the answer, too.
      if (stamp !== undefined) putLast(this.#removed, stamp, addLoss(this.#removed.get(stamp), loss), this.#most)
    }
  }

  lossOf(stamp: string): StampLoss | undefined {
    return this.#removed.get(stamp)
  }
}

function putLast<V>(map: Map<string, V>, key: string, value: V, most: number): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > most) map.delete(map.keys().next().value as string)
}
