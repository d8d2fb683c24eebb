import type { CatalogFacts, IncomingKey, RelationFacts, RelationId } from '../model/facts.ts'
import type { CascadeStep } from '../model/write.ts'
import type { Affects, ChangedColumns, reach } from './reach.ts'

/** How deep the rows that follow a parent are looked at; below, whole tables fall. */
const DEEPEST = 2

export interface CascadesWith {
  readonly facts: CatalogFacts
  readonly affects: Affects
  readonly reach: (start: RelationId, op: 'update' | 'delete', changed: ChangedColumns) => ReturnType<typeof reach>
  readonly cached: (table: RelationFacts) => boolean
}

/**
 * The ways by which rows follow a parent that is deleted or whose referenced columns change (DESIGN 3.4, foreign-key
 * actions), parents before children. Empty where nothing cached follows; undefined where something other than foreign
 * keys leads on, or the parent's own rows cannot be locked for certain: then whole tables fall.
 */
export function cascadeSteps(
  start: RelationFacts,
  op: 'update' | 'delete',
  changed: ChangedColumns,
  given: CascadesWith,
): readonly CascadeStep[] | undefined {
  const { tables, undeclared } = given.reach(start.id, op, changed)
  const writes = (id: RelationId): boolean =>
    (given.facts.relations.get(id)?.triggers.length ?? 0) > 0 && given.affects(id)?.length !== 0
  const all = [start.id, ...tables.keys()]
  const secures = (id: RelationId): boolean => (given.facts.relations.get(id)?.secures ?? []).length > 0
  if (undeclared.length > 0 || all.some(writes) || all.some(secures) || !isPlain(start)) return undefined
  const steps: CascadeStep[] = []
  const before = start.triggers.some((trigger) => trigger.timing === 'before' && trigger.update)
  follow(steps, given, {
    table: start,
    op,
    changed: before ? 'all' : withGenerated(start, changed),
    at: undefined,
    depth: 1,
  })
  return steps
}

/** A table whose rows follow, or the parent itself. */
interface Holder {
  readonly table: RelationFacts
  readonly op: 'update' | 'delete'
  readonly changed: ChangedColumns
  /** Its own step; undefined for the parent. */
  readonly at: number | undefined
  readonly depth: number
}

function follow(steps: CascadeStep[], given: CascadesWith, holder: Holder): void {
  for (const key of holder.table.incoming) {
    const child = given.facts.relations.get(key.child)
    const op = actionOf(key, holder)
    if (!child || !op) continue
    const changed = op === 'delete' ? 'all' : withGenerated(child, new Set(key.childColumns))
    const below = [...given.reach(child.id, op, changed).tables.keys()]
    const all = [child.id, ...below]
    if (!all.some((id) => isCached(id, given))) continue
    const exact = canBeRead(child, key, holder.table, op)
    const further = exact && holder.depth < DEEPEST
    const at = steps.push({
      child,
      parent: holder.table,
      key,
      op,
      holder: holder.at,
      exact,
      all,
      beyond: further ? [] : below,
    })
    if (further) follow(steps, given, { table: child, op, changed, at: at - 1, depth: holder.depth + 1 })
  }
}

function isCached(id: RelationId, { facts, cached }: CascadesWith): boolean {
  const table = facts.relations.get(id)
  return table !== undefined && cached(table)
}

/** What becomes of the child's rows; undefined: nothing. */
function actionOf(key: IncomingKey, { op, changed }: Holder): 'update' | 'delete' | undefined {
  if (op === 'delete') return key.onDelete === 'none' ? undefined : key.onDelete === 'cascade' ? 'delete' : 'update'
  const moves = changed === 'all' || key.columns.some((column) => changed.has(column))
  return moves && key.onUpdate !== 'none' ? 'update' : undefined
}

function withGenerated(table: RelationFacts, changed: ChangedColumns): ChangedColumns {
  if (changed === 'all') return changed
  const generated = [...table.columns.values()].filter((column) => column.generated)
  return new Set([...changed, ...generated.map(({ name }) => name)])
}

/** Its rows are its own, all are seen, and the role may lock them. */
function isPlain({ kind, family, rules, rowSecurity, privileges }: RelationFacts): boolean {
  return kind === 'table' && family.length === 0 && !rules && !rowSecurity && privileges.select && privileges.update
}

/** Whether the rows that follow can be found, locked and, where they stay, found again. */
function canBeRead(child: RelationFacts, key: IncomingKey, parent: RelationFacts, op: 'update' | 'delete'): boolean {
  const { primaryKey, triggers, columns } = child
  if (!isPlain(child) || !primaryKey) return false
  // It may keep a row from following, or change more of it.
  if (triggers.some((trigger) => trigger.timing === 'before' && trigger[op])) return false
  const comparable = key.columns.every((name, at) => areComparable(parent, name, child, key.childColumns[at] ?? ''))
  const stays = primaryKey.every((name) => !key.childColumns.includes(name) && !columns.get(name)?.generated)
  return comparable && (op === 'delete' || stays)
}

/** Texts may have collations that PostgreSQL will not compare; the catalog facts do not name them. */
function areComparable(parent: RelationFacts, name: string, child: RelationFacts, other: string): boolean {
  const kinds = [parent.columns.get(name)?.token ?? 'none', child.columns.get(other)?.token ?? 'none']
  return kinds[0] === kinds[1] && kinds[0] !== 'none' && kinds[0] !== 'text'
}
