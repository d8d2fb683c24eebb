import { describe, expect, test } from 'vitest'
import { findMutants } from '../find-mutants.ts'
import { runMutant } from '../run-mutant.ts'
import { mutants } from './mutants.ts'

const seed = process.env.MUTANT_SEED ?? '7'
const steps = process.env.MUTANT_STEPS ?? '4000'
const run = { program: 'queries/program.ts', seed, steps }

describe('a fault planted in the map is found by the random queries', () => {
  test('without a fault they find nothing', async () => {
    const { code, output } = await runMutant({ ...run, steps: '800' }, [])
    expect(output).toContain('"negative"')
    expect(code).toBe(0)
  }, 180_000)

  findMutants(run, mutants)
})
