import { PgPreparedQuery } from 'drizzle-orm/pg-core'
import { stillDown } from '../model/outage.ts'
import type { Term } from '../model/query-shape.ts'
import type { BypassReason } from '../model/reasons.ts'
import type { LoadRows, ResultAnswer, ResultQuestion, ResultRows } from '../model/result.ts'
import type { ResultPlan } from '../model/result-plan.ts'
import type { LastKnownPort } from '../ports/last-known.ts'
import {
  Column,
  type Field,
  is,
  type PreparedQuery,
  type Query,
  type ResultMapper,
  retellError,
  type Session,
  Subquery,
} from './internals.ts'
import { byLastKnown, type LastAnswer, orLastKnown } from './last-known-answer.ts'
import type { LazyQuery } from './lazy-sql.ts'
import { mapRows } from './map-rows.ts'
import { replicaReason } from './replica-fills.ts'
import { fellIntoTransaction, type StatementContext, sessionGate } from './statement-context.ts'

/** A select as the read path understands it. */
export interface ResultStatement {
  readonly question: ResultQuestion
  /** Driver values of the parameters, in the order of the structure; or why they cannot be told. */
  values(given: Record<string, unknown> | undefined): readonly unknown[] | BypassReason
  /** False where a builder inside the statement was changed since it was read: then its answer is another question's. */
  isUnchanged(given: Record<string, unknown> | undefined, params: readonly unknown[]): boolean
  /** The statement with columns of its tables behind its own; undefined where they cannot be added. */
  withColumns(adds: readonly Term[]): Query | undefined
}

/** Everything about one select whose whole answer may be kept. */
export interface ResultRead {
  readonly context: StatementContext
  /** Reads the statement; a reason where it cannot be told from others. Called once, when nothing else refuses. */
  readStatement(): ResultStatement | BypassReason
  readonly query: LazyQuery
  readonly fields: readonly Field[] | undefined
  readonly mapper: ResultMapper | undefined
  readonly name: string | undefined
  readonly metadata: unknown
  readonly ttlMs: number | undefined
  readonly tags: readonly string[]
  /** Makes the prepared query for the statement as written. */
  prepare(): PreparedQuery
}

// postgres.js answers with an array class of its own, which carries more than rows and is therefore never encoded.
const asTheyAre = (rows: unknown[][]): unknown =>
  Object.getPrototypeOf(rows) === Array.prototype ? rows : Array.from(rows)

/** A prepared select of any kind. On a hit nothing is built or compiled; else the statement runs as it was written. */
export class PreparedResult extends (PgPreparedQuery as unknown as new (query: Query) => PreparedQuery) {
  // TypeScript's `private`, as in PreparedRead: `#` members cost a hit more than the rest of it.
  private readonly read: ResultRead
  private made: PreparedQuery | undefined = undefined
  private statement: ResultStatement | BypassReason | undefined = undefined
  private token: unknown = undefined

  constructor(read: ResultRead) {
    super(read.query)
    this.read = read
  }

  /** The statement as written, prepared by the driver. */
  get plain(): PreparedQuery {
    this.made ??= this.read.prepare()
    return this.made
  }

  override async execute(placeholders?: Record<string, unknown>, token: unknown = this.token): Promise<unknown> {
    const { context, ttlMs, tags } = this.read
    const gate = sessionGate(context, token)
    if (gate) return this.runPlain(gate, placeholders, token)
    this.statement ??= this.read.readStatement()
    const { statement } = this
    if (typeof statement === 'string') return this.runPlain(statement, placeholders, token)
    const plan = context.results.plan(statement.question)
    if (typeof plan === 'string') return this.runPlain(plan, placeholders, token)
    const params = statement.values(placeholders)
    if (isReason(params)) return this.runPlain(params, placeholders, token)
    const lookup = context.results.lookup(plan, { params, ttlMs, tags })
    if (typeof lookup === 'string') return this.runPlain(lookup, placeholders, token)
    const load = this.loader(statement, plan, params, placeholders, token)
    let answer: ResultAnswer
    try {
      answer = await context.results.read(lookup, load)
    } catch (error) {
      const known = context.lastKnown?.failed(error) ? await this.lastKnown(placeholders, token) : undefined
      if (known) return known.result
      // Others were not answered: the error of this statement is its own.
      if (error === stillDown) return this.askDatabase('database-down', placeholders, token)
      answer = bypassOf(error)
    }
    if ('bypass' in answer) return this.runPlain(answer.bypass, placeholders, token)
    return this.map(answer.rows)
  }

  /** Not from the cache; where the database is down, what was known of the answer. */
  runPlain(reason: BypassReason, placeholders: Record<string, unknown> | undefined, token: unknown): Promise<unknown> {
    const { lastKnown } = this.read.context
    if (!lastKnown) return this.askDatabase(reason, placeholders, token)
    return orLastKnown(
      lastKnown,
      () => this.askDatabase(reason, placeholders, token),
      () => this.lastKnown(placeholders, token),
    )
  }

  /** What is known of the whole answer, as it would be looked up if the facts were fresh; undefined: nothing that may be served. */
  async lastKnown(placeholders: Record<string, unknown> | undefined, token: unknown): Promise<LastAnswer | undefined> {
    const { ttlMs, tags } = this.read
    const context = byLastKnown(this.read.context, this.read.context.lastKnown as LastKnownPort)
    if (sessionGate(context, token)) return undefined
    this.statement ??= this.read.readStatement()
    const { statement } = this
    if (typeof statement === 'string') return undefined
    const plan = context.results.plan(statement.question)
    if (typeof plan === 'string') return undefined
    const params = statement.values(placeholders)
    if (isReason(params)) return undefined
    const lookup = context.results.lookup(plan, { params, ttlMs, tags })
    if (typeof lookup === 'string') return undefined
    const answer = await context.results.read(lookup, asksNobody)
    return 'bypass' in answer ? undefined : { result: this.map(answer.rows) }
  }

  askDatabase(
    reason: BypassReason,
    placeholders: Record<string, unknown> | undefined,
    token: unknown,
  ): Promise<unknown> {
    this.read.context.read.bypassed(undefined, reason)
    const { plain } = this
    plain.joinsNotNullableMap = this.joinsNotNullableMap
    return plain.execute(placeholders, token)
  }

  private loader(
    statement: ResultStatement,
    plan: ResultPlan,
    params: readonly unknown[],
    placeholders: Record<string, unknown> | undefined,
    token: unknown,
  ): LoadRows {
    const { context } = this.read
    const { client, write, fills, session } = context
    const { begun } = client
    const elsewhere = fills?.begin()
    const load = (over: Session): Promise<ResultRows> => this.load(statement, plan, placeholders, token, over)
    return async (how) => {
      if (how === 'in-background' && client.begun !== begun) throw fellIntoTransaction
      try {
        const rows = await (elsewhere ? elsewhere(load) : load(session))
        context.lastKnown?.answered()
        // On one connection for everybody the query may have fallen into a transaction begun since the gate was asked.
        return { rows, keep: client.begun === begun && statement.isUnchanged(placeholders, params) }
      } catch (error) {
        write.noteError(error)
        throw error
      }
    }
  }

  private async load(
    statement: ResultStatement,
    plan: ResultPlan,
    placeholders: Record<string, unknown> | undefined,
    token: unknown,
    session: Session,
  ): Promise<ResultRows> {
    const { query } = this.read
    const wider = plan.adds.length > 0 ? statement.withColumns(plan.adds) : undefined
    const run = (text: Query, name: string | undefined) => this.raw(session, text, name).execute(placeholders, token)
    if (wider) {
      try {
        return (await run(wider, undefined)) as ResultRows
      } catch (error) {
        // A privilege that the key columns need and the user's do not: as written, without the partners' keys.
        if (!lacksPrivilege(error)) throw retellError(error, query.compiled)
      }
    }
    return (await run(query.compiled, this.read.name)) as ResultRows
  }

  private raw(session: Session, query: Query, name: string | undefined): PreparedQuery {
    return session.prepareQuery(query, undefined, name, true, asTheyAre, this.read.metadata)
  }

  private map(rows: ResultRows): unknown {
    const { fields, mapper, query } = this.read
    if (mapper) return mapper(rows as unknown[][])
    const flat = fields as readonly Field[]
    // The decoder of a sub-query that stands as a field is set while the statement is built.
    if (flat.some(({ field }) => !(field instanceof Column) && is(field, Subquery))) void query.compiled
    return mapRows(flat, rows as unknown[][], this.joinsNotNullableMap)
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

const asksNobody: LoadRows = () => Promise.reject(new Error('What is known is read from the store alone.'))

function bypassOf(error: unknown): { readonly bypass: BypassReason } {
  const bypass = replicaReason(error)
  if (bypass) return { bypass }
  throw error
}

const lacksPrivilege = (error: unknown): boolean => (error as { cause?: { code?: unknown } }).cause?.code === '42501'

export const isReason = (params: readonly unknown[] | BypassReason): params is BypassReason =>
  typeof params === 'string'
