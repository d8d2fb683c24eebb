import type { RelationFacts } from '../model/facts.ts'
import type { Scheme } from '../model/keys.ts'
import type { LearnedPartner } from '../model/query-cover.ts'
import type { Predicate, QueryShape, Source, Term } from '../model/query-shape.ts'
import { factsIn, termsOf } from './condition-branches.ts'
import { areComparable, type ColumnOf } from './known-values.ts'

export interface PartnerQuestion {
  relationOf(ref: number): RelationFacts
  schemesOf(relation: RelationFacts): readonly Scheme[]
  readonly columnOf: ColumnOf
}

type Partner = Omit<LearnedPartner, 'instead'>

/**
 * Partners whose rows the result itself names, by the values that they were matched with (DESIGN 3.3). Sound because such
 * a partner can neither multiply, nor drop, nor order the rows of the answer: whatever LIMIT and OFFSET leave out, it
 * would leave out with any other partner rows too. So only partners of rows that are in the answer matter.
 */
export function learnPartners(shape: QueryShape, given: PartnerQuestion): readonly Partner[] {
  const { sources } = shape.root
  // A right or full join null-extends what was joined before it, and with it the terms that tell the partner.
  if (!shape.learnable || sources.some(({ join }) => join === 'right' || join === 'full')) return []
  const partners = sources.flatMap((source, at) => partnerOf(shape, given, source, at) ?? [])
  return withoutLeaning(shape, partners)
}

function partnerOf(shape: QueryShape, given: PartnerQuestion, source: Source, at: number): Partner | undefined {
  if (!('ref' in source) || (source.join !== 'left' && source.join !== 'inner')) return undefined
  const { ref } = source
  const relation = given.relationOf(ref)
  const scheme = given.schemesOf(relation).find(({ kind }) => kind === 'primary')
  if (!scheme || !isPlain(relation) || isUsedElsewhere(shape, ref)) return undefined
  const pairs = pairsOf(source.on)?.map((pair) => (pair.left.ref === ref ? pair : flipped(pair)))
  if (!pairs || pairs.length !== scheme.columns.length) return undefined
  const earlier = shape.root.sources.slice(0, at).flatMap((other) => ('ref' in other ? [other.ref] : []))
  const from = scheme.columns.map((column) => matchedWith({ ref, column }, pairs, earlier, given.columnOf))
  if (!from.every((term) => term !== undefined)) return undefined
  if (source.join === 'inner' && !isAlwaysThere(relation, scheme, from, given)) return undefined
  return { ref, table: relation.id, scheme, from }
}

/** One row for each key, the same for every reader. A key does not hold across the tables that inherit. */
const isPlain = ({ kind, rowSecurity, inheritanceChildren }: RelationFacts): boolean =>
  (kind === 'table' || kind === 'partitioned') && !rowSecurity && !inheritanceChildren

/** Opaque text that may name any column may filter by this one. */
const isUsedElsewhere = ({ usedElsewhere, refs }: QueryShape, ref: number): boolean =>
  usedElsewhere.has(ref) || refs[ref]?.reached === 'all'

type Pair = Extract<Predicate, { kind: 'same' }>

const flipped = ({ kind, left, right }: Pair): Pair => ({ kind, left: right, right: left })

/** The equalities of columns that a condition consists of; undefined where it holds anything else. */
function pairsOf(on: Predicate | undefined): readonly Pair[] | undefined {
  if (on?.kind === 'same') return [on]
  if (on?.kind !== 'and') return undefined
  const members = on.members.map(pairsOf)
  return members.every((member) => member !== undefined) ? members.flat() : undefined
}

/** The column of an earlier reference that a key column equals. */
function matchedWith(
  key: Term,
  pairs: readonly Pair[],
  earlier: readonly number[],
  columnOf: ColumnOf,
): Term | undefined {
  const pair = pairs.find(({ left }) => left.ref === key.ref && left.column === key.column)
  if (!pair || !earlier.includes(pair.right.ref)) return undefined
  return areComparable(key, pair.right, columnOf) ? pair.right : undefined
}

/** A proven foreign key whose columns are not NULL: the inner join hides no row for want of a partner. */
function isAlwaysThere(
  parent: RelationFacts,
  { columns }: Scheme,
  from: readonly Term[],
  { relationOf, columnOf }: PartnerQuestion,
): boolean {
  const [first] = from
  if (!first || from.some((term) => term.ref !== first.ref || !columnOf(term)?.notNull)) return false
  const child = relationOf(first.ref)
  // A foreign key says nothing of the rows of tables that inherit.
  if (child.inheritanceChildren || (child.kind !== 'table' && child.kind !== 'partitioned')) return false
  return child.outgoing.some((key) => {
    const pairs = key.columns.map((column, i) => `${column} ${key.parentColumns[i]}`)
    const wanted = from.map((term, i) => `${term.column} ${columns[i]}`)
    return (
      key.proven &&
      key.parent === parent.id &&
      pairs.length === wanted.length &&
      wanted.every((pair) => pairs.includes(pair))
    )
  })
}

/**
 * Without the partners that another join leans on: there their columns decide which rows there are. A partner found
 * through a learned one decides nothing, unless an inner join drops the rows for which the first is missing.
 */
function withoutLeaning(shape: QueryShape, partners: readonly Partner[]): readonly Partner[] {
  const learned = new Set(partners.map(({ ref }) => ref))
  const kept = partners.filter(({ ref }) => !shape.root.sources.some((other) => leansOn(shape, other, ref, learned)))
  return kept.length === partners.length ? partners : withoutLeaning(shape, kept)
}

function leansOn({ root }: QueryShape, other: Source, ref: number, learned: ReadonlySet<number>): boolean {
  if ('ref' in other && other.ref === ref) return false
  const names = factsIn(other.on)
    .flatMap(termsOf)
    .some((term) => term.ref === ref)
  if (!names) return false
  const mayMiss = root.sources.some((source) => 'ref' in source && source.ref === ref && source.join === 'left')
  return !('ref' in other && learned.has(other.ref)) || (other.join === 'inner' && mayMiss)
}
