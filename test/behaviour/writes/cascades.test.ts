/**
 * Rows that follow a parent by foreign-key actions fall one by one (B7, B9), on every driver that can read them first;
 * the statement's outcome, its answer and its errors are plain Drizzle's.
 */
import { cached } from 'drizzle-aside'
import { and, eq, gt, inArray, isNotNull, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Gate, gate, gatedPool } from '../../harness/gates.ts'
import { type App, type DriverHome, drivers, homeOf } from '../../support/drivers.ts'
import { type RemovingStore, removingStore } from '../../support/removed-stamps.ts'
import { openWrapped, type WrappedDatabase } from '../../support/wrapped-database.ts'

// Only the database knows the foreign keys.
const users = pgTable('users', { id: integer().primaryKey(), code: integer().unique(), name: text() })
const posts = pgTable('posts', { id: integer().primaryKey(), userId: integer('user_id'), kind: text(), n: integer() })
const comments = pgTable('comments', { id: integer().primaryKey(), postId: integer('post_id'), n: integer() })
const notes = pgTable('notes', { id: integer().primaryKey(), code: integer(), editor: integer().default(0) })
const schema = { users, posts, comments, notes }

const ddl = `
  create table users (id int primary key, code int unique, name text);
  create table posts (id int primary key, user_id int references users on delete cascade, kind text, n int default 0);
  create table comments (id int primary key, post_id int references posts on delete cascade, n int default 0);
  create table notes (id int primary key, code int references users (code) on update cascade on delete set null,
    editor int default 0 references users (id) on delete set default);
  create table late (id int primary key, user_id int references users deferrable initially deferred);
  create index on posts (kind);
`
const rows = `
  delete from late; delete from comments; delete from posts; delete from notes; delete from users;
  insert into users select n, 100 + n, 'u' || n from generate_series(0, 9) n;
  insert into posts select n, n % 10, case when n % 2 = 0 then 'even' else 'odd' end from generate_series(1, 20) n;
  insert into comments select n, n from generate_series(1, 20) n;
  insert into notes select n, 100 + n, n from generate_series(1, 5) n;
`
const tables = [cached(users), cached(posts), cached(comments), cached(notes)]

const ofUser1 = ['users id=1', 'users[] main', 'users[code=101] main']
const ofPosts1 = ['posts id=1', 'posts id=11', 'posts[] main', 'posts[kind=odd] main', 'posts[user_id=1] main']
const ofComments1 = [
  'comments id=1',
  'comments id=11',
  'comments[] main',
  'comments[post_id=11] main',
  'comments[post_id=1] main',
]
const ofNotes1 = [
  'notes id=1',
  'notes[] main',
  'notes[code=101] main',
  'notes[code=null] main',
  'notes[editor=0] main',
  'notes[editor=1] main',
]

describe.each(drivers)('$name', (driver) => {
  let home: DriverHome
  let app: App
  let spy: RemovingStore
  const exact = driver.name !== 'node-postgres client'
  beforeAll(async () => {
    home = await homeOf(driver, ddl)
    spy = removingStore()
    app = await home.open({ schema, tables, store: spy.store, namespace: 'cascades' })
  })
  beforeEach(async () => {
    await home.outside(rows)
    spy.removed()
  })
  afterAll(async () => {
    await app.close()
    await home.drop()
  })
  const deleteUser1 = (db: App['db']) => db.delete(users).where(eq(users.id, 1))

  it('B9: a delete removes what it cascades to, row by row, two levels deep, and what it sets null or to a default', async () => {
    await deleteUser1(app.db)
    const whole = ['comments epoch', 'notes epoch', 'posts epoch']
    expect(spy.removed()).toEqual([...ofUser1, ...(exact ? [...ofPosts1, ...ofComments1, ...ofNotes1] : whole)].sort())
  })

  it('B9: the same inside a transaction, at its commit', async () => {
    await app.db.transaction(async (tx) => {
      await tx.delete(users).where(inArray(users.id, [1, 77]))
      expect(spy.removed()).toEqual([])
    })
    expect(spy.removed()).toEqual([...ofUser1, ...ofPosts1, ...ofComments1, ...ofNotes1].sort())
  })

  it('B7: rows that follow an updated key leave their old class and enter the new one', async () => {
    await app.db.transaction((tx) => tx.update(users).set({ code: 500 }).where(eq(users.id, 1)))
    expect(spy.removed()).toEqual(
      [
        ...ofUser1,
        'users[code=500] main',
        'notes id=1',
        'notes[] main',
        'notes[code=101] main',
        'notes[code=500] main',
        'notes[editor=1] main',
      ].sort(),
    )
  })

  it('F14: where no parent is touched nothing falls, and where it has no children nothing but its own', async () => {
    await app.db.delete(users).where(eq(users.id, 99))
    expect(spy.removed()).toEqual([])
    await home.outside('insert into users values (50, 150)')
    await app.db.delete(users).where(eq(users.id, 50))
    expect(spy.removed().filter((key) => !key.startsWith('users'))).toEqual(
      exact ? [] : ['comments epoch', 'notes epoch', 'posts epoch'],
    )
  })

  it('the answer is the plain one, with and without RETURNING, prepared or not', async () => {
    const told = async (db: App['db']) => {
      await home.outside(rows)
      const native = (await deleteUser1(db)) as unknown as Record<string, unknown>
      const shown = await db.delete(users).where(eq(users.id, 2)).returning()
      const prepared = db
        .delete(users)
        .where(and(eq(users.id, sql.placeholder('id')), isNotNull(users.name)))
        .returning({ n: users.name })
        .prepare(`drop_${db === app.db}`)
      const again = [
        await prepared.execute({ id: 3 }),
        await prepared.execute({ id: 3 }),
        await prepared.execute({ id: 4 }),
      ]
      const { command, rowCount, count, affectedRows } = native
      return { shown, again, native: { command, rowCount, count, affectedRows, keys: Object.keys(native).sort() } }
    }
    expect(await told(app.db)).toEqual(await told(app.plain as unknown as App['db']))
  })

  it('a constraint that fails at the commit is told as the plain statement tells it, and nothing has happened', async () => {
    await home.outside('insert into late values (1, 1)')
    const failed = async (db: App['db']) => {
      const error = await deleteUser1(db).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      const { name, message, query, params, cause } = error as Record<string, unknown>
      const { code, constraint_name, constraint } = cause as Record<string, unknown>
      return { name, message, query, params, code, constraint: constraint ?? constraint_name }
    }
    expect(await failed(app.db)).toEqual(await failed(app.plain as unknown as App['db']))
    expect(spy.removed()).toEqual([])
    expect(await home.outside('select count(*)::int as n from posts')).toEqual([{ n: 20 }])
    expect(app.told.of('outcomeUnknown')).toEqual([])
  })
})

describe.each([15, 18] as const)('PostgreSQL %i', (line) => {
  let test: WrappedDatabase<typeof schema>
  let spy: RemovingStore
  let hold: { at: RegExp; gate: Gate } | undefined
  const open = async (more = '', listed = tables): Promise<void> => {
    spy = removingStore()
    test = await openWrapped(line, {
      ddl: `${ddl}${more}${rows}`,
      schema,
      tables: listed,
      store: spy.store,
      pool: (pool) =>
        gatedPool(pool, async (point, { sql: text }) => {
          if (point === 'before' && hold?.at.test(text)) await hold.gate.pass()
        }),
    })
    spy.removed()
  }
  afterEach(async () => {
    hold?.gate.open()
    hold = undefined
    await test.close()
  })
  const fallen = (): string[] => spy.removed().filter((key) => key.endsWith('epoch'))
  const deleteUser1 = () => test.db.delete(users).where(eq(users.id, 1))

  it('a statement costs a BEGIN, a lock, a read for each foreign key, and a COMMIT more', async () => {
    await open()
    await deleteUser1()
    const words = test.count.texts().map((text) => text.split(' ', 1)[0])
    // Locked parents; posts, their comments and the notes by either key; the delete; the notes by either key again.
    expect(words).toEqual([
      'begin',
      'select',
      'select',
      'select',
      'select',
      'select',
      'delete',
      'select',
      'select',
      'commit',
    ])
    test.count.reset()
    await test.db.update(users).set({ name: 'x' }).where(eq(users.id, 2))
    expect(test.count.statements).toHaveLength(1)
  })

  it('B9: a child that comes in while the parent is being locked is seen', async () => {
    await open()
    const other = new Client({ connectionString: test.url })
    await other.connect()
    await other.query('begin; insert into posts values (70, 1)')
    const deleting = deleteUser1().then(() => undefined)
    await untilLockIsAwaited(test)
    await other.query('commit')
    await deleting
    expect(spy.removed()).toContain('posts id=70')
    await other.end()
  })

  it('B9: once the children are read no other comes in', async () => {
    await open()
    hold = { at: /^delete from "users"/, gate: gate() }
    const deleting = deleteUser1().then(() => undefined)
    await hold.gate.arrived
    const other = new Client({ connectionString: test.url })
    await other.connect()
    const inserting = other.query('insert into posts values (71, 1)').then(
      () => 'inserted',
      (error: { code?: string }) => error.code,
    )
    await untilLockIsAwaited(test)
    hold.gate.open()
    await deleting
    expect(await inserting).toBe('23503')
    expect(fallen()).toEqual([])
    await other.end()
  })

  it('B9: a parent that comes to match after the parents were locked drops its children’s tables', async () => {
    await open()
    await test.run(`update users set name = 'other' where id = 1`)
    hold = { at: /^delete from "users"/, gate: gate() }
    const deleting = test.db
      .delete(users)
      .where(and(eq(users.id, 1), eq(users.name, 'wanted')))
      .then(() => undefined)
    await hold.gate.arrived
    await test.run(`update users set name = 'wanted' where id = 1`)
    hold.gate.open()
    await deleting
    expect(fallen()).toEqual(['comments epoch', 'notes epoch', 'posts epoch'])
  })

  it('more children than the limit drop their table and what they lead to', async () => {
    await open('', [cached(users), cached(posts, { maxTouched: 1 }), cached(comments), cached(notes)])
    await deleteUser1()
    expect(fallen()).toEqual(['comments epoch', 'posts epoch'])
    await test.run(`insert into users values (60, 160); insert into posts values (60, 60)`)
    await test.db.delete(users).where(eq(users.id, 60))
    expect(fallen()).toEqual([])
  })

  it('B9: through a table that is not cached', async () => {
    await open('', [cached(users), cached(comments)])
    await deleteUser1()
    expect(spy.removed()).toEqual([...ofUser1, ...ofComments1].sort())
  })

  it('B9: what follows a third time drops its table, if there are rows that may lead there', async () => {
    await open('create table votes (id int primary key, comment_id int references comments on delete cascade);', [
      ...tables,
      cached(pgTable('votes', { id: integer().primaryKey() })),
    ])
    await deleteUser1()
    expect(fallen()).toEqual(['votes epoch'])
    await test.run('delete from comments where post_id in (2, 12)')
    await test.db.delete(users).where(eq(users.id, 2))
    expect(fallen()).toEqual([])
  })

  it('B9: a tree of rows: a leaf falls alone, a deep one with its table', async () => {
    const nodes = pgTable('nodes', { id: integer().primaryKey(), up: integer() })
    const more = `create table nodes (id int primary key, up int references nodes on delete cascade);
      insert into nodes values (1, null), (2, 1), (3, 2), (4, 3), (5, 1);`
    await open(more, [cached(nodes)])
    await test.db.delete(nodes).where(eq(nodes.id, 5))
    expect(spy.removed()).toEqual(['nodes id=5', 'nodes[] main', 'nodes[up=1] main'])
    await test.db.delete(nodes).where(eq(nodes.id, 3))
    expect(spy.removed()).toEqual(
      ['nodes id=3', 'nodes id=4', 'nodes[] main', 'nodes[up=2] main', 'nodes[up=3] main'].sort(),
    )
    await test.db.delete(nodes).where(eq(nodes.id, 1))
    expect(fallen()).toEqual([])
    await test.run('insert into nodes values (1, null), (2, 1), (3, 2)')
    await test.db.delete(nodes).where(eq(nodes.id, 1))
    expect(fallen()).toEqual(['nodes epoch'])
  })

  it.each([
    [
      'a BEFORE trigger of the child',
      `create trigger early before delete on posts for each row execute function keep()`,
    ],
    ['row security of the child', 'alter table posts enable row level security'],
    ['a rule of the child', 'create rule quiet as on insert to posts do also nothing'],
    ['a child with members', 'create table more_posts () inherits (posts)'],
  ])('%s: its table falls', async (_, sqlText) => {
    const keep = `create function keep() returns trigger language plpgsql as 'begin return old; end';`
    await open(`${keep}${sqlText};`, [cached(users), cached(posts, { affects: [] }), cached(comments), cached(notes)])
    await deleteUser1()
    expect(fallen()).toEqual(['comments epoch', 'posts epoch'])
    expect(await test.run('select count(*)::int as n from posts where user_id = 1')).toEqual([{ n: 0 }])
  })

  it('a condition that is not understood whole, and one that names no key, drop the tables as before', async () => {
    await open()
    await test.db.delete(users).where(and(eq(users.id, 1), sql`random() >= 0`))
    expect(fallen()).toEqual(['comments epoch', 'notes epoch', 'posts epoch'])
    await test.db.delete(users).where(gt(users.id, 8))
    expect(fallen()).toEqual(['comments epoch', 'notes epoch', 'posts epoch'])
    expect(test.count.texts().filter((text) => text === 'begin')).toEqual([])
  })

  it('a step of ours that fails leaves the statement to run alone', async () => {
    await open()
    await test.run('drop table comments')
    await deleteUser1()
    expect(fallen()).toEqual(['comments epoch', 'notes epoch', 'posts epoch'])
    expect(await test.run('select count(*)::int as n from posts where user_id = 1')).toEqual([{ n: 0 }])
  })
})

/** Who holds what while a statement comes; each in a transaction that is rolled back. */
const holders: Record<string, string> = {
  nobody: 'select 1',
  'a new child of the parent': 'insert into posts values (90, 1)',
  'a new child of another parent': 'insert into posts values (90, 2)',
  'a child that moves to the parent': 'update posts set user_id = 1 where id = 2',
  'a child that leaves the parent': 'update posts set user_id = 2 where id = 1',
  'a changed child': 'update posts set n = 1 where id = 1',
  'a deleted child': 'delete from posts where id = 1',
  'a new grandchild': 'insert into comments values (90, 1)',
  'a changed grandchild': 'update comments set n = 1 where id = 1',
  'a new row at a key that is set null': 'insert into notes values (90, 101, 0)',
  'a changed row at a key that is set null': 'update notes set editor = 0 where id = 1',
  'for key share of the children': 'select from posts where user_id = 1 for key share',
  'for key share of rows that are set null': 'select from notes where code = 101 for key share',
  'a changed parent': `update users set name = 'held' where id = 1`,
  'a parent with another key': 'update users set code = 900 where id = 1',
  'a deleted parent': 'delete from users where id = 1',
}
type Db = WrappedDatabase<typeof schema>['outside']
const statements: Record<string, (db: Db) => PromiseLike<unknown>> = {
  'a delete': (db) => db.delete(users).where(eq(users.id, 1)),
  'a delete of two': (db) => db.delete(users).where(inArray(users.id, [2, 1])),
  'a delete that finds nothing': (db) => db.delete(users).where(eq(users.id, 99)),
  'a changed key': (db) => db.update(users).set({ code: 500 }).where(eq(users.id, 1)),
}

describe.each([15, 18] as const)('beside holders of locks, PostgreSQL %i', (line) => {
  let test: WrappedDatabase<typeof schema>
  let client: Client
  beforeAll(async () => {
    const patience = `do $$ begin execute format('alter database %I set lock_timeout = ''25ms''', current_database()); end $$;`
    test = await openWrapped(line, { ddl: ddl + patience, schema, tables })
    await test.run(`set lock_timeout = '25ms'`)
    client = new Client({ connectionString: test.url })
    await client.connect()
    await client.query('set lock_timeout = 0')
  })
  afterAll(async () => {
    await client.end()
    await test.close()
  })

  const outcomes = async (run: () => PromiseLike<unknown>): Promise<Record<string, string>> => {
    const found: Record<string, string> = {}
    for (const [name, holder] of Object.entries(holders)) {
      await client.query(rows)
      await client.query(`begin; ${holder}`)
      found[name] = await outcome(run)
      await client.query('rollback')
    }
    return found
  }

  it.each(Object.entries(statements))('%s waits where the plain one waits, and nowhere else', async (_, statement) => {
    const plain = await outcomes(() => statement(test.outside))
    expect(await outcomes(() => statement(test.db))).toEqual(plain)
    expect(await outcomes(() => test.db.transaction((tx) => statement(tx) as Promise<unknown>))).toEqual(plain)
  })
})

async function outcome(run: () => PromiseLike<unknown>): Promise<string> {
  try {
    return `${((await run()) as { rowCount?: number }).rowCount} rows`
  } catch (error) {
    return (error as { cause?: { code?: string } }).cause?.code ?? String(error)
  }
}

async function untilLockIsAwaited({ run }: WrappedDatabase<typeof schema>): Promise<void> {
  for (;;) {
    const [row] = await run(`select count(*)::int as n from pg_locks where not granted`)
    if (row?.n !== 0) return
  }
}
