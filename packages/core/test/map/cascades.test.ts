import { describe, expect, it } from 'vitest'
import { cascadeSteps } from '../../src/map/cascades.ts'
import { reach } from '../../src/map/reach.ts'
import type { CatalogFacts, ForeignKeyAction, RelationFacts, RelationId, TriggerFacts } from '../../src/model/facts.ts'
import { relation } from '../relation.fixture.ts'

const columns = 'id up up2 code:text n*'
const idOf = (name: string): RelationId => `6:public.${name}`
const before: TriggerFacts = {
  name: 't',
  timing: 'before',
  insert: true,
  update: true,
  delete: true,
  truncate: false,
}

/** Tables by name, and edges `parent < child action [on update action]`, by `id` and `up`. */
function house(
  tables: Record<string, Partial<RelationFacts>>,
  edges: [string, string, ForeignKeyAction, ForeignKeyAction?, string?][],
) {
  const relations = new Map<RelationId, RelationFacts>()
  for (const [name, parts] of Object.entries(tables)) {
    const incoming = edges
      .filter(([parent]) => parent === name)
      .map(([, child, onDelete, onUpdate = 'none', column = 'up']) => ({
        child: idOf(child),
        childColumns: [column],
        columns: [column === 'code' ? 'code' : 'id'],
        onDelete,
        onUpdate,
      }))
    relations.set(idOf(name), relation(columns, { id: idOf(name), name, incoming, ...parts }))
  }
  return { relations } as unknown as CatalogFacts
}

interface Ask {
  op?: 'update' | 'delete'
  changed?: string[]
  cached?: string[]
  affects?: Record<string, string[]>
}

function steps(facts: CatalogFacts, { op = 'delete', changed = ['id'], cached, affects = {} }: Ask = {}) {
  const declared = (id: RelationId) => affects[id.slice('6:public.'.length)]?.map(idOf)
  const found = cascadeSteps(
    facts.relations.get(idOf('a')) as RelationFacts,
    op,
    op === 'delete' ? 'all' : new Set(changed),
    {
      facts,
      affects: declared,
      reach: (start, how, what) => reach(facts, start, how, what, declared),
      cached: ({ name }) => cached === undefined || cached.includes(name),
    },
  )
  return found?.map((step) => {
    const beyond = step.beyond.map((id) => id.slice('6:public.'.length))
    const above = step.holder === undefined ? '' : ` of ${step.holder}`
    return `${step.op} ${step.child.name}${above}${step.exact ? '' : ' unread'}${beyond.length > 0 ? `, then ${beyond}` : ''}`
  })
}

const chain = house({ a: {}, b: {}, c: {}, d: {} }, [
  ['a', 'b', 'cascade'],
  ['b', 'c', 'cascade'],
  ['c', 'd', 'cascade'],
])

describe('the ways by which rows follow', () => {
  it('two levels deep; what is below is named', () => {
    expect(steps(chain)).toEqual(['delete b', 'delete c of 0, then d'])
  })

  it('only ways that lead to something cached', () => {
    expect(steps(chain, { cached: ['b'] })).toEqual(['delete b'])
    expect(steps(chain, { cached: ['a'] })).toEqual([])
    expect(steps(chain, { cached: ['d'] })).toEqual(['delete b', 'delete c of 0, then d'])
  })

  it.each([
    ['set null', 'none', 'delete', ['update b']],
    ['set default', 'none', 'delete', ['update b']],
    ['none', 'cascade', 'delete', []],
    ['none', 'cascade', 'update', ['update b']],
    ['cascade', 'set null', 'update', ['update b']],
    ['cascade', 'none', 'update', []],
  ] as const)('on delete %s, on update %s, a parent %sd', (onDelete, onUpdate, op, wanted) => {
    const facts = house({ a: {}, b: {}, c: {} }, [
      ['a', 'b', onDelete, onUpdate],
      ['b', 'c', 'cascade', 'cascade'],
    ])
    expect(steps(facts, { op })).toEqual(wanted)
  })

  it('an update follows only keys that it may change', () => {
    const facts = house({ a: {}, b: {} }, [['a', 'b', 'none', 'cascade']])
    expect(steps(facts, { op: 'update', changed: ['up'] })).toEqual([])
    const touched = house({ a: { triggers: [before] }, b: {} }, [['a', 'b', 'none', 'cascade']])
    expect(steps(touched, { op: 'update', changed: ['up'], affects: { a: [] } })).toEqual(['update b'])
  })

  it('a circle ends: the table is looked at twice, and named below', () => {
    expect(steps(house({ a: {} }, [['a', 'a', 'cascade']]))).toEqual(['delete a', 'delete a of 0, then a'])
  })

  it.each([
    ['a view', { kind: 'view' }],
    ['a partitioned table', { kind: 'partitioned' }],
    ['members', { family: [idOf('z')] }],
    ['row security', { rowSecurity: true }],
    ['no right to lock', { privileges: { select: true, insert: true, update: false, delete: true } }],
    ['no primary key', { primaryKey: undefined }],
    ['a BEFORE trigger', { triggers: [before] }],
  ] as [string, Partial<RelationFacts>][])('a child that cannot be read first: %s', (_, parts) => {
    const facts = house({ a: {}, b: parts, c: {} }, [
      ['a', 'b', 'cascade'],
      ['b', 'c', 'cascade'],
    ])
    expect(steps(facts, { affects: { b: [] } })?.[0]).toMatch(/^delete b unread, then .*c/)
  })

  it('texts, and rows whose own key follows, are not read', () => {
    expect(steps(house({ a: {}, b: {} }, [['a', 'b', 'cascade', 'none', 'code']]))).toEqual(['delete b unread'])
    const own = house({ a: {}, b: { primaryKey: ['up'] } }, [['a', 'b', 'cascade', 'cascade']])
    expect(steps(own)).toEqual(['delete b'])
    expect(steps(own, { op: 'update' })).toEqual(['update b unread'])
  })

  it.each([
    ['a trigger of the parent that writes', { a: { triggers: [before] } }, { a: ['c'] }],
    ['a trigger that nobody declared', { b: { triggers: [before] } }, {}],
    ['a trigger of a child that writes', { b: { triggers: [before] } }, { b: ['c'] }],
    ['a rule', { b: { rules: true } }, {}],
    ['a parent with members', { a: { family: [idOf('c')] } }, {}],
    ['a parent that may not be locked', { a: { rowSecurity: true } }, {}],
  ] as [string, Record<string, Partial<RelationFacts>>, Record<string, string[]>][])(
    'more than foreign keys leads on: %s',
    (_, parts, affects) => {
      const facts = house({ a: {}, b: {}, c: {}, ...parts }, [['a', 'b', 'cascade']])
      expect(steps(facts, { affects })).toBeUndefined()
    },
  )
})
