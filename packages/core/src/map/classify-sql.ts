/** What raw SQL may do to the tables and to the session (DESIGN 3.4, raw SQL). Unknown means it may write anything. */
import type { CatalogFacts, RelationId } from '../model/facts.ts'
import type { SqlVerdict, WriteVerdict } from '../model/verdict.ts'
import { readDml, readQuery } from './read-statement.ts'
import { isOp, isWord, parseStatements, type SqlNode } from './sql-tokens.ts'

export type { NamedTable, SqlVerdict, WriteVerdict } from '../model/verdict.ts'

type Nodes = readonly SqlNode[]

/**
 * Classifies a text as it would be sent, all its statements together.
 *
 * @example classifySql('select 1', facts) // { kind: 'read', volatile: false, session: false }
 * @example classifySql('select purge()', facts) // { kind: 'write', tables: 'unknown', reason: 'function purge may write' … }
 */
export function classifySql(text: string, facts: CatalogFacts | undefined): SqlVerdict {
  const statements = parseStatements(text)
  if (!statements) return write('the text cannot be read with certainty', true)
  return combine(statements.map((nodes) => classifyStatement(nodes, facts)))
}

/**
 * Whether the text of one INSERT, UPDATE or DELETE may write to other tables than its target: it calls a function that
 * is neither quiet nor known, holds a data-modifying WITH, or cannot be read. For any other text: whether it is no read.
 */
export function writesBeyond(text: string, facts: CatalogFacts | undefined): boolean {
  const [nodes, more] = parseStatements(text) ?? []
  if (!facts || !nodes || more) return true
  const dml = nodes.some((node, i) => isWord(node, 'insert', 'update', 'delete') && !isWord(nodes[i - 1], 'for', 'key'))
  return (dml ? readDml(nodes, facts) : readQuery(nodes, facts)).problem !== undefined
}

/** What the text of one query reads. */
export interface SelectReading {
  /** Why it is no proven read; undefined where it is one. Everything else counts only then. */
  readonly problem: string | undefined
  /** It may be run, never cached. */
  readonly volatile: boolean
  /** It calls set_config. */
  readonly session: boolean
  /** It reads a relation of the server itself. */
  readonly system: boolean
  /** How often FROM clauses name each relation, sub-queries and common table expressions included. */
  readonly relations: ReadonlyMap<RelationId, number>
}

/**
 * Reads the text of one SELECT, VALUES, TABLE or WITH. Views stand for themselves: the catalog tells what they read.
 *
 * @example readSelect('select 1 from users a, users b', facts).relations // Map { '6:public.users' => 2 }
 */
export function readSelect(text: string, facts: CatalogFacts | undefined): SelectReading {
  const [nodes, more] = parseStatements(text) ?? []
  if (!facts) return noSelect('the catalog has not been read')
  if (!nodes || more || !(nodes[0]?.kind === '(' || isWord(nodes[0], 'select', 'values', 'table', 'with')))
    return noSelect('not one query')
  const { problem, volatile, session, system, relations } = readQuery(nodes, facts)
  const counts = new Map<RelationId, number>()
  for (const { id } of relations) counts.set(id, (counts.get(id) ?? 0) + 1)
  return { problem, volatile, session, system, relations: counts }
}

const noSelect = (problem: string): SelectReading => ({
  problem,
  volatile: true,
  session: false,
  system: false,
  relations: new Map(),
})

/**
 * Whether a text may have committed part of its work before it fails: a procedure or a DO block, which may COMMIT, and
 * several statements with transaction control among them. Anything else fails as a whole, and inside a transaction so
 * do procedures.
 */
export function mayCommitWithin(text: string, inTransaction: boolean): boolean {
  const statements = parseStatements(text)
  if (!statements) return true
  if (!inTransaction && statements.some(([first]) => isWord(first, 'call', 'do'))) return true
  return statements.length > 1 && statements.some(([first]) => isWord(first, ...controlWords))
}

const controlWords = 'begin start commit end rollback abort prepare'.split(' ')

/** Longer texts are classified each time: they carry their data in them and do not come back. */
const longestText = 16_384

/**
 * `classifySql` with a memory of `max` texts, the oldest forgotten first; a new version of the facts is a new question.
 * One cache serves one catalog: versions of two databases say nothing about each other.
 */
export const verdictCache = (max = 2000): Ask<SqlVerdict> => remembering(classifySql, max)

/** `writesBeyond` with such a memory: the same statement comes again with each write of its kind. */
export const beyondCache = (max = 2000): Ask<boolean> => remembering(writesBeyond, max)

/** `readSelect` with such a memory. */
export const selectCache = (max = 2000): Ask<SelectReading> => remembering(readSelect, max)

type Ask<T> = (text: string, facts: CatalogFacts | undefined) => T

function remembering<T>(ask: Ask<T>, max: number): Ask<T> {
  const known = new Map<string, { readonly version: number | undefined; readonly answer: T }>()
  return (text, facts) => {
    const before = known.get(text)
    if (before && before.version === facts?.version) return before.answer
    const answer = ask(text, facts)
    if (text.length > longestText) return answer
    known.delete(text)
    if (known.size >= max) known.delete(known.keys().next().value as string)
    known.set(text, { version: facts?.version, answer })
    return answer
  }
}

type Classify = (nodes: Nodes, facts: CatalogFacts | undefined) => SqlVerdict

function classifyStatement(nodes: Nodes, facts: CatalogFacts | undefined): SqlVerdict {
  const [first] = nodes
  if (first?.kind === '(') return classifyQuery(nodes, facts)
  const classify = first && isWord(first) ? statements.get(first.text) : undefined
  return classify ? classify(nodes, facts) : write('a statement that is not known', true)
}

const classifyQuery: Classify = (nodes, facts) => {
  if (!facts) return write('the catalog has not been read', false)
  const { problem, volatile, session } = readQuery(nodes, facts)
  if (problem === undefined) return { kind: 'read', volatile, session }
  return write(
    problem,
    // SELECT INTO makes a table; INSERT INTO behind a WITH does not.
    nodes.some((node, i) => isWord(node, 'into') && !isWord(nodes[i - 1], 'insert', 'merge')),
  )
}

const harmless: Classify = () => ({ kind: 'harmless' })
const session: Classify = () => ({ kind: 'session', local: false })
const begin: Classify = () => ({ kind: 'begin' })
const commit: Classify = (nodes) => ({ kind: 'commit', chain: isChain(nodes) })
const dml: Classify = (nodes) => write(nodes[0]!.text, false)
const ddl: Classify = (nodes) => write(nodes[0]!.text, true)

const statements: ReadonlyMap<string, Classify> = new Map<string, Classify>([
  ...each('select values table with', classifyQuery),
  ['explain', classifyExplain],
  ['declare', classifyDeclare],
  // FETCH is not here: it runs a cursor, perhaps one that a function opened.
  ...each('show listen unlisten notify savepoint release deallocate close checkpoint lock vacuum', harmless),
  ...each('analyze analyse', harmless),
  ['set', classifySet],
  ['reset', session],
  ['discard', classifyDiscard],
  ...each('begin start', begin),
  ...each('commit end', (nodes, facts) => (isWord(nodes[1], 'prepared') ? dml(nodes, facts) : commit(nodes, facts))),
  ...each('rollback abort', classifyRollback),
  ['prepare', (nodes) => (isWord(nodes[1], 'transaction') ? { kind: 'prepare-transaction' } : { kind: 'harmless' })],
  ...each('insert update delete merge truncate copy execute fetch move', dml),
  ['refresh', classifyRefresh],
  ...each('do call create alter drop comment grant revoke security reassign import load cluster reindex', ddl),
])

function each(words: string, classify: Classify): [string, Classify][] {
  return words.split(' ').map((word) => [word, classify])
}

/** Without ANALYZE a statement is planned, not run; with it, the verdict is that of the statement. */
function classifyExplain(nodes: Nodes, facts: CatalogFacts | undefined): SqlVerdict {
  const options = nodes[1]?.kind === '(' ? nodes[1].nodes : nodes.slice(1, 3)
  if (!options.some((node) => isWord(node, 'analyze', 'analyse'))) return { kind: 'harmless' }
  const start = nodes.findIndex(
    (node, i) => i > 0 && !isWord(node, 'analyze', 'analyse', 'verbose') && node !== nodes[1],
  )
  const verdict = start < 0 ? undefined : classifyStatement(nodes.slice(start), facts)
  return verdict?.kind === 'read' ? { ...verdict, volatile: true } : write('explain analyze', true)
}

/** A cursor runs its query later, in pieces: FETCH is taken for a write, the declaration for a read of its query. */
function classifyDeclare(nodes: Nodes, facts: CatalogFacts | undefined): SqlVerdict {
  const start = nodes.findIndex((node) => isWord(node, 'for'))
  const verdict = start < 0 ? undefined : classifyQuery(nodes.slice(start + 1), facts)
  return verdict?.kind === 'read' ? { ...verdict, volatile: true } : write('declare', false)
}

function classifySet(nodes: Nodes): SqlVerdict {
  return { kind: 'session', local: isWord(nodes[1], 'local', 'transaction', 'constraints') }
}

/**
 * A refresh runs the query of the view, evaluates its indexes, and fires event triggers; where none of that may write, the
 * view alone changes. A name without schema means any view of that name: the session may have another search path.
 */
function classifyRefresh(nodes: Nodes, facts: CatalogFacts | undefined): WriteVerdict {
  const named = nodes.slice(isWord(nodes[3], 'concurrently') ? 4 : 3)
  const qualified = isOp(named[1], '.')
  const chain = qualified ? [named[0], named[2]] : [named[0]]
  const understood =
    isWord(nodes[1], 'materialized') &&
    isWord(nodes[2], 'view') &&
    chain.every(isName) &&
    isWithData(named.slice(qualified ? 3 : 1))
  if (!facts || !understood) return write('a refresh that is not understood', false)
  const [name, schema] = chain.map((node) => node?.text).reverse()
  const views = [...facts.relations.values()].filter(
    (one) => one.kind === 'materialized view' && one.name === name && (!qualified || one.schema === schema),
  )
  const mayWrite =
    facts.volatileOperators || facts.refreshTriggers || views.some(({ volatileRefresh }) => volatileRefresh)
  if (views.length === 0 || mayWrite) return write(`refreshing ${name} may write`, false)
  return { kind: 'write', tables: views.map(({ schema, name }) => ({ schema, name })), ddl: false, reason: 'refresh' }
}

const isName = (node: SqlNode | undefined): boolean => node?.kind === 'word' || node?.kind === 'name'

/** Nothing, WITH DATA or WITH NO DATA. */
function isWithData(nodes: Nodes): boolean {
  const words = nodes.map((node) => (isWord(node) ? node.text : '?')).join(' ')
  return ['', 'with data', 'with no data'].includes(words)
}

/** DISCARD TEMP drops tables: another relation may answer to their names. */
function classifyDiscard(nodes: Nodes): SqlVerdict {
  if (isWord(nodes[1], 'all')) return { kind: 'session', local: false }
  return isWord(nodes[1], 'plans', 'sequences') ? { kind: 'harmless' } : write('discard', true)
}

/** ROLLBACK TO ends no transaction; what it undoes costs misses only. So does ROLLBACK PREPARED. */
function classifyRollback(nodes: Nodes): SqlVerdict {
  if (nodes.some((node) => isWord(node, 'to', 'prepared'))) return { kind: 'harmless' }
  return { kind: 'rollback', chain: isChain(nodes) }
}

function isChain(nodes: Nodes): boolean {
  return nodes.some((node, i) => isWord(node, 'chain') && !isWord(nodes[i - 1], 'no'))
}

function write(reason: string, ddl: boolean): WriteVerdict {
  return { kind: 'write', tables: 'unknown', ddl, reason }
}

// ---- several statements in one text

const control: readonly string[] = ['begin', 'commit', 'rollback', 'prepare-transaction']

function combine(verdicts: readonly SqlVerdict[]): SqlVerdict {
  const [first, second] = verdicts
  if (!first) return { kind: 'harmless' }
  if (!second) return first
  const last = verdicts.filter(({ kind }) => control.includes(kind)).at(-1)
  if (last) return { ...combineWrites(verdicts, 'several statements control a transaction'), after: stateAfter(last) }
  if (verdicts.some(({ kind }) => kind === 'write')) return combineWrites(verdicts, 'one of several statements writes')
  return combineReads(verdicts)
}

function stateAfter(last: SqlVerdict): 'begun' | 'ended' {
  return last.kind === 'begin' || ('chain' in last && last.chain) ? 'begun' : 'ended'
}

function combineWrites(verdicts: readonly SqlVerdict[], reason: string): WriteVerdict {
  return write(
    reason,
    verdicts.some((verdict) => verdict.kind === 'write' && verdict.ddl),
  )
}

/** Reads, harmless statements and changes of the session. */
function combineReads(verdicts: readonly SqlVerdict[]): SqlVerdict {
  const changes = verdicts.filter(
    (verdict) => verdict.kind === 'session' || (verdict.kind === 'read' && verdict.session),
  )
  if (changes.length > 0)
    return { kind: 'session', local: changes.every((verdict) => 'local' in verdict && verdict.local) }
  const reads = verdicts.some(({ kind }) => kind === 'read')
  return reads ? { kind: 'read', volatile: true, session: false } : { kind: 'harmless' }
}
