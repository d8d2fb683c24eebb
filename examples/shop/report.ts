import { eq, inArray } from 'drizzle-orm'
import type { Contender, Contenders } from './contenders.ts'
import { type Product, products, stock } from './schema.ts'
import type { SweepResult } from './sweep.ts'

const number = (value: number): string => Math.round(value).toLocaleString('en-US')
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

/** The comparison, one line for each contender. */
export function resultTable(contenders: readonly Contender[]): string {
  const [plain] = contenders as [Contender]
  const lines = contenders.map((each) => lineOf(each, plain))
  return layOut([
    ['', 'hit rate', 'SQL per 1,000', 'per second', 'throughput', 'stale reads'],
    ['', '', 'operations', '', 'to plain', ''],
    ...lines,
  ])
}

function lineOf(contender: Contender, plain: Contender): string[] {
  const { tally } = contender
  return [
    contender.name,
    contender === plain ? '–' : percent(tally.withoutSql / tally.reads),
    number((tally.statements / tally.operations) * 1000),
    number(perSecond(contender)),
    `${(perSecond(contender) / perSecond(plain)).toFixed(1)} x`,
    number(tally.stale),
  ]
}

export const perSecond = ({ tally }: Contender): number => (tally.operations / tally.milliseconds) * 1000

function layOut(rows: readonly string[][]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)))
  const line = (row: readonly string[]): string =>
    row.map((cell, at) => (at === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[at] ?? 0))).join('   ')
  return rows.map((row) => `  ${line(row)}`.trimEnd()).join('\n')
}

/** What `explain` says of a hit, a list that is half there, and a write. */
export async function explanations({ ours }: Contenders, favourite: Product): Promise<string[]> {
  const { db } = ours
  await db.select().from(products).where(eq(products.id, favourite.id))
  const neverAsked = 'SKU-999999'
  const questions: [code: string, query: { getSQL(): unknown }][] = [
    [
      `db.select({ name: products.name, price: products.price }).from(products).where(eq(products.id, ${favourite.id}))`,
      db.select({ name: products.name, price: products.price }).from(products).where(eq(products.id, favourite.id)),
    ],
    [
      `db.select().from(stock).where(inArray(stock.sku, ['${favourite.sku}', '${neverAsked}']))`,
      db
        .select()
        .from(stock)
        .where(inArray(stock.sku, [favourite.sku, neverAsked])),
    ],
    [
      `db.update(products).set({ slug: 'renamed' }).where(eq(products.id, ${favourite.id}))`,
      db.update(products).set({ slug: 'renamed' }).where(eq(products.id, favourite.id)),
    ],
  ]
  return Promise.all(
    questions.map(async ([code, query]) => `  > ${code}\n${indent(String(await db.$aside.explain(query)))}`),
  )
}

const indent = (text: string): string => text.replace(/^/gm, '    ')

export function sweepLine({ asked, fromCache, differences }: SweepResult): string {
  const answers = `${number(asked)} answers asked for again, ${number(fromCache)} of them from the cache`
  if (differences.length === 0) return `  ${answers}: all equal to the database's.`
  return `  ${answers}: ${number(differences.length)} DIFFER, e.g. ${differences.slice(0, 5).join(', ')}.`
}
