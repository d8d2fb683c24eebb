import type { CatalogFacts, RelationFacts, RelationId } from '../model/facts.ts'
import type { WriteQuestion } from '../model/write.ts'
import type { EpochReason } from '../ports/events.ts'
import type { WriteIntent } from '../ports/paths.ts'
import type { WriteOp, WriteWith } from './write-with.ts'

type Reached = Pick<WriteIntent, 'reached' | 'everything' | 'always'>

/**
 * The cached tables that fall with a write to another table; all of them where a trigger is undeclared, of which the user
 * is told once.
 */
export class CachedReach {
  readonly #with: Pick<WriteWith, 'reach' | 'cached' | 'voice'>

  constructor(tools: Pick<WriteWith, 'reach' | 'cached' | 'voice'>) {
    this.#with = tools
  }

  find(
    facts: CatalogFacts,
    relation: RelationFacts,
    ops: readonly WriteOp[],
    changed: WriteQuestion['changed'],
  ): Reached {
    const ways = ops.map((op) => this.#with.reach(facts, relation.id, op, changed))
    const entries = ways.flatMap((way) => [...way.tables])
    // A trigger may act without a row, so it is the reason that counts.
    const tables = new Map([...entries, ...entries.filter(([, reason]) => reason === 'trigger')])
    const undeclared = ways.flatMap((way) => way.undeclared)
    const isCached = (id: RelationId): boolean => {
      const found = facts.relations.get(id)
      return found !== undefined && this.#with.cached(found)
    }
    const reached = [...tables].filter(([id]) => isCached(id)).map(([table, reason]) => ({ table, reason }))
    for (const { table, trigger } of undeclared) this.#tellTrigger(facts, table, trigger)
    const everything: EpochReason | undefined = undeclared.length > 0 ? 'undeclared-trigger' : undefined
    const always = everything !== undefined || reached.some(({ reason }) => reason === 'trigger')
    return { reached, everything, always }
  }

  readonly #toldTriggers = new Set<string>()

  #tellTrigger(facts: CatalogFacts, table: RelationId, trigger: string): void {
    const name = `${table}.${trigger}`
    if (this.#toldTriggers.has(name)) return
    this.#toldTriggers.add(name)
    const label = facts.relations.get(table)?.name ?? table
    const line = `cached(${label}, { affects: [] }) if trigger ${trigger} writes no cached table, else affects: [the tables it writes]`
    this.#with.voice.emit({ type: 'undeclaredTrigger', table: label, trigger, line })
  }
}
