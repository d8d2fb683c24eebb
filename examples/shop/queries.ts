/** What the pages of the shop read, as an app writes it. */
import { and, asc, count, desc, eq, inArray, sql, sum } from 'drizzle-orm'
import type { ShopDb } from './homes.ts'
import { cartItems, categories, customers, follows, prices, products, regions, stock } from './schema.ts'

export const productById = (db: ShopDb, id: number) => db.select().from(products).where(eq(products.id, id))

export const productBySlug = (db: ShopDb, slug: string) =>
  db.query.products.findFirst({ where: eq(products.slug, slug) })

export const productsById = (db: ShopDb, ids: readonly number[]) =>
  db
    .select()
    .from(products)
    .where(inArray(products.id, [...ids]))

export const stockOf = (db: ShopDb, sku: string) => db.select().from(stock).where(eq(stock.sku, sku))

export const stockOfAll = (db: ShopDb, skus: readonly string[]) =>
  db
    .select()
    .from(stock)
    .where(inArray(stock.sku, [...skus]))

export const customerById = (db: ShopDb, id: number) => db.select().from(customers).where(eq(customers.id, id))

export const customersById = (db: ShopDb, ids: readonly number[]) =>
  db
    .select()
    .from(customers)
    .where(inArray(customers.id, [...ids]))

export const customerByEmail = (db: ShopDb, email: string) =>
  db.select().from(customers).where(eq(customers.email, email))

export const categoryById = (db: ShopDb, id: number) => db.select().from(categories).where(eq(categories.id, id))

/** What a product costs in each region. */
export const regionalPrices = (db: ShopDb, productId: number) =>
  db
    .select({ name: products.name, region: regions.id, amount: prices.amount, currency: regions.currency })
    .from(products)
    .innerJoin(prices, eq(prices.productId, products.id))
    .innerJoin(regions, eq(regions.id, prices.regionId))
    .where(eq(products.id, productId))
    .orderBy(asc(prices.regionId))

export const LIST_LENGTH = 24

export const categoryList = (db: ShopDb, categoryId: number) =>
  db
    .select({ id: products.id, slug: products.slug, name: products.name, price: products.price })
    .from(products)
    .where(eq(products.categoryId, categoryId))
    .orderBy(desc(products.id))
    .limit(LIST_LENGTH)

export const FRONT_LENGTH = 10

/** The newest products of the categories that a customer follows. */
export const frontPage = (db: ShopDb, customerId: number) =>
  db
    .select({ id: products.id, name: products.name, category: categories.name })
    .from(follows)
    .innerJoin(products, eq(products.categoryId, follows.categoryId))
    .innerJoin(categories, eq(categories.id, follows.categoryId))
    .where(eq(follows.customerId, customerId))
    .orderBy(desc(products.id))
    .limit(FRONT_LENGTH)

/** How many goods lie in a cart, and what they cost in a region. */
export const cartTotal = (db: ShopDb, customerId: number, regionId: string) =>
  db
    .select({ items: count(), total: sum(sql`${cartItems.quantity} * ${prices.amount}`) })
    .from(cartItems)
    .innerJoin(prices, eq(prices.productId, cartItems.productId))
    .where(and(eq(cartItems.customerId, customerId), eq(prices.regionId, regionId)))
