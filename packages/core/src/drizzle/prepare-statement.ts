import type { BypassReason } from '../model/reasons.ts'
import { type Field, type PreparedQuery, type Query, type ResultMapper, type Session, Table } from './internals.ts'
import { type LazyQuery, lazyQueryOf, type Origin } from './lazy-sql.ts'
import { PreparedRaw, type SessionEffect } from './prepared-raw.ts'
import { PreparedRead, type RecordRead } from './prepared-read.ts'
import { PreparedResult, type ResultRead, type ResultStatement } from './prepared-result.ts'
import { PreparedWrite } from './prepared-write.ts'
import { queryOptions } from './query-options.ts'
import { questionOfSelect, type RecordQuestion } from './record-question.ts'
import { readStatement } from './result-statement.ts'
import { currentScope, isOurs, type StatementContext, sessionGate } from './statement-context.ts'
import type { TableShape } from './table-shape.ts'

type Prepare = Session['prepareQuery']
type WriteOrigin = Extract<Origin, { parts: unknown }>
type ReadOrigin = Exclude<Origin, WriteOrigin>

/** How a session prepares statements: each by what it is, and by what the facts are now. */
export function createPrepare(context: StatementContext, effectOf: (text: string) => SessionEffect): Prepare {
  return (query, fields, name, arrayMode, mapper, metadata, cacheConfig) =>
    new Preparation(context, effectOf, query, fields, name, arrayMode, mapper, metadata, cacheConfig).prepare()
}

/**
 * One call of `prepareQuery`. What it makes comes back to it: for the statement as written where the cache has no answer, and
 * for another form once the facts have changed. These ways are methods: a closure for each would be made with every
 * statement, and V8 carries what closures hold into old space (seen with --trace-gc).
 */
class Preparation {
  /** The statement while only a builder knows it; undefined where it came as text. */
  readonly lazy: LazyQuery | undefined
  readonly origin: Origin | undefined
  /** The facts, and what writes are planned by, when the driver's query was prepared to pass through. */
  facts: unknown = undefined
  planKey: string | undefined = undefined
  /** The driver's own `execute`, where one of ours stands in its place. */
  run: PreparedQuery['execute'] | undefined = undefined

  constructor(
    readonly context: StatementContext,
    private readonly effectOf: (text: string) => SessionEffect,
    private readonly given: Query,
    readonly fields: readonly Field[] | undefined,
    readonly name: string | undefined,
    private readonly arrayMode: boolean,
    readonly mapper: ResultMapper | undefined,
    readonly metadata: unknown,
    private readonly cacheConfig: unknown,
  ) {
    this.lazy = lazyQueryOf(given)
    this.origin = this.lazy?.origin
  }

  prepare(): PreparedQuery {
    const { context, lazy, origin } = this
    if (context.write.idle) return heed(this.#drivers(), this, executeUnheeded)
    if (origin && 'parts' in origin) return this.#prepareWrite(origin)
    const read = lazy && origin && this.arrayMode ? this.#prepareRead(lazy, origin) : undefined
    return read ?? this.prepareAsWritten()
  }

  /** What is prepared without a name runs at once, under the facts of now. */
  get once(): boolean {
    return this.name === undefined
  }

  get compiled(): Query {
    return this.lazy?.compiled ?? this.given
  }

  #drivers(): PreparedQuery {
    const { context, fields, name, arrayMode, mapper, metadata, cacheConfig } = this
    return context.session.prepareQuery(this.compiled, fields, name, arrayMode, mapper, metadata, cacheConfig)
  }

  // —— what the cache does not answer ——

  /** A select, or a text, that runs as it was written: judged by that text, unless it is known to write nothing. */
  prepareAsWritten(): PreparedQuery {
    const { context, origin } = this
    if (!this.once || !origin || !context.write.isQuiet(this.compiled.sql)) return this.#prepareJudged()
    this.facts = context.write.facts()
    return heed(this.#drivers(), this, executeListening)
  }

  #prepareJudged(): PreparedQuery {
    const { context, origin, compiled, effectOf } = this
    return new PreparedRaw({ context, plain: this.#drivers(), query: compiled, built: origin !== undefined, effectOf })
  }

  /** The form that looks at everything anew when it runs. */
  prepareCarefully(): PreparedQuery {
    const { origin } = this
    return origin && 'parts' in origin ? this.#prepareReported(origin) : this.#prepareJudged()
  }

  // —— writes ——

  /** Of a write that a builder made. */
  get writtenTable(): TableShape {
    return this.context.shape((this.origin as WriteOrigin).config.table)
  }

  #prepareWrite(origin: WriteOrigin): PreparedQuery {
    if (!this.once || !this.#passesThrough(origin)) return this.#prepareReported(origin)
    const { write } = this.context
    this.facts = write.facts()
    this.planKey = write.planKey
    return heed(this.#drivers(), this, executeNoticing)
  }

  /** True when a write, as the facts are now, can change nothing that is cached, and says nothing else. */
  #passesThrough({ config }: WriteOrigin): boolean {
    const { context, lazy } = this
    if (
      !lazy ||
      currentScope(context) ||
      context.client.namesChanged ||
      !context.write.reachesNothing(context.shape(config.table))
    )
      return false
    return !context.write.writesBeyond(lazy.sql)
  }

  #prepareReported(origin: WriteOrigin): PreparedQuery {
    const { context, fields, name, metadata, given } = this
    return new PreparedWrite({ context, origin, fields, name, metadata, native: !this.arrayMode }, given)
  }

  // —— reads ——

  /** By rows of one table where a key fixes them; else by the whole answer. Undefined: it is none for the cache. */
  #prepareRead(lazy: LazyQuery, origin: ReadOrigin): PreparedQuery | undefined {
    const read = this.#isRefused(origin) ? undefined : this.#prepareCached(lazy, origin)
    // As plain Drizzle: what is wrong with a named statement is thrown while it is prepared.
    if (!this.once) void lazy.compiled
    return read
  }

  /** What runs at once and is refused whatever it asks for is not looked at any further. */
  #isRefused(origin: ReadOrigin): boolean {
    const { context } = this
    if (!this.once) return false
    const untracked = untrackedTable(context, origin)
    // Where a last known answer may stand in, it has to be known what was asked.
    const refusal = untracked ? 'untracked-table' : context.lastKnown ? undefined : sessionGate(context, undefined)
    if (!refusal) return false
    const table = untracked ?? (origin.config.table instanceof Table ? context.shape(origin.config.table) : undefined)
    context.read.bypassed(table?.name, refusal)
    return true
  }

  #prepareCached(lazy: LazyQuery, origin: ReadOrigin): PreparedQuery | undefined {
    const { context, fields, cacheConfig } = this
    const { off, ttlMs, tags } = queryOptions(cacheConfig, context)
    const question = questionOf(context, origin, fields)
    const shape = typeof question === 'string' ? undefined : question.shape
    if (off) return refused(context, shape, 'cache-false')
    if (question === 'locking') return refused(context, undefined, question)
    const whole = new WholeRead(this, lazy, origin, ttlMs, tags)
    // A tag is one more stamp of an answer; rows have none, for they serve those who ask without it, too.
    if (typeof question === 'string' || tags.length > 0) return new PreparedResult(whole)
    return new PreparedRead(new RowsRead(whole, question))
  }
}

/** A select whose whole answer may be kept. */
class WholeRead implements ResultRead {
  readonly context: StatementContext
  readonly fields: readonly Field[] | undefined
  readonly mapper: ResultMapper | undefined
  readonly name: string | undefined
  readonly metadata: unknown

  constructor(
    private readonly preparation: Preparation,
    readonly query: LazyQuery,
    private readonly origin: ReadOrigin,
    readonly ttlMs: number | undefined,
    readonly tags: readonly string[],
  ) {
    this.context = preparation.context
    this.fields = preparation.fields
    this.mapper = preparation.mapper
    this.name = preparation.name
    this.metadata = preparation.metadata
  }

  readStatement(): ResultStatement | BypassReason {
    return readStatement(this.context, this.origin, this.query)
  }

  prepare(): PreparedQuery {
    return this.preparation.prepareAsWritten()
  }
}

/** A select that rows of one table may answer, and if not they, its whole answer. */
class RowsRead implements RecordRead {
  readonly context: StatementContext
  readonly query: LazyQuery
  readonly fields: readonly Field[] | undefined
  readonly mapper: ResultMapper | undefined
  readonly ttlMs: number | undefined

  constructor(
    private readonly whole: WholeRead,
    readonly question: RecordQuestion,
  ) {
    this.context = whole.context
    this.query = whole.query
    this.fields = whole.fields
    this.mapper = whole.mapper
    this.ttlMs = whole.ttlMs
  }

  prepare(): PreparedQuery {
    return new PreparedResult(this.whole)
  }
}

function refused(context: StatementContext, shape: TableShape | undefined, reason: BypassReason): undefined {
  context.read.bypassed(shape?.name, reason)
}

/** A table of the FROM clause that is not cached: then nothing has to be read to know that the answer is not, either. */
function untrackedTable(context: StatementContext, { config }: ReadOrigin): TableShape | undefined {
  const untracked = untrackedSource(context, config.table)
  if (untracked || !('joins' in config) || !config.joins) return untracked
  for (const join of config.joins) {
    const joined = untrackedSource(context, (join as { table: unknown }).table)
    if (joined) return joined
  }
  return undefined
}

function untrackedSource(context: StatementContext, source: unknown): TableShape | undefined {
  if (!(source instanceof Table)) return undefined
  const shape = context.shape(source)
  return context.read.isUntracked(shape, shape.names) ? shape : undefined
}

function questionOf(
  context: StatementContext,
  origin: ReadOrigin,
  fields: readonly Field[] | undefined,
): RecordQuestion | BypassReason {
  if (origin.kind === 'relational') return origin.question
  if (!fields) return 'not-a-record'
  return questionOfSelect(origin.config, fields, (table) => context.shape(table))
}

// —— the driver's own query, heeded ——

/** Where the driver's own query keeps how it was prepared; the functions that run it are shared by all. */
const prepared = Symbol('drizzle-aside.preparation')
type Heeded = PreparedQuery & { [prepared]: Preparation }
type Execute = (this: Heeded, placeholders?: Record<string, unknown>, token?: unknown) => Promise<unknown>

function heed(plain: PreparedQuery, preparation: Preparation, execute: Execute): PreparedQuery {
  const query = plain as Heeded
  preparation.run = plain.execute
  query[prepared] = preparation
  query.execute = execute
  return query
}

/** The query that replaces one which is kept and run again under other facts. */
function inPlaceOf(plain: PreparedQuery, other: PreparedQuery): PreparedQuery {
  other.joinsNotNullableMap = plain.joinsNotNullableMap
  return other
}

/** Its failures are heard, for they may say that the catalog has changed. */
async function executeListening(this: Heeded, ...[placeholders, token]: Parameters<Execute>): Promise<unknown> {
  const preparation = this[prepared]
  const { write } = preparation.context
  if (write.facts() !== preparation.facts) {
    return inPlaceOf(this, preparation.prepareCarefully()).execute(placeholders, token)
  }
  try {
    return await (preparation.run as PreparedQuery['execute']).call(this, placeholders, token)
  } catch (error) {
    write.noteError(error)
    throw error
  }
}

/**
 * A write that reaches nothing cached, heard as above. Should somebody have begun to cache its table by its end, they have to
 * know.
 */
async function executeNoticing(this: Heeded, ...[placeholders, token]: Parameters<Execute>): Promise<unknown> {
  const preparation = this[prepared]
  const { write } = preparation.context
  if (write.facts() !== preparation.facts) {
    return inPlaceOf(this, preparation.prepareCarefully()).execute(placeholders, token)
  }
  let result: unknown
  try {
    result = await (preparation.run as PreparedQuery['execute']).call(this, placeholders, token)
  } catch (error) {
    write.noteError(error)
    await write.failedUnnoticed(preparation.writtenTable, error)
    throw error
  }
  if (!write.reachesNothingSince(preparation.planKey)) await write.doneUnnoticed(preparation.writtenTable)
  return result
}

/** A statement while nobody caches anything; what a transaction ran is remembered, for that may change before its end. */
async function executeUnheeded(this: Heeded, ...[placeholders, token]: Parameters<Execute>): Promise<unknown> {
  const preparation = this[prepared]
  const { context } = preparation
  const { write } = context
  if (!write.idle) return inPlaceOf(this, preparation.prepare()).execute(placeholders, token)
  const scope = currentScope(context)
  const { sql } = preparation.compiled
  try {
    const result = await (preparation.run as PreparedQuery['execute']).call(this, placeholders, token)
    if (scope || !write.idle) await write.ran(sql, scope, undefined)
    return result
  } catch (error) {
    if (!write.idle && !isOurs(error)) await write.failed(undefined, error, scope)
    throw error
  }
}
