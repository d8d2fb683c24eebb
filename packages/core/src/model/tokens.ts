/**
 * Value tokens (PROTOCOL 3.4): the text under which a column value stands in keys.
 *
 * The one requirement: where PostgreSQL says `a = b`, both have the same token. The converse is not needed, and a
 * value that we cannot canonicalise with certainty has no token: the read or the write is then covered wider.
 *
 * `'int'` is for smallint, integer and bigint. It is not for oid, whose input takes `-1` for 4294967295. `'text'` is
 * for text and varchar on a server whose encoding is UTF8: elsewhere two spellings may be stored as one character.
 */
import type { TokenKind } from './facts.ts'

/**
 * Token of a value as a query carries it, after Drizzle's encoder and before the driver; `undefined` = no token.
 * NULL has none: `column = NULL` finds nothing and is no look-up.
 *
 * @example tokenOf('int', '+007') // '7'
 * @example tokenOf('uuid', '{A0EEBC99-9C0B4EF8-BB6D6BB9-BD380A11}') // 'a0eebc999c0b4ef8bb6d6bb9bd380a11'
 */
export function tokenOf(kind: TokenKind, value: unknown): string | undefined {
  switch (kind) {
    case 'int':
      return intToken(value)
    case 'uuid':
      return typeof value === 'string' ? uuidToken(value) : undefined
    case 'bool':
      return value === true ? 't' : value === false ? 'f' : undefined
    case 'text':
    case 'enum':
      return typeof value === 'string' ? textToken(value) : undefined
    case 'date':
      return typeof value === 'string' ? dateToken(value) : undefined
    default:
      return undefined
  }
}

/**
 * Token of a column's `::text` form as the database gives it; `null` for SQL NULL, `undefined` where there is none
 * (`infinity`, years before Christ or after 9999, a date under another DateStyle).
 */
export function tokenOfText(kind: TokenKind, text: string | null): string | null | undefined {
  if (text === null) return null
  return kind === 'bool' ? boolTextToken(text) : tokenOf(kind, text)
}

function intToken(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? `${value}` : undefined
  if (typeof value === 'string') return digitsToken(value)
  return typeof value === 'bigint' ? `${value}` : undefined
}

const canonicalDigits = /^(?:0|-?[1-9]\d{0,18})$/
const digits = /^[+-]?\d{1,19}$/

// PostgreSQL 16 also takes 0x1F, 0o17 and 1_000; those, blanks and longer texts have no token.
function digitsToken(text: string): string | undefined {
  if (canonicalDigits.test(text)) return text
  return digits.test(text) ? `${BigInt(text)}` : undefined
}

const usualUuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
// src/backend/utils/adt/uuid.c, string_to_uuid: a dash is optional after each group of four digits but the last.
const anyUuid = /^(?:[0-9a-f]{4}-?){7}[0-9a-f]{4}$/

function uuidToken(text: string): string | undefined {
  if (usualUuid.test(text)) return withoutDashes(text)
  const lower = text.toLowerCase()
  const bare = lower.startsWith('{') && lower.endsWith('}') ? lower.slice(1, -1) : lower
  return anyUuid.test(bare) ? bare.replaceAll('-', '') : undefined
}

// Clever for speed: bench/row-codec.bench.ts prints it beside replaceAll (about three times faster).
function withoutDashes(text: string): string {
  return text.slice(0, 8) + text.slice(9, 13) + text.slice(14, 18) + text.slice(19, 23) + text.slice(24)
}

/** `String.prototype.isWellFormed` is in Node 20, but not in the es2022 library. */
interface WellFormed {
  isWellFormed(): boolean
}

// A lone surrogate reaches the server as U+FFFD, and NUL not at all: such a text is not the one that is compared.
function textToken(text: string): string | undefined {
  return (text as unknown as WellFormed).isWellFormed() && !text.includes('\0') ? text : undefined
}

const isoDate = /^\d{4}-\d{2}-\d{2}$/

// Year first with four digits is read alike under every DateStyle (datetime.c, DecodeDate).
function dateToken(text: string): string | undefined {
  return isoDate.test(text) ? text : undefined
}

function boolTextToken(text: string): string | undefined {
  if (text === 'true' || text === 't') return 't'
  return text === 'false' || text === 'f' ? 'f' : undefined
}
