import { textOf } from './internals.ts'
import { builtChunks } from './lazy-sql.ts'

/**
 * Reads what raw text may do to the statement around it: true where it may end a clause or a parenthesis that it did not
 * begin, so that nothing else need stand where Drizzle put it.
 */
export function rawTextBreaks(chunks: readonly unknown[]): boolean {
  return !areQuotesClosed(chunks) || breaksOut(flatText(chunks))
}

/** True for `name(…)` as a whole: one operand, whatever stands between the parentheses. */
export function isCall(chunks: readonly unknown[]): boolean {
  if (rawTextBreaks(chunks)) return false
  const text = unquoted(flatText(chunks)).trim()
  if (!/^[a-z_]\w*\(/i.test(text)) return false
  // The first parenthesis must close at the very end: `a(…) or b(…)` is no call.
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '(') depth++
    if (text[at] === ')' && --depth === 0) return at === text.length - 1
  }
  return false
}

/** Stands for a column, a parameter or a query: a name in quotes, which joins nothing before it to what follows. */
const ATOM = '"x"'

/** The text as it is rendered, nested trees included: `-` and `-1` of two trees make a comment. */
function flatText(chunks: readonly unknown[]): string {
  let flat = ''
  for (const chunk of chunks) {
    if (chunk === undefined) continue
    const inside = builtChunks(chunk)
    flat += inside ? flatText(inside) : (textOf(chunk) ?? ATOM)
  }
  return flat
}

/** Each text on its own: what stands in a gap must not stand inside a string. */
const areQuotesClosed = (chunks: readonly unknown[]): boolean =>
  chunks.every((chunk) => {
    const inside = builtChunks(chunk)
    return inside ? areQuotesClosed(inside) : !/['"]/.test(unquoted(textOf(chunk) ?? ''))
  })

const unquoted = (text: string): string => text.replace(/'[^']*'|"[^"]*"/g, '?')

/** What starts a comment, a string whose end is told by other rules, or another statement. */
const unreadable = /--|\/\*|\*\/|\\|;|\$[a-z_]*\$|\0/i
/** Words that begin a clause which could take the place of one of Drizzle's, or put another select before or after it. */
const clauses = new Set('select from where group having window union intersect except join returning into'.split(' '))
/** Operators of two words that hold one of them. */
const operators = new Set(['distinct from', 'within group'])
const tokens = /[\p{L}\p{N}_$]+|[()]/gu

function breaksOut(text: string): boolean {
  if (unreadable.test(text)) return true
  let depth = 0
  let previous = ''
  for (const [token] of unquoted(text).matchAll(tokens)) {
    if (token === '(') depth++
    else if (token === ')' && --depth < 0) return true
    const word = token.toLowerCase()
    if (depth === 0 && clauses.has(word) && !operators.has(`${previous} ${word}`)) return true
    previous = word
  }
  return depth !== 0
}
