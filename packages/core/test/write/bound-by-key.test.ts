import { expect, it } from 'vitest'
import type { Condition } from '../../src/model/condition.ts'
import { boundByKey } from '../../src/write/bound-by-key.ts'
import { relation } from '../relation.fixture.ts'

const names = ['id', 'email', 'a', 'b', 'n']
const table = relation('id email:text a b n', { uniqueKeys: [['email'], ['a', 'b']] })

const eq = (name: string): Condition => ({
  kind: 'compare',
  column: names.indexOf(name),
  operator: '=',
  value: () => 1,
})
const ne = (name: string): Condition => ({
  kind: 'compare',
  column: names.indexOf(name),
  operator: '<>',
  value: () => 1,
})
const list = (name: string, count: number): Condition => ({
  kind: 'in',
  column: names.indexOf(name),
  values: Array.from({ length: count }, (_, i) => () => i),
})
const and = (...members: Condition[]): Condition => ({ kind: 'and', members })
const or = (...members: Condition[]): Condition => ({ kind: 'or', members })
const isNull = (name: string): Condition => ({ kind: 'null', column: names.indexOf(name), negated: false })
const opaque: Condition = { kind: 'opaque' }

const cases: [string, Condition, number | undefined][] = [
  ['id = ?', eq('id'), 1],
  ['id <> ?', ne('id'), undefined],
  ['id in (3)', list('id', 3), 3],
  ['id in (0)', list('id', 0), 0],
  ['id is null', isNull('id'), undefined],
  ['n = ?', eq('n'), undefined],
  ['email = ?', eq('email'), 1],
  ['email in (7)', list('email', 7), 7],
  ['a = ?', eq('a'), undefined],
  ['a = ? and b = ?', and(eq('a'), eq('b')), 1],
  ['b = ? and a = ?', and(eq('b'), eq('a')), 1],
  ['a in (3) and b in (4)', and(list('a', 3), list('b', 4)), 12],
  ['a = ? and b in (4)', and(eq('a'), list('b', 4)), 4],
  ['a = ? and n = ?', and(eq('a'), eq('n')), undefined],
  ['id = ? and opaque', and(eq('id'), opaque), 1],
  ['id = ? or n = ?', or(eq('id'), eq('n')), undefined],
  ['id = ? or id = ?', or(eq('id'), eq('id')), undefined],
  ['(id = ? or n = ?) and email = ?', and(or(eq('id'), eq('n')), eq('email')), 1],
  ['id in (9) and email in (2)', and(list('id', 9), list('email', 2)), 2],
  ['id in (9) and id in (2)', and(list('id', 9), list('id', 2)), 2],
  ['nested and', and(and(eq('a'), and(eq('b'), eq('n')))), 1],
  ['a = ? and (b = ? or n = ?)', and(eq('a'), or(eq('b'), eq('n'))), undefined],
  ['opaque', opaque, undefined],
  ['nothing', and(), undefined],
]

it.each(cases)('%s', (_, condition, rows) => {
  expect(boundByKey(condition, names, table)).toBe(rows)
})

it.each(cases)('without any key nothing is bounded: %s', (_, condition) => {
  expect(boundByKey(condition, names, { ...table, primaryKey: undefined, uniqueKeys: [] })).toBeUndefined()
})
