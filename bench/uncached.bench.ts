/**
 * What do statements on tables that are not cached cost when they pass through the wrapped db?
 *
 * All sides use one database, each through a pool of its own: between databases alone the figures differ by more than what
 * is asked for. Plain Drizzle stands there twice; how far the second is from 1 is what the figures do not tell.
 */
import { asc, eq, gt } from 'drizzle-orm'
import { compare, comparisonTable, type Side } from './support/compare.ts'
import { newItem, others, ROWS } from './support/items.ts'
import { closeAll, openAside, openBeside, openDatabase, openRedis, removeKeys } from './support/open.ts'
import { type Bar, print, printBars, ratio } from './support/report.ts'
import { readSettings } from './support/settings.ts'

const { rounds, ops, concurrency } = readSettings(process.argv.slice(2))
const first = await openDatabase()
type Db = typeof first.db
const dbs: readonly [string, Db][] = [
  ['plain Drizzle', first.db],
  ['plain Drizzle, once more', (await openBeside(first)).db],
  ['drizzle-aside', await openAside(await openBeside(first), 'uncached')],
]
const idOf = (index: number): number => 1 + ((index * 7919) % ROWS)
let lastId = ROWS

const statements: Record<string, (db: Db, index: number) => Promise<unknown>> = {
  'select by key': (db, index) =>
    db
      .select()
      .from(others)
      .where(eq(others.id, idOf(index))),
  'select of 20 rows': (db, index) =>
    db
      .select()
      .from(others)
      .where(gt(others.id, idOf(index)))
      .orderBy(asc(others.id))
      .limit(20),
  'update by key': (db, index) =>
    db
      .update(others)
      .set({ version: index })
      .where(eq(others.id, idOf(index))),
  insert: (db) => db.insert(others).values(newItem(++lastId)),
}

print('', '## Tables that are not cached')
const bars: Bar[] = []
for (const [title, statement] of Object.entries(statements)) {
  const sides: Side[] = dbs.map(([name, db]) => ({ name, run: (index) => statement(db, index) }))
  const comparisons = await compare(title, sides, { rounds, ops: Math.ceil(ops / 2), concurrency })
  print('', `### ${title}`, '', ...comparisonTable(sides, comparisons))
  for (const { concurrency: inFlight, ratios } of comparisons) {
    const found = ratios.at(-1) as number
    const name = `${title}, concurrency ${inFlight}: at least 0.95 of plain`
    bars.push({ name, passed: found >= 0.95, found: ratio(found) })
  }
}
printBars(bars)
await removeKeys(await openRedis())
await closeAll()
