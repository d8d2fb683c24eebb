import { type Facet, MAIN } from '../model/facets.ts'
import { type RelationId, relationWords, type TokenKind } from '../model/facts.ts'
import { byBytes, pairsOf, stampKey, type TableKeys } from '../model/keys.ts'
import type {
  BoundCover,
  BoundDependency,
  ClassCandidate,
  QueryCover,
  RefCover,
  WidenReason,
} from '../model/query-cover.ts'
import { tokenOf } from '../model/tokens.ts'

export interface CoverValues {
  /** Driver values, by the positions that the cover's operands name. */
  readonly params: readonly unknown[]
  /** What an answer records of the reference's table. */
  facets(ref: number, table: RelationId): readonly Facet[]
  keys(table: RelationId): TableKeys
  /** Most dependencies; where there are more, references are widened to their tables until they fit. */
  readonly max: number
}

/** The stamps that an answer rests on, for these parameters. More than `max` only where the query reads more tables. */
export function bindCover(cover: QueryCover, given: CoverValues): BoundCover {
  const bound = cover.covers.map((ref) => bindRef(ref, given))
  let dependencies = gather(bound)
  while (dependencies.size > given.max) {
    const widest = mostClasses(bound)
    if (widest < 0) break
    bound[widest] = wholeTable(cover.covers[widest] as RefCover, 'too-many-classes', given)
    dependencies = gather(bound)
  }
  const tables = new Set([...cover.covers, ...cover.learned].map(({ table }) => table))
  return {
    dependencies: [...dependencies.values()].sort((a, b) => byBytes(a.key, b.key)),
    tables: [...tables].sort(byBytes),
    widened: bound.flatMap(({ ref, table, reason }) => (reason ? [{ ref, table, reason }] : [])),
  }
}

interface BoundRef {
  readonly ref: number
  readonly table: RelationId
  readonly facets: readonly Facet[]
  readonly dependencies: readonly BoundDependency[]
  readonly classes: number
  /** Set for the whole table. */
  readonly reason: WidenReason | undefined
}

function bindRef(cover: RefCover, given: CoverValues): BoundRef {
  const { ref, table, branches } = cover
  const facets = given.facets(ref, table)
  const dependencies: BoundDependency[] = []
  for (const branch of branches) {
    const found = bindBranch(branch, given.params)
    if (found === 'never') continue
    if (!found) return wholeTable(cover, cover.widened ?? 'value-without-token', given)
    addClass(dependencies, table, found, facets)
  }
  return { ref, table, facets, dependencies, classes: branches.length, reason: undefined }
}

interface Class {
  readonly scheme: ClassCandidate['scheme']
  readonly tokens: readonly (string | null)[]
}

/** The first candidate of which every value has a token. Nothing equals NULL: with it, no row comes in this way. */
function bindBranch(branch: readonly ClassCandidate[], params: readonly unknown[]): Class | 'never' | undefined {
  if (branch.some(({ values }) => values.some((value) => value !== null && params[value] === null))) return 'never'
  for (const { scheme, values } of branch) {
    const tokens = values.map((value, i) =>
      value === null ? null : tokenOf(scheme.tokens[i] as TokenKind, params[value]),
    )
    if (tokens.every((token) => token !== undefined)) return { scheme, tokens }
  }
  return undefined
}

/** The stamp of a row stands for every change of it; a class has a stamp for each facet. */
function addClass(into: BoundDependency[], table: RelationId, { scheme, tokens }: Class, facets: readonly Facet[]) {
  if (scheme.kind === 'primary') into.push({ key: stampKey(scheme, tokens), table, scheme, tokens, facet: undefined })
  else for (const facet of facets) into.push({ key: stampKey(scheme, tokens, facet), table, scheme, tokens, facet })
}

function wholeTable({ ref, table }: RefCover, reason: WidenReason, given: CoverValues): BoundRef {
  const facets = given.facets(ref, table)
  const keys = given.keys(table)
  const dependencies = facets.map((facet) => ({ key: keys.table(facet), table, scheme: undefined, tokens: [], facet }))
  return { ref, table, facets, dependencies, classes: 0, reason }
}

/**
 * Each stamp once. A write to a row removes, of its table's stamps, at least what it removes of any class: where the whole
 * table is recorded with all facets that a reference records, its classes say nothing more.
 */
function gather(bound: readonly BoundRef[]): Map<string, BoundDependency> {
  const found = new Map<string, BoundDependency>()
  const whole = bound.filter(({ reason }) => reason)
  for (const each of whole) for (const dependency of each.dependencies) found.set(dependency.key, dependency)
  for (const each of bound) {
    const same = whole.filter(({ table }) => table === each.table).flatMap(({ facets }) => facets)
    if (each.reason || (same.length > 0 && each.facets.every((facet) => same.includes(facet)))) continue
    for (const dependency of each.dependencies) found.set(dependency.key, dependency)
  }
  return found
}

function mostClasses(bound: readonly BoundRef[]): number {
  let widest = -1
  for (const [at, each] of bound.entries())
    if (!each.reason && each.dependencies.length > (bound[widest]?.dependencies.length ?? 0)) widest = at
  return widest
}

/**
 * A dependency for people: `posts[author_id=1]`, `users[email=<sensitive>]`, `posts[author_id=1] counters`,
 * `app.items (table)`. `nameOf` gives the user's name of a group.
 */
export function labelOf(
  { table, scheme, tokens, facet }: BoundDependency,
  nameOf: (facet: Facet) => string = (each) => each,
): string {
  const group = facet === undefined || facet === MAIN ? '' : ` ${nameOf(facet)}`
  return `${tableLabel(table)}${scheme ? `[${pairsOf(scheme, tokens)}]` : ' (table)'}${group}`
}

/** `posts` for `6:public.posts`; other schemas stand in front. */
export function tableLabel(id: RelationId): string {
  const { schema, name } = relationWords(id)
  return schema === 'public' ? name : `${schema}.${name}`
}
