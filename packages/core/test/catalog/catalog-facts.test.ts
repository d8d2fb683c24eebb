import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CatalogFacts, findRelation, type RelationFacts, relationId } from '../../src/model/facts.ts'
import { attempt, type Engine, engines } from './engines.ts'

const ddl = `
  create type mood as enum ('calm', 'cross');
  create domain short as text check (length(value) < 20);
  create collation anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);

  create table plain (
    id int primary key, big bigint, small smallint, number oid, uid uuid, yes bool, feeling mood, words text,
    name varchar(20), bytewise text collate "C", folded text collate anycase, day date, padded char(4), price numeric,
    labels text[], feelings mood[], nick short, at timestamptz not null, body jsonb, sysname name
  );
  create table computed (a int generated always as identity primary key, b int, c int generated always as (b + 1) stored);
  create table composite (b int, a int, c int, primary key (a, b));
  create table keyless (a int);
  create table dropped (gone int, a int primary key, b int unique);
  alter table dropped drop column gone;

  create table uniques (
    id int primary key, constr text unique, late text unique deferrable initially deferred, early text unique deferrable,
    part text, expr text, incl text, extra text, pattern text, other text, folded text collate anycase,
    own_collation text, two int, three int, hidden int
  );
  create unique index on uniques (part) where part <> 'x';
  create unique index on uniques (lower(expr));
  create unique index on uniques (incl) include (extra);
  create unique index on uniques (pattern text_pattern_ops);
  create unique index on uniques (other collate "C");
  create unique index on uniques (folded collate "C");
  create unique index on uniques (own_collation collate anycase);
  create unique index on uniques (three, two);
  create index on uniques (hidden);

  create table late_key (id int primary key deferrable);
  create table matched (a int);
  insert into matched values (1), (1);

  create table parents (id int primary key, code text unique);
  create table children (
    id int primary key, parent_id int references parents on delete cascade,
    parent_code text references parents (code) on update cascade on delete set null,
    loose int references parents on delete set default, strict int references parents on delete restrict,
    self_id int references children on delete set null
  );

  create function touch() returns trigger language plpgsql as 'begin return new; end';
  create table watched (id int primary key, a int);
  create trigger early before insert or update of a on watched for each row execute function touch();
  create trigger late after delete or truncate on watched execute function touch();
  create trigger off after update on watched for each row execute function touch();
  alter table watched disable trigger off;
  create constraint trigger deferred after insert on watched deferrable initially deferred for each row execute function touch();

  create table ruled (id int primary key);
  create rule quiet as on insert to ruled do also nothing;
  create table guarded (id int primary key, owner text);
  alter table guarded enable row level security;
  create policy own on guarded using (owner = current_user);
  create function spy() returns boolean language sql as 'select true';
  create table spied (id int primary key);
  alter table spied enable row level security;
  create policy seen on spied using (spy());

  create table events (id int, at date not null, primary key (id, at)) partition by range (at);
  create table events_1 partition of events for values from ('2020-01-01') to ('2021-01-01') partition by range (id);
  create table events_1a partition of events_1 for values from (0) to (10);
  create table events_2 partition of events for values from ('2021-01-01') to ('2022-01-01');
  create trigger copied after insert on events for each row execute function touch();
  create trigger once after insert on events execute function touch();
  create constraint trigger owed after insert on events deferrable for each row execute function touch();
  create table beasts (id int primary key);
  create table cats (id int primary key) inherits (beasts);
  create table kittens (paws int) inherits (cats);

  create sequence counter;
  create function stable_fn() returns int stable language sql as 'select 1';
  create function pure_fn(int) returns int immutable language sql as 'select $1';
  create function pure_fn(text) returns int volatile language sql as 'select 1';
  create function pure_only(int) returns int immutable language sql as 'select $1';
  create function vol_step(int, int) returns int volatile language sql as 'select $1 + $2';
  create aggregate vol_sum (int) (sfunc = vol_step, stype = int);
  create aggregate good_sum (int) (sfunc = int4pl, stype = int);

  create view v_plain as select id, upper(words) as w, big + 1 as b from plain where id > 3 order by name;
  create view v_joined as select p.id, count(*) as n, json_agg(c.id) as ids, date_trunc('day', max(pl.at)) as d
    from parents p left join children c on c.parent_id = p.id join plain pl on pl.id = p.id group by p.id;
  create view v_nested as select v.id from v_joined v where exists (select from keyless);
  create view v_random as select random() as r, id from parents;
  create view v_nextval as select nextval('counter') from parents;
  create view v_over_random as select r from v_random;
  create view v_now as select now() as n from parents;
  create view v_date as select current_date as n from parents;
  create view v_user as select current_user as n from parents;
  create view v_setting as select current_setting('TimeZone') as n from parents;
  create view v_age as select age(at) as n from plain;
  create view v_age2 as select age(at, at) as n from plain;
  create view v_stable as select stable_fn() as n from parents;
  create view v_pure as select pure_only(id) as n from parents;
  create view v_vol_fn as select pure_fn(code) as n from parents;
  create view v_vol_agg as select vol_sum(id) as n from parents;
  create view v_good_agg as select good_sum(id) as n from parents;
  create view v_catalog as select relname from pg_class;
  create view v_activity as select pid from pg_stat_activity;
  create view v_sequence as select last_value from counter;
  create view v_cast_date as select words::date as n from plain;
  create view v_cast_int as select words::int as n from plain;
  create view v_sample as select id from parents tablesample bernoulli (10);
  create view v_values as select * from (values (1), (2)) as t(n);
  create view v_named as select id as "{SQLVALUEFUNCTION :funcid 1299 now()" from parents;
  create view v_guarded as select id from guarded;
  create view v_over_guarded as select id from v_guarded;
  create view v_window as select id, rank() over (partition by words order by at range between '1 day' preceding and current row) from plain;
  create view v_like as select id from plain where words like 'a%' and body @> '{"a":1}' and id = any (array[1, 2]) and at > '2020-01-01';
  create materialized view m_now as select now() as n, id from parents;
  create view v_over_m as select n from m_now;
  create materialized view m_plain as select count(*) as n from parents;
  create materialized view m_none as select 1 as n;
  create materialized view m_volatile as select pure_fn(code) as n from parents with no data;
  create materialized view m_over_view as select n from v_vol_fn with no data;
  create materialized view m_over_m as select n from m_volatile with no data;
  create view v_over_volatile as select n from m_volatile;
  create materialized view m_spied as select id from spied;
  create function later_fn(int) returns int immutable language sql as 'select $1';
  create materialized view m_indexed as select id from parents;
  create index on m_indexed (later_fn(id)) where later_fn(id) > 0;
  alter function later_fn(int) volatile;

  create schema one;
  create schema two;
  create table one.same (id int primary key);
  create table two.same (id bigint primary key);
  create table "one"."dotted.name" ("odd ""column" int primary key);
`

const id = (name: string, schema = 'public') => relationId(schema, name)

describe.each(engines)('facts read from %s', (_, open) => {
  let engine: Engine
  let facts: CatalogFacts
  const table = (name: string, schema = 'public'): RelationFacts => {
    const found = facts.relations.get(id(name, schema))
    if (!found) throw new Error(`${name} was not read`)
    return found
  }

  beforeAll(async () => {
    engine = await open()
    await engine.exec(ddl)
    await attempt(engine, 'create unique index concurrently broken on matched (a)')
    facts = await engine.facts()
  })
  afterAll(() => engine.close())

  describe('columns', () => {
    it.each([
      ['id', 'integer', 'int'],
      ['big', 'bigint', 'int'],
      ['small', 'smallint', 'int'],
      ['number', 'oid', 'none'],
      ['uid', 'uuid', 'uuid'],
      ['yes', 'boolean', 'bool'],
      ['feeling', 'mood', 'enum'],
      ['words', 'text', 'text'],
      ['name', 'character varying(20)', 'text'],
      ['bytewise', 'text', 'text'],
      ['folded', 'text', 'none'],
      ['day', 'date', 'date'],
      ['padded', 'character(4)', 'none'],
      ['price', 'numeric', 'none'],
      ['labels', 'text[]', 'none'],
      ['feelings', 'mood[]', 'none'],
      ['nick', 'short', 'none'],
      ['at', 'timestamp with time zone', 'none'],
      ['body', 'jsonb', 'none'],
      ['sysname', 'name', 'none'],
    ])('%s is %s and its equality is known as %s', (name, sqlType, token) => {
      expect(table('plain').columns.get(name)).toMatchObject({ name, sqlType, token })
    })

    it('not null and generated are told', () => {
      expect(table('plain').columns.get('at')).toMatchObject({ notNull: true, generated: false })
      expect(table('plain').columns.get('big')).toMatchObject({ notNull: false })
      expect(table('computed').columns.get('a')).toMatchObject({ notNull: true, generated: false })
      expect(table('computed').columns.get('c')).toMatchObject({ generated: true })
    })

    it('a dropped column is gone and the others keep their names', () => {
      expect([...table('dropped').columns.keys()]).toEqual(['a', 'b'])
      expect(table('dropped')).toMatchObject({ primaryKey: ['a'], uniqueKeys: [['b']] })
    })

    it('odd names survive', () => {
      expect(table('dotted.name', 'one')).toMatchObject({ primaryKey: ['odd "column'] })
    })
  })

  describe('keys', () => {
    it('the primary key stands in key order', () => {
      expect(table('composite').primaryKey).toEqual(['a', 'b'])
    })

    it('a table without one, or with one that may be violated until commit, has no primary key', () => {
      expect(table('keyless').primaryKey).toBeUndefined()
      expect(table('late_key').primaryKey).toBeUndefined()
      expect(table('late_key').uniqueIndexColumns).toEqual(new Set(['id']))
    })

    it('only whole, immediate, plain indexes with the equality of their columns are unique keys', () => {
      expect(table('uniques').uniqueKeys.map(String).sort()).toEqual(['constr', 'incl', 'other', 'three,two'])
    })

    it('every column of a unique index is known, an expression hides them', () => {
      expect([...table('uniques').uniqueIndexColumns].sort()).toEqual(
        [
          '*',
          'constr',
          'early',
          'folded',
          'id',
          'incl',
          'late',
          'other',
          'own_collation',
          'part',
          'pattern',
          'three',
          'two',
        ].sort(),
      )
    })

    it('an index that CREATE INDEX CONCURRENTLY left invalid proves nothing', () => {
      expect(table('matched').uniqueKeys).toEqual([])
    })

    it('keys of partitions and of their parent are told', () => {
      expect(table('events').primaryKey).toEqual(['id', 'at'])
      expect(table('events_1a').primaryKey).toEqual(['id', 'at'])
    })
  })

  it('foreign keys are seen from the parent, with both actions', () => {
    const child = id('children')
    expect(table('parents').incoming).toEqual(
      expect.arrayContaining([
        { child, childColumns: ['parent_id'], columns: ['id'], onDelete: 'cascade', onUpdate: 'none' },
        { child, childColumns: ['parent_code'], columns: ['code'], onDelete: 'set null', onUpdate: 'cascade' },
        { child, childColumns: ['loose'], columns: ['id'], onDelete: 'set default', onUpdate: 'none' },
        { child, childColumns: ['strict'], columns: ['id'], onDelete: 'none', onUpdate: 'none' },
      ]),
    )
    expect(table('parents').incoming).toHaveLength(4)
    expect(table('children').incoming).toMatchObject([{ child, childColumns: ['self_id'] }])
    expect(table('children').updatedByParents).toEqual(new Set(['parent_code']))
  })

  it('foreign keys are seen from the child; one of its keys may not be proven', async () => {
    await engine.exec(`
      create table homes (id int primary key, area int, unique (area, id));
      create table guests (
        id int primary key, home_id int references homes, area int, first int,
        foreign key (area, first) references homes (area, id)
      );
      alter table guests add column later int;
      alter table guests add foreign key (later) references homes not valid;
    `)
    const seen = (await engine.facts()).relations.get(id('guests'))
    expect(seen?.outgoing).toEqual([
      { parent: id('homes'), columns: ['area', 'first'], parentColumns: ['area', 'id'], proven: true },
      { parent: id('homes'), columns: ['home_id'], parentColumns: ['id'], proven: true },
      { parent: id('homes'), columns: ['later'], parentColumns: ['id'], proven: false },
    ])
    await engine.exec('alter table guests validate constraint guests_later_fkey')
    const valid = (await engine.facts()).relations.get(id('guests'))
    expect(valid?.outgoing.map((key) => key.proven)).toEqual([true, true, true])
  })

  it('a foreign key proves nothing while its triggers are off', async (context) => {
    await engine.exec('create table lax (id int primary key references parents)')
    expect((await engine.facts()).relations.get(id('lax'))?.outgoing).toMatchObject([{ proven: true }])
    if (!(await attempt(engine, 'alter table lax disable trigger all'))) return context.skip()
    expect((await engine.facts()).relations.get(id('lax'))?.outgoing).toMatchObject([{ proven: false }])
  })

  it('a foreign key NOT ENFORCED or with PERIOD proves nothing (PostgreSQL 18)', async (context) => {
    if (facts.serverVersion < 180000) return context.skip()
    await engine.exec('create table hoped (id int primary key references parents not enforced)')
    expect((await engine.facts()).relations.get(id('hoped'))?.outgoing).toMatchObject([{ proven: false }])
    if (!(await attempt(engine, 'create extension if not exists btree_gist'))) return
    await engine.exec(`
      create table rooms (id int, open int4range, primary key (id, open without overlaps));
      create table stays (id int, span int4range, foreign key (id, period span) references rooms (id, period open));
    `)
    expect((await engine.facts()).relations.get(id('stays'))?.outgoing).toMatchObject([
      { columns: ['id', 'span'], proven: false },
    ])
  })

  it('keys from and to partitioned tables are told once, and never as a key to one partition', async () => {
    await engine.exec(`
      create table lands (id int primary key) partition by range (id);
      create table lands_1 partition of lands for values from (0) to (10);
      create table towns (id int, land_id int references lands) partition by range (id);
      create table towns_1 partition of towns for values from (0) to (10);
    `)
    const { relations } = await engine.facts()
    const key = { parent: id('lands'), columns: ['land_id'], parentColumns: ['id'], proven: true }
    expect(relations.get(id('towns'))?.outgoing).toEqual([key])
    expect(relations.get(id('towns_1'))?.outgoing).toEqual([key])
  })

  it('first columns of plain, whole indexes are told, and of no others', async () => {
    await engine.exec(`
      create table led (id int primary key, b int, a int, part int, expr text, pattern text, hashed int, second int);
      create index on led (b desc nulls last);
      create index on led (a, second);
      create index on led (a);
      create unique index on led (second, id) include (hashed);
      create index on led (part) where part > 1;
      create index on led (lower(expr));
      create index on led (pattern text_pattern_ops);
      create index on led using hash (hashed);
    `)
    expect((await engine.facts()).relations.get(id('led'))?.leadingColumns).toEqual(['a', 'b', 'id', 'second'])
    expect(table('matched').leadingColumns).toEqual([])
  })

  it('triggers that can fire are told with timing and events; constraints are not triggers', () => {
    const no = { insert: false, update: false, delete: false, truncate: false }
    expect(table('watched').triggers).toEqual([
      { ...no, name: 'deferred', timing: 'after', insert: true },
      { ...no, name: 'early', timing: 'before', insert: true, update: true },
      { ...no, name: 'late', timing: 'after', delete: true, truncate: true },
    ])
    expect(table('children').triggers).toEqual([])
  })

  it('a row trigger of a partitioned table stands at its partitions, and at theirs, as a clone', () => {
    expect(table('events').triggers.map((one) => [one.name, one.clone])).toEqual([
      ['copied', undefined],
      ['once', undefined],
      ['owed', undefined],
    ])
    for (const member of ['events_1', 'events_1a'])
      expect(table(member).triggers).toMatchObject([
        { name: 'copied', clone: true, insert: true },
        { name: 'owed', clone: true, insert: true },
      ])
  })

  it('rules and row security are told', () => {
    expect(table('ruled').rules).toBe(true)
    expect(table('v_plain').rules).toBe(false)
    expect(table('guarded').rowSecurity).toBe(true)
    expect(table('ruled').rowSecurity).toBe(false)
    expect(table('v_over_guarded').rowSecurity).toBe(true)
    expect(table('v_plain').rowSecurity).toBe(false)
  })

  it('a policy that runs a volatile function makes reading the table volatile', () => {
    expect(table('spied').volatileView).toBe(true)
    expect(table('guarded').volatileView).toBe(false)
  })

  it('family is every ancestor and member, at any depth', () => {
    const family = (name: string) => [...table(name).family].sort()
    expect(family('events')).toEqual(['events_1', 'events_1a', 'events_2'].map((name) => id(name)).sort())
    expect(family('events_1')).toEqual(['events', 'events_1a'].map((name) => id(name)).sort())
    expect(family('events_1a')).toEqual(['events', 'events_1'].map((name) => id(name)).sort())
    expect(family('kittens')).toEqual(['beasts', 'cats'].map((name) => id(name)).sort())
    expect(
      ['events', 'events_1', 'events_1a', 'beasts', 'cats', 'kittens'].map((name) => table(name).inheritanceChildren),
    ).toEqual([false, false, false, true, true, false])
  })

  it('kinds are told', () => {
    const kinds = ['plain', 'events', 'events_1', 'events_1a', 'v_plain', 'm_now'].map((name) => table(name).kind)
    expect(kinds).toEqual(['table', 'partitioned', 'partitioned', 'table', 'view', 'materialized view'])
  })

  describe('views', () => {
    it.each([
      ['v_plain', ['plain']],
      ['v_joined', ['parents', 'children', 'plain']],
      ['v_nested', ['v_joined', 'parents', 'children', 'plain', 'keyless']],
      ['v_over_random', ['v_random', 'parents']],
      ['v_over_m', ['m_now']],
      ['m_now', []],
      ['v_values', []],
      ['plain', []],
      ['guarded', []],
    ])('%s reads %j', (name, reads) => {
      expect([...table(name).reads].sort()).toEqual(reads.map((one) => id(one)).sort())
    })

    it.each([
      ...['v_plain', 'v_joined', 'v_nested', 'v_age2', 'v_pure', 'v_good_agg', 'v_cast_int', 'v_values', 'v_named'].map(
        (name) => [name, 'steady'] as const,
      ),
      ...['v_window', 'v_like', 'v_over_m', 'm_now', 'v_guarded']
        .filter((one) => one !== 'v_guarded')
        .map((name) => [name, 'steady'] as const),
      ...[
        'v_now',
        'v_date',
        'v_user',
        'v_setting',
        'v_age',
        'v_stable',
        'v_catalog',
        'v_sequence',
        'v_cast_date',
        'v_sample',
      ].map((name) => [name, 'unsteady'] as const),
      ...['v_random', 'v_nextval', 'v_over_random', 'v_vol_fn', 'v_vol_agg'].map((name) => [name, 'volatile'] as const),
    ])('%s is %s', (name, mood) => {
      const { volatileView, unsteadyView } = table(name)
      expect({ volatileView, unsteadyView }).toEqual({
        volatileView: mood === 'volatile',
        unsteadyView: mood !== 'steady',
      })
    })

    it('a materialised view runs what it calls when it is refreshed, and not when it is read', () => {
      const views = [...facts.relations.values()].filter(({ name }) => /^(m_|v_over)/.test(name))
      expect(new Set(views.filter(({ volatileRefresh }) => volatileRefresh).map(({ name }) => name))).toEqual(
        new Set(['m_volatile', 'm_over_view', 'm_spied', 'm_indexed']),
      )
      expect(views.filter(({ volatileView }) => volatileView).map(({ name }) => name)).toEqual(['v_over_random'])
    })

    it('an event trigger that a refresh fires is noticed', async (context) => {
      expect(facts.refreshTriggers).toBe(false)
      const make = (name: string, more: string) =>
        `create event trigger ${name} on ddl_command_end ${more} execute function eventful()`
      await engine.exec(`create function eventful() returns event_trigger language plpgsql as 'begin end'`)
      if (!(await attempt(engine, make('other', `when tag in ('CREATE TABLE')`)))) return context.skip()
      expect((await engine.facts()).refreshTriggers).toBe(false)
      for (const more of ['', `when tag in ('CREATE TABLE', 'REFRESH MATERIALIZED VIEW')`]) {
        await engine.exec(make('own', more))
        expect((await engine.facts()).refreshTriggers, more).toBe(true)
        await engine.exec('alter event trigger own disable')
        expect((await engine.facts()).refreshTriggers).toBe(false)
        await engine.exec('drop event trigger own')
      }
      await engine.exec('drop event trigger other')
    })

    it('a view of what the server is doing is never steady', () => {
      expect(table('v_activity').unsteadyView).toBe(true)
    })
  })

  describe('functions', () => {
    it.each([
      'lower',
      'count',
      'now',
      'to_char',
      'pure_only',
      'good_sum',
      'stable_fn',
      'json_build_object',
      'pg_get_viewdef',
    ])('%s is quiet', (name) => expect(facts.quietFunctions.has(name)).toBe(true))
    it.each([
      'random',
      'nextval',
      'setval',
      'pg_sleep',
      'pure_fn',
      'vol_sum',
      'spy',
      'query_to_xml',
      'set_config',
      'no_such',
    ])('%s is not', (name) => expect(facts.quietFunctions.has(name)).toBe(false))

    it('a user-made operator, cast or domain check that runs a volatile function is noticed', async () => {
      expect(facts.volatileOperators).toBe(false)
      const cases = [
        ['create operator === (leftarg = int, rightarg = int, function = vol_step)', 'drop operator === (int, int)'],
        [
          `create function to_int(mood) returns int volatile language sql as 'select 1';
           create cast (mood as int) with function to_int(mood)`,
          'drop cast (mood as int); drop function to_int(mood)',
        ],
        ['create domain checked as int check (spy())', 'drop domain checked'],
      ] as const
      for (const [make, drop] of cases) {
        await engine.exec(make)
        expect((await engine.facts()).volatileOperators, make).toBe(true)
        await engine.exec(drop)
        expect((await engine.facts()).volatileOperators, drop).toBe(false)
      }
    })
  })

  it('unqualified names follow the search path', async () => {
    await engine.exec('set search_path = two, one, public')
    const moved = await engine.facts()
    expect(findRelation(moved, undefined, 'same')?.schema).toBe('two')
    expect(findRelation(moved, 'one', 'same')?.schema).toBe('one')
    expect(findRelation(moved, undefined, 'plain')?.schema).toBe('public')
    expect(moved.environment.searchPath).toBe('two, one, public')
    expect(findRelation(moved, undefined, 'pg_class')).toBeUndefined()
    await engine.exec('set search_path = one, public')
    expect(findRelation(await engine.facts(), undefined, 'same')?.schema).toBe('one')
    await engine.exec('reset search_path')
    expect(findRelation(await engine.facts(), undefined, 'same')).toBeUndefined()
  })

  it('server and session are told', () => {
    expect(facts.serverVersion).toBeGreaterThanOrEqual(130000)
    expect(facts.standby).toBe(false)
    expect(facts.database).not.toBe('')
    expect(facts.environment).toMatchObject({ dateStyle: 'ISO, MDY', intervalStyle: 'postgres', byteaOutput: 'hex' })
  })

  it('an own temporary table is seen first; the facts are the same letters when nothing changed', async () => {
    const { catalogQuery } = await import('../../src/catalog/catalog-query.ts')
    const read = async () => String((await engine.run(catalogQuery))[0]?.[0])
    expect(await read()).toBe(await read())
    await engine.exec('create temp table plain (id int)')
    expect(findRelation(await engine.facts(), undefined, 'plain')?.schema).toMatch(/^pg_temp/)
    await engine.exec('drop table pg_temp.plain')
  })

  it('privileges are those of the current role, schemas and columns included', async () => {
    await engine.exec(`
      create role aside_reader;
      create schema shut;
      create table shut.inside (id int primary key);
      create table closed (id int primary key, a int);
      create table some_columns (id int primary key, a int);
      create table each_column (id int primary key, a int);
      grant usage on schema public to aside_reader;
      grant select, delete on plain to aside_reader;
      grant select on shut.inside to aside_reader;
      grant select (id), update (a) on some_columns to aside_reader;
      grant select (id, a), insert (a) on each_column to aside_reader;
      set role aside_reader`)
    try {
      const seen = await engine.facts()
      const none = { select: false, insert: false, update: false, delete: false }
      expect(seen.environment.currentUser).toBe('aside_reader')
      expect(seen.relations.get(id('closed'))?.privileges).toEqual(none)
      expect(seen.relations.get(id('plain'))?.privileges).toEqual({ ...none, select: true, delete: true })
      expect(seen.relations.get(id('inside', 'shut'))?.privileges).toEqual(none)
      expect(seen.relations.get(id('some_columns'))?.privileges).toEqual({ ...none, update: true })
      expect(seen.relations.get(id('each_column'))?.privileges).toEqual({ ...none, select: true, insert: true })
      expect(seen.relations.get(id('closed'))?.primaryKey).toEqual(['id'])
      expect(seen.relations.size).toBe((await asOwner(engine)).relations.size)
    } finally {
      await engine.exec('reset role; drop owned by aside_reader; drop role aside_reader')
    }
  })

  it('NULLS NOT DISTINCT is a unique key (PostgreSQL 15 and later)', async (context) => {
    if (facts.serverVersion < 150000) return context.skip('PostgreSQL 15 brought it')
    await engine.exec('create table nullable (id int primary key, a int, unique nulls not distinct (a))')
    expect((await engine.facts()).relations.get(id('nullable'))?.uniqueKeys).toEqual([['a']])
  })

  it('citext has no token and is no unique key of ours', async (context) => {
    if (!(await attempt(engine, 'create extension citext'))) return context.skip()
    await engine.exec('create table folk (id int primary key, nick citext unique)')
    const folk = (await engine.facts()).relations.get(id('folk'))
    expect(folk?.columns.get('nick')).toMatchObject({ sqlType: 'citext', token: 'none' })
  })

  it('a foreign table is told as one', async (context) => {
    if (!(await attempt(engine, 'create extension file_fdw; create server files foreign data wrapper file_fdw')))
      return context.skip()
    await engine.exec(`create foreign table lines (line text) server files options (filename '/dev/null')`)
    expect((await engine.facts()).relations.get(id('lines'))).toMatchObject({
      kind: 'foreign table',
      primaryKey: undefined,
    })
  })

  it('a virtual generated column is told (PostgreSQL 18)', async (context) => {
    if (facts.serverVersion < 180000) return context.skip()
    await engine.exec('create table virtual (a int primary key, b int generated always as (a * 2) virtual)')
    expect((await engine.facts()).relations.get(id('virtual'))?.columns.get('b')).toMatchObject({ generated: true })
  })

  it('a key WITHOUT OVERLAPS is no key of ours (PostgreSQL 18)', async (context) => {
    if (facts.serverVersion < 180000 || !(await attempt(engine, 'create extension btree_gist'))) return context.skip()
    await engine.exec('create table booked (room int, span int4range, primary key (room, span without overlaps))')
    expect((await engine.facts()).relations.get(id('booked'))).toMatchObject({ primaryKey: undefined, uniqueKeys: [] })
  })
})

async function asOwner(engine: Engine): Promise<CatalogFacts> {
  await engine.exec('reset role')
  return engine.facts()
}
