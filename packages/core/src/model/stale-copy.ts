import { STAMP_LENGTH } from './keys.ts'

/**
 * What is served while the database is down (`serveStaleOnError`): each fill leaves a copy of its entry under a key of its
 * own, which outlives the entry and its stamps. `L`, the time of the fill in base 36, and the entry as it is: with its whole
 * identity and the stamps it was filled under.
 */

const MARK = 'L'
const TIME_WIDTH = 9
const HEAD_LENGTH = 1 + TIME_WIDTH

/** No entry ends so: a token has 22 characters behind its `!`. */
export const copyKey = (entryKey: string): string => `${entryKey}!stale`

/** What a copy begins with; `filledAt` in milliseconds since 1970, by the clock of the process that filled. */
export const copyHead = (filledAt: number): string =>
  MARK + Math.max(0, Math.floor(filledAt)).toString(36).padStart(TIME_WIDTH, '0')

export interface StaleCopy {
  readonly head: string
  readonly filledAt: number
  readonly entry: string
}

/** Undefined for a text that is none. */
export function readCopy(text: string): StaleCopy | undefined {
  const head = text.slice(0, HEAD_LENGTH)
  if (!/^L[0-9a-z]{9}$/.test(head)) return undefined
  return { head, filledAt: Number.parseInt(head.slice(1), 36), entry: text.slice(HEAD_LENGTH) }
}

/** The stamps that a record was filled under: its row's and its table's. */
export function stampsOfRecord(entry: string, head: string): readonly [stamp: string, epoch: string] {
  const at = head.length + 1
  return [entry.slice(at, at + STAMP_LENGTH), entry.slice(at + STAMP_LENGTH, at + 2 * STAMP_LENGTH)]
}
