/**
 * For every table reference, each way in which its rows can matter, as facts about them.
 *
 * A row is *irrelevant* when taking it away changes no answer, whatever all other tables hold; a cover may leave out
 * irrelevant rows only. The joins of a block are a chain, walked from the last to the first with a *filter*: facts that
 * every row of the chain so far must satisfy, or be rejected further up. It starts as the WHERE.
 *
 * - Inner join: a row matters only in combinations for which filter and ON hold.
 * - Left join whose right side the filter speaks of: any equality there rejects null-extended rows, so it is an inner
 *   join (PostgreSQL calls this reducing outer joins).
 * - Left join otherwise: the filter speaks of the left side alone. A left row matters where the filter holds, whether
 *   or not it has a partner: ON says nothing about it. A right row `r` matters for left rows that ON accepts together
 *   with it, since only their combinations come and go with `r`; the filter holds for those left rows in either case.
 *   `is null` in the filter is dropped for the right side: it is true of null-extended rows, which appear when `r` goes.
 * - A right join is a left join the other way round; a full join is reduced to one of them, or nothing is handed on.
 *
 * Branches of a disjunction are walked each on its own: a row matters if one of them lets it.
 */
import type { Block, JoinKind, Predicate, Source, Term } from '../model/query-shape.ts'
import { type Branch, branchesOf, combine, type Fact, factsIn, MAX_BRANCHES, termsOf } from './condition-branches.ts'
import { type KnownValues, termKey } from './known-values.ts'

export interface Visitor {
  /** Rows of the reference can come in where these facts hold. Never called for it: no row of it matters. */
  visit(ref: number, facts: Branch): void
  /** A condition was given up because it has too many branches. */
  overflow(): void
  knownValues(facts: Branch): KnownValues
}

export function visitRefs(root: Block, visitor: Visitor): void {
  const seen = new Map<Block, Set<string>>()
  enter({ visitor, seen, visible: new Set() }, root, [], 1)
}

interface Walk {
  readonly visitor: Visitor
  /** The facts from outside under which a block has been walked. */
  readonly seen: Map<Block, Set<string>>
  /** References whose columns may be named: those of the blocks around. */
  readonly visible: ReadonlySet<number>
}

/** One block, seen from inside. */
interface Frame extends Walk {
  readonly block: Block
  /** What the blocks around say of columns that this one names. */
  readonly outer: Branch
}

/**
 * `around` counts the branches walked at once, so that branches within branches stay bounded; what is told nothing from
 * outside is walked only once.
 */
function enter(walk: Walk, block: Block, outer: Branch, around: number): void {
  if (wasHere(walk, block, outer)) return
  const width = outer.length === 0 ? 1 : around
  const visible = new Set([...walk.visible, ...ownRefs(block.sources)])
  const frame: Frame = { ...walk, visible, block, outer }
  const filters = combine(branches(frame, block.where, width), [outer])
  const last = block.sources.length - 1
  for (const filter of filters) descend(frame, last, filter, width * filters.length)
  for (const inner of block.inner) enterInner(frame, inner, filters, width)
}

function wasHere({ seen }: Walk, block: Block, outer: Branch): boolean {
  const known = seen.get(block) ?? new Set()
  const key = JSON.stringify(outer)
  if (known.has(key)) return true
  seen.set(block, known.add(key))
  return false
}

function branches(frame: Frame, predicate: Predicate | undefined, width: number): readonly Branch[] {
  const most = Math.max(1, Math.floor(MAX_BRANCHES / width))
  return branchesOf(predicate, { sees: (ref) => frame.visible.has(ref), most, overflow: frame.visitor.overflow })
}

const ownRefs = (sources: readonly Source[]): number[] =>
  sources.flatMap((source) => ('ref' in source ? [source.ref] : []))

// ---- joins

/** Visits the sources up to `at`; what they give is filtered by `filter`. */
function descend(frame: Frame, at: number, filter: Branch, width: number): void {
  const source = frame.block.sources[at]
  if (!source) return
  const before = ownRefs(frame.block.sources.slice(0, at))
  const own = ownRefs([source])
  const join = reduced(source.join, rejectsNulls(filter, before), rejectsNulls(filter, own))
  const on = branches(frame, source.on, width)
  const wide = width * Math.max(1, on.length)
  if (join === 'left') {
    for (const match of combine([withoutNulls(filter, own)], on)) arrive(frame, at, match, wide)
    descend(frame, at - 1, filter, width)
  } else if (join === 'right') {
    arriveAlone(frame, at, filter, width)
    for (const match of combine([withoutNulls(filter, before)], on)) descend(frame, at - 1, match, wide)
  } else if (join === 'full') {
    arriveAlone(frame, at, withoutNulls(filter, own), width)
    descend(frame, at - 1, withoutNulls(filter, before), width)
  } else {
    for (const match of combine([filter], on)) {
      arrive(frame, at, match, wide)
      descend(frame, at - 1, match, wide)
    }
  }
}

/** What a join comes to where null-extended rows of its left or of its right side are rejected anyway. */
function reduced(join: JoinKind, rejectsLeft: boolean, rejectsRight: boolean): 'inner' | 'left' | 'right' | 'full' {
  const keepsLeft = (join === 'left' || join === 'full') && !rejectsRight
  const keepsRight = (join === 'right' || join === 'full') && !rejectsLeft
  if (keepsLeft) return keepsRight ? 'full' : 'left'
  return keepsRight ? 'right' : 'inner'
}

const names = (fact: Fact, refs: readonly number[]): boolean => termsOf(fact).some(({ ref }) => refs.includes(ref))

const rejectsNulls = (facts: Branch, refs: readonly number[]): boolean =>
  facts.some((fact) => fact.kind !== 'null' && names(fact, refs))

const withoutNulls = (facts: Branch, refs: readonly number[]): Branch =>
  facts.filter((fact) => fact.kind !== 'null' || !names(fact, refs))

/** Visits one source, whose rows matter beside rows of the sources before it for which `match` holds. */
function arrive(frame: Frame, at: number, match: Branch, width: number): void {
  const contexts = holding(frame, at - 1, match, width)
  for (const facts of contexts) arriveAlone(frame, at, facts, width * contexts.length)
}

function arriveAlone(frame: Frame, at: number, facts: Branch, width: number): void {
  const source = frame.block.sources[at]
  if (!source || 'opaque' in source) return
  if ('ref' in source) frame.visitor.visit(source.ref, facts)
  else enter(frame, source.block, outerFacts(frame, source.block, facts), width)
}

/** What holds for every row of the sources up to `at` that satisfies `filter`: conditions of joins that are inner. */
function holding(frame: Frame, at: number, filter: Branch, width: number): readonly Branch[] {
  const source = frame.block.sources[at]
  if (!source) return [filter]
  const before = ownRefs(frame.block.sources.slice(0, at))
  const join = reduced(source.join, rejectsNulls(filter, before), rejectsNulls(filter, ownRefs([source])))
  if (join === 'left') return holding(frame, at - 1, filter, width)
  if (join !== 'inner') return [filter]
  const on = branches(frame, source.on, width)
  return on.flatMap((more) => holding(frame, at - 1, [...filter, ...more], width * on.length))
}

// ---- queries inside queries

/**
 * A query in any place of the block is covered by its own conditions. What the block says of the columns that the query
 * names holds too: for rows that the block rejects whatever the query answers, it does not matter what it answers. That
 * is so in ON as well, where the row and its null-extended form are both rejected.
 *
 * Where the block lets no row in, the query may still be asked: as a member of a set operation, in a CTE, or beside an
 * aggregate, which gives one row for none.
 */
function enterInner(frame: Frame, inner: Block, filters: readonly Branch[], width: number): void {
  const wide = width * Math.max(1, filters.length)
  const contexts = filters.flatMap((filter) => holding(frame, frame.block.sources.length - 1, filter, wide))
  if (contexts.length === 0) enter(frame, inner, outerFacts(frame, inner, frame.outer), width)
  for (const facts of contexts)
    enter(frame, inner, outerFacts(frame, inner, facts), width * Math.max(1, contexts.length))
}

/**
 * What is known of the columns that a query names and does not own. A query that names none of this block's columns may
 * be a member of a set operation beside it, of which this block's conditions say nothing: it gets what came from outside.
 */
function outerFacts(frame: Frame, inner: Block, facts: Branch): Branch {
  const free = freeTerms(inner)
  const own = ownRefs(frame.block.sources)
  const within = free.some(({ ref }) => own.includes(ref))
  const known = frame.visitor.knownValues(within ? facts : frame.outer)
  const found = new Map(free.map((term) => [termKey(term), term]))
  return [...found].flatMap(([key, term]): Fact[] => {
    const values = known.get(key)
    return values ? [{ kind: 'in', term, values }] : []
  })
}

/** Columns of other blocks that a block or a query inside it names. */
function freeTerms(block: Block): readonly Term[] {
  const own = ownRefs(block.sources)
  const conditions = [block.where, ...block.sources.map(({ on }) => on)]
  const here = conditions.flatMap(factsIn).flatMap(termsOf)
  const deeper = [...block.inner, ...block.sources.flatMap((source) => ('block' in source ? [source.block] : []))]
  return [...here, ...deeper.flatMap(freeTerms)].filter(({ ref }) => !own.includes(ref))
}
