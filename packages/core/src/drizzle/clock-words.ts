import { type Column, kindOf } from './internals.ts'

/**
 * Does the server read a parameter by its clock? A string that becomes a date or time may say `'today'`, and its answer
 * tomorrow is another one (DESIGN 5). Only the type decides what such a string means, so what is known to be text, a
 * number or the like is never asked.
 */
export function readsClock(text: string, encoder: unknown): boolean {
  const rule = ruleOf(encoder)
  if (rule === 'none') return false
  if (rule === 'iso') return !isoText.test(text)
  return word.test(text) || (text.length <= LONGEST_TIME && zonedTime.test(text))
}

/** How to look at a string: not at all, as a date or time that must be written in digits, or for words in it. */
type ClockRule = 'none' | 'iso' | 'words'

const isoText = /^(?:[\d\s:.+\-/TZ]*|-?infinity)$/i
/** Date and time input is cut into runs of letters (ParseDateTime), so the word stands alone or not at all. */
const word = /(?:^|[^a-z])(?:now|today|tomorrow|yesterday)(?![a-z])/i
/** A time of day in a named zone: the date of today decides on its offset. */
const zonedTime = /\d:\d.*[a-z]{2}|[a-z]{2}.*\d:\d/i
/** More is no date or time input (MAXDATELEN, twice for a range). */
const LONGEST_TIME = 256

const names = (text: string): string[] => text.trim().split(/\s+/)

/** By `columnType`. Custom and unknown types are looked at for words. */
const rules: ReadonlyMap<string, ClockRule> = new Map([
  ...names(`
    PgText PgVarchar PgChar PgUUID PgEnumColumn PgEnumObjectColumn PgInteger PgSmallInt PgBigInt53 PgBigInt64 PgSerial
    PgSmallSerial PgBigSerial53 PgBigSerial64 PgBoolean PgJson PgJsonb PgNumeric PgNumericNumber PgNumericBigInt PgReal
    PgDoublePrecision PgInet PgCidr PgMacaddr PgMacaddr8`).map((name) => [name, 'none'] as const),
  ...names('PgDate PgDateString PgTime PgTimestamp PgTimestampString').map((name) => [name, 'iso'] as const),
])

function ruleOf(encoder: unknown): ClockRule {
  if (kindOf(encoder) !== 'column') return 'words'
  const { columnType, baseColumn } = encoder as Column & { readonly baseColumn?: unknown }
  // Array text has delimiters of its own, so its elements are looked at for words.
  if (columnType === 'PgArray') return ruleOf(baseColumn) === 'none' ? 'none' : 'words'
  return rules.get(columnType) ?? 'words'
}
