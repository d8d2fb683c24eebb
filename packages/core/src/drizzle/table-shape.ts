import { aliasOf, type Column, columnNaming, columnsOf, type Dialect, originalNameOf, schemaOf } from './internals.ts'

/** One Drizzle table object as a db sees it: where it lives and how its columns are called in the database. */
export interface TableShape {
  /** As declared; undefined follows the search path. */
  readonly schema: string | undefined
  readonly name: string
  /** Name used in SQL text. */
  readonly alias: string
  /** Relational queries call the table by a name of theirs; conditions may use either. */
  readonly otherAlias?: string
  readonly columns: readonly ShapeColumn[]
  /** Position by `column.name`, which is unique in a table whatever the casing. */
  readonly positions: ReadonlyMap<string, number>
  /** The selection of a bare `select()`; compared by identity. */
  readonly fields: object
  /** Database names of the columns in order. */
  readonly names: readonly string[]
}

export interface ShapeColumn {
  readonly key: string
  /** Name in the database. */
  readonly name: string
  readonly column: Column
}

/** Reads table objects once each. Casing belongs to the dialect, so each wrapped db has its own reader. */
export function tableShapes(dialect: Dialect): (table: object) => TableShape {
  const known = new WeakMap<object, TableShape>()
  return (table) => {
    let shape = known.get(table)
    if (!shape) {
      shape = readShape(table, dialect)
      known.set(table, shape)
    }
    return shape
  }
}

function readShape(table: object, dialect: Dialect): TableShape {
  const fields = columnsOf(table)
  const nameOf = columnNaming(dialect)
  const columns = Object.entries(fields).map(([key, column]) => ({ key, name: nameOf(column), column }))
  const positions = new Map(columns.map(({ column }, position) => [column.name, position]))
  const names = columns.map(({ name }) => name)
  const at = { schema: schemaOf(table), name: originalNameOf(table), alias: aliasOf(table) }
  return { ...at, columns, positions, fields, names }
}

/** Position of a column in the shape; undefined when it belongs to another table or alias. */
export function positionOf(shape: TableShape, column: Column): number | undefined {
  const position = shape.positions.get(column.name)
  // The usual case, without looking at the table: the very column object of this table object.
  if (position !== undefined && shape.columns[position]?.column === column) return position
  const { table } = column
  if (originalNameOf(table) !== shape.name || schemaOf(table) !== shape.schema) return undefined
  const alias = aliasOf(table)
  if (alias !== shape.alias && alias !== shape.otherAlias) return undefined
  return position
}

const renamed = new WeakMap<TableShape, Map<string, TableShape>>()

/** The same table where conditions may also call it by another name. */
export function alsoCalled(shape: TableShape, otherAlias: string): TableShape {
  if (otherAlias === shape.alias) return shape
  let names = renamed.get(shape)
  if (!names) {
    names = new Map()
    renamed.set(shape, names)
  }
  let other = names.get(otherAlias)
  if (!other) {
    other = { ...shape, otherAlias }
    names.set(otherAlias, other)
  }
  return other
}
