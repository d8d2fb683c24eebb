/** Numbers that look random and are the same for the same seed (mulberry32). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  /** A whole number from 0 to below `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end)
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T
  }

  /** One of the names, as often as its weight says. */
  weighed<T extends string>(weights: Readonly<Record<T, number>>): T {
    const names = Object.keys(weights) as T[]
    let left = this.next() * names.reduce((sum, name) => sum + weights[name], 0)
    for (const name of names) {
      left -= weights[name]
      if (left < 0) return name
    }
    return names.at(-1) as T
  }
}

/** Few are asked for often, many seldom: rank r with weight 1 / r^0.99, ranks scattered over the positions. */
export class Zipf {
  readonly #random: Random
  readonly #sums: Float64Array
  readonly #positions: number[]

  constructor(random: Random, size: number, exponent = 0.99) {
    this.#random = random
    this.#sums = new Float64Array(size)
    let sum = 0
    for (let rank = 0; rank < size; rank++) {
      sum += 1 / (rank + 1) ** exponent
      this.#sums[rank] = sum
    }
    this.#positions = shuffled(random, size)
  }

  /** The position of the most popular one. */
  get favourite(): number {
    return this.#positions[0] as number
  }

  next(): number {
    const sums = this.#sums
    const aim = this.#random.next() * (sums.at(-1) as number)
    let low = 0
    let high = sums.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if ((sums[middle] as number) < aim) low = middle + 1
      else high = middle
    }
    return this.#positions[low] as number
  }
}

function shuffled(random: Random, size: number): number[] {
  const list = Array.from({ length: size }, (_, at) => at)
  for (let at = size - 1; at > 0; at--) {
    const other = random.below(at + 1)
    ;[list[at], list[other]] = [list[other] as number, list[at] as number]
  }
  return list
}
