import { stampKey } from '../model/keys.ts'
import type { BypassReason } from '../model/reasons.ts'
import type { Lookup, LookupKey } from '../model/record.ts'
import { chunksOf, orderFields } from './internals.ts'
import { type Origin, originOf } from './lazy-sql.ts'
import { planRead } from './prepared-read.ts'
import { statementPlan } from './prepared-write.ts'
import { questionOfSelect, type RecordQuestion } from './record-question.ts'
import type { StatementContext } from './statement-context.ts'

/** What the extension would do with a query, in data and, by `toString()`, in words. */
export interface Explanation {
  readonly plan: 'record' | 'statement' | 'write' | 'raw'
  readonly table: string | undefined
  /** For a record: whether the store holds it now. */
  readonly state: 'hit' | 'miss' | 'partial' | 'bypass' | 'not-cached'
  /** Why it is not served from the cache. */
  readonly reason: BypassReason | undefined
  /** How the rows are found: the key's columns. */
  readonly key: readonly string[]
  readonly keys: number
  /** Stamps that an answer rests on, as they are called in the store (at most ten). */
  readonly dependsOn: readonly string[]
  readonly ttlMs: number | undefined
  /** For a write: how the touched rows are learned, and what falls. */
  readonly images: string | undefined
  readonly invalidates: readonly string[]
  toString(): string
}

export interface PeekWith {
  peek(lookup: Lookup, key: LookupKey): Promise<'hit' | 'miss' | 'unknown'>
}

type Facts = Omit<Explanation, 'toString'>

const nothing: Facts = {
  plan: 'statement',
  table: undefined,
  state: 'not-cached',
  reason: undefined,
  key: [],
  keys: 0,
  dependsOn: [],
  ttlMs: undefined,
  images: undefined,
  invalidates: [],
}

/** Explains a builder, without running it. */
export async function explainStatement(
  query: unknown,
  context: StatementContext,
  verbs: PeekWith,
): Promise<Explanation> {
  const sql = (query as { getSQL(): unknown }).getSQL()
  const origin = originOf(sql)
  if (!origin) return speak({ ...nothing, plan: 'raw', reason: chunksOf(sql) ? 'raw-sql' : 'not-a-record' })
  if ('parts' in origin) return speak(explainWrite(origin, context))
  const question = questionFrom(origin, context)
  if (typeof question === 'string') return speak({ ...nothing, state: 'bypass', reason: question })
  return speak(await explainRead(question, context, verbs))
}

function questionFrom(
  origin: Exclude<Origin, { parts: unknown }>,
  context: StatementContext,
): RecordQuestion | BypassReason {
  if (origin.kind === 'relational') return origin.question
  return questionOfSelect(origin.config, orderFields(origin.config.fields), (table) => context.shape(table))
}

async function explainRead(question: RecordQuestion, context: StatementContext, verbs: PeekWith): Promise<Facts> {
  const table = question.shape.name
  const bypass = (reason: BypassReason): Facts => ({ ...nothing, table, state: 'bypass', reason })
  if (context.call.cache === false) return bypass('cache-false')
  const planned = planRead({ context, question, ttlMs: context.call.ttlMs }, {}, undefined)
  if (typeof planned === 'string') return bypass(planned)
  const { lookup } = planned
  const { source, scheme, keys, ttlMs } = lookup
  const states = await Promise.all(keys.map((key) => verbs.peek(lookup, key)))
  const hits = states.filter((state) => state === 'hit').length
  const stamps = keys.slice(0, 10).map(({ tokens }) => stampKey(scheme, tokens))
  return {
    ...nothing,
    plan: 'record',
    table: source.label,
    state: hits === keys.length ? 'hit' : hits === 0 ? 'miss' : 'partial',
    key: scheme.columns,
    keys: keys.length,
    dependsOn: [...stamps, source.keys.epoch],
    ttlMs,
  }
}

function explainWrite(origin: Extract<Origin, { parts: unknown }>, context: StatementContext): Facts {
  const shape = context.shape(origin.config.table)
  const intent = statementPlan(context, origin)
  if (!intent) return { ...nothing, plan: 'write', table: shape.name, images: 'none needed' }
  const { plan, reached, everything } = intent
  const own =
    plan.form === 'none'
      ? [`all of ${shape.name} (${plan.reason})`]
      : plan.schemes.map(
          ({ kind, columns }) =>
            `${shape.name} by ${kind === 'primary' ? 'primary key' : 'unique key'} (${columns.join(', ')}) of each touched row`,
        )
  const others = reached.map(({ table, reason }) => `all of ${table.replace(/^\d+:/, '')} (${reason})`)
  const all = everything ? [`everything cached (${everything})`] : []
  return { ...nothing, plan: 'write', table: shape.name, images: plan.form, invalidates: [...own, ...others, ...all] }
}

function speak(facts: Facts): Explanation {
  return { ...facts, toString: () => inWords(facts) }
}

function inWords(facts: Facts): string {
  const lines = [
    `${facts.plan}${facts.table ? ` on ${facts.table}` : ''}: ${facts.reason ?? facts.images ?? facts.state}`,
  ]
  if (facts.plan === 'record')
    lines.push(`  key: ${facts.key.join(', ')}; ${facts.keys} asked, ${facts.state}; ttl ${facts.ttlMs} ms`)
  if (facts.dependsOn.length > 0) lines.push(`  depends on: ${facts.dependsOn.join('\n              ')}`)
  if (facts.invalidates.length > 0) lines.push(`  invalidates: ${facts.invalidates.join('\n               ')}`)
  return lines.join('\n')
}
