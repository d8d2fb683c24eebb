/** Writes of which only the text or the user's word is known: raw SQL, `with({ writes })`, `wrote`, `invalidate`, `flush`. */
import { aside, cached } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  expectFallen,
  expectHits,
  fallenTables,
  openWrapped,
  type Read,
  type WrappedDatabase,
  warm,
} from '../../support/wrapped-database.ts'

const users = pgTable('users', { id: integer().primaryKey(), email: text().unique(), n: integer() })
const posts = pgTable('posts', { id: integer().primaryKey(), n: integer() })
const pairs = pgTable('pairs', { a: integer(), b: text(), n: integer() }, (t) => [primaryKey({ columns: [t.a, t.b] })])
const schema = { users, posts, pairs }
type Schema = typeof schema
const ddl = `
  create table users (id int primary key, email text unique, n int default 0);
  create table posts (id int primary key, n int default 0);
  create table pairs (a int, b text, n int default 0, primary key (a, b));
  create table log (id int primary key, said text);
  create sequence numbers;
  create function harmless(int) returns int language sql immutable as 'select $1';
  create function harmful() returns int language sql volatile as 'update users set n = n + 1 where id = 1 returning n';
  create procedure proc() language sql as 'update users set n = n + 1 where id = 1';
  create view seen as select id, n from users;
  create view doing as select harmful() as n;
`
const rows = `
  delete from users; delete from posts; delete from pairs; delete from log;
  insert into users select n, 'u' || n from generate_series(1, 9) n;
  insert into posts select n from generate_series(1, 9) n;
  insert into pairs select n, 'p' || n from generate_series(1, 9) n;
`
const user =
  (id: number): Read<Schema> =>
  (db) =>
    db.select().from(users).where(eq(users.id, id))
const byEmail =
  (email: string): Read<Schema> =>
  (db) =>
    db.select().from(users).where(eq(users.email, email))
const post =
  (id: number): Read<Schema> =>
  (db) =>
    db.select().from(posts).where(eq(posts.id, id))

const reads: string[] = [
  'select * from users',
  '/* a comment */ select n from seen where id = 1',
  'values (1), (2)',
  'table users',
  'select count(*) from users join posts using (id)',
  'with u as (select * from users) select * from u',
  `select harmless(1), nextval('numbers'), random(), now()`,
  `select pg_advisory_lock(1)`,
  'show server_version',
  'explain update users set n = 99',
  'select * from users for update',
  `select 'update users set n = 1; delete from users'`,
]
const writes: string[] = [
  'update users set n = n + 1 where id = 1',
  'UPDATE "users" set n = n + 1 where id = 1',
  '-- a comment\nupdate users set n = n + 1 where id = 1',
  'select harmful()',
  'select * from doing',
  'call proc()',
  `do $$ begin update users set n = n + 1 where id = 1; end $$`,
  'with w as (update users set n = n + 1 where id = 1 returning n) select * from w',
  'explain analyze update users set n = n + 1 where id = 1',
  'select 1; update users set n = n + 1 where id = 1',
  'merge into users u using (values (1)) v (id) on u.id = v.id when matched then update set n = n + 1',
  'truncate users',
  'copy log from program $$echo$$ where false',
  'delete from users where id = 1',
]

describe.each([15, 18] as const)('PostgreSQL %i', (line) => {
  let test: WrappedDatabase<Schema>
  beforeAll(async () => {
    test = await openWrapped(line, { ddl, schema, tables: [cached(users), cached(posts), cached(pairs)] })
  })
  beforeEach(async () => {
    await test.run(rows)
    await test.db.$aside.flush()
    await warm(test, user(1), user(2), post(1), byEmail('u1'))
    test.events.length = 0
  })
  afterAll(() => test.close())

  it.each(reads)('a raw statement that surely writes nothing drops nothing: %s', async (text) => {
    await test.db.execute(sql.raw(text))
    expect(test.events.filter(({ type }) => type === 'invalidate')).toEqual([])
    await expectHits(test, user(1), user(2), post(1), byEmail('u1'))
  })

  it.for(writes)('B11, 42: a raw statement that may write drops all that is cached: %s', async (text, context) => {
    if (text.startsWith('merge') && test.version < 150_000) return context.skip('PostgreSQL 15 brought MERGE')
    await test.db.execute(sql.raw(text)).catch((error: { cause?: { code?: string } }) => {
      // The server may not let its super-user run programs.
      if (!text.startsWith('copy')) throw error
    })
    if (text.startsWith('copy') && test.events.every(({ type }) => type !== 'invalidate')) return
    expect(fallenTables(test.events).sort()).toEqual(['pairs: raw-sql', 'posts: raw-sql', 'users: raw-sql'])
    await expectFallen(test, user(1), user(2), post(1), byEmail('u1'))
  })

  it.each(writes.slice(0, 8))(
    'B11: in a transaction it drops at the commit, and not at a rollback: %s',
    async (text) => {
      await test.db
        .transaction(async (tx) => {
          await tx.execute(sql.raw(text))
          tx.rollback()
        })
        .catch(() => undefined)
      await expectHits(test, user(1), post(1))
      await test.db.transaction(async (tx) => {
        await tx.execute(sql.raw(text))
        expect(fallenTables(test.events)).toEqual([])
      })
      await expectFallen(test, user(1), post(1))
    },
  )

  it('B11, 42: COPY, TRUNCATE of several tables and CALL in one transaction', async () => {
    await test.db.transaction(async (tx) => {
      await tx.execute(sql`truncate users, posts cascade`)
      await tx.execute(sql`call proc()`)
    })
    await expectFallen(test, user(1), user(2), post(1), byEmail('u1'))
  })

  it('with({ writes: [] }) is the user’s word that nothing cached is written', async () => {
    await test.db.$aside.with({ writes: [] }).execute(sql`insert into log values (1, 'x')`)
    await expectHits(test, user(1), user(2), post(1), byEmail('u1'))
  })

  it('with({ writes }) narrows an unknown write to the tables that it names', async () => {
    await test.db.$aside.with({ writes: [users] }).execute(sql`select harmful()`)
    expect(fallenTables(test.events)).toEqual(['users: by-hand'])
    await expectFallen(test, user(1), user(2))
    await expectHits(test, post(1))
    const narrow = test.db.$aside.with({ writes: [posts] })
    await narrow.transaction(async (tx) => void (await tx.execute(sql`update posts set n = 5`)))
    await expectFallen(test, post(1))
    await expectHits(test, user(1))
  })

  it('DDL drops everything and has the catalog read again', async () => {
    await test.db.execute(sql`alter table posts add column extra int`)
    await expectAsked(test, user(1), post(1))
    await test.db.$aside.ready({ reload: true })
    expect(test.events.some(({ type }) => type === 'catalogChanged')).toBe(true)
    await test.db.execute(sql`alter table posts drop column extra`)
    await test.db.$aside.ready({ reload: true })
    await warm(test, post(1))
  })

  it('wrote(table) drops the table, wrote with rows exactly their keys', async () => {
    await test.run(`update users set n = 7, email = 'moved' where id = 1`)
    await test.db.$aside.wrote(users, { old: { id: 1, email: 'u1', n: 0 }, new: { id: 1, email: 'moved' } })
    await expectFallen(test, user(1), byEmail('u1'), byEmail('moved'))
    await expectHits(test, user(2), post(1))
    await test.run('update users set n = 8')
    await test.db.$aside.wrote(users)
    expect(fallenTables(test.events)).toEqual(['users: by-hand'])
    await expectFallen(test, user(1), user(2))
    await expectHits(test, post(1))
  })

  it('wrote with rows that leave out a key column drops the whole table', async () => {
    await test.run('update users set n = 9 where id = 2')
    await test.db.$aside.wrote(users, { new: { id: 2 } })
    await expectFallen(test, user(1), user(2))
    await expectHits(test, post(1))
  })

  it('wrote in a transaction waits for the commit', async () => {
    await test.db.transaction(async (tx) => {
      await tx.execute(sql`select 1`)
      await aside(tx).wrote(users, { new: { id: 1, email: 'u1' } })
      await aside(tx).wrote(posts)
      await expectHits(test, user(1), post(1))
    })
    await expectFallen(test, user(1), post(1))
    await expectHits(test, user(2))
    await test.db
      .transaction(async (tx) => {
        await aside(tx).wrote(users)
        tx.rollback()
      })
      .catch(() => undefined)
    await expectHits(test, user(1), user(2))
  })

  it('invalidate drops one key, by value, by columns, by unique key, or the table', async () => {
    await test.db.$aside.invalidate(users, 1)
    await expectFallen(test, user(1))
    await expectHits(test, user(2), post(1), byEmail('u1'))
    await test.db.$aside.invalidate(users, { email: 'u1' })
    await expectFallen(test, byEmail('u1'))
    await expectHits(test, user(1), user(2))
    await test.db.$aside.invalidate(users)
    await expectFallen(test, user(1), user(2), byEmail('u1'))
    await expectHits(test, post(1))
    const pair =
      (a: number): Read<Schema> =>
      (db) =>
        db.select().from(pairs).where(sql`${pairs.a} = ${a}`)
    await pair(1)(test.db)
    await test.db.$aside.invalidate(pairs, { a: 1, b: 'p1' })
    await expect(test.db.$aside.invalidate(pairs, 1)).rejects.toThrow()
    await expect(test.db.$aside.invalidate(pairs, { n: 1 })).rejects.toThrow(/no key or list of these columns/)
  })

  it('flush drops everything of the namespace', async () => {
    await test.db.$aside.flush()
    await expectFallen(test, user(1), user(2), post(1), byEmail('u1'))
  })
})

async function expectAsked(test: WrappedDatabase<Schema>, ...asked: Read<Schema>[]): Promise<void> {
  for (const read of asked) {
    const before = test.count.statements.length
    await read(test.db)
    expect(test.count.statements.length).toBeGreaterThan(before)
  }
}
