import type { BypassReason } from '../model/reasons.ts'
import type { RecordRow, RecordSource } from '../model/record.ts'
import {
  Column,
  type Database,
  type Dialect,
  decode,
  hasPlainSelect,
  type SelectBuilder,
  type SelectStart,
  type Session,
  SQL,
  selectClasses,
  selectMembers,
  Table,
} from './internals.ts'
import {
  type AnswersRead,
  answerByRecords,
  mapWhole,
  type PlannedRead,
  PreparedRead,
  planRead,
} from './prepared-read.ts'
import { readCondition } from './read-conditions.ts'
import { everyColumn, type RecordQuestion } from './record-question.ts'
import type { StatementContext } from './statement-context.ts'
import { positionOf, type TableShape } from './table-shape.ts'

/**
 * `db.select(…).from(table)` without Drizzle's constructors, as long as nothing but a condition and a limit is said:
 * that is what a read by key says, and building the real thing costs more than the read (docs/decisions/lean-builder.md).
 * Whatever else is asked of it is asked of a real builder, which from then on is the only one.
 */

/** What all selects of one handle share. */
interface LeanTools {
  readonly context: StatementContext
  readonly session: Session
  readonly dialect: Dialect
  readonly prepareQuery: Session['prepareQuery']
}

/** What a lean select was built on, as it stood when `from` was called. */
interface Asked {
  readonly tools: LeanTools
  readonly table: object
  readonly shape: TableShape
  /** Undefined: every column, under its own name. */
  readonly picked: Picked | undefined
}

interface Picked {
  readonly keys: readonly string[]
  readonly columns: readonly Column[]
  readonly positions: readonly number[]
}

// —— db.select(…) ——

interface LeanStart extends SelectStart {
  tools: LeanTools
}

// The prototype chain is made by hand, as in lazy-sql.ts: the base constructor would set up every field a second time.
function LeanStartClass(this: LeanStart, tools: LeanTools, fields: Record<string, unknown> | undefined): void {
  this.fields = fields
  this.session = tools.session
  this.dialect = tools.dialect
  this.withList = noTables
  this.distinct = undefined
  this.authToken = undefined
  this.tools = tools
}
Object.setPrototypeOf(LeanStartClass, selectClasses.start)
LeanStartClass.prototype = Object.create(selectClasses.start.prototype, {
  constructor: { value: LeanStartClass },
  from: {
    value(this: LeanStart, source: unknown): SelectBuilder {
      const asked = readAsked(this, source)
      return asked ? new LeanSelect(asked) : selectClasses.start.prototype.from.call(this, source)
    },
  },
})
const LeanStart = LeanStartClass as unknown as new (tools: LeanTools, fields: unknown) => LeanStart
const noTables: readonly unknown[] = Object.freeze([])

/** Gives a wrapped db a `select` of its own; one that was replaced by somebody stays. */
export function useLeanSelect(db: Database, context: StatementContext): void {
  if (context.call.cache === false || !hasPlainSelect(db)) return
  completeLeanSelect()
  const { session, dialect } = db
  const tools: LeanTools = { context, session, dialect, prepareQuery: session.prepareQuery }
  const value = (fields: unknown): SelectStart => new LeanStart(tools, fields ?? undefined)
  // Not enumerable, as a method of a class: who copies or lists the db finds what he would have found.
  Object.defineProperty(db, 'select', { value, configurable: true, enumerable: false, writable: true })
}

/** Undefined where only Drizzle's own builder will do. */
function readAsked({ tools, fields, authToken }: LeanStart, table: unknown): Asked | undefined {
  const { context, session, prepareQuery } = tools
  // Whoever listens at the session hears of every statement.
  if (authToken !== undefined || session.prepareQuery !== prepareQuery || !(table instanceof Table)) return undefined
  const shape = context.shape(table)
  if (shape.alias !== shape.name || context.read.isUntracked(shape, shape.names) || context.read.isShut())
    return undefined
  const picked = fields && readPicked(fields, shape)
  return fields && !picked ? undefined : { tools, table, shape, picked }
}

/** A flat selection of the table's own columns. */
function readPicked(fields: Record<string, unknown>, shape: TableShape): Picked | undefined {
  const keys = Object.keys(fields)
  const columns: Column[] = []
  const positions: number[] = []
  for (const key of keys) {
    const column = fields[key]
    if (!(column instanceof Column)) return undefined
    const position = positionOf(shape, column)
    if (position === undefined) return undefined
    columns.push(column)
    positions.push(position)
  }
  return keys.length > 0 ? { keys, columns, positions } : undefined
}

// —— db.select(…).from(…) ——

interface LeanSelect extends SelectBuilder {
  asked: Asked
  condition: unknown
  count: unknown
  real: SelectBuilder | undefined
}

function LeanSelectClass(this: LeanSelect, asked: Asked): void {
  this.asked = asked
  this.condition = undefined
  this.count = undefined
  this.real = undefined
}
Object.setPrototypeOf(LeanSelectClass, selectClasses.select)
LeanSelectClass.prototype = Object.create(selectClasses.select.prototype, {
  constructor: { value: LeanSelectClass },
})
const LeanSelect = LeanSelectClass as unknown as new (asked: Asked) => LeanSelect

const recorded: Record<string, unknown> & ThisType<LeanSelect> = {
  where(condition: unknown): SelectBuilder {
    // A function is called at once, with Drizzle's own view of the selection.
    if (this.real || typeof condition === 'function') return realOf(this).where(condition)
    this.condition = condition
    return this
  },
  limit(count: unknown): SelectBuilder {
    if (this.real) return this.real.limit(count)
    this.count = count
    return this
  },
  $dynamic(): SelectBuilder {
    return this.real ?? this
  },
  // biome-ignore lint/suspicious/noThenProperty: builders are awaited.
  then(onFulfilled?: unknown, onRejected?: unknown): Promise<unknown> {
    if (this.real) return this.real.then(onFulfilled, onRejected)
    return run(this, undefined).then(onFulfilled as () => unknown, onRejected as () => unknown)
  },
}

let complete = false
/**
 * Every member of a real builder, own or inherited, becomes one that asks the real builder: Drizzle itself gives the
 * list, so that nothing is forgotten. Done at the first wrap, when Drizzle has been checked.
 */
function completeLeanSelect(): void {
  if (complete) return
  complete = true
  const { own, inherited } = selectMembers()
  const { prototype } = LeanSelectClass as unknown as { prototype: object }
  for (const name of inherited) if (!(name in built)) defineMethod(prototype, name, recorded[name] ?? forward(name))
  for (const name of own) Object.defineProperty(prototype, name, forwardMember(name))
}

/** Made of `then`, so they need no builder. */
const built = { catch: true, finally: true }

function defineMethod(prototype: object, name: string, value: unknown): void {
  Object.defineProperty(prototype, name, { value, configurable: true, writable: true })
}

function forward(name: string): unknown {
  return function forwarded(this: LeanSelect, ...args: unknown[]): unknown {
    return (realOf(this) as unknown as Record<string, (...args: unknown[]) => unknown>)[name]?.(...args)
  }
}

function forwardMember(name: string): PropertyDescriptor {
  const member = {
    configurable: true,
    get(this: LeanSelect): unknown {
      return (realOf(this) as unknown as Record<string, unknown>)[name]
    },
    set(this: LeanSelect, value: unknown): void {
      ;(realOf(this) as unknown as Record<string, unknown>)[name] = value
    },
  }
  return name === 'execute' ? { ...member, get: executeOf } : member
}

/** Drizzle's `execute` is bound to its builder, and so is this. */
function executeOf(this: LeanSelect): SelectBuilder['execute'] {
  return this.real?.execute ?? ((placeholders) => run(this, placeholders))
}

/** The builder as Drizzle makes it; from now on everything happens to this one. */
function realOf(lean: LeanSelect): SelectBuilder {
  lean.real ??= build(lean.asked, lean.condition, lean.count)
  return lean.real
}

function build({ tools, table, picked }: Asked, condition: unknown, count: unknown): SelectBuilder {
  const { session, dialect } = tools
  const fields = picked && Object.fromEntries(picked.keys.map((key, at) => [key, picked.columns[at]]))
  const real = new selectClasses.start({ fields, session, dialect }).from(table)
  if (condition !== undefined) real.where(condition)
  if (count !== undefined) real.limit(count)
  return real
}

// —— await ——

/** Answers by records where they can; everything else, reasons included, is the real builder's. */
function run(lean: LeanSelect, placeholders: Record<string, unknown> | undefined): Promise<unknown> {
  if (!lean.real) {
    const read = planLean(lean, placeholders)
    if (read) return answerByRecords(read, read.plan, placeholders, undefined)
  }
  return realOf(lean).execute(placeholders)
}

function planLean(
  { asked, condition, count }: LeanSelect,
  placeholders: Record<string, unknown> | undefined,
): LeanRead | undefined {
  if (!(condition instanceof SQL) || !isCount(count)) return undefined
  const { tools, shape, picked } = asked
  const read = readCondition(condition, shape)
  if (read.kind === 'opaque') return undefined
  const picks = picked?.positions ?? everyColumn(shape)
  const question: RecordQuestion = { shape, condition: read, picks, limited: count !== undefined, order: noOrder }
  const { context } = tools
  try {
    const plan = planRead({ context, question, ttlMs: context.call.ttlMs }, placeholders, undefined)
    return typeof plan === 'string' ? undefined : new LeanRead(asked, question, plan, condition, count)
  } catch {
    // What a value's own encoder throws, it throws again where plain Drizzle lets it.
    return undefined
  }
}

const noOrder: RecordQuestion['order'] = Object.freeze([])

const isCount = (count: unknown): boolean =>
  count === undefined || (typeof count === 'number' && Number.isInteger(count) && count >= 1)

/** One execution of a lean select; the builder may be changed and run again meanwhile. */
class LeanRead implements AnswersRead {
  constructor(
    private readonly asked: Asked,
    readonly question: RecordQuestion,
    readonly plan: PlannedRead,
    private readonly condition: unknown,
    private readonly count: unknown,
  ) {}

  get context(): StatementContext {
    return this.asked.tools.context
  }

  map(source: RecordSource, rows: readonly (readonly unknown[])[]): unknown {
    const { shape, picked } = this.asked
    return rows.map((row) => (picked ? mapPicked(picked, source, row) : mapWhole(shape, row)))
  }

  runPlain(reason: BypassReason, placeholders: Record<string, unknown> | undefined): Promise<unknown> {
    const prepared = build(this.asked, this.condition, this.count)._prepare()
    if (prepared instanceof PreparedRead) return prepared.runPlain(reason, placeholders, undefined)
    return prepared.execute(placeholders)
  }
}

function mapPicked({ keys, columns, positions }: Picked, { slots }: RecordSource, row: NonNullable<RecordRow>): object {
  const result: Record<string, unknown> = {}
  for (let at = 0; at < keys.length; at++) {
    const value = row[slots[positions[at] as number] as number]
    result[keys[at] as string] = value === null ? null : decode(columns[at] as Column, value)
  }
  return result
}
