import { describe, expect, it } from 'vitest'
import { MAX_LIST, matchKey, undecided } from '../../src/map/match-key.ts'
import { tableSchemes } from '../../src/map/schemes.ts'
import { type Condition, unknownValue } from '../../src/model/condition.ts'
import type { CatalogFacts } from '../../src/model/facts.ts'
import { TableKeys } from '../../src/model/keys.ts'
import type { RecordSource, TableSettings } from '../../src/model/record.ts'
import { recordSource } from '../../src/read/record-source.ts'
import { relation } from '../relation.fixture.ts'

const names = ['id', 'email', 'a', 'b', 'flag', 'day', 'odd', 'secret', 'hall', 'seat', 'mood']
const kinds = 'id email:text a b:text flag:bool day:date odd:none secret:text hall seat mood:enum'
const settings = {
  sensitive: new Set(['secret']),
  hidden: new Set(['secret']),
  record: undefined,
  scope: undefined,
  rows: false,
  facets: [],
} as unknown as TableSettings
const facts = {
  database: 'd',
  environment: {},
  systemIdentifier: '',
  serverAddress: '',
  timeline: '',
  incarnation: '',
} as unknown as CatalogFacts
const identity = { namespace: 'n', driver: 'node-postgres', parsers: '', instance: '', sealing: '' }

const noChoice = { lists: [], sensitive: new Set<string>() }

function sourceOf(primaryKey: string[], uniqueKeys: string[][]): RecordSource {
  const table = relation(kinds, { primaryKey, uniqueKeys, leadingColumns: ['a', 'hall'] })
  const keys = new TableKeys('n', 'd', table.schema, table.name)
  const source = recordSource(names, table, facts, settings, identity, tableSchemes(table, keys, noChoice), keys)
  if (typeof source === 'string') throw new Error(source)
  return source
}
const simple = sourceOf(['id'], [['email'], ['a', 'b'], ['odd']])
const composite = sourceOf(['hall', 'seat'], [['email']])

const at = (name: string): number => names.indexOf(name)
const eq = (name: string, value: unknown): Condition => ({
  kind: 'compare',
  column: at(name),
  operator: '=',
  value: () => value,
})
const ne = (name: string, value: unknown): Condition => ({
  kind: 'compare',
  column: at(name),
  operator: '<>',
  value: () => value,
})
const list = (name: string, ...values: unknown[]): Condition => ({
  kind: 'in',
  column: at(name),
  values: values.map((value) => () => value),
})
const nil = (name: string, negated = false): Condition => ({ kind: 'null', column: at(name), negated })
const and = (...members: Condition[]): Condition => ({ kind: 'and', members })
const or = (...members: Condition[]): Condition => ({ kind: 'or', members })
const opaque: Condition = { kind: 'opaque' }

function tell(condition: Condition, source = simple): string {
  const match = matchKey(condition, source, undefined)
  if (typeof match === 'string') return match
  const keys = match.keys.map(({ tokens }) => tokens.join('/')).join(' ')
  return `${match.kind} ${match.scheme.columns}: ${keys}${match.accepts ? ' +' : ''}`
}

const pair = (hall: unknown, seat: unknown): Condition => and(eq('hall', hall), eq('seat', seat))
const cases: [string, Condition, RecordSource?][] = [
  ['key id: 1', eq('id', 1)],
  ['key id: 1', eq('id', '1')],
  ['key id: 1', eq('id', '+01')],
  ['key id: 1', eq('id', 1n)],
  ['key id: -5', eq('id', -5)],
  ['key id: 9007199254740993', eq('id', 9007199254740993n)],
  ['value-without-token', eq('id', 1.5)],
  ['value-without-token', eq('id', 2 ** 53)],
  ['value-without-token', eq('id', ' 1')],
  ['value-without-token', eq('id', '0x1')],
  ['value-without-token', eq('id', null)],
  ['value-without-token', eq('id', undefined)],
  ['value-without-token', eq('id', unknownValue)],
  ['value-without-token', eq('id', new Date(0))],
  ['value-without-token', eq('id', true)],
  ['unique email: x', eq('email', 'x')],
  ['unique email: ', eq('email', '')],
  ['value-without-token', eq('email', 'a\0b')],
  ['value-without-token', eq('email', '\ud800')],
  ['value-without-token', eq('email', 5)],
  ['not-a-proven-key', eq('a', 1)],
  ['not-a-proven-key', eq('odd', 1)],
  ['not-a-proven-key', ne('id', 1)],
  ['not-a-proven-key', nil('id')],
  ['not-a-proven-key', opaque],
  ['unique a,b: 1/x', and(eq('a', 1), eq('b', 'x'))],
  ['unique a,b: 1/x', and(eq('b', 'x'), eq('a', 1))],
  ['value-without-token', and(eq('a', 1), eq('b', null))],
  ['not-a-proven-key', and(eq('a', 1), nil('b'))],
  ['not-a-proven-key', and(list('a', 1), eq('b', 'x'))],
  ['not-a-proven-key', list('email', 'a', 'b')],
  ['in-list id: 1 2', list('id', 2, 1)],
  ['in-list id: 1 2', list('id', 2, 1, 2, '2', '02')],
  ['in-list id: 9 10 100', list('id', 100, 9, 10)],
  ['in-list id: -10 -9 3', list('id', 3, -9, -10)],
  ['in-list id: 1', list('id', 1)],
  ['in-list id: 1 2', list('id', 1, null, 2)],
  ['in-list id: ', list('id', null, null)],
  ['value-without-token', list('id', null)],
  ['value-without-token', list('id', 1, 1.5)],
  ['value-without-token', list('id', 1, unknownValue)],
  ['value-without-token', list('id', 1, undefined)],
  ['in-list id: 1 2', or(eq('id', 1), eq('id', 2))],
  ['in-list id: 1', or(eq('id', 1), eq('id', 1))],
  ['not-a-proven-key', or(eq('id', 1), eq('email', 'x'))],
  ['not-a-proven-key', or(eq('id', 1), list('id', 2))],
  ['not-a-proven-key', or(eq('id', 1), opaque)],
  ['not-a-proven-key', or(eq('email', 'x'), eq('email', 'y'))],
  ['not-a-proven-key', or(and(eq('id', 1), eq('a', 2)), eq('id', 3))],
  ['key id: 1 +', and(eq('id', 1), eq('email', 'x'))],
  ['key id: 1 +', and(eq('id', 1), ne('a', 5))],
  ['key id: 1 +', and(eq('id', 1), nil('email'))],
  ['key id: 1 +', and(eq('id', 1), nil('odd', true))],
  ['key id: 1 +', and(eq('id', 1), list('flag', true))],
  ['key id: 1 +', and(eq('id', 1), eq('id', 2))],
  ['key id: 1 +', and(and(eq('id', 1)), and(eq('a', 1)))],
  ['in-list id: 1 2 +', and(list('id', 1, 2), eq('flag', true))],
  ['in-list id: 1 2 +', and(or(eq('id', 1), eq('id', 2)), eq('flag', true))],
  ['unique email: x +', and(eq('email', 'x'), eq('flag', false))],
  ['not-a-record', and(eq('id', 1), eq('odd', 1))],
  ['not-a-record', and(eq('id', 1), eq('secret', 'x'))],
  ['not-a-record', and(eq('id', 1), nil('secret'))],
  ['not-a-record', and(eq('id', 1), opaque)],
  ['not-a-record', and(eq('id', 1), eq('a', null))],
  ['not-a-record', and(eq('id', 1), ne('a', null))],
  ['not-a-record', and(eq('id', 1), eq('day', 'today'))],
  ['not-a-record', and(eq('id', 1), eq('day', 'infinity'))],
  ['not-a-record', and(eq('id', 1), eq('day', '2023-02-29'))],
  ['not-a-record', and(eq('id', 1), eq('day', '0000-01-01'))],
  ['key id: 1 +', and(eq('id', 1), eq('day', '2024-02-29'))],
  ['key id: 1 +', and(eq('id', 1), ne('a', -(2 ** 31)))],
  ['not-a-record', and(eq('id', 1), ne('a', 2 ** 31))],
  ['not-a-record', and(eq('id', 1), list('a', 1, '99999999999'))],
  ['not-a-record', and(eq('id', 1), eq('mood', 'low'))],
  ['not-a-record', and(eq('id', 1), or(eq('a', 1), eq('a', 2)))],
  ['key hall,seat: 1/2', pair(1, 2), composite],
  ['key hall,seat: 1/2', and(eq('seat', 2), eq('hall', 1)), composite],
  ['not-a-proven-key', eq('hall', 1), composite],
  ['in-list hall,seat: 1/2 1/3', and(eq('hall', 1), list('seat', 3, 2)), composite],
  ['in-list hall,seat: 1/3 1/4 2/3 2/4', and(list('hall', 2, 1), list('seat', 3, 4)), composite],
  ['in-list hall,seat: 1/2 3/4', or(pair(3, 4), pair(1, 2)), composite],
  ['in-list hall,seat: 1/2 3/4 +', and(or(pair(3, 4), pair(1, 2)), eq('flag', true)), composite],
  ['not-a-proven-key', or(pair(1, 2), eq('hall', 3)), composite],
  ['not-a-proven-key', or(pair(1, 2), and(eq('hall', 3), eq('seat', 4), eq('flag', true))), composite],
  ['not-a-proven-key', or(pair(1, 2), and(eq('hall', 3), eq('hall', 4))), composite],
  ['value-without-token', or(pair(1, 2), pair(1, null)), composite],
  ['value-without-token', pair(1, null), composite],
]

describe('matching a condition with the keys', () => {
  it.each(cases)('%s (%#)', (wanted, condition, source) => {
    expect(tell(condition, source ?? simple)).toBe(wanted)
  })

  it('lists have an end', () => {
    const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i)
    expect(typeof matchKey(list('id', ...numbers(MAX_LIST)), simple, undefined)).toBe('object')
    expect(tell(list('id', ...numbers(MAX_LIST + 1)))).toBe('too-many-keys')
    expect(tell(or(...numbers(MAX_LIST + 1).map((id) => eq('id', id))))).toBe('too-many-keys')
    expect(tell(and(list('hall', ...numbers(32)), list('seat', ...numbers(32))), composite)).toBe('too-many-keys')
  })

  it('asks the database with the values as they were given', () => {
    const match = matchKey(list('id', '02', 1), simple, undefined)
    expect(typeof match === 'object' && match.keys.map(({ values }) => values)).toEqual([[1], ['02']])
  })
})

/** Further conjuncts, the driver value of the row, and whether SQL would keep it. */
const tests: [string, Condition, unknown, boolean | 'undecided'][] = [
  ['equal', eq('a', 5), 5, true],
  ['equal as text', eq('a', '5'), '5', true],
  ['equal by value', eq('a', '005'), 5, true],
  ['not equal', eq('a', 5), 6, false],
  ['NULL equals nothing', eq('a', 5), null, false],
  ['different', ne('a', 5), 6, true],
  ['not different', ne('a', 5), 5, false],
  ['NULL differs from nothing', ne('a', 5), null, false],
  ['in', list('a', 4, 5), 5, true],
  ['not in the list', list('a', 4, 5), 6, false],
  ['in a list with NULL', list('a', 5, null), 5, true],
  ['perhaps in a list with NULL', list('a', 4, null), 5, false],
  ['NULL in a list with NULL', list('a', 4, null), null, false],
  ['is null', nil('a'), null, true],
  ['is null, and is not', nil('a'), 0, false],
  ['is not null', nil('a', true), 0, true],
  ['is not null, and is', nil('a', true), null, false],
  ['true', eq('flag', true), true, true],
  ['false', eq('flag', false), true, false],
  ['text', eq('b', 'x'), 'x', true],
  ['text with a blank', eq('b', 'x'), 'x ', false],
  ['a day', eq('day', '2020-01-01'), '2020-01-01', true],
  ['a day in another style', eq('day', '2020-01-01'), '01/01/2020', 'undecided'],
  ['a day as a Date', eq('day', '2020-01-01'), new Date(0), 'undecided'],
  ['a boolean as text', eq('flag', true), 't', 'undecided'],
]

describe('further conjuncts', () => {
  it.each(tests)('%s', (_, condition, value, kept) => {
    const match = matchKey(and(eq('id', 1), condition), simple, undefined)
    if (typeof match === 'string' || !match.accepts) throw new Error(String(match))
    const { accepts } = match
    if (kept === 'undecided') {
      let thrown: unknown
      try {
        accepts(() => value)
      } catch (error) {
        thrown = error
      }
      expect(thrown).toBe(undecided)
    } else expect(accepts(() => value)).toBe(kept)
  })

  it('all of them must hold', () => {
    const match = matchKey(and(eq('id', 1), eq('a', 1), eq('b', 'x')), simple, undefined)
    if (typeof match === 'string' || !match.accepts) throw new Error(String(match))
    const { accepts } = match
    const row = (a: unknown, b: unknown) => accepts((column) => (column === at('a') ? a : b))
    expect([row(1, 'x'), row(2, 'x'), row(1, 'y'), row(null, 'x')]).toEqual([true, false, false, false])
  })
})
