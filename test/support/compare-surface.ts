/**
 * Runs the comparison list on plain Drizzle and on a wrapped db over databases of the same history.
 *
 * Promises: each case runs `rounds` times on both, in the same order, and every difference is told: the answer or error,
 * down to prototypes and hidden properties of native results, and what `toSQL()` says.
 */
import { inspect, isDeepStrictEqual } from 'node:util'
import { outcomeOf, snapshot } from './snapshot.ts'
import { beginCase, type SurfaceCase, type SurfaceDb, surfaceCases } from './surface-cases.ts'

export interface CompareOptions {
  readonly rounds?: number
  readonly cases?: readonly SurfaceCase[]
  /** Called after each run on the wrapped db. */
  readonly after?: () => void | Promise<void>
}

/** The differences, one text for each; none when the dbs cannot be told apart. */
export async function compareSurface(
  plain: SurfaceDb,
  wrapped: SurfaceDb,
  { rounds = 3, cases = surfaceCases, after }: CompareOptions = {},
): Promise<string[]> {
  const differences: string[] = []
  for (const [at, each] of cases.entries()) {
    for (let round = 0; round < rounds; round++) {
      const number = at * rounds + round
      beginCase(number)
      const expected = await outcomeOf(() => each.run(plain), each)
      beginCase(number)
      const found = await outcomeOf(() => each.run(wrapped), each)
      await after?.()
      if (!isDeepStrictEqual(found, expected)) differences.push(tell(`${each.name}, run ${round + 1}`, expected, found))
    }
  }
  return differences
}

/** The same for `toSQL()` of every case that is a builder. */
export function compareTexts(plain: SurfaceDb, wrapped: SurfaceDb, cases = surfaceCases): string[] {
  const differences: string[] = []
  for (const [at, each] of cases.entries()) {
    const [expected, found] = [plain, wrapped].map((db) => {
      beginCase(at)
      return snapshot(textOf(each, db))
    })
    if (!isDeepStrictEqual(found, expected)) differences.push(tell(`${each.name}, toSQL()`, expected, found))
  }
  return differences
}

function textOf(each: SurfaceCase, db: SurfaceDb): unknown {
  // Cases that are no builders run their statements at once; those are not asked.
  if (/async|Promise\.all|db\.transaction|\.execute\(|db\.\$count/.test(each.run.toString())) return undefined
  try {
    const builder = each.run(db) as { toSQL?: () => unknown }
    return builder.toSQL?.()
  } catch (error) {
    return error
  }
}

function tell(name: string, expected: unknown, found: unknown): string {
  const show = (value: unknown): string => inspect(value, { depth: 8, breakLength: 160 })
  return `${name}\n  plain: ${show(expected)}\n  wrapped: ${show(found)}`
}
