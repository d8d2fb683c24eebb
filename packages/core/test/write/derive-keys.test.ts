import { describe, expect, it } from 'vitest'
import { tableSchemes } from '../../src/map/schemes.ts'
import { groupFacet } from '../../src/model/facets.ts'
import { type RelationFacts, relationId } from '../../src/model/facts.ts'
import { stampKey, TableKeys } from '../../src/model/keys.ts'
import { tokenOf } from '../../src/model/tokens.ts'
import type { ImageForm, RowImages, TouchedRows, WritePlan } from '../../src/model/write.ts'
import { deriveKeys } from '../../src/write/derive-keys.ts'
import { relation } from '../relation.fixture.ts'

const table = relation('id email:text a b:uuid c:bool d:date', { uniqueKeys: [['email'], ['a', 'b'], ['c', 'd']] })
const tableKeys = new TableKeys('n', 'd', table.schema, table.name)
const schemesOf = (facts: RelationFacts, lists: string[][] = []) =>
  tableSchemes(facts, tableKeys, { lists, sensitive: new Set() })
const schemes = schemesOf(table)
const columns = ['id', 'email', 'a', 'b', 'c', 'd']

const outgoing = (column: string) => ({
  parent: relationId('public', 'parents'),
  columns: [column],
  parentColumns: ['id'],
  proven: true,
})

const planOf = (form: ImageForm, over: Partial<WritePlan> = {}): WritePlan => ({
  form,
  reason: undefined,
  columns,
  schemes,
  changes: 'all',
  stays: ['m'],
  moves: true,
  key: ['id'],
  limit: undefined,
  maxTouched: 10_000,
  lock: 'update',
  name: form,
  ...over,
})
const touched = (images: RowImages[], over: Partial<TouchedRows> = {}): TouchedRows => ({
  images,
  count: images.length,
  unknownRows: false,
  ...over,
})
/** The stamp that a reader of these values asks for. */
const read = (name: string, ...values: unknown[]): string => {
  const scheme = schemes.find((each) => each.columns.join() === name)
  if (!scheme) throw new Error(name)
  return stampKey(
    scheme,
    scheme.tokens.map((kind, at) => (values[at] === null ? null : (tokenOf(kind, values[at]) as string))),
  )
}
const row = (id: string, email: string | null = null, ...rest: (string | null)[]): (string | null)[] => [
  id,
  email,
  rest[0] ?? null,
  rest[1] ?? null,
  rest[2] ?? null,
  rest[3] ?? null,
]
const keysOf = (images: RowImages[], relationFacts: RelationFacts = table): string[] => {
  const derived = derive(planOf('old-new'), touched(images), relationFacts)
  if ('epoch' in derived) throw new Error(derived.epoch)
  return [...derived.keys].sort()
}
/** Without the stamps of the whole table, which every write removes. */
const derive = (plan: WritePlan, rows: TouchedRows, facts: RelationFacts) => {
  const derived = deriveKeys(plan, rows, facts, tableKeys)
  if ('epoch' in derived || rows.images.length === 0) return derived
  expect(derived.keys).toContain(tableKeys.table())
  return { keys: derived.keys.filter((key) => key !== tableKeys.table()) }
}
/** Of a row whose other columns are NULL. */
const nulls = [read('a,b', null, null), read('c,d', null, null)]
const u1 = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'

describe('keys of a write’s images', () => {
  it('a new row: one key for each of its classes', () => {
    const after = row('7', 'a@x', '1', u1, 'true', '2020-01-01')
    const wanted = [
      read('id', 7),
      read('email', 'a@x'),
      read('a,b', 1, u1.toUpperCase()),
      read('c,d', true, '2020-01-01'),
    ]
    expect(keysOf([{ before: undefined, after }])).toEqual(wanted.sort())
    expect(keysOf([{ before: after, after: undefined }])).toEqual(wanted.sort())
  })

  it('old and new: the classes that it left and those that it entered', () => {
    const images = { before: row('7', 'old', '1', u1), after: row('8', 'new', '2', u1) }
    const wanted = [
      read('id', 7),
      read('id', 8),
      read('email', 'old'),
      read('email', 'new'),
      read('a,b', 1, u1),
      read('a,b', 2, u1),
      read('c,d', null, null),
    ]
    expect(keysOf([images])).toEqual(wanted.sort())
  })

  it('what did not change is named once', () => {
    const same = row('7', 'a')
    expect(
      keysOf([
        { before: same, after: same },
        { before: same, after: row('7', 'b') },
      ]),
    ).toEqual([read('id', 7), read('email', 'a'), read('email', 'b'), ...nulls].sort())
  })

  it('a NULL is a class of its own: `is null` may be asked for', () => {
    expect(keysOf([{ before: undefined, after: row('7', null, '1', null, 'false', '2020-01-01') }])).toEqual(
      [read('id', 7), read('email', null), read('a,b', 1, null), read('c,d', false, '2020-01-01')].sort(),
    )
    expect(keysOf([{ before: row('7', 'x'), after: row('7', null) }])).toEqual(
      [read('id', 7), read('email', 'x'), read('email', null), ...nulls].sort(),
    )
  })

  it('a column that the statement did not give is unknown, not NULL', () => {
    const short = touched([{ before: undefined, after: ['7', 'x'] }])
    expect(derive(planOf('new'), short, table)).toEqual({ epoch: 'value-without-token' })
    const without = planOf('new', { columns: ['id', 'email', 'a', 'c', 'd'] })
    const images = touched([{ before: undefined, after: ['7', 'x', '1', 'true', '2020-01-01'] }])
    expect(derive(without, images, table)).toEqual({ epoch: 'value-without-token' })
  })

  it.each(['infinity', '-infinity', '0044-03-15 BC', '10000-01-01', '01/02/2020'])(
    'a date that has no token drops the table: %s',
    (date) => {
      const images = [{ before: undefined, after: row('7', 'a', null, null, 'true', date) }]
      expect(derive(planOf('new'), touched(images), table)).toEqual({ epoch: 'value-without-token' })
    },
  )

  const texts = [
    '',
    ' ',
    'a:b',
    '5:a',
    'm',
    '=v',
    'é',
    'e\u0301',
    '😀',
    'x'.repeat(64),
    'x'.repeat(65),
    `${'x'.repeat(64)}y`,
    '%',
    "'",
    '{}',
  ]
  it('texts have keys of their own, whatever is in them', () => {
    const keys = texts.map((text) =>
      keysOf([{ before: undefined, after: row('7', text) }]).find(
        (key) => key !== read('id', 7) && !nulls.includes(key),
      ),
    )
    expect(new Set(keys).size).toBe(texts.length)
    expect(keys).toEqual(texts.map((text) => read('email', text)))
  })

  const pairs: [string, string][] = [
    ['1', '23'],
    ['12', '3'],
    ['123', ''],
    ['', '123'],
  ]
  it('two columns cannot be taken for others', () => {
    const two = relation('id p:text q:text', { uniqueKeys: [['p', 'q']] })
    const own = schemesOf(two)
    const keys = pairs.map(([p, q]) => {
      const plan = planOf('new', { schemes: own, columns: ['id', 'p', 'q'] })
      const derived = derive(plan, touched([{ before: undefined, after: ['1', p, q] }]), two)
      return 'keys' in derived ? [...derived.keys].sort().join() : ''
    })
    expect(new Set(keys).size).toBe(pairs.length)
  })

  it('the order of the hidden columns does not matter', () => {
    const shuffled = planOf('new', { columns: ['d', 'b', 'email', 'c', 'id', 'a'] })
    const derived = derive(
      shuffled,
      touched([{ before: undefined, after: ['2020-01-01', u1, 'x', 'true', '7', '1'] }]),
      table,
    )
    expect('keys' in derived && [...derived.keys].sort()).toEqual(
      keysOf([{ before: undefined, after: row('7', 'x', '1', u1, 'true', '2020-01-01') }]),
    )
  })

  const bigints = ['9007199254740993', '9007199254740992', '-9223372036854775808', '9223372036854775807', '0']
  it('large integers stay apart', () => {
    const others = [...nulls, read('email', null)]
    const keys = bigints.map(
      (id) => keysOf([{ before: undefined, after: row(id) }]).filter((key) => !others.includes(key))[0],
    )
    expect(keys).toEqual(bigints.map((id) => read('id', BigInt(id))))
    expect(new Set(keys).size).toBe(bigints.length)
  })
})

describe('classes and facets', () => {
  const posts = relation('id author status:text views likes title:text', { outgoing: [outgoing('author')] })
  const own = schemesOf(posts, [['status', 'author']])
  const counters = groupFacet(['views', 'likes'])
  const order = ['id', 'author', 'status']
  const plan = (over: Partial<WritePlan>) => planOf('old-new', { schemes: own, columns: order, ...over })
  const stamp = (name: string, values: (string | null)[], facet?: string): string => {
    const scheme = own.find((each) => each.columns.join() === name)
    if (!scheme) throw new Error(name)
    return stampKey(scheme, values, facet)
  }
  const keysFor = (images: RowImages, over: Partial<WritePlan> = {}): string[] => {
    const derived = deriveKeys(plan(over), touched([images]), posts, tableKeys)
    return 'keys' in derived ? [...derived.keys].sort() : [derived.epoch]
  }

  it('a row that stays loses main of its classes, once', () => {
    const image = ['5', '1', 'new']
    const wanted = [stamp('id', ['5']), stamp('author', ['1']), stamp('author,status', ['1', 'new']), tableKeys.table()]
    expect(keysFor({ before: image, after: image })).toEqual(wanted.sort())
  })

  it('a change of a group leaves main alone, in its classes and in the table', () => {
    const image = ['5', '1', null]
    const wanted = [
      stamp('id', ['5']),
      stamp('author', ['1'], counters),
      stamp('author,status', ['1', null], counters),
      tableKeys.table(counters),
    ]
    expect(keysFor({ before: image, after: image }, { stays: [counters] })).toEqual(wanted.sort())
  })

  it('a row that moves loses main where it was and is, whatever else changed; elsewhere it stays', () => {
    const images = { before: ['5', '1', 'new'], after: ['5', '1', 'old'] }
    const wanted = [
      stamp('id', ['5']),
      stamp('author', ['1'], counters),
      stamp('author,status', ['1', 'new']),
      stamp('author,status', ['1', 'old']),
      tableKeys.table(counters),
    ]
    expect(keysFor(images, { stays: [counters] })).toEqual(wanted.sort())
  })

  it.each([
    ['inserted', { before: undefined, after: ['5', '1', null] }],
    ['deleted', { before: ['5', '1', null], after: undefined }],
  ])('a row that was %s: main of all its classes', (_, images) => {
    const wanted = [stamp('id', ['5']), stamp('author', ['1']), stamp('author,status', ['1', null]), tableKeys.table()]
    expect(keysFor(images, { stays: [counters] })).toEqual(wanted.sort())
  })

  it('a moved primary key: both rows, and no class that it stays in changes its members’ number', () => {
    const wanted = [
      stamp('id', ['5']),
      stamp('id', ['6']),
      stamp('author', ['1']),
      stamp('author,status', ['1', null]),
      tableKeys.table(),
    ]
    expect(keysFor({ before: ['5', '1', null], after: ['6', '1', null] })).toEqual(wanted.sort())
  })

  it('a write that touched no row kills nothing', () => {
    expect(deriveKeys(plan({}), touched([]), posts, tableKeys)).toEqual({ keys: [] })
  })
})

describe('when the table falls instead', () => {
  const many = (count: number): RowImages[] =>
    Array.from({ length: count }, (_, id) => ({ before: undefined, after: row(`${id}`) }))

  it.each([
    [0, 'keys'],
    [1, 'keys'],
    // Beside its own key each row has the same three classes of NULL, and there is the whole table.
    [508, 'keys'],
    [509, 'too-many-keys'],
    [5000, 'too-many-keys'],
  ])('%i rows of one key each', (count, wanted) => {
    const derived = derive(planOf('new'), touched(many(count)), table)
    expect('epoch' in derived ? derived.epoch : 'keys').toBe(wanted)
  })

  it('keys count, not rows', () => {
    const images = many(1000).map(() => ({ before: row('1', 'a'), after: row('1', 'b') }))
    expect(derive(planOf('old-new'), touched(images), table)).toMatchObject({
      keys: { length: 3 + nulls.length },
    })
  })

  it('more rows than images', () => {
    expect(derive(planOf('new'), touched(many(3), { count: 4 }), table)).toEqual({ epoch: 'too-many-rows' })
  })

  it.each([
    [3, 'keys'],
    [4, 'too-many-rows'],
  ])('%i rows where three may be told', (count, wanted) => {
    const derived = derive(planOf('new', { limit: 4, maxTouched: 3 }), touched(many(count)), table)
    expect('epoch' in derived ? derived.epoch : 'keys').toBe(wanted)
  })

  it('a row whose old image could not be had', () => {
    expect(derive(planOf('upsert'), touched(many(1), { unknownRows: true }), table)).toEqual({ epoch: 'no-images' })
  })

  it.each([
    [0, undefined, 'keys'],
    [1, undefined, 'no-images'],
    [1, 'key-update', 'key-update'],
    [undefined, 'no-images', 'no-images'],
  ] as const)('nothing learned: %s rows, %s', (count, reason, wanted) => {
    const derived = derive(planOf('none', { reason }), touched([], { count }), table)
    expect('epoch' in derived ? derived.epoch : 'keys').toBe(wanted)
  })

  it('nothing learned and no row counted, but rules', () => {
    const derived = derive(planOf('none', { reason: 'no-images' }), touched([], { count: 0 }), {
      ...table,
      rules: true,
    })
    expect(derived).toEqual({ epoch: 'no-images' })
  })
})
