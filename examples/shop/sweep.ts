import { isDeepStrictEqual } from 'node:util'
import type { Contender } from './contenders.ts'
import { countOwn } from './count-statements.ts'
import type { QueryClass, Read } from './reads.ts'

/** What became of the questions of one class. */
export interface ClassSweep {
  asked: number
  fromCache: number
  /** Answers that are not the database's, by the names of the questions. */
  readonly differences: string[]
}

export interface SweepResult {
  readonly byClass: ReadonlyMap<QueryClass, ClassSweep>
  /** Where the database itself does not hold what the demo believes: what it calls stale rests on that. */
  readonly bookkeeping: readonly string[]
}

/**
 * Asks a contender for everything that the day has asked for, and compares each answer with what its database says to
 * the same query without any cache.
 */
export async function sweep(contender: Contender, asked: Iterable<Read>): Promise<SweepResult> {
  const database = contender.home.open()
  const byClass = new Map<QueryClass, ClassSweep>()
  const bookkeeping: string[] = []
  for (const read of asked) {
    const { result: rows, statements } = await countOwn(() => read.run(contender.db))
    const truth = read.parts(await read.run(database))
    const its = classOf(byClass, read)
    its.asked++
    if (statements === 0) its.fromCache++
    if (!isDeepStrictEqual(given(read.parts(rows)), given(truth))) its.differences.push(read.name)
    if (!truth.every((part) => isDeepStrictEqual(part.given, part.expected(contender.truth.now())))) {
      bookkeeping.push(read.name)
    }
  }
  return { byClass, bookkeeping }
}

const given = (parts: ReturnType<Read['parts']>): unknown[] => parts.map((part) => part.given)

function classOf(byClass: Map<QueryClass, ClassSweep>, { queryClass }: Read): ClassSweep {
  let its = byClass.get(queryClass)
  if (!its) {
    its = { asked: 0, fromCache: 0, differences: [] }
    byClass.set(queryClass, its)
  }
  return its
}

export const differencesOf = ({ byClass }: SweepResult): string[] =>
  [...byClass.values()].flatMap(({ differences }) => differences)
