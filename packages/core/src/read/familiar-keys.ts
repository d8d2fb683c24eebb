/** How many keys one generation holds; two are kept. */
const GENERATION = 20_000

/**
 * The rows that this process has asked for of late, roughly, by the keys of their stamps: one that it has never asked
 * for, or has just invalidated, is most likely a miss, and its stamps may be taken in the same trip as the look-up. Being wrong costs a few commands, never an answer.
 */
export class FamiliarKeys {
  private young = new Set<string>()
  private old = new Set<string>()

  forget(key: string): void {
    this.young.delete(key)
    this.old.delete(key)
  }

  /** True when the key was asked for before; remembers it either way. */
  meet(key: string): boolean {
    if (this.young.has(key)) return true
    const known = this.old.has(key)
    this.young.add(key)
    if (this.young.size >= GENERATION) {
      this.old = this.young
      this.young = new Set()
    }
    return known
  }
}
