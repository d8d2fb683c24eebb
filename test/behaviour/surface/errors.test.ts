/** A statement that fails, fails as with plain Drizzle; one that only our columns make fail, does not. */
import { randomBytes } from 'node:crypto'
import { cached, memoryStore, withCache } from 'drizzle-aside'
import { and, eq, inArray, ne, type SQL, sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { customType, date, integer, pgEnum, pgTable, smallint, text } from 'drizzle-orm/pg-core'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PostgresLine } from '../../harness/databases.ts'
import { openWrapped, type WrappedDatabase } from '../../support/wrapped-database.ts'

const accounts = pgTable('accounts', {
  id: integer().primaryKey(),
  email: text().notNull().unique(),
  balance: integer().notNull(),
  secret: text(),
})
/** What the role may not see all of. */
const shown = pgTable('accounts', {
  id: integer().primaryKey(),
  email: text().notNull().unique(),
  balance: integer().notNull(),
})
const fussy = customType<{ data: string; driverData: string }>({
  dataType: () => 'text',
  fromDriver: (value) => {
    if (value === 'bad') throw new RangeError('no such value')
    return value
  },
})
const moods = pgTable('moods', { id: integer().primaryKey(), code: text().unique(), value: fussy() })
const feeling = pgEnum('feeling', ['low', 'high'])
const diary = pgTable('diary', { id: integer().primaryKey(), day: date(), feeling: feeling(), pages: smallint() })

const ddl = `
  create type feeling as enum ('low', 'high');
  create table diary (id int primary key, day date, feeling feeling, pages smallint);
  insert into diary values (1, '2024-02-29', 'low', 5);
  create table accounts (id int primary key, email text not null unique, balance int not null check (balance >= 0), secret text);
  create table moods (id int primary key, code text unique, value text);
  insert into accounts values (1, 'ada@x', 10, 's1'), (2, 'bob@x', 20, 's2');
  insert into moods values (1, 'a', 'good');
  do $$ begin create role clerk login password 'clerk'; exception when duplicate_object or unique_violation then null; end $$;
  grant select (id, balance), update (balance, email), insert, delete on accounts to clerk;`

type Db = NodePgDatabase<Record<string, unknown>>

/** Beside the key of a row that is in the cache. */
const beside = (condition: SQL) => async (db: Db) => {
  await db.select().from(diary).where(eq(diary.id, 1))
  return db
    .select()
    .from(diary)
    .where(and(eq(diary.id, 1), condition))
}

const failing: [what: string, code: string, run: (db: Db) => PromiseLike<unknown>][] = [
  [
    'a value that is not unique',
    '23505',
    (db) => db.update(accounts).set({ email: 'bob@x' }).where(eq(accounts.id, 1)),
  ],
  [
    'a value that is not unique, returning',
    '23505',
    (db) => db.update(accounts).set({ email: 'bob@x' }).where(eq(accounts.id, 1)).returning(),
  ],
  ['an insert that is not unique', '23505', (db) => db.insert(accounts).values({ id: 1, email: 'x', balance: 0 })],
  [
    'a failing check',
    '23514',
    (db) =>
      db
        .update(accounts)
        .set({ balance: sql`${accounts.balance} - ${100}` })
        .where(eq(accounts.id, 1)),
  ],
  ['a failing check, all rows', '23514', (db) => db.update(accounts).set({ balance: -1 })],
  [
    'null where it may not be',
    '23502',
    (db) => db.update(accounts).set({ email: sql`null` }).where(eq(accounts.id, 1)),
  ],
  [
    'an upsert that fails a check',
    '23514',
    (db) =>
      db
        .insert(accounts)
        .values({ id: 1, email: 'q', balance: 1 })
        .onConflictDoUpdate({ target: accounts.id, set: { balance: -1, email: 'q' } }),
  ],
  [
    'a column that is not there',
    '42703',
    (db) => db.update(accounts).set({ balance: sql`no_such_column` }).where(eq(accounts.id, 1)),
  ],
  [
    'a value of another type as key',
    '22P02',
    (db) =>
      db
        .select()
        .from(accounts)
        .where(eq(accounts.id, 'x' as unknown as number)),
  ],
  ['a number out of range as key', '22003', (db) => db.select().from(accounts).where(eq(accounts.id, 5_000_000_000))],
  ['a label that the enum does not have, beside a key', '22P02', beside(eq(diary.feeling, 'none' as 'low'))],
  ['such a label in a list', '22P02', beside(inArray(diary.feeling, ['low', 'none' as 'low']))],
  ['a number out of range beside a key', '22003', beside(ne(diary.pages, 40_000))],
  ['a day that is not in the calendar, beside a key', '22008', beside(eq(diary.day, '2023-02-29'))],
  ['a division by zero in a condition', '22012', (db) => db.delete(accounts).where(sql`1 / 0 = ${1}`)],
]

describe.each([15, 18] as const)('on PostgreSQL %s', (line: PostgresLine) => {
  let test: WrappedDatabase
  beforeAll(async () => {
    test = await openWrapped(line, { ddl, tables: [cached(accounts), cached(moods), cached(diary)] })
  })
  afterAll(() => test.close())

  it.each(failing)('%s: the same class, text, parameters and cause (%s)', async (_, code, run) => {
    const told = (db: Db): Promise<unknown> =>
      Promise.resolve(run(db)).then(
        () => 'no error',
        (error: unknown) => error,
      )
    const [expected, found] = [await told(test.outside as Db), await told(test.db as unknown as Db)] as Failed[]
    expect(found?.constructor).toBe(expected?.constructor)
    expect(found?.constructor.name).toBe('DrizzleQueryError')
    expect(found?.query).toBe(expected?.query)
    expect(found?.params).toEqual(expected?.params)
    expect(found?.message).toBe(expected?.message)
    expect(found?.cause.constructor).toBe(expected?.cause.constructor)
    expect(found?.cause).toMatchObject({
      code,
      message: expected?.cause.message,
      constraint: expected?.cause.constraint,
    })
    expect(found?.cause.detail).toBe(expected?.cause.detail)
  })

  it('a failed write invalidates nothing, and the row still hits', async () => {
    const find = () => test.db.select().from(accounts).where(eq(accounts.id, 2))
    await find()
    const before = test.db.$aside.stats().invalidations
    await test.db
      .update(accounts)
      .set({ balance: -1 })
      .where(eq(accounts.id, 2))
      .catch(() => undefined)
    test.count.reset()
    expect(await find()).toHaveLength(1)
    expect(test.count.count()).toBe(0)
    expect(test.db.$aside.stats().invalidations).toBe(before)
  })

  it("a write whose answer cannot be mapped is invalidated, and fails with the column's own error", async () => {
    const find = () => test.db.select({ code: moods.code }).from(moods).where(eq(moods.id, 1))
    expect(await find()).toEqual([{ code: 'a' }])
    const write = test.db.update(moods).set({ code: 'b', value: 'bad' }).where(eq(moods.id, 1)).returning()
    await expect(write).rejects.toThrow('no such value')
    expect(await find()).toEqual([{ code: 'b' }])
    await expect(test.db.select().from(moods).where(eq(moods.id, 1))).rejects.toThrow('no such value')
    await expect(test.db.select().from(moods).where(eq(moods.id, 1))).rejects.toThrow('no such value')
  })
})

describe.each([15, 18] as const)('a role that may not see every column, on PostgreSQL %s', (line: PostgresLine) => {
  let test: WrappedDatabase
  beforeAll(async () => {
    test = await openWrapped(line, { ddl, tables: [cached(accounts)], role: { user: 'clerk', password: 'clerk' } })
  })
  afterAll(() => test.close())

  const balance = async (id: number) =>
    (await test.db.select({ balance: accounts.balance }).from(accounts).where(eq(accounts.id, id)))[0]?.balance

  it('reads that need only what it may see are answered, again and again', async () => {
    for (let round = 0; round < 3; round++) expect(await balance(1)).toBe(10)
    await test.run('update accounts set balance = 11 where id = 1')
    await test.db.$aside.invalidate(accounts)
    expect(await balance(1)).toBe(11)
  })

  it('a read of what it may not see fails as plain', async () => {
    await expect(test.db.select().from(accounts).where(eq(accounts.id, 1))).rejects.toMatchObject({
      cause: { code: '42501' },
    })
  })

  it('writes whose hidden columns it may not see run as they were written, and readers see them', async () => {
    expect(await balance(2)).toBe(20)
    const result = await test.db.update(accounts).set({ balance: 21 }).where(eq(accounts.id, 2))
    expect(result).toMatchObject({ command: 'UPDATE', rowCount: 1, rows: [] })
    expect(await balance(2)).toBe(21)
    await test.db.transaction((tx) => tx.update(accounts).set({ balance: 22 }).where(eq(accounts.id, 2)))
    expect(await balance(2)).toBe(22)
    await test.db.insert(accounts).values({ id: 3, email: 'cyd@x', balance: 3 })
    expect(await balance(3)).toBe(3)
    await test.db.delete(accounts).where(eq(accounts.id, 3))
    expect(await balance(3)).toBeUndefined()
  })

  it('a privilege taken away while facts are old: an autocommit write runs once, as it was written', async () => {
    const own = new Pool({ connectionString: urlFor(test.url), max: 2 })
    const db = withCache(drizzle(own), {
      store: memoryStore(),
      namespace: `t-${randomBytes(6).toString('hex')}`,
      clock: test.clock,
      tables: [cached(shown)],
    })
    await test.run('grant select on accounts to clerk')
    await db.$aside.ready({ reload: true })
    expect(await db.select({ n: shown.balance }).from(shown).where(eq(shown.id, 2))).toEqual([{ n: 22 }])
    await test.run('revoke select on accounts from clerk; grant select (id, balance) on accounts to clerk')
    await db.update(shown).set({ balance: sql`balance + 1` }).where(eq(shown.id, 2))
    expect(await test.run('select balance from accounts where id = 2')).toEqual([{ balance: 23 }])
    expect(await db.select({ n: shown.balance }).from(shown).where(eq(shown.id, 2))).toEqual([{ n: 23 }])
    await db.$aside.close()
    await own.end()
  })
})

function urlFor(url: string): string {
  const changed = new URL(url)
  changed.username = 'clerk'
  changed.password = 'clerk'
  return changed.href
}

interface Failed extends Error {
  readonly query: string
  readonly params: unknown[]
  readonly cause: Error & { code?: string; constraint?: string; detail?: string }
}
