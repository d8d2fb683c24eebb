import type { RegisterAnswer, RegisterSight, RegisterVisit, Store } from 'drizzle-aside/store'
import type { Capability } from './subject.ts'

/** A store opened for one case, with all that the case needs. */
export interface Bench {
  readonly store: Store
  /** Another user of the same data; `store` itself where there is none. */
  readonly second: Store
  readonly prefix: string
  /** Moves the time by hand; throws where the case has not declared that it needs the clock. */
  advance(ms: number): Promise<void>
  /** Lets a few milliseconds go by, on the moved clock or, where there is none, by waiting. */
  pass(ms: number): Promise<void>
}

/** One promise of the contract. */
export interface Rule {
  readonly promise: string
  /** Without these the case is not asked. */
  readonly needs?: readonly Capability[]
  /** The case asks two instances, and says something about one as well. */
  readonly between?: boolean
  check(bench: Bench): Promise<void>
}

export const MINUTE = 60_000

/** Room of a bounded store. */
export const BOUND = 1_000_000

/** How often something is asked that must come soon, before it counts as missing. */
const MOST_ROUNDS = 1_000

/** Lets time go by until it is so: what must come after one or two milliseconds, by whatever clock. */
export async function until(pass: Bench['pass'], isSo: () => Promise<boolean>): Promise<void> {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    if (await isSo()) return
    await pass(2)
  }
  throw new Error(`It should have ended after a millisecond or two, and has not after ${MOST_ROUNDS} questions.`)
}

/** The register of a store; a case that asks for it needs the capability. */
export const registerOf = (store: Store) => ({
  enter: (register: string, visit: RegisterVisit): Promise<RegisterAnswer> =>
    verbOf(store.enter).call(store, register, visit),
  look: async (register: string): Promise<RegisterSight | null | undefined> =>
    (await verbOf(store.removeAndLook).call(store, [], [register]))[0],
})

export function verbOf<Verb>(verb: Verb | undefined): Verb {
  if (verb) return verb
  throw new Error('The store has no enter() or no removeAndLook().')
}

let mints = 0

/** What a process brings to a register, with a mint that was never used before. */
export const visit = (party: string, parts: readonly string[], more: Partial<RegisterVisit> = {}): RegisterVisit => ({
  party,
  parts,
  digest: `d${parts.join('|')}`,
  lifeMs: 10 * MINUTE,
  settled: [],
  mint: `m${mints++}`,
  known: undefined,
  ...more,
})

export const marksOf = ({ marked }: RegisterAnswer): Record<string, string> =>
  Object.fromEntries(marked.map(({ part, mark }) => [part, mark]))

export const partsOf = ({ parts }: RegisterAnswer): string[] => [...new Set(parts)].sort()

/** A number of keys or stamps below a prefix. */
export const numbered = (count: number, keyOf: (index: number) => string): string[] =>
  Array.from({ length: count }, (_, index) => keyOf(index))
