import { afterEach, describe, expect, test, vi } from 'vitest'
import { runMutant } from '../run-mutant.ts'
import { mutants } from './mutants.ts'

const seed = process.env.MUTANT_SEED ?? '7'
const steps = process.env.MUTANT_STEPS ?? '4000'
const run = { program: 'queries/program.ts', seed, steps }

afterEach(() => {
  vi.unstubAllEnvs()
})

describe('a fault planted in the map is found by the random queries', () => {
  test('without a fault they find nothing', async () => {
    const { code, output } = await runMutant({ ...run, steps: '800' }, [])
    expect(output).toContain('"negative"')
    expect(code).toBe(0)
  }, 180_000)

  test.each(mutants)(
    '$name',
    async ({ name, near, edits }) => {
      vi.stubEnv('NEAR', near)
      const { code, output } = await runMutant(run, edits)
      console.log(`${name}: ${output.split('\n')[0]?.slice(0, 300)}`)
      expect({ code, output }).toEqual({ code: 3, output: expect.stringMatching(/^seed \d+, step \d+: /) })
    },
    180_000,
  )
})
