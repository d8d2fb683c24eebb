import { STAMP_LENGTH } from './keys.ts'

/**
 * One stored record: format version, full identity, flag, the stamps it was filled under, and the row.
 * `1` length `:` identity flag stamp stamp payload. A hit is three prefix comparisons and one JSON.parse.
 */

const FORMAT = '1'

/** What an entry must begin with to be about this very key of this very table. */
export const entryHead = (identity: string): string => `${FORMAT}${identity.length}:${identity}`

/** `row` is the encoded row, or null for "no such row". */
export function formatEntry(head: string, stamp: string, epoch: string, row: string | null): string {
  return row === null ? `${head}N${stamp}${epoch}` : `${head}R${stamp}${epoch}${row}`
}

/** The encoded row of a valid entry; null says "no such row"; undefined: not about this key, or its stamps have changed. */
export function readEntry(text: string, head: string, stamp: string, epoch: string): string | null | undefined {
  const flagAt = head.length
  if (!text.startsWith(head)) return undefined
  if (!text.startsWith(stamp, flagAt + 1) || !text.startsWith(epoch, flagAt + 1 + STAMP_LENGTH)) return undefined
  const rowAt = flagAt + 1 + 2 * STAMP_LENGTH
  const flag = text[flagAt]
  if (flag === 'R') return text.slice(rowAt)
  return flag === 'N' && text.length === rowAt ? null : undefined
}

/** Only a text of this shape can be a stamp; anything else under a stamp's key (a lock, damage) is no hit and no fill. */
export const isStamp = (text: string | null): text is string =>
  text !== null && text.length === STAMP_LENGTH && text[0] === 'S'

/**
 * One stored result: the same head, `Q`, the stamps it was filled under that the question names, then the others
 * (`count;` and for each `length:key stamp`), then the rows. Of a result whose partners were not known before its query,
 * only their keys are kept: `H`, `count;` and for each `length:key`.
 */

/** A stamp that only the rows of a result could name. */
export interface LearnedStamp {
  readonly key: string
  readonly stamp: string
}

export function formatResult(head: string, stamps: string, learned: readonly LearnedStamp[], rows: string): string {
  let text = `${head}Q${stamps}${learned.length};`
  for (const { key, stamp } of learned) text += `${key.length}:${key}${stamp}`
  return text + rows
}

export function formatHint(head: string, keys: readonly string[]): string {
  return `${head}H${keys.length};${keys.map((key) => `${key.length}:${key}`).join('')}`
}

/** A stored result as far as its head and its own stamps hold; `rows` is undefined for a hint. */
export interface StoredResult {
  readonly learned: readonly LearnedStamp[]
  readonly rows: string | undefined
}

/**
 * Reads a stored result that was filled under `count` stamps of its own; undefined where it is not about this question.
 * Where its stamps have changed (or `stamps` are not had) the keys that it learned are still worth knowing: then, as for
 * a hint, there are no rows.
 */
export function readResult(
  text: string,
  head: string,
  count: number,
  stamps: string | undefined,
): StoredResult | undefined {
  if (!text.startsWith(head)) return undefined
  const flag = text[head.length]
  const start = head.length + 1
  if (flag === 'H') return readLearned(text, start, 0)
  if (flag !== 'Q') return undefined
  const stored = readLearned(text, start + count * STAMP_LENGTH, STAMP_LENGTH)
  if (!stored || (stamps !== undefined && text.startsWith(stamps, start))) return stored
  return { learned: stored.learned, rows: undefined }
}

/** The stamps of its own that a stored result was filled under, one by one; undefined where it is none about this question. */
export function filledUnder(text: string, head: string, count: number): readonly string[] | undefined {
  const start = head.length + 1
  if (!text.startsWith(head) || text[head.length] !== 'Q' || text.length < start + count * STAMP_LENGTH)
    return undefined
  return Array.from({ length: count }, (_, at) =>
    text.slice(start + at * STAMP_LENGTH, start + (at + 1) * STAMP_LENGTH),
  )
}

function readLearned(text: string, start: number, stampLength: number): StoredResult | undefined {
  const end = text.indexOf(';', start)
  const count = end < 0 ? undefined : wholeNumber(text.slice(start, end))
  if (count === undefined) return undefined
  const learned: LearnedStamp[] = []
  let at = end + 1
  for (let i = 0; i < count; i++) {
    const colon = text.indexOf(':', at)
    const length = colon < 0 ? undefined : wholeNumber(text.slice(at, colon))
    if (length === undefined) return undefined
    const stampAt = colon + 1 + length
    learned.push({ key: text.slice(colon + 1, stampAt), stamp: text.slice(stampAt, stampAt + stampLength) })
    at = stampAt + stampLength
  }
  if (at > text.length) return undefined
  return { learned, rows: stampLength === 0 ? undefined : text.slice(at) }
}

const wholeNumber = (text: string): number | undefined => (/^\d{1,6}$/.test(text) ? Number(text) : undefined)
