/** Faults in the core that a chaos run must find, each as a change of its text. */
import type { Edit } from '../random/bundle.ts'
import { races } from '../random/mutants.ts'
import type { FaultKind } from './faults.ts'

export interface Planted {
  readonly name: string
  readonly edits: readonly Edit[]
  /** What brings it to light. */
  readonly kinds: readonly FaultKind[]
  readonly outbox: boolean
  /** Of one run, and how many are tried. */
  readonly seconds: number
  readonly runs: number
  /** Found within seconds: CI looks for it. */
  readonly isQuick: boolean
}

export const plantedFaults: readonly Planted[] = [
  {
    name: 'the pending queue off',
    edits: [{ file: 'write/deliver.ts', find: 'this.#queue({ tables: left })\n', put: 'String(left)\n' }],
    kinds: ['Redis refuses', 'link to Redis is a black hole'],
    outbox: false,
    seconds: 8,
    runs: 5,
    isQuick: true,
  },
  {
    name: "the register's rule of loss off",
    edits: [
      { file: 'register/registrar.ts', find: 'nowMs - bornMs >= YOUNG_MS', put: 'nowMs - bornMs >= 0' },
      {
        file: 'model/register.ts',
        find: 'sight.nowMs - sight.bornMs < YOUNG_MS',
        put: 'sight.nowMs - sight.bornMs < 0',
      },
    ],
    kinds: ['register lost'],
    outbox: false,
    seconds: 8,
    runs: 5,
    isQuick: true,
  },
  {
    name: 'incarnation tags off',
    edits: [
      {
        file: 'redis:incarnation.ts',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the store's text
        find: 'tagOf(`${run} ${replication}`)',
        put: "tagOf('one for all')",
      },
    ],
    kinds: ['failover that loses the latest', 'Redis restarted from old data'],
    outbox: false,
    seconds: 12,
    runs: 5,
    isQuick: true,
  },
  {
    name: 'flights joined by key alone',
    edits: races.joinByKey.edits,
    kinds: ['link to PostgreSQL is slow'],
    outbox: false,
    seconds: 8,
    runs: 5,
    isQuick: true,
  },
]
