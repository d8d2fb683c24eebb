import { afterEach, describe, expect, test, vi } from 'vitest'
import { runMutant } from '../run-mutant.ts'
import { mutants } from './mutants.ts'

// MUTANT_SEED tries others than those which are known to find a fault soon.
const { MUTANT_SEED, MUTANT_STEPS: steps = '4000' } = process.env
const runOf = (seed = 7) => ({ program: 'queries/program.ts', seed: MUTANT_SEED ?? String(seed), steps })

afterEach(() => {
  vi.unstubAllEnvs()
})

describe('a fault planted in the map is found by the random queries', () => {
  test('without a fault they find nothing', async () => {
    const { code, output } = await runMutant({ ...runOf(), steps: '800' }, [])
    expect(output).toContain('"negative"')
    expect(code).toBe(0)
  }, 180_000)

  test.each(mutants)(
    '$name',
    async ({ name, near, seed, edits }) => {
      vi.stubEnv('NEAR', near)
      const { code, output } = await runMutant(runOf(seed), edits)
      console.log(`${name}: ${output.split('\n')[0]?.slice(0, 300)}`)
      expect({ code, output }).toEqual({ code: 3, output: expect.stringMatching(/^seed \d+, step \d+: /) })
    },
    180_000,
  )
})
