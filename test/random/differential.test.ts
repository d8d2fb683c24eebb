import { afterAll, describe, expect, test } from 'vitest'
import { freshDatabase, type PostgresLine } from '../harness/databases.ts'
import { type HitClass, type Report, runDifferential } from './run-differential.ts'
import { openStores, type StoreKind } from './stores.ts'
import { type Driver, openWorld } from './world.ts'

// SEED repeats a run, STEPS is the number of steps over all pairs.
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
const steps = Number(process.env.STEPS ?? 20_250)

const pairs: readonly (readonly [Driver, StoreKind, PostgresLine])[] = [
  ['node-postgres', 'memory', 15],
  ['node-postgres', 'node-redis', 18],
  ['node-postgres', 'ioredis', 15],
  ['postgres-js', 'memory', 18],
  ['postgres-js', 'node-redis', 15],
  ['postgres-js', 'ioredis', 18],
  ['pglite', 'memory', 18],
  ['pglite', 'node-redis', 18],
  ['pglite', 'ioredis', 18],
  ['node-postgres', 'memory, spread', 18],
  ['postgres-js', 'cluster', 15],
]

const numberOf = (driver: Driver, store: StoreKind): number => pairs.findIndex(([d, s]) => d === driver && s === store)

const reports: Report[] = []
const classes: readonly HitClass[] = ['key', 'in-list', 'unique', 'negative']

describe(`random steps, SEED=${seed}`, () => {
  test.each(pairs)(
    '%s over %s answers what plain Drizzle answers, whatever is read and written',
    async (...pair) => {
      const [driver, store, line] = pair
      const databases = driver === 'pglite' ? undefined : await Promise.all([freshDatabase(line), freshDatabase(line)])
      const stores = await openStores(store, databases)
      const urls = databases && ([databases[0].url, databases[1].url] as const)
      // What an outbox puts beside each write may change nothing, either.
      const outbox = store === 'node-redis'
      const world = await openWorld({ driver, urls, namespace: stores.namespace, stores: stores.both, outbox })
      try {
        const report = await runDifferential(world, {
          seed: seed + numberOf(driver, store),
          steps: Math.ceil(steps / pairs.length),
        })
        reports.push(report)
        console.log(`${driver} × ${store}: ${summary(report)}`)
      } finally {
        await world.close()
        await stores.close()
        for (const database of databases ?? []) await database.drop()
      }
    },
    300_000,
  )

  // A cache that never hits passes everything above.
  test.each(classes)('of all reads of the class %s at least 30 percent are hits', (name) => {
    const hits = reports.reduce((sum, report) => sum + report.hits[name].hits, 0)
    const asked = reports.reduce((sum, report) => sum + report.hits[name].asked, 0)
    console.log(`${name}: ${hits} hits of ${asked} (${percent(hits / asked)})`)
    expect(hits / asked).toBeGreaterThan(0.3)
  })

  afterAll(() => {
    const total = (name: 'steps' | 'reads' | 'writes' | 'races' | 'swept') =>
      reports.reduce((sum, report) => sum + report[name], 0)
    console.log(
      `random steps: SEED=${seed}, ${total('steps')} steps, ${total('reads')} reads, ${total('writes')} writes, ` +
        `${total('races')} races, ${total('swept')} keys asked again, 0 differences`,
    )
  })
})

const percent = (share: number): string => `${Math.round(100 * share)} %`

function summary({
  seed: own,
  steps: done,
  failures,
  races,
  swept,
  hits,
  milliseconds,
  bypassed,
  epochs,
}: Report): string {
  const rates = classes.map((name) => `${name} ${percent(hits[name].hits / hits[name].asked)}`).join(', ')
  return `seed ${own}, ${done} steps in ${milliseconds} ms, ${failures} expected errors, ${races} races, ${swept} swept; hits: ${rates}; bypassed: ${JSON.stringify(bypassed)}; tables that fell: ${JSON.stringify(epochs)}`
}
