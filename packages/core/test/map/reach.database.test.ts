import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ReachOp, reach } from '../../src/map/reach.ts'
import { type CatalogFacts, relationId } from '../../src/model/facts.ts'
import { type Engine, engines } from '../catalog/engines.ts'

const ddl = `
  create table users (id int primary key, code text unique, name text, boss int references users on delete set null);
  create table posts (id int primary key, user_id int references users on delete cascade, title text,
    user_code text default 'none' references users (code) on update cascade on delete set null);
  create table comments (id int primary key, post_id int references posts on delete cascade);
  create table votes (id int primary key, comment_id int references comments on delete set null on update cascade);
  create table tags (id int primary key, name text);
  create table counters (name text primary key, n int not null default 0);
  create table unrelated (id int primary key);

  create function count_tags() returns trigger language plpgsql as $$ begin
    insert into counters values (tg_op, 1) on conflict (name) do update set n = counters.n + 1;
    return null;
  end $$;
  create trigger counted after insert or delete on tags for each row execute function count_tags();

  create table events (id int, at int, owner int references users on delete cascade, primary key (id, at)) partition by range (at);
  create table events_1 partition of events for values from (0) to (10);
  create table events_2 partition of events for values from (10) to (20);
  create table notes (id int primary key, event_id int, event_at int, foreign key (event_id, event_at)
    references events on delete cascade on update cascade);
  create trigger counted_2 after insert or delete on events_2 for each row execute function count_tags();

  create table beasts (id int primary key, name text);
  create table cats (lives int) inherits (beasts);

  create view titles as select id, title from posts where id > 0;
  create view people as select u.id, count(*) as n from users u join posts p on p.user_id = u.id group by u.id;
  create function drop_person() returns trigger language plpgsql as $$ begin
    delete from users where id = old.id; return old;
  end $$;
  create trigger dropped instead of delete on people for each row execute function drop_person();
`

const rows = `
  truncate users, posts, comments, votes, tags, counters, unrelated, events, notes, beasts, cats cascade;
  insert into users values (1, 'u1', 'Ann', null), (2, 'u2', 'Ben', 1);
  insert into posts values (1, 1, 'one', 'u1'), (2, 2, 'two', 'u1');
  insert into comments values (1, 1), (2, 2);
  insert into votes values (1, 1), (2, null);
  insert into events values (1, 1, 1), (2, 11, 2);
  insert into notes values (1, 1, 1), (2, 2, 11);
  insert into tags values (1, 'a');
  insert into unrelated values (1);
  insert into beasts values (1, 'Rex');
  insert into cats values (2, 'Tom', 9);
`

const tables = 'users posts comments votes tags counters unrelated events events_1 events_2 notes beasts cats'.split(
  ' ',
)
const id = (name: string) => relationId('public', name)
const declared = new Map([
  [id('tags'), [id('counters')]],
  [id('events_2'), [id('counters')]],
  [id('people'), [id('users')]],
])

const writes: readonly [sql: string, table: string, op: ReachOp, changed: 'all' | string[], reached: string][] = [
  [
    'delete from users where id = 1',
    'users',
    'delete',
    'all',
    'comments counters events events_1 events_2 notes posts users votes',
  ],
  [`update users set code = 'x' where id = 1`, 'users', 'update', ['code'], 'posts'],
  [`update users set name = 'x' where id = 1`, 'users', 'update', ['name'], ''],
  ['delete from posts where id = 1', 'posts', 'delete', 'all', 'comments votes'],
  ['delete from comments where id = 1', 'comments', 'delete', 'all', 'votes'],
  ['update comments set id = 9 where id = 1', 'comments', 'update', ['id'], 'votes'],
  [`insert into tags values (7, 'x')`, 'tags', 'insert', 'all', 'counters'],
  [`update tags set name = 'x'`, 'tags', 'update', ['name'], ''],
  ['delete from tags', 'tags', 'delete', 'all', 'counters'],
  ['insert into events values (9, 12, 1)', 'events', 'insert', 'all', 'counters events_1 events_2'],
  ['update events set at = 15 where id = 1', 'events', 'update', ['at'], 'counters events_1 events_2 notes'],
  ['update events set owner = 2', 'events', 'update', ['owner'], 'events_1 events_2'],
  ['delete from events_2', 'events_2', 'delete', 'all', 'counters events notes'],
  ['update events_1 set at = 2', 'events_1', 'update', ['at'], 'events notes'],
  ['truncate users cascade', 'users', 'truncate', 'all', 'comments events events_1 events_2 notes posts users votes'],
  [`update beasts set name = 'x'`, 'beasts', 'update', ['name'], 'cats'],
  ['delete from cats', 'cats', 'delete', 'all', 'beasts'],
  [`update titles set title = 'x' where id = 1`, 'titles', 'update', ['title'], 'comments posts votes'],
  ['delete from titles where id = 1', 'titles', 'delete', 'all', 'comments posts votes'],
  [
    'delete from people where id = 2',
    'people',
    'delete',
    'all',
    'comments counters events events_1 events_2 notes posts users votes',
  ],
  ['insert into unrelated values (5)', 'unrelated', 'insert', 'all', ''],
]

describe.each(engines)('what a write reaches on %s', (_, open) => {
  let engine: Engine
  let facts: CatalogFacts

  beforeAll(async () => {
    engine = await open()
    await engine.exec(ddl)
    facts = await engine.facts()
  })
  afterAll(() => engine.close())

  it.each(writes)('%s', async (sql, table, op, changed, expected) => {
    const found = reach(facts, id(table), op, changed === 'all' ? changed : new Set(changed), (one) =>
      declared.get(one),
    )
    const names = [...found.tables.keys()].map((one) => facts.relations.get(one)?.name ?? one).sort()
    expect(names.join(' ')).toBe(expected)
    expect(found.undeclared).toEqual([])
    const touched = await touchedBy(engine, sql)
    expect(touched.length).toBeGreaterThan(0)
    for (const one of touched) expect([table, ...names]).toContain(one)
  })
})

/** The tables whose rows the statement changed, found by looking. */
async function touchedBy(engine: Engine, sql: string): Promise<string[]> {
  await engine.exec(rows)
  const before = await contents(engine)
  await engine.exec(sql)
  const after = await contents(engine)
  return tables.filter((_, at) => before[at] !== after[at])
}

async function contents(engine: Engine): Promise<unknown[]> {
  const all = tables.map((name) => `(select md5(string_agg(t::text, ',' order by t::text)) from ${name} t)`)
  const [row] = await engine.run(`select ${all.join(', ')}`)
  return [...(row ?? [])]
}
