import { Random, Zipf } from './random.ts'

/** Who comes to the shop and what they look at: few are regulars, few products are popular. */
export class Crowd {
  readonly random: Random
  readonly #products: Zipf
  readonly #customers: Zipf

  constructor(seed: number, products: number, customers: number) {
    this.random = new Random(seed)
    this.#products = new Zipf(this.random, products)
    this.#customers = new Zipf(this.random, customers)
  }

  get favourite(): number {
    return this.#products.favourite + 1
  }

  get bestCustomer(): number {
    return this.#customers.favourite + 1
  }

  product(): number {
    return this.#products.next() + 1
  }

  customer(): number {
    return this.#customers.next() + 1
  }

  several<T>(count: number, next: () => T): T[] {
    return [...new Set(Array.from({ length: count }, next))]
  }
}
