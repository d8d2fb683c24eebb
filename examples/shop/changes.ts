import { and, eq, is, sql, TransactionRollbackError } from 'drizzle-orm'
import type { Crowd } from './crowd.ts'
import type { ShopDb } from './homes.ts'
import { cartItems, follows, orders, type Product, prices, products, type Stock, stock } from './schema.ts'
import { CATEGORIES, makePrice, makePrices, makeProduct, makeStock, regions } from './shop-data.ts'
import type { Change, Moment, Truth } from './truth.ts'

/** One change to the shop: a statement or a transaction. */
export interface Write {
  readonly kind: 'write'
  readonly changes: readonly Change[]
  run(db: ShopDb): Promise<unknown>
}

const shares = {
  sell: 26,
  order: 11,
  declinedOrder: 4,
  changePrice: 12,
  changeRegionalPrice: 13,
  rename: 5,
  addProduct: 5,
  changeCart: 15,
  follow: 9,
}

/** What happens in the shop and its office. It knows what each change makes of the shop. */
export class Changes {
  readonly #crowd: Crowd
  readonly #truth: Truth
  #lastProduct: number
  #lastOrder = 0
  #minutes = 0

  constructor(crowd: Crowd, truth: Truth, lastProduct: number) {
    this.#crowd = crowd
    this.#truth = truth
    this.#lastProduct = lastProduct
  }

  get lastProduct(): number {
    return this.#lastProduct
  }

  next(): Write {
    const name = this.#crowd.random.weighed(shares)
    this.#minutes++
    if (name === 'sell') return this.#sell()
    if (name === 'changePrice') return this.#changeProduct({ price: makePrice(this.#crowd.random) })
    if (name === 'changeRegionalPrice') return this.#changeRegionalPrice()
    if (name === 'rename') return this.#rename()
    if (name === 'addProduct') return this.#addProduct()
    if (name === 'changeCart') return this.#changeCart()
    if (name === 'follow') return this.#followOrUnfollow()
    return this.#order(name === 'declinedOrder')
  }

  // —— the office ——

  #changeProduct(change: Partial<Product>): Write {
    const before = this.#shop.product(this.#crowd.product())
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
    const number = this.#crowd.random.below(1_000_000)
    return this.#changeProduct({ name: `renamed ${number}`, slug: `renamed-${number}-${this.#minutes}` })
  }

  #changeRegionalPrice(): Write {
    const { random } = this.#crowd
    const before = this.#shop.price(this.#crowd.product(), random.pick(regions).id)
    const { productId, regionId, amount } = { ...before, amount: makePrice(random) }
    return {
      kind: 'write',
      changes: [[`price:${productId}:${regionId}`, { productId, regionId, amount }]],
      run: (db) =>
        db
          .update(prices)
          .set({ amount })
          .where(and(eq(prices.productId, productId), eq(prices.regionId, regionId))),
    }
  }

  #addProduct(): Write {
    const { random } = this.#crowd
    this.#lastProduct++
    const product = { ...makeProduct(random, this.#lastProduct), updatedAt: this.#now() }
    const goods = makeStock(random, product.sku)
    const itsPrices = makePrices(random, product)
    const { id, slug, categoryId } = product
    return {
      kind: 'write',
      changes: [
        [`product:${id}`, product],
        [`slug:${slug}`, product],
        [`stock:${goods.sku}`, goods],
        [`shelf:${categoryId}`, [id, ...this.#shop.shelf(categoryId)]],
        ...itsPrices.map((price): Change => [`price:${id}:${price.regionId}`, price]),
      ],
      run: (db) =>
        db.transaction(async (tx) => {
          await tx.insert(products).values(product)
          await tx.insert(stock).values(goods)
          await tx.insert(prices).values(itsPrices)
        }),
    }
  }

  // —— customers ——

  /** Something is taken out of a cart, or put into it in some quantity. */
  #changeCart(): Write {
    const { random } = this.#crowd
    const customerId = this.#crowd.customer()
    const before = this.#shop.cart(customerId)
    const taken = random.next() < 0.4 && before.length > 0 ? random.pick(before).productId : undefined
    const productId = taken ?? this.#crowd.product()
    const others = before.filter((item) => item.productId !== productId)
    const item = { customerId, productId, quantity: 1 + random.below(4) }
    return {
      kind: 'write',
      changes: [[`cart:${customerId}`, taken === undefined ? [...others, item] : others]],
      run: (db) =>
        taken === undefined
          ? db
              .insert(cartItems)
              .values(item)
              .onConflictDoUpdate({
                target: [cartItems.customerId, cartItems.productId],
                set: { quantity: item.quantity },
              })
          : db.delete(cartItems).where(and(eq(cartItems.customerId, customerId), eq(cartItems.productId, productId))),
    }
  }

  #followOrUnfollow(): Write {
    const customerId = this.#crowd.customer()
    const categoryId = 1 + this.#crowd.random.below(CATEGORIES)
    const before = this.#shop.follows(customerId)
    const unfollow = before.includes(categoryId)
    return {
      kind: 'write',
      changes: [
        [`follows:${customerId}`, unfollow ? before.filter((id) => id !== categoryId) : [...before, categoryId]],
      ],
      run: (db) =>
        unfollow
          ? db.delete(follows).where(and(eq(follows.customerId, customerId), eq(follows.categoryId, categoryId)))
          : db.insert(follows).values({ customerId, categoryId }),
    }
  }

  #sell(): Write {
    const before = this.#popularStock()
    const by = before.quantity < 50 ? 500 : -1 - this.#crowd.random.below(3)
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

  /** Takes goods from the shelf, looks at what is left, writes the order; where the payment fails, all is undone. */
  #order(declined: boolean): Write {
    const { random } = this.#crowd
    const skus = this.#crowd.several(1 + random.below(3), () => this.#popularStock().sku)
    const left = skus.map((sku) => this.#shop.stock(sku)).map((goods) => ({ ...goods, quantity: goods.quantity - 1 }))
    const order = { customerId: this.#crowd.customer(), total: makePrice(random), placedAt: this.#now() }
    const id = this.#lastOrder + 1
    if (!declined) this.#lastOrder = id
    return {
      kind: 'write',
      changes: declined ? [] : left.map((goods): Change => [`stock:${goods.sku}`, goods]),
      run: (db) => placeOrder(db, { id, ...order }, skus, () => !declined),
    }
  }

  #now(): Date {
    return new Date(Date.UTC(2026, 5, 1) + this.#minutes * 60_000)
  }

  #popularStock(): Stock {
    return this.#shop.stock(this.#shop.product(this.#crowd.product()).sku)
  }

  get #shop(): Moment {
    return this.#truth.now()
  }
}

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
