/** Seeded, so that every contender meets the same operations and a run can be repeated. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const copy = [...items]
  for (let at = copy.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1))
    ;[copy[at], copy[other]] = [copy[other] as T, copy[at] as T]
  }
  return copy
}

/** Draws keys from 1 to `count`, the one of rank r with weight 1 / r^alpha; ranks are scattered over the keys. */
export function zipf(count: number, alpha: number, random: () => number): () => number {
  const upTo = new Float64Array(count)
  let sum = 0
  for (let rank = 0; rank < count; rank++) {
    sum += 1 / (rank + 1) ** alpha
    upTo[rank] = sum
  }
  const keyOfRank = shuffled(
    Array.from({ length: count }, (_, at) => at + 1),
    seeded(7),
  )
  return () => keyOfRank[firstAtLeast(upTo, random() * sum)] as number
}

function firstAtLeast(sorted: Float64Array, wanted: number): number {
  let low = 0
  let high = sorted.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] as number) < wanted) low = middle + 1
    else high = middle
  }
  return low
}

/** A sequence of reads and writes by key. */
export interface Stream {
  readonly keys: Int32Array
  readonly writes: Uint8Array
}

export function createStream(length: number, writePercent: number, draw: () => number, random: () => number): Stream {
  const keys = new Int32Array(length)
  const writes = new Uint8Array(length)
  for (let at = 0; at < length; at++) {
    keys[at] = draw()
    writes[at] = random() * 100 < writePercent ? 1 : 0
  }
  return { keys, writes }
}
