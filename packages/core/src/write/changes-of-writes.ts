import type { RelationId } from '../model/facts.ts'
import type { CascadedRows, TouchedRows } from '../model/write.ts'
import type { WriteIntent } from '../ports/paths.ts'
import { deriveCascade } from './cascades.ts'
import { deriveKeys, lossOf } from './derive-keys.ts'
import { Changes } from './scope.ts'
import type { WriteWith } from './write-with.ts'

/** What a statement that ran made stale, from what was decided before it and what was learned of its rows. */
export class ChangesOfWrites {
  readonly #with: Pick<WriteWith, 'cached' | 'voice'>

  constructor(tools: Pick<WriteWith, 'cached' | 'voice'>) {
    this.#with = tools
  }

  /** A fault of ours after a write must neither fail the write nor lose its invalidation: then everything falls. */
  of(intent: WriteIntent, touched: TouchedRows, cascaded: CascadedRows | undefined): Changes {
    try {
      return this.#derive(intent, touched, cascaded)
    } catch (error) {
      this.#with.voice.emit({ type: 'derivationFailed', error })
      const changes = new Changes()
      changes.addEverything('no-images')
      return changes
    }
  }

  #derive(intent: WriteIntent, touched: TouchedRows, cascaded: CascadedRows | undefined): Changes {
    const changes = new Changes()
    const { relation, plan, table, reached, everything, always, version, union } = intent
    changes.derivedFrom(version)
    changes.derivedUnder(union)
    // A rule may write in the statement's place, and the count is then not of the rows that changed.
    const happened = touched.count !== 0 || touched.images.length > 0 || relation?.rules === true
    const acts = happened || always || (relation?.triggers.length ?? 0) > 0
    if (relation && union !== undefined && acts) changes.harmless.add(relation.id)
    if (relation && this.#with.cached(relation) && happened) {
      const derived = table ? deriveKeys(plan, touched, relation, table) : noImages
      if ('epoch' in derived) changes.addTable(relation.id, derived.epoch)
      else changes.addKeys(relation.id, derived.keys, lossOf(plan, touched))
    }
    if (happened || always) {
      const exact = cascaded && this.#addCascaded(changes, intent, cascaded, touched.count)
      for (const { table, reason } of reached) if (!exact?.has(table)) changes.addTable(table, reason)
      if (everything) changes.addEverything(everything)
    }
    return changes
  }

  /** Adds what the rows that followed kill; answers the tables about which nothing more is to be said. */
  #addCascaded(
    changes: Changes,
    { reached, cascade }: WriteIntent,
    cascaded: CascadedRows,
    touched: number | undefined,
  ): Set<RelationId> {
    const { whole, keys } = deriveCascade(cascade, cascaded, touched)
    for (const [table, stamps] of keys) changes.addKeys(table, stamps)
    const followed = new Set(cascade.flatMap(({ all }) => all))
    return new Set(reached.map(({ table }) => table).filter((table) => followed.has(table) && !whole.has(table)))
  }
}

/** All that a write may have made stale of which nothing more is known than that it was begun. */
export function allOf(intent: WriteIntent | undefined): Changes {
  const changes = new Changes()
  changes.derivedUnder(intent?.union)
  if (!intent?.relation) changes.addEverything('unknown-outcome')
  else {
    changes.addTable(intent.relation.id, 'unknown-outcome')
    for (const { table } of intent.reached) changes.addTable(table, 'unknown-outcome')
    if (intent.everything) changes.addEverything('unknown-outcome')
  }
  return changes
}

const noImages = { epoch: 'no-images' } as const
