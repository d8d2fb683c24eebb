import { isDeepStrictEqual } from 'node:util'
import type { CartItem, Category, Customer, Price, Product, Region, Row, Stock } from './schema.ts'

/** One thing that is known of the shop: a row, the ids of a list, a cart; null where there is none. */
export type Fact = Row | readonly number[] | readonly CartItem[] | null

/** What a write changes: a fact, and what it is from now on. */
export type Change = readonly [key: string, fact: Fact]

/** Something that was answered at one moment, and what it should have been then. */
export interface Part {
  readonly given: unknown
  expected(shop: Moment): unknown
}

interface Version {
  readonly since: number
  readonly fact: Fact
}

/**
 * What one database has committed, kept beside it. Writes come one after another, each makes a new version; so it is
 * known for each read which versions it may show: the one that had resolved when it began, or any that came later.
 */
export class Truth {
  /** Writes that have begun: what they change may be seen. */
  begun = 0
  /** Writes that have resolved: nothing older may be seen. */
  settled = 0
  readonly #first: ReadonlyMap<string, Fact>
  readonly #later = new Map<string, Version[]>()

  constructor(first: ReadonlyMap<string, Fact>) {
    this.#first = first
  }

  begin(changes: readonly Change[]): void {
    this.begun++
    for (const [key, fact] of changes) {
      const versions = this.#later.get(key)
      const version = { since: this.begun, fact }
      if (versions) versions.push(version)
      else this.#later.set(key, [version])
    }
  }

  settle(): void {
    this.settled = this.begun
  }

  /** Whether a read may have given this: begun when `from` had settled, ended when `until` had begun. */
  allows({ given, expected }: Part, from: number, until: number): boolean {
    for (let version = from; version <= until; version++) {
      if (isDeepStrictEqual(given, expected(this.at(version)))) return true
    }
    return false
  }

  at(version: number): Moment {
    return new Moment((key) => this.#fact(key, version))
  }

  now(): Moment {
    return this.at(this.begun)
  }

  #fact(key: string, at: number): Fact {
    const versions = this.#later.get(key) ?? []
    // Nearly always the last one is asked for.
    for (let last = versions.length - 1; last >= 0; last--) {
      const { since, fact } = versions[last] as Version
      if (since <= at) return fact
    }
    return this.#first.get(key) ?? null
  }
}

/** The shop as it was between two writes. */
export class Moment {
  readonly fact: (key: string) => Fact

  constructor(fact: (key: string) => Fact) {
    this.fact = fact
  }

  product = (id: number): Product => this.fact(`product:${id}`) as Product
  stock = (sku: string): Stock => this.fact(`stock:${sku}`) as Stock
  customer = (id: number): Customer => this.fact(`customer:${id}`) as Customer
  category = (id: number): Category => this.fact(`category:${id}`) as Category
  region = (id: string): Region => this.fact(`region:${id}`) as Region
  price = (productId: number, regionId: string): Price => this.fact(`price:${productId}:${regionId}`) as Price
  /** The ids of a category's products, newest first. */
  shelf = (categoryId: number): readonly number[] => this.fact(`shelf:${categoryId}`) as readonly number[]
  /** The ids of the categories that a customer follows. */
  follows = (customerId: number): readonly number[] => this.fact(`follows:${customerId}`) as readonly number[]
  cart = (customerId: number): readonly CartItem[] => this.fact(`cart:${customerId}`) as readonly CartItem[]
}
