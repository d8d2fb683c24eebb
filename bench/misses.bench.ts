/** What does a miss cost over a plain read? Keys are cold: no entry, no stamp. The stores that nobody awaits count. */

import { compare, comparisonTable, type Side } from './support/compare.ts'
import { drizzleCache, handWritten, ours, plain } from './support/contenders.ts'
import { ROWS } from './support/items.ts'
import { closeAll, emptyCaches, openDatabase, openRedis, removeKeys } from './support/open.ts'
import { print, printBars, ratio } from './support/report.ts'
import { readSettings } from './support/settings.ts'

const { rounds, ops, concurrency } = readSettings(process.argv.slice(2))
const redis = await openRedis()
// Each read is of a key that its process has not asked for before, over all rounds.
const reads = Math.min(ops, Math.floor(ROWS / (rounds + 1) / concurrency.length))
// One database for all: they only read, and no two databases are equally fast.
const database = await openDatabase()
const contenders = [
  await plain(database),
  await ours('as written', database),
  await ours('prepared', database),
  await handWritten('nothing', database),
  await drizzleCache(database),
]
const first = new Map(contenders.map((contender) => [contender, 1]))
const sides: Side[] = contenders.map((contender) => ({
  name: contender.name,
  before: (round) => {
    first.set(contender, 1 + round * reads)
    return emptyCaches(redis)
  },
  run: async (index) => {
    const id = (first.get(contender) as number) + index
    const item = await contender.read(id)
    if (item?.id !== id) throw new Error(`${contender.name} answered a wrong row`)
  },
  // Commands of one server are answered in order: whatever was sent before is done when this is.
  after: () => redis.ping(),
}))
const hits = contenders.map((contender) => contender.reads?.().hits ?? 0)
const comparisons = await compare('misses', sides, { rounds, ops: reads, concurrency })
contenders.forEach((contender, at) => {
  if ((contender.reads?.().hits ?? 0) !== hits[at])
    throw new Error(`${contender.name} had hits: not a measure of misses`)
})

print('', '## Misses', '', ...comparisonTable(sides, comparisons))
printBars(
  comparisons.map(({ concurrency: inFlight, ratios }) => {
    const times = 1 / (ratios[1] as number)
    const name = `concurrency ${inFlight}: a miss costs at most 1.3 times a plain read`
    return { name, passed: times <= 1.3, found: ratio(times) }
  }),
)
await removeKeys(redis)
await closeAll()
