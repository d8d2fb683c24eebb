import { randomUUID } from 'node:crypto'
import type { OpenedStore } from '@drizzle-aside/store-conformance'
import { createStoreTable, type Queries, tableStore } from './table-store.ts'

/** Two stores over one table, for one case of the suite. */
export async function openCase(db: Queries, other: Queries): Promise<OpenedStore> {
  const prefix = `case-${randomUUID()}:`
  await createStoreTable(db)
  // A sweep with every second entry: that must disturb nobody.
  const [store, second] = [tableStore(db, { sweepEvery: 2 }), tableStore(other)]
  return {
    store,
    second,
    prefix,
    // What is kept grows older where it lies.
    async advance(ms) {
      const older = `update aside_texts set ends_at = ends_at - $1::float8 * interval '1 millisecond'`
      await db.query(`${older} where starts_with(key, $2)`, [ms, prefix])
    },
    async close() {
      await second.clear(prefix)
      await Promise.all([store.close(), second.close()])
    },
  }
}
