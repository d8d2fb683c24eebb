/** Drizzle dbs over one database, by any driver. */
import { PGlite } from '@electric-sql/pglite'
import { citext } from '@electric-sql/pglite/contrib/citext'
import { drizzle as overNodePostgres } from 'drizzle-orm/node-postgres'
import { drizzle as overPglite } from 'drizzle-orm/pglite'
import { drizzle as overPostgresJs } from 'drizzle-orm/postgres-js'
import { Pool } from 'pg'
import postgres from 'postgres'
import { gatedPool, type Point } from '../harness/gates.ts'
import type { Db } from './steps.ts'

export type Driver = 'node-postgres' | 'postgres-js' | 'pglite'

export interface Connected {
  readonly dbs: readonly Db[]
  run(text: string): Promise<unknown>
  close(): Promise<unknown>
}

/** Sees each statement before and after it runs; a promise holds it. */
export type Hook = (at: Point, sql: string) => void | Promise<void>

export interface ConnectOptions {
  readonly driver: Driver
  /** Not for PGlite. */
  readonly url: string | undefined
  /** How many dbs, each with a client of its own where there is a server. */
  readonly count: number
  readonly schema: Record<string, unknown>
  readonly hook?: Hook
}

export async function connect({ driver, url, count, schema, hook }: ConnectOptions): Promise<Connected> {
  const options = { schema, casing: 'snake_case' } as const
  if (driver === 'pglite') return connectPglite(count, options, hook)
  if (url === undefined) throw new Error(`${driver} needs the URL of a database.`)
  const each = Array.from({ length: count })
  if (driver === 'postgres-js') {
    const clients = each.map(() => postgres(url, { max: 3, onnotice: () => {} }))
    return {
      dbs: clients.map((client) => overPostgresJs(client, options) as unknown as Db),
      run: async (text) => clients[0]?.unsafe(text),
      close: () => Promise.all(clients.map((client) => client.end())),
    }
  }
  const pools = each.map(() => new Pool({ connectionString: url, max: 4 }))
  if (hook) for (const pool of pools) gatedPool(pool, (at, { sql }) => hook(at, sql))
  return {
    dbs: pools.map((pool) => overNodePostgres(pool, options) as unknown as Db),
    run: async (text) => pools[0]?.query(text),
    close: () => Promise.all(pools.map(endPool)),
  }
}

/** A connection that is being closed may still hear that its database was dropped. */
function endPool(pool: Pool): Promise<void> {
  pool.on('error', () => {})
  return pool.end()
}

type DrizzleOptions = { readonly schema: Record<string, unknown>; readonly casing: 'snake_case' }

async function connectPglite(count: number, options: DrizzleOptions, hook: Hook | undefined): Promise<Connected> {
  const client = await PGlite.create({ extensions: { citext } })
  if (hook) {
    const query = client.query.bind(client)
    client.query = async (text, ...rest) => {
      await hook('before', text)
      const result = await query(text, ...rest)
      await hook('after', text)
      return result as never
    }
  }
  return {
    dbs: Array.from({ length: count }, () => overPglite(client, options) as unknown as Db),
    run: (text) => client.exec(text),
    close: () => client.close(),
  }
}
