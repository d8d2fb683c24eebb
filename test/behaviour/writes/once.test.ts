/** A rewritten write evaluates what the user wrote once, touches the same rows, and needs no more rights than he has. */
import { randomBytes } from 'node:crypto'
import { aside, cached } from 'drizzle-aside'
import { and, eq, gt, inArray, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gate, gatedPool } from '../../harness/gates.ts'
import {
  expectFallen,
  expectHits,
  fallenTables,
  openWrapped,
  type Read,
  type WrappedDatabase,
  warm,
} from '../../support/wrapped-database.ts'

const jobs = pgTable('jobs', { id: integer().primaryKey(), code: text().unique(), state: text(), n: integer() })
const schema = { jobs }
type Schema = typeof schema
const ddl = `
  create table jobs (id int primary key, code text unique, state text, n int);
  create sequence calls;
  insert into jobs select n, 'c' || n, 'new', 0 from generate_series(1, 200) n;
`
const byId =
  (id: number): Read<Schema> =>
  (db) =>
    db.select().from(jobs).where(eq(jobs.id, id))
const byCode =
  (code: string): Read<Schema> =>
  (db) =>
    db.select().from(jobs).where(eq(jobs.code, code))

describe.each([15, 18] as const)('PostgreSQL %i', (line) => {
  let test: WrappedDatabase<Schema>
  beforeAll(async () => {
    test = await openWrapped(line, { ddl, schema, tables: [cached(jobs)] })
  })
  afterAll(() => test.close())

  const called = async (): Promise<number> => {
    const [row] = await test.run(`select case when is_called then last_value else 0 end::int as n from calls`)
    return row?.n as number
  }
  const calls = async (write: () => PromiseLike<unknown>): Promise<number> => {
    await test.run(`alter sequence calls restart`)
    await write()
    return called()
  }

  it('F10: a volatile function in WHERE runs once for each row that is looked at', async () => {
    const { db } = test
    const where = and(inArray(jobs.id, [1, 2, 3]), sql`nextval('calls') > 0`)
    expect(await calls(() => db.update(jobs).set({ n: 1 }).where(where))).toBe(3)
    expect(
      await calls(() =>
        db
          .update(jobs)
          .set({ code: sql`${jobs.code} || 'x'` })
          .where(where),
      ),
    ).toBe(3)
    expect(
      await calls(() =>
        db
          .update(jobs)
          .set({ code: sql`${jobs.code} || 'x'` })
          .where(sql`id < 4 and nextval('calls') > 0`),
      ),
    ).toBe(3)
    expect(
      await calls(() => db.delete(jobs).where(and(inArray(jobs.id, [198, 199, 200]), sql`nextval('calls') > 0`))),
    ).toBe(3)
  })

  it('F10: a volatile function in SET, VALUES or DO UPDATE SET runs once for each row', async () => {
    const { db } = test
    const next = sql<number>`nextval('calls')`
    expect(
      await calls(() =>
        db
          .update(jobs)
          .set({ n: next })
          .where(inArray(jobs.id, [4, 5])),
      ),
    ).toBe(2)
    expect(await calls(() => db.update(jobs).set({ code: sql`'v' || nextval('calls')` }).where(gt(jobs.id, 190)))).toBe(
      7,
    )
    expect(
      await calls(() =>
        db.insert(jobs).values([
          { id: 301, n: next },
          { id: 302, n: next },
        ]),
      ),
    ).toBe(2)
    const upsert = db
      .insert(jobs)
      .values({ id: 301 })
      .onConflictDoUpdate({ target: jobs.id, set: { code: sql`'u' || nextval('calls')` } })
    expect(await calls(() => upsert)).toBe(1)
    const [row] = await db.select().from(jobs).where(eq(jobs.id, 301))
    expect(row?.code).toBe('u1')
  })

  it('F10: default and on-update functions run once for each row', async () => {
    let runs = 0
    const counted = pgTable('jobs', {
      id: integer().primaryKey(),
      code: text().$onUpdateFn(() => `on-update-${++runs}`),
      state: text().$defaultFn(() => `default-${++runs}`),
    })
    const { db } = test
    await db.insert(counted).values([
      { id: 401, code: 'd1' },
      { id: 402, code: 'd2' },
    ])
    expect(runs).toBe(2)
    await db.update(counted).set({ state: 'changed' }).where(eq(counted.id, 401))
    expect(runs).toBe(3)
    await warm(test, byCode('on-update-3'), byCode('on-update-4'))
    await db.update(counted).set({ state: 'again' }).where(eq(counted.id, 401))
    expect(runs).toBe(4)
    await expectFallen(test, byCode('on-update-3'), byCode('on-update-4'), byId(401))
  })

  it('F10: where id in (select … limit 1) takes one row, also when the update moves a key', async () => {
    const { db } = test
    const one = sql`${jobs.id} in (select j.id from jobs j where j.state = 'new' and j.id > 100 order by random() limit 1)`
    for (const set of [{ state: 'taken' }, { state: 'taken', code: sql`${jobs.code} || '-taken'` }]) {
      const result = await db.update(jobs).set(set).where(one)
      expect(result.rowCount).toBe(1)
    }
    expect(await test.outside.$count(jobs, eq(jobs.state, 'taken'))).toBe(2)
    const gone = await db
      .delete(jobs)
      .where(sql`${jobs.id} in (select j.id from jobs j where j.state = 'taken' order by random() limit 1)`)
    expect(gone.rowCount).toBe(1)
    expect(await test.outside.$count(jobs, eq(jobs.state, 'taken'))).toBe(1)
  })

  it('F10: a job queue with SKIP LOCKED gives each job to one worker', async () => {
    const { db } = test
    await test.run(`update jobs set state = 'queued' where id between 20 and 60`)
    const free = sql`${jobs.id} = (select j.id from jobs j where j.state = 'queued' order by j.id for update skip locked limit 1)`
    const worker = async (name: string): Promise<number[]> => {
      const taken: number[] = []
      for (;;) {
        const [job] = await db
          .update(jobs)
          .set({ state: name, code: sql`${jobs.code} || ${name}` })
          .where(free)
          .returning()
        if (!job) return taken
        taken.push(job.id)
      }
    }
    const taken = (await Promise.all(['a', 'b', 'c', 'd'].map(worker))).flat()
    expect(taken.sort((a, b) => a - b)).toEqual(Array.from({ length: 41 }, (_, i) => i + 20))
    for (const id of taken) expect(await byId(id)(db)).toEqual(await byId(id)(test.outside))
  })

  it('F7: a prepared write with placeholders reports each execution’s own row', async () => {
    const { db } = test
    const rename = db
      .update(jobs)
      .set({ code: sql`${sql.placeholder('code')}` })
      .where(eq(jobs.id, sql.placeholder('id')))
      .prepare('rename')
    await warm(test, byId(70), byId(71), byId(72), byCode('c70'), byCode('p70'), byCode('c71'))
    await rename.execute({ id: 70, code: 'p70' })
    await expectFallen(test, byId(70), byCode('c70'), byCode('p70'))
    await expectHits(test, byId(71), byId(72), byCode('c71'))
    await rename.execute({ id: 71, code: 'p71' })
    await expectFallen(test, byId(71), byCode('c71'))
    await expectHits(test, byId(70), byId(72), byCode('p70'))
  })

  it('B1, 39: a writer that waited for another’s row drops what that other wrote', async () => {
    const { db, run, events } = test
    await warm(test, byCode('b1-a'), byCode('b1-b'), byCode('b1-c'))
    await run(`insert into jobs (id, code) values (500, 'b1-a')`)
    await db.$aside.wrote(jobs, { new: { id: 500, code: 'b1-a' } })
    await warm(test, byCode('b1-a'))
    const moved = gate()
    const done = gate()
    // Y holds the row with 'b1-b'; X, whose snapshot still shows 'b1-a', waits for it.
    const y = db.transaction(async (tx) => {
      await tx.update(jobs).set({ code: 'b1-b' }).where(eq(jobs.id, 500))
      await moved.pass()
    })
    await moved.arrived
    const x = db.transaction(async (tx) => {
      await tx.update(jobs).set({ code: 'b1-c' }).where(eq(jobs.id, 500))
      await done.pass()
    })
    await someoneWaits(test)
    moved.open()
    await y
    await done.arrived
    // Y is committed and known; X is not committed. A reader keeps what Y wrote.
    await warm(test, byCode('b1-b'), byCode('b1-c'), byCode('b1-a'))
    events.length = 0
    done.open()
    await x
    await expectFallen(test, byCode('b1-b'), byCode('b1-c'))
    await expectHits(test, byCode('b1-a'))
    expect(fallenTables(events)).toEqual([])
  })

  it('B8, 40: an insert that loses the race becomes an update, and drops the row that won', async () => {
    const { db } = test
    await warm(test, byId(600), byCode('race'))
    const inserted = gate()
    const first = db.transaction(async (tx) => {
      await tx.insert(jobs).values({ id: 600, code: 'race', n: 1 })
      await inserted.pass()
    })
    await inserted.arrived
    const second = db
      .insert(jobs)
      .values({ id: 601, code: 'race', n: 2 })
      .onConflictDoUpdate({ target: jobs.code, set: { n: sql`excluded.n` } })
    const racing = second.then((result) => result)
    await someoneWaits(test)
    inserted.open()
    await first
    expect((await racing).rowCount).toBe(1)
    await expectFallen(test, byId(600), byCode('race'))
    const [row] = (await byCode('race')(db)) as { id: number; n: number }[]
    expect([row?.id, row?.n]).toEqual([600, 2])
  })

  it('B8: an insert that loses the race with DO NOTHING does nothing', async () => {
    const { db, events } = test
    const inserted = gate()
    const first = db.transaction(async (tx) => {
      await tx.insert(jobs).values({ id: 610, code: 'race-2' })
      await inserted.pass()
    })
    await inserted.arrived
    const racing = db
      .insert(jobs)
      .values({ id: 611, code: 'race-2' })
      .onConflictDoNothing()
      .then((result) => result)
    await someoneWaits(test)
    inserted.open()
    await first
    await warm(test, byId(610), byId(611), byCode('race-2'))
    events.length = 0
    expect((await racing).rowCount).toBe(0)
    expect(events.filter(({ type }) => type === 'invalidate')).toEqual([])
    await expectHits(test, byId(610), byId(611), byCode('race-2'))
  })

  it('C2, C4: a transaction that rolls back drops nothing, a savepoint that does spares what it alone touched', async () => {
    const { db, events } = test
    await warm(test, byId(80), byId(81), byId(82))
    events.length = 0
    await db
      .transaction(async (tx) => {
        await tx.update(jobs).set({ n: 9 }).where(eq(jobs.id, 80))
        tx.rollback()
      })
      .catch(() => undefined)
    expect(events.filter(({ type }) => type === 'invalidate')).toEqual([])
    await expectHits(test, byId(80), byId(81), byId(82))
    await db.transaction(async (tx) => {
      await tx.update(jobs).set({ n: 9 }).where(eq(jobs.id, 81))
      await tx
        .transaction(async (inner) => {
          await inner.update(jobs).set({ n: 9 }).where(eq(jobs.id, 82))
          inner.rollback()
        })
        .catch(() => undefined)
      await aside(tx).wrote(jobs, { old: { id: 80, code: 'c80' }, new: { id: 80, code: 'c80' } })
      await expectHits(test, byId(81))
    })
    await expectFallen(test, byId(80), byId(81))
    await expectHits(test, byId(82))
  })
})

/** Resolves when a backend of the test's database waits for another's lock. */
async function someoneWaits({ run }: WrappedDatabase<Schema>): Promise<void> {
  for (;;) {
    const [row] = await run(
      `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    )
    if ((row?.n as number) > 0) return
  }
}

describe.each([15, 18] as const)('a role with few privileges, PostgreSQL %i', (line) => {
  it('writes without SELECT privilege as it does plainly, and the whole table falls', async () => {
    const user = `writer_${randomBytes(4).toString('hex')}`
    const test = await openWrapped(line, {
      ddl: `${ddl} create role ${user} login password 'secret'; grant insert, update, delete on jobs to ${user};`,
      schema,
      tables: [cached(jobs)],
      role: { user, password: 'secret' },
    })
    const { db, events, count } = test
    expect((await db.$aside.explain(db.update(jobs).set({ n: 1 }))).images).toBe('none')
    expect((await db.update(jobs).set({ n: 1 })).rowCount).toBe(200)
    expect((await db.insert(jobs).values({ id: 900 })).rowCount).toBe(1)
    expect((await db.delete(jobs)).rowCount).toBe(201)
    expect((await db.delete(jobs)).rowCount).toBe(0)
    expect(fallenTables(events)).toEqual(['jobs: no-images', 'jobs: no-images', 'jobs: no-images'])
    expect(count.count(/__/)).toBe(0)
    await test.close()
    await dropRole(line, user)
  })

  it('writes under row security what its policies let it write, and the whole table falls', async () => {
    const user = `writer_${randomBytes(4).toString('hex')}`
    // With a RETURNING the policy for SELECT would apply, and an UPDATE without WHERE would touch no row.
    const test = await openWrapped(line, {
      ddl: `${ddl} create role ${user} login password 'secret'; grant select, insert, update, delete on jobs to ${user};
        alter table jobs enable row level security;
        create policy change on jobs for update using (id <= 150) with check (true);
        create policy adding on jobs for insert with check (id > 100);
        create policy see on jobs for select using (id = 1);`,
      schema,
      tables: [cached(jobs)],
      role: { user, password: 'secret' },
    })
    const { db, events, outside } = test
    expect((await db.update(jobs).set({ n: sql`7` })).rowCount).toBe(150)
    expect(await outside.$count(jobs, eq(jobs.n, 7))).toBe(150)
    expect((await db.insert(jobs).values({ id: 900 })).rowCount).toBe(1)
    expect((await db.update(jobs).set({ n: 8 }).where(eq(jobs.id, 2))).rowCount).toBe(0)
    await expect(db.insert(jobs).values({ id: 50 })).rejects.toMatchObject({ cause: { code: '42501' } })
    await expect(db.insert(jobs).values({ id: 901 }).returning()).rejects.toMatchObject({ cause: { code: '42501' } })
    expect(fallenTables(events)).toEqual(['jobs: no-images', 'jobs: no-images'])
    await test.close()
    await dropRole(line, user)
  })

  it('whose SELECT privilege is taken away after the catalog was read: the write runs as written, once', async () => {
    const user = `writer_${randomBytes(4).toString('hex')}`
    const test = await openWrapped(line, {
      ddl: `${ddl} create role ${user} login password 'secret'; grant select, insert, update, delete on jobs to ${user};`,
      schema,
      tables: [cached(jobs)],
      role: { user, password: 'secret' },
    })
    const { db, events, run, outside } = test
    await run(`revoke select on jobs from ${user}`)
    expect((await db.update(jobs).set({ n: sql`7` })).rowCount).toBe(200)
    expect(await outside.$count(jobs, eq(jobs.n, 7))).toBe(200)
    expect(fallenTables(events)).toContain('jobs: no-images')
    await expect(db.update(jobs).set({ n: 8 }).where(eq(jobs.id, 1))).rejects.toMatchObject({
      cause: { code: '42501' },
    })
    expect(await outside.$count(jobs, eq(jobs.n, 8))).toBe(0)
    await test.close()
    await dropRole(line, user)
  })
})

it('F7: a write prepared while it reached nothing cached still calls its default functions once, and reports what it reaches since', async () => {
  let made = 0
  const notes = pgTable('notes', { id: integer().$defaultFn(() => ++made), job: integer() })
  const test = await openWrapped(18, {
    ddl: `${ddl} create table notes (id int, job int);`,
    schema,
    tables: [cached(jobs)],
  })
  const { db, events, run } = test
  // A name is what Drizzle's types ask for; without one the statement is made for the facts of now.
  const note = db
    .insert(notes)
    .values({ job: 1 })
    .prepare(undefined as unknown as string)
  await note.execute()
  await warm(test, byId(1))
  await note.execute()
  await expectHits(test, byId(1))
  await run(`
    create function mark() returns trigger language plpgsql as
      $$ begin update jobs set state = 'noted' where id = new.job; return new; end $$;
    create trigger mark after insert on notes for each row execute function mark();
  `)
  await db.$aside.ready({ reload: true })
  await warm(test, byId(1))
  events.length = 0
  await note.execute()
  expect(await byId(1)(db)).toMatchObject([{ state: 'noted' }])
  expect(fallenTables(events)).toContain('jobs: undeclared-trigger')
  expect(made).toBe(1)
  await test.close()
})

describe.each([15, 18] as const)('a column that is dropped after the catalog was read, PostgreSQL %i', (line) => {
  // As the next version of an app declares it, while the migration that goes with it has just run.
  const next = pgTable('jobs', { id: integer().primaryKey(), state: text(), n: integer() })
  const writes: [string, (db: WrappedDatabase<Schema>['db']) => PromiseLike<unknown>, unknown][] = [
    ['an insert', (db) => db.insert(next).values({ id: 900, state: 'a', n: 1 }), { rowCount: 1 }],
    [
      'an insert that returns its row',
      (db) => db.insert(next).values({ id: 901, state: 'a', n: 1 }).returning({ id: next.id }),
      [{ id: 901 }],
    ],
    ['an update of many', (db) => db.update(next).set({ state: 'c' }).where(gt(next.id, 150)), { rowCount: 50 }],
    [
      'an upsert',
      (db) =>
        db
          .insert(next)
          .values({ id: 1, state: 'd' })
          .onConflictDoUpdate({ target: next.id, set: { state: 'd' } }),
      { rowCount: 1 },
    ],
  ]

  it.each(writes)('%s runs as written, and the whole table falls', async (_, write, answer) => {
    const test = await openWrapped(line, { ddl, schema, tables: [cached(jobs)] })
    await test.run('alter table jobs drop column code')
    expect(await write(test.db)).toMatchObject(answer as object)
    expect(fallenTables(test.events)).toContain('jobs: no-images')
    await test.close()
  })
})

async function dropRole(line: 15 | 18, user: string): Promise<void> {
  const other = await openWrapped(line, { ddl: `drop role ${user}`, tables: [] })
  await other.close()
}

it('a statement that is lost before it is sent fails, and nothing falls', async () => {
  const refuse = { now: false }
  const test = await openWrapped(18, {
    ddl,
    schema,
    tables: [cached(jobs)],
    pool: (pool) =>
      gatedPool(pool, (point, { sql: told }) => {
        if (refuse.now && point === 'before' && told.startsWith('update')) {
          throw Object.assign(new Error('connect refused'), { code: 'ECONNREFUSED', syscall: 'connect' })
        }
      }),
  })
  await warm(test, byId(1))
  refuse.now = true
  await expect(test.db.update(jobs).set({ n: 1 }).where(eq(jobs.id, 1))).rejects.toThrow()
  await expectHits(test, byId(1))
  await test.close()
})
