/** A column group as a configuration declares it: the user's name for it, and its columns by their names in the database. */
export interface NamedGroup {
  readonly name: string
  readonly columns: readonly string[]
}

/** A table as its options are written. */
export interface WrittenTable {
  readonly name: string
  readonly groups: readonly NamedGroup[]
  /** The key of a column in the table object; undefined for one that is not declared. */
  keyOf(column: string): string | undefined
}

/**
 * The line that separates the columns of each change from all others: the groups there are, split where a change takes
 * only some of their columns, and new ones. Undefined where a changed column is not declared.
 *
 * @example
 * adviseGroups(posts, [['view_count', 'likes']]) // cached(posts, { facets: (t) => ({ viewCount: [t.viewCount, t.likes] }) })
 */
export function adviseGroups(table: WrittenTable, changes: readonly (readonly string[])[]): string | undefined {
  if (changes.flat().some((column) => table.keyOf(column) === undefined)) return undefined
  const named = new Set<string>()
  const groups = separate(table.groups, changes).map(({ name, columns }) => {
    const keys = columns.map((column) => table.keyOf(column) as string)
    const wanted = name === undefined || named.has(name) ? (keys[0] as string) : name
    return `${propertyOf(freeName(wanted, named))}: [${keys.map(memberOf).join(', ')}]`
  })
  return `cached(${table.name}, { facets: (t) => ({ ${groups.join(', ')} }) })`
}

interface SeparatedGroup {
  /** Undefined for a group that is new. */
  readonly name: string | undefined
  readonly columns: string[]
}

/** Columns stay together where they were, and where every change takes both or neither. */
function separate(groups: readonly NamedGroup[], changes: readonly (readonly string[])[]): SeparatedGroup[] {
  const owner = new Map(groups.flatMap((group) => group.columns.map((column) => [column, group] as const)))
  const separated = new Map<string, SeparatedGroup>()
  for (const column of new Set([...owner.keys(), ...changes.flat()])) {
    const group = owner.get(column)
    const taking = changes.flatMap((change, at) => (change.includes(column) ? [at] : []))
    const place = JSON.stringify([group ? groups.indexOf(group) : -1, taking])
    const found = separated.get(place)
    if (found) found.columns.push(column)
    else separated.set(place, { name: group?.name, columns: [column] })
  }
  return [...separated.values()]
}

/** The name, or one like it where a group has it already. */
function freeName(wanted: string, named: Set<string>): string {
  let name = wanted
  for (let next = 2; named.has(name); next++) name = `${wanted}${next}`
  named.add(name)
  return name
}

const isWord = (text: string): boolean => /^[A-Za-z_$][\w$]*$/.test(text)
const propertyOf = (name: string): string => (isWord(name) ? name : JSON.stringify(name))
const memberOf = (key: string): string => (isWord(key) ? `t.${key}` : `t[${JSON.stringify(key)}]`)
