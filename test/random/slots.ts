/** The table of the two processes, and what they record. */
import { integer, pgTable, text } from 'drizzle-orm/pg-core'

/** Every update raises the version by one; a row moves between places that are its own. */
export const slots = pgTable('slots', {
  id: integer('id').primaryKey(),
  slot: text('slot').notNull().unique(),
  version: integer('version').notNull(),
})

export const slotName = (row: number, place: number): string => `${row}/${place}`

export interface Task {
  readonly database: string
  readonly redis: string
  readonly namespace: string
  readonly seed: number
  readonly rows: number
  readonly places: number
  readonly reads: number
  readonly writes: number
  readonly concurrency: number
  /** With fill tokens, and with reads of several rows among the others. */
  readonly tokens?: boolean
  /** Nanoseconds of the shared clock at the start, as text. */
  readonly base: string
}

/** Flat lists: a quarter of a million small objects would take longer to send than to make. */
export interface Record {
  /** row, place asked for (-1: by primary key), start, end, version found (-1: none), place found */
  readonly reads: number[]
  /** row, version, place, start, resolved */
  readonly writes: number[]
  readonly troubles: string[]
  readonly hits: number
  readonly misses: number
  /** With fill tokens: misses that were served by the other process's fill. */
  readonly served?: number
}
