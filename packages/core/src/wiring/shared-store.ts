import type { ClientState } from '../drizzle/client-state.ts'
import type { ResolvedOptions } from '../options.ts'
import type { Clock } from '../ports/clock.ts'
import type { Listener } from '../ports/events.ts'
import type { GuardedStore } from '../ports/guarded-store.ts'
import type { Store } from '../ports/store.ts'
import { FillLimit } from '../read/fill-limit.ts'
import { LocalRegisters } from '../register/local-registrar.ts'
import { guardStore } from '../stores/guard-store.ts'
import { sharedMemoryStore } from '../stores/memory-store.ts'
import { RememberedWrites } from '../watch/remember-writes.ts'
import { BoundedDropWatch } from '../watch/watch-drops.ts'
import { createDelivery, type Delivery } from '../write/deliver.ts'
import type { UnknownOutcomes } from '../write/unknown-outcome.ts'

/** A wrap, as others of its process over the same store and namespace see it: what one must not serve, none may. */
export interface Peer {
  readonly unknown: UnknownOutcomes
  /** Changes of it wait for facts about the database, or are being made known. */
  readonly isSettling: boolean
  /** Reads a register anew, where it is this one's; without a name whichever is. */
  hurry(register?: string): void
}

/** What several wrapped dbs over one store share: its guard, and per namespace its wraps and what waits for the store. */
export class SharedStore {
  readonly guard: GuardedStore
  readonly drops = new BoundedDropWatch()
  readonly #store: Store
  readonly #clock: Clock
  readonly #voices = new Set<Listener>()
  readonly #peers = new Map<string, Set<Peer>>()
  readonly #deliveries = new Map<string, Delivery>()
  /** Hears no more of the store's incarnations. */
  readonly #unhear: (() => void) | undefined

  constructor(store: Store, { readDeadlineMs, removeDeadlineMs }: ResolvedOptions, clock: Clock) {
    this.#store = store
    this.#clock = clock
    this.guard = guardStore(store, { clock, emit: this.#emit, readDeadlineMs, removeDeadlineMs })
    this.#unhear = store.incarnations?.listen((news) => {
      this.#emit(news)
      // The register went with the incarnation: whoever enters the new one first ends the time without.
      if (news.type === 'incarnationChanged')
        for (const peers of this.#peers.values()) for (const each of peers) each.hurry()
    })
  }

  readonly #emit: Listener = (event) => {
    for (const voice of this.#voices) voice(event)
  }

  /** One more wrap, which hears what happens to the store; all that there are in its namespace, itself included. */
  join(namespace: string, peer: Peer, voice: Listener): ReadonlySet<Peer> {
    this.#voices.add(voice)
    const peers = this.#peers.get(namespace) ?? new Set()
    this.#peers.set(namespace, peers.add(peer))
    return peers
  }

  /** The last one closes the store, once what waits for it is delivered. */
  async leave(namespace: string, peer: Peer, voice: Listener): Promise<void> {
    this.#voices.delete(voice)
    this.#peers.get(namespace)?.delete(peer)
    if (this.#voices.size > 0) return
    for (const delivery of this.#deliveries.values()) await delivery.close()
    this.#unhear?.()
    sharedStores.delete(this.#store)
    if (defaultStores.get(namespace) === this.#store) defaultStores.delete(namespace)
    await this.guard.close()
  }

  delivery(namespace: string, maxPendingKeys: number): Delivery {
    const known = this.#deliveries.get(namespace)
    if (known) return known
    const own = ownWritesOf(this.#store, this.#clock)
    const delivery = createDelivery({
      store: this.guard,
      clock: this.#clock,
      emit: this.#emit,
      doubted: (register) => {
        for (const peer of this.#peers.get(namespace) ?? []) peer.hurry(register)
      },
      removing: (keys) => own.removing(keys),
      maxPendingKeys,
    })
    this.#deliveries.set(namespace, delivery)
    return delivery
  }
}

const sharedStores = new WeakMap<Store, SharedStore>()
/** What was written, and what was kept, over the stores of this process. It outlives the last wrap: a store may be wrapped again. */
const ownWrites = new WeakMap<Store, RememberedWrites>()
const localRegisters = new WeakMap<Store, LocalRegisters>()
const defaultStores = new Map<string, Store>()
/** By the state of a client: what its wraps ask of one database at a time is one number. */
const fillLimits = new WeakMap<ClientState, FillLimit>()

export function shareStore(store: Store, options: ResolvedOptions, clock: Clock): SharedStore {
  return getOrMake(sharedStores, store, () => new SharedStore(store, options, clock))
}

export function registersOf(store: Store): LocalRegisters {
  return getOrMake(localRegisters, store, () => new LocalRegisters())
}

export function ownWritesOf(store: Store, clock: Clock): RememberedWrites {
  return getOrMake(ownWrites, store, () => new RememberedWrites(clock))
}

/** The memory of a process, by namespace: for those who name no store. */
export function defaultStore(namespace: string, clock: Clock): Store {
  return getOrMake(defaultStores, namespace, () => sharedMemoryStore(namespace, { clock }))
}

/** Where a client does not say how many connections it has; and the share of them that fills may take where it does. */
const DEFAULT_MAX_FILLS = 8
const FILLS_OF_POOL = 0.8

export function fillLimitOf(client: ClientState, { maxFills }: ResolvedOptions, clock: Clock): FillLimit {
  const limit = getOrMake(fillLimits, client, () => new FillLimit(() => usualFills(client), clock))
  if (maxFills !== undefined) limit.ask(maxFills)
  return limit
}

function usualFills(client: ClientState): number {
  const size = client.poolSize()
  return size === undefined ? DEFAULT_MAX_FILLS : Math.max(1, Math.floor(size * FILLS_OF_POOL))
}

interface Kept<K, V> {
  get(key: K): V | undefined
  set(key: K, value: V): unknown
}

/** What is kept under a key, made where there is none yet. */
function getOrMake<K, V>(kept: Kept<K, V>, key: K, make: () => V): V {
  const found = kept.get(key)
  if (found !== undefined) return found
  const made = make()
  kept.set(key, made)
  return made
}
