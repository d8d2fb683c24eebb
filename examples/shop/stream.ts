import { Changes, type Write } from './changes.ts'
import { Crowd } from './crowd.ts'
import * as read from './reads.ts'
import { CATEGORIES, firstFacts, regions, type ShopData } from './shop-data.ts'
import { type Moment, Truth } from './truth.ts'

export type Operation = read.Read | Write

const shares = {
  productById: 20,
  productBySlug: 11,
  regionalPrices: 14,
  categoryList: 9,
  frontPage: 9,
  cartTotal: 8,
  stockOfProduct: 8,
  stockOfCart: 5,
  recommendations: 3,
  customerById: 5,
  customerByEmail: 3,
  category: 3,
  missingProduct: 2,
}

export const WRITE_SHARE = 0.05

/** Links to products that were never there, as crawlers follow them. */
const deadLinks = Array.from({ length: 60 }, (_, at) => `gone-since-${at}`)

/**
 * The day of a shop: the same seed gives the same operations in the same order. It knows what each write makes of the
 * shop, so it also knows the answer to every question.
 */
export class ShopStream {
  readonly #data: ShopData
  readonly #crowd: Crowd
  readonly #truth: Truth
  readonly #changes: Changes

  constructor(data: ShopData, seed: number) {
    this.#data = data
    this.#crowd = new Crowd(seed + 1, data.products.length, data.customers.length)
    this.#truth = new Truth(firstFacts(data))
    this.#changes = new Changes(this.#crowd, this.#truth, data.products.length)
  }

  /** The product that most visitors look at. */
  get favourite() {
    return this.#shop.product(this.#crowd.favourite)
  }

  /** The customer who comes most often. */
  get bestCustomer() {
    return this.#shop.customer(this.#crowd.bestCustomer)
  }

  /** What a job reads before the shop opens, list by list: all products, their stock, all customers. */
  opening(): read.Read[] {
    const { products, stock, customers } = this.#data
    return [
      ...inParts(products).map((part) => read.productsById(part.map(({ id }) => id))),
      ...inParts(stock).map((part) => read.stockOfAll(part.map(({ sku }) => sku))),
      ...inParts(customers).map((part) => read.customersById(part.map(({ id }) => id))),
    ]
  }

  next(): Operation {
    if (this.#crowd.random.next() >= WRITE_SHARE) return this.#read()
    const write = this.#changes.next()
    this.#truth.begin(write.changes)
    return write
  }

  #read(): read.Read {
    const crowd = this.#crowd
    const { random } = crowd
    const sku = (): string => this.#shop.product(crowd.product()).sku
    const name = random.weighed(shares)
    if (name === 'productById') return read.productById(crowd.product())
    if (name === 'productBySlug') return read.productBySlug(this.#shop.product(crowd.product()).slug)
    if (name === 'regionalPrices') return read.regionalPrices(crowd.product())
    if (name === 'categoryList') return read.categoryList(1 + random.below(CATEGORIES))
    if (name === 'frontPage') return read.frontPage(crowd.customer())
    if (name === 'cartTotal') return this.#cartTotal()
    if (name === 'stockOfProduct') return read.stockOf(sku())
    if (name === 'stockOfCart') return read.stockOfAll(crowd.several(2 + random.below(5), sku))
    if (name === 'recommendations') return read.productsById(crowd.several(4, () => crowd.product()))
    if (name === 'customerById') return read.customerById(crowd.customer())
    if (name === 'customerByEmail') return read.customerByEmail(`customer${crowd.customer()}@example.org`)
    if (name === 'category') return read.categoryById(1 + random.below(CATEGORIES))
    // A dead link, or the id that the next new product will get.
    if (random.below(3) > 0) return read.productBySlug(random.pick(deadLinks))
    return read.productById(this.#changes.lastProduct + 1 + random.below(5))
  }

  /** Each customer lives in one region. */
  #cartTotal(): read.Read {
    const customerId = this.#crowd.customer()
    const region = regions[customerId % regions.length] as (typeof regions)[number]
    return read.cartTotal(customerId, region.id)
  }

  get #shop(): Moment {
    return this.#truth.now()
  }
}

const PART = 500

const inParts = <T>(list: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(list.length / PART) }, (_, at) => list.slice(at * PART, (at + 1) * PART) as T[])
