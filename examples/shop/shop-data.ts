import { Random } from './random.ts'
import type { Category, Customer, Product, Row, Stock } from './schema.ts'

/** What the shop starts with; every contender gets the same. */
export interface ShopData {
  readonly categories: readonly Category[]
  readonly products: readonly Product[]
  readonly stock: readonly Stock[]
  readonly customers: readonly Customer[]
}

const things = ['lamp', 'chair', 'kettle', 'rucksack', 'notebook', 'bicycle', 'teapot', 'blanket', 'radio', 'mirror']
const looks = ['plain', 'tall', 'folding', 'enamelled', 'oak', 'linen', 'brass', 'striped', 'small', 'quiet']
const colours = ['red', 'green', 'blue', 'ochre', 'black', 'white']
const opened = Date.UTC(2026, 0, 1)

export function makeShopData(productCount: number, seed: number): ShopData {
  const random = new Random(seed)
  const categories = Array.from({ length: 40 }, (_, at) => ({
    id: at + 1,
    slug: `aisle-${at + 1}`,
    name: `Aisle ${at + 1}`,
  }))
  const products = Array.from({ length: productCount }, (_, at) => makeProduct(random, at + 1))
  const stock = products.map(({ sku }) => makeStock(random, sku))
  const customers = Array.from({ length: Math.ceil(productCount / 10) }, (_, at) => makeCustomer(random, at + 1))
  return { categories, products, stock, customers }
}

export function makeProduct(random: Random, id: number): Product {
  const name = `${random.pick(looks)} ${random.pick(things)}`
  return {
    id,
    sku: `SKU-${String(id).padStart(6, '0')}`,
    slug: `${name.replace(' ', '-')}-${id}`,
    name,
    categoryId: 1 + random.below(40),
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

/** Every question by key that the shop's visitors may ask, and its answer on the first day. */
export function firstAnswers(data: ShopData): Map<string, Row> {
  const answers = new Map<string, Row>()
  for (const row of data.categories) answers.set(`category:${row.id}`, row)
  for (const row of data.products) answers.set(`product:${row.id}`, row).set(`slug:${row.slug}`, row)
  for (const row of data.stock) answers.set(`stock:${row.sku}`, row)
  for (const row of data.customers) answers.set(`customer:${row.id}`, row).set(`email:${row.email}`, row)
  return answers
}
