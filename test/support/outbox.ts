/**
 * Services over one database with an outbox, and one set of texts that all share; each reaches it by a link of its own.
 *
 * Promises: one clock for all, which stands until it is moved; the register is old and names everybody when `grown` has
 * resolved. The database's own clock cannot be moved: `overdue` makes all rows of the outbox older instead.
 */
import { type AsideOptions, cached, memoryStore, outboxMigration, type Store } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { expect } from 'vitest'
import { type ManualClock, manualClock, settle } from '../harness/clock.ts'
import type { App, DriverHome } from './drivers.ts'
import { items, itemsSetUp, notes } from './items.ts'

export const outboxSetUp = `${itemsSetUp}; ${outboxMigration()}`

/** A process's way to the texts; cut, every call fails. */
export interface Link {
  readonly store: Store
  isCut: boolean
}

export interface Services {
  readonly clock: ManualClock
  readonly texts: Store
  link(): Link
  open(link: Link, more?: Partial<AsideOptions>): Promise<App>
  /** All know each other, and nothing is new. */
  grown(): Promise<void>
  /** Rows of the outbox now. */
  rows(): Promise<{ id: string; namespace: string; keys: string }[]>
  /** Every row becomes ten seconds older. */
  overdue(): Promise<void>
  /** The next look of every process: rows that are overdue are delivered and gone. */
  drained(): Promise<void>
  close(): Promise<void>
}

export function services(home: DriverHome): Services {
  const clock = manualClock()
  const texts = memoryStore({ clock })
  const apps: App[] = []
  const rows = async () => (await home.outside('select * from aside_outbox order by written_at')) as never
  return {
    clock,
    texts,
    rows,
    link: () => linkTo(texts),
    async open({ store }, more = {}) {
      const tables = [cached(items), cached(notes)]
      const given = { store, clock, namespace: 'outbox', tables, catalogReread: '1h' as const, ...more }
      const app = await home.open({ outbox: 'always', ...given })
      apps.push(app)
      return app
    },
    async grown() {
      for (let beat = 0; beat < 5; beat++) {
        clock.advance(2_000)
        for (let turn = 0; turn < 20; turn++) await settle()
      }
      for (const { told } of apps) told.forget()
    },
    overdue: async () => void (await home.outside(`update aside_outbox set written_at = written_at - interval '10 s'`)),
    async drained() {
      clock.advance(500)
      await expect.poll(async () => (await rows()) as unknown[]).toEqual([])
    },
    async close() {
      for (const app of apps) await app.close()
    },
  }
}

function linkTo(texts: Store): Link {
  const link = { isCut: false }
  const passing = <Args extends unknown[], R>(verb: (...args: Args) => Promise<R>) => {
    return async (...args: Args): Promise<R> => {
      if (link.isCut) throw new Error('the link is cut')
      return verb(...args)
    }
  }
  const { enter, removeAndLook } = texts as Required<Store>
  const store: Store = {
    name: 'shared',
    processLocal: false,
    read: passing(texts.read),
    mint: passing(texts.mint),
    write: passing(texts.write),
    remove: passing(texts.remove),
    enter: passing(enter),
    removeAndLook: passing(removeAndLook),
    clear: passing(texts.clear),
    close: async () => {},
  }
  return Object.assign(link, { store })
}

export const byId = ({ db }: Pick<App, 'db'>, id: number) => db.select().from(items).where(eq(items.id, id))

export const isHit = async (app: App, id: number): Promise<boolean> =>
  (await app.db.$aside.explain(byId(app, id))).state === 'hit'

/** Fills the row until it hits. */
export async function warm(app: App, ...ids: number[]): Promise<void> {
  for (const id of ids) {
    await byId(app, id)
    await expect.poll(() => isHit(app, id)).toBe(true)
  }
}
