import type { DerivedUnder, InvalidatedTable } from '../model/invalidation.ts'
import { epochCopies } from '../model/keys.ts'

export interface PendingCounts {
  /** Single keys that wait. */
  readonly keys: number
  /** Tables whose epoch waits instead of their keys. */
  readonly epochs: number
}

/** Keys of one attempt, still told apart by table, so that they can be put back. */
export interface PendingSlice {
  readonly tables: readonly InvalidatedTable[]
  readonly counts: PendingCounts
}

/** Keys that wait for delivery, merged, and bounded: beyond the bound the tables with most keys turn into their epoch. */
export class PendingKeys {
  readonly #tables = new Map<string, Set<string> | 'all'>()
  /** What a table's keys were derived under, to be confirmed at their delivery however late that is. */
  readonly #derived = new Map<string, DerivedUnder>()
  #keys = 0
  #epochs = 0

  get counts(): PendingCounts {
    return { keys: this.#keys, epochs: this.#epochs }
  }

  get isEmpty(): boolean {
    return this.#tables.size === 0
  }

  add({ epoch, keys, derived }: InvalidatedTable): void {
    const known = this.#tables.get(epoch)
    if (known === 'all') return
    if (keys === 'all' || (known && this.#derived.get(epoch)?.version !== derived?.version)) this.#widen(epoch)
    else if (keys.length > 0 || derived) {
      this.#merge(epoch, known ?? new Set(), keys)
      if (derived) this.#derived.set(epoch, derived)
    }
  }

  #merge(epoch: string, known: Set<string>, keys: readonly string[]): void {
    const before = known.size
    for (const key of keys) known.add(key)
    this.#tables.set(epoch, known)
    this.#keys += known.size - before
  }

  /**
   * Turns tables into their epochs, those with most keys first, until at most `maxKeys` single keys are left. Answers how
   * many were turned.
   */
  bound(maxKeys: number): number {
    let turned = 0
    for (; this.#keys > maxKeys; turned++) this.#widen(this.#largest())
    return turned
  }

  /** Takes at most `maxKeys` keys out; epochs, of so many `copies`, first, because each stands for most. */
  take(maxKeys: number, copies = 1): PendingSlice {
    const taken = new PendingKeys()
    for (const epoch of this.#epochsFirst()) {
      const room = maxKeys - taken.#keys - taken.#epochs * copies
      if (room <= 0) break
      const derived = this.#derived.get(epoch)
      taken.add({ epoch, keys: this.#takeFrom(epoch, room), ...(derived && { derived }) })
    }
    return { tables: [...taken.#list()], counts: taken.counts }
  }

  #takeFrom(epoch: string, room: number): string[] | 'all' {
    const known = this.#tables.get(epoch) ?? new Set<string>()
    if (known === 'all' || known.size <= room) {
      this.#forget(epoch)
      return known === 'all' ? known : [...known]
    }
    const keys: string[] = []
    for (const key of known) {
      if (keys.push(key) === room) break
    }
    for (const key of keys) known.delete(key)
    this.#keys -= room
    return keys
  }

  #epochsFirst(): string[] {
    const isWide = (epoch: string) => Number(this.#tables.get(epoch) === 'all')
    return [...this.#tables.keys()].sort((a, b) => isWide(b) - isWide(a))
  }

  #widen(epoch: string): void {
    this.#forget(epoch)
    this.#tables.set(epoch, 'all')
    this.#epochs++
  }

  #forget(epoch: string): void {
    const known = this.#tables.get(epoch)
    if (known === 'all') this.#epochs--
    else this.#keys -= known?.size ?? 0
    this.#tables.delete(epoch)
    this.#derived.delete(epoch)
  }

  #largest(): string {
    let largest = ''
    let most = -1
    for (const [epoch, keys] of this.#tables) {
      if (keys === 'all' || keys.size <= most) continue
      largest = epoch
      most = keys.size
    }
    return largest
  }

  *#list(): Iterable<InvalidatedTable> {
    for (const [epoch, keys] of this.#tables) {
      const derived = this.#derived.get(epoch)
      yield { epoch, keys: keys === 'all' ? keys : [...keys], ...(derived && { derived }) }
    }
  }
}

/** The keys to remove for these tables, each once; an epoch in all its copies, which are as many as the store has buckets. */
export function keysToRemove(tables: readonly InvalidatedTable[], buckets: number): string[] {
  const keys = new Set<string>()
  for (const { epoch, keys: own } of tables) {
    if (own === 'all') for (const copy of epochCopies(epoch, buckets)) keys.add(copy)
    else for (const key of own) keys.add(key)
  }
  return [...keys]
}
