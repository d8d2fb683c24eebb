import type { ColumnFacts, RelationFacts } from '../model/facts.ts'
import type { Block, QueryShape, Term } from '../model/query-shape.ts'
import type { Branch } from './condition-branches.ts'
import { type ColumnOf, knownValues } from './known-values.ts'
import { visitRefs } from './visit-refs.ts'

/** What is known of the references after the walk. */
export interface Ways {
  /** For each reference that stands in a block: the facts of each way in which its rows can matter. */
  readonly byRef: ReadonlyMap<number, readonly Branch[]>
  readonly overflowed: boolean
  readonly columnOf: ColumnOf
}

export function findWays(shape: QueryShape, relationOf: (ref: number) => RelationFacts): Ways {
  const relations = shape.refs.map((_, ref) => relationOf(ref))
  const columnOf = ({ ref, column }: Term): ColumnFacts | undefined => relations[ref]?.columns.get(column)
  const byRef = new Map(refsIn(shape.root).map((ref): [number, Branch[]] => [ref, []]))
  let overflowed = false
  visitRefs(shape.root, {
    visit: (ref, facts) => byRef.get(ref)?.push(facts),
    overflow: () => {
      overflowed = true
    },
    knownValues: (facts) => knownValues(facts, columnOf),
  })
  return { byRef, overflowed, columnOf }
}

function refsIn(block: Block): number[] {
  const own = block.sources.flatMap((source) =>
    'ref' in source ? [source.ref] : 'block' in source ? refsIn(source.block) : [],
  )
  return [...own, ...block.inner.flatMap(refsIn)]
}
