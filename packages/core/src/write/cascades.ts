import { MAIN } from '../model/facets.ts'
import type { RelationId } from '../model/facts.ts'
import type { Scheme, TableKeys } from '../model/keys.ts'
import type { CascadedRows, CascadeImages, CascadeStep, RowImages } from '../model/write.ts'
import { deriveImages } from './derive-keys.ts'
import { hiddenColumns, lockFor } from './plan-write.ts'

/** What is known of a cached child. */
export interface CachedChild {
  readonly schemes: readonly Scheme[]
  readonly table: TableKeys
  readonly maxTouched: number
}

/** How the rows of a step are read; `cached` is undefined for a child that only leads on to others. */
export function imagesOfStep(step: CascadeStep, cached: CachedChild | undefined, usualLimit: number): CascadeImages {
  const changed = step.op === 'delete' ? 'all' : new Set(step.key.childColumns)
  const schemes = cached?.schemes ?? []
  return {
    ...step,
    exact: step.exact && (!cached || schemes.length > 0),
    columns: cached ? hiddenColumns(step.child, schemes) : [],
    schemes,
    table: cached?.table,
    limit: (cached?.maxTouched ?? usualLimit) + 1,
    lock: lockFor({ relation: step.child, changed }),
  }
}

/** What falls with the rows that followed. */
export interface CascadedChanges {
  readonly whole: ReadonlySet<RelationId>
  readonly keys: ReadonlyMap<RelationId, readonly string[]>
}

/** Single stamps where every row is known; whole tables where rows lead on to what was not looked at. */
export function deriveCascade(
  steps: readonly CascadeImages[],
  rows: CascadedRows,
  touched: number | undefined,
): CascadedChanges {
  const whole = new Set<RelationId>()
  // A row that came to match after the parents were locked: what follows it was not looked at.
  const unseen = touched === undefined || touched > rows.parents
  const keys = new Map<RelationId, string[]>()
  for (const [at, step] of steps.entries()) {
    const images = unseen ? 'unknown' : (rows.steps[at] ?? 'unknown')
    if (images === 'none' || images.length === 0) continue
    for (const id of images === 'unknown' ? step.all : step.beyond) whole.add(id)
    if (images !== 'unknown') addImages(keys, whole, step, images)
  }
  return { whole, keys }
}

function addImages(
  keys: Map<RelationId, string[]>,
  whole: Set<RelationId>,
  step: CascadeImages,
  images: readonly RowImages[],
): void {
  const { child, schemes, columns, table } = step
  if (!table) return
  const derived = deriveImages({ schemes, stays: [MAIN], table, columns }, images)
  if ('epoch' in derived) whole.add(child.id)
  else keys.set(child.id, [...(keys.get(child.id) ?? []), ...derived.keys])
}
