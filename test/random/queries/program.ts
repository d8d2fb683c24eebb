/** The random queries as a program of its own. NEAR is a construct that most questions are to have. */
import { runInWorld } from '../run-in-world.ts'
import { runQueries } from './run-queries.ts'
import { scene } from './scene.ts'

const { NEAR: near } = process.env

await runInWorld((world, options) => runQueries(world, { ...options, near }), scene)
