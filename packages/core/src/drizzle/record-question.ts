import type { Condition } from '../model/condition.ts'
import type { BypassReason } from '../model/reasons.ts'
import {
  Column,
  chunksOf,
  type Field,
  is,
  type RelationalConfig,
  type RelationalOptions,
  type SelectConfig,
  Table,
  textOf,
} from './internals.ts'
import { readCondition } from './read-conditions.ts'
import { alsoCalled, positionOf, type TableShape } from './table-shape.ts'

/** A select that may be answered by records: rows of one table under a condition, each column as it stands. */
export interface RecordQuestion {
  readonly shape: TableShape
  readonly condition: Condition
  /** Positions of the selected columns in the table object, in the order of the selection. */
  readonly picks: readonly number[]
  /** True when LIMIT stands: fine for one row, not for a list. */
  readonly limited: boolean
  /** Columns to sort by; null when the order is more than columns. */
  readonly order: readonly Order[] | null
}

export interface Order {
  readonly column: number
  readonly descending: boolean
}

type ShapeOf = (table: object) => TableShape

/** Reads a select builder's state; a reason when rows of one table by key cannot be all that it asks for. */
export function questionOfSelect(
  config: SelectConfig,
  fields: readonly Field[],
  shapeOf: ShapeOf,
): RecordQuestion | BypassReason {
  if (config.lockingClause) return 'locking'
  if (!isTable(config.table) || !isPlainSelect(config)) return 'not-a-record'
  const shape = shapeOf(config.table)
  const picks = selectsEverything(fields, shape) ? everyColumn(shape) : picksOf(fields, shape)
  if (!picks) return 'not-a-record'
  return finish(shape, config.where, picks, config.limit, config.orderBy)
}

const isTable = (value: unknown): value is Table => value instanceof Table || is(value, Table)

function isPlainSelect(config: SelectConfig): boolean {
  if (config.joins?.length || config.setOperators.length > 0 || config.withList?.length) return false
  if (config.distinct || config.having || config.groupBy?.length) return false
  return !config.offset
}

/** A bare `select()`: each column of the table object itself, in order, under its own name. */
function selectsEverything(fields: readonly Field[], { columns }: TableShape): boolean {
  if (fields.length !== columns.length) return false
  for (let at = 0; at < fields.length; at++) {
    const { field, path } = fields[at] as Field
    const own = columns[at] as TableShape['columns'][number]
    if (field !== own.column || path.length !== 1 || path[0] !== own.key) return false
  }
  return true
}

const everyPick = new WeakMap<TableShape, readonly number[]>()
/** All positions in order; one array per table object, so that "everything" is known by identity. */
export function everyColumn(shape: TableShape): readonly number[] {
  let all = everyPick.get(shape)
  if (!all) {
    all = shape.columns.map((_, at) => at)
    everyPick.set(shape, all)
  }
  return all
}

function picksOf(fields: readonly Field[], shape: TableShape): number[] | undefined {
  const picks: number[] = []
  for (const { field } of fields) {
    if (!(field instanceof Column) && !is(field, Column)) return undefined
    const position = positionOf(shape, field as Column)
    if (position === undefined) return undefined
    picks.push(position)
  }
  return picks
}

function finish(
  shape: TableShape,
  where: unknown,
  picks: readonly number[],
  limit: unknown,
  orderBy: readonly unknown[] | undefined,
): RecordQuestion | BypassReason {
  if (where === undefined) return 'not-a-record'
  if (limit !== undefined && !(typeof limit === 'number' && Number.isInteger(limit) && limit >= 1))
    return 'not-a-record'
  const condition = readCondition(where, shape)
  if (condition.kind === 'opaque') return 'not-a-record'
  const order = readOrder(orderBy ?? [], shape)
  return order === undefined ? 'not-a-record' : { shape, condition, picks, limited: limit !== undefined, order }
}

/** Plain columns with asc or desc; undefined for anything else. */
function readOrder(orderBy: readonly unknown[], shape: TableShape): Order[] | undefined {
  const order: Order[] = []
  for (const term of orderBy) {
    const read = readOrderTerm(term, shape)
    if (!read) return undefined
    order.push(read)
  }
  return order
}

function readOrderTerm(term: unknown, shape: TableShape): Order | undefined {
  if (is(term, Column)) return orderOf(term as Column, false, shape)
  const chunks = chunksOf(term)?.filter((chunk) => textOf(chunk) !== '')
  if (chunks?.length !== 2 || !is(chunks[0], Column)) return undefined
  const direction = textOf(chunks[1])
  if (direction !== ' asc' && direction !== ' desc') return undefined
  return orderOf(chunks[0] as Column, direction === ' desc', shape)
}

function orderOf(column: Column, descending: boolean, shape: TableShape): Order | undefined {
  const position = positionOf(shape, column)
  return position === undefined ? undefined : { column: position, descending }
}

/** Reads the state of a relational query without relations and extras. */
export function questionOfRelational(config: RelationalConfig, shapeOf: ShapeOf): RecordQuestion | BypassReason {
  const options = config.queryConfig
  if (options === true || config.nestedQueryRelation !== undefined) return 'not-a-record'
  if (options.extras || options.offset || Object.values(options.with ?? {}).some(Boolean)) return 'not-a-record'
  const shape = alsoCalled(shapeOf(config.table), config.tableAlias)
  const picks = pickedColumns(config, options, shape)
  if (!picks) return 'not-a-record'
  const orderBy = options.orderBy === undefined ? [] : [options.orderBy].flat()
  return finish(shape, options.where, picks, options.limit, orderBy)
}

/** Drizzle's rule for `columns`: true selects, false leaves out, and one true makes it a selection. */
function pickedColumns(
  config: RelationalConfig,
  { columns }: RelationalOptions,
  shape: TableShape,
): readonly number[] | undefined {
  const all = config.tableConfig.columns
  if (!columns) return everyColumn(shape)
  const named = Object.keys(columns).filter((key) => columns[key] !== undefined && key in all)
  const including = named.some((key) => columns[key] === true)
  const keys = including
    ? named.filter((key) => columns[key] === true)
    : named.length > 0
      ? Object.keys(all).filter((key) => !named.includes(key))
      : []
  const picks = keys.map((key) => shape.positions.get((all[key] as Column).name) ?? -1)
  return picks.length === 0 || picks.includes(-1) ? undefined : picks
}

/** The selection that Drizzle's relational mapper wants, for plain columns. */
export function plainSelection({ shape, picks }: RecordQuestion): unknown[] {
  return picks.map((at) => {
    const { key, name, column } = shape.columns[at] as TableShape['columns'][number]
    return { dbKey: name, tsKey: key, field: column, relationTableTsKey: undefined, isJson: false, selection: [] }
  })
}
