/** How many results one generation remembers; two are kept. */
const GENERATION = 10_000

const none: readonly string[] = []

/**
 * The partners that the last fill of a result found, by entry: what the next fill expects. Being wrong, or forgetting,
 * costs a trip or a fill, never an answer.
 */
export class Hints {
  #young = new Map<string, readonly string[]>()
  #old = new Map<string, readonly string[]>()

  get(entryKey: string): readonly string[] {
    return this.#young.get(entryKey) ?? this.#old.get(entryKey) ?? none
  }

  set(entryKey: string, keys: readonly string[]): void {
    this.#young.set(entryKey, keys)
    if (this.#young.size < GENERATION) return
    this.#old = this.#young
    this.#young = new Map()
  }
}
