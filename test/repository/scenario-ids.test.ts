/**
 * Each scenario of caches that break has a test with its id in the name, or a reason why it has none: the letters are those of
 * the table of scenarios (A to F), the numbers those of the protocol's conformance suite.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

const sizes = { A: 12, B: 22, C: 18, D: 17, E: 11, F: 18 }
const numbers = 77
const ids = [
  ...Object.entries(sizes).flatMap(([letter, size]) => Array.from({ length: size }, (_, at) => `${letter}${at + 1}`)),
  ...Array.from({ length: numbers }, (_, at) => `${at + 1}`),
  '48b',
]

/** Numbers that stand for one thing. */
const from = (first: number, last: number, why: string): Record<string, string> =>
  Object.fromEntries(Array.from({ length: last - first + 1 }, (_, at) => [`${first + at}`, why]))

const untested: Readonly<Record<string, string>> = {
  E4: 'Drizzle reads no PostgreSQL answer row by row, so none can be abandoned half-way',
  E10: 'no index of keys is kept beside the rows: the entry of a list holds its rows',
  F5: 'none of the supported drivers has db.batch',
  ...from(19, 36, 'strict mode, which is later'),
  62: 'no fill waits after a failover in this mode: docs/decisions/failover.md',
  71: 'change data capture, which is later',
  72: 'the tier within a process, which is later',
  75: 'the verifier, which is later',
  77: 'the model is no part of this repository',
}

const testFiles = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && !name.includes('node_modules'))
    .map((name) => join(root, folder, name))

/** `'D4, 64: …'`, and `'A1, 47'` where names are made of a table's cells. */
const named = /['"`]((?:[A-F]\d{1,2}|\d{1,2}b?|V1|E-\w+)(?:, (?:[A-F]\d{1,2}|\d{1,2}b?|E-\w+))*): /g
const inCells = /'([A-F]\d{1,2}(?:, \d{1,2}b?)*)'/g

const idsIn = (text: string): string[] =>
  [...text.matchAll(named), ...text.matchAll(inCells)].flatMap(([, list]) => (list as string).split(', '))

test('every scenario has a test with its id, or a reason, and none has both', () => {
  const files = [...testFiles('test'), ...testFiles('packages')].filter(
    (file) => file !== fileURLToPath(import.meta.url),
  )
  const found = new Set(files.flatMap((file) => idsIn(readFileSync(file, 'utf8'))))
  expect(ids.filter((id) => !found.has(id) && untested[id] === undefined)).toEqual([])
  expect(Object.keys(untested).filter((id) => found.has(id))).toEqual([])
})
