import { expect, test } from 'vitest'
import { checkCovers } from './check-covers.ts'

/** `COVER_SEED` and `COVER_CASES` repeat or lengthen a run. */
const seed = Number(process.env.COVER_SEED ?? Math.floor(Math.random() * 2 ** 31))
const cases = Number(process.env.COVER_CASES ?? 6000)

test(`no write changes an answer without removing a stamp that it rests on (seed ${seed})`, () => {
  console.log(`cover-query: COVER_SEED=${seed} COVER_CASES=${cases}`)
  const seen = checkCovers(seed, cases)
  console.log(`cover-query: ${JSON.stringify(seen)}`)
  // The run must be able to find something: narrow covers, learned partners, changes and writes that drop nothing.
  expect(seen.narrow).toBeGreaterThan(cases / 5)
  expect(seen.learned).toBeGreaterThan(cases / 100)
  expect(seen.changes).toBeGreaterThan(cases / 5)
  expect(seen.writes - seen.dropped).toBeGreaterThan(cases / 5)
})
