/** The numbers of items as a `History` reads and raises them; -1: there is no such item. */
import { eq, sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { ReadNumber } from './history.ts'
import { items } from './items.ts'

type Db = Pick<NodePgDatabase<Record<string, unknown>>, 'select' | 'update'>

export const readByKey =
  (db: Db): ReadNumber =>
  async (id) =>
    (await db.select().from(items).where(eq(items.id, id)))[0]?.n ?? -1

export const readByCode =
  (db: Db): ReadNumber =>
  async (id) => {
    const [item] = await db
      .select({ n: items.n })
      .from(items)
      .where(eq(items.code, `c${id}`))
    return item?.n ?? -1
  }

export const raise =
  (db: Db): ReadNumber =>
  async (id) => {
    const raised = { n: sql`${items.n} + 1` }
    const [item] = await db.update(items).set(raised).where(eq(items.id, id)).returning({ n: items.n })
    return item?.n ?? -1
  }
