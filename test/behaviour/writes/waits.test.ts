/**
 * The rewritten forms neither wait nor deadlock where the plain statements do not.
 *
 * Each statement meets each holder of a lock twice, plain and wrapped, and the two tables of outcomes must be equal: its
 * row count, an error's SQLSTATE, or `55P03` where it had to wait (lock_timeout fires only while a lock is waited for).
 */
import { cached, type TableEntry } from 'drizzle-aside'
import { and, eq, gt, inArray, sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openWrapped, type WrappedDatabase } from '../../support/wrapped-database.ts'

const parents = pgTable('parents', {
  id: integer().primaryKey(),
  email: text().unique(),
  nick: text(),
  label: text(),
  n: integer(),
})
const moods = pgTable('moods', {
  id: integer().primaryKey(),
  name: text(),
  key: text().generatedAlwaysAs(sql`lower(name)`),
  n: integer(),
})
const touched = pgTable('touched', { id: integer().primaryKey(), email: text().unique(), n: integer() })
const tables: TableEntry[] = [cached(parents), cached(moods), cached(touched, { affects: [] })]

const ddl = `
  create table parents (id int primary key, email text unique, nick text, label text, n int);
  create unique index on parents (nick) where n > 0;
  create table children (id int primary key, parent int references parents);
  create table moods (id int primary key, name text, key text generated always as (lower(name)) stored unique, n int);
  create table moody (id int primary key, mood int references moods);
  create table touched (id int primary key, email text unique, n int);
  create table touching (id int primary key, touched int references touched);
  create function same() returns trigger language plpgsql as 'begin return new; end';
  create trigger same before update on touched for each row execute function same();
`
const rows = `
  delete from children; delete from moody; delete from touching; delete from parents; delete from moods; delete from touched;
  insert into parents select n, 'e' || n, 'k' || n, 'l', 0 from generate_series(1, 5) n;
  insert into moods (id, name, n) select n, 'M' || n, 0 from generate_series(1, 5) n;
  insert into touched select n, 'e' || n, 0 from generate_series(1, 5) n;
`

type Db = NodePgDatabase<Record<string, unknown>>

const holders: Record<string, string> = {
  nobody: 'select 1',
  'a foreign-key check':
    'insert into children values (1, 1); insert into moody values (1, 1); insert into touching values (1, 1)',
  'for key share':
    'select from parents, moods, touched where parents.id = 1 and moods.id = 1 and touched.id = 1 for key share',
  'for share': 'select from parents, moods, touched where parents.id = 1 and moods.id = 1 and touched.id = 1 for share',
  'for no key update':
    'select from parents, moods, touched where parents.id = 1 and moods.id = 1 and touched.id = 1 for no key update',
  'for update':
    'select from parents, moods, touched where parents.id = 1 and moods.id = 1 and touched.id = 1 for update',
  'an update of a counter':
    'update parents set n = 1 where id = 1; update moods set n = 1 where id = 1; update touched set n = 1 where id = 1',
  'an update of a unique column': `update parents set email = 'held' where id = 1; update moods set name = 'held' where id = 1; update touched set email = 'held' where id = 1`,
  'a delete': 'delete from parents where id = 1; delete from moods where id = 1; delete from touched where id = 1',
  'an insert': `insert into parents values (9, 'new'); insert into moods values (9, 'new'); insert into touched values (9, 'new')`,
}

const one = eq(parents.id, 1)
const statements: Record<string, (db: Db) => PromiseLike<unknown>> = {
  'update a counter': (db) => db.update(parents).set({ n: 5 }).where(one),
  'update a counter everywhere': (db) => db.update(parents).set({ n: 5 }),
  'update a counter of another row': (db) => db.update(parents).set({ n: 5 }).where(eq(parents.id, 2)),
  'update a unique column': (db) => db.update(parents).set({ email: 'moved' }).where(one),
  'update a unique column of another row': (db) => db.update(parents).set({ email: 'moved' }).where(eq(parents.id, 2)),
  'update a unique column everywhere': (db) => db.update(parents).set({ email: sql`${parents.email} || 'm'` }),
  'update a unique column to a value that is being inserted': (db) =>
    db.update(parents).set({ email: 'new' }).where(eq(parents.id, 3)),
  'update a column of a partial unique index': (db) => db.update(parents).set({ nick: 'moved' }).where(one),
  'update a counter with RETURNING': (db) => db.update(parents).set({ n: 5 }).where(one).returning({ id: parents.id }),
  'update with SKIP LOCKED': (db) =>
    db
      .update(parents)
      .set({ email: 'skip' })
      .where(sql`${parents.id} = (select p.id from parents p order by p.id for update skip locked limit 1)`),
  'update with NOWAIT': (db) =>
    db
      .update(parents)
      .set({ email: 'nowait' })
      .where(sql`${parents.id} in (select p.id from parents p where p.id < 3 for no key update nowait)`),
  delete: (db) => db.delete(parents).where(one),
  'delete everywhere': (db) => db.delete(parents).where(gt(parents.id, 0)),
  'delete another row': (db) => db.delete(parents).where(eq(parents.id, 4)),
  insert: (db) => db.insert(parents).values({ id: 9, email: 'ins' }),
  'insert a unique value that is being inserted': (db) => db.insert(parents).values({ id: 10, email: 'new' }),
  'insert or do nothing': (db) => db.insert(parents).values({ id: 10, email: 'new' }).onConflictDoNothing(),
  'upsert a counter': (db) =>
    db
      .insert(parents)
      .values({ id: 1 })
      .onConflictDoUpdate({ target: parents.id, set: { n: 6 } }),
  'upsert a unique column': (db) =>
    db
      .insert(parents)
      .values({ id: 1 })
      .onConflictDoUpdate({ target: parents.id, set: { email: 'up' } }),
  'upsert by the unique column': (db) =>
    db
      .insert(parents)
      .values({ id: 20, email: 'e1' })
      .onConflictDoUpdate({ target: parents.email, set: { n: 6 } }),
  'update the source of a generated key': (db) => db.update(moods).set({ name: 'other' }).where(eq(moods.id, 1)),
  'update a counter beside a BEFORE trigger': (db) => db.update(touched).set({ n: 5 }).where(eq(touched.id, 1)),
  'update a key beside a BEFORE trigger': (db) => db.update(touched).set({ email: 'moved' }).where(eq(touched.id, 1)),
  // Last: before PostgreSQL 18 later updates of the table run as written.
  'update the primary key': (db) => db.update(parents).set({ id: 50 }).where(one),
}

/** Statements that wait for a foreign-key check where the plain ones do not, before PostgreSQL 18 (docs/limits.md). */
const limits: Record<string, (db: Db) => PromiseLike<unknown>> = {
  'set a unique column to the value it has': (db) => db.update(parents).set({ email: 'e1', n: 5 }).where(one),
  'update a counter beside a generated key': (db) => db.update(moods).set({ n: 5 }).where(eq(moods.id, 1)),
}

async function outcome(run: () => PromiseLike<unknown>): Promise<string> {
  try {
    const result = (await run()) as { rowCount?: number; length?: number }
    return `${result.rowCount ?? result.length} rows`
  } catch (error) {
    return (error as { cause?: { code?: string } }).cause?.code ?? String(error)
  }
}

describe.each([15, 18] as const)('PostgreSQL %i', (line) => {
  let test: WrappedDatabase
  beforeAll(async () => {
    // Connections of the test's own come after this, so each has the setting.
    const patience = `do $$ begin execute format('alter database %I set lock_timeout = ''25ms''', current_database()); end $$;`
    test = await openWrapped(line, { ddl: ddl + patience, tables })
    // The connection that set the database up is older than its setting.
    await test.run(`set lock_timeout = '25ms'`)
  })

  let client: Client
  beforeAll(async () => {
    client = new Client({ connectionString: test.url })
    await client.connect()
    await client.query('set lock_timeout = 0')
  })
  afterAll(async () => {
    await client.end()
    await test.close()
  })

  const meets = async (holder: string, run: () => PromiseLike<unknown>): Promise<string> => {
    await client.query(rows)
    await client.query('begin')
    await client.query(holder)
    const found = await outcome(run)
    await client.query('rollback')
    return found
  }
  const table = async (db: Db, statement: (db: Db) => PromiseLike<unknown>): Promise<Record<string, string>> => {
    const found: Record<string, string> = {}
    for (const [name, holder] of Object.entries(holders)) found[name] = await meets(holder, () => statement(db))
    return found
  }

  it.each(Object.entries(limits))(
    '%s: it waits for a foreign-key check before PostgreSQL 18, and only for that',
    async (_, statement) => {
      const plain = await table(test.outside as unknown as Db, statement)
      const wrapped = await table(test.db as unknown as Db, statement)
      const different = Object.keys(plain).filter((name) => plain[name] !== wrapped[name])
      expect(different).toEqual(line === 15 ? ['a foreign-key check', 'for key share'] : [])
    },
  )

  it.each(Object.entries(statements))(
    '%s: the outcome beside each holder of a lock is the plain one',
    async (_, statement) => {
      await test.run(`set lock_timeout = '25ms'`)
      const plain = await table(test.outside as unknown as Db, statement)
      expect(await table(test.db as unknown as Db, statement)).toEqual(plain)
    },
  )
})

type Step = [session: string, run: (db: Db) => PromiseLike<unknown>]
interface Sequence {
  readonly says: string
  readonly isolation?: 'repeatable read' | 'serializable'
  readonly steps: Step[]
}

const commit = 'commit'
const email = (id: number, value: string) => (db: Db) =>
  db.update(parents).set({ email: value }).where(eq(parents.id, id))
const counter = (id: number) => (db: Db) =>
  db
    .update(parents)
    .set({ n: sql`${parents.n} + 1` })
    .where(eq(parents.id, id))
const child = (id: number) => (db: Db) => db.execute(sql`insert into children values (${id}, ${id})`)
const look = (db: Db) => db.execute(sql`select from parents`)

const sequences: Sequence[] = [
  {
    says: 'unique columns of two rows in opposite order deadlock alike',
    steps: [
      ['a', email(1, 'a1')],
      ['b', email(2, 'b2')],
      ['a', email(2, 'a2')],
      ['b', email(1, 'b1')],
    ],
  },
  {
    says: 'counters of two rows in opposite order deadlock alike',
    steps: [
      ['a', counter(1)],
      ['b', counter(2)],
      ['a', counter(2)],
      ['b', counter(1)],
    ],
  },
  {
    says: 'a counter and a unique column in opposite order deadlock alike',
    steps: [
      ['a', counter(1)],
      ['b', email(2, 'b2')],
      ['a', email(2, 'a2')],
      ['b', counter(1)],
    ],
  },
  {
    says: 'a unique column of one row: the second waits for the first',
    steps: [
      ['a', email(1, 'a1')],
      ['b', email(1, 'b1')],
    ],
  },
  {
    says: 'a foreign-key check, then a unique column elsewhere, then a counter here: no deadlock',
    steps: [
      ['a', child(1)],
      ['b', email(1, 'b1')],
      ['a', counter(1)],
    ],
  },
  {
    says: 'a foreign-key check, then a unique column elsewhere, then the same here',
    steps: [
      ['a', child(1)],
      ['b', email(1, 'b1')],
      ['a', email(1, 'a1')],
    ],
  },
  {
    says: 'two foreign-key checks, then both move the unique column',
    steps: [
      ['a', child(1)],
      ['b', (db) => db.execute(sql`insert into children values (2, 1)`)],
      ['a', email(1, 'a1')],
      ['b', email(1, 'b1')],
    ],
  },
  {
    says: 'a row that the first deletes is not updated by the second',
    steps: [
      ['a', (db) => db.delete(parents).where(one)],
      ['b', email(1, 'b1')],
    ],
  },
  {
    says: 'a row that no longer matches is not updated',
    steps: [
      ['a', (db) => db.update(parents).set({ label: 'other', email: 'x' }).where(one)],
      [
        'b',
        (db) =>
          db
            .update(parents)
            .set({ email: 'y' })
            .where(and(one, eq(parents.label, 'l'))),
      ],
    ],
  },
  {
    says: 'a row that comes to match is not updated',
    steps: [
      ['a', (db) => db.update(parents).set({ label: 'other' }).where(one)],
      [
        'b',
        (db) =>
          db
            .update(parents)
            .set({ email: sql`${parents.email} || 'y'` })
            .where(eq(parents.label, 'other')),
      ],
    ],
  },
  {
    says: 'an increment behind another loses nothing',
    steps: [
      [
        'a',
        (db) =>
          db
            .update(parents)
            .set({ n: sql`${parents.n} + 1`, email: 'x' })
            .where(one),
      ],
      [
        'b',
        (db) =>
          db
            .update(parents)
            .set({ n: sql`${parents.n} + 1`, email: 'y' })
            .where(one),
      ],
    ],
  },
  {
    says: 'an update of many rows behind one of them',
    steps: [
      ['a', email(3, 'a3')],
      [
        'b',
        (db) =>
          db
            .update(parents)
            .set({ email: sql`${parents.email} || 'b'` })
            .where(inArray(parents.id, [1, 2, 3, 4])),
      ],
    ],
  },
  {
    says: 'an upsert behind an insert of the same key',
    steps: [
      ['a', (db) => db.insert(parents).values({ id: 9, email: 'n' })],
      [
        'b',
        (db) =>
          db
            .insert(parents)
            .values({ id: 9 })
            .onConflictDoUpdate({ target: parents.id, set: { email: 'up' } }),
      ],
    ],
  },
  ...(['repeatable read', 'serializable'] as const).flatMap((isolation): Sequence[] => [
    {
      says: `${isolation}: a counter changed meanwhile is 40001`,
      isolation,
      steps: [
        ['a', look],
        ['b', counter(1)],
        ['b', commit as never],
        ['a', counter(1)],
      ],
    },
    {
      says: `${isolation}: a unique column changed meanwhile is 40001`,
      isolation,
      steps: [
        ['a', look],
        ['b', email(1, 'b1')],
        ['b', commit as never],
        ['a', email(1, 'a1')],
      ],
    },
    {
      says: `${isolation}: a row deleted meanwhile is 40001`,
      isolation,
      steps: [
        ['a', look],
        ['b', (db) => db.delete(parents).where(one)],
        ['b', commit as never],
        ['a', email(1, 'a1')],
      ],
    },
    {
      says: `${isolation}: a delete of a row changed meanwhile is 40001`,
      isolation,
      steps: [
        ['a', look],
        ['b', counter(1)],
        ['b', commit as never],
        ['a', (db) => db.delete(parents).where(one)],
      ],
    },
    {
      says: `${isolation}: many rows, one changed meanwhile`,
      isolation,
      steps: [
        ['a', look],
        ['b', counter(3)],
        ['b', commit as never],
        ['a', (db) => db.update(parents).set({ email: sql`${parents.email} || 'b'` })],
      ],
    },
    {
      says: `${isolation}: a row inserted meanwhile, and an upsert of it`,
      isolation,
      steps: [
        ['a', look],
        ['b', (db) => db.insert(parents).values({ id: 9 })],
        ['b', commit as never],
        [
          'a',
          (db) =>
            db
              .insert(parents)
              .values({ id: 9 })
              .onConflictDoUpdate({ target: parents.id, set: { email: 'up' } }),
        ],
      ],
    },
    {
      says: `${isolation}: a row changed and waited for`,
      isolation,
      steps: [
        ['a', look],
        ['b', email(1, 'b1')],
        ['a', email(1, 'a1')],
        ['b', commit as never],
      ],
    },
    {
      says: `${isolation}: another row is nobody’s business`,
      isolation,
      steps: [
        ['a', look],
        ['b', email(2, 'b2')],
        ['b', commit as never],
        ['a', email(1, 'a1')],
      ],
    },
    {
      says: `${isolation}: each reads what the other writes`,
      isolation,
      steps: [
        ['a', (db) => db.execute(sql`select from parents where id = 2`)],
        ['b', (db) => db.execute(sql`select from parents where id = 1`)],
        ['a', email(1, 'a1')],
        ['b', email(2, 'b2')],
      ],
    },
  ]),
]

/** One open transaction that takes steps when it is told to. */
function session(db: Db, isolation: Sequence['isolation']) {
  let next: (step: Step[1] | 'commit') => void = () => {}
  let pid = 0
  const coming = (): Promise<Step[1] | 'commit'> => new Promise((resolve) => (next = resolve))
  const log: string[] = []
  let failed = false
  let ready: () => void = () => {}
  const begun = new Promise<void>((resolve) => (ready = resolve))
  let stepped: () => void = () => {}
  const ended = db
    .transaction(async (tx) => {
      const told = await tx.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`)
      pid = told.rows[0]?.pid as number
      let step = coming()
      ready()
      for (;;) {
        const run = await step
        if (run === 'commit') break
        step = coming()
        const found = await outcome(() => run(tx as unknown as Db))
        log.push(found)
        failed = !found.endsWith('rows')
        stepped()
        if (failed) tx.rollback()
      }
    }, isolation && { isolationLevel: isolation })
    .then(
      () => void log.push('committed'),
      (error: { cause?: { code?: string }; message: string }) => void log.push(error.cause?.code ?? error.message),
    )
  return {
    begun,
    ended,
    log,
    pid: () => pid,
    over: () => failed || log.at(-1) === 'committed',
    step: (run: Step[1] | 'commit') => {
      const done = new Promise<void>((resolve) => (stepped = resolve))
      next(run)
      return run === 'commit' ? ended : done
    },
  }
}

/** Runs the steps one after the other; one that waits for a lock is left waiting. */
async function play(test: WrappedDatabase, db: Db, { steps, isolation }: Sequence): Promise<Record<string, unknown>> {
  await test.run(rows)
  const sessions = { a: session(db, isolation), b: session(db, isolation) }
  await sessions.a.begun
  await sessions.b.begun
  const pending: Promise<void>[] = []
  for (const [name, run] of [...steps, ['a', commit], ['b', commit]] as [string, Step[1] | 'commit'][]) {
    const own = sessions[name as 'a' | 'b']
    // A session takes its next step when its last one is over.
    await Promise.all(
      pending
        .filter((_, at) => at % 2 === (name === 'a' ? 0 : 1))
        .map((each) => Promise.race([each, waiting(test, own.pid())])),
    )
    if (own.over()) continue
    const done = own.step(run as Step[1] | 'commit')
    pending[name === 'a' ? 0 : 1] = done
    const waits = await Promise.race([done.then(() => false), waiting(test, own.pid()).then(() => true)])
    // What it waited for may be over, and it not yet awake: that is still the same wait.
    if (waits && own.log.at(-1) !== 'waits') own.log.push('waits')
  }
  await Promise.all([sessions.a.ended, sessions.b.ended])
  const logs = [sessions.a.log, sessions.b.log]
  // Which of the two PostgreSQL chooses is a matter of time.
  if (logs.flat().includes('40P01'))
    return { deadlock: logs.map((log) => log.filter((each) => each !== 'waits').slice(-2)).sort() }
  const left = await test.run('select id, email, n, label from parents order by id')
  return { a: sessions.a.log, b: sessions.b.log, left }
}

/** Resolves when the backend waits for a lock. */
async function waiting({ run }: WrappedDatabase, pid: number): Promise<void> {
  for (let turn = 0; ; turn++) {
    const [row] = await run(`select wait_event_type = 'Lock' as waits from pg_stat_activity where pid = $1`, [pid])
    if (row?.waits === true) return
    if (turn > 2000) return new Promise(() => {})
  }
}

describe.each([15, 18] as const)('two transactions, PostgreSQL %i', (line) => {
  let test: WrappedDatabase
  beforeAll(async () => {
    const quick = `do $$ begin execute format('alter database %I set deadlock_timeout = ''30ms''', current_database()); end $$;`
    test = await openWrapped(line, { ddl: ddl + quick, tables })
  })
  afterAll(() => test.close())
  beforeEach(() => test.events.splice(0))

  it.each(sequences)('$says', async (sequence) => {
    const plain = await play(test, test.outside as unknown as Db, sequence)
    expect(await play(test, test.db as unknown as Db, sequence)).toEqual(plain)
  })
})
