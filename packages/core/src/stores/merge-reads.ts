type Values = (string | null)[]
type Settle = (values: Values | undefined) => void

/** Asks the store once; calls `settle` exactly once, with `undefined` when the store failed or was late. */
export type ReadOnce = (keys: readonly string[], settle: Settle) => void

interface Waiting {
  readonly keys: readonly string[]
  readonly settle: Settle
}

const MAX_KEYS = 1_000

/**
 * Merges all reads that are issued in one tick into one question to the store (PROTOCOL 10: one MGET costs far less
 * than several), and hands each reader its own values. More than 1,000 keys are asked in several questions.
 *
 * `process.nextTick` and not a microtask: asked for inside a promise continuation, it runs after *all* continuations of
 * this turn, so a burst of resolved promises that all read is merged; a microtask would run in the middle of the
 * burst. Not `setImmediate`: it waits for the next turn of the loop, a delay that a lone read would pay in full.
 * Proof: "reads in a burst of promise continuations are one question" in test/conformance/guard-store.test.ts.
 */
export class MergeReads {
  readonly #readOnce: ReadOnce
  #waiting: Waiting[] = []

  constructor(readOnce: ReadOnce) {
    this.#readOnce = readOnce
  }

  /** The values in the order of `keys`; the array must not be changed until then. */
  read(keys: readonly string[]): Promise<Values | undefined> {
    if (keys.length === 0) return Promise.resolve([])
    if (keys.length > MAX_KEYS) return this.#readInParts(keys)
    return new Promise((settle) => {
      if (this.#waiting.push({ keys, settle }) === 1) process.nextTick(this.#ask)
    })
  }

  async #readInParts(keys: readonly string[]): Promise<Values | undefined> {
    const parts: Promise<Values | undefined>[] = []
    for (let start = 0; start < keys.length; start += MAX_KEYS)
      parts.push(this.read(keys.slice(start, start + MAX_KEYS)))
    const values = await Promise.all(parts)
    return values.includes(undefined) ? undefined : (values as Values[]).flat()
  }

  readonly #ask = (): void => {
    const waiting = this.#waiting
    this.#waiting = []
    for (const reads of groupsOf(waiting)) this.#askTogether(reads)
  }

  #askTogether(reads: readonly Waiting[]): void {
    const only = reads[0]
    if (reads.length === 1 && only !== undefined) this.#readOnce(only.keys, only.settle)
    else this.#readOnce(mergeKeys(reads), (values) => deal(reads, values))
  }
}

/**
 * All keys in a row. Reads of one table end with the same key, its epoch; where the next read ends like the one before,
 * the question names it once. That makes a crowd's MGET a third shorter.
 */
function mergeKeys(reads: readonly Waiting[]): string[] {
  const merged: string[] = []
  for (let at = 0; at < reads.length; at++) {
    const { keys } = reads[at] as Waiting
    const length = endsAlike(reads, at) ? keys.length - 1 : keys.length
    for (let key = 0; key < length; key++) merged.push(keys[key] as string)
  }
  return merged
}

/** True when the read after this one ends with the very same key. */
function endsAlike(reads: readonly Waiting[], at: number): boolean {
  const next = reads[at + 1]?.keys
  const { keys } = reads[at] as Waiting
  return next !== undefined && next[next.length - 1] === keys[keys.length - 1]
}

function groupsOf(waiting: Waiting[]): Waiting[][] {
  const groups: Waiting[][] = []
  let room = 0
  for (const read of waiting) {
    if (read.keys.length > room) {
      groups.push([])
      room = MAX_KEYS
    }
    groups.at(-1)?.push(read)
    room -= read.keys.length
  }
  return groups
}

/** From the back, where the key that several reads end with stands. */
function deal(reads: readonly Waiting[], values: Values | undefined): void {
  if (values === undefined) {
    for (const { settle } of reads) settle(undefined)
    return
  }
  const own: Values[] = []
  let end = values.length
  for (let at = reads.length - 1; at >= 0; at--) {
    const { keys } = reads[at] as Waiting
    const shared = endsAlike(reads, at)
    const start = end - (shared ? keys.length - 1 : keys.length)
    const mine = values.slice(start, end)
    if (shared) mine.push((own[at + 1] as Values).at(-1) as string | null)
    own[at] = mine
    end = start
  }
  for (let at = 0; at < reads.length; at++) reads[at]?.settle(own[at])
}
