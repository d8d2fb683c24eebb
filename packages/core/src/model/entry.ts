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
