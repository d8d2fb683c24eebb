/** How many keys one generation holds; two are kept. */
const GENERATION = 20_000

/** Bits of a generation: full, it takes about 2 of 100 strange keys for familiar ones. */
const BITS = 1 << 20

/** The end of a key names the table, the columns and the value; the rest is the same for all of a db. */
const TAIL = 32

/**
 * The rows that this process has asked for of late, roughly, by the keys of their stamps: one that it has never asked
 * for, or has just invalidated, is most likely a miss, and its stamps may be taken in the same trip as the look-up. Being
 * wrong costs a few commands, never an answer: so one bit for each key is enough. (Sets of the texts cost every hit the
 * hash of a long text and the process some megabytes; `pnpm bench key-reads`, concurrency 16.)
 */
export class FamiliarKeys {
  private young = new Uint32Array(BITS / 32)
  private old = new Uint32Array(BITS / 32)
  private met = 0

  forget(key: string): void {
    const bit = bitOf(key)
    clear(this.young, bit)
    clear(this.old, bit)
  }

  /** True when the key was asked for before; remembers it either way. */
  meet(key: string): boolean {
    const bit = bitOf(key)
    if (has(this.young, bit)) return true
    const known = has(this.old, bit)
    add(this.young, bit)
    if (++this.met >= GENERATION) this.age()
    return known
  }

  private age(): void {
    const { old } = this
    this.old = this.young
    this.young = old.fill(0)
    this.met = 0
  }
}

/** FNV-1a over the end of the key, mixed so that its low bits depend on all of it. */
function bitOf(key: string): number {
  let hash = 0x811c9dc5
  for (let at = Math.max(0, key.length - TAIL); at < key.length; at++)
    hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  hash ^= hash >>> 15
  return hash & (BITS - 1)
}

const has = (bits: Uint32Array, bit: number): boolean => ((bits[bit >>> 5] as number) & (1 << (bit & 31))) !== 0

function add(bits: Uint32Array, bit: number): void {
  bits[bit >>> 5] = (bits[bit >>> 5] as number) | (1 << (bit & 31))
}

function clear(bits: Uint32Array, bit: number): void {
  bits[bit >>> 5] = (bits[bit >>> 5] as number) & ~(1 << (bit & 31))
}
