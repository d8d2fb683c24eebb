/** What a service of the histories over different options is given. */
import { integer, pgTable } from 'drizzle-orm/pg-core'
import type { Task } from './slots.ts'

/** A table that some list and nobody changes: listing it makes another configuration. */
export const others = pgTable('others', { id: integer('id').primaryKey() })

export interface Service extends Omit<Task, 'reads' | 'writes'> {
  readonly name: string
  readonly driver: 'node-postgres' | 'postgres-js'
  /** For each round the tables that the service caches. */
  readonly rounds: readonly (readonly ('slots' | 'others')[])[]
  /** Reads and writes of each round. */
  readonly steps: number
  readonly writeShare: number
  /** Begins only when all services know of each other. */
  readonly agree: boolean
}
