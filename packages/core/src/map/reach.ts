import type { CatalogFacts, IncomingKey, RelationFacts, RelationId, TriggerFacts } from '../model/facts.ts'

/** What a statement does to a table; `any` is an insert, update or delete, whichever it turns out to be. */
export type ReachOp = 'insert' | 'update' | 'delete' | 'truncate' | 'any'

/** Columns that a write may change, by their names in the database. */
export type ChangedColumns = ReadonlySet<string> | 'all'

/** How a write comes to a table that it does not name. A view's base tables count as `cascade`. */
export type ReachCause = 'cascade' | 'trigger' | 'partition'

/** The tables that the triggers and rules of a table write, as the user declared them; undefined: not declared. */
export type Affects = (id: RelationId) => readonly RelationId[] | undefined

export interface Reach {
  /** Every other table that the write may change. The table written is in it only if a path leads back to it. */
  readonly tables: ReadonlyMap<RelationId, ReachCause>
  /** Triggers (and rules, named `(rules)`) on the way that may write anything: the caller drops everything. */
  readonly undeclared: readonly { readonly table: RelationId; readonly trigger: string }[]
}

/** The name under which the rules of a table stand in {@link Reach.undeclared}. */
export const rulesAsTrigger = '(rules)'

/**
 * Follows a write through everything by which PostgreSQL lets it write elsewhere: foreign-key actions, triggers, rules,
 * partitions, inheritance, updatable views, policies that read it; at any depth, circles included. Pure, and wide where it
 * cannot know.
 *
 * An upsert reaches what an insert and what an update reach: ask twice, or once with `any`, which also counts its
 * deletes. A declared trigger is believed: `TRUNCATE … CASCADE` in its body is to be declared with all its tables.
 *
 * ```ts
 * reach(facts, relationId('public', 'users'), 'delete', 'all', () => undefined).tables
 * // Map { '6:public.posts' => 'cascade' }
 * ```
 *
 * Sources: PostgreSQL documentation, "Constraints: Foreign Keys", "Overview of Trigger Behavior", "Table Partitioning",
 * "Inheritance", "CREATE VIEW: Updatable Views", "TRUNCATE".
 */
export function reach(
  facts: CatalogFacts,
  start: RelationId,
  op: ReachOp,
  changed: ChangedColumns,
  affects: Affects,
): Reach {
  const walk: Walk = { facts, affects, open: [], seen: new Set(), tables: new Map(), undeclared: new Map() }
  visit(walk, { id: start, op, changed })
  for (let next = walk.open.pop(); next; next = walk.open.pop()) follow(walk, next)
  return { tables: walk.tables, undeclared: [...walk.undeclared.values()] }
}

/** {@link reach} that remembers its answers, for one reading of the catalog and one set of declarations. */
export function reachCache(
  facts: CatalogFacts,
  affects: Affects,
): (start: RelationId, op: ReachOp, changed: ChangedColumns) => Reach {
  const known = new Map<string, Reach>()
  return (start, op, changed) => {
    const key = stepKey({ id: start, op, changed })
    const found = known.get(key) ?? reach(facts, start, op, changed, affects)
    if (known.size >= mostRemembered) known.clear()
    known.set(key, found)
    return found
  }
}

/** Statements that differ in their SET lists are few; a program that builds them at random may not fill the memory. */
const mostRemembered = 1_000

/** One table written in one way. */
interface Step {
  readonly id: RelationId
  readonly op: ReachOp
  readonly changed: ChangedColumns
}

interface Walk {
  readonly facts: CatalogFacts
  readonly affects: Affects
  readonly open: Step[]
  readonly seen: Set<string>
  readonly tables: Map<RelationId, ReachCause>
  readonly undeclared: Map<string, Reach['undeclared'][number]>
}

function stepKey({ id, op, changed }: Step): string {
  return JSON.stringify([id, op, changed === 'all' ? changed : [...changed].sort()])
}

/** Has the step followed once; endless circles end here, since tables, ops and column sets are finite. */
function visit(walk: Walk, step: Step): void {
  const key = stepKey(step)
  if (walk.seen.has(key)) return
  walk.seen.add(key)
  walk.open.push(step)
}

function arrive(walk: Walk, step: Step, cause: ReachCause): void {
  if (!walk.tables.has(step.id)) walk.tables.set(step.id, cause)
  visit(walk, step)
}

function follow(walk: Walk, named: Step): void {
  const table = walk.facts.relations.get(named.id)
  if (!table) return
  const step = asDone(table, named)
  followView(walk, table)
  followPolicies(walk, table)
  followTriggers(walk, table, step)
  followKeys(walk, table, step)
  for (const id of table.family) followMember(walk, id, step)
}

/** What the step comes to in this table: generated columns change with others, a BEFORE trigger may change any. */
function asDone(table: RelationFacts, step: Step): Step {
  if (step.op !== 'update' && step.op !== 'any') return step
  const triggers = [...table.triggers, ...(table.partitionTriggers ?? [])]
  const before = triggers.some((trigger) => trigger.timing === 'before' && fires(trigger, step.op))
  const changed = before ? 'all' : withGenerated(table, step.changed)
  return { ...step, changed, op: mayMoveRows(table, step.op, changed) ? 'any' : step.op }
}

function withGenerated(table: RelationFacts, changed: ChangedColumns): ChangedColumns {
  if (changed === 'all') return changed
  const generated = [...table.columns.values()].filter((column) => column.generated)
  return generated.length === 0 ? changed : new Set([...changed, ...generated.map((column) => column.name)])
}

/**
 * An update that moves a row to another partition is a delete and an insert there, with their triggers and, before
 * PostgreSQL 15, their foreign-key actions. A primary key holds every column of the partition key, at every level.
 */
function mayMoveRows(table: RelationFacts, op: ReachOp, changed: ChangedColumns): boolean {
  return op === 'update' && table.kind === 'partitioned' && mayChange(changed, table.primaryKey)
}

function mayChange(changed: ChangedColumns, columns: readonly string[] | undefined): boolean {
  return changed === 'all' || columns === undefined || columns.some((column) => changed.has(column))
}

/** A view hands a write on to what it reads, as whatever its rules and INSTEAD OF triggers make of it. */
function followView(walk: Walk, view: RelationFacts): void {
  for (const id of view.reads) arrive(walk, { id, op: 'any', changed: 'all' }, 'cascade')
}

/** What is seen under policies changes with what these read, and so with what is seen of that in turn. */
function followPolicies(walk: Walk, table: RelationFacts): void {
  for (const id of table.secures ?? []) {
    const secured = walk.facts.relations.get(id)
    if (!secured || walk.tables.has(id)) continue
    walk.tables.set(id, 'cascade')
    followPolicies(walk, secured)
  }
}

/** Rows of a member are rows of its ancestors; foreign keys and triggers of both see the write. */
function followMember(walk: Walk, id: RelationId, step: Step): void {
  if (!walk.tables.has(id)) walk.tables.set(id, 'partition')
  const table = walk.facts.relations.get(id)
  if (!table) return
  const key = `member ${stepKey({ ...step, id })}`
  if (walk.seen.has(key)) return
  walk.seen.add(key)
  followPolicies(walk, table)
  const done = asDone(table, { ...step, id })
  followTriggers(walk, table, done)
  followKeys(walk, table, done)
}

function fires(trigger: TriggerFacts, op: ReachOp): boolean {
  return op === 'any' ? trigger.insert || trigger.update || trigger.delete : trigger[op]
}

function followTriggers(walk: Walk, table: RelationFacts, { op }: Step): void {
  const firing = table.triggers.filter((trigger) => fires(trigger, op))
  for (const trigger of firing) followWriter(walk, table, trigger.name, declared(walk, table, trigger))
  // Rules act on the foreign-key queries of PostgreSQL too. Not on TRUNCATE.
  if (table.rules && op !== 'truncate') followWriter(walk, table, rulesAsTrigger, walk.affects(table.id))
}

/** A clone does what its original does, and the user declares the table that he knows: the partitioned one. */
function declared(walk: Walk, table: RelationFacts, trigger: TriggerFacts): readonly RelationId[] | undefined {
  const own = walk.affects(table.id)
  if (own || !trigger.clone) return own
  return table.family
    .filter((id) => hasOriginal(walk.facts.relations.get(id), trigger))
    .map(walk.affects)
    .find(Boolean)
}

function hasOriginal(table: RelationFacts | undefined, clone: TriggerFacts): boolean {
  return table?.kind === 'partitioned' && table.triggers.some((trigger) => trigger.name === clone.name)
}

function followWriter(
  walk: Walk,
  table: RelationFacts,
  name: string,
  affected: readonly RelationId[] | undefined,
): void {
  if (!affected) walk.undeclared.set(JSON.stringify([table.id, name]), { table: table.id, trigger: name })
  for (const id of affected ?? []) arrive(walk, { id, op: 'any', changed: 'all' }, 'trigger')
}

function followKeys(walk: Walk, parent: RelationFacts, step: Step): void {
  for (const key of parent.incoming) for (const next of stepsOf(key, step)) arrive(walk, next, 'cascade')
}

/** What a write to the parent makes of the rows that refer to it. */
function stepsOf(key: IncomingKey, { op, changed }: Step): Step[] {
  const id = key.child
  const columns = new Set(key.childColumns)
  if (op === 'truncate') return [{ id, op, changed: 'all' }]
  const steps: Step[] = []
  if ((op === 'delete' || op === 'any') && key.onDelete !== 'none')
    steps.push(
      key.onDelete === 'cascade' ? { id, op: 'delete', changed: 'all' } : { id, op: 'update', changed: columns },
    )
  if ((op === 'update' || op === 'any') && key.onUpdate !== 'none' && mayChange(changed, key.columns))
    steps.push({ id, op: 'update', changed: columns })
  return steps
}
