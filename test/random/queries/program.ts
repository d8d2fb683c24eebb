/**
 * The random queries over one driver and the memory store, as a program of its own. It takes the URLs of two empty
 * databases, a seed and a number of steps; it ends with 0 when all answers were the same, and with 3 at the first
 * difference, which it prints. TRACE=1 prints each step before it is done.
 */
import { memoryStore } from 'drizzle-aside'
import { Difference } from '../outcome.ts'
import { openWorld } from '../world.ts'
import { runQueries } from './run-queries.ts'
import { scene } from './scene.ts'

const [plain, wrapped, seed, steps] = process.argv.slice(2) as [string, string, string, string]
const store = memoryStore()
const world = await openWorld({
  driver: 'node-postgres',
  urls: [plain, wrapped],
  namespace: 'mutant',
  stores: [store, store],
  scene,
})
const trace = process.env.TRACE ? (step: number, label: string) => console.log(step, label) : undefined
try {
  const report = await runQueries(world, { seed: Number(seed), steps: Number(steps), ...(trace && { trace }) })
  console.log(JSON.stringify(report))
  process.exit(0)
} catch (error) {
  console.log(error instanceof Difference ? error.message : error)
  process.exit(error instanceof Difference ? 3 : 1)
}
