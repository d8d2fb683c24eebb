/** Tests of planted faults: each must end at a difference, before its steps are over. */
import { expect, test } from 'vitest'
import type { Mutant } from './mutants.ts'
import { type MutantRun, runMutant } from './run-mutant.ts'

export function findMutants(run: MutantRun, mutants: readonly Mutant[]): void {
  test.each(mutants)(
    '$name',
    async ({ name, edits }) => {
      const { code, output } = await runMutant(run, edits)
      console.log(`${name}: ${output.split('\n')[0]?.slice(0, 300)}`)
      expect({ code, output }).toEqual({ code: 3, output: expect.stringMatching(/^seed \d+, step \d+: /) })
    },
    180_000,
  )
}
