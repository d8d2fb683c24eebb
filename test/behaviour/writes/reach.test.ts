/** Tables that a write reaches without naming them: triggers, foreign-key actions, partitions, inheritance, rules, views. */
import { cached, uncached } from 'drizzle-aside'
import { and, eq, gt, sql } from 'drizzle-orm'
import { integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { afterEach, describe, expect, it } from 'vitest'
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
const posts = pgTable('posts', { id: integer().primaryKey(), userId: integer('user_id').default(0), n: integer() })
const comments = pgTable('comments', { id: integer().primaryKey(), postId: integer('post_id'), n: integer() })
const other = pgTable('other', { id: integer().primaryKey(), n: integer() })
const schema = { users, posts, comments, other }
type Schema = typeof schema

const user =
  (id: number): Read<Schema> =>
  (db) =>
    db.select().from(users).where(eq(users.id, id))
const post =
  (id: number): Read<Schema> =>
  (db) =>
    db.select().from(posts).where(eq(posts.id, id))
const comment =
  (id: number): Read<Schema> =>
  (db) =>
    db.select().from(comments).where(eq(comments.id, id))
const another =
  (id: number): Read<Schema> =>
  (db) =>
    db.select().from(other).where(eq(other.id, id))

const house = (postAction = '', commentAction = '') => `
  create table users (id int primary key, email text unique, n int default 0);
  create table posts (id int primary key, user_id int default 0 references users ${postAction}, n int default 0);
  create table comments (id int primary key, post_id int references posts ${commentAction}, n int default 0);
  create table other (id int primary key, n int default 0);
  insert into users select n, 'u' || n from generate_series(0, 9) n;
  insert into posts select n, n from generate_series(1, 9) n;
  insert into comments select n, n from generate_series(1, 9) n;
  insert into other select n from generate_series(1, 9) n;
`
const everyTable = [cached(users), cached(posts), cached(comments), cached(other)]

describe.each([15, 18] as const)('PostgreSQL %i', (line) => {
  let test: WrappedDatabase<Schema>
  afterEach(() => test.close())
  const open = async (ddl: string, tables = everyTable): Promise<void> => {
    test = await openWrapped(line, { ddl, schema, tables })
    await warm(test, user(1), user(2), post(1), post(2), comment(1), comment(2), another(1))
    test.events.length = 0
  }

  it('B9, 43: a delete that cascades through two levels drops both children, and no other table', async () => {
    await open(house('on delete cascade', 'on delete cascade'))
    await test.db.delete(users).where(eq(users.id, 1))
    expect(fallenTables(test.events)).toEqual([])
    await expectFallen(test, user(1), post(1), comment(1))
    await expectHits(test, user(2), post(2), comment(2), another(1))
  })

  it('B9: an update of the parent that no foreign key refers to leaves the children alone', async () => {
    await open(house('on delete cascade on update cascade', 'on delete cascade on update cascade'))
    await test.db.update(users).set({ email: 'moved' }).where(eq(users.id, 1))
    await expectFallen(test, user(1))
    await expectHits(test, user(2), post(1), post(2), comment(1), another(1))
    expect(fallenTables(test.events)).toEqual([])
  })

  it('B9: a delete that touches no row drops no child', async () => {
    await open(house('on delete cascade', 'on delete cascade'))
    await test.db.delete(users).where(eq(users.id, 99))
    await expectHits(test, user(1), post(1), comment(1), another(1))
  })

  it('B9, 43: set null and set default change children, and end there', async () => {
    await open(house('on delete set default', 'on delete set null'))
    await test.db.delete(users).where(eq(users.id, 1))
    expect(fallenTables(test.events)).toEqual([])
    await expectFallen(test, post(1))
    await expectHits(test, post(2), comment(1), another(1))
    expect(await test.db.select().from(posts).where(eq(posts.id, 1))).toMatchObject([{ userId: 0 }])
    await test.db.delete(posts).where(eq(posts.id, 1))
    await expectFallen(test, comment(1))
    expect(await test.db.select().from(comments).where(eq(comments.id, 1))).toMatchObject([{ postId: null }])
  })

  it('B7: on update cascade follows a key that is updated, on update set null as well', async () => {
    await open(house('on update cascade', 'on update set null'))
    await test.db.update(users).set({ id: 100 }).where(eq(users.id, 1))
    await expectFallen(test, user(1), post(1))
    await expectHits(test, comment(1), another(1))
    expect(await test.db.select().from(posts).where(eq(posts.id, 1))).toMatchObject([{ userId: 100 }])
    await test.db.update(posts).set({ id: 100 }).where(eq(posts.id, 1))
    await expectFallen(test, comment(1), post(1))
    await expectHits(test, another(1))
  })

  it('B9: a cascade that leads through tables which are not cached still drops the one that is', async () => {
    test = await openWrapped(line, {
      ddl: house('on delete cascade', 'on delete cascade'),
      schema,
      tables: [cached(comments), cached(other)],
    })
    await warm(test, comment(1), comment(2), another(1))
    await test.db.delete(users).where(eq(users.id, 1))
    await expectFallen(test, comment(1))
    await expectHits(test, another(1))
    // And not where nothing was deleted.
    await warm(test, comment(2))
    await test.db.delete(users).where(eq(users.id, 1))
    await expectHits(test, comment(2))
  })

  it('B9: in a transaction the children fall at the commit, and not at a rollback', async () => {
    await open(house('on delete cascade', 'on delete cascade'))
    await test.db.transaction(async (tx) => void (await tx.delete(users).where(eq(users.id, 1)))).then(() => undefined)
    await expectFallen(test, user(1), post(1), comment(1))
    await warm(test, post(2), comment(2))
    await test.db
      .transaction(async (tx) => {
        await tx.delete(users).where(eq(users.id, 2))
        tx.rollback()
      })
      .catch(() => undefined)
    await expectHits(test, user(2), post(2), comment(2))
  })

  const trigger = (timing: string, events: string, body: string, level = 'row') => `
    create function act() returns trigger language plpgsql as $$ begin ${body}; return new; end $$;
    create trigger act ${timing} ${events} on users for each ${level} execute function act();`
  const bump = 'update other set n = n + 1 where id = 1'

  it('B10: an undeclared trigger drops everything, and the event names it and the line to paste', async () => {
    await open(house() + trigger('after', 'insert or update', bump))
    await test.db.update(users).set({ n: 1 }).where(eq(users.id, 1))
    await expectFallen(test, user(1), user(2), post(1), comment(1), another(1))
    const told = test.events.filter(({ type }) => type === 'undeclaredTrigger')
    expect(told).toMatchObject([{ table: 'users', trigger: 'act' }])
    expect(JSON.stringify(told)).toContain('cached(users, { affects: [')
    // Once is enough.
    await test.db.update(users).set({ n: 2 }).where(eq(users.id, 1))
    expect(test.events.filter(({ type }) => type === 'undeclaredTrigger')).toHaveLength(1)
    // A delete does not fire it.
    await warm(test, post(1), another(1), user(2))
    await test.db.insert(users).values({ id: 50 })
    await expectFallen(test, post(1), another(1))
    await warm(test, post(1), another(1), user(2), user(3))
    await test.db.delete(users).where(eq(users.id, 50))
    await expectHits(test, post(1), another(1), user(2), user(3))
  })

  it('B10, 44: a declared trigger drops the tables it writes, and only those', async () => {
    await open(house() + trigger('after', 'update', bump), [
      cached(users, { affects: [other] }),
      cached(posts),
      cached(comments),
      cached(other),
    ])
    await test.db.update(users).set({ n: 1 }).where(eq(users.id, 1))
    await expectFallen(test, user(1), another(1))
    await expectHits(test, user(2), post(1), comment(1))
    expect(fallenTables(test.events)).toEqual(['other: trigger'])
    expect(test.events.filter(({ type }) => type === 'undeclaredTrigger')).toEqual([])
  })

  it('B10: a trigger that is declared to write nothing drops nothing beside the row', async () => {
    await open(house() + trigger('after', 'update', 'perform 1'), [
      cached(users, { affects: [] }),
      cached(posts),
      cached(comments),
      cached(other),
    ])
    await test.db.update(users).set({ n: 1 }).where(eq(users.id, 1))
    await expectFallen(test, user(1))
    await expectHits(test, user(2), post(1), comment(1), another(1))
  })

  it('B10: a statement trigger runs also where no row is touched', async () => {
    await open(house() + trigger('after', 'update', bump, 'statement'), [
      cached(users, { affects: [other] }),
      cached(posts),
      cached(comments),
      cached(other),
    ])
    await test.db.update(users).set({ n: 1 }).where(eq(users.id, 99))
    await expectFallen(test, another(1))
    await expectHits(test, user(1), post(1))
  })

  it('B10, 44: a BEFORE trigger that changes a key is seen, on insert, update and upsert', async () => {
    await open(house() + trigger('before', 'insert or update', `new.email := upper(new.email)`), [
      cached(users, { affects: [] }),
      cached(posts),
      cached(comments),
      cached(other),
    ])
    const byEmail =
      (email: string): Read<Schema> =>
      (db) =>
        db.select().from(users).where(eq(users.email, email))
    await warm(
      test,
      byEmail('NEW'),
      byEmail('new'),
      byEmail('U3'),
      byEmail('u3'),
      byEmail('U4'),
      byEmail('u4'),
      user(5),
    )
    await test.db.insert(users).values({ id: 60, email: 'new' })
    await expectFallen(test, byEmail('NEW'))
    await expectHits(test, byEmail('new'), user(5))
    // The update does not mention the key that the trigger changes.
    await test.db.update(users).set({ n: 1 }).where(eq(users.id, 3))
    await expectFallen(test, byEmail('U3'), byEmail('u3'), user(3))
    await test.db
      .insert(users)
      .values({ id: 4, email: 'x' })
      .onConflictDoUpdate({ target: users.id, set: { n: 2 } })
    await expectFallen(test, byEmail('U4'), byEmail('u4'))
    await warm(test, byEmail('u5'), byEmail('U5'))
    await test.db.update(users).set({ n: 9 })
    await expectFallen(test, byEmail('u5'), byEmail('U5'))
  })

  it('B10: a trigger on a child that a cascade reaches counts, too', async () => {
    await open(
      house('on delete cascade') +
        `create function act() returns trigger language plpgsql as $$ begin ${bump}; return old; end $$;
         create trigger act after delete on posts for each row execute function act();`,
      [cached(users), cached(posts, { affects: [other] }), cached(comments), cached(other)],
    )
    await test.run('delete from comments')
    await test.db.$aside.invalidate(comments)
    await warm(test, comment(3))
    await test.db.delete(users).where(eq(users.id, 1))
    await expectFallen(test, post(1), another(1))
    await expectHits(test, comment(3), user(2))
  })

  it('B10: a deferred constraint trigger acts at the commit, and its tables fall there', async () => {
    await open(
      house() +
        `create function act() returns trigger language plpgsql as $$ begin ${bump}; return null; end $$;
         create constraint trigger act after update on users deferrable initially deferred
           for each row execute function act();`,
      [cached(users, { affects: [other] }), cached(posts), cached(comments), cached(other)],
    )
    await test.db.transaction(async (tx) => void (await tx.update(users).set({ n: 1 }).where(eq(users.id, 1))))
    await expectFallen(test, user(1), another(1))
    await expectHits(test, post(1))
  })

  it('B10: a trigger that comes later is seen with the next look at the catalog', async () => {
    await open(house())
    await test.run(trigger('after', 'update', bump))
    await test.db.$aside.ready({ reload: true })
    await warm(test, user(1), post(1), another(1))
    await test.db.update(users).set({ n: 1 }).where(eq(users.id, 1))
    await expectFallen(test, user(1), post(1), another(1))
  })

  it('B10: a trigger on a table that is not cached can be declared as well', async () => {
    const ddl = house() + trigger('after', 'update', bump)
    test = await openWrapped(line, {
      ddl,
      schema,
      tables: [uncached(users, { affects: [other] }), cached(other), cached(posts)],
    })
    await warm(test, another(1), post(1))
    await test.db.update(users).set({ n: 1 }).where(eq(users.id, 1))
    await expectFallen(test, another(1))
    await expectHits(test, post(1))
  })

  it('a rule that turns a delete into an update drops the row, though no row was deleted', async () => {
    await open(
      `${house()}create rule soft as on delete to users do instead update users set n = -1 where id = old.id;`,
      [cached(users, { affects: [] }), cached(posts), cached(comments), cached(other)],
    )
    await test.db.delete(users).where(eq(users.id, 1))
    await expectFallen(test, user(1))
    expect(await test.db.select().from(users).where(eq(users.id, 1))).toMatchObject([{ n: -1 }])
    await expectHits(test, another(1))
  })

  it('rules that are not declared drop everything, and say so', async () => {
    await open(`${house()}create rule also as on update to users do also ${bump};`)
    await test.db.update(users).set({ n: 1 }).where(eq(users.id, 1))
    await expectFallen(test, user(1), post(1), another(1))
    expect(test.events.filter(({ type }) => type === 'undeclaredTrigger')).toMatchObject([{ table: 'users' }])
  })

  it('B17: a write to a view reaches the table behind it', async () => {
    await open(
      house() +
        `create view people as select id, n from users where n >= 0; create view people2 as select * from people;`,
    )
    const people2 = pgTable('people2', { id: integer().primaryKey(), n: integer() })
    await test.db.$aside.ready({ reload: true })
    await test.db.update(people2).set({ n: 7 }).where(eq(people2.id, 1))
    await expectFallen(test, user(1))
    await expectHits(test, post(1), another(1))
    await warm(test, user(2))
    expect((await test.db.delete(people2).where(eq(people2.id, 1000))).rowCount).toBe(0)
    await expectHits(test, user(2))
  })

  it('B11, F3: a data-modifying CTE inside a select drops what it writes, and the select runs each time', async () => {
    await open(house('on delete cascade', 'on delete cascade'))
    const { db, run } = test
    const gone = db.$with('gone').as(db.delete(other).where(eq(other.id, 1)).returning({ id: other.id }))
    const select = () => db.with(gone).select().from(gone)
    expect(await select()).toEqual([{ id: 1 }])
    await expectFallen(test, another(1))
    await run('insert into other values (1)')
    expect(await select()).toEqual([{ id: 1 }])
    expect(await run('select id from other where id = 1')).toEqual([])
  })

  it('B11: a data-modifying CTE beside an insert drops what it writes', async () => {
    await open(house())
    const { db } = test
    const moved = db.$with('moved').as(db.update(other).set({ n: 40 }).where(eq(other.id, 1)).returning({ n: other.n }))
    await db.with(moved).insert(users).values({ id: 77, n: sql`(select n from moved)` })
    await expectFallen(test, another(1))
    expect(await db.select().from(users).where(eq(users.id, 77))).toMatchObject([{ n: 40 }])
  })

  it('B11: a function that writes, called inside a builder’s write, drops everything', async () => {
    await open(`${house()}create function sneak() returns int language sql volatile as $$ ${bump} returning n $$;`)
    await test.db.update(users).set({ n: sql`sneak()` }).where(eq(users.id, 1))
    await expectFallen(test, another(1), post(1), user(1))
    await warm(test, another(1))
    await test.db
      .update(users)
      .set({ n: 1 })
      .where(and(eq(users.id, 1), sql`sneak() > 0`))
    await expectFallen(test, another(1))
  })

  it('with affects given for all, a table of no interest may be written without any drop', async () => {
    test = await openWrapped(line, { ddl: house(), schema, tables: [cached(other)] })
    await warm(test, another(1))
    await test.db.update(users).set({ n: 1 }).where(gt(users.id, 0))
    await test.db.insert(users).values({ id: 1000 })
    await test.db.delete(users).where(eq(users.id, 1000))
    await expectHits(test, another(1))
    expect(test.events.filter(({ type }) => type === 'invalidate')).toEqual([])
  })
})

const readings = pgTable('readings', { area: integer(), id: integer(), code: text(), n: integer() }, (t) => [
  primaryKey({ columns: [t.area, t.id] }),
])
const readings1 = pgTable('readings_1', { area: integer(), id: integer(), code: text(), n: integer() }, (t) => [
  primaryKey({ columns: [t.area, t.id] }),
])
const readings2 = pgTable('readings_2', { area: integer(), id: integer(), code: text(), n: integer() }, (t) => [
  primaryKey({ columns: [t.area, t.id] }),
])
const animals = pgTable('animals', { id: integer().primaryKey(), n: integer() })
const dogs = pgTable('dogs', { id: integer().primaryKey(), n: integer() })
const trunk = pgTable('trunk', { id: integer().primaryKey(), code: text(), n: integer() })
const leaf = pgTable('leaf', { id: integer().primaryKey(), code: text(), n: integer() })
const family = { readings, readings1, readings2, animals, dogs, trunk, leaf }
type Family = typeof family
const familyDdl = `
  create table readings (area int, id int, code text, n int default 0, primary key (area, id), unique (area, code)) partition by list (area);
  create table readings_1 partition of readings for values in (1);
  create table readings_2 partition of readings for values in (2);
  insert into readings select 1 + n % 2, n, 'r' || n from generate_series(1, 10) n;
  create table animals (id int primary key, n int default 0);
  create table dogs (primary key (id)) inherits (animals);
  insert into animals values (1), (2);
  insert into dogs values (3), (4);
  create table trunk (id int primary key, code text, n int default 0) partition by range (id);
  create table branch partition of trunk for values from (0) to (100) partition by range (id);
  create table leaf partition of branch for values from (0) to (100);
  create index on trunk (code);
  insert into trunk select n, 'a' from generate_series(1, 9) n;
`

describe.each([15, 18] as const)('partitions and inheritance, PostgreSQL %i', (line) => {
  let test: WrappedDatabase<Family>
  afterEach(() => test.close())
  const at =
    (table: typeof readings | typeof readings1 | typeof readings2, area: number, id: number): Read<Family> =>
    (db) =>
      db
        .select()
        .from(table)
        .where(and(eq(table.area, area), eq(table.id, id)))
  const dog =
    (id: number): Read<Family> =>
    (db) =>
      db.select().from(dogs).where(eq(dogs.id, id))
  const open = async (): Promise<void> => {
    test = await openWrapped(line, { ddl: familyDdl, schema: family, tables: 'all' })
  }

  it('a write to the partitioned table is exact there, and its members fall as a whole', async () => {
    await open()
    await warm(test, at(readings, 2, 1), at(readings, 1, 2), at(readings, 1, 4), at(readings1, 1, 2), dog(3))
    await test.db
      .update(readings)
      .set({ n: 5 })
      .where(and(eq(readings.area, 1), eq(readings.id, 2)))
    await expectFallen(test, at(readings, 1, 2), at(readings1, 1, 2))
    await expectHits(test, at(readings, 2, 1), at(readings, 1, 4), dog(3))
  })

  it('a write to a member drops the partitioned table', async () => {
    await open()
    await warm(test, at(readings, 2, 1), at(readings, 1, 2), at(readings1, 1, 2), at(readings1, 1, 4), dog(3))
    await test.db.update(readings1).set({ n: 6 }).where(eq(readings1.id, 2))
    await expectFallen(test, at(readings, 1, 2), at(readings1, 1, 2))
    await expectHits(test, at(readings1, 1, 4), dog(3))
  })

  it('B18: a row that moves to another partition is found there and not here', async () => {
    await open()
    await warm(
      test,
      at(readings, 1, 2),
      at(readings, 2, 2),
      at(readings1, 1, 2),
      at(readings2, 2, 2),
      at(readings, 1, 4),
    )
    await test.db.update(readings).set({ area: 2 }).where(eq(readings.code, 'r2'))
    await expectFallen(test, at(readings, 1, 2), at(readings, 2, 2), at(readings1, 1, 2), at(readings2, 2, 2))
  })

  it('upserts on a partitioned table drop what they touched', async () => {
    await open()
    const byCode =
      (code: string): Read<Family> =>
      (db) =>
        db
          .select()
          .from(readings)
          .where(and(eq(readings.area, 1), eq(readings.code, code)))
    await warm(test, byCode('r2'), byCode('r2b'), at(readings, 1, 2))
    await test.db
      .insert(readings)
      .values({ area: 1, id: 2, code: 'x' })
      .onConflictDoUpdate({ target: [readings.area, readings.id], set: { code: 'r2b' } })
    await expectFallen(test, byCode('r2'), byCode('r2b'), at(readings, 1, 2))
    await warm(test, at(readings, 1, 20), at(readings, 1, 4))
    await test.db
      .insert(readings)
      .values({ area: 1, id: 20, code: 'x' })
      .onConflictDoUpdate({ target: [readings.area, readings.id], set: { n: 3 } })
    await expectFallen(test, at(readings, 1, 20))
    await expectHits(test, at(readings, 1, 4))
  })

  it('a BEFORE trigger of the partitioned table acts on the partition of a partition', async () => {
    test = await openWrapped(line, {
      ddl: `${familyDdl};
        create function recode() returns trigger language plpgsql as $$ begin new.code := 'b'; return new; end $$;
        create trigger recode before update on trunk for each row execute function recode()`,
      schema: family,
      tables: [uncached(trunk, { affects: [] }), cached(leaf)],
    })
    const coded =
      (code: string): Read<Family> =>
      (db) =>
        db.select().from(leaf).where(eq(leaf.code, code)).orderBy(leaf.id)
    await warm(test, coded('a'), coded('b'))
    await test.db.update(leaf).set({ n: 1 }).where(eq(leaf.id, 1))
    await expectFallen(test, coded('a'), coded('b'))
  })

  it('a BEFORE trigger of a partition alone moves rows that are written through the partitioned table', async () => {
    test = await openWrapped(line, {
      ddl: `${familyDdl};
        create function recode() returns trigger language plpgsql as $$ begin new.code := 'b'; return new; end $$;
        create trigger recode before update on leaf for each row execute function recode()`,
      schema: family,
      tables: [cached(trunk, { affects: [] }), uncached(leaf, { affects: [] })],
    })
    const coded =
      (code: string): Read<Family> =>
      (db) =>
        db.select().from(trunk).where(eq(trunk.code, code)).orderBy(trunk.id)
    await warm(test, coded('a'), coded('b'))
    await test.db.update(trunk).set({ n: 1 }).where(eq(trunk.id, 1))
    await expectFallen(test, coded('a'), coded('b'))
    await warm(test, coded('c'))
    await test.db
      .insert(trunk)
      .values({ id: 2 })
      .onConflictDoUpdate({ target: trunk.id, set: { n: 2 } })
    await expectFallen(test, coded('a'), coded('b'))
  })

  it('an inheritance parent has no records, and a write to either side is seen on the other', async () => {
    await open()
    const explained = await test.db.$aside.explain(test.db.select().from(animals).where(eq(animals.id, 3)))
    expect(explained.plan).toBe('result')
    await warm(test, dog(3), dog(4))
    await test.db.update(animals).set({ n: 8 }).where(eq(animals.id, 3))
    await expectFallen(test, dog(3))
    expect(await test.db.select().from(dogs).where(eq(dogs.id, 3))).toMatchObject([{ n: 8 }])
    await warm(test, dog(4))
    await test.db.update(dogs).set({ n: 9 }).where(eq(dogs.id, 3))
    await expectFallen(test, dog(3))
    await expectHits(test, dog(4))
    expect(await test.db.select().from(animals).where(eq(animals.id, 3))).toMatchObject([{ n: 9 }])
  })
})
