import type { RelationId } from '../model/facts.ts'
import type { ResultLookup } from '../model/result.ts'
import type { DropWatch } from '../ports/drop-watch.ts'

/** A table whose columns were changed, and none of them does the dropped answer reach. */
export interface NeedlessDrop {
  readonly table: RelationId
  readonly columns: readonly string[]
}

/** A stored answer that is not valid any more: what it was filled under, in the order of the lookup, and what there is now. */
export interface Dropped {
  readonly under?: readonly string[] | undefined
  readonly stamps: ReadonlyMap<string, string | null>
}

/**
 * What an answer fell for without need: everything that it fell for was a change of columns that it does not reach, so
 * groups of these columns (DESIGN 3.2) would have spared it. Empty where it fell for anything else as well, and where that
 * is not known.
 */
export function needlessDrops(
  drops: DropWatch,
  { stamps, dependencies, reached }: ResultLookup,
  { under, stamps: now }: Dropped,
): readonly NeedlessDrop[] {
  const found = new Map<string, NeedlessDrop>()
  for (const [at, stamp] of (under ?? []).entries()) {
    const key = stamps[at] as string
    if (now.get(key) === stamp) continue
    const rests = dependencies.find((dependency) => dependency.key === key)
    const columns = drops.lossOf(stamp)
    if (!rests || !columns || columns === 'rows' || reaches(reached.get(rests.table), columns)) return []
    found.set(JSON.stringify([rests.table, columns]), { table: rests.table, columns })
  }
  return [...found.values()]
}

const reaches = (reached: ReadonlySet<string> | 'all' | undefined, columns: readonly string[]): boolean =>
  reached === undefined || reached === 'all' || columns.some((column) => reached.has(column))
