/** Runs random steps to their end. */
import { Difference } from './outcome.ts'

export interface SteppedRun {
  /** The step that is being done. */
  readonly at: number
  steps(): Promise<void>
  /** Asks again for what was asked for. */
  sweep(): Promise<void>
}

/** How many milliseconds it took. A difference names the seed and the step. */
export async function timed(run: SteppedRun, seed: number): Promise<number> {
  const start = performance.now()
  try {
    await run.steps()
    await run.sweep()
  } catch (error) {
    if (!(error instanceof Difference)) throw error
    throw new Difference(`seed ${seed}, step ${run.at}: ${error.message}`)
  }
  return Math.round(performance.now() - start)
}
