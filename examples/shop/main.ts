// A shop, served three times: by plain Drizzle, with Drizzle's own cache, and with drizzle-aside.
import { type Contenders, openContenders } from './contenders.ts'
import { type Home, openEmbeddedHomes, openServerHomes } from './homes.ts'
import { type DemoOptions, readOptions } from './options.ts'
import { Progress } from './progress.ts'
import { explanations, perSecond, resultTable, sweepLine } from './report.ts'
import { serve } from './serve.ts'
import { firstAnswers, makeShopData, type ShopData } from './shop-data.ts'
import { type Operation, ShopStream } from './stream.ts'
import { type SweepResult, sweep } from './sweep.ts'

/** Operations that each contender serves in its turn. */
const SLICE = 400

/** The share of the time after which counting begins: by then the popular products have been asked for. */
const WARM_UP = 0.35

const options = readOptions(process.argv.slice(2))
process.exitCode = await runDemo(options)

async function runDemo(options: DemoOptions): Promise<number> {
  const data = makeShopData(options.products, options.seed)
  const amount = data.products.length.toLocaleString('en-US')
  console.log(`A shop with ${amount} products, ${placeOf(options)}.`)
  console.log('The same visitors come to three shops: 95 % of operations read by key, 5 % write.\n')

  const homes = await openHomes(options, data)
  try {
    const contenders = await openContenders(homes, firstAnswers(data), options.redis)
    try {
      return await openForADay(contenders, new ShopStream(data, options.seed), data, options.seconds)
    } finally {
      await contenders.close()
    }
  } finally {
    for (const home of homes) await home.close()
  }
}

function placeOf({ redis, database }: DemoOptions): string {
  const where = database === undefined ? 'embedded PostgreSQL (PGlite)' : 'your PostgreSQL'
  return `on ${where}, caches in ${redis === undefined ? 'the memory of this process' : 'your Redis'}`
}

function openHomes({ database }: DemoOptions, data: ShopData): Promise<Home[]> {
  if (database !== undefined) return openServerHomes(3, data, database)
  console.log('  starting three databases …')
  return openEmbeddedHomes(3, data)
}

async function openForADay(
  contenders: Contenders,
  stream: ShopStream,
  data: ShopData,
  seconds: number,
): Promise<number> {
  const asked = await serveVisitors(contenders, stream, data, seconds)

  console.log(`${resultTable(contenders.all)}\n`)
  console.log('What it does, in its own words:\n')
  console.log(`${(await explanations(contenders, stream.favourite)).join('\n\n')}\n`)

  console.log('At the end of the day:\n')
  const result = await sweep(contenders, asked)
  console.log(sweepLine(result))
  for (const [type, times] of contenders.troubles) console.log(`  event ${type}: ${times} times`)
  return verdict(contenders, result)
}

/** Hands the same slices of the stream to all in turn, so that whatever slows the machine slows all of them. */
async function serveVisitors(
  contenders: Contenders,
  stream: ShopStream,
  data: ShopData,
  seconds: number,
): Promise<Set<string>> {
  const progress = new Progress()
  const asked = new Set<string>()
  for (const contender of contenders.all) await serve(contender, stream.opening(data), false)
  let turn = 0
  const began = performance.now()
  const share = (): number => (performance.now() - began) / (seconds * 1000)
  while (share() < 1 || contenders.plain.tally.operations === 0) {
    const measured = share() >= WARM_UP
    const operations = Array.from({ length: SLICE }, () => stream.next())
    note(asked, operations)
    for (const contender of inTurn(contenders.all, turn++)) await serve(contender, operations, measured)
    progress.show(share(), measured ? pace(contenders) : 'warming up')
  }
  progress.end()
  return asked
}

/** Another one begins each time. */
function inTurn<T>(list: readonly T[], turn: number): T[] {
  return list.map((_, at) => list[(at + turn) % list.length] as T)
}

function note(asked: Set<string>, operations: readonly Operation[]): void {
  for (const operation of operations) if (operation.kind === 'read') for (const key of operation.keys) asked.add(key)
}

function pace({ all }: Contenders): string {
  return `per second: ${all.map((each) => `${each.name} ${Math.round(perSecond(each)).toLocaleString('en-US')}`).join(', ')}`
}

function verdict({ plain, ours }: Contenders, { differences }: SweepResult): number {
  if (plain.tally.stale > 0) console.log('\nThe demo itself is at fault: it called answers of the database stale.')
  else if (ours.tally.stale > 0 || differences.length > 0) console.log('\nThe cache was wrong. Please report this.')
  else return 0
  return 1
}
