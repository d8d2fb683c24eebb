import { type Facet, type FacetMap, MAIN } from '../model/facets.ts'
import type { RelationFacts } from '../model/facts.ts'
import { byBytes, type Scheme } from '../model/keys.ts'
import type { ImageForm, WritePlan, WriteQuestion } from '../model/write.ts'
import type { EpochReason } from '../ports/events.ts'

/** PostgreSQL 18: RETURNING may name the old and the new row. */
const OLD_AND_NEW = 180000

export interface PlanWith {
  readonly serverVersion: number
  /** Schemes that answers of this table are kept under. */
  readonly schemes: readonly Scheme[]
  readonly facets: FacetMap
  readonly maxTouched: number
  /** True once a statement was seen that sets a primary key of this table. */
  readonly keysMove: boolean
}

/**
 * Decides from the catalog, before the first write, how the rows that a statement touches are learned: the table of
 * DESIGN 3.4, read from the bottom. Whatever is not certain to leave the statement's outcome alone runs untouched.
 */
export function planWrite(question: WriteQuestion, given: PlanWith): WritePlan {
  const columns = hiddenColumns(question.relation, given.schemes)
  const reason = refuse(question, given)
  if (reason) return plan('none', question, given, [], reason)
  return choose(question, given, columns)
}

/** Why no image can be had at all. */
function refuse(question: WriteQuestion, { schemes, maxTouched }: PlanWith): EpochReason | undefined {
  const { relation } = question
  if (relation.kind !== 'table' && relation.kind !== 'partitioned') return 'no-images'
  if (relation.rowSecurity || relation.rules || !relation.privileges.select) return 'no-images'
  if (!relation.primaryKey || relation.inheritanceChildren || schemes.length === 0) return 'no-images'
  if (question.native && question.returning) return 'no-images'
  if (question.op === 'insert' && !question.returning && (question.atMost ?? 0) > maxTouched) return 'too-many-rows'
  return undefined
}

function choose(question: WriteQuestion, given: PlanWith, columns: readonly string[]): WritePlan {
  const modern = given.serverVersion >= OLD_AND_NEW && question.nameable
  if (question.op === 'delete') return plan('new', question, given, columns)
  if (question.op === 'insert') {
    if (question.conflict !== 'update') return plan('new', question, given, columns)
    return modern ? plan('old-new', question, given, columns) : upsert(question, given, columns)
  }
  if (!mayMove(question, columns)) return plan('new', question, given, columns)
  return modern ? plan('old-new', question, given, columns) : locked(question, given, columns)
}

/** True unless the statement leaves every column of every scheme as it was. */
function mayMove(question: WriteQuestion, columns: readonly string[]): boolean {
  const changed = mayChange(question)
  return changed === 'all' || columns.some((column) => changed.has(column))
}

/** What an update of a row may change (DESIGN 3.4): SET and every generated column; anything under a BEFORE trigger. */
function mayChange({ relation, op, changed }: WriteQuestion): WriteQuestion['changed'] {
  // An upsert runs the triggers of both.
  const before = hasBefore(relation, 'update') || (op === 'insert' && hasBefore(relation, 'insert'))
  if (before || changed === 'all') return 'all'
  const generated = [...relation.columns.values()].filter((column) => column.generated)
  return generated.length === 0 ? changed : new Set([...changed, ...generated.map(({ name }) => name)])
}

/** With `main` removed the groups need nothing: every answer on a class records its `main`. */
function facetsOfChange(changed: WriteQuestion['changed'], facets: FacetMap): readonly Facet[] {
  if (changed === 'all' || changed.size === 0) return [MAIN]
  const lost = new Set([...changed].flatMap((column) => facets.facetsOf(column)))
  return lost.has(MAIN) ? [MAIN] : [...lost]
}

function upsert(question: WriteQuestion, given: PlanWith, columns: readonly string[]): WritePlan {
  const moves = mayMove(question, columns)
  const spares = !facetsOfChange(mayChange(question), given.facets).includes(MAIN)
  // Where a row that came and one that was updated lose the same, it need not be known which it was.
  if (!moves && !spares) return plan('new', question, given, columns)
  // xmax, which tells an insert from an update, cannot be read on a partitioned table.
  if (question.relation.kind !== 'partitioned') return plan('upsert', question, given, columns)
  return moves ? plan('none', question, given, [], 'no-images') : plan('new', question, given, columns)
}

function locked(question: WriteQuestion, given: PlanWith, columns: readonly string[]): WritePlan {
  const { relation, changed, from } = question
  const key = relation.primaryKey as readonly string[]
  // The join by primary key loses a row whose key another transaction is changing.
  const movingKey = given.keysMove || key.some((column) => changed === 'all' || changed.has(column))
  const generatedKey = key.some((column) => relation.columns.get(column)?.generated)
  if (movingKey || generatedKey || key.some((column) => relation.updatedByParents.has(column))) {
    return plan('none', question, given, [], 'key-update')
  }
  // FROM and joins would be evaluated twice, once to lock and once to update.
  if (from || shiftsUniques(question)) return plan('none', question, given, [], 'no-images')
  return plan('locked', question, given, columns)
}

/**
 * True where the order of the rows may decide whether the statement succeeds: `set n = n + 1` on a unique column meets the
 * value of a row that it has not come to yet. The join to the locked rows may take them in another order. (With one value
 * for all rows the order decides nothing: a row that is in the way now is in the way at the end.)
 */
function shiftsUniques({ relation, computed, atMost }: WriteQuestion): boolean {
  return atMost !== 1 && lockFor({ relation, changed: computed }) === 'update'
}

function plan(
  form: ImageForm,
  question: WriteQuestion,
  given: PlanWith,
  columns: readonly string[],
  reason?: EpochReason,
): WritePlan {
  const bounded = question.returning || question.atMost !== undefined || form === 'none'
  const limit = bounded ? undefined : given.maxTouched + 1
  const lock = lockFor(question)
  const moves = mayMove(question, columns)
  const name = `${form}.${moves ? 'm' : ''}${limit ?? ''}.${lock[0]}.${columns.join('.')}`
  const key = question.relation.primaryKey ?? []
  const changed = mayChange(question)
  const changes = changed === 'all' ? changed : [...changed].sort(byBytes)
  const stays = facetsOfChange(changed, given.facets)
  const { schemes, maxTouched } = given
  return { form, reason, columns, schemes, changes, stays, moves, key, limit, maxTouched, lock, name }
}

/** PostgreSQL itself takes the stronger lock where a column of a unique index is set; taking the weaker one first deadlocks. */
export function lockFor({ relation, changed }: Pick<WriteQuestion, 'relation' | 'changed'>): WritePlan['lock'] {
  const { uniqueIndexColumns } = relation
  if (changed === 'all' || uniqueIndexColumns.has('*')) return 'update'
  for (const column of changed) if (uniqueIndexColumns.has(column)) return 'update'
  for (const column of uniqueIndexColumns) if (relation.columns.get(column)?.generated) return 'update'
  return 'no key update'
}

const hasBefore = ({ triggers, partitionTriggers = [] }: RelationFacts, op: 'insert' | 'update'): boolean =>
  [...triggers, ...partitionTriggers].some((trigger) => trigger.timing === 'before' && trigger[op])

/** Columns of all schemes and of the primary key, which the locked form joins by. */
export function hiddenColumns({ primaryKey }: RelationFacts, schemes: readonly Scheme[]): string[] {
  return [...new Set([...(primaryKey ?? []), ...schemes.flatMap(({ columns }) => columns)])]
}
