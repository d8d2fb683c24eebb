import type { InvalidatedTable, Invalidation } from '../model/invalidation.ts'
import { doubtOf } from '../model/register.ts'
import type { Clock } from '../ports/clock.ts'
import type { Listener } from '../ports/events.ts'
import type { GuardedStore } from '../ports/guarded-store.ts'
import type { RegisterSight } from '../ports/store.ts'
import { keysToRemove, type PendingCounts, PendingKeys, type PendingSlice } from './pending-keys.ts'

export type { PendingCounts } from './pending-keys.ts'

export interface DeliveryOptions {
  store: GuardedStore
  clock: Clock
  /**
   * Receives `pendingDelivery` for each batch that has to wait, with what waits in all, before it `pendingOverflow` where
   * tables fell back to their epochs, and `delivered` at the end.
   */
  emit: Listener
  /** The register did not confirm what keys were derived under: whoever knows its union reads it again. */
  doubted?: (register: string) => void
  /** How many single keys may wait; beyond it tables fall back to their epochs. Default: 100,000. */
  maxPendingKeys?: number
}

/** Carries invalidations to the store. */
export interface Delivery {
  /**
   * Removes the batch's keys from the store, after the commit and before the write resolves. `'delivered'`: no later
   * read can see an entry that rests on them. `'queued'`: the store could not be reached; the keys wait and are sent
   * again until the store confirms, and {@link pending} is true meanwhile. Never rejects.
   */
  deliver(batch: Invalidation): Promise<'delivered' | 'queued'>
  /**
   * One attempt for keys that are kept elsewhere until it succeeds: false, where the store did not confirm, and nothing is
   * queued here. Never rejects.
   */
  attempt(batch: Invalidation): Promise<boolean>
  /** True while keys wait: this process may neither hit nor fill (DESIGN 4, E-cut). */
  readonly pending: boolean
  /** What waits now, an attempt on its way included. */
  pendingCounts(): PendingCounts
  /** Tries once more to deliver what waits, then stops trying. What is left stays pending. */
  close(): Promise<void>
}

const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 1_000

// One attempt must end within the deadline of `remove`, or a long queue would be late for ever.
const KEYS_PER_ATTEMPT = 4_096

/**
 * Delivery with a bounded queue behind it. A write pays one awaited round trip; when the store fails or is late, the
 * keys wait here, later writes append without waiting, and a loop sends them again after 50 ms, doubling to 1 s.
 * The same trip looks at the register of those who share the store; where it does not confirm what the keys were derived
 * under, a second one removes the epochs (PROTOCOL 3.11, rule 4).
 *
 * @example
 * const delivery = createDelivery({ store, clock: systemClock, emit })
 * await delivery.deliver({ tables: [{ epoch: usersEpoch, keys: [rowStamp] }] }) // 'delivered'
 */
export function createDelivery(options: DeliveryOptions): Delivery {
  return new QueuedDelivery(options)
}

class QueuedDelivery implements Delivery {
  readonly #store: GuardedStore
  readonly #clock: Clock
  readonly #emit: Listener
  readonly #maxKeys: number
  readonly #doubted: ((register: string) => void) | undefined
  readonly #waiting = new PendingKeys()
  // Keys of the attempt on its way. A key that comes in meanwhile waits for the next attempt although it is among
  // them: this attempt may have reached the store before the write it comes from was committed.
  #sending: PendingSlice | undefined
  #since: number | undefined
  #sent = 0
  #retryMs = FIRST_RETRY_MS
  #stopTimer: (() => void) | undefined
  #round: Promise<void> = Promise.resolve()
  #closed = false

  constructor({ store, clock, emit, doubted, maxPendingKeys = 100_000 }: DeliveryOptions) {
    this.#doubted = doubted
    this.#store = store
    this.#clock = clock
    this.#emit = emit
    this.#maxKeys = maxPendingKeys
  }

  get pending(): boolean {
    return this.#since !== undefined
  }

  pendingCounts(): PendingCounts {
    const { keys, epochs } = this.#waiting.counts
    const sending = this.#sending?.counts ?? { keys: 0, epochs: 0 }
    return { keys: keys + sending.keys, epochs: epochs + sending.epochs }
  }

  async deliver(batch: Invalidation): Promise<'delivered' | 'queued'> {
    if (batch.tables.every(isNothing)) return 'delivered'
    // After close() no loop sends what waits, so each batch gets its own attempt.
    const left = !this.pending || this.#closed ? await this.#remove(batch.tables) : batch.tables
    if (left.length === 0) return 'delivered'
    this.#queue({ tables: left })
    return 'queued'
  }

  async attempt({ tables }: Invalidation): Promise<boolean> {
    return (await this.#remove(tables)).length === 0
  }

  /** Removes what the tables name, and the epochs of those that the register does not confirm. Answers what is left. */
  async #remove(tables: readonly InvalidatedTable[]): Promise<readonly InvalidatedTable[]> {
    const registers = registersOf(tables)
    const keys = keysToRemove(tables, this.#store.buckets)
    if (registers.length === 0) return (await this.#store.remove(keys)) ? [] : tables
    const sights = await this.#store.removeAndLook(keys, registers)
    if (!sights) return tables
    const wide = this.#doubt(tables, new Map(registers.map((register, at) => [register, sights[at] ?? null])))
    if (wide.length === 0) return []
    const done = await this.#store.remove(keysToRemove(wide, this.#store.buckets))
    return done ? [] : wide
  }

  #doubt(tables: readonly InvalidatedTable[], sights: ReadonlyMap<string, RegisterSight | null>): InvalidatedTable[] {
    const wide: InvalidatedTable[] = []
    for (const { epoch, keys, derived } of tables) {
      if (keys === 'all' || !derived) continue
      const reason = doubtOf(sights.get(derived.register) ?? null, derived.version)
      if (!reason) continue
      wide.push({ epoch, keys: 'all' })
      this.#emit({ type: 'epochReplaced', table: derived.label, reason })
      if (reason !== 'register-young') this.#doubted?.(derived.register)
    }
    return wide
  }

  close(): Promise<void> {
    this.#closed = true
    this.#stopTimer?.()
    this.#round = this.#round.then(() => (this.pending ? this.#sendAll() : undefined))
    return this.#round
  }

  #queue({ tables }: Invalidation): void {
    const wasPending = this.pending
    this.#since ??= this.#clock.now()
    this.#keep({ tables })
    this.#emit({ type: 'pendingDelivery', ...this.pendingCounts() })
    if (!wasPending) this.#retryLater()
  }

  /** The bound holds for all keys in memory, those on their way included. */
  #keep({ tables }: Invalidation): void {
    for (const table of tables) this.#waiting.add(table)
    const epochs = this.#waiting.bound(Math.max(0, this.#maxKeys - (this.#sending?.counts.keys ?? 0)))
    if (epochs > 0) this.#emit({ type: 'pendingOverflow', epochs })
  }

  #retryLater(): void {
    if (this.#closed) return
    this.#stopTimer = this.#clock.setTimer(() => {
      this.#round = this.#sendAll()
    }, this.#retryMs)
    this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS)
  }

  async #sendAll(): Promise<void> {
    while (!this.#waiting.isEmpty) {
      if (await this.#send(this.#waiting.take(KEYS_PER_ATTEMPT, this.#store.buckets))) continue
      this.#retryLater()
      return
    }
    this.#finish()
  }

  async #send(slice: PendingSlice): Promise<boolean> {
    this.#sending = slice
    const left = await this.#remove(slice.tables)
    this.#sending = undefined
    if (left.length === 0) this.#sent += keysToRemove(slice.tables, 1).length
    else this.#keep({ tables: left })
    return left.length === 0
  }

  #finish(): void {
    const waitedMs = this.#clock.now() - (this.#since ?? 0)
    const keys = this.#sent
    this.#since = undefined
    this.#sent = 0
    this.#retryMs = FIRST_RETRY_MS
    this.#emit({ type: 'delivered', keys, waitedMs })
  }
}

/** True where there is neither a key to remove nor a register to ask. */
const isNothing = ({ keys, derived }: InvalidatedTable): boolean => keys !== 'all' && keys.length === 0 && !derived

/** The registers that must confirm what keys were derived under; a table that falls as a whole asks none. */
function registersOf(tables: readonly InvalidatedTable[]): string[] {
  return [...new Set(tables.flatMap(({ keys, derived }) => (keys !== 'all' && derived ? [derived.register] : [])))]
}
