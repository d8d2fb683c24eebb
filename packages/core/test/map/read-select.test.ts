import { describe, expect, test } from 'vitest'
import { readSelect, selectCache } from '../../src/map/classify-sql.ts'
import { pureReads, volatileReads, writes } from '../classify-sql.cases.ts'
import { factsOf } from '../classify-sql.fixture.ts'

const facts = factsOf()

/** `posts 2, users`: how often each relation is read. */
function read(text: string): string {
  const { problem, relations } = readSelect(text, facts)
  if (problem !== undefined) return `problem: ${problem}`
  return [...relations].map(([id, count]) => `${id.split('.')[1]}${count > 1 ? ` ${count}` : ''}`).join(', ')
}

describe('what a query text reads, each time that it names it', () => {
  test.each([
    ['select 1', ''],
    ['values (1), (2)', ''],
    ['table posts', 'posts'],
    ['(select * from posts)', 'posts'],
    ['select * from posts', 'posts'],
    ['select * from public.posts p', 'posts'],
    ['select * from "posts" "users"', 'posts'],
    ['select * from app.items', 'items'],
    ['select * from only posts', 'posts'],
    ['select * from only (posts)', 'posts'],
    ['select * from posts *', 'posts'],
    ['select * from posts a, posts b', 'posts 2'],
    ['select * from posts p join users u on u.id = p.author_id', 'posts, users'],
    ['select * from (posts p join users u on u.id = p.author_id) join app.items i on true', 'posts, users, items'],
    ['select * from posts cross join users, posts c', 'posts 2, users'],
    ['select (select count(*) from posts p where p.author_id = u.id) from users u', 'users, posts'],
    ['select * from users where exists (select 1 from posts where posts.author_id = users.id)', 'users, posts'],
    ['select * from users where id in (select author_id from posts union select id from posts)', 'users, posts 2'],
    ['select array(select id from posts)', 'posts'],
    ['select * from posts union all select * from posts order by 1', 'posts 2'],
    ['(select id from posts) except (select id from users)', 'posts, users'],
    ['select * from posts order by (select max(id) from users)', 'posts, users'],
    ['select * from posts limit (select count(*) from users)', 'posts, users'],
    ['select x.id from (select id from (select * from posts) y) x', 'posts'],
    ['select * from users u, lateral (select * from posts p where p.author_id = u.id) l', 'users, posts'],
    ['with x as (select id from posts) select * from x', 'posts'],
    ['with x as (select id from posts) select * from x a, x b, users', 'posts, users'],
    ['with posts as (select id from posts) select * from posts', 'posts'],
    ['with posts as (select id from posts) select * from posts, public.posts p', 'posts 2'],
    ['with recursive posts as (select 1 as id union select id + 1 from posts where id < 3) select * from posts', ''],
    ['with a as (select id from users), b as (select id from a, posts) select * from b, a', 'users, posts'],
    ['select max(id) filter (where id in (select id from users)) over (partition by id) from posts', 'posts, users'],
    ['select id from posts group by id having count(*) > (select count(*) from users)', 'users, posts'],
    ['select extract(year from created_at) from posts', 'posts'],
    ['select id is distinct from views from posts', 'posts'],
    ["select 'from users' from posts -- from users", 'posts'],
    ['select "from" from "Weird ""Name"', 'Weird "Name'],
    ['select * from quiet_posts', 'quiet_posts'],
    ['select * from post_stats', 'post_stats'],
  ])('%s', (text, expected) => {
    expect(read(text).split(', ').sort()).toEqual(expected.split(', ').sort())
  })

  test.each([
    'delete from posts',
    'insert into posts values (1)',
    'select 1; select 2',
    'show all',
    '',
    'explain select 1',
  ])('%j is not one query', (text) => expect(readSelect(text, facts).problem).toBe('not one query'))

  test.each(['select * from nowhere', 'select loud() from posts', 'select * from loud_posts', 'select * from far'])(
    '%s is no proven read',
    (text) => expect(readSelect(text, facts).problem).toBeDefined(),
  )
})

describe('it agrees with the verdict on the whole text', () => {
  const queries = /^[\s;(]*(\/\*.*\*\/)?[\s;(]*(select|values|table|with)\b(?!.*; select)/i
  test.each([...pureReads, ...volatileReads].filter((text) => queries.test(text)))('%s', (text) => {
    const { problem, session } = readSelect(text, facts)
    expect({ problem, session }).toEqual({ problem: undefined, session: false })
  })

  test.each(writes.map(([text]) => text))('%j', (text) => {
    expect(readSelect(text, facts).problem).toBeDefined()
  })
})

test('a relation of the server, a clock and a view over one make a query volatile', () => {
  expect(readSelect('select 1 from pg_class', facts)).toMatchObject({ volatile: true, system: true })
  expect(readSelect('select now() from posts', facts)).toMatchObject({ volatile: true, system: false })
  expect(readSelect('select * from clock', facts)).toMatchObject({ volatile: true, system: false })
  expect(readSelect('select * from posts', facts)).toMatchObject({ volatile: false, system: false })
  expect(readSelect("select set_config('a', 'b', false)", facts)).toMatchObject({ volatile: true, session: true })
})

test('without facts nothing is proven, and new facts are asked anew', () => {
  const ask = selectCache(2)
  expect(ask('select * from posts', undefined).problem).toBe('the catalog has not been read')
  const first = ask('select * from posts', facts)
  expect(first.relations.size).toBe(1)
  expect(ask('select * from posts', facts)).toBe(first)
  expect(ask('select * from posts', factsOf({ version: 2, relations: new Map() })).problem).toBeDefined()
})
