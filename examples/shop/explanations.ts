import { and, eq, inArray } from 'drizzle-orm'
import type { Contenders } from './contenders.ts'
import type { ShopDb } from './homes.ts'
import * as query from './queries.ts'
import { type Product, prices, products, stock } from './schema.ts'
import type { ShopStream } from './stream.ts'

/** What `explain` says of a hit, a list that is half there, joins, an aggregate and a write. */
export async function explanations({ ours }: Contenders, { favourite, bestCustomer }: ShopStream): Promise<string[]> {
  const { db } = ours
  const { id, sku } = favourite
  const customer = bestCustomer.id
  const neverAsked = 'SKU-999999'
  const questions: [code: string, query: { getSQL(): unknown }][] = [
    [
      `db.select({ name: products.name, price: products.price }).from(products).where(eq(products.id, ${id}))`,
      db.select({ name: products.name, price: products.price }).from(products).where(eq(products.id, id)),
    ],
    [
      `db.select().from(stock).where(inArray(stock.sku, ['${sku}', '${neverAsked}']))`,
      db
        .select()
        .from(stock)
        .where(inArray(stock.sku, [sku, neverAsked])),
    ],
    [
      `db.select({ name: products.name, region: regions.id, amount: prices.amount, currency: regions.currency })
      .from(products)
      .innerJoin(prices, eq(prices.productId, products.id))
      .innerJoin(regions, eq(regions.id, prices.regionId))
      .where(eq(products.id, ${id}))
      .orderBy(asc(prices.regionId))`,
      query.regionalPrices(db, id),
    ],
    [
      `db.select({ id: products.id, name: products.name, category: categories.name })
      .from(follows)
      .innerJoin(products, eq(products.categoryId, follows.categoryId))
      .innerJoin(categories, eq(categories.id, follows.categoryId))
      .where(eq(follows.customerId, ${customer}))
      .orderBy(desc(products.id))
      .limit(${query.FRONT_LENGTH})`,
      query.frontPage(db, customer),
    ],
    [
      `db.select({ items: count(), total: sum(sql\`\${cartItems.quantity} * \${prices.amount}\`) })
      .from(cartItems)
      .innerJoin(prices, eq(prices.productId, cartItems.productId))
      .where(and(eq(cartItems.customerId, ${customer}), eq(prices.regionId, 'eu')))`,
      query.cartTotal(db, customer, 'eu'),
    ],
    [
      `db.update(prices).set({ amount: '9.90' }).where(and(eq(prices.productId, ${id}), eq(prices.regionId, 'eu')))`,
      db
        .update(prices)
        .set({ amount: '9.90' })
        .where(and(eq(prices.productId, id), eq(prices.regionId, 'eu'))),
    ],
  ]
  await keepWhatIsAsked(db, favourite, customer)
  return Promise.all(
    questions.map(async ([code, query]) => `  > ${code}\n${indent(String(await db.$aside.explain(query)))}`),
  )
}

/** Twice: what a first answer has shown of its partners, the second one is kept by. */
async function keepWhatIsAsked(db: ShopDb, { id, sku }: Product, customerId: number): Promise<void> {
  for (const _ of [1, 2]) {
    await query.productById(db, id)
    await query.stockOf(db, sku)
    await query.regionalPrices(db, id)
    await query.frontPage(db, customerId)
    await query.cartTotal(db, customerId, 'eu')
  }
}

const indent = (text: string): string => text.replace(/^/gm, '    ')
