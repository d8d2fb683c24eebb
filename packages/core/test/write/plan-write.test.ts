import { describe, expect, it } from 'vitest'
import { tableSchemes } from '../../src/map/schemes.ts'
import { facetMap, groupFacet, noGroups } from '../../src/model/facets.ts'
import type { RelationFacts, TriggerFacts } from '../../src/model/facts.ts'
import { TableKeys } from '../../src/model/keys.ts'
import type { WriteQuestion } from '../../src/model/write.ts'
import { type PlanWith, planWrite } from '../../src/write/plan-write.ts'
import { relation } from '../relation.fixture.ts'

const trigger = (timing: TriggerFacts['timing'], ...ops: string[]): TriggerFacts => ({
  name: 't',
  timing,
  insert: ops.includes('insert'),
  update: ops.includes('update'),
  delete: ops.includes('delete'),
  truncate: false,
})

const plain = relation('id email:text n', { uniqueKeys: [['email']] })
const tables: Record<string, RelationFacts> = {
  plain,
  partitioned: { ...plain, kind: 'partitioned' },
  view: { ...plain, kind: 'view' },
  foreign: { ...plain, kind: 'foreign table' },
  materialised: { ...plain, kind: 'materialized view' },
  secured: { ...plain, rowSecurity: true },
  ruled: { ...plain, rules: true },
  unreadable: { ...plain, privileges: { select: false, insert: true, update: true, delete: true } },
  keyless: { ...plain, primaryKey: undefined },
  inherited: { ...plain, inheritanceChildren: true },
  tokenless: relation('id:none n'),
  beforeUpdate: { ...plain, triggers: [trigger('before', 'update')] },
  beforeInsert: { ...plain, triggers: [trigger('before', 'insert')] },
  beforeDelete: { ...plain, triggers: [trigger('before', 'delete')] },
  after: { ...plain, triggers: [trigger('after', 'insert', 'update', 'delete')] },
  generated: relation('id key*:text name:text n', { uniqueKeys: [['key']] }),
  generatedKey: relation('id* n', { primaryKey: ['id'] }),
  generatedElsewhere: relation('id email:text sum* n', { uniqueKeys: [['email']] }),
  followed: { ...plain, updatedByParents: new Set(['id']) },
  followedElsewhere: { ...plain, updatedByParents: new Set(['n']) },
  expression: { ...plain, uniqueIndexColumns: new Set(['id', 'email', '*']) },
  partial: { ...plain, uniqueIndexColumns: new Set(['id', 'email', 'n']) },
  child: {
    ...plain,
    outgoing: [{ parent: '6:public.parents', columns: ['n'], parentColumns: ['id'], proven: true }],
  },
  indexed: { ...plain, leadingColumns: ['email', 'id', 'n'] },
}

interface Ask extends Partial<Omit<WriteQuestion, 'relation' | 'changed' | 'computed'>> {
  set?: string[] | 'all'
  /** Those of `set` that are expressions. */
  computed?: string[]
}

function plan(table: string, { set, computed, ...rest }: Ask, given: Partial<PlanWith> = {}) {
  const facts = tables[table] as RelationFacts
  const keys = new TableKeys('n', 'd', facts.schema, facts.name)
  const schemes = tableSchemes(facts, keys, { lists: [], sensitive: new Set() })
  const question: WriteQuestion = {
    op: 'update',
    relation: facts,
    changed: set === 'all' ? 'all' : new Set(set ?? []),
    computed: new Set(computed ?? []),
    conflict: 'none',
    from: false,
    atMost: 1,
    returning: false,
    nameable: true,
    native: false,
    ...rest,
  }
  const usual = { serverVersion: 150000, schemes, facets: noGroups, maxTouched: 1000, keysMove: false }
  return planWrite(question, { ...usual, ...given })
}

const short = (table: string, ask: Ask, given: Partial<PlanWith> = {}): string => {
  const { form, reason, lock, limit } = plan(table, ask, given)
  const words = [form, ...(reason ? [reason] : []), ...(form === 'locked' ? [lock] : []), ...(limit ? [limit] : [])]
  return words.join(' ')
}

const insert = { op: 'insert' } as const
const remove = { op: 'delete' } as const
const upsert = (set: string[] | 'all') => ({ op: 'insert', conflict: 'update', set }) as const

/** What is asked, the answer before PostgreSQL 18, and there. */
const rows: [string, string, Ask, string, string][] = [
  ['insert', 'plain', insert, 'new', 'new'],
  ['insert of a select', 'plain', { ...insert, atMost: undefined }, 'new 1001', 'new 1001'],
  ['insert of a select with RETURNING', 'plain', { ...insert, atMost: undefined, returning: true }, 'new', 'new'],
  ['insert of many values', 'plain', { ...insert, atMost: 1001 }, 'none too-many-rows', 'none too-many-rows'],
  ['insert of many values with RETURNING', 'plain', { ...insert, atMost: 1001, returning: true }, 'new', 'new'],
  ['insert of as many as the limit', 'plain', { ...insert, atMost: 1000 }, 'new', 'new'],
  ['insert or nothing', 'plain', { ...insert, conflict: 'nothing' }, 'new', 'new'],
  ['insert with a BEFORE trigger', 'beforeInsert', insert, 'new', 'new'],
  ['insert into a partitioned table', 'partitioned', insert, 'new', 'new'],
  ['delete', 'plain', remove, 'new', 'new'],
  ['delete of anything', 'plain', { ...remove, atMost: undefined }, 'new 1001', 'new 1001'],
  ['delete with a BEFORE trigger', 'beforeDelete', remove, 'new', 'new'],
  ['delete where the key may follow a parent', 'followed', remove, 'new', 'new'],
  ['a counter', 'plain', { set: ['n'] }, 'new', 'new'],
  ['a counter of anything', 'plain', { set: ['n'], atMost: undefined }, 'new 1001', 'new 1001'],
  ['a counter with FROM', 'plain', { set: ['n'], from: true }, 'new', 'new'],
  ['a counter with an AFTER trigger', 'after', { set: ['n'] }, 'new', 'new'],
  ['a counter beside a generated column that is no key', 'generatedElsewhere', { set: ['n'] }, 'new', 'new'],
  ['a counter in a partial index', 'partial', { set: ['n'] }, 'new', 'new'],
  ['a counter where the key may follow a parent', 'followed', { set: ['n'] }, 'new', 'new'],
  ['a counter where other columns follow a parent', 'followedElsewhere', { set: ['n'] }, 'new', 'new'],
  ['a counter in a partitioned table', 'partitioned', { set: ['n'] }, 'new', 'new'],
  ['a unique column', 'plain', { set: ['email'] }, 'locked update', 'old-new'],
  ['a unique column of anything', 'plain', { set: ['email'], atMost: undefined }, 'locked update 1001', 'old-new 1001'],
  [
    'a unique column of anything with RETURNING',
    'plain',
    { set: ['email'], atMost: undefined, returning: true },
    'locked update',
    'old-new',
  ],
  ['a unique column with FROM', 'plain', { set: ['email'], from: true }, 'none no-images', 'old-new'],
  ['a unique column of a partitioned table', 'partitioned', { set: ['email'] }, 'locked update', 'old-new'],
  ['a unique column where the key may follow', 'followed', { set: ['email'] }, 'none key-update', 'old-new'],
  ['a unique column where others follow', 'followedElsewhere', { set: ['email'] }, 'locked update', 'old-new'],
  [
    'a unique column where RETURNING cannot name the rows',
    'plain',
    { set: ['email'], nameable: false },
    'locked update',
    'locked update',
  ],
  [
    'a unique column of one row, computed',
    'plain',
    { set: ['email'], computed: ['email'] },
    'locked update',
    'old-new',
  ],
  [
    'a unique column of two rows, computed',
    'plain',
    { set: ['email'], computed: ['email'], atMost: 2 },
    'none no-images',
    'old-new',
  ],
  [
    'a unique column of anything, computed',
    'plain',
    { set: ['email'], computed: ['email'], atMost: undefined },
    'none no-images',
    'old-new 1001',
  ],
  [
    'a unique column of two rows, and another computed',
    'plain',
    { set: ['email', 'n'], computed: ['n'], atMost: 2 },
    'locked update',
    'old-new',
  ],
  ['a counter of two rows beside a generated key', 'generated', { set: ['n'], atMost: 2 }, 'none no-images', 'old-new'],
  [
    'a foreign key of two rows, computed',
    'child',
    { set: ['n'], computed: ['n'], atMost: 2 },
    'locked no key update',
    'old-new',
  ],
  ['a foreign key', 'child', { set: ['n'] }, 'locked no key update', 'old-new'],
  ['an indexed column', 'indexed', { set: ['n'] }, 'locked no key update', 'old-new'],
  ['an indexed column with FROM', 'indexed', { set: ['n'], from: true }, 'none no-images', 'old-new'],
  ['upsert of a foreign key', 'child', upsert(['n']), 'upsert', 'old-new'],
  ['the primary key', 'plain', { set: ['id'] }, 'none key-update', 'old-new'],
  ['the primary key and more', 'plain', { set: ['id', 'n'] }, 'none key-update', 'old-new'],
  ['no one knows which columns', 'plain', { set: 'all' }, 'none key-update', 'old-new'],
  ['a counter under a BEFORE trigger', 'beforeUpdate', { set: ['n'] }, 'locked no key update', 'old-new'],
  ['a counter under a BEFORE INSERT trigger', 'beforeInsert', { set: ['n'] }, 'new', 'new'],
  ['a counter beside a generated key', 'generated', { set: ['n'] }, 'locked update', 'old-new'],
  ['a generated primary key', 'generatedKey', { set: ['n'] }, 'none key-update', 'old-new'],
  ['a unique column beside an expression index', 'expression', { set: ['email'] }, 'locked update', 'old-new'],
  ['upsert of a counter', 'plain', upsert(['n']), 'new', 'old-new'],
  ['upsert of a unique column', 'plain', upsert(['email']), 'upsert', 'old-new'],
  ['upsert of the key', 'plain', upsert(['id']), 'upsert', 'old-new'],
  ['upsert of who knows what', 'plain', upsert('all'), 'upsert', 'old-new'],
  ['upsert of a counter, partitioned', 'partitioned', upsert(['n']), 'new', 'old-new'],
  ['upsert of a unique column, partitioned', 'partitioned', upsert(['email']), 'none no-images', 'old-new'],
  ['upsert of a counter under BEFORE INSERT', 'beforeInsert', upsert(['n']), 'upsert', 'old-new'],
  ['upsert of a counter under BEFORE UPDATE', 'beforeUpdate', upsert(['n']), 'upsert', 'old-new'],
  ['upsert of a counter beside a generated key', 'generated', upsert(['n']), 'upsert', 'old-new'],
  [
    'execute() of a builder with RETURNING',
    'plain',
    { native: true, returning: true, set: ['n'] },
    'none no-images',
    'none no-images',
  ],
  ['execute() of a builder without', 'plain', { native: true, set: ['n'] }, 'new', 'new'],
]

describe('the form of a write', () => {
  it.each(rows)('%s (%s)', (_, table, ask, before, since) => {
    expect(short(table, ask)).toBe(before)
    expect(short(table, ask, { serverVersion: 130000 })).toBe(before)
    expect(short(table, ask, { serverVersion: 170009 })).toBe(before)
    expect(short(table, ask, { serverVersion: 180000 })).toBe(since)
    expect(short(table, ask, { serverVersion: 190001 })).toBe(since)
  })

  const refused = [
    'view',
    'foreign',
    'materialised',
    'secured',
    'ruled',
    'unreadable',
    'keyless',
    'inherited',
    'tokenless',
  ]
  const asks: Ask[] = [insert, remove, { set: ['n'] }, { set: ['email'] }, upsert(['n']), upsert(['email'])]
  it.each(refused.flatMap((table) => asks.map((ask) => [table, ask] as const)))(
    'runs untouched: %s, %o',
    (table, ask) => {
      for (const serverVersion of [150000, 180000]) expect(short(table, ask, { serverVersion })).toBe('none no-images')
    },
  )

  it('joins by no key of a table whose keys were seen to move', () => {
    expect(short('plain', { set: ['email'] }, { keysMove: true })).toBe('none key-update')
    expect(short('plain', { set: ['n'] }, { keysMove: true })).toBe('new')
    expect(short('plain', { set: ['email'] }, { keysMove: true, serverVersion: 180000 })).toBe('old-new')
  })

  it('bounds by the limit of the table', () => {
    expect(short('plain', { set: ['n'], atMost: undefined }, { maxTouched: 5 })).toBe('new 6')
  })

  it('asks for the columns of all keys, the primary key first, each once', () => {
    expect(plan('plain', { set: ['n'] }).columns).toEqual(['id', 'email'])
    expect(plan('plain', { set: ['n'] }).key).toEqual(['id'])
    expect(plan('tokenless', { set: ['n'] }).columns).toEqual([])
  })

  const views = { facets: facetMap([['n', 'm']]) }
  const group = groupFacet(['n', 'm'])
  it.each([
    ['a counter', 'plain', { set: ['n'] }, [group], 'new'],
    ['a counter and more', 'plain', { set: ['n', 'email'] }, ['m'], 'locked'],
    ['a counter under a BEFORE trigger', 'beforeUpdate', { set: ['n'] }, ['m'], 'locked'],
    ['a counter under a BEFORE INSERT trigger', 'beforeInsert', { set: ['n'] }, [group], 'new'],
    ['a counter beside a generated column', 'generatedElsewhere', { set: ['n'] }, ['m'], 'new'],
    ['who knows what', 'plain', { set: 'all' }, ['m'], 'none'],
    ['a counter that is a class', 'indexed', { set: ['n'] }, [group], 'locked'],
    ['an upsert of a counter', 'plain', upsert(['n']), [group], 'upsert'],
    ['an upsert of a counter, partitioned', 'partitioned', upsert(['n']), [group], 'new'],
    ['an upsert of a counter under BEFORE INSERT', 'beforeInsert', upsert(['n']), ['m'], 'upsert'],
  ] as [string, string, Ask, string[], string][])(
    'rows that stay lose their facets: %s',
    (_, table, ask, stays, form) => {
      expect(plan(table, ask, views)).toMatchObject({ stays, form })
    },
  )

  it('an upsert that may insert or update without moving a row need not know which, unless groups tell them apart', () => {
    expect(plan('plain', upsert(['n']))).toMatchObject({ form: 'new', moves: false })
    expect(plan('plain', upsert(['n']), views)).toMatchObject({ form: 'upsert', moves: false })
    expect(plan('plain', upsert(['email']), views)).toMatchObject({ form: 'upsert', moves: true })
  })

  it('names plans apart that differ in their text', () => {
    const names = new Set(
      rows.flatMap(([, table, ask]) =>
        [150000, 180000].map((serverVersion) => {
          const { form, limit, lock, columns, name } = plan(table, ask, { serverVersion })
          return `${name} = ${[form, limit, form === 'locked' && lock, columns].join()}`
        }),
      ),
    )
    expect(names.size).toBe(new Set([...names].map((text) => text.split(' = ')[0])).size)
  })
})
