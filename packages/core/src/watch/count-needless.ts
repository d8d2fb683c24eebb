import type { RelationId } from '../model/facts.ts'

/** Answers that fell for the same columns. */
export interface CountedDrops {
  readonly table: RelationId
  readonly columns: readonly string[]
  readonly count: number
}

/** Most sets of columns that are counted; beyond, the rarer half is forgotten. */
const MOST_SETS = 200

/** Counts needless drops by table and the columns that were changed. */
export class NeedlessCounts {
  #counts = new Map<string, CountedDrops>()

  add(table: RelationId, columns: readonly string[]): void {
    const name = JSON.stringify([table, columns])
    this.#counts.set(name, { table, columns, count: (this.#counts.get(name)?.count ?? 0) + 1 })
    if (this.#counts.size <= MOST_SETS) return
    this.#counts = new Map([...this.#counts].sort(([, a], [, b]) => b.count - a.count).slice(0, MOST_SETS / 2))
  }

  /** Those with most drops first. */
  most(): CountedDrops[] {
    return [...this.#counts.values()].sort((a, b) => b.count - a.count)
  }
}
