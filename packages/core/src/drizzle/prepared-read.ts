import { PgPreparedQuery } from 'drizzle-orm/pg-core'
import type { BypassReason } from '../model/reasons.ts'
import type { LoadRecords, Lookup, LookupAnswer, LookupKey, RecordRow, RecordSource } from '../model/record.ts'
import type { LastKnownPort } from '../ports/last-known.ts'
import type { MatchedKeys } from '../ports/paths.ts'
import { decode, type Field, type PreparedQuery, type Query, type ResultMapper } from './internals.ts'
import { byLastKnown, type LastAnswer, orLastKnown } from './last-known-answer.ts'
import type { LazyQuery } from './lazy-sql.ts'
import { loadRecords } from './load-records.ts'
import { mapRows } from './map-rows.ts'
import { PreparedResult } from './prepared-result.ts'
import { everyColumn, type RecordQuestion } from './record-question.ts'
import { replicaReason } from './replica-fills.ts'
import { sortRows } from './sort-rows.ts'
import { fellIntoTransaction, type StatementContext, sessionGate } from './statement-context.ts'
import type { TableShape } from './table-shape.ts'

/** Everything about one select that may be answered by records. */
export interface RecordRead {
  readonly context: StatementContext
  readonly question: RecordQuestion
  readonly query: LazyQuery
  readonly fields: readonly Field[] | undefined
  readonly mapper: ResultMapper | undefined
  readonly ttlMs: number | undefined
  /** Makes the driver's own prepared query for the statement as written. */
  prepare(): PreparedQuery
}

/** What a read came to: its result, or why the statement itself must run. */
type Answer = { readonly result: unknown } | { readonly bypass: BypassReason }

/**
 * A prepared select by key. On a hit nothing is built, compiled or prepared; whenever the records cannot answer, the
 * statement runs as the user wrote it.
 */
export class PreparedRead
  extends (PgPreparedQuery as unknown as new (query: Query) => PreparedQuery)
  implements AnswersRead
{
  // TypeScript's `private`: setting up `#` members anew for every query costs a hit twice what the rest of it does.
  private readonly read: RecordRead
  private made: PreparedQuery | undefined = undefined
  private token: unknown = undefined

  constructor(read: RecordRead) {
    super(read.query)
    this.read = read
  }

  /** The statement as written, prepared by the driver. */
  get plain(): PreparedQuery {
    this.made ??= this.read.prepare()
    return this.made
  }

  override execute(placeholders?: Record<string, unknown>, token: unknown = this.token): Promise<unknown> {
    let plan: PlannedRead | BypassReason
    try {
      plan = planRead(this.read, placeholders, token)
    } catch (error) {
      return Promise.reject(error)
    }
    if (typeof plan === 'string') return this.runPlain(plan, placeholders, token)
    return answerByRecords(this, plan, placeholders, token)
  }

  get context(): StatementContext {
    return this.read.context
  }

  get question(): RecordQuestion {
    return this.read.question
  }

  runPlain(reason: BypassReason, placeholders: Record<string, unknown> | undefined, token: unknown): Promise<unknown> {
    const { plain } = this
    plain.joinsNotNullableMap = this.joinsNotNullableMap
    if (reason === 'too-many-keys') this.read.context.read.listTooLong()
    // What rows of one key cannot answer, the whole answer may; what nothing may be served for, neither.
    if (plain instanceof PreparedResult && isAboutRows(reason)) return plain.execute(placeholders, token)
    const { lastKnown } = this.read.context
    const ask = () => this.askDatabase(reason, placeholders, token)
    // They were looked for when the rows could not be had.
    if (!lastKnown || reason === 'database-down') return ask()
    return orLastKnown(lastKnown, ask, () => this.lastKnown(placeholders, token))
  }

  private askDatabase(
    reason: BypassReason,
    placeholders: Record<string, unknown> | undefined,
    token: unknown,
  ): Promise<unknown> {
    const { plain } = this
    if (plain instanceof PreparedResult) return plain.askDatabase(reason, placeholders, token)
    this.read.context.read.bypassed(this.read.question.shape.name, reason)
    return plain.execute(placeholders, token)
  }

  private lastKnown(
    placeholders: Record<string, unknown> | undefined,
    token: unknown,
  ): Promise<LastAnswer | undefined> {
    const { plain } = this
    const whole = plain instanceof PreparedResult ? () => plain.lastKnown(placeholders, token) : nothingKnown
    return lastRows(this, whole, placeholders, token)
  }

  map(source: RecordSource, rows: readonly (readonly unknown[])[]): unknown {
    const { question, fields, mapper } = this.read
    const whole = question.picks === everyColumn(question.shape) && source.columns.length === question.picks.length
    const picked = whole ? rows : rows.map((row) => question.picks.map((at) => row[source.slots[at] as number]))
    if (mapper) return mapper(picked as unknown[][])
    const flat = fields as readonly Field[]
    if (whole) return picked.map((row) => mapWhole(question.shape, row))
    return mapRows(flat, picked, this.joinsNotNullableMap)
  }

  override all(placeholders?: Record<string, unknown>): Promise<unknown> {
    return this.plain.all(placeholders)
  }

  override getQuery(): Query {
    const { sql, params } = this.read.query
    return { sql, params }
  }

  override setToken(token: unknown): this {
    this.token = token
    return this
  }

  override mapResult(response: unknown, isFromBatch?: boolean): unknown {
    return this.plain.mapResult(response, isFromBatch)
  }

  override isResponseInArrayMode(): boolean {
    return true
  }
}

const aboutRows: ReadonlySet<BypassReason> = new Set<BypassReason>([
  'not-a-record',
  'not-a-proven-key',
  'no-primary-key',
  'value-without-token',
  'too-many-keys',
  'sensitive-column',
  'records-lost',
  'load-failed',
])
/** True for what says only that rows of one key are no answer. */
export const isAboutRows = (reason: BypassReason): boolean => aboutRows.has(reason)

/** A read that records may answer: what it asks, and who makes its result. */
export interface AnswersRead {
  readonly context: StatementContext
  readonly question: RecordQuestion
  map(source: RecordSource, rows: readonly (readonly unknown[])[]): unknown
  /** Runs the statement as the user wrote it. */
  runPlain(reason: BypassReason, placeholders: Record<string, unknown> | undefined, token: unknown): Promise<unknown>
}

/** Runs a planned read; the statement itself runs where the records turn out not to answer. */
export async function answerByRecords(
  by: AnswersRead,
  plan: PlannedRead,
  placeholders: Record<string, unknown> | undefined,
  token: unknown,
): Promise<unknown> {
  const { context } = by
  const { lookup, match } = plan
  const { source } = lookup
  let found: LookupAnswer
  try {
    found = await context.read.read(lookup, loader(by, plan))
  } catch (error) {
    if (!context.lastKnown?.failed(error)) return by.runPlain(hearFailure(context, source, error), placeholders, token)
    const known = await lastRows(by, nothingKnown, placeholders, token)
    return known ? known.result : by.runPlain('database-down', placeholders, token)
  }
  const answer = 'bypass' in found ? found : finish(by, source, match, found.rows)
  if ('result' in answer) return answer.result
  if (answer.bypass === 'records-lost') context.read.loseRecords(source, 'duplicate-key')
  return by.runPlain(answer.bypass, placeholders, token)
}

const nothingKnown = (): Promise<undefined> => Promise.resolve(undefined)

/** What is known of the rows; of the whole answer, where rows by key are none. */
async function lastRows(
  by: AnswersRead,
  whole: () => Promise<LastAnswer | undefined>,
  placeholders: Record<string, unknown> | undefined,
  token: unknown,
): Promise<LastAnswer | undefined> {
  const context = byLastKnown(by.context, by.context.lastKnown as LastKnownPort)
  const plan = planRead({ context, question: by.question, ttlMs: undefined }, placeholders, token)
  if (typeof plan === 'string') return isAboutRows(plan) ? whole() : undefined
  const found = await context.read.read(plan.lookup, asksNobody)
  if ('bypass' in found) return undefined
  const answer = finish(by, plan.lookup.source, plan.match, found.rows)
  return 'result' in answer ? answer : undefined
}

const asksNobody: LoadRecords = () => Promise.reject(new Error('What is known is read from the store alone.'))

function loader({ context, question }: AnswersRead, plan: PlannedRead): LoadRecords {
  const { source, scheme } = plan.lookup
  const { begun } = context.client
  const elsewhere = context.fills?.begin()
  const load = (missing: readonly LookupKey[], by: StatementContext) =>
    loadRecords(by, question.shape, source, scheme, missing)
  return async (missing) => {
    // It may have waited for its turn; and a fill in the background has no business in somebody's transaction.
    if (context.client.begun !== begun) throw fellIntoTransaction
    const loading = elsewhere ? elsewhere((session) => load(missing, { ...context, session })) : load(missing, context)
    const rows = await loading.catch((error) => {
      context.write.noteError(error)
      throw error
    })
    context.lastKnown?.answered()
    // On one connection for everybody the query may have fallen into a transaction begun since the gate was asked.
    if (context.client.begun !== begun) throw fellIntoTransaction
    return rows
  }
}

/** The statement as written decides: it answers, or fails with the error that the user would have seen. */
function hearFailure(context: StatementContext, source: RecordSource, error: unknown): BypassReason {
  if (error === fellIntoTransaction) return 'in-transaction'
  const reason = replicaReason(error)
  if (reason) return reason
  noteFailure(context, source, error)
  return 'load-failed'
}

function finish(by: AnswersRead, source: RecordSource, match: MatchedKeys, found: readonly RecordRow[]): Answer {
  let rows = found.filter((row) => row !== null)
  const { accepts } = match
  const { order } = by.question
  try {
    if (accepts) rows = rows.filter((row) => accepts((at) => row[source.slots[at] as number]))
    if (order?.length && rows.length > 1) rows = sortRows(rows, order, source)
  } catch (error) {
    if (typeof error === 'symbol') return { bypass: 'value-without-token' }
    throw error
  }
  return { result: by.map(source, rows) }
}

/** What Drizzle's own mapping does for a bare `select()`, without its bookkeeping for joins. */
export function mapWhole({ columns }: TableShape, row: readonly unknown[]): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (let at = 0; at < columns.length; at++) {
    const { key, column } = columns[at] as (typeof columns)[number]
    const value = row[at]
    result[key] = value === null ? null : decode(column, value)
  }
  return result
}

/** What to look up, and what of it the question takes. */
export interface PlannedRead {
  readonly lookup: Lookup
  readonly match: MatchedKeys
}

/** Decides whether records may answer this execution, and which; pure but for the gates it asks. */
export function planRead(
  { context, question, ttlMs }: Pick<RecordRead, 'context' | 'question' | 'ttlMs'>,
  placeholders: Record<string, unknown> | undefined,
  token: unknown,
): PlannedRead | BypassReason {
  const gate = sessionGate(context, token)
  if (gate) return gate
  const source = context.read.source(question.shape, question.shape.names)
  if (typeof source === 'string') return source
  if (source.columns.length !== question.shape.columns.length && lacksColumn(question, source))
    return 'sensitive-column'
  const match = context.read.match(question.condition, source, placeholders)
  if (typeof match === 'string') return match
  const refusal = refuseList(match, question, source)
  if (refusal) return refusal
  const scope = context.read.scope(source)
  if (scope === undefined) return 'no-scope'
  const { scheme, kind, keys } = match
  return { lookup: { source, scheme, kind, keys, scope, ttlMs: ttlMs ?? source.settings.ttlMs }, match }
}

const lacksColumn = ({ picks }: RecordQuestion, { slots }: RecordSource): boolean =>
  picks.some((at) => (slots[at] as number) < 0)

/** A list has an order and a length only where we can reproduce them. */
function refuseList(
  { kind }: MatchedKeys,
  { limited, order }: RecordQuestion,
  source: RecordSource,
): BypassReason | undefined {
  if (kind !== 'in-list') return undefined
  if (limited || !source.settings.compose) return 'not-a-record'
  const sortable = order?.every(({ column }) => {
    const token = source.kinds[column]
    return (source.slots[column] as number) >= 0 && (token === 'int' || token === 'uuid')
  })
  return sortable ? undefined : 'not-a-record'
}

/** Where the record's wider column list is the likely reason of a failure, the table has no records from now on. */
function noteFailure({ read }: StatementContext, source: RecordSource, error: unknown): void {
  const code = (error as { cause?: { code?: unknown } }).cause?.code
  if (code === '42501') read.loseRecords(source, 'privilege')
  if (code === '42703') read.loseRecords(source, 'missing-column')
}
