/** How many keys one generation holds; two are kept. */
const GENERATION = 20_000

/**
 * The entry keys that this process has asked for of late, roughly: a key that it has never asked for is most likely a
 * miss, and its stamps may be taken in the same trip as the look-up. Being wrong costs a few commands, never an answer.
 */
export class FamiliarKeys {
  private young = new Set<string>()
  private old = new Set<string>()

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
