import { writeFileSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import { freshDatabase, type PostgresLine } from '../../harness/databases.ts'
import { openStores, type StoreKind } from '../stores.ts'
import { type Driver, openWorld } from '../world.ts'
import { drawn } from './drawn.ts'
import { describeRuns, share } from './report.ts'
import { type HitClass, hitClasses, type QueryReport, runQueries } from './run-queries.ts'
import { scene } from './scene.ts'
import { RESULTS_CACHED } from './switched-on.ts'

// SEED repeats a run, STEPS is the number of steps over all pairs, RESULT a file for what is printed at the end.
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
const steps = Number(process.env.STEPS ?? 20_000)

// Each driver, store and line of PostgreSQL at least once.
const pairs: readonly (readonly [Driver, StoreKind, PostgresLine])[] = [
  ['node-postgres', 'memory', 15],
  ['postgres-js', 'node-redis', 18],
  ['node-postgres', 'ioredis', 18],
  ['pglite', 'memory', 18],
  ['node-postgres', 'memory, spread', 15],
]

const reports: { readonly pair: string; readonly report: QueryReport }[] = []
const today: readonly HitClass[] = ['key', 'in-list', 'unique', 'negative']

describe(`random queries, SEED=${seed}`, () => {
  test.each(pairs)(
    '%s over %s answers what plain Drizzle answers, whatever is asked and written',
    async (driver, store, line) => {
      const databases = driver === 'pglite' ? undefined : await Promise.all([freshDatabase(line), freshDatabase(line)])
      const stores = await openStores(store, databases)
      const urls = databases && ([databases[0].url, databases[1].url] as const)
      const world = await openWorld({ driver, urls, namespace: stores.namespace, stores: stores.both, scene })
      try {
        const own = seed + pairs.findIndex((pair) => pair[0] === driver && pair[1] === store)
        const report = await runQueries(world, { seed: own, steps: Math.ceil(steps / pairs.length) })
        reports.push({ pair: `${driver} × ${store}`, report })
      } finally {
        await world.close()
        await stores.close()
        for (const database of databases ?? []) await database.drop()
      }
    },
    1_800_000,
  )

  // A cache that never hits passes everything above.
  test.each(RESULTS_CACHED ? hitClasses : today)(
    'of all reads of the class %s at least 30 percent are hits, of no driver and store less than 10',
    (name) => {
      expect(share(reports, name)).toBeGreaterThan(0.3)
      // One driver whose answers are never kept hides among the others.
      const barren = reports.filter((each) => share([each], name) < 0.1).map(({ pair }) => pair)
      expect(barren).toEqual([])
    },
  )

  afterAll(() => {
    const text = describeRuns(seed, reports)
    console.log(text)
    if (process.env.RESULT && reports.length === pairs.length) writeFileSync(process.env.RESULT, `${text}\n`)
  })
})

describe('the generator', () => {
  test('draws each construct that a planted fault hides behind, and often', () => {
    const { features, questions } = drawn(3000)
    console.log(`of ${questions} questions: ${JSON.stringify(features)}`)
    for (const [feature, atLeast] of Object.entries(wanted)) {
      expect({ feature, drawn: features[feature] ?? 0 }).toEqual({
        feature,
        drawn: expect.toSatisfy((n) => n >= atLeast),
      })
    }
  })
})

const wanted = {
  or: 100,
  'or of anything': 60,
  not: 50,
  'opaque or': 30,
  'in list': 200,
  'is null': 100,
  'class of null': 40,
  exists: 60,
  'in sub-query': 40,
  'scalar sub-query': 30,
  'sub-query in select list': 60,
  'sub-query in from': 50,
  cte: 60,
  lateral: 30,
  view: 80,
  'self-join': 80,
  'anti-join': 30,
  'more in on of leftJoin': 40,
  'more in on of rightJoin': 8,
  'more in on of fullJoin': 8,
  limit: 200,
  'limit within': 60,
  keyset: 50,
  distinct: 50,
  'distinct on': 15,
  'plain partners': 100,
  'partner of a partner': 30,
  'condition on a partner': 30,
  'inner partner that may be missing': 20,
  'first table joined again': 30,
  'left side in on': 12,
  'group by': 80,
  'joined groups': 25,
  'groups by partner': 15,
  having: 20,
  window: 30,
  'with one': 150,
  'with many': 150,
  'where within with': 60,
  'limit within with': 40,
}
