/**
 * A wholesaler in the shape of Northwind: pages, rows, one-to-one joins, an order with its lines and products, totals.
 *
 * The queries and their shares are those of Drizzle's own HTTP benchmark without the searches, here in one process. It
 * draws keys evenly; `zipf` is ours, and so are the writes: half of them update a product's price, three tenths a
 * customer, two tenths insert an order with three lines in a transaction. The ceiling is the share of reads whose
 * query was asked before in the same stream: no cache that starts empty hits more often, writes or not.
 */
import { isDeepStrictEqual } from 'node:util'
import { cached } from 'drizzle-aside'
import { aliasedTable, asc, eq, type SQL, sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { RedisCache } from './support/drizzle-cache.ts'
import { closeAll, emptyCaches, openAside, openDatabase, openRedis, removeKeys, run, TTL_MS } from './support/open.ts'
import { seeded, zipf } from './support/random.ts'
import { type Bar, percent, print, printBars, progress, ratio, table } from './support/report.ts'
import { collectGarbage } from './support/rounds.ts'
import { readSettings } from './support/settings.ts'
import {
  customers,
  details,
  employees,
  orders,
  products,
  type Shop,
  shop,
  shopSql,
  shopTables,
  sizes,
  suppliers,
} from './support/shop.ts'
import { median } from './support/statistics.ts'

const presets = { rounds: 5, ops: 2_000, concurrency: [16], writes: [0, 1, 5] }
const { rounds, ops, concurrency, writes } = readSettings(process.argv.slice(2), presets)
/** Answers compared with the database's after each cell. */
const AT_REST = 200

type Db = NodePgDatabase<Shop>
type Key = number | SQL | ReturnType<typeof sql.placeholder>
interface Asked {
  execute(values?: Record<string, unknown>): Promise<unknown>
  prepare(name: string): { execute(values?: Record<string, unknown>): Promise<unknown> }
}

const recipient = aliasedTable(employees, 'recipient')
const PAGE = 50
const total = sql<string>`sum(${details.unitPrice} * ${details.quantity})`
const pageOf = (from: Db, of: typeof customers, key: Key) =>
  from
    .select()
    .from(of)
    .orderBy(asc(of.id))
    .limit(PAGE)
    .offset(key as number)
const totals = (from: Db) =>
  from
    .select({ id: orders.id, orderedOn: orders.orderedOn, lines: sql<number>`count(*)::int`, total })
    .from(orders)
    .innerJoin(details, eq(details.orderId, orders.id))
    .groupBy(orders.id, orders.orderedOn)

/** By name: its share of the requests in thousands, how many keys it has, and the query; pages take an offset. */
const queries = {
  'customers, page': [2, -sizes.customers, (from: Db, key: Key) => pageOf(from, customers, key)],
  'employees, page': [1, -sizes.employees, (from: Db, key: Key) => pageOf(from, employees as never, key)],
  'suppliers, page': [1, -sizes.suppliers, (from: Db, key: Key) => pageOf(from, suppliers as never, key)],
  'products, page': [3, -sizes.products, (from: Db, key: Key) => pageOf(from, products as never, key)],
  'customer by id': [
    20,
    sizes.customers,
    (from: Db, key: Key) => from.select().from(customers).where(eq(customers.id, key)),
  ],
  'supplier by id': [
    30,
    sizes.suppliers,
    (from: Db, key: Key) => from.select().from(suppliers).where(eq(suppliers.id, key)),
  ],
  'employee and recipient': [
    5,
    sizes.employees,
    (from: Db, key: Key) =>
      from
        .select()
        .from(employees)
        .leftJoin(recipient, eq(recipient.id, employees.recipientId))
        .where(eq(employees.id, key)),
  ],
  'product and supplier': [
    100,
    sizes.products,
    (from: Db, key: Key) => from.query.products.findFirst({ where: eq(products.id, key), with: { supplier: true } }),
  ],
  'order, lines, products': [
    100,
    sizes.orders,
    (from: Db, key: Key) =>
      from.query.orders.findFirst({ where: eq(orders.id, key), with: { details: { with: { product: true } } } }),
  ],
  'totals of an order': [100, sizes.orders, (from: Db, key: Key) => totals(from).where(eq(orders.id, key))],
  'totals, page': [
    10,
    -sizes.orders,
    (from: Db, key: Key) =>
      totals(from)
        .orderBy(asc(orders.id))
        .limit(PAGE)
        .offset(key as number),
  ],
} as const satisfies Readonly<Record<string, readonly [number, number, (from: Db, key: Key) => unknown]>>
type Name = keyof typeof queries
const names = Object.keys(queries) as Name[]
const asked = (from: Db, name: Name, key: Key): Asked => queries[name][2](from, key) as unknown as Asked

interface Contender {
  readonly name: string
  read(name: Name, key: number): Promise<unknown>
  readonly db: Db
  /** The same database, asked directly. */
  readonly direct: Db
  statements(): number
  counts?(): { hits: number; misses: number }
}

const redis = await openRedis()
const plainOpened = await open()
const preparedOpened = await open()
const cache = new RedisCache(await openRedis(), `${run}:northwind:`, TTL_MS / 1000)
const builtIn = await open({ cache })
const plain = contender('plain Drizzle', plainOpened)
const contenders: readonly Contender[] = [
  plain,
  { ...contender('Drizzle, prepared', preparedOpened), read: prepared(preparedOpened.db) },
  { ...contender("Drizzle's own cache", builtIn), counts: () => ({ hits: cache.hits, misses: cache.misses }) },
  await ours('drizzle-aside', written),
  await ours('drizzle-aside, prepared', prepared),
]
const own = contenders.slice(3)
type Step = { readonly read: Name; readonly key: number } | { readonly write: Write; readonly key: number }
type Write = 'price' | 'customer' | 'order'
const bars: Bar[] = []

print('', '## A wholesaler, in the shape of Northwind', '')
print(`${rounds} rounds of ${ops} steps, caches empty before the first of a table. Searches are left out.`)
for (const skew of ['zipf 0.99', 'even'] as const) {
  for (const share of skew === 'even' ? writes.slice(0, 1) : writes) {
    for (const inFlight of concurrency) await measure(skew, share, inFlight)
  }
}
printBars(bars)
await removeKeys(redis)
await closeAll()

function open(config: object = {}) {
  return openDatabase<Shop>({ schema: shop, ...config }, shopSql)
}

type Opened = Awaited<ReturnType<typeof open>>

function contender(name: string, { db, pool, statements }: Opened): Contender {
  return { name, db, direct: drizzle(pool, { schema: shop }), statements, read: written(db) }
}

async function ours(name: string, how: typeof written): Promise<Contender> {
  const opened = await open()
  const tables = shopTables.map((each) => cached(each, { ttl: TTL_MS }))
  const wrapped = await openAside(opened, name.replaceAll(/\W+/g, '-'), { tables })
  const db = wrapped as unknown as Db
  const counts = () => {
    const { hits, misses } = wrapped.$aside.stats()
    return { hits, misses }
  }
  return { ...contender(name, opened), db, read: how(db), counts }
}

function written(db: Db): Contender['read'] {
  return (name, key) => asked(db, name, key).execute()
}

function prepared(db: Db): Contender['read'] {
  const ready = new Map(
    names.map((name, at) => [name, asked(db, name, sql.placeholder('key')).prepare(`northwind_${at}`)]),
  )
  return (name, key) => ready.get(name)?.execute({ key }) as Promise<unknown>
}

async function write(db: Db, what: Write, key: number, at: number): Promise<void> {
  if (what === 'price') {
    await db
      .update(products)
      .set({ unitPrice: `${at % 900}.25` })
      .where(eq(products.id, key))
  } else if (what === 'customer') {
    await db
      .update(customers)
      .set({ phone: `+1 ${at}` })
      .where(eq(customers.id, key))
  } else {
    await db.transaction(async (tx) => {
      const order = { orderedOn: '2026-01-01', shipCity: 'City 1', customerId: key, employeeId: 1 }
      const [made] = await tx.insert(orders).values(order).returning({ id: orders.id })
      const lines = [1, 2, 3].map((productId) => ({ productId, unitPrice: '1.50', quantity: 2 }))
      await tx.insert(details).values(lines.map((line) => ({ ...line, orderId: (made as { id: number }).id })))
    })
  }
}

function createSteps(skew: 'zipf 0.99' | 'even', share: number, random: () => number): Step[] {
  const draw = (count: number): (() => number) =>
    skew === 'even' ? () => 1 + Math.floor(random() * count) : zipf(count, 0.99, random)
  const draws = new Map(
    names.map((name) => {
      const keys = queries[name][1]
      return [name, keys > 0 ? draw(keys) : pages(draw(Math.ceil(-keys / PAGE)))] as const
    }),
  )
  const [product, customer] = [draw(sizes.products), draw(sizes.customers)]
  /** Each name as often as its share says. */
  const tickets = names.flatMap((name) => Array<Name>(queries[name][0]).fill(name))
  const pick = (): Name => tickets[Math.floor(random() * tickets.length)] as Name
  return Array.from({ length: ops * (rounds + 1) }, (): Step => {
    if (random() * 100 >= share) {
      const read = pick()
      return { read, key: draws.get(read)!() }
    }
    const die = random()
    if (die < 0.5) return { write: 'price', key: product() }
    return { write: die < 0.8 ? 'customer' : 'order', key: customer() }
  })
}

function pages(draw: () => number): () => number {
  return () => (draw() - 1) * PAGE
}

interface Ran {
  readonly ms: number
  readonly statements: number
  readonly hits: number
}

async function runSteps(side: Contender, steps: readonly Step[], inFlight: number): Promise<Ran> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < steps.length) {
      const at = next++
      const step = steps[at] as Step
      if ('read' in step) await side.read(step.read, step.key)
      else await write(side.db, step.write, step.key, at)
    }
  }
  const [statements, hits, began] = [side.statements(), side.counts?.().hits ?? 0, performance.now()]
  await Promise.all(Array.from({ length: inFlight }, worker))
  const ms = performance.now() - began
  return { ms, statements: side.statements() - statements, hits: (side.counts?.().hits ?? 0) - hits }
}

async function measure(skew: 'zipf 0.99' | 'even', share: number, inFlight: number): Promise<void> {
  const steps = createSteps(skew, share, seeded(21))
  await emptyCaches(redis)
  const results = new Map<Contender, Ran[]>(contenders.map((side) => [side, []]))
  // The first part warms code and caches and is not counted.
  for (let round = 0; round <= rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const side = contenders[(turn + round) % contenders.length] as Contender
      collectGarbage()
      const ran = await runSteps(side, steps.slice(round * ops, (round + 1) * ops), inFlight)
      if (round > 0) results.get(side)?.push(ran)
    }
  }
  const reads = steps.slice(ops).filter((step) => 'read' in step).length
  const sum = (side: Contender, what: 'hits' | 'statements'): number =>
    (results.get(side) ?? []).reduce((all, ran) => all + ran[what], 0)
  const base = results.get(plain) as Ran[]
  const rows: string[][] = []
  for (const side of contenders) {
    const wrong = side.counts ? await differences(side, steps) : undefined
    rows.push([
      side.name,
      ratio(median((results.get(side) as Ran[]).map(({ ms }, round) => (base[round] as Ran).ms / ms))),
      side.counts ? percent(sum(side, 'hits') / reads) : '-',
      side.counts ? percent(ceiling(steps)) : '-',
      ((1000 * sum(side, 'statements')) / (ops * rounds)).toFixed(0),
      wrong === undefined ? '-' : String(wrong),
    ])
    if (!own.includes(side)) continue
    const name = `${skew}, ${share} % writes, concurrency ${inFlight}: ${side.name}: nothing stale at rest`
    bars.push({ name, passed: wrong === 0, found: String(wrong) })
  }
  print('', `### Keys ${skew}, ${share} % writes, concurrency ${inFlight}`, '')
  print(...table(['', 'x plain', 'hits of all reads', 'ceiling', 'SQL / 1,000', 'stale at rest'], rows))
  progress(`northwind: keys ${skew}, ${share} % writes, concurrency ${inFlight} done`)
}

/** The share of the counted reads whose query was asked before, the first part included. */
function ceiling(steps: readonly Step[]): number {
  const seen = new Set<string>()
  let again = 0
  let reads = 0
  for (const [at, step] of steps.entries()) {
    if (!('read' in step)) continue
    const query = `${step.read} ${step.key}`
    if (at >= ops) {
      reads++
      if (seen.has(query)) again++
    }
    seen.add(query)
  }
  return again / reads
}

async function differences(side: Contender, steps: readonly Step[]): Promise<number> {
  const truth = written(side.direct)
  let found = 0
  for (const step of steps.filter((each) => 'read' in each).slice(-AT_REST)) {
    if (!('read' in step)) continue
    if (!isDeepStrictEqual(await side.read(step.read, step.key), await truth(step.read, step.key))) found++
  }
  return found
}
