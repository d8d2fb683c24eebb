/** What do statements on tables that are not cached cost when they pass through the wrapped db? */
import { asc, eq, gt } from 'drizzle-orm'
import { compare, comparisonTable, type Side } from './support/compare.ts'
import { newItem, others, ROWS } from './support/items.ts'
import { closeAll, openAside, openDatabase, openRedis, removeKeys } from './support/open.ts'
import { type Bar, print, printBars, ratio } from './support/report.ts'
import { readSettings } from './support/settings.ts'

const { rounds, ops, concurrency } = readSettings(process.argv.slice(2))
const plainDatabase = await openDatabase()
const ownDatabase = await openDatabase()
type Db = typeof plainDatabase.db
const dbs: readonly [string, Db][] = [
  ['plain Drizzle', plainDatabase.db],
  ['drizzle-aside', await openAside(ownDatabase, 'uncached')],
]
const idOf = (index: number): number => 1 + ((index * 7919) % ROWS)
const fresh = new Map<Db, number>(dbs.map(([, db]) => [db, ROWS]))
function freshId(db: Db): number {
  const id = (fresh.get(db) as number) + 1
  fresh.set(db, id)
  return id
}

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
  insert: (db) => db.insert(others).values(newItem(freshId(db))),
}

print('', '## Tables that are not cached')
const bars: Bar[] = []
for (const [title, statement] of Object.entries(statements)) {
  const sides: Side[] = dbs.map(([name, db]) => ({ name, run: (index) => statement(db, index) }))
  const comparisons = await compare(title, sides, { rounds, ops: Math.ceil(ops / 2), concurrency })
  print('', `### ${title}`, '', ...comparisonTable(sides, comparisons))
  for (const { concurrency: inFlight, ratios } of comparisons) {
    const found = ratios[1] as number
    const name = `${title}, concurrency ${inFlight}: at least 0.95 of plain`
    bars.push({ name, passed: found >= 0.95, found: ratio(found) })
  }
}
printBars(bars)
await removeKeys(await openRedis())
await closeAll()
