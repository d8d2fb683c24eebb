import { textOf } from './internals.ts'

/**
 * Reads what raw text may do to the statement around it: `broken` where it may end a clause or a parenthesis that it
 * did not begin, so that nothing else stands where Drizzle put it.
 */
export function rawTextBreaks(chunks: readonly unknown[]): boolean {
  const scan: Scan = { depth: 0, word: '', previous: '' }
  for (const chunk of chunks) {
    if (chunk === undefined) continue
    const text = textOf(chunk)
    // A word may go on only within one text, so that a gap ends it as a space would.
    if (scanText(scan, text === undefined ? ' ' : `${text} `)) return true
  }
  return scan.depth !== 0
}

/** True for `name(…)` as a whole: one operand, whatever stands between the parentheses. */
export function isCall(chunks: readonly unknown[]): boolean {
  if (rawTextBreaks(chunks)) return false
  const texts = chunks.map((chunk) => (chunk === undefined ? '' : (textOf(chunk) ?? '\0')))
  const text = texts.join('').trim()
  if (!/^[a-z_][a-z0-9_]*\(/i.test(text) || !text.endsWith(')')) return false
  // The first parenthesis must close at the very end: `a(…) or b(…)` is no call.
  let depth = 0
  for (const [at, letter] of [...unquoted(text)].entries()) {
    if (letter === '(') depth++
    if (letter === ')' && --depth === 0) return at === [...unquoted(text)].length - 1
  }
  return false
}

const unquoted = (text: string): string => text.replace(/'[^']*'|"[^"]*"/g, '')

interface Scan {
  depth: number
  word: string
  previous: string
}

/** What starts a comment, a string whose end is told by other rules, or another statement. */
const unreadable = /--|\/\*|\*\/|\\|;|\$[a-z_]*\$|\0/i
/** Words that begin a clause which could take the place of one of Drizzle's, or put another select before or after it. */
const clauses = new Set('select from where group having window union intersect except join returning into'.split(' '))
/** Operators of two words that hold one of them. */
const operators = new Set(['distinct from', 'within group'])

/** Goes on with a text; true where it breaks out. */
function scanText(scan: Scan, text: string): boolean {
  if (unreadable.test(text) || !isQuoteClosed(text)) return true
  for (const letter of unquoted(text)) {
    if (/[\p{L}\p{N}_$]/u.test(letter)) {
      scan.word += letter.toLowerCase()
      continue
    }
    if (endWord(scan)) return true
    if (letter === '(') scan.depth++
    if (letter === ')' && --scan.depth < 0) return true
  }
  return false
}

function endWord(scan: Scan): boolean {
  const { word, previous } = scan
  if (word === '') return false
  scan.word = ''
  scan.previous = word
  return scan.depth === 0 && clauses.has(word) && !operators.has(`${previous} ${word}`)
}

const isQuoteClosed = (text: string): boolean => !/['"]/.test(unquoted(text))
