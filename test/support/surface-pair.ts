/** Plain Drizzle and a wrapped db over two databases of the same history. */
import { randomBytes } from 'node:crypto'
import { type AsideOptions, cached, memoryStore } from 'drizzle-aside'
import type { PostgresLine } from '../harness/databases.ts'
import { type App, type Driver, drivers, homeOf } from './drivers.ts'
import type { SurfaceDb } from './surface-cases.ts'
import { surfaceSchema, surfaceSetUp, surfaceTables } from './surface-tables.ts'

/** Each driver on its servers: the older line matters where statements are rewritten, which no driver decides. */
export const subjects = drivers.flatMap((driver): Subject[] => {
  if (driver.name === 'pglite') return [['pglite', driver, 18]]
  return ([15, 18] as const).map((line) => [`${driver.name}, PostgreSQL ${line}`, driver, line])
})
export type Subject = readonly [name: string, driver: Driver, line: PostgresLine]

export interface SurfacePair {
  readonly plain: SurfaceDb
  readonly wrapped: SurfaceDb & App['db']
  readonly app: App
  close(): Promise<void>
}

export const everyTable = (): AsideOptions['tables'] => surfaceTables.map((table) => cached(table))

export async function openPair(
  driver: Driver,
  line: PostgresLine,
  options: Partial<AsideOptions> = {},
  more = '',
): Promise<SurfacePair> {
  const setUp = `${surfaceSetUp};${more}`
  const homes = await Promise.all([homeOf(driver, setUp, line), homeOf(driver, setUp, line)])
  const shared = { schema: surfaceSchema, namespace: `t-${randomBytes(6).toString('hex')}` }
  const first = await homes[0].open({ ...shared, store: memoryStore(), tables: [], awaitReady: false })
  const app = await homes[1].open({ ...shared, store: memoryStore(), tables: everyTable(), ...options })
  return {
    plain: first.plain as unknown as SurfaceDb,
    wrapped: app.db as unknown as SurfaceDb & App['db'],
    app,
    close: async () => {
      await first.close()
      await app.close()
      for (const home of homes) await home.drop()
    },
  }
}
