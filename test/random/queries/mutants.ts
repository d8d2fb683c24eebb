/** Faults in the map from writes to answers that the random queries must find, each as a change of the core's text. */
import { mutants as byKey, type Mutant } from '../mutants.ts'

const also: ReadonlySet<string> = new Set(['a write that skips a cascade'])

export const mutants: readonly Mutant[] = byKey.filter(({ name }) => also.has(name))
