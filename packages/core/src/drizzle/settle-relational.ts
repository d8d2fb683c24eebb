import { aliasedTableColumn, getOperators, getOrderByOperators, sql } from 'drizzle-orm'
import {
  Column,
  chunksOf,
  is,
  type Relation,
  type RelationalConfig,
  type RelationalOptions,
  type RelationTarget,
  SQL,
  type TableConfig,
} from './internals.ts'

export type FollowRelation = (relation: Relation | undefined) => RelationTarget | undefined

type Settled = { -readonly [K in keyof RelationalOptions]: RelationalOptions[K] }

/**
 * `db.query.x` with the callbacks of all its levels called, once, in Drizzle's order and with Drizzle's arguments; what
 * Drizzle builds from the result, now or later, is what it would have built. It is also a snapshot: a config may be
 * changed and used again.
 *
 * Where Drizzle would fail, nothing behind that place is called: the build reaches it, fails as it does, and goes no
 * further either.
 */
export function settleRelational(config: RelationalConfig, follow: FollowRelation): RelationalConfig {
  const { queryConfig, tableConfig, tableAlias } = config
  if (queryConfig === true) return config
  return { ...config, queryConfig: settleLevel(queryConfig, new Spot(tableConfig, tableAlias), new Course(follow)) }
}

/** How far the calling has come. */
class Course {
  stopped = false

  constructor(readonly follow: FollowRelation) {}

  /** Goes on only where Drizzle does. */
  require(fine: boolean): void {
    if (!fine) this.stopped = true
  }
}

/** A level's place: what its callbacks are given. */
class Spot {
  #fields: Record<string, Column> | undefined

  constructor(
    readonly tableConfig: TableConfig,
    readonly alias: string,
  ) {}

  get fields(): Record<string, Column> {
    this.#fields ??= aliasedColumns(this.tableConfig.columns, this.alias)
    return this.#fields
  }
}

/** As Drizzle hands them to callbacks, but each made when it is asked for. */
function aliasedColumns(columns: Record<string, Column>, alias: string): Record<string, Column> {
  const made = new Map<string, Column>()
  return new Proxy(columns, {
    get: (_, key) => {
      if (typeof key === 'symbol' || !Object.hasOwn(columns, key)) return Reflect.get(Object.prototype, key)
      const column = made.get(key) ?? aliasedTableColumn(columns[key] as Column, alias)
      made.set(key, column)
      return column
    },
  })
}

type Step = (settled: Settled, spot: Spot, course: Course) => void

const settleWhere: Step = (settled, spot, course) => {
  if (typeof settled.where === 'function') settled.where = settled.where(spot.fields, getOperators())
  course.require(!settled.where || chunksOf(settled.where) !== undefined)
}

const settleExtras: Step = (settled, spot, course) => {
  const { extras } = settled
  if (!extras) return
  // Of nothing there are no entries: that throws here, as it does in Drizzle.
  const entries = Object.entries(typeof extras === 'function' ? extras(spot.fields, { sql }) : extras)
  settled.extras = Object.fromEntries(entries)
  course.require(entries.every(([, value]) => is(value, SQL.Aliased) && chunksOf(value.sql) !== undefined))
}

const settleOrder: Step = (settled, spot, course) => {
  const { orderBy } = settled
  if (orderBy === undefined || orderBy === null) return
  const terms = typeof orderBy === 'function' ? orderBy(spot.fields, getOrderByOperators()) : orderBy
  settled.orderBy = Array.isArray(terms) ? [...terms] : [terms]
  course.require((settled.orderBy as unknown[]).every((term) => is(term, Column) || chunksOf(term) !== undefined))
}

const settleWith: Step = (settled, spot, course) => {
  if (!settled.with) return
  const asked = Object.entries(settled.with).filter(([, options]) => Boolean(options))
  settled.with = Object.fromEntries(asked.map(([key, options]) => [key, settleRelation(key, options, spot, course)]))
}

const steps = [settleWhere, settleExtras, settleOrder, settleWith]

function settleLevel(options: RelationalOptions, spot: Spot, course: Course): RelationalOptions {
  const settled: Settled = { ...options }
  if (options.columns) settled.columns = { ...options.columns }
  for (const step of steps) if (!course.stopped) step(settled, spot, course)
  return settled
}

function settleRelation(key: string, options: unknown, spot: Spot, course: Course): unknown {
  if (course.stopped) return options
  const target = course.follow(spot.tableConfig.relations[key])
  course.require(target !== undefined)
  if (!target || typeof options !== 'object') return options
  return settleLevel(options as RelationalOptions, new Spot(target.tableConfig, `${spot.alias}_${key}`), course)
}
