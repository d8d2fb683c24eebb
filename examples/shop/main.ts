// A shop, served three times: by plain Drizzle, with Drizzle's own cache, and with drizzle-aside.
import { type Contenders, openContenders, operationsOf, staleOf } from './contenders.ts'
import { explanations } from './explanations.ts'
import { type Home, openEmbeddedHomes, openServerHomes } from './homes.ts'
import { type DemoOptions, readOptions } from './options.ts'
import { Progress } from './progress.ts'
import type { Read } from './reads.ts'
import { classTable, perSecond, resultTable, sweepTable } from './report.ts'
import { serve } from './serve.ts'
import { firstFacts, makeShopData, type ShopData } from './shop-data.ts'
import { type Operation, ShopStream } from './stream.ts'
import { differencesOf, type SweepResult, sweep } from './sweep.ts'

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
  console.log('The same visitors come to three shops: 95 % of operations read, rows by key and more; 5 % write.\n')

  const homes = await openHomes(options, data)
  try {
    const contenders = await openContenders(homes, firstFacts(data), options.redis)
    try {
      return await openForADay(contenders, new ShopStream(data, options.seed), options.seconds)
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

async function openForADay(contenders: Contenders, stream: ShopStream, seconds: number): Promise<number> {
  const asked = await serveVisitors(contenders, stream, seconds)

  console.log(`${resultTable(contenders)}\n`)
  console.log(`By class of query:\n\n${classTable(contenders)}\n`)
  console.log('What it does, in its own words:\n')
  console.log(`${(await explanations(contenders, stream)).join('\n\n')}\n`)

  console.log('At the end of the day, every question once more, and each answer compared with the database:\n')
  const { ours, drizzles, troubles } = contenders
  const results = new Map<string, SweepResult>()
  for (const each of [drizzles, ours]) results.set(each.name, await sweep(each, asked.values()))
  console.log(`${sweepTable(results)}\n`)
  for (const [type, times] of troubles) console.log(`  event ${type}: ${times} times`)
  return verdict(contenders, results)
}

/** Hands the same slices of the stream to all in turn, so that whatever slows the machine slows all of them. */
async function serveVisitors(
  contenders: Contenders,
  stream: ShopStream,
  seconds: number,
): Promise<ReadonlyMap<string, Read>> {
  const progress = new Progress()
  const asked = new Map<string, Read>()
  const opening = stream.opening()
  note(asked, opening)
  for (const contender of contenders.all) await serve(contender, opening, false)
  let turn = 0
  const began = performance.now()
  const share = (): number => (performance.now() - began) / (seconds * 1000)
  while (share() < 1 || operationsOf(contenders.plain.tally) === 0) {
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

function note(asked: Map<string, Read>, operations: readonly Operation[]): void {
  for (const operation of operations) if (operation.kind === 'read') asked.set(operation.name, operation)
}

function pace({ all }: Contenders): string {
  return `per second: ${all.map((each) => `${each.name} ${Math.round(perSecond(each)).toLocaleString('en-US')}`).join(', ')}`
}

function verdict({ plain, drizzles, ours }: Contenders, results: ReadonlyMap<string, SweepResult>): number {
  const differences = (name: string): string[] => differencesOf(results.get(name) as SweepResult)
  const astray = [...results.values()].flatMap(({ bookkeeping }) => bookkeeping)
  const wrong = differences(ours.name)
  const theirs = differences(drizzles.name).length
  if (theirs > 0) console.log(`  ${drizzles.name} gave ${theirs} answers that are not the database's.`)
  if (staleOf(plain.tally) > 0 || astray.length > 0) {
    console.log(`\nThe demo itself is at fault: it takes answers of the database for stale. ${someOf(astray)}`)
    return 1
  }
  if (staleOf(ours.tally) > 0 || wrong.length > 0) {
    console.log(`\nThe cache was wrong. Please report this. ${someOf(wrong)}`)
    return 1
  }
  console.log(`  ${ours.name}: all equal to the database's.`)
  return 0
}

const someOf = (names: readonly string[]): string => names.slice(0, 5).join(', ')
