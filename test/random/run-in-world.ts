/**
 * The main part of a program of random steps, over node-postgres and the memory store. It takes the URLs of two empty
 * databases, a seed and a number of steps; it ends with 0 when all answers were the same, and with 3 at the first
 * difference, which it prints. TRACE=1 prints each step before it is done.
 */
import { memoryStore } from 'drizzle-aside'
import { Difference } from './outcome.ts'
import { openWorld, type Scene, type World } from './world.ts'

export interface RunOptions {
  readonly seed: number
  readonly steps: number
  /** Told before each step: the last one told is where a run hangs. */
  readonly trace?: (step: number, label: string) => void
}

export async function runInWorld(
  run: (world: World, options: RunOptions) => Promise<object>,
  scene?: Scene,
): Promise<never> {
  const [plain, wrapped, seed, steps] = process.argv.slice(2) as [string, string, string, string]
  const store = memoryStore()
  const world = await openWorld({
    driver: 'node-postgres',
    urls: [plain, wrapped],
    namespace: 'mutant',
    stores: [store, store],
    ...(scene && { scene }),
  })
  const trace = (step: number, label: string) => console.log(step, label)
  try {
    const options = { seed: Number(seed), steps: Number(steps), ...(process.env.TRACE && { trace }) }
    console.log(JSON.stringify(await run(world, options)))
    process.exit(0)
  } catch (error) {
    console.log(error instanceof Difference ? error.message : error)
    process.exit(error instanceof Difference ? 3 : 1)
  }
}
