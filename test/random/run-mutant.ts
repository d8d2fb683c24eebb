/** Runs a program of random steps over two fresh databases, with a fault planted in the core. */
import { freshDatabase } from '../harness/databases.ts'
import { bundle, type Edit } from './bundle.ts'
import { type Ended, runProgram } from './run-program.ts'

export interface MutantRun {
  /** A file of this folder. */
  readonly program: string
  readonly seed: string
  readonly steps: string
}

export async function runMutant(run: MutantRun, edits: readonly Edit[]): Promise<Ended> {
  const program = await bundle(run.program, edits)
  const databases = await Promise.all([freshDatabase(15), freshDatabase(15)])
  try {
    return await runProgram(program.file, [databases[0].url, databases[1].url, run.seed, run.steps], 150_000)
  } finally {
    program.remove()
    for (const database of databases) await database.drop()
  }
}
