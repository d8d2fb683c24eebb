import { sql } from 'drizzle-orm'
import type { BypassReason } from '../model/reasons.ts'
import type { Scope } from '../ports/paths.ts'
import type { ClientState } from './client-state.ts'
import {
  type Column,
  type Database,
  type Dialect,
  onUpdateOf,
  type PreparedQuery,
  type Query,
  type RelationalConfig,
  type RelationalQuery,
  type ResultMapper,
  type SelectConfig,
  type Session,
  type SQL,
  type Transaction,
  type WriteConfig,
} from './internals.ts'
import { keepInOutbox } from './keep-in-outbox.ts'
import { LazyQuery, lazySql, type Origin, originOf, relationalQuery, WriteParts } from './lazy-sql.ts'
import { useLeanSelect } from './lean-select.ts'
import { createPrepare } from './prepare-statement.ts'
import type { SessionEffect } from './prepared-raw.ts'
import { PreparedResult } from './prepared-result.ts'
import { tagSet } from './prepared-write.ts'
import { queryOptions } from './query-options.ts'
import { type RelationalRead, RelationalReader } from './read-relational.ts'
import { plainSelection, questionOfRelational, type RecordQuestion } from './record-question.ts'
import { countStatement } from './result-statement.ts'
import { type CallOptions, currentScope, destinations, isOurs, type StatementContext } from './statement-context.ts'
import type { TableShape } from './table-shape.ts'
import { buildCore, changedColumns } from './write-forms.ts'

/** What wrapping needs beside the db itself. */
export interface WrapWith
  extends Pick<StatementContext, 'read' | 'results' | 'write' | 'lastKnown' | 'naming' | 'fills'> {
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
    const snapshot = snapshotWrite(config)
    const parts = new WriteParts((own) => buildCore(real, op, snapshot, own))
    return lazySql({ kind: op, config: snapshot, parts }, () => {
      const { write } = tools
      // What reaches nothing cached needs no other form: then it is built as without us.
      const isAlone = write.idle || write.reachesNothing(tools.shape(config.table))
      const whole = isAlone ? parts.buildWhole(() => real[buildOf[op]](snapshot)) : undefined
      return whole ?? plainWrite(real, op, snapshot, parts)
    })
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

// Builders are mutable and may go on after a statement was taken. Copied whole and then changed: V8 makes an object of
// several spreads member by member.

function snapshotSelect(config: SelectConfig): SelectConfig {
  const snapshot: Writable<SelectConfig> = { ...config }
  const { joins, setOperators } = config
  snapshot.setOperators =
    setOperators.length > 0 ? setOperators.map((operator) => ({ ...(operator as object) })) : noOperators
  if (joins) snapshot.joins = [...joins]
  return snapshot
}

function snapshotWrite(config: WriteConfig): WriteConfig {
  const snapshot: Writable<WriteConfig> = { ...config }
  if (config.joins) snapshot.joins = [...config.joins]
  return snapshot
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }

const buildOf = { insert: 'buildInsertQuery', update: 'buildUpdateQuery', delete: 'buildDeleteQuery' } as const

/** The write as plain Drizzle builds it, from the pieces that were built once. */
function plainWrite(real: Dialect, op: keyof typeof buildOf, config: WriteConfig, parts: WriteParts): SQL {
  const { returning, withList } = config
  const selection = returning && real.buildSelection(returning, { isSingleTable: op !== 'update' || !config.from })
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
  const prepare = createPrepare(context, tools.effectOf)
  // Seven parameters, as the drivers' own: who checks the shape of a session finds it unchanged.
  wrapped.prepareQuery = (query, fields, name, arrayMode, mapper, metadata, cacheConfig) =>
    prepare(query, fields, name, arrayMode, mapper, metadata, cacheConfig)
  if (!tools.write.idle) wrapped.count = createCount(context, wrapped)
  wrapped.transaction = (run, config) => runTransaction(real, dialect, realDialect, tools, run, config)
  return { wrapped, real, realDialect, scope, tools }
}

/** What the statements of a session need to know. */
export function contextOf({ real, realDialect, scope, tools }: WrappedSession): StatementContext {
  const { client, call, read, results, write, lastKnown, shape, naming, fills } = tools
  const own = { session: real, dialect: realDialect, scope }
  return { ...own, client, call, read, results, write, lastKnown, shape, naming, fills }
}

/** `db.$count(…)`: one row of one column, which every driver answers in array mode. */
function createCount(context: StatementContext, wrapped: Session): Session['count'] {
  const plain = wrapped.count
  return (sql, token) => {
    const query = new LazyQuery(sql, context.dialect)
    const asked = queryOptions(undefined, context)
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
