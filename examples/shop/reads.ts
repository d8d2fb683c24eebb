import type { ShopDb } from './homes.ts'
import * as query from './queries.ts'
import type { Customer, Product, Row, Stock } from './schema.ts'
import { regions } from './shop-data.ts'
import type { Moment, Part } from './truth.ts'

export const queryClasses = [
  'rows by key',
  'lists of keys',
  'regional prices',
  'category lists',
  'front pages',
  'cart totals',
] as const

export type QueryClass = (typeof queryClasses)[number]

/** One query of a visitor. */
export interface Read {
  readonly kind: 'read'
  readonly queryClass: QueryClass
  /** The same for the same question. */
  readonly name: string
  run(db: ShopDb): Promise<readonly object[]>
  /** What was answered, cut into what has to be of one moment each, in an order of its own. */
  parts(rows: readonly object[]): Part[]
}

// —— by key ——

export const productById = (id: number): Read => oneRow(`product:${id}`, (db) => query.productById(db, id))

export const productBySlug = (slug: string): Read =>
  oneRow(`slug:${slug}`, async (db) => {
    const found = await query.productBySlug(db, slug)
    return found ? [found] : []
  })

export const stockOf = (sku: string): Read => oneRow(`stock:${sku}`, (db) => query.stockOf(db, sku))
export const customerById = (id: number): Read => oneRow(`customer:${id}`, (db) => query.customerById(db, id))
export const categoryById = (id: number): Read => oneRow(`category:${id}`, (db) => query.categoryById(db, id))

export const customerByEmail = (email: string): Read =>
  oneRow(`email:${email}`, (db) => query.customerByEmail(db, email))

export const stockOfAll = (skus: readonly string[]): Read => ({
  ...byKeys(
    skus.map((sku) => `stock:${sku}`),
    (row) => `stock:${(row as Stock).sku}`,
  ),
  run: (db) => query.stockOfAll(db, skus),
})

export const productsById = (ids: readonly number[]): Read => ({
  ...byKeys(
    ids.map((id) => `product:${id}`),
    (row) => `product:${(row as Product).id}`,
  ),
  run: (db) => query.productsById(db, ids),
})

export const customersById = (ids: readonly number[]): Read => ({
  ...byKeys(
    ids.map((id) => `customer:${id}`),
    (row) => `customer:${(row as Customer).id}`,
  ),
  run: (db) => query.customersById(db, ids),
})

function oneRow(key: string, run: (db: ShopDb) => Promise<Row[]>): Read {
  return {
    kind: 'read',
    queryClass: 'rows by key',
    name: key,
    run,
    parts: (rows) => [{ given: rows, expected: ({ fact }) => [fact(key)].filter((row) => row !== null) }],
  }
}

/** A list of keys is composed of rows that are each current on their own. */
function byKeys(keys: readonly string[], keyOf: (row: object) => string): Omit<Read, 'run'> {
  return {
    kind: 'read',
    queryClass: 'lists of keys',
    name: keys.join(),
    parts: (rows) => {
      const found = new Map(rows.map((row) => [keyOf(row), row]))
      const asked = keys.map((key): Part => ({ given: found.get(key) ?? null, expected: ({ fact }) => fact(key) }))
      const unasked = rows.filter((row) => !keys.includes(keyOf(row)) || found.get(keyOf(row)) !== row)
      return unasked.length === 0 ? asked : [...asked, { given: unasked, expected: () => [] }]
    },
  }
}

// —— from several rows and tables ——

export const regionalPrices = (productId: number): Read => ({
  ...whole('regional prices', `${productId}`, (shop) =>
    regions.map(({ id, currency }) => ({
      name: shop.product(productId).name,
      region: id,
      amount: shop.price(productId, id).amount,
      currency,
    })),
  ),
  run: (db) => query.regionalPrices(db, productId),
})

export const categoryList = (categoryId: number): Read => ({
  ...whole('category lists', `${categoryId}`, (shop) =>
    shop
      .shelf(categoryId)
      .slice(0, query.LIST_LENGTH)
      .map((id) => shop.product(id))
      .map(({ id, slug, name, price }) => ({ id, slug, name, price })),
  ),
  run: (db) => query.categoryList(db, categoryId),
})

export const frontPage = (customerId: number): Read => ({
  ...whole('front pages', `${customerId}`, (shop) =>
    shop
      .follows(customerId)
      .flatMap((categoryId) => shop.shelf(categoryId).slice(0, query.FRONT_LENGTH))
      .sort((one, other) => other - one)
      .slice(0, query.FRONT_LENGTH)
      .map((id) => shop.product(id))
      .map(({ id, name, categoryId }) => ({ id, name, category: shop.category(categoryId).name })),
  ),
  run: (db) => query.frontPage(db, customerId),
})

export const cartTotal = (customerId: number, regionId: string): Read => ({
  ...whole('cart totals', `${customerId} in ${regionId}`, (shop) => {
    const cart = shop.cart(customerId)
    const costs = cart.map(({ productId, quantity }) => quantity * cents(shop.price(productId, regionId).amount))
    const total = costs.reduce((sum, cost) => sum + cost, 0)
    return [{ items: cart.length, total: cart.length === 0 ? null : (total / 100).toFixed(2) }]
  }),
  run: (db) => query.cartTotal(db, customerId, regionId),
})

const cents = (amount: string): number => Math.round(Number(amount) * 100)

/** All of it as it was at one moment. */
function whole(queryClass: QueryClass, of: string, expected: (shop: Moment) => readonly object[]): Omit<Read, 'run'> {
  return { kind: 'read', queryClass, name: `${queryClass} ${of}`, parts: (rows) => [{ given: rows, expected }] }
}
