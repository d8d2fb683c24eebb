/**
 * Does a write cost more when more answers rest on its classes? One row is updated whose class `items[brand=…]` carries
 * 1,000, 100,000 and, with `--full`, 1,000,000 cached answers; beside it a row whose class carries one, and plain Drizzle.
 *
 * The answers are filled by reads of the public API: a prepared list of one id, `where brand = … and id > n limit 1`, 64 at
 * a time, each n another answer of the same class. The first update ends them all at once. Then, before each further
 * update, one of them is read anew, not timed, so that the class has a stamp again to remove; the others stay in the
 * store, ended. The store is asked whether they all are there.
 */
import { redisStore } from '@drizzle-aside/redis'
import { cached, memoryStore, type Store } from 'drizzle-aside'
import { and, eq, gt, sql } from 'drizzle-orm'
import { items, itemsSql } from './support/items.ts'
import { type AsideDb, closeAll, openAside, openDatabase, openRedis, removeKeys } from './support/open.ts'
import { type Bar, micros, print, printBars, progress, ratio, table } from './support/report.ts'
import { collectGarbage } from './support/rounds.ts'
import { readSettings } from './support/settings.ts'
import { median } from './support/statistics.ts'

const { full, quick, ops } = readSettings(process.argv.slice(2), { ops: 600 })
const counts = [1_000, ...(quick ? [10_000] : [100_000]), ...(full ? [1_000_000] : [])]
/** Long enough that no answer ends before its last neighbour is filled. */
const ttl = '1h'
const BRAND = 'Brand 5'
/** Rows of `BRAND`, of another brand with one answer, and one for the plain db. */
const ROW = { many: 5, one: 6, plain: 7 } as const

const redis = await openRedis()
type Db = AsideDb

interface Found {
  readonly store: string
  readonly count: number
  readonly first: number
  readonly many: number
  readonly one: number
  readonly plain: number
  readonly fillSeconds: number
}

const found: Found[] = []
for (const kind of ['memory', 'Redis'] as const) {
  for (const count of counts) {
    found.push(await ask(kind, count))
    progress(`write cost: ${kind}, ${count} answers done`)
  }
}
print('', '## An update beside the answers that rest on its class', '')
print(
  `One writer, medians of ${ops} updates of each side in turns; the first update alone ended all answers at once.`,
  '',
)
print(
  ...table(
    ['store', 'answers', 'µs', 'x plain', 'x class with one answer', 'first update µs', 'filled in s'],
    found.map(({ store, count, first, many, one, plain, fillSeconds }) => [
      store,
      count.toLocaleString('en'),
      micros(many),
      ratio(many / plain),
      ratio(many / one),
      micros(first),
      fillSeconds.toFixed(0),
    ]),
  ),
)
printBars(found.flatMap(barOf))
await removeKeys(redis)
await closeAll()

async function ask(kind: 'memory' | 'Redis', count: number): Promise<Found> {
  const store: Store = kind === 'memory' ? memoryStore({ maxBytes: 8 * 1024 ** 3 }) : redisStore(await openRedis())
  // A client is wrapped over one store: each case has a database of its own.
  const opened = await openDatabase({}, `${itemsSql} create index items_brand on items (brand, id);`)
  const name = `cost-${kind}-${count}`
  const tables = [cached(items, { ttl, lists: (t) => [t.brand] })]
  const db = await openAside(opened, name, { store, tables, readDeadline: '5s', invalidateDeadline: '5s' })
  const read = reader(db)
  const began = performance.now()
  await fill(read, count)
  await complete(db, read, count)
  const fillSeconds = (performance.now() - began) / 1_000
  const { removed } = counting(db)
  const first = await timeOf(db, ROW.many)
  if (removed() === 0) throw new Error('the update removed nothing')
  const times = { many: [] as number[], one: [] as number[], plain: [] as number[] }
  collectGarbage()
  for (let at = 0; at < ops; at++) {
    await read(BRAND, at % count)
    await read('Brand 6', 0)
    times.many.push(await timeOf(db, ROW.many))
    times.one.push(await timeOf(db, ROW.one))
    times.plain.push(await timeOf(opened.db, ROW.plain))
  }
  await db.$aside.close()
  // The memory goes back before the next case; keys in Redis are removed by their run.
  if (kind === 'memory') await store.close()
  else await removeKeys(redis)
  return {
    store: kind,
    count,
    first,
    many: median(times.many),
    one: median(times.one),
    plain: median(times.plain),
    fillSeconds,
  }
}

type Read = (brand: string, after: number) => Promise<unknown>

function reader(db: Db): Read {
  const prepared = db
    .select({ id: items.id })
    .from(items)
    .where(and(eq(items.brand, sql.placeholder('brand')), gt(items.id, sql.placeholder('after'))))
    .limit(1)
    .prepare('one_of_brand')
  return (brand, after) => prepared.execute({ brand, after })
}

async function fill(read: Read, count: number): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await read(BRAND, next++)
  }
  await Promise.all(Array.from({ length: 64 }, worker))
}

/** Reads 200 of the answers again: hits, all of them, or the class does not carry what it should. */
async function complete(db: Db, read: Read, count: number): Promise<void> {
  const { hits } = db.$aside.stats()
  for (let at = 0; at < 200; at++) await read(BRAND, Math.floor((at * count) / 200))
  const again = db.$aside.stats().hits - hits
  if (again < 200) throw new Error(`${again} of 200 answers were kept`)
}

function counting(db: Db): { removed(): number } {
  const before = db.$aside.stats().keysRemoved
  return { removed: () => db.$aside.stats().keysRemoved - before }
}

async function timeOf(db: Pick<Db, 'update'>, id: number): Promise<number> {
  const began = performance.now()
  await db
    .update(items)
    .set({ version: sql`${items.version} + 1` })
    .where(eq(items.id, id))
  return performance.now() - began
}

function barOf({ store, count, many, plain }: Found): Bar[] {
  const fewest = found.find((each) => each.store === store) as Found
  if (fewest.count === count) return []
  const growth = many / plain / (fewest.many / fewest.plain)
  const name = `${store}: an update beside ${count.toLocaleString('en')} answers costs what it does beside 1,000, within 20 %`
  return [{ name, passed: growth <= 1.2, found: `${ratio(growth)} times` }]
}
