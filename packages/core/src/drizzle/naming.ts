import {
  aliasOf,
  type Casing,
  type Column,
  type Dialect,
  isAliased,
  keyIsName,
  originalNameOf,
  schemaOf,
} from './internals.ts'

/** A text with its length in front: no two sequences of such texts are equal. */
export const sized = (text: string): string => `${text.length}:${text}`
const sizedOrNone = (text: string | undefined): string => (text === undefined ? '-' : sized(text))

/**
 * Names of tables and columns as a dialect renders them, in the form in which they stand in structural keys. One for each
 * wrapped db: it remembers what it said about tables and columns that are not aliases, which live as long as the schema.
 */
export class Naming {
  private readonly casing: Casing
  private readonly columns = new WeakMap<object, string>()
  private readonly tables = new WeakMap<object, string>()
  private readonly converted = new Map<string, string>()

  constructor(dialect: Dialect) {
    this.casing = dialect.casing
  }

  /** True where the other dialect names columns by the same rule. */
  agreesWith(dialect: Dialect): boolean {
    return dialect.casing === this.casing || dialect.casing?.convert === this.casing.convert
  }

  /** Name in the database: `getColumnCasing` without its memory by table name, which two table objects may share. */
  columnName(column: Column): string {
    const { name } = column
    if (!keyIsName(column)) return name
    let own = this.converted.get(name)
    if (own === undefined) {
      own = this.casing.convert(name)
      this.converted.set(name, own)
    }
    return own
  }

  /** What qualifies a column, and its name. */
  columnText(column: Column): string {
    return this.columns.get(column) ?? this.readColumn(column)
  }

  private readColumn(column: Column): string {
    const { table } = column
    const name = sized(this.columnName(column))
    // An alias makes its columns anew whenever it is asked for one; a memory of them would be mostly garbage.
    if (isAliased(table)) return `a${sized(aliasOf(table))}${name}`
    const text = `${sizedOrNone(schemaOf(table))}${sized(aliasOf(table))}${name}`
    this.columns.set(column, text)
    return text
  }

  /** All names of a table, as FROM and JOIN render it. */
  tableText(table: object): string {
    return this.tables.get(table) ?? this.readTable(table)
  }

  private readTable(table: object): string {
    const text = sizedOrNone(schemaOf(table)) + sized(originalNameOf(table)) + sized(aliasOf(table))
    if (isAliased(table)) return `A${text}`
    this.tables.set(table, `T${text}`)
    return `T${text}`
  }
}
