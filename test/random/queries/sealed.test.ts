import { afterAll, describe, expect, test } from 'vitest'
import { freshDatabase, type PostgresLine } from '../../harness/databases.ts'
import { openStores, type StoreKind } from '../stores.ts'
import { type Driver, openWorld } from '../world.ts'
import { describeRuns, share } from './report.ts'
import { type QueryReport, runQueries } from './run-queries.ts'
import { sealedScene } from './scene.ts'

// SEED repeats a run, SEALED_STEPS is the number of steps over both pairs.
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
const steps = Number(process.env.SEALED_STEPS ?? 3_000)

const pairs: readonly (readonly [Driver, StoreKind, PostgresLine])[] = [
  ['node-postgres', 'memory, spread', 18],
  ['postgres-js', 'node-redis', 15],
]
const reports: { readonly pair: string; readonly report: QueryReport }[] = []

describe(`random queries of sensitive columns in the midst of a rotation, SEED=${seed}`, () => {
  test.each(pairs)(
    '%s over %s answers what plain Drizzle answers, and both name their values differently',
    async (driver, store, line) => {
      const databases = await Promise.all([freshDatabase(line), freshDatabase(line)])
      const stores = await openStores(store, databases)
      const urls = [databases[0].url, databases[1].url] as const
      const { namespace, both } = stores
      const world = await openWorld({ driver, urls, namespace, stores: both, scene: sealedScene })
      try {
        const own = seed + pairs.findIndex((pair) => pair[0] === driver)
        const report = await runQueries(world, { seed: own, steps: Math.ceil(steps / pairs.length) })
        reports.push({ pair: `${driver} × ${store}`, report })
        expect(Object.keys(report.epochs)).not.toContain('values-unnamed')
      } finally {
        await world.close()
        await stores.close()
        for (const database of databases) await database.drop()
      }
    },
    600_000,
  )

  // Without classes and keys everything would rest on its table, and mostly be right.
  test.each(['key', 'unique', 'list', 'join'] as const)('of all reads of the class %s a fifth are hits', (name) => {
    expect(share(reports, name)).toBeGreaterThan(0.2)
  })

  afterAll(() => console.log(describeRuns(seed, reports)))
})
