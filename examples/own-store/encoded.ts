import { createHash } from 'node:crypto'

/** PostgreSQL's `text` holds any character but U+0000: it becomes U+0001 U+0002, and U+0001 itself becomes two of it. */
const ESCAPE = '\u0001'
const ZERO = '\u0000'
const ZERO_AFTER_ESCAPE = '\u0002'
const escaped = new RegExp(`${ESCAPE}(.)`, 'gs')

/** An index entry has room for 2,704 bytes; a character may need four. */
const LONGEST_KEY = 600

/** Texts and keys as the table holds them. */
export const Encoded = {
  text(text: string): string {
    if (!text.includes(ESCAPE) && !text.includes(ZERO)) return text
    return text.replaceAll(ESCAPE, ESCAPE + ESCAPE).replaceAll(ZERO, ESCAPE + ZERO_AFTER_ESCAPE)
  },

  /** A long key keeps its beginning, by which `clear` finds it, and gets a digest of the whole. */
  key(key: string): string {
    const text = Encoded.text(key)
    if (text.length <= LONGEST_KEY) return text
    return `${text.slice(0, LONGEST_KEY - 50)}#${createHash('sha256').update(key).digest('base64url')}`
  },

  decode(text: string): string {
    if (!text.includes(ESCAPE)) return text
    return text.replace(escaped, (_, after) => (after === ZERO_AFTER_ESCAPE ? ZERO : after))
  },
}
