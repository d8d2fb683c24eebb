import { describe, expect, test } from 'vitest'
import { Random } from '../../../test/random/random.ts'
import { facetMap, groupFacet, MAIN } from '../src/model/facets.ts'
import { relationId } from '../src/model/facts.ts'
import { doubtOf, HEARTBEAT_MS, NO_VERSION } from '../src/model/register.ts'
import { type RegisteredTable, registrationOf, tableOfPart, unionFacets, unionOf } from '../src/model/registration.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
const columns = ['a', 'b', 'c', 'd', 'é.x', '"q"']

/** A column is in at most one group of a configuration. */
function randomGroups(random: Random): string[][] {
  const groups: string[][] = [[], [], []]
  for (const column of columns) if (random.chance(0.6)) random.pick(groups).push(column)
  return groups.filter((group) => group.length > 0)
}

const facetOfPair = (groups: readonly (readonly string[])[], column: string) => facetMap(groups).facetsOf(column)

describe('facets over several configurations', () => {
  test('a change removes, for each configuration, the facet that it keeps the column in; nothing else', () => {
    console.log(`SEED=${seed}`)
    const random = new Random(seed)
    for (let round = 0; round < 2_000; round++) {
      const groupings = Array.from({ length: 1 + random.below(4) }, () => randomGroups(random))
      const union = unionFacets(groupings)
      for (const column of columns) {
        const wanted = new Set(groupings.flatMap((groups) => facetOfPair(groups, column)))
        expect(new Set(union.facetsOf(column))).toEqual(wanted)
        expect(union.facetsOf(column).length).toBe(wanted.size)
      }
      // Whatever an answer of any of them rests on falls with a change of a column that it reaches.
      for (const groups of groupings) {
        const reached = new Set(random.some(columns))
        const rests = new Set(facetMap(groups).recordedBy(reached))
        for (const column of reached) expect(union.facetsOf(column).some((facet) => rests.has(facet))).toBe(true)
        for (const facet of facetMap(groups).all) expect(union.all).toContain(facet)
      }
    }
  })

  test('main is spared only where every configuration groups every changed column', () => {
    const [counters, rare] = [['likes', 'views'], ['bio']]
    const facets = unionFacets([[counters], [counters, rare]])
    expect(facets.facetsOf('likes')).toEqual([groupFacet(counters)])
    expect(facets.facetsOf('bio')).toEqual([MAIN, groupFacet(rare)])
    expect(facets.facetsOf('title')).toEqual([MAIN])
    expect(unionFacets([[counters], []]).facetsOf('likes')).toEqual([MAIN, groupFacet(counters)])
  })
})

describe('a registration', () => {
  const users: RegisteredTable = {
    schema: 'public',
    name: 'users',
    schemes: [
      { kind: 'primary', columns: ['id'] },
      { kind: 'class', columns: ['city', 'team'] },
    ],
    groups: [['views', 'likes']],
  }
  const odd: RegisteredTable = { schema: 'a.b', name: 'q"t', schemes: [], groups: [] }

  test('is the same text whatever the order of tables, groups and their columns', () => {
    const turned = { ...users, groups: [['likes', 'views']] }
    expect(registrationOf([users, odd])).toMatchObject({ digest: registrationOf([odd, turned]).digest })
    expect(registrationOf([users]).digest).not.toBe(registrationOf([{ ...users, groups: [] }]).digest)
  })

  test('is read back as what it says, together with others', () => {
    const other = { ...users, schemes: [{ kind: 'unique' as const, columns: ['email'] }], groups: [] }
    const parts = [users, odd, other].flatMap((table) => registrationOf([table]).parts)
    const union = unionOf('v', parts)
    const table = union.tables.get(relationId('public', 'users'))
    expect([union.known, table?.known]).toEqual([true, true])
    expect(table?.schemes).toEqual(expect.arrayContaining([...users.schemes, ...other.schemes]))
    expect(table?.schemes).toHaveLength(3)
    expect(unionFacets(table?.groupings ?? []).facetsOf('likes')).toEqual([MAIN, groupFacet(['likes', 'views'])])
    expect(union.tables.get(relationId('a.b', 'q"t'))).toMatchObject({ schemes: [], known: true })
    for (const part of registrationOf([odd]).parts) expect(tableOfPart(part)).toBe(relationId('a.b', 'q"t'))
  })

  test('a scheme whose values are named by a key is another one for each key, and none that is named by none', () => {
    const plain = { kind: 'unique' as const, columns: ['email'] }
    const all = [plain, { ...plain, check: 'one' }, { ...plain, check: 'two' }]
    const parts = all.flatMap((scheme) => registrationOf([{ ...users, schemes: [scheme] }]).parts)
    const table = unionOf('v', parts).tables.get(relationId('public', 'users'))
    expect(table).toMatchObject({ known: true, schemes: all })
    // A release that knows no such keys must not take it for one that it can derive.
    expect(parts.filter((part) => part.includes('one') && !part.startsWith('["sealed",'))).toEqual([])
  })

  test.each([
    ['["table","public","users",[[]]]', 'a group without a column'],
    ['["table","public","users"]', 'no groups'],
    ['["scheme","public","users","hash",["id"]]', 'a kind of scheme that a later release may have'],
    ['["scheme","public","users","primary","id"]', 'columns that are no list'],
    ['["sealed","public","users","class",["id"]]', 'no key that names its values'],
    ['["sealed","public","users","hash",["id"],"check"]', 'a kind of sealed scheme that a later release may have'],
    ['["filter","public","users","x"]', 'a part of a later release'],
  ])('%s (%s) makes its table unknown, and only that', (part) => {
    const union = unionOf('v', [part, ...registrationOf([odd]).parts])
    expect([union.known, union.tables.get(relationId('public', 'users'))?.known]).toEqual([true, false])
    expect(union.tables.get(relationId('a.b', 'q"t'))?.known).toBe(true)
  })

  test.each(['', 'x', '{}', '["table",1,"users"]', 'null'])(
    '%s names no table, so nothing is known for certain',
    (part) => {
      expect(unionOf('v', [part]).known).toBe(false)
      expect(tableOfPart(part)).toBeUndefined()
    },
  )
})

describe('what a write derived its keys under', () => {
  const old = { version: 'v', bornMs: 0, nowMs: 3 * HEARTBEAT_MS }
  test.each([
    ['confirmed', old, 'v', undefined],
    ['another version', old, 'w', 'register-changed'],
    ['no version, from before the first visit', old, NO_VERSION, 'register-changed'],
    ['no register', null, 'v', 'register-lost'],
    ['a young one', { ...old, nowMs: old.nowMs - 1 }, 'v', 'register-young'],
    ['one of the future, for the clock of the store was set back', { ...old, nowMs: -10 }, 'v', 'register-young'],
  ])('%s', (_, sight, derived, expected) => {
    expect(doubtOf(sight, derived)).toBe(expected)
  })
})
