/** From a query to what its answer rests on (DESIGN 3.1 to 3.3): the one place where reads meet the map. */
import type { CatalogFacts, RelationFacts } from '../model/facts.ts'
import type { Scheme } from '../model/keys.ts'
import type { ClassCandidate, QueryCover, RefCover, WidenReason } from '../model/query-cover.ts'
import type { QueryShape } from '../model/query-shape.ts'
import { bySpecificity, chooseClasses } from './choose-classes.ts'
import { MAX_BRANCHES } from './condition-branches.ts'
import { findWays, type Ways } from './find-ways.ts'
import { knownValues, termKey } from './known-values.ts'
import { learnPartners } from './learn-partners.ts'
import { whyWide } from './why-wide.ts'

export interface CoverQuestion {
  readonly facts: CatalogFacts
  /** The relation of a reference, by its position in the shape. */
  relationOf(ref: number): RelationFacts
  /** The schemes that this configuration keeps for a relation. */
  schemesOf(relation: RelationFacts): readonly Scheme[]
}

/**
 * The narrowest cover that is sound for every table reference of a query. Pure; once for each shape of a query, whatever
 * its parameters are.
 *
 * ```ts
 * // select … from users left join posts on posts.author_id = users.id where users.id = $0
 * coverQuery(shape, given).covers // users: R[id=$0], posts: V[author_id=$0]
 * ```
 */
export function coverQuery(shape: QueryShape, given: CoverQuestion): QueryCover {
  const found = findWays(shape, (ref) => given.relationOf(ref))
  const covers = shape.refs.map((_, ref) => coverRef(shape, given, ref, found))
  const learned = learnPartners(shape, { ...given, columnOf: found.columnOf }).flatMap((partner) => {
    const instead = covers[partner.ref]?.[0]
    return instead && !isFixedByKey(instead) ? [{ ...partner, instead }] : []
  })
  const apart = new Set(learned.map(({ ref }) => ref))
  return { covers: covers.flatMap((some, ref) => (apart.has(ref) ? [] : some)), learned }
}

/** The cover with its partners not learned, for rows that cannot tell them. */
export function withoutLearning({ covers, learned }: QueryCover): QueryCover {
  return { covers: [...covers, ...learned.map(({ instead }) => instead)], learned: [] }
}

function coverRef(shape: QueryShape, given: CoverQuestion, ref: number, ways: Ways): readonly RefCover[] {
  const relation = given.relationOf(ref)
  if (relation.kind === 'view') return coverView(ref, relation, given.facts)
  const classes = classesOf(ref, ways, bySpecificity(given.schemesOf(relation)))
  if (typeof classes !== 'string') return [{ ref, table: relation.id, branches: classes, widened: undefined }]
  return [wholeTable(ref, relation.id, whyWide(shape, ref, ways, classes))]
}

/** A view is its base tables, whole: its own conditions are not read. */
export function coverView(ref: number, view: RelationFacts, facts: CatalogFacts): readonly RefCover[] {
  const tables = view.reads.filter((id) => facts.relations.get(id)?.kind !== 'view')
  return tables.map((table) => wholeTable(ref, table, 'view'))
}

const wholeTable = (ref: number, table: string, widened: WidenReason): RefCover => ({
  ref,
  table,
  branches: [[]],
  widened,
})

/** The classes for all ways together; a way without a class has none at all. */
function classesOf(
  ref: number,
  { byRef, columnOf }: Ways,
  schemes: readonly Scheme[],
): RefCover['branches'] | 'no-scheme' | 'too-many-classes' {
  const ways = byRef.get(ref)
  // A reference that no block names may be read anywhere.
  if (!ways) return 'no-scheme'
  const found = new Map<string, readonly ClassCandidate[]>()
  for (const facts of ways) {
    const known = knownValues(facts, columnOf)
    const isNull = (column: string): boolean =>
      facts.some((fact) => fact.kind === 'null' && fact.term.ref === ref && fact.term.column === column)
    const classes = chooseClasses(
      schemes,
      (column) => known.get(termKey({ ref, column })) ?? (isNull(column) ? null : undefined),
    )
    if (typeof classes === 'string') return classes
    for (const branch of classes) found.set(JSON.stringify(branch.map(nameOf)), branch)
  }
  return found.size <= MAX_BRANCHES ? [...found.values()] : 'too-many-classes'
}

const nameOf = ({ scheme, values }: ClassCandidate) => [scheme.name, values]

/** Constants reach its primary key: that is as narrow as what the rows could tell, and known before the query. */
const isFixedByKey = ({ branches }: RefCover): boolean => branches.every(([first]) => first?.scheme.kind === 'primary')
