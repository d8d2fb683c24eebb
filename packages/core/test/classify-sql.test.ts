import fc from 'fast-check'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../../../test/harness/databases.ts'
import { beyondCache, classifySql, verdictCache, writesBeyond } from '../src/map/classify-sql.ts'
import type { CatalogFacts, RelationFacts } from '../src/model/facts.ts'
import {
  harmless,
  pureReads,
  session,
  sessionReads,
  transactions,
  volatileReads,
  writes,
} from './classify-sql.cases.ts'
import { factsOf, schemaSql, trickyNames, trickySql } from './classify-sql.fixture.ts'

const facts = factsOf()

describe('a read that may be cached', () => {
  test.each(pureReads)('%s', (text) => {
    expect(classifySql(text, facts)).toEqual({ kind: 'read', volatile: false, session: false })
  })
})

describe('a read that may not be cached', () => {
  test.each(volatileReads)('%s', (text) => {
    expect(classifySql(text, facts)).toEqual({ kind: 'read', volatile: true, session: false })
  })
})

describe('a read that changes the session', () => {
  test.each(sessionReads)('%s', (text) => {
    expect(classifySql(text, facts)).toEqual({ kind: 'read', volatile: true, session: true })
  })
})

describe('harmless', () => {
  test.each(harmless)('%j', (text) => {
    expect(classifySql(text, facts)).toEqual({ kind: 'harmless' })
    expect(classifySql(text, undefined)).toEqual({ kind: 'harmless' })
  })
})

describe('a change of the session', () => {
  test.each(session)('%s', (text, local) => {
    expect(classifySql(text, facts)).toEqual({ kind: 'session', local })
  })
})

describe('the border of a transaction', () => {
  test.each(transactions)('%s', (text, kind) => {
    expect(classifySql(text, undefined)).toMatchObject({ kind })
  })

  test('AND CHAIN opens the next transaction at once', () => {
    expect(classifySql('commit and chain', facts)).toEqual({ kind: 'commit', chain: true })
    expect(classifySql('rollback work and chain', facts)).toEqual({ kind: 'rollback', chain: true })
    expect(classifySql('commit', facts)).toEqual({ kind: 'commit', chain: false })
  })

  test.each([
    ['begin; select 1', 'begun'],
    ['begin; insert into posts values (1); commit', 'ended'],
    ['commit; begin', 'begun'],
    ['rollback; select 1', 'ended'],
    ['select 1; commit and chain', 'begun'],
  ])('%s is an unknown write that says how the transaction stands after it', (text, after) => {
    expect(classifySql(text, facts)).toMatchObject({ kind: 'write', tables: 'unknown', after })
  })
})

describe('an unknown write', () => {
  test.each(writes)('%j', (text, ddl) => {
    const verdict = classifySql(text, facts)
    expect(verdict).toMatchObject({ kind: 'write', tables: 'unknown', ddl })
    expect('reason' in verdict && verdict.reason.length > 0).toBe(true)
  })

  test('every refresh, where an event trigger or an operator may write, or the catalog has not been read', () => {
    const text = 'refresh materialized view post_stats'
    for (const unsure of [factsOf({ refreshTriggers: true }), factsOf({ volatileOperators: true }), undefined])
      expect(classifySql(text, unsure)).toMatchObject({ kind: 'write', tables: 'unknown' })
  })

  test('every select, while the catalog has not been read', () => {
    for (const text of [...pureReads, ...volatileReads.filter((text) => !/^(show|explain|declare)/.test(text))]) {
      expect(classifySql(text, undefined).kind).toBe('write')
    }
  })

  test('every select, where an operator runs a volatile function', () => {
    for (const text of pureReads) expect(classifySql(text, factsOf({ volatileOperators: true })).kind).toBe('write')
  })
})

describe('a refresh that changes nothing but its view', () => {
  const stats = { schema: 'public', name: 'post_stats' }
  test.each([
    'refresh materialized view post_stats',
    'REFRESH MATERIALIZED VIEW CONCURRENTLY Public.Post_Stats',
    'refresh materialized view concurrently "post_stats" with no data',
    'refresh materialized view "public"."post_stats" with data;',
  ])('%s', (text) => {
    expect(classifySql(text, facts)).toMatchObject({ kind: 'write', tables: [stats], ddl: false })
  })

  test('without a schema any view of that name may be meant, and if one of them may write, anything', () => {
    const view = facts.relations.get('6:public.post_stats') as RelationFacts
    const withOther = (volatileRefresh: boolean) => {
      const other = { ...view, id: '3:app.post_stats', schema: 'app', volatileRefresh }
      return factsOf({ relations: new Map([...facts.relations, [other.id, other]]) })
    }
    const text = 'refresh materialized view post_stats'
    expect(classifySql(text, withOther(false))).toMatchObject({
      tables: [stats, { schema: 'app', name: 'post_stats' }],
    })
    expect(classifySql(text, withOther(true))).toMatchObject({ tables: 'unknown' })
    expect(classifySql(`${text.replace('post', 'public.post')}`, withOther(true))).toMatchObject({ tables: [stats] })
  })
})

test('JSON_VALUE is grammar since PostgreSQL 17 and anybody’s function before', () => {
  const text = `select json_value(data, '$.a') from posts`
  expect(classifySql(text, factsOf({ serverVersion: 170000 }))).toMatchObject({ kind: 'read' })
  expect(classifySql(text, factsOf({ serverVersion: 160000 }))).toMatchObject({ kind: 'write' })
})

test('relations of the server are looked for first only where pg_catalog comes first', () => {
  expect(classifySql('select 1 from pg_class', factsOf({ schemas: ['public', 'pg_catalog'] })).kind).toBe('write')
})

const own = [
  'insert into "posts" ("id", "title") values ($1, default), ($2, $3) returning "id", "title"',
  'insert into "posts" ("id") values ($1) on conflict do nothing',
  'insert into "posts" ("id", "title") values ($1, $2) on conflict ("id") do update set "title" = excluded."title", "views" = "posts"."views" + 1 where "posts"."views" > $3 returning *',
  'insert into "posts" ("id") values ($1) on conflict ("id") where "views" > 1 do update set ("title", "views") = ($2, $3)',
  'insert into "posts" ("id") values ($1) on conflict on constraint "posts_pkey" do nothing',
  'insert into "posts" default values',
  'insert into "posts" ("id", "title") select "id", "name" from "users" where "users"."id" = $1',
  'insert into posts select * from users u join app.items i on i.id = u.id on conflict do nothing',
  'insert into posts as p (id) overriding system value values (1) returning p.id',
  'insert into posts (select 1)',
  'insert into posts (id) (select id from users)',
  'insert into app.items values (1, lower($1), now(), nextval($2), gen_random_uuid())',
  'with "x" as (select "id" from "users") insert into "posts" ("id") select "x"."id" from "x"',
  'update "posts" set "title" = $1 where "posts"."id" = $2',
  'update "posts" set "title" = $1, "status" = $2::status where "posts"."id" in ($3, $4) returning "id"',
  'update "posts" set "views" = "posts"."views" + 1 from "users" where "users"."id" = "posts"."author_id"',
  'update posts p set (title, views) = (select name, 1 from users u where u.id = p.author_id) where p.title is distinct from $1',
  "update only posts as p set title = lower(p.title), tags[1] = 'a'",
  'with "x" as (select 1 as "n") update "posts" set "views" = "x"."n" from "x" returning old.id, new.title',
  'delete from "posts" where "posts"."id" = $1',
  'delete from "posts" where "posts"."author_id" in (select "id" from "users") returning "id"',
  'delete from posts p using users u, app.items i where p.author_id = u.id and i.id = u.id',
  'delete from only posts *',
  'select "id" from "posts" for update',
  'select 1',
]

const beyond = [
  'insert into "posts" ("id") values (loud())',
  'insert into "posts" ("id") values ($1) on conflict ("id") do update set "views" = loud()',
  'insert into "posts" ("id") values ($1) on conflict ("id") do update set ("views") = (loud())',
  'insert into "posts" ("id") values ($1) on conflict (loud("id")) do nothing',
  'insert into "posts" ("id") values ($1) returning loud()',
  'insert into posts select loud()',
  'insert into posts select * from loud_posts',
  'insert into posts (tags[loud()]) values (1)',
  'insert into posts select * from nowhere',
  'insert into nowhere values (1)',
  'with x as (delete from users returning *) insert into posts select * from x',
  'with x as (with y as (select 1) delete from users returning *) insert into posts select * from x',
  'with x as (select loud()) insert into posts values (1)',
  'update posts set views = loud()',
  'update posts set views = 1 where loud() = 1',
  'update posts set views = 1 from loud_posts',
  'update posts set views = 1 from loud() l',
  'update posts set views = posts.bump',
  'update posts p set views = (p).bump',
  'update posts set views = 1 operator(public.+) 2',
  'update posts set views = (select loud())',
  'update posts set views = 1 returning loud()',
  'update posts set views = 1; delete from users',
  'with x as (insert into users values (1)) update posts set views = 1',
  'delete from posts where loud() = 1',
  'delete from posts using loud_posts',
  'delete from posts where id in (select loud())',
  'delete from posts where id in (select n from loud_posts)',
  'merge into posts using users on true when matched then delete',
  'truncate posts',
  'select loud()',
  'select * from loud_posts',
  "insert into posts values ('\\'",
  '',
]

describe('a write to its target only', () => {
  test.each(own)('%s', (text) => expect(writesBeyond(text, facts)).toBe(false))
})

describe('a write that may reach further', () => {
  test.each(beyond)('%s', (text) => expect(writesBeyond(text, facts)).toBe(true))

  test('every write, while the catalog has not been read', () => {
    for (const text of own) expect(writesBeyond(text, undefined)).toBe(true)
  })
})

describe('the memory of verdicts', () => {
  test('answers the same text from memory, and asks again with new facts', () => {
    const classify = verdictCache()
    const before = classify('select x()', facts)
    expect(before.kind).toBe('write')
    expect(classify('select x()', facts)).toBe(before)
    const later = factsOf({ version: 2, quietFunctions: new Set(['x']) })
    expect(classify('select x()', later).kind).toBe('read')
    expect(classify('select x()', undefined).kind).toBe('write')
  })

  test('does the same for writes', () => {
    const beyond = beyondCache()
    const text = 'update posts set views = x()'
    expect([beyond(text, facts), beyond(text, facts)]).toEqual([true, true])
    expect(beyond(text, factsOf({ version: 2, quietFunctions: new Set(['x']) }))).toBe(false)
    expect(beyond(text, undefined)).toBe(true)
  })

  test('forgets the oldest text when it is full', () => {
    const classify = verdictCache(2)
    const first = classify('select 1', facts)
    classify('select 2', facts)
    expect(classify('select 1', facts)).toBe(first)
    classify('select 3', facts)
    expect(classify('select 1', facts)).not.toBe(first)
  })
})

test('hostile texts are classified in time and without an error', () => {
  const texts = [
    '('.repeat(100_000),
    `select ${'('.repeat(90)}1${')'.repeat(90)}`,
    `select ${'(select '.repeat(90)}1${')'.repeat(90)}`,
    `select ${"'\\".repeat(50_000)}`,
    `select ${'/*'.repeat(50_000)}`,
    `select E'${'\\'.repeat(100_001)}'`,
    `select ${'a.'.repeat(50_000)}b from posts`,
    `${'with recursive x as ('.repeat(60)}select 1${') select * from x'.repeat(60)}`,
    `select ${'1, '.repeat(20_000)}1`,
    `${'select 1;'.repeat(5000)}`,
    `select '${'a'.repeat(1_000_000)}'`,
  ]
  const start = performance.now()
  for (const text of texts) classifySql(text, facts)
  expect(performance.now() - start).toBeLessThan(3000)
  const pieces = fc.constantFrom(
    ...`select from ( ) [ ] . , ; :: ' " $$ -- /* */ \n where posts p loud union with x as 1 * U& E' \\ is distinct`.split(
      ' ',
    ),
  )
  fc.assert(
    fc.property(fc.array(pieces), (parts) => {
      classifySql(parts.join(' '), facts)
      classifySql(parts.join(''), facts)
      writesBeyond(`update posts set ${parts.join(' ')}`, facts)
    }),
    { numRuns: 5000 },
  )
})

describe.each([15, 18] as const)('on PostgreSQL %i', (line) => {
  let database: FreshDatabase
  let client: Client
  let real: CatalogFacts

  beforeAll(async () => {
    database = await freshDatabase(line)
    client = new Client({ connectionString: database.url })
    await client.connect()
    await client.query(schemaSql)
    const { rows } = await client.query(`select current_setting('server_version_num')::int as version`)
    real = factsOf({ serverVersion: rows[0].version, quietFunctions: await quietFunctions() })
  })

  afterAll(async () => {
    await client?.end()
    await database?.drop()
  })

  async function quietFunctions(): Promise<Set<string>> {
    const { rows } = await client.query(`select proname from pg_proc group by 1 having bool_and(provolatile <> 'v')`)
    return new Set(rows.map(({ proname }) => proname as string))
  }

  /** The SQLSTATE of a text in a read-only transaction, rolled back. */
  async function runReadOnly(text: string): Promise<string | undefined> {
    await client.query('begin read only')
    try {
      await client.query(text)
      return undefined
    } catch (error) {
      return (error as { code: string }).code
    } finally {
      await client.query('rollback')
    }
  }

  /** The keyword `label` was no name for a column without AS, and USING had no alias. */
  const notBefore14 = /title label|using \(\w+\) as/

  const cannotBeReadOnly = /nextval|setval|for (update|no key|share|key)/

  test.each([...pureReads, ...volatileReads, ...sessionReads])('%s is no write', async (text) => {
    expect(classifySql(text, real).kind).toBe('read')
    const code = await runReadOnly(text)
    if (real.serverVersion < 140_000 && notBefore14.test(text)) return expect(code).toBe('42601')
    expect(code).toBe(cannotBeReadOnly.test(text) ? '25006' : undefined)
  })

  test('what the server refuses as a write is never taken for a read', async () => {
    let refused = 0
    for (const [text] of writes) {
      if (/^(copy|do|load|call)|\0/.test(text) || classifySql(text, real).kind !== 'write') continue
      if ((await runReadOnly(text)) === '25006') refused += 1
    }
    expect(refused).toBeGreaterThan(60)
  })

  test('no random query that is taken for a read writes, though functions bear the names of keywords', async () => {
    await client.query(trickySql)
    const tricky = { ...real, quietFunctions: await quietFunctions() }
    const found = { read: 0, ran: 0, refused: 0 }
    for (const text of fc.sample(query, 6000)) {
      const verdict = classifySql(text, tricky)
      const code = await runReadOnly(text)
      if (code === '25006') found.refused += 1
      if (verdict.kind !== 'read') continue
      expect([text, code]).not.toEqual([text, '25006'])
      found.read += 1
      if (code === undefined) found.ran += 1
    }
    // Without these the test would prove nothing.
    expect(found.ran).toBeGreaterThan(200)
    expect(found.refused).toBeGreaterThan(200)
  }, 120_000)

  test('no random write that is said to reach its target only writes elsewhere', async () => {
    const tricky = { ...real, quietFunctions: await quietFunctions() }
    const found = { own: 0, elsewhere: 0 }
    for (const text of fc.sample(dml, 4000)) {
      const logged = await rowsLogged(text)
      if (logged > 0) found.elsewhere += 1
      if (writesBeyond(text, tricky)) continue
      expect([text, Math.max(logged, 0)]).toEqual([text, 0])
      if (logged === 0) found.own += 1
    }
    expect(found.own).toBeGreaterThan(100)
    expect(found.elsewhere).toBeGreaterThan(100)
  }, 120_000)

  test.each(['substring', 'overlay'])('a user may have made a function %s that writes', async (name) => {
    const body = `insert into log values (1) returning 1`
    await client.query(`create function public.${name}(int4range, int) returns int language sql as '${body}'`)
    const text = `select ${name}('[1,2)'::int4range, 1)`
    expect(classifySql(text, { ...real, quietFunctions: await quietFunctions() }).kind).toBe('write')
    // Before PostgreSQL 14 the keyword called what is built in, and nothing else.
    expect(await rowsLogged(text)).toBe(real.serverVersion < 140_000 ? -1 : 1)
    await client.query(`drop function public.${name}(int4range, int)`)
  })

  /** How many rows a text adds to the table that every loud function writes; -1 for a text that fails. */
  async function rowsLogged(text: string): Promise<number> {
    await client.query('begin')
    try {
      await client.query(text)
      const { rows } = await client.query('select count(*)::int as n from log')
      return rows[0].n
    } catch {
      return -1
    } finally {
      await client.query('rollback')
    }
  }
})

const seldom = <T>(often: fc.Arbitrary<T>, rare: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: often, weight: 4 }, { arbitrary: rare, weight: 1 })
const join = (...parts: (string | fc.Arbitrary<string>)[]) =>
  fc
    .tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : part)))
    .map((texts) => texts.join(' '))

const alias = fc.constantFrom('p', 'q', 'x', 'posts')
const loudCall = fc.oneof(
  fc.constantFrom(
    'loud()',
    'loud ()',
    '"loud"()',
    'public.loud()',
    'p.bump',
    '(p).bump',
    'posts.bump',
    'x.loud_row',
    'p.name',
    'q.name',
    'x.name',
    'p.title',
    'x.title',
    'q.title',
    'x.n',
    'p.n',
    'q.loud_row',
  ),
  fc.constantFrom(...trickyNames).map((name) => `${name}(1)`),
  fc.constantFrom(...trickyNames).map((name) => `"${name}" (1)`),
)
const quietTerm = fc.constantFrom(
  '1', 'id', 'p.id', 'x.id', 'posts.id', 'q.id', "'a'", '$$loud()$$', 'title', 'lower(title)', 'count(*) over ()', '(1)', 'null',
  'extract(year from created_at)', "substring(title from 1 for 2)", 'views::text', 'array[1]', 'true', '*', 'p.*', 'quiet(1)', 'row(1)',
) // biome-ignore format: a list

const { query, term, from } = fc.letrec<{ query: string; term: string; from: string }>((tie) => ({
  query: fc.oneof(
    { depthSize: 'small', maxDepth: 3 },
    join('select', tie('term')),
    join('select', tie('term'), 'from', tie('from')),
    join(
      'select',
      tie('term'),
      fc.constantFrom('as', ''),
      fc.constantFrom('x', 'over', 'filter', '"loud"', 'id'),
      'from',
      tie('from'),
    ),
    join(
      'select',
      tie('term'),
      ',',
      tie('term'),
      'from',
      tie('from'),
      'where',
      tie('term'),
      'is not distinct from',
      tie('term'),
    ),
    join('select distinct on (', tie('term'), ')', tie('term'), 'from', tie('from')),
    join(
      'select',
      tie('term'),
      'from',
      tie('from'),
      fc.constantFrom('order by', 'group by', 'limit', 'offset', 'group by rollup'),
      '(',
      tie('term'),
      ')',
    ),
    join('(', tie('query'), ')', fc.constantFrom('union', 'union all', 'except'), '(', tie('query'), ')'),
    join(
      'with',
      fc.constantFrom('', 'recursive'),
      fc.constantFrom('x', 'p', 'loud_posts', 'posts'),
      'as',
      fc.constantFrom('', 'materialized', 'not materialized'),
      '(',
      tie('query'),
      ')',
      tie('query'),
    ),
    join('values (', tie('term'), ')'),
    fc.constantFrom('table posts', 'table loud_posts', 'table quiet_posts'),
  ),
  term: seldom(
    seldom(quietTerm, loudCall),
    fc.oneof(
      { depthSize: 'small', maxDepth: 3 },
      join('(', tie('query'), ')'),
      join('(', tie('query'), ').id'),
      join('array(', tie('query'), ')'),
      join('(', tie('term'), ')'),
      join(
        '(',
        tie('term'),
        ')',
        fc.constantFrom('+', '=', 'like', 'ilike', 'over', 'filter', 'and', 'is distinct from', 'between 1 and'),
        '(',
        tie('term'),
        ')',
      ),
      join('case when', tie('term'), 'is null then', tie('term'), 'end'),
      join('count(*) filter (where', tie('term'), 'is null )'),
      join('substring(title from', tie('term'), 'for 1)'),
      join('coalesce(', tie('term'), ',', tie('term'), ')'),
      join('cast(', tie('term'), 'as text)'),
      join('exists (', tie('query'), ')'),
    ),
  ),
  from: fc.oneof(
    { depthSize: 'small', maxDepth: 3 },
    join(
      fc.constantFrom('posts', 'users', 'public.posts', 'only posts', 'only (posts)', 'posts *', 'quiet_posts'),
      alias,
    ),
    join(fc.constantFrom('posts', 'quiet_posts', 'loud_posts', 'users', 'x'), fc.constantFrom('', 'as p', 'p(id)')),
    join('(', tie('query'), ')', alias),
    join('(', tie('query'), ') as', alias, '(id)'),
    join('lateral (', tie('query'), ')', alias),
    join('generate_series(1, 2)', alias),
    join(loudCall, alias),
    join(tie('from'), ',', tie('from')),
    join(tie('from'), 'cross join', tie('from')),
    join('(', tie('from'), 'left join', tie('from'), 'on', tie('term'), 'is not distinct from', tie('term'), ')'),
    join(tie('from'), 'join', tie('from'), 'on true and', tie('term'), 'is null'),
  ),
}))

const value = term.map((text) => (text === '*' || text === 'p.*' ? '5' : text))

const dml = fc.oneof(
  join(
    'insert into posts (id, views) values ( 7,',
    value,
    ') on conflict (id) do update set views =',
    value,
    fc.constantFrom('', 'where excluded.id is not null'),
  ),
  join(
    'insert into posts (id) select',
    value,
    'from',
    from,
    fc.constantFrom('', 'on conflict do nothing', 'returning id, title'),
  ),
  join('insert into posts as p values ( 8 ) returning', value),
  join('insert into posts as p (id) (', query, ') on conflict do nothing'),
  join('update posts p set views =', value, 'where', value, 'is not distinct from', value),
  join('update posts set views = 1 from', from, 'returning', value),
  join('update posts as q set (title, views) = ( select', value, ',', value, ')'),
  join('delete from posts as p where', value, 'is null returning', value),
  join('delete from posts using', from, 'where', value, 'is not null'),
  join('with x as (', query, ') update posts as p set views = 2 where exists (', query, ')'),
  join('with recursive q as (', query, ') insert into posts (id)', query),
)
