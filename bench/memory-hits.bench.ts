/** What does a hit in the memory store cost beside a Map by hand, and how far is it from the database? */
import { memoryStore } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { compare, comparisonTable, type Side } from './support/compare.ts'
import { type Item, idPlaceholder, items, ROWS, reviveItem } from './support/items.ts'
import { closeAll, openAside, openDatabase, TTL_MS } from './support/open.ts'
import { print } from './support/report.ts'
import { readSettings } from './support/settings.ts'

const { rounds, ops, concurrency } = readSettings(process.argv.slice(2))
const opened = await openDatabase()
const db = await openAside(opened, 'memory', { store: memoryStore() })
const byKey = db.select().from(items).where(eq(items.id, idPlaceholder)).prepare('item_by_id')
const texts = new Map<number, { text: string; expires: number }>()
const rows = new Map<number, { row: Item; expires: number }>()
for (const row of await opened.db.select().from(items)) {
  texts.set(row.id, { text: JSON.stringify(row), expires: Date.now() + TTL_MS })
  rows.set(row.id, { row, expires: Date.now() + TTL_MS })
}
const idOf = (index: number): number => 1 + ((index * 7919) % ROWS)

const sides: Side[] = [
  {
    name: 'Map of JSON texts by hand',
    run: async (index) => {
      const kept = texts.get(idOf(index))
      return kept && kept.expires > Date.now() ? reviveItem(kept.text) : undefined
    },
  },
  {
    name: 'Map of shared objects by hand (a caller who changes one changes it for all)',
    run: async (index) => {
      const kept = rows.get(idOf(index))
      return kept && kept.expires > Date.now() ? kept.row : undefined
    },
  },
  {
    name: 'drizzle-aside',
    run: (index) =>
      db
        .select()
        .from(items)
        .where(eq(items.id, idOf(index))),
  },
  { name: 'drizzle-aside, prepared', run: (index) => byKey.execute({ id: idOf(index) }) },
  {
    name: 'plain Drizzle, from the database',
    run: (index) =>
      opened.db
        .select()
        .from(items)
        .where(eq(items.id, idOf(index))),
  },
]
for (let index = 0; index < ROWS; index += 100) {
  await Promise.all(Array.from({ length: 100 }, (_, at) => sides[2]?.run(index + at)))
}
const comparisons = await compare('memory hits', sides, { rounds, ops, concurrency })
print('', '## Hits in the memory store', '', ...comparisonTable(sides, comparisons))
await closeAll()
