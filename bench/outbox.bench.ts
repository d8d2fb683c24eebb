/**
 * What does an outbox cost a write while all is well, and how soon does another process deliver what a writer leaves behind
 * that is cut off from Redis?
 */
import { redisStore } from '@drizzle-aside/redis'
import { type AsideOptions, outboxMigration, type Store } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { compare, comparisonTable, type Side } from './support/compare.ts'
import { items, itemsSql, ROWS } from './support/items.ts'
import { type AsideDb, closeAll, openAside, openDatabase, openRedis, removeKeys, run } from './support/open.ts'
import { type Bar, print, printBars, progress, ratio, table } from './support/report.ts'
import { readSettings } from './support/settings.ts'
import { median } from './support/statistics.ts'

const { rounds, ops, quick, concurrency } = readSettings(process.argv.slice(2))
const setUp = `${itemsSql} ${outboxMigration()}`
const idOf = (index: number): number => 1 + ((index * 7919) % ROWS)

interface Writer {
  readonly name: string
  readonly db: AsideDb
}

async function openWriter(name: string, options: Partial<AsideOptions>): Promise<Writer> {
  const opened = await openDatabase({}, setUp)
  return { name, db: await openAside(opened, name.replaceAll(/\W+/g, '-'), options) }
}

const writers: readonly Writer[] = [
  await openWriter('no outbox', {}),
  await openWriter(`'when-down'`, { outbox: 'when-down' }),
  await openWriter(`'always'`, { outbox: 'always' }),
]

const statements: Record<string, (db: AsideDb, id: number) => Promise<unknown>> = {
  'update by key, autocommit': (db, id) => db.update(items).set({ version: id }).where(eq(items.id, id)),
  'transaction with one update': (db, id) =>
    db.transaction((tx) => tx.update(items).set({ version: id }).where(eq(items.id, id))),
}

print('', '## Writes with an outbox', '', 'The store answers; each write waits until its keys are out of Redis.')
const bars: Bar[] = []
for (const [title, statement] of Object.entries(statements)) {
  const sides: Side[] = writers.map(({ name, db }) => ({ name, run: (index) => statement(db, idOf(index)) }))
  const comparisons = await compare(title, sides, { rounds, ops: Math.ceil(ops / 2), concurrency })
  print('', `### ${title}`, '', ...comparisonTable(sides, comparisons))
  for (const { concurrency: inFlight, ratios } of comparisons) {
    const found = ratios[2] as number
    const least = title.includes('autocommit') ? 0.8 : 0.6
    const name = `${title}, concurrency ${inFlight}: 'always' at least ${least} of no outbox`
    bars.push({ name, passed: found >= least, found: ratio(found) })
  }
}
const drained = writers.reduce((rows, { db }) => rows + db.$aside.stats().outboxDrained, 0)
bars.push({ name: 'no row is drained while all is well', passed: drained === 0, found: String(drained) })
bars.push(await measureLag())
await measureDrain()
printBars(bars)
await removeKeys(await openRedis())
await closeAll()

/** A store that can be cut off: removals fail, and nothing else is asked of it here. */
function cuttable(store: Store): { readonly store: Store; isCut: boolean } {
  const link = { store, isCut: false }
  const refuse = async (): Promise<never> => {
    throw new Error('cut off')
  }
  const removeAndLook = store.removeAndLook as NonNullable<Store['removeAndLook']>
  const own: Store = {
    ...store,
    remove: (keys) => (link.isCut ? refuse() : store.remove(keys)),
    removeAndLook: (keys, registers) => (link.isCut ? refuse() : removeAndLook(keys, registers)),
  }
  return Object.assign(link, { store: own })
}

/** Two wraps over one database that share nothing but Redis, as two processes would; one can be cut off. */
async function openTwo(name: string) {
  const opened = await openDatabase({}, setUp)
  const { connectionString } = opened.pool.options
  const pool = new Pool({ connectionString, max: 4 })
  pool.on('error', () => {})
  const link = cuttable(redisStore(await openRedis()))
  const writer = await openAside(opened, name, { store: link.store, outbox: 'always' })
  const healthy = await openAside({ ...opened, db: drizzle(pool), pool }, name, { outbox: 'always' })
  return { opened, writer, link, healthy, pool }
}

/** From the moment that a write of the cut-off process has resolved until another process has delivered its row. */
async function measureLag(): Promise<Bar> {
  const { writer, link, healthy, pool } = await openTwo('lag')
  link.isCut = true
  const lags: number[] = []
  let resolved = 0
  let heard = (): void => {}
  healthy.$aside.on((event) => {
    if (event.type !== 'outboxDrained') return
    lags.push(performance.now() - resolved)
    heard()
  })
  const samples = quick ? 20 : 100
  for (let at = 0; at < samples; at++) {
    const delivered = new Promise<void>((resolve) => {
      heard = resolve
    })
    // Not in step with the looks.
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 500))
    await writer
      .update(items)
      .set({ version: at })
      .where(eq(items.id, idOf(at)))
    resolved = performance.now()
    await delivered
  }
  progress('outbox: lag done')
  link.isCut = false
  await writer.$aside.close()
  await healthy.$aside.close()
  await pool.end()
  const worst = Math.max(...lags)
  const rows = [[String(samples), median(lags).toFixed(0), worst.toFixed(0)]]
  print('', '### From a write that could not be told to its delivery by another process', '')
  print('`drainEvery` is the default, one second.', '', ...table(['writes', 'median ms', 'longest ms'], rows))
  return { name: 'delivered within 1.1 seconds', passed: worst <= 1_100, found: `${worst.toFixed(0)} ms` }
}

/** Rows as an outage of some minutes leaves them. */
async function measureDrain(): Promise<void> {
  const { opened, writer, healthy, pool } = await openTwo('drain')
  await writer.$aside.close()
  const count = quick ? 5_000 : 50_000
  let rows = 0
  let began = 0
  const done = new Promise<number>((resolve) => {
    healthy.$aside.on((event) => {
      if (event.type === 'outboxDrained') rows += event.rows
      if (rows >= count) resolve(performance.now() - began)
    })
  })
  began = performance.now()
  await opened.pool.query(`
    insert into aside_outbox select gen_random_uuid(), '${run}-drain',
      '[1,[["da1:${run}-drain:x:A{x}t",["da1:${run}-drain:x:R{x}' || n || '"]]]]', clock_timestamp() - interval '1 m'
    from generate_series(1, ${count}) n`)
  const ms = await done
  print('', '### Rows of an outage', '')
  print(...table(['rows', 'written and delivered in ms'], [[count.toLocaleString('en'), ms.toFixed(0)]]))
  await healthy.$aside.close()
  await pool.end()
}
