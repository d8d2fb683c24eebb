/**
 * The same app over each driver, for tests that hold for all of them.
 *
 * `db` has the type that it has over node-postgres: the builders are the same, only native results differ in their type.
 */
import type { PostgresLine } from '../harness/databases.ts'
import { anyLine, freshDatabase } from '../harness/databases.ts'
import { outside } from './items.ts'
import { type AppOptions, openApp, openPglite, openPostgresJs, openSingle } from './open-app.ts'

export type App = Pick<Awaited<ReturnType<typeof openApp>>, 'db' | 'plain' | 'sql' | 'told' | 'close'>

export interface Driver {
  readonly name: 'node-postgres pool' | 'node-postgres client' | 'postgres-js' | 'pglite'
  /** Whether the outer db shares the connection of an open transaction, or waits for its end. */
  readonly outer: 'another connection' | 'the same connection' | 'waits'
}

export const drivers: readonly Driver[] = [
  { name: 'node-postgres pool', outer: 'another connection' },
  { name: 'node-postgres client', outer: 'the same connection' },
  { name: 'postgres-js', outer: 'another connection' },
  { name: 'pglite', outer: 'waits' },
]

export interface DriverHome {
  open(options: Omit<AppOptions, 'url'>): Promise<App>
  /** Runs statements as an outsider; with PGlite over the last app's own instance, for it has only one. */
  outside(...statements: string[]): Promise<Record<string, unknown>[]>
  drop(): Promise<void>
}

/** A database for the driver, set up with the given statements; each PGlite app gets its own. */
export async function homeOf(driver: Driver, setUp: string, line: PostgresLine = anyLine): Promise<DriverHome> {
  if (driver.name === 'pglite') return embeddedHome(setUp)
  const database = await freshDatabase(line)
  await outside(database.url, setUp)
  const { url } = database
  const open = { 'node-postgres pool': openApp, 'node-postgres client': openSingle, 'postgres-js': openPostgresJs }[
    driver.name
  ] as (options: AppOptions) => Promise<unknown>
  return {
    open: async (options) => (await open({ ...options, url })) as App,
    outside: (...statements) => outside(url, ...statements),
    drop: () => database.drop(),
  }
}

function embeddedHome(setUp: string): DriverHome {
  let last: Awaited<ReturnType<typeof openPglite>> | undefined
  return {
    open: async (options) => {
      last = await openPglite({ ...options, setUp })
      return last as unknown as App
    },
    outside: async (...statements) => {
      let rows: Record<string, unknown>[] = []
      for (const statement of statements) rows = (await last?.client.exec(statement))?.at(-1)?.rows ?? []
      return rows
    },
    drop: async () => {},
  }
}
