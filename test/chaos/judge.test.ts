import { describe, expect, test } from 'vitest'
import { type Change, type Commit, parseCommits } from './commits.ts'
import type { Claim, Line } from './history.ts'
import { judge, type ProcessHistory, type Rules } from './judge.ts'

const rules: Rules = { ttlMs: 10_000, heldMs: 0, drainMs: undefined, outages: [], clock: 0 }
const withOutbox: Rules = { ...rules, drainMs: 1_000 }

const account = (at: string, team = '1', viewedBy = 'start'): Change => ({
  table: 'accounts',
  id: 7,
  row: { id: '7', team, at, viewed_by: viewedBy },
})
/** Row 7 moves from team 1 to team 2 with the write `a-1` at 100, and is touched by `b-1` at 200. */
const commits: readonly Commit[] = [
  { at: -10, changes: [account('start')] },
  { at: 100, changes: [account('a-1', '2')] },
  { at: 200, changes: [account('b-1', '2')] },
]

const wrote = (name: string, begun: number, ended: number, busy = false, outcome: 'ok' | 'failed' = 'ok'): Line[] => [
  ['begin', name, begun],
  ['end', name, ended, outcome, busy, 'autocommit'],
]
const read = (start: number, ...claims: readonly Claim[]): Line => ['read', start, start + 1, 'test', claims]
const byKey = (at: string): Claim => ['key', 'accounts', 7, [7, at]]
const inTeam = (team: string, ...at: readonly string[]): Claim => [
  'class',
  'accounts',
  { team },
  at.map((each) => [7, each]),
]
const counted = (team: string, count: number): Claim => ['count', 'accounts', { team }, count]

/** Both writes resolve 10 ms after their commits, unless told otherwise. */
function verdictOf(lines: readonly Line[], given: Partial<Record<'a' | 'b', readonly Line[]>> = {}, by = rules) {
  const processes: ProcessHistory[] = [
    { name: 'a', lines: given.a ?? wrote('a-1', 90, 110) },
    { name: 'b', lines: given.b ?? wrote('b-1', 190, 210) },
    { name: 'reader', lines },
  ]
  const { violations, excused } = judge(processes, commits, by)
  return { violations: violations.length, excused: Object.keys(excused) }
}
const right = { violations: 0, excused: [] }
const wrong = { violations: 1, excused: [] }

describe('the judge of a chaos run', () => {
  test.each<[string, Line, object]>([
    ['what is newest is right', read(220, byKey('b-1')), right],
    ['what was there before the write resolved is right', read(205, byKey('a-1')), right],
    ['what is older than a resolved write is wrong', read(211, byKey('a-1')), wrong],
    ['what nobody committed is wrong', read(220, byKey('c-1')), wrong],
    ['what is committed only after the read is wrong', read(50, byKey('b-1')), wrong],
    ['a row that is missing is wrong', read(220, ['key', 'accounts', 7, null]), wrong],
    ['a row that never was is not there', read(220, ['key', 'accounts', 8, null]), right],
    ['a row that never was is wrong', read(220, ['key', 'accounts', 8, [8, 'start']]), wrong],
    ['a list without what has left is right', read(120, inTeam('1')), right],
    ['a list with what has left is wrong', read(120, inTeam('1', 'start')), wrong],
    ['a list without what has come is wrong', read(120, inTeam('2')), wrong],
    ['a list that shows a row twice is wrong', read(220, inTeam('2', 'b-1', 'b-1')), wrong],
    ['a list that shows a row of another team is wrong', read(220, inTeam('1', 'b-1')), wrong],
    ['a count of what is there is right', read(220, counted('2', 1)), right],
    ['a count without what has come is wrong', read(120, counted('2', 0)), wrong],
    ['a count of what may have come is right', read(105, counted('2', 1)), right],
    ['a count of what may not have come is right, too', read(105, counted('2', 0)), right],
  ])('%s', (_, line, expected) => {
    expect(verdictOf([line])).toEqual(expected)
  })

  const unresolved = { a: wrote('a-1', 90, 900) }

  test('V1: a list that misses a move whose write has not resolved, where a later one has', () => {
    expect(verdictOf([read(220, inTeam('1', 'start'))], unresolved)).toEqual({ violations: 0, excused: ['V1'] })
    expect(verdictOf([read(220, byKey('start'))], unresolved)).toEqual(wrong)
    expect(verdictOf([read(901, inTeam('1', 'start'))], unresolved)).toEqual(wrong)
  })

  const cut = { b: [['busy', 195, 1], ...wrote('b-1', 190, 210, true), ['busy', 700, 0]] as Line[] }

  test('E-cut: others may be late until everything was told, the process itself may not', () => {
    const excused = { violations: 0, excused: ['E-cut'] }
    expect(verdictOf([read(690, byKey('a-1'))], cut)).toEqual(excused)
    expect(verdictOf([read(701, byKey('a-1'))], cut)).toEqual(wrong)
    expect(verdictOf([], { b: [...cut.b, read(211, byKey('a-1'))] })).toEqual(wrong)
  })

  test('E-cut: with an outbox until it is drained, or that long after an outage for all', () => {
    const never = { b: cut.b.slice(0, -1) }
    expect(verdictOf([read(1_199, byKey('a-1'))], never, withOutbox).excused).toEqual(['E-cut'])
    expect(verdictOf([read(1_201, byKey('a-1'))], never, withOutbox)).toEqual(wrong)
    const outage: Rules = { ...withOutbox, outages: [[150, 2_000]] }
    expect(verdictOf([read(2_999, byKey('a-1'))], never, outage).excused).toEqual(['E-cut'])
    expect(verdictOf([read(3_001, byKey('a-1'))], never, outage)).toEqual(wrong)
  })

  test('E-crash: until the time to live is over, or the outbox is drained', () => {
    const lines: Line[] = [['begin', 'b-1', 190]]
    const crashed = (at: number, by: Rules) => {
      const processes: ProcessHistory[] = [
        { name: 'a', lines: wrote('a-1', 90, 110) },
        { name: 'b', lines, died: 205 },
        { name: 'reader', lines: [read(at, byKey('a-1'))] },
      ]
      const { violations, excused } = judge(processes, commits, by)
      return { violations: violations.length, excused: Object.keys(excused) }
    }
    expect(crashed(10_204, rules).excused).toEqual(['E-crash'])
    expect(crashed(10_206, rules)).toEqual(wrong)
    expect(crashed(1_204, withOutbox).excused).toEqual(['E-crash'])
    expect(crashed(1_206, withOutbox)).toEqual(wrong)
  })

  test('a write that was rejected and has happened: until its process knows, and longer where it came later', () => {
    const lost = (known: number) => ({
      b: [['busy', 195, 1], ...wrote('b-1', 190, 196, true, 'failed'), ['busy', known, 0]] as Line[],
    })
    expect(verdictOf([read(990, byKey('a-1'))], lost(1_000)).excused).toEqual(['unknown'])
    expect(verdictOf([read(1_001, byKey('a-1'))], lost(1_000))).toEqual(wrong)
    expect(verdictOf([read(1_001, byKey('a-1'))], lost(198)).excused).toEqual(['E-late'])
    expect(verdictOf([read(10_201, byKey('a-1'))], lost(198))).toEqual(wrong)
  })

  test('a write that failed for good, by its process, and has happened is to be seen at once', () => {
    const failed = { b: wrote('b-1', 190, 210, false, 'failed') }
    expect(verdictOf([read(211, byKey('a-1'))], failed)).toEqual(wrong)
  })

  test('views are told from the rest of a row', () => {
    const viewed = [...commits, { at: 300, changes: [account('b-1', '2', 'c-1')] }]
    const processes = (seen: readonly [number, string, string?]): ProcessHistory[] => [
      { name: 'a', lines: wrote('a-1', 90, 110) },
      { name: 'b', lines: wrote('b-1', 190, 210) },
      { name: 'c', lines: wrote('c-1', 290, 310) },
      { name: 'reader', lines: [read(320, ['key', 'accounts', 7, seen])] },
    ]
    expect(judge(processes([7, 'b-1', 'start']), viewed, rules).violations).toHaveLength(1)
    expect(judge(processes([7, 'b-1', 'c-1']), viewed, rules).violations).toEqual([])
    expect(judge(processes([7, 'b-1']), viewed, rules).violations).toEqual([])
  })

  test('a row that was deleted is not to be seen any more', () => {
    const note = (at: string | undefined): Change => ({
      table: 'notes',
      id: 5,
      row: at === undefined ? undefined : { id: '5', account_id: '1', at },
    })
    const history: Commit[] = [
      { at: 100, changes: [note('a-1')] },
      { at: 200, changes: [note(undefined)] },
    ]
    const judged = (at: number, seen: readonly [number, string] | null) =>
      judge(
        [
          {
            name: 'a',
            lines: [...wrote('a-1', 90, 110), ['begin', 'a-2', 190, 5], ['end', 'a-2', 210, 'ok', false, 'autocommit']],
          },
          { name: 'reader', lines: [read(at, ['key', 'notes', 5, seen])] },
        ],
        history,
        rules,
      ).violations.length
    expect([judged(50, null), judged(120, null), judged(120, [5, 'a-1'])]).toEqual([0, 1, 0])
    expect([judged(220, null), judged(220, [5, 'a-1'])]).toEqual([0, 1])
  })
})

test('commits are read from the log of the database', () => {
  const lines = [
    'BEGIN',
    `table public.accounts: UPDATE: id[integer]:3 slot[text]:'3/1' team[integer]:2 at[text]:'it''s' views[integer]:0`,
    `table public.aside_outbox: INSERT: id[uuid]:'0b0e7a52-8e0b-4f0f-9d52-0e5c8f3a7d11' keys[text]:'[1]'`,
    'table public.notes: DELETE: id[integer]:12',
    'COMMIT 750 (at 2026-01-02 03:04:05.678901+00)',
    'BEGIN',
    `table public.aside_outbox: DELETE: id[uuid]:'0b0e7a52-8e0b-4f0f-9d52-0e5c8f3a7d11'`,
    'COMMIT 751 (at 2026-01-02 03:04:06+00)',
  ]
  const row = { id: '3', slot: '3/1', team: '2', at: "it's", views: '0' }
  expect(parseCommits(lines)).toEqual([
    {
      at: expect.closeTo(Date.UTC(2026, 0, 2, 3, 4, 5) + 678.901, 3),
      changes: [
        { table: 'accounts', id: 3, row },
        { table: 'notes', id: 12, row: undefined },
      ],
    },
  ])
})
