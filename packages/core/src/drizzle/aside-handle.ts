import { AsideError } from '../errors.ts'
import type { LookupKey } from '../model/record.ts'
import type { SchemaDifference } from '../model/schema-difference.ts'
import type { NamedTable, Scope, WrittenRows } from '../ports/paths.ts'
import { encodeFor } from './encode-row.ts'
import { type Explanation, explainStatement } from './explain-statement.ts'
import { type Database, schemaTables } from './internals.ts'
import { type CallOptions, currentScope, destinations, type StatementContext } from './statement-context.ts'
import { type WarmOptions, warmQueries } from './warm-queries.ts'
import { contextOf, rewrap, type WrappedSession } from './wrap-database.ts'

/** The engine's verbs that are not about one statement. */
export interface EngineVerbs<Stats, Health> {
  /** `schema`: the tables of the schema given to drizzle. */
  stats(schema: readonly object[]): Stats
  health(): Health
  ready(options?: { reload?: boolean }): Promise<void>
  reads(state: 'on' | 'off'): void
  /** Compares the tables of the options and these with the catalog. */
  verifySchema(tables: readonly object[]): Promise<SchemaDifference[]>
  flush(): Promise<void>
  invalidateKeys(table: NamedTable, row: Readonly<Record<string, unknown>>, scope: Scope | undefined): Promise<void>
  peek(lookup: Parameters<StatementContext['read']['read']>[0], key: LookupKey): Promise<'hit' | 'miss' | 'unknown'>
  listen(listener: (event: never) => void): () => void
  close(): Promise<void>
  maxFills(): number
  listenerFailed(error: unknown): void
  toMs(duration: unknown): number
}

export interface HandleOptions {
  ttl?: unknown
  cache?: boolean
  writes?: readonly object[]
  tag?: string | readonly string[]
  tables?: readonly object[]
}

/** Makes the `$aside` of one wrapped session. */
export function createHandle<Stats, Health>(
  database: () => Database,
  session: WrappedSession,
  verbs: EngineVerbs<Stats, Health>,
) {
  const context = contextOf(session)
  const named = (table: object): NamedTable => context.shape(table)
  const wrote = async (table: object, rows: WrittenRows | undefined): Promise<void> => {
    for (const to of destinations(context, currentScope(context))) await context.write.wrote(named(table), to, rows)
  }
  return {
    with: (options: HandleOptions) =>
      rewrap(database(), session, callOptions(options, session.tools.call, named, verbs)),
    explain: (query: unknown): Promise<Explanation> => explainStatement(query, context, verbs),
    warm: (queries: unknown, options: WarmOptions = {}) =>
      warmQueries(queries, options, { ...verbs, explain: (query) => explainStatement(query, context, verbs) }),
    wrote: (table: object, rows?: { old?: object; new?: object }) =>
      wrote(table, rows && encodeRows(context, table, rows)),
    invalidate: async (table: object, key?: unknown) => {
      if (key === undefined) return wrote(table, undefined)
      const row = keyRow(context, table, key)
      for (const to of destinations(context, currentScope(context))) await verbs.invalidateKeys(named(table), row, to)
    },
    invalidateTag: async (...tags: string[]) => {
      for (const to of destinations(context, currentScope(context)))
        await context.write.invalidateTags(tagsOf(tags), to)
    },
    flush: () => verbs.flush(),
    reads: (state: 'on' | 'off') => verbs.reads(state),
    ready: (options?: { reload?: boolean }) => verbs.ready(options),
    verifySchema: () => verbs.verifySchema(schemaTables(database())),
    stats: () => verbs.stats(schemaTables(database())),
    health: () => verbs.health(),
    on: (listener: (event: never) => void) => verbs.listen(listener),
    close: () => verbs.close(),
  }
}

function callOptions<Stats, Health>(
  options: HandleOptions,
  before: CallOptions,
  named: (table: object) => NamedTable,
  verbs: EngineVerbs<Stats, Health>,
): CallOptions {
  const stranger = Object.keys(options).find((name) => !callOptionNames.includes(name))
  if (stranger) {
    const known = callOptionNames.join(', ')
    throw new AsideError('ASIDE_UNKNOWN_OPTION', `with() has no option '${stranger}'. Known: ${known}.`)
  }
  return {
    ...before,
    ...(options.ttl !== undefined && { ttlMs: verbs.toMs(options.ttl) }),
    ...(options.cache !== undefined && { cache: options.cache }),
    ...(options.writes && { writes: options.writes.map(named) }),
    ...(options.tables && { tables: options.tables.map(named) }),
    ...(options.tag !== undefined && { tags: tagsOf(options.tag) }),
  }
}

const callOptionNames = ['ttl', 'cache', 'writes', 'tag', 'tables']

function tagsOf(tag: unknown): string[] {
  const tags = [tag].flat()
  if (tags.length > 0 && tags.every((each) => typeof each === 'string' && each !== '')) return tags as string[]
  throw new AsideError('ASIDE_BAD_OPTION', `tag must be a text or a list of texts, not ${JSON.stringify(tag)}.`)
}

function encodeRows(context: StatementContext, table: object, rows: { old?: object; new?: object }): WrittenRows {
  const shape = context.shape(table)
  return {
    ...(rows.old && { old: encodeFor(shape, rows.old) }),
    ...(rows.new && { new: encodeFor(shape, rows.new) }),
  }
}

/** A key as a row of its columns: a plain value stands for the only column of the primary key. */
function keyRow(context: StatementContext, table: object, key: unknown): Record<string, unknown> {
  const shape = context.shape(table)
  if (typeof key === 'object' && key !== null) return encodeFor(shape, key)
  const primary = shape.columns.filter(({ column }) => column.primary)
  const only = primary[0]
  if (primary.length !== 1 || !only) {
    throw new AsideError('ASIDE_BAD_KEY', `invalidate(${shape.name}, key): name the key's columns, e.g. { id: 1 }.`)
  }
  return encodeFor(shape, { [only.key]: key })
}
