import type { ForeignKeyAction } from '../model/facts.ts'
import type { DeclaredTable } from '../model/schema-difference.ts'
import { type DeclaredConfig, declaredConfig, originalNameOf, schemaOf } from './internals.ts'
import type { TableShape } from './table-shape.ts'

/** Reads what the program says of a table, by names as a db gives them. Indexes that could be no key are left out. */
export function declaredTable(table: object, shape: (table: object) => TableShape): DeclaredTable {
  const own = shape(table)
  const config = declaredConfig(table)
  const unique = own.columns.filter(({ column }) => column.isUnique).map(({ name }) => [name])
  const plain = config.indexes.filter(isPlain).map((index) => ({ ...index, columns: namesIn(own, index.columns) }))
  return {
    schema: own.schema,
    name: own.name,
    columns: own.columns.map(({ name, column }) => ({ name, sqlType: column.getSQLType(), notNull: column.notNull })),
    primaryKey: primaryKeyOf(own, config),
    uniqueKeys: [
      ...unique,
      ...config.uniqueConstraints.map(({ columns }) => namesIn(own, columns)),
      ...plain.filter((index) => index.unique).map(({ columns }) => columns),
    ],
    leadingColumns: [...new Set(plain.flatMap(({ columns }) => columns.slice(0, 1)))],
    foreignKeys: config.foreignKeys.map(({ columns, foreignTable, foreignColumns, onDelete, onUpdate }) => ({
      columns: namesIn(own, columns),
      parent: { schema: schemaOf(foreignTable), name: originalNameOf(foreignTable) },
      parentColumns: namesIn(shape(foreignTable), foreignColumns),
      onDelete: actionOf(onDelete),
      onUpdate: actionOf(onUpdate),
    })),
    rowSecurity: config.rowSecurity,
  }
}

function primaryKeyOf(own: TableShape, { primaryKeys }: DeclaredConfig): readonly string[] {
  const [first] = primaryKeys
  if (first) return namesIn(own, first.columns)
  return own.columns.filter(({ column }) => column.primary).map(({ name }) => name)
}

const isPlain = ({ columns, condition, method, ownOperators }: DeclaredConfig['indexes'][number]): boolean =>
  !condition && method === 'btree' && !ownOperators && columns.every(({ name }) => typeof name === 'string')

/** Columns of constraints and indexes are objects of their own, known by the name that they share with the table's. */
const namesIn = (shape: TableShape, columns: readonly { readonly name?: string }[]): string[] =>
  columns.map(({ name = '' }) => shape.names[shape.positions.get(name) ?? -1] ?? name)

const actions: readonly string[] = ['cascade', 'set null', 'set default']
const actionOf = (action: string | undefined): ForeignKeyAction =>
  action !== undefined && actions.includes(action) ? (action as ForeignKeyAction) : 'none'
