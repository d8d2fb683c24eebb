import type { Clock } from '../ports/clock.ts'
import type { OwnWrites } from '../ports/own-writes.ts'

/** Bits of a generation: with 40,000 keys 1 of 100 others is taken for one of them, with 400,000 it is 9. */
const BITS = 1 << 22

/**
 * How much longer than a copy may be old a key is remembered at least: the clocks of processes differ, and a copy may be
 * some time on its way to the store.
 */
const MARGIN = 2

/**
 * The stamps that this process has removed of late, over all its wraps of a store: one bit for each key, in two generations.
 * It forgets nothing too early, and what it takes for a key of its own and is none is refused as if it were: so more writes
 * than there is room for make it coarse, and never wrong.
 *
 * As long as nobody asks it to remember, it holds nothing; whoever asks after something was removed gets it as full.
 */
export class RememberedWrites implements OwnWrites {
  readonly #clock: Clock
  #young: Uint32Array | undefined
  #old: Uint32Array | undefined
  #since = 0
  #spanMs = 0
  #hasRemoved = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Copies of this age are to be judged from now on. */
  remember(maxAgeMs: number): void {
    const spanMs = MARGIN * maxAgeMs
    if (spanMs <= this.#spanMs) return
    this.#spanMs = spanMs
    this.#since = this.#clock.now()
    this.#old = new Uint32Array(BITS / 32)
    // What was removed before, or is forgotten already, is not known any more: anything may have been.
    this.#young = new Uint32Array(BITS / 32).fill(this.#hasRemoved ? 0xffffffff : 0)
  }

  removing(keys: readonly string[]): void {
    if (keys.length > 0) this.#hasRemoved = true
    this.#age()
    const bits = this.#young
    if (!bits) return
    for (const key of keys) {
      const bit = bitOf(key)
      bits[bit >>> 5] = (bits[bit >>> 5] as number) | (1 << (bit & 31))
    }
  }

  has(key: string): boolean {
    this.#age()
    const bit = bitOf(key)
    return isSet(this.#young, bit) || isSet(this.#old, bit)
  }

  /** A key stays for one span at least: in the generation that it came into, and all through the next one. */
  #age(): void {
    const goneMs = this.#clock.now() - this.#since
    if (!this.#young || goneMs < this.#spanMs) return
    const cleared = (this.#old as Uint32Array).fill(0)
    this.#old = goneMs < 2 * this.#spanMs ? this.#young : this.#young.fill(0)
    this.#young = cleared
    this.#since += Math.floor(goneMs / this.#spanMs) * this.#spanMs
  }
}

const isSet = (bits: Uint32Array | undefined, bit: number): boolean =>
  bits === undefined || ((bits[bit >>> 5] as number) & (1 << (bit & 31))) !== 0

/** FNV-1a over the whole key, mixed so that its low bits depend on all of it. */
function bitOf(key: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  hash ^= hash >>> 15
  return hash & (BITS - 1)
}
