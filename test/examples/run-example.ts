/** Starts the script of an example as a user would and waits for its end. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Ended, runTsx } from '../support/run-tsx.ts'

export type { Ended } from '../support/run-tsx.ts'

const examples = fileURLToPath(new URL('../../examples/', import.meta.url))

export const runExample = (example: string, ...args: string[]): Promise<Ended> => runTsx(join(examples, example), args)
