/** The same keys fall whichever driver carries the write, and its result is the driver's own. */
import { randomBytes } from 'node:crypto'
import { cached, memoryStore } from 'drizzle-aside'
import { and, eq, gt, inArray, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../harness/clock.ts'
import { type App, type DriverHome, drivers, homeOf } from '../../support/drivers.ts'

const things = pgTable('things', {
  id: integer().primaryKey(),
  code: text().unique(),
  n: integer().notNull().default(0),
})
const parts = pgTable('parts', { id: integer().primaryKey(), thing: integer(), n: integer() })
const ddl = `
  create table things (id int primary key, code text unique, n int not null default 0);
  create table parts (id int primary key, thing int references things on delete cascade, n int default 0);
`
const rows = [
  'delete from parts',
  'delete from things',
  `insert into things select n, 'c' || n from generate_series(1, 20) n`,
  'insert into parts select n, n from generate_series(1, 20) n',
]

type Db = App['db']
interface Case {
  readonly says: string
  readonly write: (db: Db) => PromiseLike<unknown>
  /** Keys and codes that fall; all else must still hit. */
  readonly ids?: number[]
  readonly codes?: string[]
  readonly parts?: boolean
  /** The whole table falls before PostgreSQL 18. */
  readonly wideBefore18?: boolean
}

const cases: Case[] = [
  { says: 'insert', write: (db) => db.insert(things).values({ id: 30, code: 'new' }), ids: [30], codes: ['new'] },
  {
    says: 'insert with RETURNING',
    write: (db) => db.insert(things).values({ id: 30, code: 'new' }).returning(),
    ids: [30],
    codes: ['new'],
  },
  {
    says: 'insert of a select',
    write: (db) =>
      db.insert(things).select(
        db
          .select({ id: sql<number>`${things.id} + 29`.as('id'), code: sql<string>`'new'`.as('code'), n: things.n })
          .from(things)
          .where(eq(things.id, 1)),
      ),
    ids: [30],
    codes: ['new'],
  },
  { says: 'insert or nothing', write: (db) => db.insert(things).values({ id: 1, code: 'new' }).onConflictDoNothing() },
  {
    says: 'upsert of a counter',
    write: (db) =>
      db
        .insert(things)
        .values({ id: 1 })
        .onConflictDoUpdate({ target: things.id, set: { n: 5 } }),
    ids: [1],
    codes: ['c1'],
  },
  {
    says: 'upsert of a unique column',
    write: (db) =>
      db
        .insert(things)
        .values({ id: 1 })
        .onConflictDoUpdate({ target: things.id, set: { code: 'new' } }),
    ids: [1],
    codes: ['c1', 'new'],
    wideBefore18: true,
  },
  {
    says: 'update of a counter by key',
    write: (db) =>
      db
        .update(things)
        .set({ n: sql`${things.n} + 1` })
        .where(eq(things.id, 1)),
    ids: [1],
    codes: ['c1'],
  },
  {
    says: 'update with no parameter at all',
    write: (db) => db.update(things).set({ n: sql`n + 1` }).where(sql`id = 1`),
    ids: [1],
    codes: ['c1'],
  },
  {
    says: 'update of a unique column',
    write: (db) => db.update(things).set({ code: 'new' }).where(eq(things.id, 1)),
    ids: [1],
    codes: ['c1', 'new'],
  },
  {
    says: 'update of a unique column with RETURNING',
    write: (db) =>
      db
        .update(things)
        .set({ code: 'new' })
        .where(eq(things.id, 1))
        .returning({ n: things.n, up: sql<string>`upper(${things.code})` }),
    ids: [1],
    codes: ['c1', 'new'],
  },
  {
    says: 'update of a unique column by anything',
    write: (db) =>
      db
        .update(things)
        .set({ code: 'new' })
        .where(and(gt(things.id, 0), sql`${things.id} < 2`)),
    ids: [1],
    codes: ['c1', 'new'],
  },
  {
    says: 'update that computes a unique column by anything',
    write: (db) =>
      db
        .update(things)
        .set({ code: sql`${things.code} || 'x'` })
        .where(and(gt(things.id, 0), sql`${things.id} < 2`)),
    ids: [1],
    codes: ['c1'],
    wideBefore18: true,
  },
  { says: 'update of nothing', write: (db) => db.update(things).set({ n: 1 }).where(gt(things.id, 1000)) },
  {
    says: 'update by a list',
    write: (db) =>
      db
        .update(things)
        .set({ n: 1 })
        .where(inArray(things.id, [1, 2])),
    ids: [1, 2],
    codes: ['c1'],
  },
  {
    says: 'update from',
    write: (db) =>
      db
        .update(things)
        .set({ n: 9 })
        .from(parts)
        .where(and(eq(parts.thing, things.id), eq(parts.id, 1))),
    ids: [1],
    codes: ['c1'],
  },
  {
    says: 'delete by key',
    write: (db) => db.delete(things).where(eq(things.id, 1)),
    ids: [1],
    codes: ['c1'],
    parts: true,
  },
  {
    says: 'delete by anything',
    write: (db) => db.delete(things).where(and(gt(things.id, 0), sql`${things.id} < 2`)),
    ids: [1],
    codes: ['c1'],
    parts: true,
  },
  {
    says: 'delete with RETURNING',
    write: (db) => db.delete(things).where(eq(things.id, 1)).returning({ id: things.id }),
    ids: [1],
    codes: ['c1'],
    parts: true,
  },
  {
    says: 'a transaction',
    write: (db) =>
      db.transaction(async (tx) => {
        await tx.update(things).set({ n: 3 }).where(eq(things.id, 1))
        await tx.transaction(
          async (inner) => void (await inner.update(things).set({ code: 'new' }).where(eq(things.id, 2))),
        )
      }),
    ids: [1, 2],
    codes: ['c1', 'new'],
  },
  {
    says: 'a transaction that rolls back',
    write: (db) =>
      db
        .transaction(async (tx) => {
          await tx.update(things).set({ n: 3 }).where(eq(things.id, 1))
          throw new Error('never mind')
        })
        .catch((error: Error) => error.message),
  },
]

/** Drizzle gives each statement functions of its own to parse with. */
const bare = (result: unknown): unknown =>
  typeof result === 'object' && result !== null && '_types' in result ? { ...result, _types: undefined } : result

const ids = [1, 2, 3, 30]
const codes = ['c1', 'new', 'c3']

const servers = [15, 18] as const
const runs = drivers.flatMap((driver) =>
  (driver.name === 'pglite' ? [18 as const] : servers).map((line) => ({ driver, line })),
)

describe.each(runs)('$driver.name, PostgreSQL $line', ({ driver, line }) => {
  let home: DriverHome
  let app: App
  beforeAll(async () => {
    home = await homeOf(driver, ddl, line)
    const clock = manualClock()
    const namespace = `t-${randomBytes(6).toString('hex')}`
    app = await home.open({ namespace, clock, store: memoryStore({ clock }), tables: [cached(things), cached(parts)] })
  })
  beforeEach(async () => {
    await home.outside(...rows)
    await app.db.$aside.flush()
  })
  afterAll(async () => {
    await app.close()
    await home.drop()
  })

  /** Asks all, and says for which the database was asked. */
  const ask = async (): Promise<{ ids: number[]; codes: string[]; parts: boolean }> => {
    const asked = async (read: (db: Db) => PromiseLike<unknown>): Promise<boolean> => {
      const before = app.sql.statements.length
      const answer = await read(app.db)
      const sent = app.sql.statements.length - before
      expect(answer).toEqual(await read(app.plain as unknown as Db))
      return sent > 0
    }
    const found = { ids: [] as number[], codes: [] as string[], parts: false }
    for (const id of ids) if (await asked((db) => db.select().from(things).where(eq(things.id, id)))) found.ids.push(id)
    for (const code of codes)
      if (await asked((db) => db.select().from(things).where(eq(things.code, code)))) found.codes.push(code)
    found.parts = await asked((db) => db.select().from(parts).where(eq(parts.id, 1)))
    return found
  }

  it.each(cases)(
    '$says',
    async ({ write, ids: fallen = [], codes: gone = [], parts: children = false, wideBefore18 }) => {
      const expected = await write(app.plain as unknown as Db)
      await home.outside(...rows)
      await ask()
      expect(await ask()).toEqual({ ids: [], codes: [], parts: false })
      expect(bare(await write(app.db))).toEqual(bare(expected))
      const wide = wideBefore18 && line === 15
      expect(await ask()).toEqual({ ids: wide ? ids : fallen, codes: wide ? codes : gone, parts: children })
    },
  )
})
