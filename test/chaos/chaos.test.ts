/**
 * Histories of several processes whose servers, links and lives are disturbed all the time: nothing is stale beyond the named
 * exceptions, each within its bound, and after each fault the hits come back.
 */
import { describe, expect, test } from 'vitest'
import { plantedFaults } from './planted.ts'
import { type ChaosRun, runChaos, toldRun } from './run-chaos.ts'

// CHAOS_SECONDS sets the length of both halves together, SEED the course, CHAOS_OUTBOX ('always' or 'never') leaves one half.
const seconds = Number(process.env.CHAOS_SECONDS ?? 60)
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
const halves = [
  { name: 'always', outbox: true },
  { name: 'never', outbox: false },
].filter(({ name }) => (process.env.CHAOS_OUTBOX ?? name) === name)
const tell = process.env.CHAOS_TELL === undefined ? () => {} : console.log

function expectNothingWrong({ verdict, faults, troubles }: ChaosRun): void {
  expect(verdict.violations.slice(0, 5)).toEqual([])
  expect(troubles.slice(0, 3)).toEqual([])
  expect(faults.filter(({ recovered }) => recovered === undefined)).toEqual([])
}

describe('chaos', () => {
  test.each(halves)(
    'nothing is stale beyond the named exceptions, and hits come back (outbox: $name)',
    async ({ outbox }) => {
      const options = { seed, seconds: seconds / halves.length, outbox, tell }
      const run = await runChaos(options)
      console.log(toldRun(options, run))
      expectNothingWrong(run)
      // A run in which nothing happens finds nothing.
      expect(run.faults.length).toBeGreaterThan(0)
      expect(run.verdict.writes.ok).toBeGreaterThan(50)
      expect(run.hitShare).toBeGreaterThan(0.3)
    },
    1_000 * seconds + 180_000,
  )

  test.each(plantedFaults)(
    'violations are seen with $name',
    async ({ name, runs, ...planted }) => {
      let found = 0
      for (let from = seed; found === 0 && from < seed + runs; from++) {
        const run = await runChaos({ seed: from, tell, ...planted })
        found = run.verdict.violations.length
        console.log(
          `${name}: SEED=${from}, ${run.faults.length} faults, ${found} violations, ${run.verdict.violations[0]}`,
        )
      }
      expect(found).toBeGreaterThan(0)
    },
    600_000,
  )
})
