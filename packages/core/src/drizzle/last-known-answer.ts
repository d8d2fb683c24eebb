import type { LastKnownPort } from '../ports/last-known.ts'
import type { StatementContext } from './statement-context.ts'

/** An answer from before; a box, for a result may be anything. */
export interface LastAnswer {
  readonly result: unknown
}

/**
 * Runs a statement that is not served from the cache; where the database does not answer, what was known of its answer
 * (`serveStaleOnError`). Whatever else goes wrong is the statement's own error.
 */
export async function orLastKnown(
  lastKnown: LastKnownPort,
  ask: () => Promise<unknown>,
  last: () => Promise<LastAnswer | undefined>,
): Promise<unknown> {
  let answer: unknown
  try {
    answer = await ask()
  } catch (error) {
    const known = lastKnown.failed(error) ? await last() : undefined
    if (known) return known.result
    throw error
  }
  lastKnown.answered()
  return answer
}

/** The context of a read that asks nobody but the store. */
export const byLastKnown = (context: StatementContext, { read, results }: LastKnownPort): StatementContext => ({
  ...context,
  read,
  results,
})
