// An app whose cache is a table: a miss, a hit, a write, a miss, and the same answers as plain Drizzle's. Then the app
// starts anew, and finds what the table holds.
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openApp } from './app.ts'
import { type Home, openEmbedded, openServer } from './homes.ts'
import { createTables, dropTables } from './schema.ts'
import { createStoreTable } from './table-store.ts'
import { Walk } from './walk.ts'

const { values } = parseArgs({ options: { database: { type: 'string' } } })
const home = values.database === undefined ? await openEmbedded() : openServer(values.database)
try {
  process.exitCode = await run(home)
} finally {
  await home.close()
}

async function run(home: Home): Promise<number> {
  for (const statement of createTables) await home.app.query(statement)
  await createStoreTable(home.store)
  const plain = home.openApp()
  const walk = new Walk(plain)

  const first = await openApp(home)
  console.log('A table that nobody has cached before is served after six seconds …')
  await walk.untilServed(first, () => pause(250))
  await walk.ask(first, 'a book, asked for the first time', 'miss')
  await walk.ask(first, 'the same book', 'hit')
  await walk.list(first, 'the books on loan', 'miss')
  await walk.list(first, 'the books on loan', 'hit')
  await walk.lend(first, 'another book is lent')
  await walk.ask(first, 'the first book, which was not touched', 'hit')
  await walk.list(first, 'the books on loan', 'miss')
  await walk.rename(first, 'the first book gets a new title')
  await walk.ask(first, 'the first book', 'miss')
  await walk.ask(first, 'the first book', 'hit')
  await first.close()

  console.log('\nThe app starts anew:')
  const second = await openApp(home)
  await walk.untilServed(second, () => pause(250))
  await walk.ask(second, 'the first book, kept by the app before', 'hit')
  await walk.rename(second, 'it gets another title')
  await walk.ask(second, 'the first book', 'miss')
  await second.close()

  console.log(`\n${await contentsOf(home)}`)
  for (const statement of dropTables) await home.app.query(statement)
  await home.store.query('drop table aside_texts')
  return walk.report()
}

async function contentsOf({ store }: Home): Promise<string> {
  const { rows } = await store.query(`
    select count(*)::int as texts, (select relpersistence = 'u' from pg_class where relname = 'aside_texts') as unlogged
    from aside_texts`)
  const [{ texts, unlogged }] = rows as [{ texts: number; unlogged: boolean }]
  return `The table aside_texts (${unlogged ? 'unlogged' : 'logged'}) holds ${texts} texts: entries, stamps, the register.`
}
