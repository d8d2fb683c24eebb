import { sql } from 'drizzle-orm'
import type { BypassReason } from '../model/reasons.ts'
import type { Scope } from '../ports/paths.ts'
import type { ClientState } from './client-state.ts'
import {
  type Column,
  type Database,
  type Dialect,
  type Field,
  onUpdateOf,
  type PreparedQuery,
  type Query,
  type RelationalConfig,
  type RelationalQuery,
  type ResultMapper,
  type SelectConfig,
  type Session,
  type SQL,
  Table,
  type Transaction,
  type WriteConfig,
} from './internals.ts'
import { keepInOutbox } from './keep-in-outbox.ts'
import { LazyQuery, lazyQueryOf, lazySql, type Origin, originOf, relationalQuery, WriteParts } from './lazy-sql.ts'
import { useLeanSelect } from './lean-select.ts'
import { PreparedRaw, type SessionEffect } from './prepared-raw.ts'
import { PreparedRead } from './prepared-read.ts'
import { PreparedResult } from './prepared-result.ts'
import { PreparedWrite, tagSet } from './prepared-write.ts'
import { type RelationalRead, RelationalReader } from './read-relational.ts'
import { plainSelection, questionOfRelational, questionOfSelect, type RecordQuestion } from './record-question.ts'
import { countStatement, readStatement } from './result-statement.ts'
import { type CallOptions, currentScope, destinations, type StatementContext } from './statement-context.ts'
import type { TableShape } from './table-shape.ts'
import { buildCore, changedColumns } from './write-forms.ts'

/** What wrapping needs beside the db itself. */
export interface WrapWith extends Pick<StatementContext, 'read' | 'results' | 'write' | 'naming'> {
  readonly client: ClientState
  readonly call: CallOptions
  shape(table: object): TableShape
  effectOf(text: string): SessionEffect
  /** Makes the `$aside` handle of a db or transaction; called when it is first asked for. */
  handle(session: WrappedSession, database: () => Database): unknown
}

/** The session of a wrapped db: knows its transaction, so that the handle can queue to it. */
export interface WrappedSession {
  readonly scope: Scope | undefined
  /** The driver's own transaction, where the session is one's. */
  readonly transaction?: Transaction
  readonly real: Session
  readonly realDialect: Dialect
  readonly tools: WrapWith
}

/**
 * Wraps a db where builders meet the dialect and the session (HOOKS 1.1): the dialect hands on what a builder holds, the
 * session decides about it, and the real dialect and session do the work. The result is of the same class.
 */
export function wrapDatabase<T>(db: T, tools: WrapWith): T {
  const real = db as unknown as Database
  const dialect = wrapDialect(real.dialect, tools)
  const session = wrapSession(real.session, dialect, real.dialect, tools, undefined)
  return wrapHandle(real, dialect, session, tools) as unknown as T
}

function wrapHandle(real: Database, dialect: Dialect, session: WrapSession, tools: WrapWith): Database {
  const Wrapped = real.constructor as new (
    dialect: Dialect,
    session: Session,
    schema: unknown,
    nested?: number,
  ) => Database
  const { nestedIndex } = real as Partial<Transaction>
  // Without schema first: building a relational builder per table for every transaction would double its cost.
  const db = new Wrapped(dialect, session.wrapped, undefined, nestedIndex)
  const own = db as unknown as Record<string, unknown>
  for (const [key, value] of Object.entries(real)) if (!(key in own) || key === '$cache') own[key] = value
  db._ = { ...real._, session: session.wrapped }
  if ('schema' in real) own.schema = (real as Transaction).schema
  if (!tools.write.idle && !session.scope) useLeanSelect(db, contextOf(session))
  lazily(db, 'query', () => relationalBuilders(real, Wrapped, dialect, session.wrapped))
  lazily(db, '$aside', () => tools.handle(session, () => db))
  if (!tools.write.idle) own.$cache = { ...(real.$cache as object | undefined), invalidate: drizzleInvalidate(session) }
  return db
}

/** Drizzle's own verb: whole tables, and what rests on tags, fall at once or at the commit. */
function drizzleInvalidate(session: WrappedSession): (params: { tables?: unknown; tags?: unknown }) => Promise<void> {
  const context = contextOf(session)
  return async ({ tables = [], tags = [] }) => {
    const named = [tables].flat().map((table) => (typeof table === 'string' ? table : context.shape(table as object)))
    for (const to of destinations(context, currentScope(context))) {
      if (named.length > 0) await context.write.invalidateTables(named, to)
      await context.write.invalidateTags([tags].flat().map(String), to)
    }
  }
}

/** An own, enumerable property that is computed at its first use; `withReplicas` copies own enumerable ones only. */
function lazily(target: object, name: string, make: () => unknown): void {
  const define = (value: unknown): void => {
    Object.defineProperty(target, name, { value, configurable: true, enumerable: true, writable: true })
  }
  const get = (): unknown => {
    const value = make()
    define(value)
    return value
  }
  Object.defineProperty(target, name, { get, set: define, configurable: true, enumerable: true })
}

function relationalBuilders(
  real: Database,
  Wrapped: new (dialect: Dialect, session: Session, schema: unknown) => Database,
  dialect: Dialect,
  session: Session,
): Record<string, unknown> {
  const { schema, fullSchema, tableNamesMap } = real._
  return new Wrapped(dialect, session, schema && { schema, fullSchema, tableNamesMap }).query
}

function wrapDialect(real: Dialect, tools: WrapWith): Dialect {
  const dialect = Object.create(real) as Dialect
  const written = (op: 'insert' | 'update' | 'delete', config: WriteConfig): SQL => {
    const snapshot = { ...config, ...(config.joins && { joins: [...config.joins] }) }
    const parts = new WriteParts((own) => buildCore(real, op, snapshot, own))
    const build = { insert: 'buildInsertQuery', update: 'buildUpdateQuery', delete: 'buildDeleteQuery' } as const
    return lazySql({ kind: op, config: snapshot, parts }, () => plainWrite(real, build[op], snapshot, parts))
  }
  dialect.buildSelectQuery = (config) => {
    const snapshot = snapshotSelect(config)
    return lazySql({ kind: 'select', config: snapshot, dialect: real }, () => real.buildSelectQuery(snapshot))
  }
  dialect.buildInsertQuery = (config) => written('insert', config)
  dialect.buildUpdateQuery = (config) => written('update', config)
  dialect.buildDeleteQuery = (config) => written('delete', config)
  dialect.buildUpdateSet = (table, set) => {
    const shape = tools.shape(table)
    return tagSet(
      real.buildUpdateSet(table, set),
      changedColumns(shape, set, (column) => onUpdateOf(column as Column) !== undefined),
    )
  }
  const relational = new RelationalReader(real, (table) => tools.shape(table), tools.naming)
  dialect.buildRelationalQueryWithoutPK = (config) => new RelationalBuild(real, config, relational, tools)
  dialect.sqlToQuery = (sql, invokeSource) => {
    if (invokeSource !== undefined) return real.sqlToQuery(sql, invokeSource)
    const query = new LazyQuery(sql, real)
    const origin = originOf(sql)
    if (origin?.kind !== 'relational') return query
    return relationalStatement(query, origin)
  }
  return dialect
}

const noOperators: readonly unknown[] = []

/** Builders are mutable and may go on after this statement was taken. */
function snapshotSelect(config: SelectConfig): SelectConfig {
  const { joins, setOperators } = config
  const operators =
    setOperators.length > 0 ? setOperators.map((operator) => ({ ...(operator as object) })) : noOperators
  return { ...config, setOperators: operators, ...(joins && { joins: [...joins] }) }
}

/** The write as plain Drizzle builds it, from the pieces that were built once. */
function plainWrite(
  real: Dialect,
  build: 'buildInsertQuery' | 'buildUpdateQuery' | 'buildDeleteQuery',
  config: WriteConfig,
  parts: WriteParts,
): SQL {
  const { returning, withList } = config
  const selection =
    returning && real.buildSelection(returning, { isSingleTable: build !== 'buildUpdateQuery' || !config.from })
  const ctes = parts.withList(() => real.buildWithCTE(withList))
  if (!ctes && !selection) return parts.core
  return selection ? sql`${ctes}${parts.core} returning ${selection}` : sql`${ctes}${parts.core}`
}

/** What is wrong with a query shows in the building, so the first of its structure is built at once. */
function relationalStatement(query: LazyQuery, origin: Extract<Origin, { kind: 'relational' }>): Query {
  if (typeof origin.question !== 'string') return relationalQuery(query, false)
  const read = origin.whole()
  if (typeof read !== 'object') return relationalQuery(query, true)
  const statement = relationalQuery(query, !read.isKnown, read.takesValues)
  read.wasBuilt()
  return statement
}

/** What `db.query.x.find…` gets from the dialect; SQL and selection are made when they are needed. */
class RelationalBuild implements RelationalQuery {
  readonly tableTsKey: string
  readonly sql: SQL
  readonly #real: Dialect
  readonly #config: RelationalConfig
  readonly #question: RecordQuestion | BypassReason
  readonly #reader: RelationalReader
  #read: RelationalRead | BypassReason | undefined
  #built: RelationalQuery | undefined
  #selection: readonly unknown[] | undefined

  constructor(real: Dialect, asked: RelationalConfig, reader: RelationalReader, tools: WrapWith) {
    const config = reader.settle(asked)
    this.tableTsKey = config.tableConfig.tsName
    this.#real = real
    this.#config = config
    this.#question = questionOfRelational(config, (table) => tools.shape(table))
    this.#reader = reader
    const origin: Origin = { kind: 'relational', config, question: this.#question, whole: () => this.#whole() }
    this.sql = lazySql(origin, () => this.#build().sql)
  }

  #whole(): RelationalRead | BypassReason {
    this.#read ??= this.#reader.read(this.#config)
    return this.#read
  }

  /** Drizzle's mapper asks for it with every row. */
  get selection(): readonly unknown[] {
    this.#selection ??= this.#select()
    return this.#selection
  }

  #select(): readonly unknown[] {
    if (typeof this.#question !== 'string') return plainSelection(this.#question)
    const read = this.#whole()
    return typeof read === 'object' && read.isKnown ? read.selection() : this.#build().selection
  }

  #build(): RelationalQuery {
    this.#built ??= this.#real.buildRelationalQueryWithoutPK(this.#config)
    return this.#built
  }
}

interface WrapSession extends WrappedSession {
  readonly wrapped: Session
}

function wrapSession(
  real: Session,
  dialect: Dialect,
  realDialect: Dialect,
  tools: WrapWith,
  scope: Scope | undefined,
): WrapSession {
  const wrapped = Object.create(real) as Session
  wrapped.dialect = dialect
  const context = contextOf({ scope, real, realDialect, tools })
  const prepare = createPrepare(context, tools)
  // Seven parameters, as the drivers' own: who checks the shape of a session finds it unchanged.
  wrapped.prepareQuery = (query, fields, name, arrayMode, mapper, metadata, cacheConfig) =>
    prepare(query, fields, name, arrayMode, mapper, metadata, cacheConfig)
  if (!tools.write.idle) wrapped.count = createCount(context, wrapped)
  wrapped.transaction = (run, config) => runTransaction(real, dialect, realDialect, tools, run, config)
  return { wrapped, real, realDialect, scope, tools }
}

/** What the statements of a session need to know. */
export function contextOf({ real, realDialect, scope, tools }: WrappedSession): StatementContext {
  const { client, call, read, results, write, shape, naming } = tools
  return { session: real, dialect: realDialect, client, call, read, results, write, scope, shape, naming }
}

/** `db.$count(…)`: one row of one column, which every driver answers in array mode. */
function createCount(context: StatementContext, wrapped: Session): Session['count'] {
  const plain = wrapped.count
  return (sql, token) => {
    const query = new LazyQuery(sql, context.dialect)
    const asked = cacheOptions(undefined, context)
    const statement = asked.off ? undefined : countStatement(context, sql, () => query.sql)
    if (!statement) return plain.call(wrapped, sql, token)
    const prepare = (): PreparedQuery => countedByDriver(query, () => plain.call(wrapped, sql, token))
    const mapper: ResultMapper = (rows) => Number((rows[0] as unknown[])[0])
    const read = { context, readStatement: () => statement, query, mapper, prepare, ...asked, ...nothingMore }
    return new PreparedResult(read).execute(undefined, token) as Promise<number>
  }
}

const nothingMore = { fields: undefined, name: undefined, metadata: undefined }

/** The session's own way to count, as a prepared query. */
function countedByDriver(query: LazyQuery, count: () => Promise<number>): PreparedQuery {
  const refuse = (): never => {
    throw new Error('A count is executed, and nothing else.')
  }
  return {
    execute: count,
    all: count,
    getQuery: () => query.compiled,
    mapResult: refuse,
    setToken: refuse,
    isResponseInArrayMode: () => true,
  }
}

type Prepare = Session['prepareQuery']

function createPrepare(context: StatementContext, tools: WrapWith): Prepare {
  const { session, write } = context
  const prepare: Prepare = (query, fields, name, arrayMode, mapper, metadata, cacheConfig) => {
    const lazy = lazyQueryOf(query)
    const origin = lazy?.origin
    const plain = (): PreparedQuery =>
      session.prepareQuery(lazy?.compiled ?? query, fields, name, arrayMode, mapper, metadata, cacheConfig)
    if (write.idle) {
      const again = (): PreparedQuery => prepare(query, fields, name, arrayMode, mapper, metadata, cacheConfig)
      return unheeded(plain(), context, (lazy?.compiled ?? query).sql, again)
    }
    // What is prepared without a name runs at once, under the facts of now.
    const once = name === undefined
    const judged = (): PreparedQuery => {
      const compiled = lazy?.compiled ?? query
      const careful = (): PreparedQuery => prepareOther(context, tools, compiled, plain(), origin !== undefined)
      return once && origin && write.isQuiet(compiled.sql) ? listening(plain(), write, careful) : careful()
    }
    if (origin && 'parts' in origin) {
      const careful = (): PreparedQuery => prepareWrite(context, origin, query, fields, name, arrayMode, metadata)
      if (!once || !passesThrough(context, origin, lazy)) return careful()
      return noticing(plain(), write, context.shape(origin.config.table), careful)
    }
    if (!lazy || !arrayMode || !origin) return judged()
    const ask = { context, query: lazy, origin, fields, mapper, name, metadata, ...cacheOptions(cacheConfig, context) }
    const read = cachedRead(ask, judged, once)
    // As plain Drizzle: what is wrong with a named statement is thrown while it is prepared.
    if (!once) void lazy.compiled
    return read ?? judged()
  }
  return prepare
}

/** True when a write, as the facts are now, can change nothing that is cached, and says nothing else. */
function passesThrough(context: StatementContext, origin: WriteOrigin, lazy: LazyQuery | undefined): boolean {
  if (!lazy || currentScope(context) || !context.write.reachesNothing(context.shape(origin.config.table))) return false
  return !context.write.writesBeyond(lazy.sql)
}

type WriteOrigin = Extract<Origin, { parts: unknown }>

function prepareWrite(
  context: StatementContext,
  origin: Extract<Origin, { parts: unknown }>,
  query: Query,
  fields: readonly Field[] | undefined,
  name: string | undefined,
  arrayMode: boolean,
  metadata: unknown,
): PreparedQuery {
  return new PreparedWrite({ context, origin, fields, name, metadata, native: !arrayMode }, query)
}

/** One select that may be answered from the cache, by whatever answers it. */
interface Asked {
  readonly context: StatementContext
  readonly query: LazyQuery
  readonly origin: Exclude<Origin, { parts: unknown }>
  readonly fields: readonly Field[] | undefined
  readonly mapper: ResultMapper | undefined
  readonly name: string | undefined
  readonly metadata: unknown
  readonly off: boolean
  readonly ttlMs: number | undefined
  readonly tags: readonly string[]
}

/** By rows of one table where a key fixes them; else by the whole answer. Undefined: it is none for the cache. */
function cachedRead(asked: Asked, prepare: () => PreparedQuery, once: boolean): PreparedQuery | undefined {
  const { context, query, origin, fields, mapper, off, ttlMs, tags } = asked
  const untracked = once ? untrackedTable(context, origin) : undefined
  if (untracked) return refused(context, untracked, 'untracked-table')
  const question = questionOf(context, origin, fields)
  const shape = typeof question === 'string' ? undefined : question.shape
  if (off) return refused(context, shape, 'cache-false')
  if (question === 'locking') return refused(context, undefined, question)
  // A tag is one more stamp of an answer; rows have none, for they serve those who ask without it, too.
  if (typeof question === 'string' || tags.length > 0) return resultRead(asked, prepare)
  const next = () => resultRead(asked, prepare)
  return new PreparedRead({ context, question, query, fields, mapper, ttlMs, prepare: next })
}

function refused(context: StatementContext, shape: TableShape | undefined, reason: BypassReason): undefined {
  context.read.bypassed(shape?.name, reason)
}

function resultRead(asked: Asked, prepare: () => PreparedQuery): PreparedResult {
  const { context, origin, query } = asked
  return new PreparedResult({ ...asked, readStatement: () => readStatement(context, origin, query), prepare })
}

/** A table of the FROM clause that is not cached: then nothing has to be read to know that the answer is not, either. */
function untrackedTable(context: StatementContext, { config }: Asked['origin']): TableShape | undefined {
  const joins = 'joins' in config ? (config.joins ?? []) : []
  for (const source of [config.table, ...joins.map((join) => (join as { table: unknown }).table)]) {
    if (!(source instanceof Table)) continue
    const shape = context.shape(source)
    if (context.read.isUntracked(shape, shape.names)) return shape
  }
  return undefined
}

function questionOf(
  context: StatementContext,
  origin: Asked['origin'],
  fields: readonly Field[] | undefined,
): RecordQuestion | BypassReason {
  if (origin.kind === 'relational') return origin.question
  if (!fields) return 'not-a-record'
  return questionOfSelect(origin.config, fields, (table) => context.shape(table))
}

interface CacheTimes {
  /** Seconds and milliseconds from now; the same as points in time since 1970. */
  readonly ex?: number
  readonly px?: number
  readonly exat?: number
  readonly pxat?: number
}

function timeToLive({ ex, px, exat, pxat }: CacheTimes): number | undefined {
  if (px !== undefined) return px
  if (ex !== undefined) return ex * 1000
  const until = pxat ?? (exat === undefined ? undefined : exat * 1000)
  return until === undefined ? undefined : until - Date.now()
}

/** What was said of one query, by Drizzle's own `$withCache(…)` and by the handle that it was asked of. */
export interface QueryOptions {
  readonly off: boolean
  readonly ttlMs: number | undefined
  readonly tags: readonly string[]
}

export function cacheOptions(config: unknown, { call }: Pick<StatementContext, 'call'>): QueryOptions {
  if (config === undefined) return { off: call.cache === false, ttlMs: call.ttlMs, tags: call.tags ?? noTags }
  const { enable, tag, config: times } = (config ?? {}) as { enable?: boolean; tag?: string; config?: CacheTimes }
  const ttlMs = (times && timeToLive(times)) ?? call.ttlMs
  const tags = tag === undefined ? (call.tags ?? noTags) : [...(call.tags ?? noTags), tag]
  return { off: enable === false || call.cache === false || (ttlMs !== undefined && ttlMs <= 0), ttlMs, tags }
}

const noTags: readonly string[] = []

/**
 * What the driver's own prepared query is run with. It stands on the query, and the functions that read it are shared: a
 * closure for each query is carried into old space by V8, and with it the query and all that it was made of, until the next
 * full collection (seen with --trace-gc).
 */
interface Heeded {
  readonly execute: PreparedQuery['execute']
  readonly write: WrapWith['write']
  /** Makes the query that is run instead once the facts have changed. */
  readonly careful: () => PreparedQuery
}
interface Listened extends Heeded {
  readonly facts: unknown
}
const heeded = Symbol('drizzle-aside.heeded')
type HeededQuery<T extends Heeded> = PreparedQuery & { [heeded]: T }

function heed<T extends Heeded>(
  plain: PreparedQuery,
  given: Omit<T, 'execute'>,
  execute: (this: HeededQuery<T>, placeholders?: Record<string, unknown>, token?: unknown) => Promise<unknown>,
): PreparedQuery {
  const query = plain as HeededQuery<T>
  query[heeded] = { ...given, execute: plain.execute } as T
  query.execute = execute
  return query
}

/**
 * The driver's own prepared query; only its failures are heard, for they may say that the catalog has changed. Who keeps
 * it and runs it again after the facts have changed gets the careful one.
 */
function listening(plain: PreparedQuery, write: WrapWith['write'], careful: () => PreparedQuery): PreparedQuery {
  return heed(plain, { write, facts: write.facts(), careful }, executeListening)
}

function executeListening(
  this: HeededQuery<Listened>,
  placeholders?: Record<string, unknown>,
  token?: unknown,
): Promise<unknown> {
  const { execute, write, facts, careful } = this[heeded]
  if (write.facts() !== facts) return otherwise(this, careful).execute(placeholders, token)
  const running = execute.call(this, placeholders, token)
  running.catch((error: unknown) => write.noteError(error))
  return running
}

interface Noticed extends Listened {
  readonly table: TableShape
  readonly planKey: string | undefined
}

/**
 * A write that reaches nothing cached, {@link listening}. Should somebody have begun to cache its table by its end, they
 * have to know.
 */
function noticing(
  plain: PreparedQuery,
  write: WrapWith['write'],
  table: TableShape,
  careful: () => PreparedQuery,
): PreparedQuery {
  const given = { write, facts: write.facts(), careful, table, planKey: write.planKey }
  return heed<Noticed>(plain, given, executeNoticing)
}

async function executeNoticing(
  this: HeededQuery<Noticed>,
  placeholders?: Record<string, unknown>,
  token?: unknown,
): Promise<unknown> {
  const { execute, write, facts, careful, table, planKey } = this[heeded]
  if (write.facts() !== facts) return otherwise(this, careful).execute(placeholders, token)
  let result: unknown
  try {
    result = await execute.call(this, placeholders, token)
  } catch (error) {
    write.noteError(error)
    await write.failedUnnoticed(table, error)
    throw error
  }
  if (!write.reachesNothingSince(planKey)) await write.doneUnnoticed(table)
  return result
}

/** The query that replaces one which is kept and run again under other facts. */
function otherwise(plain: PreparedQuery, careful: () => PreparedQuery): PreparedQuery {
  const other = careful()
  other.joinsNotNullableMap = plain.joinsNotNullableMap
  return other
}

interface Unheeded extends Heeded {
  readonly context: StatementContext
  readonly text: string
}

/** A statement while nobody caches anything; what a transaction ran is remembered, for that may change before its end. */
function unheeded(
  plain: PreparedQuery,
  context: StatementContext,
  text: string,
  careful: () => PreparedQuery,
): PreparedQuery {
  return heed(plain, { write: context.write, careful, context, text }, executeUnheeded)
}

async function executeUnheeded(
  this: HeededQuery<Unheeded>,
  placeholders?: Record<string, unknown>,
  token?: unknown,
): Promise<unknown> {
  const { execute, write, careful, context, text } = this[heeded]
  if (!write.idle) return otherwise(this, careful).execute(placeholders, token)
  const scope = currentScope(context)
  try {
    const result = await execute.call(this, placeholders, token)
    if (scope || !write.idle) await write.ran(text, scope, undefined)
    return result
  } catch (error) {
    if (!write.idle && !isOurs(error)) await write.failed(undefined, error, scope)
    throw error
  }
}

function prepareOther(
  context: StatementContext,
  tools: WrapWith,
  query: Query,
  plain: PreparedQuery,
  built: boolean,
): PreparedQuery {
  return new PreparedRaw({ context, plain, query, built, effectOf: tools.effectOf })
}

/** Runs a transaction on the real session with a wrapped handle; its changes become known when it has committed. */
async function runTransaction(
  real: Session,
  dialect: Dialect,
  realDialect: Dialect,
  tools: WrapWith,
  run: (tx: Transaction) => Promise<unknown>,
  config: unknown,
): Promise<unknown> {
  const { write, client } = tools
  const scope = write.newScope()
  let finished = false
  let shared = false
  client.entering++
  let entering = true
  const entered = (): void => {
    if (entering) client.entering--
    entering = false
  }
  try {
    const result = await real.transaction(async (tx) => {
      // One connection for everybody: the outer db is inside this transaction, too.
      shared = tx.session.client === real.client
      if (shared) {
        client.open.push(scope)
        client.begun++
      }
      entered()
      const value = await run(wrapTransaction(tx, dialect, realDialect, tools, scope))
      await keepInOutbox(tx.session, client.kind, write, scope)
      finished = true
      return value
    }, config)
    scope.over = true
    await endedWith(shared, client, write)
    await write.committed(scope)
    return result
  } catch (error) {
    scope.over = true
    if (!isOurs(error)) write.noteError(error)
    if (!isOurs(error)) await endedWith(shared, client, write)
    if (finished && !isOurs(error)) await write.uncertain(scope, error)
    throw error
  } finally {
    entered()
    if (shared) client.open.splice(client.open.indexOf(scope), 1)
  }
}

/** On a shared connection the end of this transaction also ended one that raw SQL had begun before it. */
async function endedWith(shared: boolean, client: ClientState, write: WrapWith['write']): Promise<void> {
  const raw = client.rawTransaction
  if (!shared || !raw) return
  client.rawTransaction = undefined
  raw.over = true
  await write.committed(raw)
}

const isOurs = (error: unknown): boolean => (error as { code?: unknown } | null)?.code === 'ASIDE_NOT_DELIVERED'

function wrapTransaction(
  real: Transaction,
  dialect: Dialect,
  realDialect: Dialect,
  tools: WrapWith,
  scope: Scope,
): Transaction {
  const session = { ...wrapSession(real.session, dialect, realDialect, tools, scope), transaction: real }
  const tx = wrapHandle(real, dialect, session, tools) as Transaction
  // The drivers differ in what a savepoint's session is, so the real transaction opens it and the result is wrapped.
  tx.transaction = async (run) => {
    const child = scope.child()
    try {
      const result = await real.transaction((nested) =>
        run(wrapTransaction(nested, dialect, realDialect, tools, child)),
      )
      scope.absorb(child)
      return result
    } finally {
      child.end()
    }
  }
  return tx
}

/** Another handle on the same session, bound to options of its own (`$aside.with`). */
export function rewrap(db: Database, session: WrappedSession, call: CallOptions): Database {
  const tools = { ...session.tools, call }
  const dialect = wrapDialect(session.realDialect, tools)
  const { transaction, scope } = session
  // A transaction's handle opens savepoints of its own.
  if (transaction && scope) return wrapTransaction(transaction, dialect, session.realDialect, tools, scope)
  const wrapped = wrapSession(session.real, dialect, session.realDialect, tools, session.scope)
  return wrapHandle(db, dialect, wrapped, tools)
}
