/** The random queries as a program of its own. */
import { runInWorld } from '../run-in-world.ts'
import { runQueries } from './run-queries.ts'
import { scene } from './scene.ts'

await runInWorld(runQueries, scene)
