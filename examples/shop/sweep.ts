import { isDeepStrictEqual } from 'node:util'
import type { Contenders } from './contenders.ts'
import { type Category, type Customer, type Product, type Row, type Stock, schema } from './schema.ts'
import {
  cart,
  categoryById,
  customerByEmail,
  customerById,
  productById,
  productBySlug,
  type Read,
  recommended,
} from './stream.ts'

export interface SweepResult {
  readonly asked: number
  readonly fromCache: number
  readonly differences: readonly string[]
}

const LIST = 500

/**
 * Asks the cached db for everything that the day has asked for, and compares each answer with what the database holds:
 * read there whole, without any cache.
 */
export async function sweep({ ours }: Contenders, asked: ReadonlySet<string>): Promise<SweepResult> {
  const truth = await readEverything(ours.home.open())
  const differences = differencesFromModel(ours, truth)
  const { hits: hitsBefore } = ours.db.$aside.stats()
  let count = 0
  for (const read of questions(asked)) {
    const answers = new Map((await read.run(ours.db)).map((row) => [read.keyOf(row), row]))
    count += read.keys.length
    for (const key of read.keys) {
      if (!isDeepStrictEqual(answers.get(key) ?? null, truth.get(key) ?? null)) differences.push(key)
    }
  }
  return { asked: count, fromCache: ours.db.$aside.stats().hits - hitsBefore, differences }
}

async function readEverything(db: ReturnType<Contenders['ours']['home']['open']>): Promise<Map<string, Row>> {
  const all = new Map<string, Row>()
  for (const row of await db.select().from(schema.categories)) all.set(`category:${(row as Category).id}`, row)
  for (const row of await db.select().from(schema.products)) {
    const { id, slug } = row as Product
    all.set(`product:${id}`, row).set(`slug:${slug}`, row)
  }
  for (const row of await db.select().from(schema.stock)) all.set(`stock:${(row as Stock).sku}`, row)
  for (const row of await db.select().from(schema.customers)) {
    const { id, email } = row as Customer
    all.set(`customer:${id}`, row).set(`email:${email}`, row)
  }
  return all
}

/** The stream's own idea of the shop has to be right, too: what it calls stale rests on it. */
function differencesFromModel({ truth }: Contenders['ours'], database: ReadonlyMap<string, Row>): string[] {
  const wrong = [...database].filter(([key, row]) => !isDeepStrictEqual(truth.now(key), row))
  return wrong.map(([key]) => `${key} (the demo's own bookkeeping)`)
}

/** Rows by primary key in long lists, which are answered from the same records as single reads; the others singly. */
function* questions(asked: ReadonlySet<string>): Generator<Read> {
  const of = (kind: string): string[] =>
    [...asked].filter((key) => key.startsWith(kind)).map((key) => key.slice(kind.length))
  const chunks = <T>(list: T[]): T[][] =>
    Array.from({ length: Math.ceil(list.length / LIST) }, (_, at) => list.slice(at * LIST, (at + 1) * LIST))
  for (const ids of chunks(of('product:').map(Number))) yield recommended(ids)
  for (const skus of chunks(of('stock:'))) yield cart(skus)
  for (const id of of('product:').slice(0, LIST)) yield productById(Number(id))
  for (const id of of('customer:')) yield customerById(Number(id))
  for (const id of of('category:')) yield categoryById(Number(id))
  for (const slug of of('slug:')) yield productBySlug(slug)
  for (const email of of('email:')) yield customerByEmail(email)
}
