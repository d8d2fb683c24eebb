/** What a walk over a statement finds, and the judgment of single names: relations, calls, types, dotted references. */
import { type CatalogFacts, findRelation, type RelationFacts } from '../model/facts.ts'
import { isOp, isWord, type SqlNode } from './sql-tokens.ts'
import {
  constructs,
  jsonConstructs,
  knownTypes,
  pure,
  relativeTime,
  runText,
  systemColumns,
  typeKeywords,
  volatileTypes,
  writeNoTable,
} from './sql-words.ts'

/** Names of columns; what stands in a FROM clause under an alias has a set of them. */
export type Columns = ReadonlySet<string>

/** Grows during the walk. The first problem is the reason why the statement is no proven read. */
export interface Reading {
  readonly facts: CatalogFacts
  volatile: boolean
  session: boolean
  /** A relation of the server itself is read, which changes with no write that we see. */
  system: boolean
  /** What FROM clauses name, each time that they name it; a view stands for itself. */
  readonly relations: RelationFacts[]
  problem: string | undefined
}

export function startReading(facts: CatalogFacts): Reading {
  const problem = facts.volatileOperators ? 'an operator or cast runs a volatile function' : undefined
  return { facts, volatile: false, session: false, system: false, relations: [], problem }
}

/** Notes the first thing that keeps a statement from being a proven read. */
export function object(reading: Reading, problem: string): void {
  reading.problem ??= problem
}

/** What one FROM clause binds: columns by alias. Names are looked for here, then in the queries around. */
export interface Level {
  readonly bindings: Map<string, Columns[]>
  readonly around: Level | undefined
  /** Around the whole query, where `around` may be its own FROM clause: all that a neighbour without LATERAL sees. */
  readonly outside: Level | undefined
}

export function levelInside(around: Level | undefined, outside = around): Level {
  return { bindings: new Map(), around, outside }
}

export function bind({ bindings }: Level, alias: string, columns: Columns): void {
  const known = bindings.get(alias)
  if (known) known.push(columns)
  else bindings.set(alias, [columns])
}

const noColumns: Columns = new Set()

/** Columns of the relation that a chain of names means; a relation that is no proven read is objected to. */
export function readRelation(reading: Reading, chain: readonly SqlNode[]): Columns {
  const relation = relationOf(reading, chain)
  if (relation) return judgeRelation(reading, relation)
  if (isSystemName(reading.facts, chain)) {
    reading.volatile = true
    reading.system = true
  } else object(reading, `relation ${nameOf(chain)} is not known`)
  return noColumns
}

export function relationOf(reading: Reading, chain: readonly SqlNode[]): RelationFacts | undefined {
  if (chain.length > 2) return undefined
  return findRelation(reading.facts, chain.length === 2 ? chain[0]!.text : undefined, chain.at(-1)!.text)
}

function judgeRelation(reading: Reading, relation: RelationFacts): Columns {
  if (mayWrite(reading.facts, relation)) object(reading, `reading ${relation.name} may write`)
  if (relation.unsteadyView) reading.volatile = true
  reading.relations.push(relation)
  return columnsOf(relation)
}

export function columnsOf(relation: RelationFacts): Columns {
  return new Set([...relation.columns.keys(), ...systemColumns])
}

/** A foreign table may be anything over there, below a view too; `volatileView` tells of views and of row security. */
function mayWrite(facts: CatalogFacts, relation: RelationFacts): boolean {
  if (relation.volatileView || relation.kind === 'foreign table') return true
  return relation.reads.some((id) => (facts.relations.get(id)?.kind ?? 'foreign table') === 'foreign table')
}

// The server's own relations are written by no query, but change with no stamp: to be executed, never to be cached.
function isSystemName(facts: CatalogFacts, chain: readonly SqlNode[]): boolean {
  const [first, second] = chain.map((node) => node.text)
  if (chain.length === 2) return (first === 'pg_catalog' && second!.startsWith('pg_')) || first === 'information_schema'
  return chain.length === 1 && first!.startsWith('pg_') && facts.schemas[0] === 'pg_catalog'
}

/** A function call: `chain` and what stands between its parentheses. */
export function readCall(reading: Reading, chain: readonly SqlNode[], inside: readonly SqlNode[]): void {
  const verdict = judgeCall(reading.facts, chain)
  if (verdict === 'unknown') object(reading, `function ${nameOf(chain)} may write`)
  // `timestamp(3) 'today'` and `date('today')`
  if (verdict === 'volatile' || volatileTypes.has(chain.at(-1)!.text)) reading.volatile = true
  if (chain.at(-1)!.text === 'set_config' && !endsWithTransaction(inside)) reading.session = true
}

/** `set_config(…, …, true)`, in so many words: the setting goes with the transaction, or with the statement alone. */
function endsWithTransaction(inside: readonly SqlNode[]): boolean {
  return isOp(inside.at(-2), ',') && isWord(inside.at(-1), 'true')
}

function judgeCall(facts: CatalogFacts, chain: readonly SqlNode[]): 'pure' | 'volatile' | 'unknown' {
  const { kind, text } = chain.at(-1)!
  const plain = chain.length === 1 && kind === 'word'
  if (plain && (constructs.has(text) || (jsonConstructs.has(text) && facts.serverVersion >= 170000))) return 'pure'
  if (runText.has(text)) return 'unknown'
  if (facts.quietFunctions.has(text)) return pure.has(text) ? 'pure' : 'volatile'
  const builtIn = chain.length === 1 || (chain.length === 2 && chain[0]!.text === 'pg_catalog')
  return builtIn && writeNoTable.has(text) ? 'volatile' : 'unknown'
}

/**
 * The type of a cast or of a literal. None of them writes: `volatileOperators` tells of domains and of input functions
 * too. One that is neither built in, nor of a well-known extension, nor an enum may look at tables in its checks.
 */
export function readType(reading: Reading, chain: readonly SqlNode[]): void {
  const { text, kind } = chain.at(-1)!
  const builtIn = chain.length === 1 || chain[0]!.text === 'pg_catalog'
  const known = builtIn && knownTypes.has(text) && (kind === 'word' || !typeKeywords.has(text))
  if (volatileTypes.has(text) || !(known || enumsOf(reading.facts).has(text))) reading.volatile = true
}

const enumsByFacts = new WeakMap<CatalogFacts, ReadonlySet<string>>()

function enumsOf(facts: CatalogFacts): ReadonlySet<string> {
  const known = enumsByFacts.get(facts)
  if (known) return known
  const columns = [...facts.relations.values()].flatMap((relation) => [...relation.columns.values()])
  const enums = new Set(columns.filter(({ token }) => token === 'enum').map(({ sqlType }) => lastName(sqlType)))
  enumsByFacts.set(facts, enums)
  return enums
}

/** The last name of a `format_type` text: `status` of `app.status`, `My Status` of `app."My Status"`. */
function lastName(sqlType: string): string {
  const quoted = /"((?:[^"]|"")+)"$/.exec(sqlType)
  return quoted ? quoted[1]!.replaceAll('""', '"') : sqlType.slice(sqlType.lastIndexOf('.') + 1)
}

/**
 * `alias.word` is a call of `word(alias)` when it is no column (parse_func.c, ParseFuncOrColumn). The nearest relation
 * of that alias must have the column, or every function of that name must be quiet.
 */
export function readDotted(reading: Reading, chain: readonly SqlNode[], level: Level): void {
  const column = chain.at(-1)!.text
  const bound = chain.length <= 3 ? boundTo(chain.at(-2)!.text, level) : undefined
  if (bound?.every((columns) => columns.has(column))) return
  if (isQuietField(reading, column)) reading.volatile = true
  else object(reading, `${nameOf(chain)} may be a function`)
}

function boundTo(alias: string, level: Level | undefined): readonly Columns[] | undefined {
  return level && (level.bindings.get(alias) ?? boundTo(alias, level.around))
}

/** Whether `(expression).word`, should it be a function call, writes nothing. */
export function isQuietField(reading: Reading, word: string): boolean {
  return reading.facts.quietFunctions.has(word) && !runText.has(word)
}

/** Whether a string may mean another time tomorrow; escapes are not decoded. */
export function isRelativeTime(literal: string): boolean {
  return relativeTime.test(literal) || (/^e/i.test(literal) && literal.includes('\\'))
}

export function nameOf(chain: readonly SqlNode[]): string {
  return chain.map((node) => node.text).join('.')
}
