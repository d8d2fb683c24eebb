import { PGlite } from '@electric-sql/pglite'
import { drizzle as overNodePostgres } from 'drizzle-orm/node-postgres'
import { drizzle as overPglite, type PgliteDatabase } from 'drizzle-orm/pglite'
import { Pool } from 'pg'
import type { Queries } from './table-store.ts'

/** Where the app's tables lie, and where the store's table lies: connections of their own for each. */
export interface Home {
  /** The builders are the same over both drivers, so one type serves them. */
  openApp(): PgliteDatabase
  readonly app: Queries
  readonly store: Queries
  close(): Promise<void>
}

/** Embedded, two databases: a PGlite instance has one connection. */
export async function openEmbedded(): Promise<Home> {
  const [app, store] = await Promise.all([PGlite.create(), PGlite.create()])
  return {
    openApp: () => overPglite({ client: app }),
    app,
    store,
    close: async () => void (await Promise.all([app.close(), store.close()])),
  }
}

/** One database on a server, two pools. */
export function openServer(url: string): Home {
  const app = new Pool({ connectionString: url, max: 4 })
  const store = openStorePool(url)
  return {
    openApp: () => overNodePostgres(app) as unknown as PgliteDatabase,
    app,
    store,
    close: async () => void (await Promise.all([app.end(), store.end()])),
  }
}

/**
 * A pool that gives up soon: the extension waits 50 ms for a read, and a question that hangs for minutes would only keep
 * a connection from the others.
 */
export function openStorePool(url: string): Pool {
  const limits = { connectionTimeoutMillis: 1_000, query_timeout: 2_000, statement_timeout: 2_000 }
  const pool = new Pool({ connectionString: url, max: 8, ...limits })
  // Without a listener the loss of an idle connection ends the process. Whoever asks next gets a new one.
  pool.on('error', (error) => console.error(`the store lost a connection: ${error.message}`))
  return pool
}
