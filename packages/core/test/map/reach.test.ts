import { describe, expect, it } from 'vitest'
import { type ChangedColumns, type ReachOp, reach, reachCache } from '../../src/map/reach.ts'
import type { CatalogFacts, IncomingKey, RelationFacts, TriggerFacts } from '../../src/model/facts.ts'

/** One line per table; ids are plain names here. */
type House = Record<string, Partial<RelationFacts>>

function facts(house: House): CatalogFacts {
  const relations = new Map(Object.entries(house).map(([id, parts]) => [id, relation(id, parts)]))
  return {
    version: 1,
    serverVersion: 150000,
    standby: false,
    database: 'd',
    systemIdentifier: '',
    timeline: '',
    serverAddress: '',
    incarnation: '',
    environment: {
      currentUser: '',
      searchPath: '',
      timeZone: '',
      dateStyle: '',
      intervalStyle: '',
      byteaOutput: '',
      extraFloatDigits: '',
      textSearchConfig: '',
    },
    schemas: ['public'],
    relations,
    quietFunctions: new Set(),
    volatileOperators: false,
    refreshTriggers: false,
  }
}

function relation(id: string, parts: Partial<RelationFacts>): RelationFacts {
  return {
    id,
    oid: 1,
    schema: 'public',
    name: id,
    kind: 'table',
    columns: new Map(),
    primaryKey: ['id'],
    uniqueKeys: [],
    uniqueIndexColumns: new Set(),
    updatedByParents: new Set(),
    incoming: [],
    outgoing: [],
    leadingColumns: [],
    triggers: [],
    rules: false,
    rowSecurity: false,
    privileges: { select: true, insert: true, update: true, delete: true },
    family: [],
    inheritanceChildren: false,
    reads: [],
    volatileView: false,
    unsteadyView: false,
    volatileRefresh: false,
    ...parts,
  }
}

const key = (child: string, onDelete: string, onUpdate = 'none', childColumn = 'ref', column = 'id') =>
  ({ child, childColumns: [childColumn], columns: [column], onDelete, onUpdate }) as IncomingKey

const trigger = (name: string, timing: TriggerFacts['timing'], ops: string, more: Partial<TriggerFacts> = {}) => ({
  name,
  timing,
  insert: ops.includes('i'),
  update: ops.includes('u'),
  delete: ops.includes('d'),
  truncate: ops.includes('t'),
  ...more,
})

const generated = (name: string) =>
  [name, { name, sqlType: 'int', token: 'int', notNull: false, generated: true }] as const

/** `a b:trigger !t@c`: tables with a cause other than cascade, then undeclared triggers at their tables. */
function seen(
  house: House,
  id: string,
  op: ReachOp,
  changed: ChangedColumns = 'all',
  affects: Record<string, string[]> = {},
) {
  const { tables, undeclared } = reach(facts(house), id, op, changed, (one) => affects[one])
  const reached = [...tables].map(([one, cause]) => (cause === 'cascade' ? one : `${one}:${cause}`)).sort()
  return [...reached, ...undeclared.map((one) => `!${one.trigger}@${one.table}`).sort()].join(' ')
}

const set = (...columns: string[]) => new Set(columns)
const changes = (columns: ChangedColumns) => (columns === 'all' ? 'all columns' : [...columns].join(', '))

describe('foreign keys', () => {
  const chain: House = {
    a: { incoming: [key('b', 'cascade', 'cascade')] },
    b: { incoming: [key('c', 'set null', 'cascade', 'ref', 'ref')] },
    c: { incoming: [key('d', 'cascade', 'cascade', 'ref', 'ref'), key('e', 'cascade')] },
    d: {},
    e: {},
    self: { incoming: [key('self', 'set null')] },
    ring1: { incoming: [key('ring2', 'cascade')] },
    ring2: { incoming: [key('ring1', 'cascade')] },
    strict: { incoming: [key('d', 'none')] },
    lonely: { incoming: [key('nowhere', 'cascade')] },
    counted: { incoming: [key('d', 'none', 'cascade', 'ref', 'sum')], columns: new Map([generated('sum')]) },
  }

  it.each<[string, ReachOp, ChangedColumns, string]>([
    ['a', 'insert', 'all', ''],
    ['a', 'delete', 'all', 'b c d'],
    ['b', 'delete', 'all', 'c d'],
    ['c', 'delete', 'all', 'd e'],
    ['a', 'update', set('id'), 'b c d'],
    ['a', 'update', set('name'), ''],
    ['a', 'update', 'all', 'b c d'],
    ['a', 'any', set('name'), 'b c d'],
    ['b', 'update', set('name'), ''],
    ['b', 'update', set('ref'), 'c d'],
    ['a', 'truncate', 'all', 'b c d e'],
    ['d', 'delete', 'all', ''],
    ['self', 'delete', 'all', 'self'],
    ['self', 'update', 'all', ''],
    ['self', 'truncate', 'all', 'self'],
    ['ring1', 'delete', 'all', 'ring1 ring2'],
    ['strict', 'delete', 'all', ''],
    ['strict', 'truncate', 'all', 'd'],
    ['lonely', 'delete', 'all', 'nowhere'],
    ['counted', 'update', set('name'), 'd'],
    ['unknown', 'delete', 'all', ''],
  ])('%s %s %s reaches: %s %s', (id, op, changed, expected) => {
    expect(seen(chain, id, op, changed), changes(changed)).toBe(expected)
  })
})

describe('triggers', () => {
  const house: House = {
    quiet: {},
    log: { incoming: [key('lines', 'cascade')] },
    lines: {},
    insert: { triggers: [trigger('t', 'after', 'i')] },
    many: { triggers: [trigger('b', 'before', 'u'), trigger('a', 'after', 'd'), trigger('z', 'after', 't')] },
    parent: { incoming: [key('insert', 'cascade'), key('many', 'cascade')] },
    setter: { incoming: [key('many', 'set null')] },
    ruled: { rules: true },
    stamped: { triggers: [trigger('b', 'before', 'u')], incoming: [key('quiet', 'none', 'cascade', 'ref', 'code')] },
    spread: {
      kind: 'partitioned',
      partitionTriggers: [trigger('b', 'before', 'u')],
      incoming: [key('quiet', 'none', 'cascade', 'ref', 'code')],
    },
    inserted: { triggers: [trigger('b', 'before', 'i')], incoming: [key('quiet', 'none', 'cascade', 'ref', 'code')] },
  }
  const all = { log: [], insert: ['log'], many: [], ruled: ['log'], stamped: [], inserted: [] }

  it.each<[string, ReachOp, ChangedColumns, string, string]>([
    ['insert', 'insert', 'all', '!t@insert', 'lines log:trigger'],
    ['insert', 'update', 'all', '', ''],
    ['insert', 'any', 'all', '!t@insert', 'lines log:trigger'],
    ['many', 'update', set('x'), '!b@many', ''],
    ['many', 'delete', 'all', '!a@many', ''],
    ['many', 'truncate', 'all', '!z@many', ''],
    ['many', 'any', 'all', '!a@many !b@many', ''],
    ['parent', 'delete', 'all', 'insert many !a@many', 'insert many'],
    ['parent', 'truncate', 'all', 'insert many !z@many', 'insert many'],
    ['setter', 'delete', 'all', 'many !b@many', 'many'],
    ['ruled', 'update', set('x'), '!(rules)@ruled', 'lines log:trigger'],
    ['ruled', 'truncate', 'all', '', ''],
    ['stamped', 'update', set('x'), 'quiet !b@stamped', 'quiet'],
    ['spread', 'update', set('x'), 'quiet', 'quiet'],
    ['stamped', 'update', set('code'), 'quiet !b@stamped', 'quiet'],
    ['inserted', 'update', set('x'), '', ''],
  ])('%s %s: undeclared and declared', (id, op, changed, undeclared, declared) => {
    expect(seen(house, id, op, changed)).toBe(undeclared)
    expect(seen(house, id, op, changed, all)).toBe(declared)
  })

  it('two tables whose triggers write each other come to an end, and the start is reached again', () => {
    const pair: House = { a: { triggers: [trigger('t', 'after', 'u')] }, b: { triggers: [trigger('t', 'after', 'u')] } }
    expect(seen(pair, 'a', 'update', 'all', { a: ['b'], b: ['a'] })).toBe('a:trigger b:trigger')
  })
})

describe('partitions and inheritance', () => {
  const clone = trigger('t', 'after', 'u', { clone: true })
  const house: House = {
    root: {
      kind: 'partitioned',
      family: ['mid', 'leaf', 'leaf2'],
      triggers: [trigger('t', 'after', 'u')],
      primaryKey: ['id', 'at'],
    },
    mid: { kind: 'partitioned', family: ['root', 'leaf'], triggers: [clone], primaryKey: ['id', 'at'] },
    leaf: { family: ['root', 'mid'], triggers: [clone], incoming: [key('child', 'cascade')] },
    leaf2: { family: ['root'], triggers: [clone, trigger('own', 'before', 'd')] },
    child: {},
    whole: { incoming: [key('root', 'cascade')] },
    noKey: { kind: 'partitioned', family: ['leaf3'], primaryKey: undefined },
    leaf3: { family: ['noKey'], triggers: [trigger('i', 'after', 'i')] },
    beast: { family: ['cat'], incoming: [key('child', 'cascade')] },
    cat: { family: ['beast'], triggers: [trigger('meow', 'after', 'd')] },
  }
  const declared = { root: [], leaf2: [], cat: [], leaf3: [] }

  it.each<[string, ReachOp, ChangedColumns, string]>([
    ['root', 'insert', 'all', 'leaf2:partition leaf:partition mid:partition'],
    ['root', 'update', set('x'), 'leaf2:partition leaf:partition mid:partition'],
    ['root', 'update', set('at'), 'child leaf2:partition leaf:partition mid:partition'],
    ['root', 'delete', 'all', 'child leaf2:partition leaf:partition mid:partition'],
    ['leaf2', 'update', 'all', 'root:partition'],
    ['mid', 'delete', 'all', 'child leaf:partition root:partition'],
    ['whole', 'delete', 'all', 'child leaf2:partition leaf:partition mid:partition root'],
    ['cat', 'delete', 'all', 'beast:partition child'],
    ['beast', 'delete', 'all', 'cat:partition child'],
  ])('%s %s reaches (triggers declared)', (id, op, changed, expected) => {
    expect(seen(house, id, op, changed, declared)).toBe(expected)
  })

  it('a declaration at the partitioned table covers the clones at its partitions, not their own triggers', () => {
    expect(seen(house, 'leaf', 'update', set('x'), { root: [] })).toBe('mid:partition root:partition')
    expect(seen(house, 'leaf', 'update', set('x'))).toContain('!t@leaf')
    expect(seen(house, 'root', 'delete', 'all', { root: [] })).toContain('!own@leaf2')
  })

  it('an update that may move rows is an insert and a delete too', () => {
    expect(seen(house, 'noKey', 'update', set('x'))).toBe('leaf3:partition !i@leaf3')
    expect(seen(house, 'leaf3', 'update', set('x'))).toBe('noKey:partition')
  })
})

describe('views', () => {
  const house: House = {
    view: { kind: 'view', reads: ['inner', 'a'], triggers: [trigger('instead', 'instead', 'iud')] },
    inner: { kind: 'view', reads: ['a'] },
    a: { incoming: [key('b', 'cascade')] },
    b: {},
  }

  it('a write to a view may be any write to all that it reads', () => {
    expect(seen(house, 'inner', 'insert')).toBe('a b')
    expect(seen(house, 'view', 'update', set('x'))).toBe('a b inner !instead@view')
    expect(seen(house, 'view', 'update', set('x'), { view: [] })).toBe('a b inner')
  })
})

describe('the remembering form', () => {
  it('answers the same, once per table, kind of write and columns', () => {
    let asked = 0
    const house = facts({ a: { incoming: [key('b', 'cascade')], triggers: [trigger('t', 'after', 'iud')] }, b: {} })
    const cached = reachCache(house, () => {
      asked += 1
      return []
    })
    const first = cached('a', 'update', set('x', 'y'))
    expect(cached('a', 'update', set('y', 'x'))).toBe(first)
    expect(asked).toBe(1)
    expect([...cached('a', 'delete', 'all').tables.keys()]).toEqual(['b'])
    expect(asked).toBe(2)
  })

  it('does not grow without end', () => {
    const cached = reachCache(facts({ a: {} }), () => undefined)
    const first = cached('a', 'update', set('c'))
    for (let i = 0; i < 1_500; i++) cached('a', 'update', set(`c${i}`))
    expect(cached('a', 'update', set('c'))).not.toBe(first)
    expect(cached('a', 'update', set('c'))).toEqual(first)
  })
})
