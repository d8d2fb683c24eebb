/** The random steps as a program of its own. */
import { runDifferential } from './run-differential.ts'
import { runInWorld } from './run-in-world.ts'

await runInWorld(runDifferential)
