import { AsideError } from '../errors.ts'
import { type Clock, systemClock } from '../ports/clock.ts'
import type { RegisterAnswer, RegisterVisit, Store } from '../ports/store.ts'
import { BoundedTexts, type MemoryStats } from './bounded-texts.ts'
import { lookAtRegister, visitRegister } from './visit-register.ts'

export type { MemoryStats } from './bounded-texts.ts'

export interface MemoryStoreOptions {
  /** How much may be kept, in bytes (an estimate: two per character plus an overhead). Default: 64 MB. */
  maxBytes?: number
  /** For tests that move the time by hand. Default: the clock of the process. */
  clock?: Clock
}

/** A {@link Store} in this process that can say how full it is. */
export interface MemoryStore extends Store {
  stats(): MemoryStats
}

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024

/**
 * A store in this process: complete (TTL, bounded by bytes, least recently used go first), private to its caller.
 * It suits one process; several processes need a shared store, or each keeps what another has changed until its TTL.
 *
 * @example
 * const store = memoryStore({ maxBytes: 16 * 1024 * 1024 })
 * await store.write('key', 'text', 60_000, [], 0)
 * await store.read(['key', 'other']) // ['text', null]
 *
 * @throws AsideError `ASIDE_BAD_OPTION` when `maxBytes` is not a positive number.
 * After `close()` its texts are gone and every call rejects with `ASIDE_CLOSED`.
 */
export function memoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  const texts = createTexts(options)
  return openStore(texts, () => texts.clear(''))
}

/** One name's texts and how many open stores look at them. The shape is shared by all copies of this package. */
interface SharedTexts {
  readonly texts: BoundedTexts
  users: number
}

// Under a global symbol, so that a module loaded twice (hot reload, ESM beside CommonJS) finds the same texts:
// two stores of one name that did not see each other's removals would serve stale answers.
const REGISTRY = Symbol.for('drizzle-aside.memory-stores')

/**
 * A {@link memoryStore} that every caller of one name shares, across hot reloads and copies of this package. The first
 * caller's options hold. `close()` closes the caller's view only; the texts go when the last view is closed, for from
 * then on nobody removes what a write changes.
 *
 * @example
 * const a = sharedMemoryStore('shop')
 * const b = sharedMemoryStore('shop') // sees what `a` keeps
 */
export function sharedMemoryStore(name: string, options: MemoryStoreOptions = {}): MemoryStore {
  const registry = sharedRegistry()
  const shared = registry.get(name) ?? { texts: createTexts(options), users: 0 }
  registry.set(name, shared)
  shared.users++
  return openStore(shared.texts, () => {
    shared.users--
    if (shared.users === 0) registry.delete(name)
  })
}

function sharedRegistry(): Map<string, SharedTexts> {
  const world = globalThis as { [REGISTRY]?: Map<string, SharedTexts> }
  world[REGISTRY] ??= new Map()
  return world[REGISTRY]
}

function createTexts({ maxBytes = DEFAULT_MAX_BYTES, clock = systemClock }: MemoryStoreOptions): BoundedTexts {
  if (maxBytes > 0) return new BoundedTexts(maxBytes, clock)
  throw new AsideError('ASIDE_BAD_OPTION', `maxBytes of a memory store must be a positive number, not ${maxBytes}.`)
}

function openStore(texts: BoundedTexts, release: () => void): MemoryStore {
  let closed = false
  const open = () => {
    if (closed) throw new AsideError('ASIDE_CLOSED', 'this memory store was closed; create a new one.')
    return texts
  }
  return {
    name: 'memory',
    processLocal: true,
    async read(keys) {
      const from = open()
      return keys.map((key) => from.get(key))
    },
    async mint(stamps, ttlMs) {
      const into = open()
      return stamps.map(({ key, text }) => into.get(key) ?? mintNew(into, key, text, ttlMs))
    },
    async write(key, text, ttlMs, keepAlive, stampTtlMs) {
      const into = open()
      into.set(key, text, ttlMs)
      for (const stamp of keepAlive) into.keepAlive(stamp, stampTtlMs)
    },
    async remove(keys) {
      const from = open()
      for (const key of keys) from.remove(key)
    },
    async enter(register, visit) {
      return enterRegister(open(), register, visit)
    },
    async removeAndLook(keys, registers) {
      const from = open()
      for (const key of keys) from.remove(key)
      return registers.map((register) => lookAtRegister(from.get(register), from.clock.now()))
    },
    async clear(prefix) {
      open().clear(prefix)
    },
    async close() {
      if (closed) return
      closed = true
      release()
    },
    stats: () => texts.stats(),
  }
}

/** `null` where the text does not fit, and for a time to live that is over at once. */
function mintNew(into: BoundedTexts, key: string, text: string, ttlMs: number): string | null {
  into.set(key, text, ttlMs)
  return into.get(key)
}

/** Nothing but tests needs it: the configurations of one process know each other without. */
function enterRegister(texts: BoundedTexts, register: string, visit: RegisterVisit): RegisterAnswer {
  const { text, lifeMs, answer } = visitRegister(texts.get(register), visit, texts.clock.now())
  texts.set(register, text, lifeMs)
  return answer
}
