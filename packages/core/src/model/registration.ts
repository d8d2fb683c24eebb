import { type Facet, type FacetMap, groupFacet, MAIN, noGroups } from './facets.ts'
import { type RelationId, relationId } from './facts.ts'
import { byBytes, digest, type Scheme } from './keys.ts'

/**
 * What one configuration puts into the register (PROTOCOL 3.11): for each cached table a part that names its column
 * groups, and a part for each scheme that its answers rest on. A part is a text, so that a store can compare parts
 * without knowing what they say, and equal configurations of two processes have equal parts.
 */
export interface Registration {
  readonly parts: readonly string[]
  /** The same parts by table: what a table's answers need to be known by every writer. */
  readonly byTable: ReadonlyMap<RelationId, readonly string[]>
  /** Two registrations with one digest are the same. */
  readonly digest: string
}

/** The columns and the kind of a scheme: what is left of it beside one table's key names. */
export interface SchemeColumns extends Pick<Scheme, 'kind' | 'columns'> {
  /** Tells the key that names its values, where they may not be seen. */
  readonly check?: string | undefined
}

/** The column groups of a table in one configuration. */
export type Grouping = readonly (readonly string[])[]

/** One cached table of a configuration. */
export interface RegisteredTable {
  readonly schema: string
  readonly name: string
  readonly schemes: readonly SchemeColumns[]
  /** Column groups (facets); a column in none of them is in `main`. */
  readonly groups: Grouping
}

export function registrationOf(tables: readonly RegisteredTable[]): Registration {
  const byTable = new Map<RelationId, readonly string[]>()
  for (const table of tables) byTable.set(relationId(table.schema, table.name), partsOf(table))
  const parts = [...new Set([...byTable.values()].flat())].sort(byBytes)
  return { parts, byTable, digest: digest(JSON.stringify(parts)) }
}

/** Columns of a scheme already stand in byte order; groups and their columns are put into it here. */
function partsOf({ schema, name, schemes, groups }: RegisteredTable): string[] {
  const sorted = groups.map((columns) => [...columns].sort(byBytes))
  const texts = sorted.map((columns) => JSON.stringify(columns)).sort(byBytes)
  const table = `["table",${JSON.stringify(schema)},${JSON.stringify(name)},[${texts.join(',')}]]`
  return [table, ...schemes.map((scheme) => schemePart(schema, name, scheme))]
}

/** A word of its own for a sealed one: a release that knows none must take it for what it cannot derive. */
function schemePart(schema: string, name: string, { kind, columns, check }: SchemeColumns): string {
  const plain = ['scheme', schema, name, kind, columns]
  return JSON.stringify(check === undefined ? plain : ['sealed', ...plain.slice(1), check])
}

/** The table that a part belongs to; undefined for a text that is no part. */
export function tableOfPart(part: string): RelationId | undefined {
  const words = readWords(part)
  return words && relationId(words[1], words[2])
}

type Words = [kind: string, schema: string, name: string, ...rest: unknown[]]

function readWords(part: string): Words | undefined {
  try {
    const words: unknown = JSON.parse(part)
    const named = Array.isArray(words) && [0, 1, 2].every((at) => typeof words[at] === 'string')
    return named ? (words as Words) : undefined
  } catch {
    return undefined
  }
}

/** What all live configurations cache of one table. */
export interface UnionTable {
  readonly schemes: readonly SchemeColumns[]
  /** The column groups of each configuration; what they are together, {@link unionFacets} says. */
  readonly groupings: readonly Grouping[]
  /** False where a part could not be read (another release wrote it): then nobody knows all that rests on the table. */
  readonly known: boolean
}

/** The union of all registrations, under the version that writes are compared by. */
export interface Union {
  readonly version: string
  readonly tables: ReadonlyMap<RelationId, UnionTable>
  /** False where a part did not even tell its table. */
  readonly known: boolean
}

export function unionOf(version: string, parts: Iterable<string>): Union {
  const open = new Map<RelationId, OpenTable>()
  let known = true
  for (const part of parts) {
    const words = readWords(part)
    if (!words) known = false
    else addWords(open, words)
  }
  const tables = [...open].map(([id, { schemes, groupings, known }]): [RelationId, UnionTable] => {
    return [id, { schemes, groupings, known }]
  })
  return { version, tables: new Map(tables), known }
}

interface OpenTable {
  readonly schemes: SchemeColumns[]
  readonly groupings: Grouping[]
  known: boolean
}

function addWords(open: Map<RelationId, OpenTable>, [kind, schema, name, ...rest]: Words): void {
  const id = relationId(schema, name)
  const table = open.get(id) ?? { schemes: [], groupings: [], known: true }
  open.set(id, table)
  if (kind === 'table' && isGrouping(rest[0])) table.groupings.push(rest[0])
  else if (kind === 'scheme' && isKind(rest[0]) && isColumns(rest[1]))
    table.schemes.push({ kind: rest[0], columns: rest[1] })
  else if (kind === 'sealed' && isKind(rest[0]) && isColumns(rest[1]) && typeof rest[2] === 'string')
    table.schemes.push({ kind: rest[0], columns: rest[1], check: rest[2] })
  else table.known = false
}

const isKind = (value: unknown): value is Scheme['kind'] => ['primary', 'unique', 'class'].includes(value as string)
const isColumns = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string')
const isGrouping = (value: unknown): value is string[][] => Array.isArray(value) && value.every(isColumns)

/**
 * The facets over all configurations (PROTOCOL 3.11): a column is in `main` if one configuration leaves it there, and in
 * each group that any puts it in. So a write spares `main` only where everybody groups every column that it changes.
 */
export function unionFacets(groupings: readonly Grouping[]): FacetMap {
  if (groupings.every((groups) => groups.length === 0)) return noGroups
  const grouped = new Map<string, { readonly facets: Set<Facet>; configurations: number }>()
  for (const groups of groupings) for (const columns of groups) addGroup(grouped, columns)
  const all = [MAIN, ...new Set([...grouped.values()].flatMap(({ facets }) => [...facets]))]
  const facetsOf = (column: string): readonly Facet[] => {
    const own = grouped.get(column)
    if (!own) return [MAIN]
    return own.configurations < groupings.length ? [MAIN, ...own.facets] : [...own.facets]
  }
  return {
    all,
    facetsOf,
    // An answer rests on its own configuration's facets; of all of them, on more than it needs.
    recordedBy: (reached) =>
      reached === 'all' ? all : [...new Set([MAIN, ...[...reached].flatMap((column) => facetsOf(column))])],
  }
}

function addGroup(
  grouped: Map<string, { readonly facets: Set<Facet>; configurations: number }>,
  columns: readonly string[],
): void {
  const facet = groupFacet(columns)
  for (const column of columns) {
    const known = grouped.get(column) ?? { facets: new Set<Facet>(), configurations: 0 }
    known.facets.add(facet)
    // A column is in at most one group of a configuration.
    known.configurations++
    grouped.set(column, known)
  }
}
