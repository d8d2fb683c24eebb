import { type CatalogFacts, type ForeignKeyAction, findRelation, type RelationFacts } from '../model/facts.ts'
import { byBytes } from '../model/keys.ts'
import type { DeclaredColumn, DeclaredForeignKey, DeclaredTable, SchemaDifference } from '../model/schema-difference.ts'
import { tableLabel } from './bind-cover.ts'
import { isSameType } from './same-type.ts'
import { refusedLists } from './schemes.ts'

export interface CompareWith {
  readonly facts: CatalogFacts
  /** Combinations that lists are asked by, and columns that stand in no key. */
  choices(relation: RelationFacts): Parameters<typeof refusedLists>[1]
  /** True where the user says what the triggers and rules of the table write. */
  declaresWrites(relation: RelationFacts): boolean
}

/**
 * What the database has otherwise than the program declares, where that costs something; in the order of the tables.
 * Decisions follow the catalog, never the declaration, so none of these makes an answer wrong. What is merely stricter
 * or more in the database (further columns, keys, indexes; NOT NULL) costs nothing and is left out.
 */
export function compareSchema(tables: readonly DeclaredTable[], given: CompareWith): SchemaDifference[] {
  const found = new Map<string, SchemaDifference>()
  for (const one of tables.flatMap((table) => compareTable(table, given))) found.set(JSON.stringify(one), one)
  return [...found.values()]
}

type Told = Omit<SchemaDifference, 'table' | 'columns'> & { readonly columns?: readonly string[] }

function compareTable(table: DeclaredTable, given: CompareWith): SchemaDifference[] {
  const relation = findRelation(given.facts, table.schema, table.name)
  const own = table.schema === undefined || table.schema === 'public' ? table.name : `${table.schema}.${table.name}`
  const label = relation ? tableLabel(relation.id) : own
  const told = relation ? differences(table, relation, given) : [missingTable]
  return told.map(({ kind, columns = [], ...rest }) => ({ kind, table: label, columns, ...rest }))
}

const missingTable: Told = {
  kind: 'missing-table',
  declared: 'table',
  found: 'nothing',
  costs: 'queries',
  cost: 'Queries that name it fail, with the cache and without. Run the migration, or look at search path and privileges.',
}

function differences(table: DeclaredTable, relation: RelationFacts, given: CompareWith): Told[] {
  if (relation.kind !== 'table' && relation.kind !== 'partitioned') return [notATable(relation)]
  return [
    ...table.columns.flatMap((column) => compareColumn(column, table, relation)),
    ...compareKeys(table, relation),
    ...table.foreignKeys.flatMap((key) => compareForeignKey(key, relation, given.facts)),
    ...foreignActions(table, relation, given.facts),
    ...compareIndexes(table, relation, given),
    ...besides(table, relation, given.declaresWrites(relation)),
  ]
}

const notATable = ({ kind }: RelationFacts): Told => ({
  kind: 'not-a-table',
  declared: 'table',
  found: kind,
  costs: kind === 'foreign table' ? 'caching' : 'precision',
  cost:
    kind === 'foreign table'
      ? 'A foreign table is never cached: others write it unseen.'
      : 'It has no rows by key, and its answers rest on everything that it reads as a whole.',
})

function compareColumn(
  { name, sqlType, notNull }: DeclaredColumn,
  { foreignKeys }: DeclaredTable,
  relation: RelationFacts,
): Told[] {
  const found = relation.columns.get(name)
  const columns = [name]
  if (!found) {
    const cost = 'Queries that name it fail. Rows are not kept by key: reading a whole row fails as well.'
    return [{ kind: 'missing-column', columns, declared: sqlType, found: 'nothing', costs: 'queries', cost }]
  }
  const told: Told[] = []
  if (!isSameType(sqlType, found.sqlType)) {
    const cost =
      found.token === 'none'
        ? 'Its equality cannot be reproduced: no row or list is kept by it, and conditions on it narrow nothing.'
        : 'Keys follow the type of the database; the declared one only shapes what Drizzle sends and returns.'
    const costs = found.token === 'none' ? 'precision' : 'answers'
    told.push({ kind: 'type', columns, declared: sqlType, found: found.sqlType, costs, cost })
  }
  if (notNull && !found.notNull) {
    const pointing = [...foreignKeys, ...relation.outgoing].some(({ columns: own }) => own.includes(name))
    const cost = pointing
      ? 'It proves no partner: what an inner join over it finds is not learned, and rests on the whole table.'
      : 'NULL may come where its type says that none does, with the cache and without.'
    const costs = pointing ? 'precision' : 'answers'
    told.push({ kind: 'nullable', columns, declared: 'not null', found: 'null', costs, cost })
  }
  return told
}

function compareKeys({ primaryKey, uniqueKeys }: DeclaredTable, relation: RelationFacts): Told[] {
  const told: Told[] = []
  const proven = relation.primaryKey
  if (primaryKey.length > 0 && !(proven && isSameSet(primaryKey, proven))) {
    const cost = proven
      ? 'Rows are kept by the key that the database has; reads by the declared one are kept as lists, if at all.'
      : 'No row is kept by key, and each update or delete drops the whole table.'
    const found = proven ? listed(proven) : 'none'
    const costs = proven ? 'caching' : 'precision'
    told.push({ kind: 'primary-key', columns: primaryKey, declared: listed(primaryKey), found, costs, cost })
  }
  const keys = [...(proven ? [proven] : []), ...relation.uniqueKeys]
  for (const columns of uniqueKeys) {
    if (keys.some((key) => isSameSet(key, columns))) continue
    const cost =
      'No row is kept by it, nor that there is none. A key counts that is valid, not deferrable, not partial, on plain columns.'
    told.push({ kind: 'unique-key', columns, declared: listed(columns), found: 'none', costs: 'caching', cost })
  }
  return told
}

function compareForeignKey(key: DeclaredForeignKey, relation: RelationFacts, facts: CatalogFacts): Told[] {
  const { columns } = key
  const parent = findRelation(facts, key.parent.schema, key.parent.name)
  const found = relation.outgoing.filter((one) => one.parent === parent?.id && isSamePairs(one, key))
  if (found.some(({ proven }) => proven)) return []
  const cost = 'What an inner join over it finds is not learned, and rests on the whole table that it points to.'
  const declared = `${listed(columns)} references ${key.parent.name} ${listed(key.parentColumns)}`
  if (found.length === 0) return [{ kind: 'foreign-key', columns, declared, found: 'none', costs: 'precision', cost }]
  return [
    {
      kind: 'foreign-key-not-proven',
      columns,
      declared,
      found: 'not validated, not enforced, or its triggers are off',
      costs: 'precision',
      cost: `${cost} Validate it: alter table … validate constraint ….`,
    },
  ]
}

/** Actions that the database takes and nobody declared: writes to the parent come as far as this table. */
function foreignActions(table: DeclaredTable, relation: RelationFacts, facts: CatalogFacts): Told[] {
  const parents = new Set(relation.outgoing.map(({ parent }) => parent))
  return [...parents].flatMap((id) => {
    const parent = facts.relations.get(id)
    const keys = parent?.incoming.filter(({ child }) => child === relation.id) ?? []
    return keys.flatMap((key): Told[] => {
      const pairs = { columns: key.childColumns, parentColumns: key.columns }
      const same = table.foreignKeys.find(
        (one) => findRelation(facts, one.parent.schema, one.parent.name)?.id === id && isSamePairs(one, pairs),
      )
      const declared = actionsOf(same ?? { onDelete: 'none', onUpdate: 'none' })
      const found = actionsOf(key)
      const isMore =
        (key.onDelete !== 'none' && key.onDelete !== same?.onDelete) ||
        (key.onUpdate !== 'none' && key.onUpdate !== same?.onUpdate)
      if (!isMore) return []
      const label = tableLabel(id)
      const cost = `Writes to ${label} reach this table: its rows are read and locked with them, or it falls as a whole.`
      return [{ kind: 'foreign-key-action', columns: key.childColumns, declared, found, costs: 'precision', cost }]
    })
  })
}

function compareIndexes(table: DeclaredTable, relation: RelationFacts, { choices }: CompareWith): Told[] {
  const chosen = choices(relation)
  const { lists } = chosen
  const leading = new Set(firstColumns(relation))
  const refused = refusedLists(relation, chosen)
  const told: Told[] = table.leadingColumns.flatMap((column): Told[] => {
    if (leading.has(column) || !relation.columns.has(column)) return []
    // Some have a class without an index; of others, no index would make one.
    const indifferent =
      relation.columns.get(column)?.token === 'none' ||
      chosen.sensitive.has(column) ||
      lists.some((list) => isSameSet(list, [column])) ||
      relation.outgoing.some(({ columns }) => isSameSet(columns, [column]))
    const cost = indifferent
      ? 'Misses by it scan the table.'
      : 'Lists by it rest on the whole table, and misses scan it. Make the index, or list the column.'
    const costs = indifferent ? 'speed' : 'precision'
    return [{ kind: 'index', columns: [column], declared: `index on ${column}`, found: 'none', costs, cost }]
  })
  for (const { columns, reason } of refused) {
    const cost = 'Lists by it rest on a wider class, or on the whole table.'
    told.push({ kind: 'list-refused', columns, declared: 'lists', found: reason, costs: 'precision', cost })
  }
  for (const columns of lists) {
    if (columns.some((column) => leading.has(column)) || refused.some((one) => one.columns === columns)) continue
    const cost = 'No plain index begins with one of its columns: each miss scans the table.'
    told.push({ kind: 'list-without-index', columns, declared: 'lists', found: 'no index', costs: 'speed', cost })
  }
  return told
}

const firstColumns = ({ leadingColumns, primaryKey, uniqueKeys }: RelationFacts): string[] => [
  ...leadingColumns,
  ...[primaryKey ?? [], ...uniqueKeys].flatMap((key) => key.slice(0, 1)),
]

/** What Drizzle cannot or did not declare, and what makes writes drop more. */
function besides(table: DeclaredTable, relation: RelationFacts, declaresWrites: boolean): Told[] {
  const told: Told[] = []
  const label = tableLabel(relation.id)
  const line = `cached(${label}, { affects: [] })`
  for (const trigger of relation.triggers) {
    const before = trigger.timing === 'before' && trigger.update
    if (declaresWrites && !before) continue
    const cost = declaresWrites
      ? 'It may change any column: column groups spare nothing, and an update counts as a change of every key.'
      : `Each write that fires it drops everything that is cached. Say what it writes: ${line}, or affects: [the tables].`
    told.push({ kind: 'trigger', declared: 'nothing', found: trigger.name, costs: 'precision', cost })
  }
  if (relation.rules) {
    const cost = declaresWrites
      ? 'Each write drops the whole table.'
      : `Each write drops everything that is cached. Say what they write: ${line}, or affects: [the tables].`
    told.push({ kind: 'rules', declared: 'nothing', found: 'rules', costs: 'precision', cost })
  }
  if (relation.rowSecurity && !table.rowSecurity) {
    const cost = 'Each write drops the whole table, and reads are cached only with `scope`.'
    told.push({ kind: 'row-security', declared: 'nothing', found: 'row security', costs: 'caching', cost })
  }
  if (relation.family.length > 0) {
    const cost = 'Each write drops its ancestors and members as a whole.'
    const found = relation.family.map(tableLabel).sort(byBytes).join(', ')
    told.push({ kind: 'family', declared: 'nothing', found, costs: 'precision', cost })
  }
  if (!relation.privileges.select) {
    const cost = 'Its rows cannot be read with a write: each write drops the whole table.'
    told.push({ kind: 'no-select', declared: 'select', found: 'no privilege', costs: 'precision', cost })
  }
  return told
}

const listed = (columns: readonly string[]): string => `(${columns.join(', ')})`

function actionsOf({ onDelete, onUpdate }: { onDelete: ForeignKeyAction; onUpdate: ForeignKeyAction }): string {
  return `on delete ${wordOf(onDelete)}, on update ${wordOf(onUpdate)}`
}
const wordOf = (action: ForeignKeyAction): string => (action === 'none' ? 'no action' : action)

const isSameSet = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((column) => other.includes(column))

interface Pairs {
  readonly columns: readonly string[]
  readonly parentColumns: readonly string[]
}

function isSamePairs(one: Pairs, other: Pairs): boolean {
  const pairsOf = ({ columns, parentColumns }: Pairs) => columns.map((column, at) => `${column}\n${parentColumns[at]}`)
  return isSameSet(pairsOf(one), pairsOf(other))
}
