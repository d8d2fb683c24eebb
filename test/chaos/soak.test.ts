import { describe, expect, test } from 'vitest'
import type { Edit } from '../random/bundle.ts'
import { runSoak, type Sample, type Soak } from './soak.ts'

// SOAK_SECONDS sets the length of the run: `pnpm soak` takes twenty minutes. SEED sets its course.
const seconds = Number(process.env.SOAK_SECONDS ?? 120)
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

/** The least of some samples: what is held when all that may go has gone. */
const held = (samples: readonly Sample[]): number =>
  Math.min(...samples.map(({ heapUsed, external }) => heapUsed + external))

/** The first third lets everything come to its bound that only time fills. */
function growth({ samples }: Soak): { early: number; late: number } {
  const third = Math.floor(samples.length / 3)
  return { early: held(samples.slice(third, 2 * third)), late: held(samples.slice(2 * third)) }
}

const MB = 1024 * 1024
/** Code that is compiled as it grows hot, and what a pause of the collector leaves. */
const isFlat = (soak: Soak): boolean => {
  const { early, late } = growth(soak)
  return late < early * 1.03 + 1.5 * MB
}

/** A map that nobody empties: a flight that stays after it has landed. */
const leak: Edit = { file: 'read/flights.ts', find: 'this.#open.delete(name)', put: 'String(name)' }

function told(name: string, soak: Soak): string {
  const { early, late } = growth(soak)
  return (
    `${name}: SEED=${seed}, ${soak.operations} operations (${soak.failures} failed), longest queue ${soak.longestQueue} keys, ` +
    `held ${(early / MB).toFixed(1)} then ${(late / MB).toFixed(1)} MB, handles ${soak.samples.map(({ handles }) => handles).join(' ')}`
  )
}

describe('a long run', () => {
  test(
    'holds no more memory in the end than in the middle, bounded queues, and nothing after close()',
    async () => {
      const soak = await runSoak({ seed, seconds })
      console.log(told('soak', soak))
      expect(soak.samples.length).toBeGreaterThan(20)
      expect(isFlat(soak)).toBe(true)
      // Outages came, writes waited, and the queue never held more than it may.
      expect(soak.longestQueue).toBeGreaterThan(0)
      expect(soak.longestQueue).toBeLessThanOrEqual(soak.queueBound)
      for (const { memoryBytes } of soak.samples) expect(memoryBytes).toBeLessThanOrEqual(soak.memoryBound)
      expect(soak.pendingKeys).toBe(0)
      expect(soak.left).toEqual([])
      expect(soak.exitCode).toBe(0)
    },
    1_000 * seconds + 480_000,
  )

  test.runIf(process.env.MUTANTS === 'all')(
    'is seen to grow where a map is never emptied',
    async () => {
      const soak = await runSoak({ seed, seconds: 40 }, [leak])
      console.log(told('a leak', soak))
      expect(isFlat(soak)).toBe(false)
    },
    600_000,
  )
})
