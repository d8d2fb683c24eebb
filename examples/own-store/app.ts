import { cached, withCache } from 'drizzle-aside'
import type { PgliteDatabase } from 'drizzle-orm/pglite'
import type { Home } from './homes.ts'
import { books } from './schema.ts'
import { tableStore } from './table-store.ts'

/** One start of the app: its db, and what became of the latest question. */
export interface App {
  readonly db: PgliteDatabase
  /** What the extension said since it was last asked. */
  told(): string[]
  close(): Promise<void>
}

export async function openApp(home: Home): Promise<App> {
  const events: string[] = []
  // This is all that an app changes.
  const db = withCache(home.openApp(), {
    store: tableStore(home.store),
    namespace: 'library',
    tables: [cached(books, { lists: (t) => [t.onLoan] })],
    on: (event) => {
      if (event.type === 'bypass') events.push(`bypass: ${event.reason}`)
      else if (event.type === 'storeFailed') events.push(`storeFailed: ${String(event.error)}`)
      else if (['hit', 'miss', 'storeLate', 'pendingDelivery'].includes(event.type)) events.push(event.type)
    },
  })
  await db.$aside.ready()
  return { db, told: () => events.splice(0), close: () => db.$aside.close() }
}
