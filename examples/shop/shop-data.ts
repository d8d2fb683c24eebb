import { Random } from './random.ts'
import type { CartItem, Category, Customer, Follow, Price, Product, Region, Stock } from './schema.ts'
import type { Fact } from './truth.ts'

/** What the shop starts with; every contender gets the same. */
export interface ShopData {
  readonly categories: readonly Category[]
  readonly products: readonly Product[]
  readonly stock: readonly Stock[]
  readonly customers: readonly Customer[]
  readonly regions: readonly Region[]
  readonly prices: readonly Price[]
  readonly follows: readonly Follow[]
  readonly cartItems: readonly CartItem[]
}

export const CATEGORIES = 40

export const regions: readonly Region[] = [
  { id: 'eu', currency: 'EUR' },
  { id: 'uk', currency: 'GBP' },
  { id: 'us', currency: 'USD' },
]

const things = ['lamp', 'chair', 'kettle', 'rucksack', 'notebook', 'bicycle', 'teapot', 'blanket', 'radio', 'mirror']
const looks = ['plain', 'tall', 'folding', 'enamelled', 'oak', 'linen', 'brass', 'striped', 'small', 'quiet']
const colours = ['red', 'green', 'blue', 'ochre', 'black', 'white']
const opened = Date.UTC(2026, 0, 1)

export function makeShopData(productCount: number, seed: number): ShopData {
  const random = new Random(seed)
  const categories = Array.from({ length: CATEGORIES }, (_, at) => ({
    id: at + 1,
    slug: `aisle-${at + 1}`,
    name: `Aisle ${at + 1}`,
  }))
  const products = Array.from({ length: productCount }, (_, at) => makeProduct(random, at + 1))
  const stock = products.map(({ sku }) => makeStock(random, sku))
  const customers = Array.from({ length: Math.ceil(productCount / 10) }, (_, at) => makeCustomer(random, at + 1))
  const prices = products.flatMap((product) => makePrices(random, product))
  const follows = customers.flatMap(({ id }) => makeFollows(random, id))
  const cartItems = customers.flatMap(({ id }) => makeCart(random, id, productCount))
  return { categories, products, stock, customers, regions, prices, follows, cartItems }
}

export function makeProduct(random: Random, id: number): Product {
  const name = `${random.pick(looks)} ${random.pick(things)}`
  return {
    id,
    sku: `SKU-${String(id).padStart(6, '0')}`,
    slug: `${name.replace(' ', '-')}-${id}`,
    name,
    categoryId: 1 + random.below(CATEGORIES),
    price: makePrice(random),
    description: `A ${name} for every day. `.repeat(4 + random.below(8)).trim(),
    attributes: { colour: random.pick(colours), sizes: ['S', 'M', 'L'].slice(random.below(3)) },
    active: true,
    updatedAt: new Date(opened + random.below(86_400_000)),
  }
}

export const makePrice = (random: Random): string => (1 + random.next() * 400).toFixed(2)

export function makeStock(random: Random, sku: string): Stock {
  return { sku, quantity: 100 + random.below(900), warehouse: random.pick(['north', 'south']) }
}

function makeCustomer(random: Random, id: number): Customer {
  return {
    id,
    email: `customer${id}@example.org`,
    name: `Customer ${id}`,
    since: new Date(opened - random.below(1_000_000) * 60_000),
  }
}

/** About the list price, another one in each region. */
export function makePrices(random: Random, { id, price }: Product): Price[] {
  return regions.map((region) => ({
    productId: id,
    regionId: region.id,
    amount: (Number(price) * (0.8 + 0.4 * random.next())).toFixed(2),
  }))
}

function makeFollows(random: Random, customerId: number): Follow[] {
  const followed = new Set(Array.from({ length: 2 + random.below(4) }, () => 1 + random.below(CATEGORIES)))
  return [...followed].map((categoryId) => ({ customerId, categoryId }))
}

function makeCart(random: Random, customerId: number, productCount: number): CartItem[] {
  const put = new Set(Array.from({ length: random.below(5) }, () => 1 + random.below(productCount)))
  return [...put].map((productId) => ({ customerId, productId, quantity: 1 + random.below(3) }))
}

/** All that is known of the shop on its first day, under the keys that `Moment` asks by. */
export function firstFacts(data: ShopData): Map<string, Fact> {
  const facts = new Map<string, Fact>()
  for (const row of data.categories) facts.set(`category:${row.id}`, row).set(`shelf:${row.id}`, [])
  for (const row of data.products) facts.set(`product:${row.id}`, row).set(`slug:${row.slug}`, row)
  for (const row of data.stock) facts.set(`stock:${row.sku}`, row)
  for (const row of data.customers) {
    facts.set(`customer:${row.id}`, row).set(`email:${row.email}`, row)
    facts.set(`follows:${row.id}`, []).set(`cart:${row.id}`, [])
  }
  for (const row of data.regions) facts.set(`region:${row.id}`, row)
  for (const row of data.prices) facts.set(`price:${row.productId}:${row.regionId}`, row)
  const listed = <T>(key: string): T[] => facts.get(key) as T[]
  for (const { id, categoryId } of data.products) listed<number>(`shelf:${categoryId}`).unshift(id)
  for (const { customerId, categoryId } of data.follows) listed<number>(`follows:${customerId}`).push(categoryId)
  for (const item of data.cartItems) listed<CartItem>(`cart:${item.customerId}`).push(item)
  return facts
}
