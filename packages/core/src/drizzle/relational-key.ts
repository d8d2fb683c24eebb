import type { BypassReason } from '../model/reasons.ts'
import { type Naming, sized } from './naming.ts'
import { type Below, type Level, textOfColumns } from './relational-levels.ts'
import { type KeyWriter, type StructuralKey, writeKey } from './structural-key.ts'

/**
 * The key of a settled relational query: the same text implies the same SQL. Whether the first row or all are wanted is
 * no part of it: that is a LIMIT, and what is done with the rows.
 */
export function relationalKey(root: Level, naming: Naming): StructuralKey | BypassReason {
  return writeKey(naming, (writer) => writeRoot(writer, root))
}

// All in the order in which `buildRelationalQueryWithoutPK` renders parameters.

function writeRoot(writer: KeyWriter, level: Level): void {
  writer.mark(`@${sized(level.alias)}`)
  writeSelection(writer, level)
  writer.mark(level.table.text)
  writeBelow(writer, level.below)
  writeWhere(writer, level)
  writeOrder(writer, level)
  writer.window(level)
}

function writeBelow(writer: KeyWriter, relations: readonly Below[]): void {
  for (const { key, tie, level } of relations) {
    writer.mark(`<${sized(key)}${tie.text}`)
    writeNested(writer, level, tie.many)
    writer.mark('>')
  }
}

function writeNested(writer: KeyWriter, level: Level, many: boolean): void {
  writeSelection(writer, level)
  // The rows are put into JSON in their order, and picked in it before.
  if (many) writeOrder(writer, level)
  const isPicked = level.limit !== undefined || level.offset !== undefined || level.orderBy.length > 0
  writer.mark(isPicked ? `(${level.table.text}` : level.table.text)
  if (!isPicked) writeBelow(writer, level.below)
  writeWhere(writer, level)
  if (!isPicked) return
  writeOrder(writer, level)
  writer.window(level)
  writer.mark(')')
  writeBelow(writer, level.below)
}

function writeSelection(writer: KeyWriter, { columns, table, extras, alias }: Level): void {
  writer.mark(columns === table.all ? table.allText : textOfColumns(columns))
  for (const { value } of extras) {
    writer.mark('+')
    writer.under(alias, value.sql)
    writer.mark(`|a${sized(value.fieldAlias)}`)
  }
}

function writeWhere(writer: KeyWriter, { where, alias }: Level): void {
  if (!where) return
  writer.mark('|w')
  writer.under(alias, where)
}

function writeOrder(writer: KeyWriter, { orderBy, alias }: Level): void {
  if (orderBy.length === 0) return
  writer.mark(`|o${orderBy.length};`)
  for (const term of orderBy) {
    writer.under(alias, term)
    writer.mark(',')
  }
}
