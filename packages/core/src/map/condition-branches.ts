import type { Predicate, Term } from '../model/query-shape.ts'

/** Something that a condition says for certain about columns. */
export type Fact = Extract<Predicate, { kind: 'same' | 'equals' | 'in' | 'null' }>

/** Facts that hold together. A branch without facts says nothing. */
export type Branch = readonly Fact[]

/** Most ways in which a row may come in that are told apart, in a condition and for one table reference. */
export const MAX_BRANCHES = 16

const noFacts: readonly Branch[] = [[]]

export interface BranchBounds {
  /** Whether a column of this reference may be named here. */
  sees(ref: number): boolean
  readonly most: number
  /** Called where a condition is given up because it has too many branches. */
  overflow(): void
}

/**
 * The disjunctive form of a condition, weaker or equal: where it is true, the facts of one branch at least are true.
 * No branch: it is never true. What is not understood, and what would take more than `most` branches, says nothing.
 */
export function branchesOf(predicate: Predicate | undefined, bounds: BranchBounds): readonly Branch[] {
  if (!predicate) return noFacts
  switch (predicate.kind) {
    case 'other':
      return noFacts
    case 'never':
      return []
    case 'and':
      return all(predicate.members, bounds)
    case 'or':
      return any(predicate.members, bounds)
    case 'in':
      return predicate.values.length === 0 ? [] : single(predicate, bounds)
    default:
      return single(predicate, bounds)
  }
}

const single = (fact: Fact, { sees }: BranchBounds): readonly Branch[] =>
  termsOf(fact).every(({ ref }) => sees(ref)) ? [[fact]] : noFacts

/** Leaving a member out weakens a conjunction, and so is sound. */
function all(members: readonly Predicate[], bounds: BranchBounds): readonly Branch[] {
  let branches = noFacts
  for (const member of members) {
    const next = branchesOf(member, bounds)
    if (branches.length * next.length <= bounds.most) branches = combine(branches, next)
    else bounds.overflow()
  }
  return branches
}

/** One member that says nothing makes the disjunction say nothing. */
function any(members: readonly Predicate[], bounds: BranchBounds): readonly Branch[] {
  const branches = members.flatMap((member) => branchesOf(member, bounds))
  if (members.length === 0 || branches.some((branch) => branch.length === 0)) return noFacts
  if (branches.length <= bounds.most) return branches
  bounds.overflow()
  return noFacts
}

/** Every pair of branches, joined. */
export const combine = (left: readonly Branch[], right: readonly Branch[]): readonly Branch[] =>
  left.flatMap((one) => right.map((other) => [...one, ...other]))

export const termsOf = (fact: Fact): readonly Term[] => (fact.kind === 'same' ? [fact.left, fact.right] : [fact.term])

/** Every fact anywhere in a condition, whether or not it must hold. */
export function factsIn(predicate: Predicate | undefined): readonly Fact[] {
  if (!predicate) return []
  switch (predicate.kind) {
    case 'and':
    case 'or':
      return predicate.members.flatMap(factsIn)
    case 'never':
    case 'other':
      return []
    default:
      return [predicate]
  }
}
