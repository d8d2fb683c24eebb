import { PgPreparedQuery } from 'drizzle-orm/pg-core'
import { isUnderstood, unknownValue, valuesIn } from '../model/condition.ts'
import { digest } from '../model/keys.ts'
import type { OutboxRow } from '../model/outbox.ts'
import type { CascadedRows, RowImages, TouchedRows, WritePlan, WriteStatement } from '../model/write.ts'
import type { Scope, WriteIntent } from '../ports/paths.ts'
import {
  aliasOf,
  type Column,
  chunksOf,
  type Field,
  is,
  onUpdateOf,
  type PreparedQuery,
  type Query,
  queryErrorOf,
  retellError,
  type Session,
  SQL,
  Table,
  textOf,
} from './internals.ts'
import { insertRow } from './keep-in-outbox.ts'
import type { Origin } from './lazy-sql.ts'
import { mapRows } from './map-rows.ts'
import { hiddenRows, hideParams, restoreNative, touchedCount } from './native-result.ts'
import { readCondition } from './read-conditions.ts'
import { type CascadeOutcome, CommitFailure, mayOpenTransaction, runInPlace, runInTransaction } from './run-cascade.ts'
import { currentScope, destinations, type StatementContext } from './statement-context.ts'
import type { TableShape } from './table-shape.ts'
import {
  besideRow,
  type CompiledForm,
  changedColumns,
  compileForm,
  computedColumns,
  fitsBeside,
  isPlain,
  quote,
  rowValues,
  userStatement,
  type WriteForms,
  withoutHidden,
} from './write-forms.ts'

type WriteOrigin = Extract<Origin, { parts: unknown }>

export interface WriteCall {
  readonly context: StatementContext
  readonly origin: WriteOrigin
  /** The user's RETURNING as the builder flattened it; undefined: the driver's native result is wanted. */
  readonly fields: readonly Field[] | undefined
  readonly name: string | undefined
  readonly metadata: unknown
  /** True for `db.execute(builder)`: the result is the driver's own, rows included. */
  readonly native: boolean
}

interface Compiled {
  readonly plan: WritePlan | undefined
  readonly query: Query
  readonly visible: string | undefined
  readonly prepared: PreparedQuery
  /** The same with a row of the outbox before it: what is sent then. */
  beside?: { readonly into: string; readonly query: Query; readonly prepared: PreparedQuery } | undefined
}

/** One execution. */
interface Run {
  readonly intent: WriteIntent | undefined
  readonly placeholders: Record<string, unknown> | undefined
  readonly token: unknown
  readonly scope: Scope | undefined
  /** Commits with the statement. */
  readonly row?: OutboxRow | undefined
}

const noDestinations: ReturnType<typeof destinations> = []
const asTheyAre = (rows: unknown[][]): unknown => rows
const commands = { insert: 'INSERT', update: 'UPDATE', delete: 'DELETE' } as const

/**
 * A prepared insert, update or delete. It is built once, in the form that the catalog allows, runs, and gives the caller
 * exactly what the plain statement gives; the rows it touched go to the write path before it resolves.
 */
export class PreparedWrite extends (PgPreparedQuery as unknown as new (query: Query) => PreparedQuery) {
  // TypeScript's `private`, as in PreparedRead: `#` members cost each statement more than they are worth.
  private readonly call: WriteCall
  private readonly forms: WriteForms
  private readonly statement: WriteStatement
  private readonly compiled = new Map<string, Compiled>()
  private planned: WriteIntent | undefined
  private plannedFor: string | undefined
  private token: unknown

  constructor(call: WriteCall, query: Query) {
    super(query)
    this.call = call
    this.forms = formsOf(call)
    this.statement = statementOf(call, this.forms)
    // As plain Drizzle: what is wrong with the statement is thrown while it is prepared.
    this.compile(this.intent()?.plan)
  }

  /** Planned once per reading of the catalog; a key update seen in between makes another plan, so it counts, too. */
  private intent(): WriteIntent | undefined {
    const { write } = this.call.context
    const { planKey } = write
    if (planKey === undefined || planKey !== this.plannedFor) {
      const planned = write.plan(this.forms.shape, this.statement)
      // Built in one piece while nobody cached its table: building it again would call the user's default functions twice.
      this.planned = planned && this.forms.parts.whole ? withoutImages(planned) : planned
      this.plannedFor = write.planKey
    }
    return this.planned
  }

  private compile(plan: WritePlan | undefined): Compiled {
    const form = plan?.form === 'none' ? undefined : plan
    const known = this.compiled.get(form?.name ?? '')
    if (known) return known
    const { query, visible } = form ? compileForm(this.forms, form) : this.compilePlain()
    const prepared = this.prepare(this.call.context.session, query, form)
    const compiled = { plan: form, query, visible, prepared }
    this.compiled.set(form?.name ?? '', compiled)
    return compiled
  }

  private compilePlain(): CompiledForm {
    const query = this.call.context.dialect.sqlToQuery(userStatement(this.forms))
    return { query, visible: query.sql }
  }

  /** `also` tells texts of one form apart. */
  private prepare(session: Session, query: Query, form: WritePlan | undefined, also = ''): PreparedQuery {
    const { name, metadata, fields, native } = this.call
    const ownName = (form || also) && name !== undefined ? nameOf(name, `${form?.name ?? ''}${also}`) : name
    return form && this.forms.fields
      ? session.prepareQuery(query, undefined, ownName, true, asTheyAre, metadata)
      : session.prepareQuery(query, fields, ownName, !native, undefined, metadata)
  }

  override async execute(placeholders?: Record<string, unknown>, token: unknown = this.token): Promise<unknown> {
    const { context } = this.call
    // In a transaction nothing waits; and while facts are waited for, one may begin on a shared connection.
    if (!currentScope(context) && !context.write.facts()) await context.write.awaitFacts()
    const scope = currentScope(context)
    const isUnsure = scope?.isUnsure || context.client.namesChanged
    const intent = isUnsure ? context.write.planUnsurely(this.forms.shape) : this.intent()
    const compiled = this.compile(intent?.plan)
    const run = { intent, placeholders, token, scope }
    const row = scope || token !== undefined ? undefined : this.rowFor(intent, compiled)
    return row ? this.runBeside(row, compiled, run) : this.runCarefully(compiled, run)
  }

  /** What the hidden columns need and the statement does not (a privilege, the column itself): once as written. */
  private async runCarefully(compiled: Compiled, run: Run): Promise<unknown> {
    try {
      return await this.run(compiled, run)
    } catch (error) {
      if (!mayRunPlain(error, compiled, run.scope)) throw error
      const { intent } = run
      const plain = intent && withoutImages(intent)
      return this.run(this.compile(undefined), { ...run, intent: plain, row: undefined })
    }
  }

  /** The row of the outbox that is to commit with the statement, which is made ready for it. */
  private rowFor(intent: WriteIntent | undefined, compiled: Compiled): OutboxRow | undefined {
    const { context, native } = this.call
    // The driver's own answer with rows shows the text that ran.
    if (!intent || (native && this.forms.fields)) return undefined
    const isBeside = fitsBeside(compiled.query)
    if (!isBeside && !mayOpenTransaction(context.session, context.client)) return undefined
    const row = context.write.rowBefore(intent, this.textToJudge(compiled))
    if (!row || !isBeside) return row
    if (compiled.beside?.into !== row.into) compiled.beside = this.compileBeside(compiled, row.into)
    return compiled.beside && row
  }

  private compileBeside({ plan, query }: Compiled, into: string): Compiled['beside'] {
    const own = besideRow(query, into)
    return own && { into, query: own, prepared: this.prepare(this.call.context.session, own, plan, `row.${into}`) }
  }

  /** Where the row is what fails (its table is gone, a privilege was taken) nothing has happened: again without it. */
  private async runBeside(row: OutboxRow, compiled: Compiled, run: Run): Promise<unknown> {
    const { write } = this.call.context
    try {
      const result = await this.run(compiled, { ...run, row })
      write.kept(undefined, row)
      return result
    } catch (error) {
      if (!mayBeOfRow(error as Error & { cause?: Record<string, unknown> }, row)) throw error
      const result = await this.runCarefully(compiled, run)
      write.notKept(error)
      return result
    }
  }

  private async run(compiled: Compiled, run: Run): Promise<unknown> {
    const { plan } = compiled
    const { intent, scope, row } = run
    const { write } = this.call.context
    const planKey = intent ? undefined : write.planKey
    let outcome: CascadeOutcome
    try {
      outcome = await this.send(compiled, run)
    } catch (failure) {
      const atCommit = failure instanceof CommitFailure
      const error = atCommit ? failure.cause : failure
      write.noteError(error)
      for (const to of destinations(this.call.context, scope)) await write.failed(intent, error, to, atCommit)
      if (row) hideParams(error, compiled.query.params.length)
      const isRewritten = plan || row || intent?.cascade.length
      throw atCommit ? await this.tellFailure(error) : isRewritten ? this.retell(error) : error
    }
    const { raw } = outcome
    const touched = plan ? this.touchedBy(raw, plan) : this.counted(raw)
    // While the statement ran, a way to something cached may have come into being.
    const meant = planKey !== undefined && planKey !== write.planKey ? this.intent() : intent
    if (!meant && scope) write.doneHarmlessly(this.forms.shape, scope)
    const told = meant === intent ? intent : meant && { ...meant, plan: intent?.plan ?? noImages(meant.plan) }
    await this.report(told, touched, compiled, run, outcome.rows)
    // After the invalidation: a column's own mapping may throw, and the write has happened all the same.
    return plan ? this.resultOf(raw, plan, touched.count ?? 0) : row ? this.withoutRow(raw, touched) : raw
  }

  /** Only postgres.js shows in its answer how it was asked. */
  private withoutRow(raw: unknown, { count }: TouchedRows): unknown {
    const { kind } = this.call.context.client
    if (this.forms.fields || kind !== 'postgres-js') return raw
    const { sql, params } = this.getQuery()
    const command = commands[this.call.origin.kind]
    return restoreNative(kind, raw, { command, count: count ?? 0, withParams: params.length > 0, text: () => sql })
  }

  /** Runs the statement, with what follows it by foreign keys read before where that is certain to change nothing else. */
  private async send(compiled: Compiled, run: Run): Promise<CascadeOutcome> {
    const { intent, placeholders, token, scope, row } = run
    const { context } = this.call
    const exact = row && this.namesKeys(compiled) ? this.keepExactly(row, compiled, run) : undefined
    const beside = row && !exact ? compiled.beside : undefined
    const { prepared: own, query } = beside ?? compiled
    const values = row && beside ? { ...placeholders, ...rowValues(row) } : placeholders
    const statement = (session: Session): Promise<unknown> => {
      const prepared = session === context.session ? own : this.prepare(session, query, compiled.plan)
      prepared.joinsNotNullableMap = this.joinsNotNullableMap
      return prepared.execute(values, token)
    }
    const place = intent && intent.cascade.length > 0 ? this.placeOf(placeholders, token, scope) : undefined
    const steps = place ? (intent?.cascade ?? []) : []
    const cascade = { context, forms: this.forms, steps, placeholders, statement }
    if (exact) return runInTransaction({ ...cascade, beforeCommit: exact })
    return place ? place(cascade) : { raw: await statement(context.session), rows: undefined }
  }

  /**
   * While the store is down others read the row, and then two trips more are better than a whole table less. And where the row
   * has no room beside the statement, it gets its own.
   */
  private namesKeys({ query }: Compiled): boolean {
    const { write, session, client } = this.call.context
    return !fitsBeside(query) || (write.storeIsDown && mayOpenTransaction(session, client))
  }

  private keepExactly(row: OutboxRow, compiled: Compiled, { intent }: Run) {
    const { write } = this.call.context
    return async ({ raw, rows }: CascadeOutcome, session: Session): Promise<void> => {
      const touched = compiled.plan ? this.touchedBy(raw, compiled.plan) : this.counted(raw)
      const isBeyond = write.writesBeyond(this.textToJudge(compiled))
      const exact = isBeyond ? row : write.rowAfter(row, intent as WriteIntent, touched, rows)
      if (!exact) return
      await insertRow(session, exact).catch((error: unknown) => {
        write.notKept(error)
        throw error
      })
    }
  }

  private placeOf(placeholders: Record<string, unknown> | undefined, token: unknown, scope: Scope | undefined) {
    const { context } = this.call
    const { where } = this.statement
    if (token !== undefined || !where || valuesIn(where, placeholders).includes(unknownValue)) return undefined
    // On a pool a transaction that was begun by hand holds some connection, not surely this one.
    if (scope) return context.scope || context.client.single ? runInPlace : undefined
    return mayOpenTransaction(context.session, context.client) ? runInTransaction : undefined
  }

  private retell(error: unknown): unknown {
    return retellError(error, this.getQuery())
  }

  /** The COMMIT that failed is the statement's own: a deferred constraint, a lost connection. */
  private async tellFailure(error: unknown): Promise<unknown> {
    const { sql, params } = this.getQuery()
    return queryErrorOf(this, sql, params, error)
  }

  /** Tells what was written, all of it: where the user wants to hear of a store that cannot be reached, at the end. */
  private async report(
    intent: WriteIntent | undefined,
    touched: TouchedRows,
    compiled: Compiled,
    { scope, row }: Run,
    cascaded: CascadedRows | undefined,
  ): Promise<void> {
    const { context } = this.call
    const text = this.textToJudge(compiled)
    const isBeyond = context.write.facts() === undefined || context.write.writesBeyond(text)
    // What is told in two parts is left to others to take from the outbox: one part alone may not arrive.
    const known = isBeyond ? undefined : row
    const to = intent ? destinations(context, scope) : noDestinations
    if (intent && to.length === 1 && !isBeyond) return context.write.done(intent, touched, to[0], cascaded, known)
    const rows = to.map((each) => () => context.write.done(intent as WriteIntent, touched, each, cascaded, known))
    const beyond = isBeyond ? [() => reportBeyond(context, text, scope)] : []
    await oneAfterAnother([...rows, ...beyond])
  }

  /** Without hidden columns only the number of rows is known. */
  private counted(raw: unknown): TouchedRows {
    const { fields, native, context } = this.call
    const count = fields && !native ? (raw as unknown[]).length : touchedCount(context.client.kind, raw)
    return { images: [], count, unknownRows: false }
  }

  private touchedBy(raw: unknown, plan: WritePlan): TouchedRows {
    const { fields } = this.forms
    if (fields) {
      const rows = raw as unknown[][]
      const hidden = rows.map((row) => row.slice(fields.length))
      return touchedBy(this.forms.op, plan, hidden, rows.length)
    }
    const { kind } = this.call.context.client
    const rows = hiddenRows(kind, raw)
    const total = plan.limit === undefined ? touchedCount(kind, raw) : Number(rows[0]?.at(-1) ?? 0)
    return touchedBy(this.forms.op, plan, rows, total ?? rows.length)
  }

  /** What the plain statement would have given. */
  private resultOf(raw: unknown, plan: WritePlan, count: number): unknown {
    const { fields } = this.forms
    // Trailing values are not among the fields, so Drizzle's own mapping leaves them out.
    if (fields) return mapRows(fields, raw as unknown[][], this.joinsNotNullableMap)
    const compiled = this.compile(plan)
    return restoreNative(this.call.context.client.kind, raw, {
      command: commands[this.call.origin.kind],
      count,
      withParams: compiled.query.params.length > 0,
      text: () => (plan.form === 'locked' ? this.getQuery().sql : this.textToJudge(compiled)),
    })
  }

  /**
   * The text by which functions and data-modifying CTEs beside the statement are found: the one that ran, without what
   * only we put there. The bounded form is a data-modifying CTE itself, so there the user's own text is compiled.
   */
  private textToJudge({ plan, query, visible }: Compiled): string {
    if (visible !== undefined) return visible
    if (plan?.limit !== undefined) return this.getQuery().sql
    return plan ? withoutHidden(query.sql, this.forms, plan) : query.sql
  }

  override async all(placeholders?: Record<string, unknown>): Promise<unknown> {
    return this.execute(placeholders)
  }

  override getQuery(): Query {
    const { sql, params } = this.compile(undefined).query
    return { sql, params }
  }

  override setToken(token: unknown): this {
    this.token = token
    return this
  }

  override mapResult(response: unknown): unknown {
    return response
  }

  override isResponseInArrayMode(): boolean {
    return this.forms.fields !== undefined
  }
}

/** One name may stand for one text only, and PostgreSQL cuts names after 63 bytes. */
function nameOf(name: string, form: string): string {
  const own = `${name}:${digest(form).slice(0, 8)}`
  return Buffer.byteLength(own) <= 63 ? own : digest(own)
}

/** Does all of it, whatever fails on the way, and then rejects with the first failure. */
async function oneAfterAnother(tasks: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const task of tasks) await task().catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}

/**
 * What a rewritten statement fails with where the plain one may not, since the facts are a little older than the database: a
 * privilege is gone (42501), a hidden column (42703), or the table is no table any more (42809, 0A000). No row was touched.
 */
const ofTheForm: ReadonlySet<unknown> = new Set(['42501', '42703', '42809', '0A000'])

/** Of a rewritten autocommit statement; in a transaction the error has ended it already. */
function mayRunPlain(error: unknown, { plan }: Compiled, scope: Scope | undefined): boolean {
  return plan !== undefined && !scope && ofTheForm.has((error as { cause?: { code?: unknown } }).cause?.code)
}

/** What an insert into a table fails with that is not what the catalog said, before a row of the statement was touched. */
const refusals: ReadonlySet<unknown> = new Set(['42P01', '42501', '42703', '25006', '0A000'])

function mayBeOfRow({ cause }: { cause?: Record<string, unknown> }, { into }: OutboxRow): boolean {
  if (!cause) return false
  // A constraint of the table's own names it; postgres.js calls these fields otherwise.
  const [schema, table] = [cause.schema ?? cause.schema_name, cause.table ?? cause.table_name]
  return refusals.has(cause.code) || into === `${quote(String(schema))}.${quote(String(table))}`
}

const withoutImages = (intent: WriteIntent): WriteIntent => ({ ...intent, plan: noImages(intent.plan), cascade: [] })
const noImages = (plan: WritePlan): WritePlan => ({ ...plan, form: 'none', reason: 'no-images', name: 'none' })

function formsOf({ context, origin, fields, native }: WriteCall): WriteForms {
  const { kind: op, config, parts } = origin
  const shape = context.shape(config.table)
  return { dialect: context.dialect, op, config, parts, shape, fields: native ? config.returning : fields }
}

function statementOf({ origin, native }: WriteCall, { shape, config, fields }: WriteForms): WriteStatement {
  const where = config.where === undefined ? undefined : readCondition(config.where, shape)
  const from = config.from !== undefined || (config.joins?.length ?? 0) > 0
  const { conflict, changed, computed } = changesOf(origin, shape)
  const taken = [shape.alias, ...otherNames(config)].some((name) => name === undefined || /^(old|new)$/i.test(name))
  return {
    op: origin.kind,
    from,
    repeatable: where !== undefined && isUnderstood(where) && !from && !config.withList?.length,
    returning: fields !== undefined,
    nameable: isPlain(fields) || !taken,
    native,
    names: shape.names,
    where,
    values: origin.kind === 'insert' && !config.select ? (config.values as unknown[]).length : undefined,
    conflict,
    changed,
    computed,
  }
}

/** How an UPDATE calls the relations beside its target; undefined for one whose name is not plain to see. */
function otherNames({ from, joins }: WriteForms['config']): (string | undefined)[] {
  const joined = (joins ?? []).map((join) => (join as { alias?: string }).alias)
  return from === undefined ? joined : [is(from, Table) ? aliasOf(from) : undefined, ...joined]
}

type Changes = Pick<WriteStatement, 'changed' | 'computed' | 'conflict'>

function changesOf({ kind, config }: WriteOrigin, shape: TableShape): Changes {
  if (kind === 'update') {
    const hasOnUpdate = (column: unknown): boolean => onUpdateOf(column as Column) !== undefined
    const changed = changedColumns(shape, config.set ?? {}, hasOnUpdate)
    return { conflict: 'none', changed, computed: computedColumns(shape, config.set ?? {}, hasOnUpdate) }
  }
  const computed = new Set<string>()
  if (kind === 'delete' || !config.onConflict) return { conflict: 'none', changed: new Set(), computed }
  const set = taggedSet(config.onConflict)
  if (set) return { conflict: 'update', changed: set, computed }
  const last = textOf(chunksOf(config.onConflict)?.at(-1))
  return last?.endsWith('do nothing')
    ? { conflict: 'nothing', changed: new Set(), computed }
    : { conflict: 'update', changed: 'all', computed }
}

const changedBySet = Symbol('drizzle-aside.changed-columns')

/** Remembers on a SET list which columns it changes: an upsert's builder keeps nothing else of it. */
export function tagSet(set: SQL, changed: ReadonlySet<string>): SQL {
  ;(set as SQL & { [changedBySet]?: ReadonlySet<string> })[changedBySet] = changed
  return set
}

function taggedSet(conflict: SQL): ReadonlySet<string> | undefined {
  for (const chunk of chunksOf(conflict) ?? []) {
    const changed = is(chunk, SQL) && (chunk as SQL & { [changedBySet]?: ReadonlySet<string> })[changedBySet]
    if (changed) return changed
  }
  return undefined
}

/** Hidden columns, row by row, as images. */
function touchedBy(op: WriteForms['op'], plan: WritePlan, rows: readonly unknown[][], count: number): TouchedRows {
  const images = rows.map((row) => imagesOf(op, plan, row))
  const known = images.filter((image) => image !== undefined)
  return { images: known, count, unknownRows: known.length < images.length }
}

/** The new columns stand first; undefined for an upserted row whose old image could not be had. */
function imagesOf(
  op: WriteForms['op'],
  { form, columns, key, moves }: WritePlan,
  row: unknown[],
): RowImages | undefined {
  const width = columns.length
  const first = row.slice(0, width) as (string | null)[]
  if (form === 'old-new' || form === 'locked') {
    const before = row.slice(width, 2 * width) as (string | null)[]
    // An upsert that inserted has no old row: its key is NULL, which no key of a row is.
    const existed = key.every((column) => before[columns.indexOf(column)] !== null)
    return { before: existed ? before : undefined, after: first }
  }
  if (form === 'upsert' && row[width] !== 'true') return moves ? undefined : { before: first, after: first }
  if (op === 'delete') return { before: first, after: undefined }
  return { before: op === 'update' ? first : undefined, after: first }
}

/** After a statement that ran: what its data-modifying CTEs and unknown functions may have written. */
async function reportBeyond(context: StatementContext, text: string, scope: Scope | undefined): Promise<void> {
  const { write, call } = context
  for (const to of destinations(context, scope)) await write.ran(text, to, call.writes)
}

/** What the write path would do with a statement, without running it. */
export function statementPlan(
  context: StatementContext,
  origin: WriteOrigin,
): { intent: WriteIntent | undefined; statement: WriteStatement } {
  const call = { context, origin, fields: origin.config.returning, name: undefined, metadata: undefined, native: false }
  const forms = formsOf(call)
  const statement = statementOf(call, forms)
  return { intent: context.write.plan(forms.shape, statement), statement }
}
