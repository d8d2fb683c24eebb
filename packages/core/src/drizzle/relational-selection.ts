import { mapColumnsInAliasedSQLToAlias, sql } from 'drizzle-orm'
import type { Below, Extra, Level, LevelColumn } from './relational-levels.ts'

/** What Drizzle's relational mapper wants to know of each position of a row (`BuildRelationalQueryResult`). */
export interface SelectionItem {
  readonly dbKey: string
  readonly tsKey: string
  readonly field: unknown
  readonly relationTableTsKey: string | undefined
  readonly isJson: boolean
  readonly selection: readonly SelectionItem[]
}

/** The selection of a relational query, as Drizzle's build makes it, without building. */
export function selectionOf(level: Level): SelectionItem[] {
  return [
    ...level.columns.map(columnItem),
    ...level.extras.map((extra) => extraItem(extra, level.alias)),
    ...level.below.map((below) => relationItem(below)),
  ]
}

/** True when the selection holds nothing of one query alone: decoders of extras belong to the user's own objects. */
export function isSelectionShared(level: Level): boolean {
  return level.extras.length === 0 && level.below.every((below) => isSelectionShared(below.level))
}

// Drizzle puts the column under the level's alias, which its decoder does not look at; each look through that proxy would
// cost more than the decoding.
function columnItem({ key, column }: LevelColumn): SelectionItem {
  return { dbKey: column.name, tsKey: key, field: column, ...plain }
}

function extraItem({ key, value }: Extra, alias: string): SelectionItem {
  // Drizzle's own mapping decides what becomes of the decoder: 0.44 and 0.45 lose it.
  const field = mapColumnsInAliasedSQLToAlias(value, alias)
  return { dbKey: value.fieldAlias, tsKey: key, field, ...plain }
}

function relationItem({ key, level }: Below): SelectionItem {
  const field = sql`${sql.identifier(level.alias)}.${sql.identifier('data')}`.as(key)
  const selection = selectionOf(level)
  return { dbKey: key, tsKey: key, field, relationTableTsKey: level.table.tsName, isJson: true, selection }
}

const plain = { relationTableTsKey: undefined, isJson: false, selection: [] }
