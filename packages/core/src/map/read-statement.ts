/**
 * The walk over one SELECT, VALUES, TABLE or WITH, and over the parts of an INSERT, UPDATE or DELETE: every relation,
 * call, cast and dotted reference is met once and judged in sql-reading.ts. It is no parser: it knows where a FROM clause
 * begins and ends and what a parenthesis belongs to, and whatever it does not recognise is a problem.
 */
import type { CatalogFacts } from '../model/facts.ts'
import {
  bind,
  type Columns,
  columnsOf,
  isQuietField,
  isRelativeTime,
  type Level,
  levelInside,
  object,
  type Reading,
  readCall,
  readDotted,
  readRelation,
  readType,
  relationOf,
  startReading,
} from './sql-reading.ts'
import { isOp, isWord, reserved, type SqlNode } from './sql-tokens.ts'
import { forbidden, fromInside, leading, verbs, volatileWords } from './sql-words.ts'

type Nodes = readonly SqlNode[]

/** What can be seen from here: columns of common table expressions, and what the FROM clauses bind. */
interface Scope {
  readonly common: ReadonlyMap<string, Columns>
  readonly level: Level
}

const outermost = (): Scope => ({ common: new Map(), level: levelInside(undefined) })

const inside = ({ common, level }: Scope): Scope => ({ common, level: levelInside(level) })

/** Reads a query as a whole statement. `problem` is undefined where it provably writes no table. */
export function readQuery(nodes: Nodes, facts: CatalogFacts): Reading {
  const reading = startReading(facts)
  rejectWords(reading, nodes)
  walkQuery(reading, nodes, outermost())
  return reading
}

/** Reads what an INSERT, UPDATE or DELETE evaluates; `problem` is undefined where it writes no table but its target. */
export function readDml(nodes: Nodes, facts: CatalogFacts): Reading {
  const reading = startReading(facts)
  const { scope, next } = walkWith(reading, nodes, outermost())
  const body = nodes.slice(next)
  rejectWords(
    reading,
    nodes.filter((node) => !isWord(node) || !verbs.has(node.text)),
  )
  if (isWord(body[0], 'insert') && isWord(body[1], 'into')) walkInsert(reading, body.slice(2), scope)
  else if (isWord(body[0], 'update')) walkUpdate(reading, body.slice(1), scope)
  else if (isWord(body[0], 'delete') && isWord(body[1], 'from')) walkDelete(reading, body.slice(2), scope)
  else object(reading, `${body[0]?.text} is not read`)
  return reading
}

function rejectWords(reading: Reading, nodes: Nodes): void {
  for (const [i, node] of nodes.entries()) {
    if (isWord(node) && forbidden.has(node.text) && !isLocking(nodes, i)) object(reading, `${node.text} stands in it`)
    rejectWords(reading, node.nodes)
  }
}

/** `for update`, `for no key update` */
function isLocking(nodes: Nodes, i: number): boolean {
  if (!isWord(nodes[i], 'update')) return false
  return (
    isWord(nodes[i - 1], 'for') ||
    (isWord(nodes[i - 1], 'key') && isWord(nodes[i - 2], 'no') && isWord(nodes[i - 3], 'for'))
  )
}

// ---- queries

const setWords = ['union', 'intersect', 'except']

/** Walks a query and answers the names of its columns. */
function walkQuery(reading: Reading, nodes: Nodes, outer: Scope): Columns {
  const { scope, next } = walkWith(reading, nodes, outer)
  const members = splitAt(nodes.slice(next), (node) => isWord(node, ...setWords))
  const columns = members.map((member) => walkMember(reading, member, scope))
  return columns[0] ?? new Set()
}

/** One member of a set operation, with ORDER BY and the like behind it. */
function walkMember(reading: Reading, member: Nodes, scope: Scope): Columns {
  const start = member.findIndex((node) => !isWord(node, 'all', 'distinct'))
  const first = member[start]
  const rest = member.slice(start + 1)
  if (isWord(first, 'select')) return walkSelect(reading, rest, scope)
  if (isWord(first, 'table')) return walkTable(reading, rest, scope)
  if (isWord(first, 'values')) return walkValues(reading, rest, scope)
  if (first?.kind === '(' && isQuery(first.nodes)) {
    walkExpression(reading, rest, scope)
    return walkQuery(reading, first.nodes, scope)
  }
  object(reading, 'not a query')
  return new Set()
}

function walkValues(reading: Reading, nodes: Nodes, scope: Scope): Columns {
  walkExpression(reading, nodes, scope)
  const first = nodes.find((node) => node.kind === '(')
  return new Set(splitAt(first?.nodes ?? [], isComma).map((_, i) => `column${i + 1}`))
}

function walkTable(reading: Reading, nodes: Nodes, outer: Scope): Columns {
  const scope = inside(outer)
  const from = cursor(nodes)
  const columns = walkFromItem(reading, from, scope)
  walkExpression(reading, nodes.slice(from.at), scope)
  return columns
}

const afterFrom = ['where', 'group', 'having', 'window', 'order', 'limit', 'offset', 'fetch', 'for', 'returning']

/** What follows the word SELECT. The FROM clause goes first: it binds the names that the rest uses. */
function walkSelect(reading: Reading, nodes: Nodes, outer: Scope): Columns {
  const scope = inside(outer)
  const start = nodes.findIndex((_, i) => isFromClause(nodes, i) || endsFrom(nodes, i))
  const list = nodes.slice(0, start < 0 ? nodes.length : start)
  const rest = start < 0 ? [] : nodes.slice(start)
  const end = rest.findIndex((_, i) => endsFrom(rest, i))
  const clause = end < 0 ? rest : rest.slice(0, end)
  const columns = clause.length > 0 ? walkFrom(reading, clause.slice(1), scope) : new Set<string>()
  walkExpression(reading, list, scope)
  if (end >= 0) walkExpression(reading, rest.slice(end), scope)
  return outputs(list, columns)
}

/** The GROUP of `within group (order by …)` ends nothing. */
function endsFrom(nodes: Nodes, i: number): boolean {
  return isWord(nodes[i], ...afterFrom) && !isWord(nodes[i - 1], 'within')
}

/** The word FROM where it is not the end of `is [not] distinct from`. */
function isFromClause(nodes: Nodes, i: number): boolean {
  return isWord(nodes[i], 'from') && !(isWord(nodes[i - 1], 'distinct') && isWord(nodes[i - 2], 'is', 'not'))
}

/** Names that the items of a select list have for sure; `*` stands for the columns of the FROM clause. */
function outputs(list: Nodes, all: Columns): Columns {
  const names = new Set<string>()
  for (const item of splitAt(list, isComma)) {
    if (isOp(item.at(-1), '*')) for (const column of all) names.add(column)
    const name = outputName(item)
    if (name !== undefined) names.add(name)
  }
  return names
}

function outputName(item: Nodes): string | undefined {
  const last = item.at(-1)
  const before = item.at(-2)
  if (last?.kind === '(') return chainAt(item, 0)?.next === item.length - 1 ? before?.text : undefined
  if (!last || !isName(last)) return undefined
  if (isOp(before, ':')) return outputName(item.slice(0, -3))
  return before?.kind !== 'op' || isOp(before, '.') ? last.text : undefined
}

/** Whether the content of a parenthesis is a query, rather than an expression or a joined table. */
function isQuery(nodes: Nodes): boolean {
  const [first, second] = nodes
  if (isWord(first, 'select', 'values', 'table', 'with')) return true
  if (first?.kind !== '(' || !isQuery(first.nodes)) return false
  return second === undefined || nodes.some((node) => isWord(node, ...setWords, 'order', 'limit', 'offset', 'fetch'))
}

// ---- WITH

/** Walks the common table expressions in front of a statement; `next` is where the statement proper begins. */
function walkWith(reading: Reading, nodes: Nodes, outer: Scope): { scope: Scope; next: number } {
  if (!isWord(nodes[0], 'with')) return { scope: outer, next: 0 }
  const recursive = isWord(nodes[1], 'recursive')
  const parts = readParts(reading, nodes, recursive ? 2 : 1)
  const common = new Map(outer.common)
  const { level } = outer
  if (recursive) for (const part of parts.list) common.set(part.name, part.columns ?? firstColumns(part.body))
  for (const part of parts.list) {
    const columns = walkQuery(reading, part.body, { common: new Map(common), level })
    common.set(part.name, part.columns ?? columns)
  }
  return { scope: { common, level }, next: parts.next }
}

interface Part {
  readonly name: string
  readonly columns: Columns | undefined
  readonly body: Nodes
}

function readParts(reading: Reading, nodes: Nodes, start: number): { list: Part[]; next: number } {
  const list: Part[] = []
  const at = cursor(nodes, start)
  do {
    const part = readPart(at)
    if (!part) {
      object(reading, 'a WITH that is not understood')
      break
    }
    list.push(part)
  } while (skipComma(at))
  return { list, next: at.at }
}

/** `name [(columns)] as [not] [materialized] (query)` */
function readPart(at: Cursor): Part | undefined {
  const name = at.nodes[at.at]
  if (!name || !isName(name)) return undefined
  at.at += 1
  const columns = takeNames(at)
  if (!skip(at, 'as')) return undefined
  skip(at, 'not')
  skip(at, 'materialized')
  const body = at.nodes[at.at++]
  return body?.kind === '(' ? { name: name.text, columns, body: body.nodes } : undefined
}

/** Columns of a recursive query, from the list of its first SELECT; without `*`, which may mean itself. */
function firstColumns(body: Nodes): Columns {
  if (!isWord(body[0], 'select')) return new Set()
  const end = body.findIndex((node, i) => isFromClause(body, i) || endsFrom(body, i) || isWord(node, ...setWords))
  return outputs(body.slice(1, end < 0 ? body.length : end), new Set())
}

// ---- FROM

interface Cursor {
  readonly nodes: Nodes
  at: number
}

const cursor = (nodes: Nodes, at = 0): Cursor => ({ nodes, at })

function skip(at: Cursor, ...words: string[]): boolean {
  if (!isWord(at.nodes[at.at], ...words)) return false
  at.at += 1
  return true
}

function skipComma(at: Cursor): boolean {
  if (!isOp(at.nodes[at.at], ',')) return false
  at.at += 1
  return true
}

const joinWords = ['join', 'inner', 'left', 'right', 'full', 'cross', 'natural', 'outer']

/** A whole FROM list; answers the columns that `*` stands for, or more. */
function walkFrom(reading: Reading, nodes: Nodes, scope: Scope): Columns {
  const at = cursor(nodes)
  const columns = new Set<string>()
  do {
    for (const column of walkJoins(reading, at, scope)) columns.add(column)
  } while (skipComma(at))
  if (at.at < nodes.length) object(reading, `${nodes[at.at]!.text} in FROM is not understood`)
  return columns
}

function walkJoins(reading: Reading, at: Cursor, scope: Scope): Columns {
  const columns = new Set(walkFromItem(reading, at, scope))
  while (at.at < at.nodes.length) {
    if (skip(at, 'on')) walkCondition(reading, at, scope)
    else if (skip(at, 'using')) walkUsing(reading, at, scope)
    else if (skipJoin(at)) for (const column of walkFromItem(reading, at, scope)) columns.add(column)
    else break
  }
  return columns
}

function skipJoin(at: Cursor): boolean {
  while (isWord(at.nodes[at.at], ...joinWords) && !isWord(at.nodes[at.at], 'join')) at.at += 1
  return skip(at, 'join')
}

function walkUsing(reading: Reading, at: Cursor, scope: Scope): void {
  const columns = takeNames(at)
  if (!columns) object(reading, 'a USING that is not understood')
  if (!skip(at, 'as')) return
  const alias = at.nodes[at.at++]
  if (alias) bind(scope.level, alias.text, columns ?? new Set())
}

/** The condition after ON: up to the next join, comma or ON. */
function walkCondition(reading: Reading, at: Cursor, scope: Scope): void {
  const start = at.at
  while (at.at < at.nodes.length && !endsCondition(at.nodes, at.at)) at.at += 1
  // `on a = join (t)`: a function may be called join. An operand before the word makes it a join.
  const last = at.nodes[at.at - 1]
  if (at.at === start || !(isOperand(last) || isGroup(last) || isWord(last, 'true'))) {
    if (at.at === start || at.nodes[at.at + 1]?.kind === '(') object(reading, 'an ON that is not understood')
  }
  walkExpression(reading, at.nodes.slice(start, at.at), scope)
}

function endsCondition(nodes: Nodes, i: number): boolean {
  if (isComma(nodes[i]) || isWord(nodes[i], 'on', 'using')) return true
  return isWord(nodes[i], ...joinWords) && (isWord(nodes[i], 'join') || nodes[i + 1]?.kind !== '(')
}

/** One table, view, query, function or joined table in parentheses, with its alias. */
function walkFromItem(reading: Reading, at: Cursor, scope: Scope): Columns {
  const lateral = skip(at, 'lateral')
  const only = skip(at, 'only')
  const first = at.nodes[at.at]
  if (first?.kind === '(')
    return only ? walkOnly(reading, at, first.nodes, scope) : walkGroup(reading, at, scope, lateral)
  const chain = chainAt(at.nodes, at.at)
  if (!chain || isWord(chain.names[0], ...joinWords)) {
    object(reading, 'a FROM that is not understood')
    at.at = at.nodes.length
    return new Set()
  }
  at.at = chain.next
  return at.nodes[at.at]?.kind === '('
    ? walkFunction(reading, at, chain.names, scope)
    : walkRelation(reading, at, chain.names, scope)
}

/** `only (name)` */
function walkOnly(reading: Reading, at: Cursor, inside: Nodes, scope: Scope): Columns {
  const chain = chainAt(inside, 0)
  at.at += 1
  if (chain?.next === inside.length) return walkRelation(reading, at, chain.names, scope)
  object(reading, 'an ONLY that is not understood')
  return new Set()
}

function walkRelation(reading: Reading, at: Cursor, chain: Nodes, scope: Scope): Columns {
  const name = chain.at(-1)!.text
  const common = chain.length === 1 ? scope.common.get(name) : undefined
  const columns = common ?? readRelation(reading, chain)
  if (isOp(at.nodes[at.at], '*')) at.at += 1
  const alias = takeAlias(at)
  bind(scope.level, alias?.name ?? name, alias?.columns ?? columns)
  if (skip(at, 'tablesample')) walkSample(reading, at, scope)
  return alias?.columns ? new Set([...columns, ...alias.columns]) : columns
}

/** `tablesample bernoulli (10) [repeatable (1)]`: without a seed, other rows each time. */
function walkSample(reading: Reading, at: Cursor, scope: Scope): void {
  reading.volatile = true
  if (!skip(at, 'bernoulli', 'system')) object(reading, 'a sampling method that is not known')
  walkExpression(reading, at.nodes.slice(at.at, at.at + 1), scope)
  at.at += 1
  if (!skip(at, 'repeatable')) return
  walkExpression(reading, at.nodes.slice(at.at, at.at + 1), scope)
  at.at += 1
}

function walkFunction(reading: Reading, at: Cursor, chain: Nodes, scope: Scope): Columns {
  const group = at.nodes[at.at++]!
  readCall(reading, chain, group.nodes)
  walkExpression(reading, group.nodes, scope)
  if (skip(at, 'with') && !skip(at, 'ordinality')) object(reading, 'a WITH in FROM is not understood')
  const name = chain.at(-1)!.text
  readDefinitions(reading, at)
  const alias = takeAlias(at)
  const own =
    alias?.columns ?? new Set([alias?.name ?? name, 'ordinality', ...(name.includes('_each') ? ['key', 'value'] : [])])
  bind(scope.level, alias?.name ?? name, own)
  return own
}

/** A query, which sees its neighbours only after LATERAL, or a joined table, whose names an alias hides. */
function walkGroup(reading: Reading, at: Cursor, { common, level }: Scope, lateral: boolean): Columns {
  const { nodes } = at.nodes[at.at++]!
  const alias = takeAlias(at)
  const columns = isQuery(nodes)
    ? walkQuery(reading, nodes, { common, level: (lateral ? level : level.outside) ?? levelInside(undefined) })
    : walkFrom(reading, nodes, { common, level: alias ? levelInside(level, level.outside) : level })
  if (alias) bind(level, alias.name, alias.columns ?? columns)
  return alias?.columns ?? columns
}

/** `[as] name [(columns)]` or `as (columns and types)` */
function takeAlias(at: Cursor): { name: string; columns: Columns | undefined } | undefined {
  const as = skip(at, 'as')
  const node = at.nodes[at.at]
  if (as && node?.kind === '(') return { name: '', columns: takeNames(at) }
  if (!node || !isName(node) || isWord(node, ...joinWords, 'tablesample')) return undefined
  at.at += 1
  return { name: node.text, columns: takeNames(at) }
}

/** Types of the columns after a function: `as t (a int, b text)`. */
function readDefinitions(reading: Reading, at: Cursor): void {
  const group = at.nodes.slice(at.at, at.at + 3).find((node) => node.kind === '(')
  for (const member of splitAt(group?.nodes ?? [], isComma)) {
    const type = chainAt(member, 1)
    if (type) readType(reading, type.names)
    else if (member.length > 1) object(reading, 'a column definition that is not understood')
  }
}

/** The first name of each member of a parenthesis: `(a, b)`, `(a int, b text)`. */
function takeNames(at: Cursor): Columns | undefined {
  const group = at.nodes[at.at]
  if (group?.kind !== '(') return undefined
  at.at += 1
  return new Set(splitAt(group.nodes, isComma).flatMap(([first]) => (first && isName(first) ? [first.text] : [])))
}

// ---- expressions

/** Walks everything that is no FROM clause. `fromAllowed` is for the inside of `extract (year from x)`. */
function walkExpression(reading: Reading, nodes: Nodes, scope: Scope, fromAllowed = false): void {
  for (let i = 0; i < nodes.length; ) {
    const node = nodes[i]!
    const chain = chainAt(nodes, i)
    if (chain) i = walkChain(reading, nodes, chain, scope)
    else if (node.kind === '(' || node.kind === '[') i = walkInside(reading, nodes, i, scope)
    else if (isOp(node, ':') && isOp(nodes[i + 1], ':')) i = walkType(reading, nodes, i + 2)
    else if (isOp(node, '.')) i = walkField(reading, nodes, i + 1)
    else i = walkWord(reading, nodes, i, fromAllowed)
  }
}

/** A reserved word, literal or operator. */
function walkWord(reading: Reading, nodes: Nodes, i: number, fromAllowed: boolean): number {
  const node = nodes[i]!
  if (isWord(node, 'select', 'table')) object(reading, `${node.text} in an expression`)
  if (!fromAllowed && isFromClause(nodes, i)) object(reading, 'a FROM that is not understood')
  if (isWord(node) && volatileWords.has(node.text)) reading.volatile = true
  if (node.kind === 'string' && isRelativeTime(node.text)) reading.volatile = true
  // A locking clause; the FOR of `substring (a for 2)` stands inside.
  if (!fromAllowed && isWord(node, 'for')) reading.volatile = true
  return i + 1
}

/** A parenthesis or bracket that follows no name. */
function walkInside(reading: Reading, nodes: Nodes, i: number, scope: Scope): number {
  const group = nodes[i]!
  if (isWord(nodes[i - 1], 'cast')) walkCast(reading, group.nodes, scope)
  else if (group.kind === '(' && isQuery(group.nodes)) walkQuery(reading, group.nodes, scope)
  else walkExpression(reading, group.nodes, scope)
  return i + 1
}

/** `expression as type` */
function walkCast(reading: Reading, nodes: Nodes, scope: Scope): void {
  const as = nodes.map((node) => isWord(node, 'as')).lastIndexOf(true)
  if (as < 0) object(reading, 'a CAST that is not understood')
  walkExpression(reading, nodes.slice(0, Math.max(as, 0)), scope)
  walkExpression(reading, nodes.slice(walkType(reading, nodes, as + 1)), scope)
}

/** A type after `::` or `as`; answers where it ends, or where words are left that belong to it and harm nobody. */
function walkType(reading: Reading, nodes: Nodes, i: number): number {
  const chain = chainAt(nodes, i)
  if (!chain) {
    object(reading, 'a type that is not understood')
    return i + 1
  }
  readType(reading, chain.names)
  return nodes[chain.next]?.kind === '(' ? chain.next + 1 : chain.next
}

/** What follows a dot that follows no name: a field of a row, or a function called on it. */
function walkField(reading: Reading, nodes: Nodes, i: number): number {
  const node = nodes[i]
  if (isOp(node, '*')) return i + 1
  if (node && isName(node) && isQuietField(reading, node.text)) reading.volatile = true
  else object(reading, 'a field of an expression may be a function')
  return i + 1
}

/** A name or a dotted chain of names, and what it is used for. */
function walkChain(reading: Reading, nodes: Nodes, { names, start, next, star }: Chain, scope: Scope): number {
  const after = nodes[next]
  const first = names[0]!
  if (star) return next
  if (after?.kind === '(' && !isClause(nodes, start, next)) return walkCall(reading, nodes, names, next, scope)
  const leads = names.length === 1 && isWord(first) && leading.has(first.text)
  if (after?.kind === 'string' && !leads) readType(reading, names)
  else if (after?.kind === 'string' && isTimeLiteral(nodes, start)) reading.volatile = true
  else if (names.length > 1) readDotted(reading, names, scope.level)
  else if (isWord(first) && volatileWords.has(first.text)) reading.volatile = true
  return next
}

/** `timestamp with time zone 'today'`, and not `at time zone 'utc'` */
function isTimeLiteral(nodes: Nodes, zone: number): boolean {
  return isWord(nodes[zone], 'zone') && isWord(nodes[zone - 2], 'with', 'without')
}

function walkCall(reading: Reading, nodes: Nodes, names: Nodes, at: number, scope: Scope): number {
  const inside = nodes[at]!.nodes
  const name = names.at(-1)!
  readCall(reading, names, inside)
  if (isQuery(inside)) walkQuery(reading, inside, scope)
  else walkExpression(reading, inside, scope, names.length === 1 && isWord(name) && fromInside.has(name.text))
  return at + 1
}

/** Words that are no function before a parenthesis, because of what stands in front of them. */
function isClause(nodes: Nodes, i: number, next: number): boolean {
  const before = nodes[i - 1]
  if (next !== i + 1 || !isWord(nodes[i])) return false
  // After DISTINCT ON (…) an expression begins, after every other parenthesis an operator or a clause.
  if (isWord(nodes[i], 'over', 'filter')) return before?.kind === '(' && !isWord(nodes[i - 2], 'on')
  if (isWord(nodes[i], 'by')) return isWord(before, 'order', 'group', 'partition')
  if (isWord(nodes[i], 'rollup', 'cube')) return isWord(before, 'by') && isWord(nodes[i - 2], 'group')
  if (isWord(nodes[i], 'sets')) return isWord(before, 'grouping')
  if (isWord(nodes[i], 'conflict')) return isWord(before, 'on')
  if (isWord(nodes[i], 'varying')) return isWord(before, 'character', 'char', 'nchar', 'bit')
  return isWord(nodes[i], 'like', 'ilike', 'overlaps') && isOperand(before)
}

const operands: readonly string[] = ['name', 'string', 'param', 'number']

function isOperand(node: SqlNode | undefined): boolean {
  return node !== undefined && operands.includes(node.kind)
}

function isGroup(node: SqlNode | undefined): boolean {
  return node?.kind === '(' || node?.kind === '['
}

// ---- INSERT, UPDATE, DELETE

/** What follows INSERT INTO. */
function walkInsert(reading: Reading, nodes: Nodes, scope: Scope): void {
  const at = cursor(nodes)
  walkTarget(reading, at, scope, { also: ['excluded', 'old', 'new'], bareAlias: false })
  const list = at.nodes[at.at]
  if (list?.kind === '(' && !isQuery(list.nodes)) {
    walkExpression(reading, list.nodes, scope)
    at.at += 1
  }
  if (skip(at, 'overriding')) at.at += 2
  const tail = nodes.findIndex((_, i) => i >= at.at && (isWord(nodes[i], 'returning') || isConflict(nodes, i)))
  const source = nodes.slice(at.at, tail < 0 ? nodes.length : tail)
  if (!isWord(source[0], 'default')) walkQuery(reading, source, scope)
  if (tail >= 0) walkConflict(reading, nodes.slice(tail), scope)
}

function isConflict(nodes: Nodes, i: number): boolean {
  return isWord(nodes[i], 'on') && isWord(nodes[i + 1], 'conflict')
}

/** `on conflict … do update set …` and RETURNING; `set (a, b) =` calls nothing. */
function walkConflict(reading: Reading, nodes: Nodes, scope: Scope): void {
  const set = nodes.findIndex((node, i) => isWord(node, 'set') && isWord(nodes[i - 1], 'update'))
  walkExpression(reading, nodes.slice(0, Math.max(set, 0)), scope)
  walkExpression(reading, nodes.slice(set + 1), scope)
}

/** What follows UPDATE. */
function walkUpdate(reading: Reading, nodes: Nodes, scope: Scope): void {
  const at = cursor(nodes)
  walkTarget(reading, at, scope, { also: ['old', 'new'], bareAlias: true })
  if (!skip(at, 'set')) object(reading, 'an UPDATE that is not understood')
  walkWithFrom(reading, nodes.slice(at.at), scope, isFromClause)
}

/** What follows DELETE FROM. */
function walkDelete(reading: Reading, nodes: Nodes, scope: Scope): void {
  const at = cursor(nodes)
  walkTarget(reading, at, scope, { also: ['old', 'new'], bareAlias: true })
  walkWithFrom(reading, nodes.slice(at.at), scope, (all, i) => isWord(all[i], 'using'))
}

/** Expressions with a FROM list somewhere at this level, up to WHERE or RETURNING. */
function walkWithFrom(
  reading: Reading,
  nodes: Nodes,
  scope: Scope,
  begins: (nodes: Nodes, i: number) => boolean,
): void {
  const start = nodes.findIndex((_, i) => begins(nodes, i))
  if (start < 0) {
    walkExpression(reading, nodes, scope)
    return
  }
  const length = nodes.slice(start).findIndex((node) => isWord(node, 'where', 'returning'))
  const end = length < 0 ? nodes.length : start + length
  walkFrom(reading, nodes.slice(start + 1, end), scope)
  walkExpression(reading, nodes.slice(0, start), scope)
  walkExpression(reading, nodes.slice(end), scope)
}

/** The table that is written, under its own name or alias and the names that its row has in places. */
function walkTarget(
  reading: Reading,
  at: Cursor,
  { level }: Scope,
  { also, bareAlias }: { also: readonly string[]; bareAlias: boolean },
): void {
  skip(at, 'only')
  const chain = chainAt(at.nodes, at.at)
  const relation = chain && relationOf(reading, chain.names)
  if (!chain || !relation) {
    object(reading, 'the table that is written is not known')
    return
  }
  at.at = chain.next
  if (isOp(at.nodes[at.at], '*')) at.at += 1
  const alias = skip(at, 'as') || (bareAlias && !isWord(at.nodes[at.at], 'set')) ? takeTargetAlias(at) : undefined
  for (const name of [alias ?? relation.name, ...also]) bind(level, name, columnsOf(relation))
}

function takeTargetAlias(at: Cursor): string | undefined {
  const node = at.nodes[at.at]
  if (!node || !isName(node)) return undefined
  at.at += 1
  return node.text
}

// ---- names

interface Chain {
  readonly names: Nodes
  readonly start: number
  readonly next: number
  /** It ends with `.*`. */
  readonly star: boolean
}

/** The dotted names that begin here; `undefined` where no name begins. */
function chainAt(nodes: Nodes, start: number): Chain | undefined {
  const first = nodes[start]
  if (!first || !isName(first)) return undefined
  const names = [first]
  let next = start + 1
  while (isOp(nodes[next], '.')) {
    const node = nodes[next + 1]
    if (isOp(node, '*')) return { names, start, next: next + 2, star: true }
    if (!node || !isName(node)) break
    names.push(node)
    next += 2
  }
  return { names, start, next, star: false }
}

function isName(node: SqlNode): boolean {
  return node.kind === 'name' || (node.kind === 'word' && !reserved.has(node.text))
}

function isComma(node: SqlNode | undefined): boolean {
  return isOp(node, ',')
}

function splitAt(nodes: Nodes, separates: (node: SqlNode) => boolean): SqlNode[][] {
  const parts: SqlNode[][] = [[]]
  for (const node of nodes) {
    if (separates(node)) parts.push([])
    else parts.at(-1)!.push(node)
  }
  return parts
}
