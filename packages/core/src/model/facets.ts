import { byBytes, prefixed } from './keys.ts'

/**
 * Which kind of change a class stamp stands for (DESIGN 3.2): `main`, or a group of columns that most answers do not
 * notice. As it stands in keys: a group is named by its columns, never by the name that the user gave it.
 */
export type Facet = string

export const MAIN: Facet = 'm'

/** The facet of a group of columns, by their names in the database. */
export const groupFacet = (columns: readonly string[]): Facet => `g${[...columns].sort(byBytes).map(prefixed).join('')}`

/** A group for people, by its columns: `{likes, views}`. Names that keys hold as hashes leave it as it stands there. */
export function facetLabel(facet: Facet): string {
  const columns: string[] = []
  for (let rest = Buffer.from(facet).subarray(1); rest.length > 0; ) {
    const [length] = /^\d+(?=:)/.exec(rest.toString('latin1')) ?? []
    if (length === undefined) return facet
    const end = length.length + 1 + Number(length)
    columns.push(rest.subarray(length.length + 1, end).toString())
    rest = rest.subarray(end)
  }
  return `{${columns.join(', ')}}`
}

/** The column groups of one table, of one configuration or of all that are live. */
export interface FacetMap {
  /** Facets that a change of the column removes: `main` unless every configuration groups it, and each group with it. */
  facetsOf(column: string): readonly Facet[]
  /** Facets that an answer records which reaches these columns: `main`, and each group of its own that holds one. */
  recordedBy(reached: ReadonlySet<string> | 'all'): readonly Facet[]
  /** Every facet of a class of this table, `main` first. */
  readonly all: readonly Facet[]
}

const mainOnly: readonly Facet[] = [MAIN]

/** A table without groups. */
export const noGroups: FacetMap = { facetsOf: () => mainOnly, recordedBy: () => mainOnly, all: mainOnly }

/** Groups of one configuration, as lists of database column names; a column is in at most one. */
export function facetMap(groups: readonly (readonly string[])[]): FacetMap {
  if (groups.length === 0) return noGroups
  const facets = new Map<string, Facet>()
  for (const columns of groups) for (const column of columns) facets.set(column, groupFacet(columns))
  const all = [MAIN, ...new Set(facets.values())]
  return {
    all,
    facetsOf: (column) => [facets.get(column) ?? MAIN],
    recordedBy(reached) {
      if (reached === 'all') return all
      const own = new Set<Facet>([MAIN])
      for (const column of reached) own.add(facets.get(column) ?? MAIN)
      return [...own]
    },
  }
}

/**
 * What the stamp of a class was removed for: the columns that writes changed in rows that stayed, in byte order; or
 * `'rows'`, where rows came or went or it is not known what changed, so that no group of columns could have spared it.
 */
export type StampLoss = readonly string[] | 'rows'

/** Two reasons to remove one stamp. */
export function addLoss(known: StampLoss | undefined, more: StampLoss): StampLoss {
  if (known === undefined || known === more) return more
  if (known === 'rows' || more === 'rows') return 'rows'
  return [...new Set([...known, ...more])].sort(byBytes)
}
