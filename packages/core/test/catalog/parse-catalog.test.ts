import { describe, expect, it } from 'vitest'
import { diffCatalog } from '../../src/catalog/diff-catalog.ts'
import { parseCatalog } from '../../src/catalog/parse-catalog.ts'
import { relationId } from '../../src/model/facts.ts'
import { answer, column, relation, serial } from './answers.ts'

const nobody = { systemIdentifier: '', timeline: '' }
const parse = (...parts: Parameters<typeof answer>) => parseCatalog(answer(...parts), nobody, 1)
const users = relationId('public', 'users')
const posts = relationId('public', 'posts')

describe('parsing', () => {
  it('an empty database has facts too', () => {
    const { facts } = parse({ relations: null, inherits: null, quiet: null })
    expect(facts).toMatchObject({ serverVersion: 150004, database: 'shop', schemas: ['pg_catalog', 'public'] })
    expect(facts.relations.size).toBe(0)
  })

  it('identity and version are what the caller gives', () => {
    const { facts } = parseCatalog(answer({}), { systemIdentifier: '77', timeline: '00000002' }, 9)
    expect(facts).toMatchObject({ systemIdentifier: '77', timeline: '00000002', version: 9 })
  })

  it('foreign keys join relations by number', () => {
    const { facts } = parse({
      relations: [
        relation(1, 'users', { keys: [[2, [2], [1], 'c', 'c', true, false]] }),
        relation(2, 'posts', { columns: [serial, column(2, 'author_id')] }),
      ],
    })
    expect(facts.relations.get(users)?.incoming).toEqual([
      { child: posts, childColumns: ['author_id'], columns: ['id'], onDelete: 'cascade', onUpdate: 'cascade' },
    ])
    expect(facts.relations.get(posts)?.updatedByParents).toEqual(new Set(['author_id']))
    expect(facts.relations.get(posts)?.outgoing).toEqual([
      { parent: users, columns: ['author_id'], parentColumns: ['id'], proven: true },
    ])
  })

  it('a key that points to one partition for the whole table is no key of the child', () => {
    const { facts } = parse({ relations: [relation(1, 'users', { keys: [[1, [1], [1], 'a', 'a', true, true]] })] })
    expect(facts.relations.get(users)).toMatchObject({ outgoing: [], incoming: [{ child: users }] })
  })

  it('leading columns of indexes stand by name', () => {
    const columns = [serial, column(2, 'b'), column(3, 'a')]
    const { facts } = parse({ relations: [relation(1, 'users', { columns, leads: [1, 2, 3] })] })
    expect(facts.relations.get(users)?.leadingColumns).toEqual(['a', 'b', 'id'])
  })

  it('a key from a relation that cannot be seen is left out', () => {
    const { facts } = parse({ relations: [relation(1, 'users', { keys: [[9, [1], [1], 'c', 'a', true, false]] })] })
    expect(facts.relations.get(users)?.incoming).toEqual([])
  })

  it.each([
    ['no json', 'nonsense'],
    ['a list', '[]'],
    ['nothing', '{}'],
    ['a relation of unknown kind', answer({ relations: [relation(1, 'users', { kind: 'S' })] })],
    ['a token from the future', answer({ relations: [relation(1, 'users', { columns: [column(1, 'id', 'money')] })] })],
    [
      'an index on a column that is not there',
      answer({ relations: [relation(1, 'users', { indexes: [[true, true, [7]]] })] }),
    ],
    [
      'an unknown action',
      answer({ relations: [relation(1, 'users', { keys: [[1, [1], [1], 'x', 'a', true, false]] })] }),
    ],
    ['a name inherited from Object', answer({ relations: [relation(1, 'users', { mood: 'constructor' })] })],
  ])('%s is refused', (_, text) => {
    expect(() => parseCatalog(text, nobody, 1)).toThrow()
  })

  it('views that read each other in a circle come to an end', () => {
    const { facts } = parse({
      relations: [
        relation(1, 'users', { kind: 'v', reads: [2] }),
        relation(2, 'posts', { kind: 'v', reads: [1], mood: 'unsteady' }),
      ],
    })
    expect(facts.relations.get(users)).toMatchObject({ reads: [posts], unsteadyView: true, volatileView: false })
  })
})

describe('comparing', () => {
  const before = parse({ relations: [relation(1, 'users'), relation(2, 'posts')] })
  const diff = (...parts: Parameters<typeof answer>) => diffCatalog(before, parse(...parts))

  it('the same answer is no change', () => {
    expect(diff({ relations: [relation(1, 'users'), relation(2, 'posts')] })).toEqual({
      relations: [],
      triggersCame: false,
      elsewhere: false,
    })
  })

  it.each([
    ['a column', { columns: [serial, column(2, 'more')] }],
    ['a definition behind the facts', { mark: 'other' }],
    ['row security', { security: true }],
    ['privileges', { privileges: 's' }],
    ['a lost key', { indexes: [] }],
    ['an index', { leads: [1] }],
  ])('%s changes its relation alone', (_, parts) => {
    expect(diff({ relations: [relation(1, 'users', parts), relation(2, 'posts')] })).toEqual({
      relations: [users],
      triggersCame: false,
      elsewhere: false,
    })
  })

  it('a foreign key that loses its proof changes parent and child', () => {
    const house = (proven: boolean) =>
      parse({
        relations: [relation(1, 'users', { keys: [[2, [1], [1], 'a', 'a', proven, false]] }), relation(2, 'posts')],
      })
    expect([...diffCatalog(house(true), house(false)).relations].sort()).toEqual([posts, users].sort())
  })

  it('relations that come and go are changed', () => {
    const tags = relationId('public', 'tags')
    const { relations } = diff({ relations: [relation(1, 'users'), relation(3, 'tags')] })
    expect([...relations].sort()).toEqual([posts, tags].sort())
  })

  it('a table made anew under its name is changed', () => {
    expect(diff({ relations: [relation(8, 'users'), relation(2, 'posts')] }).relations).toEqual([users])
  })

  it('a new member changes the ancestor', () => {
    const { relations } = diff({ relations: [relation(1, 'users'), relation(2, 'posts')], inherits: [[2, 1]] })
    expect([...relations].sort()).toEqual([posts, users].sort())
  })

  it('a trigger or rule that came is told, one that went is not', () => {
    const armed = [relation(1, 'users', { triggers: [['t', 5, false, [1]]] }), relation(2, 'posts')]
    const rearmed = [relation(1, 'users', { triggers: [['t', 5, false, [2]]] }), relation(2, 'posts')]
    const ruled = [relation(1, 'users', { rules: ['r'] }), relation(2, 'posts')]
    expect(diff({ relations: armed })).toMatchObject({ relations: [users], triggersCame: true })
    expect(diff({ relations: ruled })).toMatchObject({ triggersCame: true })
    expect(diffCatalog(parse({ relations: armed }), parse({ relations: rearmed }))).toMatchObject({
      triggersCame: true,
    })
    expect(diffCatalog(parse({ relations: armed }), before)).toMatchObject({ relations: [users], triggersCame: false })
  })

  it('a view over a changed view is changed, over a changed table it is not', () => {
    const house = (table: object, inner: object) =>
      parse({
        relations: [
          relation(1, 'users', table),
          relation(2, 'posts', { kind: 'v', reads: [1], ...inner }),
          relation(3, 'outer', { kind: 'v', reads: [2] }),
        ],
      })
    const outer = relationId('public', 'outer')
    const changed = (table: object, inner: object) =>
      [...diffCatalog(house({}, {}), house(table, inner)).relations].sort()
    expect(changed({}, { mark: 'other' })).toEqual([outer, posts].sort())
    expect(changed({ mark: 'other' }, {})).toEqual([users])
  })

  it('the search path, the role, the server and the functions are elsewhere', () => {
    const relations = [relation(1, 'users'), relation(2, 'posts')]
    const changes = [
      { schemas: ['two'] },
      { quiet: ['lower'] },
      { volatileOperators: true },
      { refreshTriggers: true },
      { standby: true },
    ]
    for (const change of changes)
      expect(diff({ relations, ...change })).toMatchObject({ relations: [], elsewhere: true })
  })
})
