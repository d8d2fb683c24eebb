/** A wrapped db cannot be told from plain Drizzle: every form of statement, on every driver, three times in a row. */
import { memoryStore, outboxMigration } from 'drizzle-aside'
import { describe, expect, it } from 'vitest'
import { manualClock } from '../../harness/clock.ts'
import { compareSurface, compareTexts } from '../../support/compare-surface.ts'
import { openPair, subjects } from '../../support/surface-pair.ts'

describe.each(subjects)('over %s', (_, driver, line) => {
  it('F7–F13: every statement comes to the same with all tables cached, hits included', async () => {
    const pair = await openPair(driver, line)
    try {
      expect(compareTexts(pair.plain, pair.wrapped)).toEqual([])
      expect(await compareSurface(pair.plain, pair.wrapped, { rounds: 3 })).toEqual([])
      expect(pair.wrapped.$aside.stats().hits).toBeGreaterThan(100)
    } finally {
      await pair.close()
    }
  })

  it('F13: every statement comes to the same with no table cached', async () => {
    const pair = await openPair(driver, line, { tables: [] })
    try {
      expect(await compareSurface(pair.plain, pair.wrapped, { rounds: 1 })).toEqual([])
      expect(pair.app.told.events.map(({ type }) => type)).not.toContain('invalidate')
    } finally {
      await pair.close()
    }
  })

  it('F13: every statement comes to the same with an outbox beside it', async () => {
    // PGlite lets no timer run while it works, and a busy machine then makes this process one that is not known any more.
    const clock = manualClock()
    const shared = { ...memoryStore({ clock }), processLocal: false }
    const pair = await openPair(driver, line, { store: shared, clock, outbox: 'always' }, outboxMigration())
    try {
      expect(compareTexts(pair.plain, pair.wrapped)).toEqual([])
      expect(await compareSurface(pair.plain, pair.wrapped, { rounds: 1 })).toEqual([])
      expect(pair.app.sql.count(/^with "__aside_row" as \(insert into "public"."aside_outbox"/)).toBeGreaterThan(50)
      expect(pair.app.told.of('outboxFailed')).toEqual([])
    } finally {
      await pair.close()
    }
  })

  it('F13: every statement comes to the same while its keys go to the outbox alone, in a transaction around it', async () => {
    const down = async (): Promise<never> => {
      throw new Error('down')
    }
    const store = { ...memoryStore(), processLocal: false, remove: down, removeAndLook: down }
    const pair = await openPair(driver, line, { store, outbox: 'when-down' }, outboxMigration())
    try {
      expect(await compareSurface(pair.plain, pair.wrapped, { rounds: 1 })).toEqual([])
      const own =
        driver.name === 'node-postgres client' ? /^with "__aside_row"/ : /^insert into "public"."aside_outbox"/
      expect(pair.app.sql.count(own)).toBeGreaterThan(20)
      expect(pair.app.told.of('outboxFailed')).toEqual([])
    } finally {
      await pair.close()
    }
  })

  it('F18: every statement comes to the same with a store that never holds anything', async () => {
    const none = {
      ...memoryStore(),
      read: async (keys: readonly string[]) => keys.map(() => null),
      write: async () => {},
    }
    const pair = await openPair(driver, line, { store: none })
    try {
      expect(await compareSurface(pair.plain, pair.wrapped, { rounds: 1 })).toEqual([])
      expect(pair.wrapped.$aside.stats().hits).toBe(0)
    } finally {
      await pair.close()
    }
  })
})
