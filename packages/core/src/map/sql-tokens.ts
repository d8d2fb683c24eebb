/**
 * SQL text to statements of nodes, as far as we must tell code from text and names from keywords. Source of the rules:
 * src/backend/parser/scan.l. What two servers or two settings could read differently makes the whole text opaque:
 * unicode escapes, a backslash before the quote that ends a plain string (standard_conforming_strings), names longer
 * than 63 bytes (cut by the server), a number that runs into a letter, NUL.
 */

export type NodeKind = 'word' | 'name' | 'string' | 'number' | 'param' | 'op' | '(' | '['

/**
 * A `word` is unquoted and lower case; a `name` is quoted, or stands where only a name can stand. Operators are split
 * into single characters. The text of a string is as
 * written, quotes and all. A group, `(` or `[`, holds what stands inside it.
 */
export interface SqlNode {
  readonly kind: NodeKind
  readonly text: string
  readonly nodes: readonly SqlNode[]
}

/** The statements of a text, empty ones left out; `undefined` for a text that we do not read. */
export function parseStatements(text: string): readonly (readonly SqlNode[])[] | undefined {
  const nodes = parseNodes(text)
  if (!nodes) return undefined
  const statements: SqlNode[][] = [[]]
  for (const node of nodes) {
    if (node.text === ';' && node.kind === 'op') statements.push([])
    else statements.at(-1)?.push(node)
  }
  return statements.filter((statement) => statement.length > 0).map(withLabels)
}

const closing: Record<string, string> = { '(': ')', '[': ']' }

function parseNodes(text: string): SqlNode[] | undefined {
  const open: { closedBy: string; nodes: SqlNode[] }[] = [{ closedBy: '', nodes: [] }]
  for (const node of lex(text)) {
    const top = open.at(-1)!
    if (node === undefined) return undefined
    if (node.text === ';' && node.kind === 'op' && open.length > 1) return undefined
    top.nodes.push(node)
    if (node.kind === '(' || node.kind === '[') {
      open.push({ closedBy: closing[node.kind]!, nodes: node.nodes as SqlNode[] })
    } else if (node.kind === 'op' && (node.text === ')' || node.text === ']')) {
      top.nodes.pop()
      if (top.closedBy !== node.text) return undefined
      open.pop()
    }
    if (open.length > maxDepth) return undefined
  }
  return open.length === 1 ? open[0]!.nodes : undefined
}

const maxDepth = 100

const lexeme = new RegExp(
  [
    /(?<blank>[ \t\n\r\f\v]+|--[^\n\r]*)/,
    /(?<comment>\/\*)/,
    /(?<opaque>[uU]&['"])/,
    /(?<escaped>[eE]'(?:[^'\\]|''|\\[\s\S])*')/,
    /(?<plain>[bBxXnN]?'(?:[^']|'')*')/,
    /(?<dollar>\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)/,
    /(?<param>\$\d+)/,
    /(?<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)/,
    /(?<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)/,
    /(?<name>"(?:[^"\0]|"")+")/,
    /(?<op>[-+*/<>=~!@#%^&|`?,.:;()[\]])/,
  ]
    .map((part) => part.source)
    .join('|'),
  'y',
)

/** Nodes one by one; `undefined` ends a text that we do not read. */
function* lex(text: string): Generator<SqlNode | undefined> {
  let at = 0
  while (at < text.length) {
    lexeme.lastIndex = at
    const found = lexeme.exec(text)
    const end = found ? endOf(text, at, found) : -1
    if (!found || end < 0) return yield undefined
    const node = nodeOf(found, text.slice(at, end))
    if (node) yield node
    at = end
  }
}

/** Where the lexeme ends, -1 for one that we do not read. */
function endOf(text: string, at: number, found: RegExpExecArray): number {
  const groups = found.groups!
  const end = at + found[0].length
  if (groups.comment) return endOfComment(text, end)
  if (groups.dollar) return endOfDollar(text, end, groups.dollar)
  if (groups.opaque || found[0].includes('\0')) return -1
  if (groups.plain && escapedQuote.test(groups.plain)) return -1
  if (groups.escaped && continued.test(text.slice(end))) return -1
  if ((groups.param || groups.number) && runsOn.test(text.charAt(end))) return -1
  return tooLong(groups.word ?? groups.name) ? -1 : end
}

// An odd number of backslashes before a quote: with standard_conforming_strings off the string would not end there.
const escapedQuote = /(?:^|[^\\])(?:\\\\)*\\'/
// The next part of a continued E'' string is read with escapes too.
const continued = /^(?:[ \t\n\r\f\v]|--[^\n\r]*)*'/
const runsOn = /[\w$\u0080-\uffff]/
const ascii = /^[\0-\u007f]*$/

// NAMEDATALEN - 1 bytes; the worst case of three bytes for each UTF-16 unit is taken where not all are ASCII.
function tooLong(name: string | undefined): boolean {
  return name !== undefined && name.length * (ascii.test(name) ? 1 : 3) > 63
}

function endOfComment(text: string, start: number): number {
  let depth = 1
  for (const mark of text.slice(start).matchAll(/\/\*|\*\//g)) {
    depth += mark[0] === '/*' ? 1 : -1
    if (depth === 0) return start + mark.index + 2
  }
  return -1
}

function endOfDollar(text: string, start: number, tag: string): number {
  const end = text.indexOf(tag, start)
  return end < 0 || text.slice(start, end).includes('\0') ? -1 : end + tag.length
}

function nodeOf(found: RegExpExecArray, whole: string): SqlNode | undefined {
  const { word, name, op, number, param, blank, comment } = found.groups!
  if (blank || comment) return undefined
  if (word) return { kind: 'word', text: word.replace(/[A-Z]+/g, (upper) => upper.toLowerCase()), nodes: [] }
  if (name) return { kind: 'name', text: name.slice(1, -1).replaceAll('""', '"'), nodes: [] }
  if (op) return { kind: op === '(' || op === '[' ? op : 'op', text: op, nodes: [] }
  if (number) return { kind: 'number', text: number, nodes: [] }
  return param ? { kind: 'param', text: param, nodes: [] } : { kind: 'string', text: whole, nodes: [] }
}

// After a dot every keyword is a name, and after AS a reserved word is a label: `select t.from, 1 as where`.
function withLabels(nodes: readonly SqlNode[]): SqlNode[] {
  return nodes.map((node, i) => {
    if (node.nodes.length > 0) return { ...node, nodes: withLabels(node.nodes) }
    return isWord(node) && isLabel(nodes, i) ? { ...node, kind: 'name' } : node
  })
}

function isLabel(nodes: readonly SqlNode[], i: number): boolean {
  const before = nodes[i - 1]
  if (before?.kind === 'op' && before.text === '.') return true
  if (!isWord(before, 'as') || !reserved.has(nodes[i]!.text)) return false
  return !(isWord(nodes[i], 'not') && isWord(nodes[i + 1], 'materialized'))
}

/** Whether a node is an unquoted word, and one of `texts` if any are given. */
export function isWord(node: SqlNode | undefined, ...texts: string[]): boolean {
  return node?.kind === 'word' && (texts.length === 0 || texts.includes(node.text))
}

/** Whether a node is the operator character `text`. */
export function isOp(node: SqlNode | undefined, text: string): boolean {
  return node?.kind === 'op' && node.text === text
}

/** Reserved words of PostgreSQL 13 to 18 (src/include/parser/kwlist.h): never a name, never a function. */
export const reserved: ReadonlySet<string> = new Set(
  `all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
  current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc
  distinct do else end except false fetch for foreign from grant group having in initially intersect into lateral
  leading limit localtime localtimestamp not null offset on only or order placing primary references returning select
  session_user some symmetric table then to trailing true union unique user using variadic when where window with`.split(
    /\s+/,
  ),
)
