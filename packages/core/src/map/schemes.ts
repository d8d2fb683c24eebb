import type { RelationFacts, TokenKind } from '../model/facts.ts'
import { byBytes, prefixed, type Scheme, type TableKeys } from '../model/keys.ts'
import type { SealKey } from '../model/seal.ts'

/** What one configuration says of the schemes of a table. */
export interface SchemeChoices {
  /** Combinations of columns that the user lists, as database names. */
  readonly lists: readonly (readonly string[])[]
  /** Columns whose values never leave the process as they are, not in keys either. */
  readonly sensitive: ReadonlySet<string>
  /** What their values are named by; undefined: nothing may name them, and they carry no scheme. */
  readonly sealKey?: SealKey | undefined
}

/** Most schemes that a table gets by itself, its keys included: each costs every write of a row a stamp or two. */
export const MOST_SCHEMES = 16

/**
 * The combinations of columns that stamps of a table are kept for (DESIGN 3.1): its keys first, then what the user lists,
 * the columns of each foreign key, and the first column of each index. Only columns whose equality we reproduce; each
 * combination once, whatever the order of its columns.
 *
 * Sensitive columns carry none unless their values can be sealed; then keys, and what the user lists. For a class that many
 * rows share says, sealed too, how often its value is asked for: that is for the user to allow. Keys say nothing like it.
 *
 * The number is bounded, and what is beyond the bound is dropped from the end. Keys and the user's lists never are, and
 * which automatic schemes are left does not depend on the lists: processes that list differently agree on all others.
 *
 * @example
 * tableSchemes(posts, keys, { lists: [['author_id', 'status']], sensitive: new Set() })
 * // id; author_id and status; author_id (a foreign key); created_on (an index)
 */
export function tableSchemes(relation: RelationFacts, keys: TableKeys, choices: SchemeChoices): readonly Scheme[] {
  const tokens = new Map<string, TokenKind>([...relation.columns.values()].map((column) => [column.name, column.token]))
  const { proven, listed, found, room } = gather(relation, choices)
  const all = new Map([...proven, ...listed, ...found.slice(0, room)])
  const primary = relation.primaryKey && nameOf(relation.primaryKey)
  const kindOf = (name: string): Scheme['kind'] =>
    name === primary ? 'primary' : proven.has(name) ? 'unique' : 'class'
  const sealOf = (columns: readonly string[]) =>
    choices.sealKey && columns.some((column) => choices.sensitive.has(column))
      ? { key: choices.sealKey, hides: choices.sensitive }
      : undefined
  return [...all].map(([name, columns]) => keys.scheme(kindOf(name), columns, tokens, sealOf(columns)))
}

/** Automatic combinations that are beyond the bound, as they stand in the catalog. */
export function schemesLeftOut(relation: RelationFacts, choices: SchemeChoices): (readonly string[])[] {
  const { listed, found, room } = gather(relation, choices)
  return found.slice(room).flatMap(([name, columns]) => (listed.has(name) ? [] : [columns]))
}

/** All combinations, each once; only the first `room` of those that were found become schemes. */
function gather(relation: RelationFacts, choices: SchemeChoices) {
  const usable = (columns: readonly string[]): boolean => refuseColumns(columns, relation, choices) === undefined
  const { primaryKey, uniqueKeys } = relation
  const proven = byColumns([...(primaryKey ? [primaryKey] : []), ...uniqueKeys].filter(usable))
  const suggested = automatic(relation).filter((columns) => !columns.some((column) => choices.sensitive.has(column)))
  const found = byColumns(suggested.filter((columns) => usable(columns) && !proven.has(nameOf(columns))))
  const listed = byColumns(choices.lists.filter(usable))
  return { proven, listed, found: [...found], room: Math.max(0, MOST_SCHEMES - proven.size) }
}

/** Why columns that the user lists, or that the catalog suggests, can be no scheme. */
export type ListRefusal = 'missing-column' | 'no-token' | 'sensitive'

/** The listed combinations that are left out under these facts, with the reason. */
export function refusedLists(
  relation: RelationFacts,
  choices: SchemeChoices,
): { readonly columns: readonly string[]; readonly reason: ListRefusal }[] {
  return choices.lists.flatMap((columns) => {
    const reason = refuseColumns(columns, relation, choices)
    return reason ? [{ columns, reason }] : []
  })
}

function refuseColumns(
  columns: readonly string[],
  relation: RelationFacts,
  { sensitive, sealKey }: SchemeChoices,
): ListRefusal | undefined {
  if (columns.some((name) => !relation.columns.has(name))) return 'missing-column'
  if (columns.some((name) => relation.columns.get(name)?.token === 'none')) return 'no-token'
  return !sealKey && columns.some((name) => sensitive.has(name)) ? 'sensitive' : undefined
}

const automatic = ({ outgoing, leadingColumns }: RelationFacts): (readonly string[])[] => [
  ...outgoing.map(({ columns }) => columns),
  ...leadingColumns.map((column) => [column]),
]

const nameOf = (columns: readonly string[]): string => [...columns].sort(byBytes).map(prefixed).join('')

/** Each set of columns once, in the order of its first coming. */
function byColumns(lists: readonly (readonly string[])[]): Map<string, readonly string[]> {
  const found = new Map<string, readonly string[]>()
  for (const columns of lists) {
    const set = [...new Set(columns)]
    if (!found.has(nameOf(set))) found.set(nameOf(set), set)
  }
  return found
}
