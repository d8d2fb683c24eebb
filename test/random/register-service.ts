/** What a service of the histories over different options is given. */
import { integer, pgTable } from 'drizzle-orm/pg-core'

/** A table that some list and nobody changes: listing it makes another configuration. */
export const others = pgTable('others', { id: integer('id').primaryKey() })

export interface Service {
  readonly name: string
  readonly driver: 'node-postgres' | 'postgres-js'
  /** For each round the tables that the service caches. */
  readonly rounds: readonly (readonly ('slots' | 'others')[])[]
  /** Reads and writes of each round. */
  readonly steps: number
  readonly writeShare: number
  /** Begins only when all services know of each other. */
  readonly agree: boolean
  readonly database: string
  readonly redis: string
  readonly namespace: string
  readonly seed: number
  readonly rows: number
  readonly places: number
  readonly concurrency: number
  /** Nanoseconds of the shared clock at the start, as text. */
  readonly base: string
}
