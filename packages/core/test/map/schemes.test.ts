import { describe, expect, it } from 'vitest'
import { MOST_SCHEMES, refusedLists, schemesLeftOut, tableSchemes } from '../../src/map/schemes.ts'
import { type RelationFacts, relationId } from '../../src/model/facts.ts'
import { TableKeys } from '../../src/model/keys.ts'
import { relation } from '../relation.fixture.ts'

const keys = new TableKeys('n', 'd', 'public', 'posts')
const refers = (...columns: string[]) => ({
  parent: relationId('public', 'users'),
  columns,
  parentColumns: columns.map(() => 'id'),
  proven: false,
})
const columns = 'id slug:text author editor status:text at:none secret:text'
const posts = relation(columns, {
  uniqueKeys: [['slug']],
  outgoing: [refers('author'), refers('editor', 'status')],
  leadingColumns: ['at', 'author', 'id', 'slug', 'status'],
})

interface Chosen {
  lists?: string[][]
  sensitive?: string[]
}
const schemesOf = (facts: RelationFacts, { lists = [], sensitive = [] }: Chosen = {}) =>
  tableSchemes(facts, keys, { lists, sensitive: new Set(sensitive) })
const short = (facts: RelationFacts, chosen?: Chosen): string[] =>
  schemesOf(facts, chosen).map(({ kind, columns: own }) => `${kind} ${own.join('+')}`)

describe('the schemes of a table', () => {
  it('keys, foreign keys and first columns of indexes, each once', () => {
    expect(short(posts)).toEqual(['primary id', 'unique slug', 'class author', 'class editor+status', 'class status'])
  })

  it('what the user lists comes before what the database suggests, and is named once', () => {
    expect(short(posts, { lists: [['status', 'author'], ['author'], ['author', 'status']] })).toEqual([
      'primary id',
      'unique slug',
      'class author+status',
      'class author',
      'class editor+status',
      'class status',
    ])
  })

  it('a key stays a key, whoever lists it', () => {
    expect(short(posts, { lists: [['id'], ['slug']] })).toEqual(short(posts))
  })

  it('only columns whose equality we reproduce, and none that is sensitive', () => {
    const lists = [['at'], ['author', 'at'], ['secret'], ['gone'], ['editor']]
    expect(short(posts, { lists, sensitive: ['secret', 'slug', 'status'] })).toEqual([
      'primary id',
      'class editor',
      'class author',
    ])
  })

  const sealKey = { check: 'c', over: () => (text: string) => text }
  const sealed = (lists: string[][], sensitive: string[]) =>
    tableSchemes(posts, keys, { lists, sensitive: new Set(sensitive), sealKey }).map(
      ({ kind, columns: own, seal }) => `${kind} ${own.join('+')}${seal ? ' sealed' : ''}`,
    )

  it('where sensitive values can be sealed: keys, and what the user lists; no other', () => {
    expect(sealed([], ['slug', 'status', 'secret'])).toEqual(['primary id', 'unique slug sealed', 'class author'])
    expect(sealed([['status'], ['author', 'secret']], ['id', 'status', 'secret'])).toEqual([
      'primary id sealed',
      'unique slug',
      'class status sealed',
      'class author+secret sealed',
      'class author',
    ])
    expect(sealed([], [])).toEqual(short(posts))
    const lists = [['at'], ['secret']]
    expect(refusedLists(posts, { lists, sensitive: new Set(['secret', 'at']), sealKey })).toEqual([
      { columns: ['at'], reason: 'no-token' },
    ])
  })

  it('tokens and parts stand in the order of the columns in keys', () => {
    const scheme = schemesOf(posts).find(({ columns: own }) => own.length === 2)
    expect(scheme).toMatchObject({ columns: ['editor', 'status'], tokens: ['int', 'text'] })
  })

  it('a table without a usable primary key may have classes', () => {
    expect(short({ ...posts, primaryKey: ['at'] })[0]).toBe('unique slug')
    expect(short(relation('id:none a', { leadingColumns: ['a', 'id'] }))).toEqual(['class a'])
  })

  const wide = relation(['id', ...Array.from({ length: 40 }, (_, at) => `c${at}`)].join(' '), {
    leadingColumns: Array.from({ length: 40 }, (_, at) => `c${at}`).sort(),
  })
  it('automatic ones are bounded, and the same whatever is listed', () => {
    const plain = short(wide)
    expect(plain).toHaveLength(MOST_SCHEMES)
    const listing = short(wide, { lists: [['c39'], ['c0', 'c1'], ['c0']] })
    expect(listing).toEqual(expect.arrayContaining(plain))
    expect(listing).toHaveLength(MOST_SCHEMES + 2)
  })

  it('those beyond the bound are told, save for what is listed or no scheme anyway', () => {
    const leftOut = (lists: string[][], sensitive: string[] = []) =>
      schemesLeftOut(wide, { lists, sensitive: new Set(sensitive) }).map(String)
    const plain = short(wide).map((name) => name.split(' ')[1])
    expect(new Set([...leftOut([]), ...plain])).toEqual(new Set(wide.columns.keys()))
    expect(leftOut([]).length + plain.length).toBe(41)
    expect(leftOut([['c39'], ['c0', 'c1']])).toEqual(leftOut([]).filter((name) => name !== 'c39'))
    expect(leftOut([], ['c39', 'c38'])).toEqual(leftOut([]).filter((name) => name !== 'c39' && name !== 'c38'))
    expect(schemesLeftOut(posts, { lists: [], sensitive: new Set() })).toEqual([])
  })

  it('keys are never dropped', () => {
    const uniqueKeys = Array.from({ length: 20 }, (_, at) => [`c${at}`])
    expect(short({ ...wide, uniqueKeys })).toHaveLength(21)
  })
})

describe('lists that can be no scheme', () => {
  it('are told with the reason', () => {
    const lists = [['author'], ['at'], ['gone', 'at'], ['secret']]
    expect(refusedLists(posts, { lists, sensitive: new Set(['secret']) })).toEqual([
      { columns: ['at'], reason: 'no-token' },
      { columns: ['gone', 'at'], reason: 'missing-column' },
      { columns: ['secret'], reason: 'sensitive' },
    ])
  })
})
