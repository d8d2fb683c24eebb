/**
 * Judges the history of a chaos run against what the database committed.
 *
 * A read may show a state of a row if no later state that matters to it *had to be seen* before the read began. From when a
 * state must be seen follows from what became of its write, and that is all of docs/guarantees.md:
 *
 * - it resolved and nothing waited: from then on, by everybody (*before resolve* is what is earlier);
 * - it resolved while something waited to be made known (*E-cut*): by its own process from then on, by others when that
 *   process had told everything;
 * - it was rejected and had happened all the same (*unknown*): when the process had found out and told everything. A
 *   statement outside a transaction that committed only after that is *E-late*;
 * - its process died before it settled (*E-crash*): by no word of its own.
 *
 * The last three end with the time to live of what was kept, and where there is an outbox after `drainEvery`, as soon as the
 * database and the store could be reached for so long. What a read of a class must have seen are states that touch the
 * class; one that misses only others is *V1*.
 */
import type { Commit } from './commits.ts'
import type { Claim, Line, Seen, TableName } from './history.ts'

export interface Rules {
  /** What an entry may live at most, jitter included. */
  readonly ttlMs: number
  /** A fill that was held by a fault begins its life so much later. */
  readonly heldMs: number
  /** How long an outbox may take, looks, removal and a busy machine included; undefined: there is none. */
  readonly drainMs: number | undefined
  /** When nobody could drain: the database, or the store, was out of reach for all. */
  readonly outages: readonly (readonly [from: number, until: number])[]
  /** The database's clock at the time 0 of the histories, in milliseconds since 1970. */
  readonly clock: number
}

export interface ProcessHistory {
  readonly name: string
  readonly lines: readonly Line[]
  /** When it was gone, if it was killed. */
  readonly died?: number | undefined
}

export type Excuse = 'V1' | 'E-cut' | 'unknown' | 'E-late' | 'E-crash'

export interface Excused {
  readonly reads: number
  /** The longest time from a commit until a read that did not show it, in milliseconds. */
  readonly longestMs: number
}

export interface Verdict {
  readonly reads: number
  readonly claims: number
  readonly commits: number
  readonly byKind: Readonly<Record<string, number>>
  readonly writes: Readonly<Record<'ok' | 'cut' | 'unknown' | 'late' | 'died', number>>
  readonly violations: readonly string[]
  readonly excused: Readonly<Partial<Record<Excuse, Excused>>>
}

interface Write {
  readonly name: string
  readonly process: string
  begun: number
  ended: number | undefined
  ok: boolean
  busy: boolean
  way: 'autocommit' | 'transaction'
}

/** A state of a row, from its commit to the next one. */
interface State {
  readonly row: Readonly<Record<string, string>> | undefined
  readonly committed: number
  readonly process: string
  readonly excuse: Exclude<Excuse, 'V1'> | undefined
  /** What the writer, or whoever it told, knows. */
  readonly settled: number
  /** From when its own process must show it. */
  readonly ownFrom: number
  /** From when all must. */
  readonly from: number
  readonly write: string
}

/** Commit times come from the clock of the wall, to the microsecond; that of the histories is read apart from it. */
const CLOCK_MS = 5
/** A second removal that was on its way when the commit came may have been too early: what is known just after it is not. */
const ON_ITS_WAY_MS = 500

export function judge(processes: readonly ProcessHistory[], commits: readonly Commit[], rules: Rules): Verdict {
  const writes = new Map<string, Write>()
  const deletions = new Map<number, string>()
  for (const process of processes) readWrites(process, writes, deletions)
  const clear = new Map(processes.map((process) => [process.name, clearTimes(process)]))
  const died = new Map(processes.map((process) => [process.name, process.died]))
  const states = readStates(commits, rules, { writes, deletions, clear, died })
  const seenBy = { reads: 0, claims: 0, byKind: {} as Record<string, number> }
  const violations: string[] = []
  const excused: Partial<Record<Excuse, { reads: number; longestMs: number }>> = {}
  for (const process of processes) {
    for (const line of process.lines) {
      if (line[0] !== 'read') continue
      const [, start, end, kind, claims] = line
      seenBy.reads++
      seenBy.byKind[kind] = (seenBy.byKind[kind] ?? 0) + 1
      for (const claim of claims) {
        seenBy.claims++
        const read: Read = { process: process.name, start, end, states }
        for (const found of judgeClaim(claim, read)) {
          if ('wrong' in found) violations.push(`${process.name} at ${start.toFixed(1)}, ${kind}: ${found.wrong}`)
          else {
            const known = excused[found.excuse] ?? { reads: 0, longestMs: 0 }
            excused[found.excuse] = {
              reads: known.reads + 1,
              longestMs: Math.max(known.longestMs, Math.round(start - found.committed)),
            }
          }
        }
      }
    }
  }
  return { ...seenBy, commits: commits.length, writes: countWrites(states), violations, excused }
}

function readWrites({ name, lines }: ProcessHistory, writes: Map<string, Write>, deletions: Map<number, string>): void {
  for (const line of lines) {
    if (line[0] === 'begin') {
      const [, write, begun, deletes] = line
      const unsettled = { ended: undefined, ok: false, busy: false, way: 'autocommit' as const }
      writes.set(write, { name: write, process: name, begun, ...unsettled })
      if (deletes !== undefined) deletions.set(deletes, write)
    } else if (line[0] === 'end') {
      const [, write, ended, outcome, busy, way] = line
      Object.assign(writes.get(write) as Write, { ended, ok: outcome === 'ok', busy, way })
    }
  }
}

/** The times from which nothing of a process waits, and until when; a process that died never becomes clear. */
function clearTimes({ lines }: ProcessHistory): (after: number) => number {
  const changes = lines.flatMap((line) => (line[0] === 'busy' ? [{ at: line[1], count: line[2] }] : []))
  return (after) => {
    let count = 0
    for (const change of changes) {
      if (change.at > after && count === 0) return after
      count = change.count
      if (change.at > after && count === 0) return change.at
    }
    return count === 0 ? after : Number.POSITIVE_INFINITY
  }
}

interface Known {
  readonly writes: ReadonlyMap<string, Write>
  readonly deletions: ReadonlyMap<number, string>
  readonly clear: ReadonlyMap<string, (after: number) => number>
  readonly died: ReadonlyMap<string, number | undefined>
}

type States = ReadonlyMap<TableName, ReadonlyMap<number, readonly State[]>>

function readStates(commits: readonly Commit[], rules: Rules, known: Known): States {
  const states = new Map<TableName, Map<number, State[]>>([
    ['teams', new Map()],
    ['accounts', new Map()],
    ['notes', new Map()],
  ])
  for (const { at, changes } of commits) {
    for (const { table, id, row } of changes) {
      const rows = states.get(table) as Map<number, State[]>
      const all = rows.get(id) ?? [notThereYet]
      rows.set(id, all)
      const before = all.at(-1)?.row
      const changed = row && before && row.viewed_by !== before.viewed_by ? row.viewed_by : row?.at
      const write = row ? (changed as string) : known.deletions.get(id)
      all.push({ ...fateOf(write, at - rules.clock, rules, known), row })
    }
  }
  return states
}

const notThereYet: State = {
  row: undefined,
  committed: Number.NEGATIVE_INFINITY,
  process: '',
  excuse: undefined,
  settled: Number.NEGATIVE_INFINITY,
  ownFrom: Number.NEGATIVE_INFINITY,
  from: Number.NEGATIVE_INFINITY,
  write: 'none',
}

function fateOf(name: string | undefined, committed: number, rules: Rules, known: Known): Omit<State, 'row'> {
  const write = name === undefined ? undefined : known.writes.get(name)
  if (!write) {
    if (name !== 'start') throw new Error(`Nobody says that he made the write ${name}.`)
    return { ...notThereYet, committed, write: name }
  }
  const { process, ended, ok, busy, way } = write
  const base = { committed, process, write: write.name }
  const clear = known.clear.get(process) as (after: number) => number
  const bound = boundOf(committed, rules)
  if (ended === undefined) {
    const died = known.died.get(process)
    if (died === undefined) throw new Error(`${write.name} never settled, and its process did not die.`)
    const from = boundOf(Math.max(committed, died), rules)
    return { ...base, excuse: 'E-crash', settled: died, ownFrom: from, from }
  }
  if (ok && !busy) return { ...base, excuse: undefined, settled: ended, ownFrom: ended, from: ended }
  const told = clear(ended)
  const from = Math.min(told, bound)
  if (ok) return { ...base, excuse: 'E-cut', settled: ended, ownFrom: ended, from }
  if (!busy) return { ...base, excuse: 'unknown', settled: ended, ownFrom: ended, from: ended }
  if (way === 'autocommit' && committed > told - ON_ITS_WAY_MS)
    return { ...base, excuse: 'E-late', settled: ended, ownFrom: bound, from: bound }
  return { ...base, excuse: 'unknown', settled: ended, ownFrom: from, from }
}

/** Until when all must know of a commit that nobody told anybody. */
function boundOf(time: number, { ttlMs, heldMs, drainMs, outages }: Rules): number {
  const expired = time + ttlMs + heldMs
  if (drainMs === undefined) return expired
  let drained = time + drainMs
  for (const [from, until] of outages) if (from < drained && until > time) drained = Math.max(drained, until + drainMs)
  return Math.min(expired, drained)
}

function countWrites(states: States): Verdict['writes'] {
  const names = { undefined: 'ok', 'E-cut': 'cut', unknown: 'unknown', 'E-late': 'late', 'E-crash': 'died' } as const
  const counted = new Set<string>()
  const counts = { ok: 0, cut: 0, unknown: 0, late: 0, died: 0 }
  for (const rows of states.values())
    for (const all of rows.values())
      for (const { write, excuse } of all) {
        if (counted.has(write)) continue
        counted.add(write)
        counts[names[`${excuse}`]]++
      }
  return counts
}

interface Read {
  readonly process: string
  readonly start: number
  readonly end: number
  readonly states: States
}

type Finding = { readonly wrong: string } | { readonly excuse: Excuse; readonly committed: number }

function judgeClaim(claim: Claim, read: Read): Finding[] {
  const [kind, table, which, seen] = claim
  const rows = read.states.get(table) as ReadonlyMap<number, readonly State[]>
  if (kind === 'key') return judgeRow(table, which, rows.get(which) ?? [notThereYet], {}, seen, read)
  if (kind === 'count') return judgeCount(table, rows, which, seen, read)
  const found: Finding[] = []
  const byId = new Map(seen.map((each) => [each[0], each]))
  if (byId.size < seen.length) found.push({ wrong: `${table}: a row stands twice among ${JSON.stringify(seen)}` })
  for (const [id, states] of rows) {
    found.push(...judgeRow(table, id, states, which, byId.get(id) ?? null, read))
    byId.delete(id)
  }
  for (const id of byId.keys()) found.push({ wrong: `${table} ${id} never was` })
  return found
}

type Values = Readonly<Record<string, string>>

const isIn = ({ row }: State, values: Values): boolean =>
  row !== undefined && Object.entries(values).every(([name, value]) => row[name] === value)

/** A change matters to a class where the row was in it, or is. */
const touches = (states: readonly State[], at: number, values: Values): boolean =>
  isIn(states[at] as State, values) || (at > 0 && isIn(states[at - 1] as State, values))

/** Until when a state may have been committed that the read can have seen. */
const isBefore = (state: State, { end }: Read): boolean => state.committed <= end + CLOCK_MS

const mustShow = (state: State, { process, start }: Read): boolean =>
  (state.process === process ? state.ownFrom : state.from) < start

function judgeRow(
  table: TableName,
  id: number,
  states: readonly State[],
  values: Values,
  seen: Seen | null,
  read: Read,
): Finding[] {
  const at = seen ? stateSeen(states, values, seen, read) : stateAbsent(states, values, read)
  if (at === undefined)
    return [{ wrong: `${table} ${id} ${seen ? `is shown as ${seen.slice(1)}` : 'is missing'}, which it never was` }]
  let v1: State | undefined
  let excuse: State | undefined
  for (let next = at + 1; next < states.length; next++) {
    const state = states[next] as State
    if (state.committed > read.start) break
    const matters = Object.keys(values).length === 0 || touches(states, next, values)
    if (mustShow(state, read)) {
      if (matters) return [{ wrong: told(table, id, states, at, next, read) }]
      v1 ??= state
    } else if (matters && state.settled < read.start) excuse ??= state
  }
  const missed = excuse ?? v1
  if (!missed) return []
  return [{ excuse: excuse?.excuse ?? 'V1', committed: missed.committed }]
}

function told(
  table: TableName,
  id: number,
  states: readonly State[],
  at: number,
  next: number,
  { start }: Read,
): string {
  const shown = states[at] as State
  const missed = states[next] as State
  const late = start - missed.committed
  return (
    `${table} ${id} is shown as of ${shown.write}, without ${missed.write} (${missed.excuse ?? 'resolved'}), ` +
    `committed ${late.toFixed(1)} ms before, to be seen for ${(start - missed.from).toFixed(1)} ms`
  )
}

/** The newest state that looks as the row was shown. */
function stateSeen(states: readonly State[], values: Values, [, at, viewedBy]: Seen, read: Read): number | undefined {
  for (let index = states.length - 1; index >= 0; index--) {
    const state = states[index] as State
    if (state.row?.at !== at || (viewedBy !== undefined && state.row.viewed_by !== viewedBy)) continue
    if (isIn(state, values) && isBefore(state, read)) return index
  }
  return undefined
}

/** The newest state in which the row is not there. */
function stateAbsent(states: readonly State[], values: Values, read: Read): number | undefined {
  const isThere = (state: State): boolean =>
    Object.keys(values).length === 0 ? state.row !== undefined : isIn(state, values)
  for (let index = states.length - 1; index >= 0; index--) {
    const state = states[index] as State
    if (isBefore(state, read) && !isThere(state)) return index
  }
  return undefined
}

/** Between the rows that are there in every state that may be shown and those that are there in one. */
function judgeCount(
  table: TableName,
  rows: ReadonlyMap<number, readonly State[]>,
  values: Values,
  count: number,
  read: Read,
): Finding[] {
  let [least, most] = [0, 0]
  for (const states of rows.values()) {
    let [always, ever] = [true, false]
    for (let index = states.length - 1; index >= 0; index--) {
      const state = states[index] as State
      if (!isBefore(state, read)) continue
      const isThere = isIn(state, values)
      always &&= isThere
      ever ||= isThere
      if (mustShow(state, read) && touches(states, index, values)) break
    }
    least += Number(always)
    most += Number(ever)
  }
  if (count >= least && count <= most) return []
  return [{ wrong: `${count} ${table} with ${JSON.stringify(values)}, where there are ${least} to ${most}` }]
}
