import {
  Column,
  chunksOf,
  followRelation,
  is,
  originalNameOf,
  type Relation,
  type RelationalConfig,
  type RelationalOptions,
  type RelationTarget,
  SQL,
  schemaOf,
  type Table,
  type TableConfig,
} from './internals.ts'
import { type Naming, sized } from './naming.ts'

/** One level of a settled relational query, by Drizzle's rules: what it selects, from where, and what hangs below it. */
export interface Level {
  readonly table: LevelTable
  /** Drizzle's name for it: the table's key in the schema, and the relations on the way down. */
  readonly alias: string
  readonly columns: readonly LevelColumn[]
  readonly extras: readonly Extra[]
  readonly where: SQL | undefined
  readonly orderBy: readonly (Column | SQL)[]
  readonly limit: unknown
  readonly offset: unknown
  readonly below: readonly Below[]
}

export interface LevelTable {
  readonly table: Table
  readonly tsName: string
  readonly schema: string | undefined
  readonly name: string
  /** By key in the table object, in its order. */
  readonly columns: ReadonlyMap<string, LevelColumn>
  readonly all: readonly LevelColumn[]
  /** What structural keys say about the table, and about the selection of all its columns. */
  readonly text: string
  readonly allText: string
}

export interface LevelColumn {
  readonly key: string
  /** Name in the database. */
  readonly name: string
  readonly column: Column
  /** What structural keys say about it where it is selected. */
  readonly text: string
}

export interface Extra {
  readonly key: string
  readonly value: SQL.Aliased
}

export interface Below {
  readonly key: string
  readonly tie: Tie
  readonly level: Level
}

/** How a relation ties the level below to its parent: pair by pair, by names in the database. */
export interface Tie {
  readonly many: boolean
  readonly fields: readonly string[]
  readonly references: readonly string[]
  readonly target: RelationTarget
  /** What structural keys say about it. */
  readonly text: string
}

/** Reads relational queries of one db: its tables and relations once each, under the names that its dialect gives them. */
export class LevelReader {
  readonly naming: Naming
  readonly #tables = new WeakMap<TableConfig, LevelTable>()
  readonly #ties = new WeakMap<Relation, Tie | null>()

  constructor(naming: Naming) {
    this.naming = naming
  }

  /** The levels of a settled query; undefined for what Drizzle refuses to build, and for what we do not understand. */
  read(config: RelationalConfig): Level | undefined {
    const { table, tableConfig, queryConfig, tableAlias } = config
    if (!table) return undefined
    const root = this.#level(config, this.table(table, tableConfig), { tableConfig, alias: tableAlias }, queryConfig)
    return root && aliasesStayApart(root) ? root : undefined
  }

  table(table: Table, tableConfig: TableConfig): LevelTable {
    let known = this.#tables.get(tableConfig)
    if (!known) {
      known = readTable(table, tableConfig, this.naming)
      this.#tables.set(tableConfig, known)
    }
    return known
  }

  /** What a relation leads to; undefined where Drizzle fails to follow it. */
  tie(config: RelationalConfig, relation: Relation | undefined): Tie | undefined {
    if (!relation) return undefined
    let tie = this.#ties.get(relation)
    // A relation belongs to one schema: `drizzle()` makes its relations anew from what it is given.
    if (tie === undefined) {
      const target = followRelation(config, relation)
      tie = target ? tieOf(target, this.naming) : null
      this.#ties.set(relation, tie)
    }
    return tie ?? undefined
  }

  #level(config: RelationalConfig, table: LevelTable, spot: Spot, options: unknown): Level | undefined {
    if (options === true) return { ...emptyLevel, table, alias: spot.alias, columns: table.all }
    if (typeof options !== 'object' || options === null) return undefined
    const own = readOwn(options, table)
    const below = own && this.#below(config, spot, options)
    if (!below || own.columns.length + own.extras.length + below.length === 0) return undefined
    return { ...own, table, alias: spot.alias, below }
  }

  #below(config: RelationalConfig, spot: Spot, options: RelationalOptions): Below[] | undefined {
    const found: Below[] = []
    for (const [key, asked] of Object.entries(options.with ?? {})) {
      if (!asked) continue
      const below = this.#relation(config, spot, key, asked)
      if (!below) return undefined
      found.push(below)
    }
    return found
  }

  #relation(config: RelationalConfig, spot: Spot, key: string, asked: unknown): Below | undefined {
    const tie = this.tie(config, spot.tableConfig.relations[key])
    if (!tie) return undefined
    const { table, tableConfig } = tie.target
    const below = { tableConfig, alias: `${spot.alias}_${key}` }
    const level = this.#level(config, this.table(table, tableConfig), below, asked)
    // Drizzle overrides the limit of a single partner.
    return level && { key, tie, level: tie.many ? level : { ...level, limit: 1 } }
  }
}

interface Spot {
  readonly tableConfig: TableConfig
  readonly alias: string
}

const none: readonly never[] = []
const emptyLevel = { extras: none, where: undefined, orderBy: none, limit: undefined, offset: undefined, below: none }

function readTable(table: Table, { tsName, columns }: TableConfig, naming: Naming): LevelTable {
  const named = Object.entries(columns).map(([key, column]) => ({ key, name: naming.columnName(column), column }))
  const all = named.map((column) => ({ ...column, text: columnText(column, named) }))
  const byKey = new Map(all.map((column) => [column.key, column]))
  const at = { schema: schemaOf(table), name: originalNameOf(table) }
  return { table, tsName, ...at, columns: byKey, all, text: naming.tableText(table), allText: textOfColumns(all) }
}

/** The name tells which column it is, unless the table object has another one under that name. */
function columnText({ key, name }: Named, all: readonly Named[]): string {
  const unique = all.every((column) => column.key === key || column.name !== name)
  return unique ? sized(name) : `${sized(name)}/${sized(key)}`
}

type Named = Pick<LevelColumn, 'key' | 'name'>

export const textOfColumns = (columns: readonly LevelColumn[]): string => columns.map(({ text }) => text).join(',')

function tieOf(target: RelationTarget, naming: Naming): Tie {
  const { many } = target
  const [fields, references] = [target.fields, target.references].map((columns) =>
    columns.map((column) => naming.columnName(column)),
  ) as [string[], string[]]
  const text = `${many ? 'm' : 'o'}${fields.length};${[...fields, ...references].map(sized).join('')}`
  return { many, fields, references, target, text }
}

/** Numbers of the levels, parents first, as the shape's `refs` begin. */
export function numberLevels(root: Level): ReadonlyMap<Level, number> {
  const numbers = new Map<Level, number>()
  const visit = (level: Level): void => {
    numbers.set(level, numbers.size)
    for (const below of level.below) visit(below.level)
  }
  visit(root)
  return numbers
}

/**
 * PostgreSQL cuts names after 63 bytes: a relation deep down may then be called as its parent is, and what ties the two
 * compares the columns of one. Cut at 60, no character of up to four bytes can hide a difference.
 */
function aliasesStayApart(root: Level): boolean {
  if (!isLongSomewhere(root)) return true
  const levels = [...numberLevels(root).keys()]
  return new Set(levels.map(({ alias }) => Buffer.from(alias).toString('latin1', 0, 60))).size === levels.length
}

const isLongSomewhere = ({ alias, below }: Level): boolean =>
  (alias.length > 20 && Buffer.byteLength(alias) > 63) || below.some(({ level }) => isLongSomewhere(level))

type OwnParts = Omit<Level, 'table' | 'alias' | 'below'>

function readOwn(options: RelationalOptions, table: LevelTable): OwnParts | undefined {
  const { where, limit, offset } = options
  const columns = options.columns ? selectedColumns(options.columns, table) : table.all
  const extras = options.extras ? readExtras(options.extras) : none
  const orderBy = readOrder(options.orderBy)
  if (!columns || !extras || !orderBy) return undefined
  if (where && !chunksOf(where)) return undefined
  return { columns, extras, where: where ? (where as SQL) : undefined, orderBy, limit, offset }
}

/** Drizzle's rule for `columns`: true selects, false leaves out, and one true makes it a selection. */
function selectedColumns(
  asked: Record<string, boolean | undefined>,
  table: LevelTable,
): readonly LevelColumn[] | undefined {
  // Drizzle asks with `in`, which also finds what every object inherits.
  const isColumn = (key: string): boolean => table.columns.has(key) || key in Object.prototype
  const named = Object.keys(asked).filter((key) => asked[key] !== undefined && isColumn(key))
  const included = named.filter((key) => asked[key] === true)
  if (included.length === 0) return named.length === 0 ? none : table.all.filter(({ key }) => !named.includes(key))
  const columns = included.map((key) => table.columns.get(key))
  return columns.every((column) => column !== undefined) ? columns : undefined
}

function readExtras(extras: unknown): readonly Extra[] | undefined {
  if (typeof extras !== 'object' || extras === null) return undefined
  const read = Object.entries(extras).map(([key, value]) => ({ key, value: value as SQL.Aliased }))
  return read.every(({ value }) => is(value, SQL.Aliased) && chunksOf(value.sql)) ? read : undefined
}

function readOrder(orderBy: unknown): readonly (Column | SQL)[] | undefined {
  const terms = (orderBy === undefined || orderBy === null ? none : [orderBy].flat()) as (Column | SQL)[]
  return terms.every((term) => is(term, Column) || chunksOf(term)) ? terms : undefined
}
