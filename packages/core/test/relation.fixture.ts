import type { ColumnFacts, RelationFacts, TokenKind } from '../src/model/facts.ts'

/** A table's facts in one line: `name:kind` of each column, with `*` behind the name of a generated one. */
export function relation(columns: string, parts: Partial<RelationFacts> = {}): RelationFacts {
  const facts = columns.split(' ').map((text): [string, ColumnFacts] => {
    const [word = '', token = 'int'] = text.split(':')
    const name = word.replace('*', '')
    const sqlType = token === 'int' ? 'integer' : token
    return [name, { name, sqlType, token: token as TokenKind, notNull: false, generated: word.includes('*') }]
  })
  return {
    id: '6:public.things',
    oid: 1,
    schema: 'public',
    name: 'things',
    kind: 'table',
    columns: new Map(facts),
    primaryKey: ['id'],
    uniqueKeys: [],
    uniqueIndexColumns: new Set(['id', ...(parts.uniqueKeys ?? []).flat()]),
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
