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
  /** Share of reads and writes that meet in a few rows, where that is what it takes. */
  readonly hot?: number
  /** Of one run, and how many are tried. */
  readonly seconds: number
  readonly runs: number
}

export const plantedFaults: readonly Planted[] = [
  {
    name: 'the pending queue off',
    edits: [{ file: 'write/deliver.ts', find: 'this.#queue({ tables: left })\n', put: 'String(left)\n' }],
    kinds: ['Redis refuses', 'link to Redis is a black hole'],
    outbox: false,
    seconds: 8,
    runs: 5,
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
  },
  {
    name: 'flights joined by key alone',
    // Those of rows, and those of whole answers.
    edits: [
      ...races.joinByKey.edits,
      {
        file: 'read/read-results.ts',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the core's text
        find: "${[...all.values()].join('')}",
        put: '',
      },
    ],
    kinds: ['link of a reader to PostgreSQL is slow'],
    outbox: false,
    hot: 0.9,
    seconds: 8,
    runs: 5,
  },
]
