import { MAIN } from '../model/facets.ts'
import { pairsOf, type Scheme } from '../model/keys.ts'
import type { BypassReason, EpochReason } from '../model/reasons.ts'
import type { Lookup, LookupKey, RecordSource } from '../model/record.ts'
import type { ImageForm, WritePlan, WriteStatement } from '../model/write.ts'
import type { MatchedKeys, WriteIntent } from '../ports/paths.ts'
import { countQueryOf } from './count-query.ts'
import { chunksOf, is, orderFields, SQL, Table } from './internals.ts'
import { LazyQuery, type Origin, originOf } from './lazy-sql.ts'
import { isAboutRows, planRead } from './prepared-read.ts'
import { isReason, type ResultStatement } from './prepared-result.ts'
import { statementPlan } from './prepared-write.ts'
import { type QueryOptions, queryOptions } from './query-options.ts'
import { questionOfSelect, type RecordQuestion } from './record-question.ts'
import { countStatement, readStatement } from './result-statement.ts'
import { type StatementContext, sessionGate } from './statement-context.ts'
import { type ToldReason, tellBypass, tellEpoch, tellWidened } from './tell-reason.ts'

/** What the extension would do with a query, in data and, by `toString()`, in words. */
export interface Explanation {
  readonly plan: 'record' | 'result' | 'statement' | 'write' | 'raw'
  readonly table: string | undefined
  /** For a record: whether the store holds it now; `unknown`: the store did not answer. */
  readonly state: 'hit' | 'miss' | 'partial' | 'unknown' | 'bypass' | 'not-cached'
  /** Why it is not served from the cache. */
  readonly reason: BypassReason | undefined
  /** How the rows are found: the key's columns. */
  readonly key: readonly string[]
  readonly keys: number
  /** How many of the keys the store holds now. */
  readonly cachedKeys: number
  /** What an answer rests on: rows by key, at most ten, and the table as a whole. E.g. `users[id=1]`, `users (epoch)`. */
  readonly dependsOn: readonly string[]
  readonly ttlMs: number | undefined
  /** For a write: how the touched rows are learned, and what falls. */
  readonly images: ImageForm | 'none needed' | undefined
  readonly invalidates: readonly string[]
  toString(): string
}

export interface PeekWith {
  peek(lookup: Lookup, key: LookupKey): Promise<'hit' | 'miss' | 'unknown'>
}

/** Everything but the words, which are put together when they are asked for. */
interface Facts extends Omit<Explanation, 'toString'> {
  readonly title: string
  readonly notes: readonly Note[]
}

type Note = readonly [label: string, ...lines: string[]]

const nothing: Facts = {
  plan: 'statement',
  table: undefined,
  state: 'not-cached',
  reason: undefined,
  key: [],
  keys: 0,
  cachedKeys: 0,
  dependsOn: [],
  ttlMs: undefined,
  images: undefined,
  invalidates: [],
  title: '',
  notes: [],
}

/** Explains a builder, without running it. */
export async function explainStatement(
  query: unknown,
  context: StatementContext,
  verbs: PeekWith,
): Promise<Explanation> {
  const sql = (query as { getSQL(): unknown }).getSQL()
  const origin = originOf(sql)
  const counted = (query as { sql?: unknown }).sql
  if (is(counted, SQL) && countQueryOf(counted)) return speak(await explainCount(counted, context))
  if (!origin) return speak(explainOther(chunksOf(sql) ? 'raw-sql' : 'not-a-record'))
  if ('parts' in origin) return speak(explainWrite(origin, context))
  const options = queryOptions((query as { cacheConfig?: unknown }).cacheConfig, context)
  if (options.off) return speak(explainBypass(tableOf(origin, context), 'cache-false'))
  const question = questionFrom(origin, context)
  if (question === 'locking') return speak(explainBypass(tableOf(origin, context), question))
  const byRows =
    typeof question === 'string' || options.tags.length > 0 ? undefined : planned(question, context, options)
  if (byRows && typeof byRows !== 'string') return speak(await explainRead(byRows.lookup, verbs))
  if (byRows && !isAboutRows(byRows)) return speak(explainBypass(tableOf(origin, context), byRows))
  const table = tableOf(origin, context)
  const gate = sessionGate(context, undefined)
  if (gate) return speak(explainBypass(table, gate))
  const statement = readStatement(context, origin, new LazyQuery(sql as SQL, context.dialect))
  return speak(await explainResult(statement, table, context, options))
}

/** `db.$count(…)`: its builder is SQL for use inside others, and holds the statement that it runs by itself. */
async function explainCount(sql: SQL, context: StatementContext): Promise<Facts> {
  const options = queryOptions(undefined, context)
  if (options.off) return explainBypass(undefined, 'cache-false')
  const gate = sessionGate(context, undefined)
  if (gate) return explainBypass(undefined, gate)
  const query = new LazyQuery(sql, context.dialect)
  const statement = countStatement(context, sql, () => query.sql)
  return statement ? explainResult(statement, undefined, context, options) : explainOther('raw-sql')
}

function speak({ title, notes, ...facts }: Facts): Explanation {
  return { ...facts, toString: () => [title, ...notes.flatMap(layOut)].join('\n') }
}

const LABEL_WIDTH = 13

function layOut([label, ...lines]: Note): string[] {
  return lines.map((line, at) => `  ${(at === 0 ? label : '').padEnd(LABEL_WIDTH)}${line}`)
}

// —— reads ——

type ReadOrigin = Exclude<Origin, { parts: unknown }>

function questionFrom(origin: ReadOrigin, context: StatementContext): RecordQuestion | BypassReason {
  if (origin.kind === 'relational') return origin.question
  return questionOfSelect(origin.config, orderFields(origin.config.fields), (table) => context.shape(table))
}

function tableOf(origin: ReadOrigin, context: StatementContext): string | undefined {
  const { table } = origin.config
  return is(table, Table) ? context.shape(table).name : undefined
}

function explainOther(reason: BypassReason): Facts {
  return { ...explainBypass(undefined, reason), plan: 'raw', state: 'not-cached' }
}

function explainBypass(table: string | undefined, reason: BypassReason): Facts {
  const { because, advice } = tellBypass(reason)
  return {
    ...nothing,
    table,
    state: 'bypass',
    reason,
    title: `read${table ? ` from ${table}` : ''}: not from the cache (${reason})`,
    notes: [['because', because], ...note('what to do', advice)],
  }
}

const note = (label: string, text: string | undefined): Note[] => (text === undefined ? [] : [[label, text]])

/** Most dependencies that are listed one by one. */
const MOST_LISTED = 10

const planned = (question: RecordQuestion, context: StatementContext, { ttlMs }: QueryOptions) =>
  planRead({ context, question, ttlMs }, {}, undefined)

async function explainRead(lookup: Lookup, verbs: PeekWith): Promise<Facts> {
  const { source, scheme, keys } = lookup
  const table = tableName(source.label)
  const peeked = await Promise.all(keys.map((key) => verbs.peek(lookup, key)))
  const cachedKeys = peeked.filter((state) => state === 'hit').length
  const state = peeked.includes('unknown') ? 'unknown' : stateOf(cachedKeys, keys.length)
  const rows = keys.slice(0, MOST_LISTED).map(({ tokens }) => rowName(table, scheme, tokens))
  const more = keys.length > MOST_LISTED ? [`… and ${keys.length - MOST_LISTED} more rows`] : []
  return {
    ...nothing,
    plan: 'record',
    table,
    state,
    key: scheme.columns,
    keys: keys.length,
    cachedKeys,
    dependsOn: [...rows, `${table} (epoch)`],
    ttlMs: lookup.ttlMs,
    title: `read from ${table} by ${schemeName(scheme.kind)} (${scheme.columns.join(', ')}): ${state}`,
    notes: [
      ['now', work(state, keys.length, cachedKeys)],
      ['depends on', ...packed([...rows, ...more, `${table} (epoch)`])],
      [
        'kept for',
        `${inWords(lookup.ttlMs)}, or until a write to ${keys.length === 1 ? 'this row' : 'one of the rows'}`,
      ],
    ],
  }
}

/** A read whose whole answer may be kept. */
async function explainResult(
  statement: ResultStatement | BypassReason,
  table: string | undefined,
  { results }: StatementContext,
  { ttlMs, tags }: QueryOptions,
): Promise<Facts> {
  const bypass = (reason: BypassReason): Facts => explainBypass(table, reason)
  if (typeof statement === 'string') return bypass(statement)
  const plan = results.plan(statement.question)
  if (typeof plan === 'string') return bypass(plan)
  const params = statement.values({})
  if (isReason(params)) return bypass(params)
  const lookup = results.lookup(plan, { params, ttlMs, tags })
  if (typeof lookup === 'string') return bypass(lookup)
  const state = await results.peek(lookup)
  const { dependsOn, widened } = results.tell(plan, params)
  const rests = [...dependsOn, ...tags.map((tag) => `tag ${tag}`)]
  return {
    ...nothing,
    plan: 'result',
    table: tableName(plan.label),
    state,
    keys: 1,
    cachedKeys: state === 'hit' ? 1 : 0,
    dependsOn: rests,
    ttlMs: lookup.ttlMs,
    title: `${plan.kind} from ${tableName(plan.label)}: ${state}`,
    notes: [
      ['now', workOfResult(state)],
      ['depends on', ...packed(rests)],
      ...widened.flatMap(({ table: wide, reason }): Note[] => whyWide(wide, tellWidened(reason))),
      ['kept for', `${inWords(lookup.ttlMs)}, or until a write that could change it`],
    ],
  }
}

function workOfResult(state: Explanation['state']): string {
  if (state === 'hit') return 'the whole answer from the store, no SQL'
  return state === 'unknown'
    ? 'the store does not answer: the database is asked'
    : 'one SQL query, whose answer is kept'
}

const whyWide = (table: string, { because, advice }: ToldReason): Note[] => [
  ['as a whole', `${table}: ${because}`],
  ...note('what to do', advice),
]

function stateOf(cached: number, asked: number): 'hit' | 'miss' | 'partial' {
  if (cached === asked) return 'hit'
  return cached === 0 ? 'miss' : 'partial'
}

function work(state: Explanation['state'], asked: number, cached: number): string {
  const rows = asked === 1 ? 'the row' : `${asked} rows`
  if (state === 'hit') return `${rows} from the store in one call, no SQL`
  if (state === 'partial') return `${cached} of ${rows} from the store, ${asked - cached} by one SQL query`
  if (state === 'unknown') return 'the store does not answer: the database is asked'
  return `${rows} by one SQL query, then kept`
}

/** As people write it: the schema only where it is not the usual one. */
const tableName = (label: string): string => (label.startsWith('public.') ? label.slice('public.'.length) : label)

const schemeName = (kind: Scheme['kind']): string => (kind === 'primary' ? 'primary key' : 'unique key')

/** Longer values are cut: the line is for people. */
const LONGEST_VALUE = 40

const rowName = (table: string, scheme: Scheme, tokens: readonly string[]): string =>
  `${table}[${pairsOf(scheme, tokens, cut)}]`

const cut = (text: string): string => (text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text)

const LINE_WIDTH = 88

/** Names side by side, as many as a line takes. */
function packed(names: readonly string[]): string[] {
  const lines: string[] = []
  for (const name of names) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + name.length + 2 <= LINE_WIDTH) lines[lines.length - 1] = `${last}, ${name}`
    else lines.push(name)
  }
  return lines
}

const units = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
] as const

function inWords(ms: number): string {
  const [size, name] = units.find(([each]) => ms >= each && ms % each === 0) ?? [1, 'ms']
  return `${ms / size} ${name}`
}

// —— writes ——

const ways: Readonly<Record<ImageForm, string>> = {
  none: 'not at all: the statement runs untouched',
  new: 'from hidden RETURNING columns of the same statement',
  'old-new': 'old and new row, from hidden RETURNING columns of the same statement',
  locked: 'old and new row, locked and read in the same statement',
  upsert: 'the new row and whether it is new, from hidden RETURNING columns of the same statement',
}

function explainWrite(origin: Extract<Origin, { parts: unknown }>, context: StatementContext): Facts {
  const shape = context.shape(origin.config.table)
  const op = { insert: 'insert into', update: 'update', delete: 'delete from' }[origin.kind]
  const { intent, statement } = statementPlan(context, origin)
  const table = intent?.relation ? tableName(`${intent.relation.schema}.${intent.relation.name}`) : shape.name
  const facts: Facts = { ...nothing, plan: 'write', table }
  if (!intent || reachesNothing(intent)) {
    const because = 'neither the table nor anything that the write can reach is cached'
    return { ...facts, images: 'none needed', title: `${op} ${table}: removes nothing`, notes: [['because', because]] }
  }
  const source = context.read.source(shape, shape.names)
  const own = intent.table ? ownRemovals(table, intent.plan, statement, keysIn(statement, source, context)) : []
  const invalidates = [...own, ...otherRemovals(intent)]
  const exact = intent.plan.form !== 'none' && !intent.everything && intent.reached.length === 0
  return {
    ...facts,
    images: intent.plan.form,
    invalidates,
    title: `${op} ${table}: removes ${exact ? 'exactly the rows that it touches' : 'more than the rows that it touches'}`,
    notes: [
      ['removes', ...invalidates],
      ...(intent.plan.form === 'none' ? [] : [['learned', ways[intent.plan.form]] as Note]),
      ['when', context.scope ? 'after the commit of the transaction' : 'after its commit, before the promise resolves'],
      ...advices(intent).map((advice): Note => ['what to do', advice]),
    ],
  }
}

/** On a shared store such a write is watched all the same: another service may begin to cache its table. */
const reachesNothing = ({ table, reached, everything }: WriteIntent): boolean =>
  !table && reached.length === 0 && everything === undefined

/** The keys that the statement itself names, if it names any. */
function keysIn(
  { where }: WriteStatement,
  source: RecordSource | BypassReason,
  context: StatementContext,
): MatchedKeys | undefined {
  if (!where || typeof source === 'string') return undefined
  const match = context.read.match(where, source, {})
  return typeof match === 'string' ? undefined : match
}

function otherRemovals({ reached, everything, cascade }: WriteIntent): string[] {
  const followed = new Set(cascade.flatMap(({ exact, child }) => (exact ? [child.id] : [])))
  const others = reached.map(({ table, reason }) => {
    const name = tableName(table.replace(/^\d+:/, ''))
    return followed.has(table) ? `each row of ${name} that follows by a foreign key` : whole(name, reason)
  })
  return everything ? [...others, `everything that is cached: ${tellEpoch(everything).because}`] : others
}

/** What falls of the table itself: by each of its keys, as far as the statement shows the values. */
function ownRemovals(
  table: string,
  plan: WritePlan,
  { op, changed }: WriteStatement,
  named: MatchedKeys | undefined,
): string[] {
  if (plan.form === 'none') return plan.reason ? [whole(table, plan.reason)] : []
  return plan.schemes.map((scheme) => {
    const { columns } = scheme
    const moves = columns.some((column) => changed === 'all' || changed.has(column))
    const spares =
      op !== 'update' || plan.stays.includes(MAIN) || scheme.kind === 'primary' ? '' : ', only of its group of columns'
    const ending = moves ? ', the old and the new value' : spares
    if (named && named.scheme.name === scheme.name && named.keys.length <= MOST_LISTED)
      return `${named.keys.map(({ tokens }) => rowName(table, scheme, tokens)).join(', ')}${ending}`
    return `${table}[${columns.map((column) => `${column}=…`).join(', ')}] of each touched row${ending}`
  })
}

const whole = (table: string, reason: EpochReason): string => `${table} (epoch): ${tellEpoch(reason).because}`

function advices({ plan, reached, everything }: WriteIntent): string[] {
  const reasons = [plan.reason, ...reached.map(({ reason }) => reason), everything]
  const advice = reasons.flatMap((reason) => (reason && tellEpoch(reason).advice) ?? [])
  return [...new Set(advice)]
}
