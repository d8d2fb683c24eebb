/**
 * Judges what two processes recorded. A read that begins after a write has resolved must show that write, or a later one
 * of the same row. What rests on a unique key may be older in one case only, the exception V1: no write that touched the
 * place asked for, by leaving it, entering it or changing the row in it, had resolved when the read began.
 */
import type { Record } from './slots.ts'

export interface Verdict {
  readonly byKey: number
  readonly byUnique: number
  readonly writes: number
  /** Stale reads by primary key. */
  readonly stale: readonly string[]
  /** Stale reads by unique key that are the exception V1. */
  readonly v1: number
  /** Stale reads by unique key that are not. */
  readonly beyondV1: readonly string[]
}

interface Version {
  readonly place: number
  readonly start: number
  readonly resolved: number
}

interface Read {
  readonly row: number
  readonly place: number
  readonly start: number
  readonly end: number
  readonly version: number
  readonly found: number
}

/** All versions of one row, the first one included. */
class History {
  readonly versions: Version[] = [{ place: 0, start: Number.NEGATIVE_INFINITY, resolved: Number.NEGATIVE_INFINITY }]
  #resolved: { at: number; floor: number }[] = []

  /** The versions form an unbroken chain, or an update was lost. */
  seal(row: number): void {
    const lost = (Array.from(this.versions) as unknown[]).indexOf(undefined)
    if (lost >= 0) throw new Error(`Version ${lost} of row ${row} was returned to nobody.`)
    const inTime = this.versions.map(({ resolved }, version) => ({ at: resolved, version })).sort((a, b) => a.at - b.at)
    let floor = 0
    this.#resolved = inTime.map(({ at, version }) => {
      floor = Math.max(floor, version)
      return { at, floor }
    })
  }

  /** The newest version whose write had resolved before the time. */
  floorAt(time: number): number {
    let [low, high] = [0, this.#resolved.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#resolved[middle] as { at: number }).at < time) low = middle + 1
      else high = middle
    }
    return low === 0 ? 0 : (this.#resolved[low - 1] as { floor: number }).floor
  }

  placeOf(version: number): number {
    return (this.versions[version] as Version).place
  }

  /** Whether a write after one version and up to another touched the place and had resolved before the time. */
  touched(place: number, after: number, upTo: number, time: number): boolean {
    for (let version = after + 1; version <= upTo; version++) {
      const touches = this.placeOf(version) === place || this.placeOf(version - 1) === place
      if (touches && (this.versions[version] as Version).resolved < time) return true
    }
    return false
  }
}

export function judgeReads(records: readonly Record[], rows: number): Verdict {
  const histories = readHistories(records, rows)
  const verdict = { byKey: 0, byUnique: 0, writes: 0, stale: [] as string[], v1: 0, beyondV1: [] as string[] }
  for (const { writes } of records) verdict.writes += writes.length / 5
  for (const { reads } of records) {
    for (let at = 0; at < reads.length; at += 6) {
      const [row, place, start, end, version, found] = reads.slice(at, at + 6) as [
        number,
        number,
        number,
        number,
        number,
        number,
      ]
      const read = { row, place, start, end, version, found }
      const history = histories[row] as History
      if (place < 0) judgeKey(read, history, verdict)
      else judgeUnique(read, history, verdict)
    }
  }
  return verdict
}

function readHistories(records: readonly Record[], rows: number): History[] {
  const histories = Array.from({ length: rows }, () => new History())
  for (const { writes } of records) {
    for (let at = 0; at < writes.length; at += 5) {
      const [row, version, place, start, resolved] = writes.slice(at, at + 5) as [
        number,
        number,
        number,
        number,
        number,
      ]
      const { versions } = histories[row] as History
      if (versions[version]) throw new Error(`Version ${version} of row ${row} was returned twice.`)
      versions[version] = { place, start, resolved }
    }
  }
  for (const [row, history] of histories.entries()) history.seal(row)
  return histories
}

function judgeKey(read: Read, history: History, verdict: { byKey: number; stale: string[] }): void {
  verdict.byKey++
  const floor = history.floorAt(read.start)
  if (read.version < floor) verdict.stale.push(`row ${read.row}: version ${read.version} after ${floor} had resolved`)
}

function judgeUnique(
  read: Read,
  history: History,
  verdict: { byUnique: number; v1: number; beyondV1: string[] },
): void {
  verdict.byUnique++
  const { row, place, start, version, found } = read
  const floor = history.floorAt(start)
  const seen = version >= 0 ? version : absentAt(read, history, floor)
  if (seen !== undefined && seen >= floor && (version < 0 || found === place)) return
  const explained =
    seen !== undefined && (version < 0 || found === place) && !history.touched(place, seen, floor, start)
  if (explained) verdict.v1++
  else verdict.beyondV1.push(`row ${row} at place ${place}: version ${version} at ${found} after ${floor} had resolved`)
}

/** The newest version that "not there" can have seen: one elsewhere that was begun before the read ended. */
function absentAt({ place, end }: Read, history: History, floor: number): number | undefined {
  for (let version = floor; version < history.versions.length; version++) {
    const { place: at, start } = history.versions[version] as Version
    if (at !== place && start < end) return version
  }
  for (let version = floor - 1; version >= 0; version--) if (history.placeOf(version) !== place) return version
  return undefined
}
