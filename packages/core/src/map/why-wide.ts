import type { WidenReason } from '../model/query-cover.ts'
import type { Block, Predicate, QueryShape, Source } from '../model/query-shape.ts'
import { type Fact, factsIn, termsOf } from './condition-branches.ts'
import type { Ways } from './find-ways.ts'
import { knownValues, termKey } from './known-values.ts'

/** Why a reference rests on its whole table, for people: the most telling of what stood in the way. */
export function whyWide(
  shape: QueryShape,
  ref: number,
  ways: Ways,
  found: 'no-scheme' | 'too-many-classes',
): WidenReason {
  const place = placeOf(shape.root, ref)
  if (!place) return 'opaque'
  const facts = place.conditions.flatMap(factsIn).filter((fact) => termsOf(fact).some((term) => term.ref === ref))
  if (found === 'too-many-classes' || (ways.overflowed && facts.length > 0)) return 'too-many-classes'
  if (everyWayKnows(ref, ways)) return 'no-scheme'
  const own = facts.filter((fact) => fact.kind !== 'same')
  if (own.length > 0) return whyNotUsed(place, own, ways)
  if (facts.some((fact) => isPartner(place, fact))) return 'partner-not-learned'
  if (place.block.sources.some((source) => 'opaque' in source)) return 'opaque'
  if (!place.conditions.some(holdsOther)) return 'no-condition'
  return shape.refs[ref]?.reached === 'all' ? 'opaque' : 'not-an-equality'
}

interface Place {
  readonly block: Block
  readonly source: Source
  readonly conditions: readonly Predicate[]
}

function placeOf(block: Block, ref: number): Place | undefined {
  const source = block.sources.find((each) => 'ref' in each && each.ref === ref)
  const conditions = [block.where, ...block.sources.map(({ on }) => on)].filter((condition) => condition !== undefined)
  if (source) return { block, source, conditions }
  for (const inner of innerOf(block)) {
    const place = placeOf(inner, ref)
    if (place) return place
  }
  return undefined
}

const innerOf = ({ sources, inner }: Block): readonly Block[] => [
  ...sources.flatMap((source) => ('block' in source ? [source.block] : [])),
  ...inner,
]

/** A condition names values of the reference, and yet it is wide. */
function whyNotUsed({ conditions }: Place, facts: readonly Fact[], { columnOf }: Ways): WidenReason {
  const withToken = facts.filter((fact) => termsOf(fact).every((term) => (columnOf(term)?.token ?? 'none') !== 'none'))
  if (withToken.length === 0) return 'no-scheme'
  const held = conditions.flatMap(conjuncts)
  return withToken.some((fact) => held.includes(fact)) ? 'outer-join' : 'not-an-equality'
}

/** Joined to a reference before it, or to one of a block around it. */
function isPartner({ block, source }: Place, fact: Fact): boolean {
  const own = block.sources.flatMap((each) => ('ref' in each ? [each.ref] : []))
  return source.join !== 'from' || termsOf(fact).some(({ ref }) => !own.includes(ref))
}

function everyWayKnows(ref: number, { byRef, columnOf }: Ways): boolean {
  const ways = byRef.get(ref) ?? []
  return ways.every((facts) => {
    const keys = [...knownValues(facts, columnOf).keys()]
    const isNull = facts.some((fact) => fact.kind === 'null' && fact.term.ref === ref)
    return isNull || keys.some((key) => key.startsWith(termKey({ ref, column: '' })))
  })
}

function conjuncts(condition: Predicate): readonly Predicate[] {
  return condition.kind === 'and' ? condition.members.flatMap(conjuncts) : [condition]
}

function holdsOther(condition: Predicate): boolean {
  if (condition.kind === 'and' || condition.kind === 'or') return condition.members.some(holdsOther)
  return condition.kind === 'other'
}
