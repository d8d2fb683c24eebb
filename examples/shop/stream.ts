import { eq, inArray, is, sql, TransactionRollbackError } from 'drizzle-orm'
import type { ShopDb } from './homes.ts'
import { Random, Zipf } from './random.ts'
import {
  type Customer,
  categories,
  customers,
  orders,
  type Product,
  products,
  type Row,
  type Stock,
  stock,
} from './schema.ts'
import { firstAnswers, makePrice, makeProduct, makeStock, type ShopData } from './shop-data.ts'
import { type Change, Truth } from './truth.ts'

/** One query of a visitor. */
export interface Read {
  readonly kind: 'read'
  /** The questions it asks. */
  readonly keys: readonly string[]
  run(db: ShopDb): Promise<readonly Row[]>
  /** Which question a row answers. */
  keyOf(row: Row): string
}

/** One change by the shop: a statement or a transaction. */
export interface Write {
  readonly kind: 'write'
  readonly changes: readonly Change[]
  run(db: ShopDb): Promise<unknown>
}

export type Operation = Read | Write

const reads = {
  productById: 33,
  productBySlug: 17,
  stockOfProduct: 14,
  cart: 9,
  recommendations: 4,
  customerById: 9,
  customerByEmail: 5,
  category: 5,
  missingProduct: 4,
}

const writes = { sell: 38, changePrice: 22, rename: 10, addProduct: 10, order: 15, declinedOrder: 5 }

const WRITE_SHARE = 0.05

/** Links to products that were never there, as crawlers follow them. */
const deadLinks = Array.from({ length: 60 }, (_, at) => `gone-since-${at}`)

/**
 * The day of a shop: the same seed gives the same operations in the same order. It knows what each write makes of the
 * shop, so it also knows the answer to every question.
 */
export class ShopStream {
  readonly #random: Random
  readonly #popular: Zipf
  readonly #regulars: Zipf
  readonly #truth: Truth
  readonly #productCount: number
  #lastProduct: number
  #lastOrder = 0
  #minutes = 0

  constructor(data: ShopData, seed: number) {
    this.#random = new Random(seed + 1)
    this.#popular = new Zipf(this.#random, data.products.length)
    this.#regulars = new Zipf(this.#random, data.customers.length)
    this.#truth = new Truth(firstAnswers(data))
    this.#productCount = data.products.length
    this.#lastProduct = data.products.length
  }

  /** The product that most visitors look at. */
  get favourite(): Product {
    return this.#product(this.#popular.favourite + 1)
  }

  /** What a job reads before the shop opens, list by list: all products, their stock, all customers. */
  opening(data: ShopData): Operation[] {
    return [
      ...inParts(data.products).map((part) => recommended(part.map(({ id }) => id))),
      ...inParts(data.stock).map((part) => cart(part.map(({ sku }) => sku))),
      ...inParts(data.customers).map((part) => customersById(part.map(({ id }) => id))),
    ]
  }

  next(): Operation {
    if (this.#random.next() >= WRITE_SHARE) return this.#read()
    const write = this.#write()
    this.#truth.begin(write.changes)
    return write
  }

  // —— visitors ——

  #read(): Read {
    const name = this.#random.weighed(reads)
    if (name === 'productById') return productById(this.#popularId())
    if (name === 'productBySlug') return productBySlug(this.#product(this.#popularId()).slug)
    if (name === 'stockOfProduct') return stockOf(this.#popularStock().sku)
    if (name === 'cart') return cart(this.#several(2 + this.#random.below(5), () => this.#popularStock().sku))
    if (name === 'recommendations') return recommended(this.#several(4, () => this.#popularId()))
    if (name === 'customerById') return customerById(this.#regulars.next() + 1)
    if (name === 'customerByEmail') return customerByEmail(`customer${this.#regulars.next() + 1}@example.org`)
    if (name === 'category') return categoryById(1 + this.#random.below(40))
    // A dead link, or the id that the next new product will get.
    if (this.#random.below(3) > 0) return productBySlug(this.#random.pick(deadLinks))
    return productById(this.#lastProduct + 1 + this.#random.below(5))
  }

  #several<T>(count: number, next: () => T): T[] {
    return [...new Set(Array.from({ length: count }, next))]
  }

  // —— the shop ——

  #write(): Write {
    const name = this.#random.weighed(writes)
    this.#minutes++
    if (name === 'sell') return this.#sell()
    if (name === 'changePrice') return this.#changeProduct({ price: makePrice(this.#random) })
    if (name === 'rename') return this.#rename()
    if (name === 'addProduct') return this.#addProduct()
    return this.#order(name === 'declinedOrder')
  }

  #sell(): Write {
    const before = this.#popularStock()
    const by = before.quantity < 50 ? 500 : -1 - this.#random.below(3)
    const after = { ...before, quantity: before.quantity + by }
    return {
      kind: 'write',
      changes: [[`stock:${after.sku}`, after]],
      run: (db) =>
        db
          .update(stock)
          .set({ quantity: sql`${stock.quantity} + ${by}` })
          .where(eq(stock.sku, after.sku)),
    }
  }

  #changeProduct(change: Partial<Product>): Write {
    const before = this.#product(this.#popularId())
    const after = { ...before, ...change, updatedAt: this.#now() }
    const { id, slug } = after
    const moved: Change[] = slug === before.slug ? [] : [[`slug:${before.slug}`, null]]
    return {
      kind: 'write',
      changes: [[`product:${id}`, after], ...moved, [`slug:${slug}`, after]],
      run: (db) =>
        db
          .update(products)
          .set({ ...change, updatedAt: after.updatedAt })
          .where(eq(products.id, id)),
    }
  }

  #rename(): Write {
    const number = this.#random.below(1_000_000)
    return this.#changeProduct({ name: `renamed ${number}`, slug: `renamed-${number}-${this.#minutes}` })
  }

  #addProduct(): Write {
    this.#lastProduct++
    const product = { ...makeProduct(this.#random, this.#lastProduct), updatedAt: this.#now() }
    const shelf = makeStock(this.#random, product.sku)
    return {
      kind: 'write',
      changes: [
        [`product:${product.id}`, product],
        [`slug:${product.slug}`, product],
        [`stock:${shelf.sku}`, shelf],
      ],
      run: (db) =>
        db.transaction(async (tx) => {
          await tx.insert(products).values(product)
          await tx.insert(stock).values(shelf)
        }),
    }
  }

  /** Takes goods from the shelf, looks at what is left, writes the order; where the payment fails, all is undone. */
  #order(declined: boolean): Write {
    const shelves = this.#several(1 + this.#random.below(3), () => this.#popularStock().sku).map((sku) => {
      const before = this.#stock(sku)
      return { ...before, quantity: before.quantity - 1 }
    })
    const order = { customerId: this.#regulars.next() + 1, total: makePrice(this.#random), placedAt: this.#now() }
    const id = this.#lastOrder + 1
    if (!declined) this.#lastOrder = id
    const pay = (): boolean => !declined
    return {
      kind: 'write',
      changes: declined ? [] : shelves.map((shelf): Change => [`stock:${shelf.sku}`, shelf]),
      run: (db) =>
        placeOrder(
          db,
          { id, ...order },
          shelves.map(({ sku }) => sku),
          pay,
        ),
    }
  }

  #now(): Date {
    return new Date(Date.UTC(2026, 5, 1) + this.#minutes * 60_000)
  }

  #popularId(): number {
    return this.#popular.next() + 1
  }

  #popularStock(): Stock {
    return this.#stock(this.#product(this.#popularId()).sku)
  }

  #product(id: number): Product {
    if (id > this.#productCount) throw new RangeError(`product ${id} is not one of the first ${this.#productCount}`)
    return this.#truth.now(`product:${id}`) as Product
  }

  #stock(sku: string): Stock {
    return this.#truth.now(`stock:${sku}`) as Stock
  }
}

const PART = 500

const inParts = <T>(list: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(list.length / PART) }, (_, at) => list.slice(at * PART, (at + 1) * PART) as T[])

// —— the queries, as an app writes them ——

export const productById = (id: number): Read => ({
  kind: 'read',
  keys: [`product:${id}`],
  keyOf: () => `product:${id}`,
  run: (db) => db.select().from(products).where(eq(products.id, id)),
})

export const productBySlug = (slug: string): Read => ({
  kind: 'read',
  keys: [`slug:${slug}`],
  keyOf: () => `slug:${slug}`,
  run: async (db) => {
    const found = await db.query.products.findFirst({ where: eq(products.slug, slug) })
    return found ? [found] : []
  },
})

export const stockOf = (sku: string): Read => ({
  kind: 'read',
  keys: [`stock:${sku}`],
  keyOf: () => `stock:${sku}`,
  run: (db) => db.select().from(stock).where(eq(stock.sku, sku)),
})

export const cart = (skus: readonly string[]): Read => ({
  kind: 'read',
  keys: skus.map((sku) => `stock:${sku}`),
  keyOf: (row) => `stock:${(row as Stock).sku}`,
  run: (db) =>
    db
      .select()
      .from(stock)
      .where(inArray(stock.sku, [...skus])),
})

export const recommended = (ids: readonly number[]): Read => ({
  kind: 'read',
  keys: ids.map((id) => `product:${id}`),
  keyOf: (row) => `product:${(row as Product).id}`,
  run: (db) =>
    db
      .select()
      .from(products)
      .where(inArray(products.id, [...ids])),
})

export const customerById = (id: number): Read => ({
  kind: 'read',
  keys: [`customer:${id}`],
  keyOf: () => `customer:${id}`,
  run: (db) => db.select().from(customers).where(eq(customers.id, id)),
})

export const customersById = (ids: readonly number[]): Read => ({
  kind: 'read',
  keys: ids.map((id) => `customer:${id}`),
  keyOf: (row) => `customer:${(row as Customer).id}`,
  run: (db) =>
    db
      .select()
      .from(customers)
      .where(inArray(customers.id, [...ids])),
})

export const customerByEmail = (email: string): Read => ({
  kind: 'read',
  keys: [`email:${email}`],
  keyOf: () => `email:${email}`,
  run: (db) => db.select().from(customers).where(eq(customers.email, email)),
})

export const categoryById = (id: number): Read => ({
  kind: 'read',
  keys: [`category:${id}`],
  keyOf: () => `category:${id}`,
  run: (db) => db.select().from(categories).where(eq(categories.id, id)),
})

async function placeOrder(
  db: ShopDb,
  order: typeof orders.$inferInsert,
  skus: readonly string[],
  pay: () => boolean,
): Promise<void> {
  try {
    await db.transaction(async (tx) => {
      for (const sku of skus) {
        await tx
          .update(stock)
          .set({ quantity: sql`${stock.quantity} - 1` })
          .where(eq(stock.sku, sku))
        // For the line "only 3 left" on the confirmation.
        await tx.select().from(stock).where(eq(stock.sku, sku))
      }
      await tx.insert(orders).values(order)
      if (!pay()) tx.rollback()
    })
  } catch (error) {
    if (!is(error, TransactionRollbackError)) throw error
  }
}
