import { describe, expect, test } from 'vitest'
import { bindCover, labelOf } from '../../src/map/bind-cover.ts'
import { coverQuery } from '../../src/map/cover-query.ts'
import { type Facet, groupFacet, MAIN } from '../../src/model/facets.ts'
import { relationId } from '../../src/model/facts.ts'
import { keysOf, parseQuery, schemaOf, shapeOf } from './cover.fixture.ts'

const schema = schemaOf(`
  users: id! org_id~ email:text% nick:text?~ code:uuid~ born:date~
  posts: id! author_id>users status:enum:status slug:text (author_id,status) likes
  seats: hall! seat! kind~
`)
const group = groupFacet(['likes'])

interface Given {
  readonly facets?: (ref: number) => readonly Facet[]
  readonly max?: number
}

function bind(text: string, params: readonly unknown[], { facets = () => [MAIN], max = 16 }: Given = {}) {
  const query = parseQuery(text)
  const cover = coverQuery(shapeOf(query, schema), {
    facts: schema.facts,
    relationOf: (ref) => schema.tables.get(query.tables[ref] as string)!,
    schemesOf: schema.schemesOf,
  })
  const keys = (id: string) => keysOf(schema.facts.relations.get(id)!)
  return { ...bindCover(cover, { params, facets, keys, max }), aliases: query.aliases }
}

/** `posts[author_id=1], users (table: too-many-classes)`, by what people read. */
function bound(text: string, params: readonly unknown[], given?: Given): string {
  const { dependencies, widened, aliases } = bind(text, params, given)
  const labels = dependencies.map((each) => labelOf(each, (facet) => (facet === group ? 'likes' : facet)))
  return [...labels.sort(), ...widened.map(({ ref, reason }) => `${aliases[ref]}: ${reason}`)].join(', ')
}

const cases = (list: [query: string, params: unknown[], expected: string][]) =>
  test.each(list)('%s with %o → %s', (query, params, expected) => expect(bound(query, params)).toBe(expected))

describe('values become tokens', () => {
  cases([
    ['from users where users.id = $0', [1], 'users[id=1]'],
    ['from users where users.id = $0', ['007'], 'users[id=7]'],
    ['from users where users.id = $0', [7n], 'users[id=7]'],
    ['from users where users.email = $0', ['a,b]=v1:'], 'users[email=a,b]=v1:]'],
    [
      'from users where users.code = $0',
      ['{A0EEBC99-9C0B4EF8-BB6D6BB9-BD380A11}'],
      'users[code=a0eebc999c0b4ef8bb6d6bb9bd380a11]',
    ],
    ['from users where users.nick null', [], 'users[nick=null]'],
    ['from users where users.nick = $0', ['null'], 'users[nick=null]'],
    ['from users where users.id in ($0 $1)', [1, 2], 'users[id=1], users[id=2]'],
    ['from users where users.id in ($0 $1)', [1, '1'], 'users[id=1]'],
    ['from seats where seats.seat = $0 and seats.hall = $1', [5, 1], 'seats[hall=1, seat=5]'],
    ['from posts where posts.author_id = $1 and posts.status = $0', ['live', 3], 'posts[author_id=3, status=live]'],
    ['from users left posts on posts.author_id = users.id where users.id = $0', [1], 'posts[author_id=1], users[id=1]'],
    ['from users', [], 'users (table), users: no-condition'],
    ['from users where never', [], ''],
  ])

  test('NULL and a text that reads so are different stamps', () => {
    const [one] = bind('from users where users.nick null', []).dependencies
    const [other] = bind('from users where users.nick = $0', ['null']).dependencies
    expect(one?.key).not.toBe(other?.key)
  })
})

describe('values without a token', () => {
  cases([
    ['from users where users.id = $0', [1.5], 'users (table), users: value-without-token'],
    ['from users where users.id = $0', [undefined], 'users (table), users: value-without-token'],
    ['from users where users.id = $0', [{}], 'users (table), users: value-without-token'],
    ['from users where users.born = $0', ['today'], 'users (table), users: value-without-token'],
    ['from users where users.id = $0 and users.org_id = $1', ['0x1', 2], 'users[org_id=2]'],
    ['from users where users.id in ($0 $1)', [1, 'x'], 'users (table), users: value-without-token'],
    ['from users where users.id in ($0 $1) and users.org_id = $2', [1, 'x', 3], 'users[id=1], users[org_id=3]'],
    ['from users where users.id = $0 or users.org_id = $1', ['x', 2], 'users (table), users: value-without-token'],
    [
      'from users left posts on posts.author_id = users.id where users.id = $0',
      ['x'],
      'posts (table), users (table), users: value-without-token, posts: value-without-token',
    ],
  ])
})

describe('NULL as a value: nothing equals it', () => {
  cases([
    ['from users where users.id = $0', [null], ''],
    ['from users where users.id in ($0 $1)', [null, 2], 'users[id=2]'],
    ['from users where users.id in ($0 $1)', [null, null], ''],
    ['from users where users.id = $0 or users.org_id = $1', [null, 2], 'users[org_id=2]'],
    ['from users where users.id = $0 and users.org_id = $1', [1, null], ''],
    ['from users left posts on posts.author_id = $0', [null], 'users (table), users: no-condition'],
  ])
})

describe('facets', () => {
  const facets = (ref: number) => (ref === 0 ? [MAIN, group] : [MAIN])
  test.each<[string, unknown[], string]>([
    ['from posts where posts.id = $0', [1], 'posts[id=1]'],
    ['from posts where posts.author_id = $0', [1], 'posts[author_id=1], posts[author_id=1] likes'],
    ['from posts', [], 'posts (table), posts (table) likes, posts: no-condition'],
    ['from posts a cross posts b where b.author_id = $0', [1], 'posts (table), posts (table) likes, a: no-condition'],
    // The table's main stamp says nothing of likes, which the other reference reaches.
    [
      'from posts a cross posts b where a.author_id = $0',
      [1],
      'posts (table), posts[author_id=1], posts[author_id=1] likes, b: no-condition',
    ],
    ['from posts a cross posts b where a.id = $0', [1], 'posts (table), posts[id=1], b: no-condition'],
    [
      'from posts a cross posts b where a.author_id = $0 and b.author_id = $0',
      [1],
      'posts[author_id=1], posts[author_id=1] likes',
    ],
  ])('%s with %o → %s', (query, params, expected) => expect(bound(query, params, { facets })).toBe(expected))
})

describe('more dependencies than allowed', () => {
  test.each<[number, string, unknown[], string]>([
    [2, 'from users where users.id in ($0 $1)', [1, 2], 'users[id=1], users[id=2]'],
    [1, 'from users where users.id in ($0 $1)', [1, 2], 'users (table), users: too-many-classes'],
    [1, 'from users where users.id in ($0 $1)', [1, 1], 'users[id=1]'],
    [
      3,
      'from users inner posts on posts.id = $0 where users.id in ($1 $2 $3)',
      [1, 2, 3, 4],
      'posts[id=1], users (table), users: too-many-classes',
    ],
    [
      3,
      'from users inner posts on posts.id in ($0 $1) where users.id in ($2 $3 $4)',
      [1, 2, 3, 4, 5],
      'posts[id=1], posts[id=2], users (table), users: too-many-classes',
    ],
    [
      2,
      'from users inner posts on posts.id in ($0 $1) where users.id in ($2 $3 $4)',
      [1, 2, 3, 4, 5],
      'posts (table), users (table), users: too-many-classes, posts: too-many-classes',
    ],
    [
      1,
      'from users inner posts on ?',
      [],
      'posts (table), users (table), users: not-an-equality, posts: not-an-equality',
    ],
    [1, 'from users a inner users b on b.id = $0 where a.id = $1', [1, 2], 'users (table), a: too-many-classes'],
  ])('at most %i: %s with %o → %s', (max, query, params, expected) => {
    expect(bound(query, params, { max })).toBe(expected)
  })
})

test('dependencies and tables stand in byte order, learned partners’ tables among them', () => {
  const { dependencies, tables } = bind(
    'from posts left users on users.id = posts.author_id where posts.id in ($0 $1 $2)',
    [3, 20, 1],
  )
  const keys = dependencies.map(({ key }) => key)
  expect(keys).toEqual([...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))))
  expect(keys).toHaveLength(3)
  expect(tables).toEqual([relationId('public', 'posts'), relationId('public', 'users')])
})

test('a table of another schema is told with it, a group without a name by its columns', () => {
  const dependency = { key: '', table: relationId('my.app', 'it.ems'), scheme: undefined, tokens: [], facet: group }
  expect(labelOf(dependency)).toBe('my.app.it.ems (table) g5:likes')
})
