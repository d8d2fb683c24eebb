import { describe, expect, test } from 'vitest'
import { bundle } from './bundle.ts'
import { findMutants } from './find-mutants.ts'
import { mutants } from './mutants.ts'
import { runMutant } from './run-mutant.ts'

// Fixed, so that a fault that is found today is found tomorrow; MUTANT_SEED tries others.
const seed = process.env.MUTANT_SEED ?? '7'
const steps = process.env.MUTANT_STEPS ?? '4000'
const run = { program: 'differential-program.ts', seed, steps }

describe('a fault planted in the core is found by the random steps', () => {
  test('without a fault they find nothing', async () => {
    const { code, output } = await runMutant(run, [])
    expect(output).toContain('"negative"')
    expect(code).toBe(0)
  }, 180_000)

  findMutants(run, mutants)
})

test('a snippet that is not found exactly once is an error, not a mutant that passes', async () => {
  const edit = { file: 'write/derive-keys.ts', find: 'keys', put: 'locks' }
  await expect(bundle('differential-program.ts', [edit])).rejects.toThrow('not once')
  await expect(bundle('differential-program.ts', [{ ...edit, find: 'no such text' }])).rejects.toThrow('0 times')
})
