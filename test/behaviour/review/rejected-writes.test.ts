/** With `onPending: 'reject'` a committed write may be told as one whose store could not be told: all of it waits. */
import { cached, memoryStore, type Store } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { expect, test, vi } from 'vitest'
import { anyLine } from '../../harness/databases.ts'
import { items, itemsSetUp, notes } from '../../support/items.ts'
import { openWrapped } from '../../support/wrapped-database.ts'

test('a write through a data-modifying CTE loses neither its rows nor the other table when the store is away', async () => {
  const kept = memoryStore()
  let away = false
  const store: Store = {
    ...kept,
    remove: (keys) => (away ? Promise.reject(new Error('away')) : kept.remove(keys)),
  }
  const app = await openWrapped(anyLine, {
    ddl: itemsSetUp,
    store,
    tables: [cached(items), cached(notes)],
    onPending: 'reject',
  })
  const item = () => app.db.select().from(items).where(eq(items.id, 1))
  const note = () => app.db.select().from(notes).where(eq(notes.id, 1))
  await item()
  await note()
  away = true
  const noted = app.db.$with('noted').as(app.db.update(notes).set({ body: 'new' }).returning({ id: notes.id }))
  const write = app.db.with(noted).update(items).set({ label: 'new' }).where(eq(items.id, 1))
  await expect(Promise.resolve(write)).rejects.toMatchObject({ code: 'ASIDE_NOT_DELIVERED', committed: true })
  away = false
  await app.clock.advance(5_000)
  await vi.waitFor(() => expect(app.db.$aside.health().store).toMatchObject({ pendingKeys: 0, pendingTables: 0 }))
  expect(await item()).toMatchObject([{ label: 'new' }])
  expect(await note()).toMatchObject([{ body: 'new' }])
  await app.close()
})
