import { paramsText } from '../model/params-text.ts'
import type { QueryShape, Term } from '../model/query-shape.ts'
import type { BypassReason } from '../model/reasons.ts'
import type { PartnerReader, ResultQuestion } from '../model/result.ts'
import type { NamedTable } from '../ports/paths.ts'
import { type CountQuery, countQueryOf } from './count-query.ts'
import { type Column, type Field, orderFields, type Query, type SelectConfig, type SQL } from './internals.ts'
import type { LazyQuery, Origin } from './lazy-sql.ts'
import { isReason, type ResultStatement } from './prepared-result.ts'
import { countShape, selectShape } from './query-shape.ts'
import { type RelationalRead, relationalReadOf } from './read-relational.ts'
import type { StatementContext } from './statement-context.ts'
import { countKey, type StructuralKey, selectKey } from './structural-key.ts'

/** A select builder's state as a statement whose whole answer may be kept; or why it cannot be told from others. */
export function selectStatement(
  context: StatementContext,
  config: SelectConfig,
  query: LazyQuery,
): ResultStatement | BypassReason {
  const key = selectKey(config, context.naming)
  return typeof key === 'string' ? key : new SelectStatement(context, config, key, query)
}

class SelectStatement implements ResultStatement, ResultQuestion {
  readonly structure: string
  readonly named: readonly NamedTable[]
  private readonly context: StatementContext
  private readonly config: SelectConfig
  private readonly key: StructuralKey
  private readonly query: LazyQuery
  private read: QueryShape | undefined = undefined

  constructor(context: StatementContext, config: SelectConfig, key: StructuralKey, query: LazyQuery) {
    this.structure = key.text
    this.named = context.call.tables ?? noTables
    this.context = context
    this.config = config
    this.key = key
    this.query = query
  }

  get question(): ResultQuestion {
    return this
  }

  shape(): QueryShape {
    this.read ??= selectShape(this.config, (table) => this.context.shape(table), this.key)
    return this.read
  }

  text(): string {
    return this.query.sql
  }

  values(given: Record<string, unknown> | undefined): readonly unknown[] | BypassReason {
    return this.key.values(given)
  }

  isUnchanged(given: Record<string, unknown> | undefined, params: readonly unknown[]): boolean {
    return isSame(selectKey(this.config, this.context.naming), this.structure, given, params)
  }

  withColumns(adds: readonly Term[]): Query | undefined {
    const { config, context } = this
    const columns = adds.map((term) => this.columnOf(term))
    if (columns.includes(undefined)) return undefined
    const own = config.fieldsFlat ?? orderFields(config.fields)
    const hidden = columns.map((field, at): Field => ({ path: [`__aside${at}`], field }))
    const { dialect } = context
    return dialect.sqlToQuery(dialect.buildSelectQuery({ ...config, fieldsFlat: [...own, ...hidden] }))
  }

  /** The column object of a table of the FROM clause, under the name that the table has there. */
  private columnOf({ ref, column }: Term): Column | undefined {
    const at = this.shape().root.sources.findIndex((source) => 'ref' in source && source.ref === ref)
    const tables = [this.config.table, ...(this.config.joins ?? []).map((join) => (join as { table: unknown }).table)]
    const table = at < 0 ? undefined : tables[at]
    return table === undefined
      ? undefined
      : this.context.shape(table as object).columns.find(({ name }) => name === column)?.column
  }
}

function isSame(
  now: StructuralKey | BypassReason,
  structure: string,
  given: Record<string, unknown> | undefined,
  params: readonly unknown[],
): boolean {
  if (typeof now === 'string' || now.text !== structure) return false
  const values = now.values(given)
  return !isReason(values) && paramsText(values) === paramsText(params)
}

const noTables: readonly NamedTable[] = []

/** `db.$count(…)`, whose text the session is given as it stands. */
export function countStatement(
  context: StatementContext,
  sql: SQL,
  text: () => string,
): ResultStatement | BypassReason | undefined {
  const count = countQueryOf(sql)
  if (!count) return undefined
  const key = countKey(count, context.naming)
  return typeof key === 'string' ? key : new CountStatement(context, count, key, text)
}

class CountStatement implements ResultStatement, ResultQuestion {
  readonly structure: string
  readonly named: readonly NamedTable[]

  constructor(
    private readonly context: StatementContext,
    private readonly count: CountQuery,
    private readonly key: StructuralKey,
    readonly text: () => string,
  ) {
    this.structure = key.text
    this.named = context.call.tables ?? noTables
  }

  get question(): ResultQuestion {
    return this
  }

  shape(): QueryShape {
    return countShape(this.count, (table) => this.context.shape(table), this.key)
  }

  values(given: Record<string, unknown> | undefined): readonly unknown[] | BypassReason {
    return this.key.values(given)
  }

  isUnchanged(given: Record<string, unknown> | undefined, params: readonly unknown[]): boolean {
    return isSame(countKey(this.count, this.context.naming), this.structure, given, params)
  }

  withColumns(): undefined {
    return undefined
  }
}

/** `db.query.x.find…`, read from its config. */
class RelationalStatement implements ResultStatement, ResultQuestion {
  readonly structure: string
  readonly named: readonly NamedTable[]

  constructor(
    context: StatementContext,
    private readonly read: RelationalRead,
    private readonly query: LazyQuery,
  ) {
    this.structure = read.key.text
    this.named = context.call.tables ?? noTables
  }

  get question(): ResultQuestion {
    return this
  }

  shape(): QueryShape {
    return this.read.shape()
  }

  text(): string {
    return this.query.sql
  }

  partners(): readonly PartnerReader[] {
    return this.read.partners()
  }

  values(given: Record<string, unknown> | undefined): readonly unknown[] | BypassReason {
    return this.read.key.values(given)
  }

  isUnchanged(given: Record<string, unknown> | undefined, params: readonly unknown[]): boolean {
    return isSame(this.read.keyNow(), this.structure, given, params)
  }

  withColumns(): undefined {
    return undefined
  }
}

/** What a builder's read is to the read path of whole results. */
export function readStatement(
  context: StatementContext,
  origin: Exclude<Origin, { parts: unknown }>,
  query: LazyQuery,
): ResultStatement | BypassReason {
  if (origin.kind === 'select') return selectStatement(context, origin.config, query)
  const read = relationalReadOf(origin)
  return typeof read === 'string' ? read : new RelationalStatement(context, read, query)
}
