/**
 * What a test file asks for: an own database, an own corner of Redis, or a private server to torment.
 *
 * Promises: two callers never see each other's data. `drop()` is polite, not required: what is left behind goes with
 * the run's servers (or is removed at the end on servers that were given by URL).
 */
import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import { createDatabase, type FreshDatabase } from './create-database.ts'
import { databasePrefix } from './global-setup.ts'
import { removeKeys } from './redis-keys.ts'
import type { PostgresLine } from './servers.ts'

export type { FreshDatabase } from './create-database.ts'
export {
  type PostgresLine,
  type PrivatePair,
  type PrivateServer,
  privatePair,
  privatePostgres,
  privateRedis,
} from './servers.ts'

export interface FreshRedis {
  url: string
  /** To be used as the `namespace` of `withCache`: no other caller has it. */
  namespace: string
  /** Removes every key whose name contains the namespace. */
  drop(): Promise<void>
}

/** The line of tests that hold on each: 18, or that of the version which a run on another one is about. */
export const anyLine: PostgresLine = process.env.TEST_POSTGRES_FOLDER ? 15 : 18

/** An empty database on the run's PostgreSQL. `line` 15 may be any of 13 to 17 where 15 is not installed. */
export function freshDatabase(line: PostgresLine = anyLine): Promise<FreshDatabase> {
  const server = line === 18 ? inject('postgres18') : inject('postgres15')
  return createDatabase(server.url, databasePrefix(inject('run')))
}

/** The run's Redis and a namespace of one's own on it. For a count of all commands use `privateRedis()`. */
export async function freshRedis(): Promise<FreshRedis> {
  const { url } = inject('redis')
  const namespace = `t-${inject('run')}-${randomBytes(6).toString('hex')}`
  return { url, namespace, drop: () => removeKeys(url, namespace) }
}
