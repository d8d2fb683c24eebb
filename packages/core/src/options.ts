import type { Column, Table } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import { AsideError } from './errors.ts'
import { createEncryption, type Encryption, type EncryptionOptions } from './model/encryption.ts'
import { isNamespace } from './model/keys.ts'
import { DEFAULT_OUTBOX, LONGEST_OUTBOX, type OutboxName, outboxTable } from './model/outbox.ts'
import type { Clock } from './ports/clock.ts'
import type { Listener } from './ports/events.ts'
import type { Store } from './ports/store.ts'

/** A span of time: milliseconds, or a number with `ms`, `s`, `m`, `h` or `d`, e.g. `'10m'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/** Columns of a table by their TypeScript keys, as `t` in `(t) => [t.id]`. */
export type ColumnsOf<T extends Table> = T['_']['columns']

/** How the rows of one table are cached. */
export interface TableOptions<T extends PgTable = PgTable> {
  /** How long an entry may be served. Default: five minutes. */
  ttl?: Duration
  /** How long "there is no such row" may be served. Default: 30 seconds. */
  negativeTtl?: Duration
  /** Share by which times to live are varied, so that entries do not expire together. Default: 0.1. */
  jitter?: number
  /** Tables that the triggers of this table write; `[]` says that they write none. Default: anything. */
  affects?: readonly PgTable[]
  /**
   * Columns that never leave the process: reads that need them go to the database, and no list or key is kept by them. With
   * `encryption` they are kept like others, encrypted; what is asked by a key of them, or by `lists` that name them, is
   * named by an HMAC of their values.
   */
  sensitive?: (columns: ColumnsOf<T>) => readonly Column[]
  /** The columns that are kept; reads that need others go to the database. Default: all. */
  record?: (columns: ColumnsOf<T>) => readonly Column[]
  /** Whether a list of keys may be answered row by row, each current on its own. Default: true. */
  compose?: boolean
  /** Part of every entry's key, e.g. the tenant; overrides the option of `withCache`. Undefined: bypass. */
  scope?: () => unknown
  /** Largest row that is stored, in characters of its encoded form. Default: 262,144. */
  maxBytes?: number
  /**
   * Combinations of columns that lists are asked by, beside those that the database suggests (foreign keys, first columns
   * of indexes): a write drops only the lists that its row was in or entered. At most 16. The database suggests none of
   * `sensitive` columns, and without `encryption` none may be named.
   *
   * @example lists: (t) => [t.status, [t.authorId, t.status]]
   */
  lists?: (columns: ColumnsOf<T>) => readonly (Column | readonly Column[])[]
  /**
   * Groups of columns that change often and that most results do not show: a write that changes nothing else leaves the
   * results that do not reach the group. A column is in one group at most; the names are for you. Which groups would pay
   * `$aside.stats().needlessDrops` tells, with the line to paste.
   *
   * @example facets: (t) => ({ counters: [t.viewCount, t.likes] })
   */
  facets?: (columns: ColumnsOf<T>) => Readonly<Record<string, readonly Column[]>>
  /** Whether a cached result also rests on each of its rows, so that no move of another writer is missed. Default: false. */
  rows?: boolean
  /** Most rows of a result that is stored; larger ones are answered and not kept. Default: 1,000. */
  maxRows?: number
  /**
   * Fills entries anew before they expire, behind a hit that is served at once: so that a hot entry is never missed for
   * its age. `true`, or `{}`: by chance, the likelier the nearer the end and the dearer the query (XFetch). `beta` makes it
   * earlier (above 1) or later; `ahead` is a window before the end in which each hit does it, at most half the time to
   * live. It takes a free place of `maxFills` or waits for a later hit. Default: not at all.
   *
   * @example refresh: { ahead: '30s' }
   * @see https://www.vldb.org/pvldb/vol8/p886-vattani.pdf
   */
  refresh?: boolean | { beta?: number; ahead?: Duration }
  /**
   * What is served while the database does not answer: the last known answer, at most `maxAge` after its query, and never
   * one from before a write of this process. Of the query's own errors nothing is hidden. A query over several tables is
   * served where each of them allows it, and the smallest `maxAge` counts. `false`: nothing, whatever `withCache` says. Each
   * fill then keeps a second copy of its answer. Default: nothing.
   *
   * @example serveStaleOnError: { maxAge: '1h' }
   * @see https://www.rfc-editor.org/rfc/rfc5861#section-4 stale-if-error, the idea
   */
  serveStaleOnError?: StaleOptions | false
  /** Most rows that one statement reports one by one; more, and the whole table falls. Default: 1,000. */
  maxTouched?: number
}

/** See {@link TableOptions.serveStaleOnError}. */
export interface StaleOptions {
  /** How long ago the query of an answer may have begun. */
  readonly maxAge: Duration
}

/** A table with its options, as {@link cached} and {@link uncached} make it. */
export interface TableEntry {
  readonly table: PgTable
  readonly options: TableOptions
  readonly cached: boolean
}

/** See {@link AsideOptions.compression}. */
export interface CompressionOptions {
  /** Characters of the encoded rows; about 100 for a row. Smaller ones cost more than they save. */
  readonly threshold: number
}

/** Whose keys the outbox holds, and where it is. */
export interface OutboxOptions {
  /** `'always'`: of every write. `'when-down'`: of writes that begin while this process knows the store to be down. */
  mode: 'always' | 'when-down'
  /** Schema of the table. Default: where the search path finds it. */
  schema?: string
  /** Name of the table. Default: `'aside_outbox'`. */
  table?: string
  /** How long a row of another process may lie there until this one delivers it. Default: one second. */
  drainEvery?: Duration
}

/** What `withCache` takes. */
export interface AsideOptions {
  /** Where entries are kept. Default: the memory of this process, shared by all that use the same namespace. */
  store?: Store
  /** Keeps applications on one store apart; 1 to 64 of `A-Z a-z 0-9 . _ -`. Required for a shared store. */
  namespace?: string
  /** The tables whose rows are cached, or `'all'`. */
  tables: readonly TableEntry[] | 'all'
  /** Part of every entry's key, e.g. the tenant. A scope that yields undefined or null, or throws, is a bypass. */
  scope?: () => unknown
  /**
   * Encrypts what is stored (AES-256-GCM), bound to what it answers: then `sensitive` columns are kept, too,
   * and keys and lists by them, whose values are named by HMAC-SHA-256. Default: none.
   *
   * @example
   * encryption: { keys: { k1, k2 }, current: 'k2', tokenKey } // 32 random bytes each, as Buffers
   */
  encryption?: EncryptionOptions
  /**
   * Compresses rows and answers of at least `threshold` characters (deflate) where that makes them smaller. Default: off.
   * The length of a compressed answer tells a little of what is in it, see docs/security.md.
   *
   * @example
   * compression: { threshold: 4_096 }
   */
  compression?: CompressionOptions
  /** Receives every event. */
  on?: Listener
  /** What a committed write does whose invalidation cannot be delivered. Default: resolve, and report an event. */
  onPending?: 'resolve' | 'reject'
  /** How long a read waits for the store before it asks the database. Default: 50 ms. */
  readDeadline?: Duration
  /** How long a write waits for the store before its keys are queued. Default: 250 ms. */
  invalidateDeadline?: Duration
  /** How many keys may wait for a store that does not answer; beyond it whole tables fall. Default: 100,000. */
  queueBound?: number
  /**
   * How many queries of misses run at a time in this process; the others wait for their turn, first come first served,
   * and none of them fails for it. Reads that bypass the cache, and all that runs in a transaction, are not counted.
   * Wraps over one client share the limit: the smallest number that one of them asks for. Default: four fifths of the pool's connections
   * (8 of 10), so that writes and transactions find one; 8 where the client does not say how many it has.
   *
   * @example maxFills: 4
   */
  maxFills?: number
  /**
   * Lets one process at a time run the query of a miss that several of them have, of a row, of each row of a list of keys, or
   * of a whole answer: it takes a token in the store, the others wait for its fill, 200 ms at most, and serve it where it is
   * valid under their own stamps. Else they ask the database themselves. It costs each miss a command to the store, and one
   * more round trip where no stamp has to be minted, so it pays where a query is dear and many processes ask it; within a
   * process misses share their query without it. Default: off.
   *
   * @example fillToken: { wait: '500ms' }
   */
  fillToken?: boolean | { wait?: Duration }
  /**
   * Writes their keys into a table of the database with the write itself, from where any healthy process delivers them: what a
   * process leaves behind that dies after its COMMIT, or is cut off from the store, is made known within `drainEvery`.
   * Needs a shared store and the table of {@link outboxMigration}. Default: none.
   *
   * @example outbox: 'always'
   * @example outbox: { mode: 'when-down', schema: 'app', drainEvery: '500ms' }
   */
  outbox?: OutboxOptions['mode'] | OutboxOptions
  /** {@link TableOptions.serveStaleOnError} of the tables that say nothing of it. Default: nothing is served. */
  serveStaleOnError?: StaleOptions
  /** How old the facts about the database may grow. Default: 30 s. */
  catalogReread?: Duration
  /** For tests that move the time by hand. Default: the clock of the process. */
  clock?: Clock
}

/** What `withCache` takes for a read replica. */
export interface ReplicaOptions {
  /**
   * The wrapped db over the primary that the replica follows: the store, the namespace, the tables and all other options are
   * taken from it. Both must be physical copies of one cluster; for several replicas wrap each.
   */
  primary: { readonly $aside: unknown }
}

/**
 * Lists a table as cached.
 *
 * @example
 * cached(users, { ttl: '10m', sensitive: (t) => [t.passwordHash] })
 *
 * @throws AsideError `ASIDE_UNKNOWN_OPTION`, `ASIDE_BAD_OPTION` or `ASIDE_BAD_DURATION` for options that make no sense.
 */
export function cached<T extends PgTable>(table: T, options: TableOptions<T> = {}): TableEntry {
  checkNames('cached', options, tableOptionNames)
  checkTableOptions(options as TableOptions)
  return { table, options: options as TableOptions, cached: true }
}

/**
 * Lists a table that is not cached, to say what its triggers write.
 *
 * @example
 * uncached(auditLog, { affects: [] })
 */
export function uncached<T extends PgTable>(table: T, options: Pick<TableOptions<T>, 'affects'> = {}): TableEntry {
  checkNames('uncached', options, ['affects'])
  return { table, options: options as TableOptions, cached: false }
}

/**
 * Every table of a schema with the same options; list a table again after it to give it options of its own.
 *
 * @example
 * withCache(db, { tables: [...allTables(schema, { ttl: '1m' }), cached(users, { ttl: '1h' })] })
 */
export function allTables(schema: Record<string, unknown>, options: TableOptions = {}): TableEntry[] {
  return Object.values(schema)
    .filter(isTable)
    .map((table) => cached(table, options))
}

const drizzleTable = Symbol.for('drizzle:IsDrizzleTable')
const isTable = (value: unknown): value is PgTable =>
  typeof value === 'object' && value !== null && drizzleTable in value

const tableOptionNames = [
  'ttl',
  'negativeTtl',
  'jitter',
  'affects',
  'sensitive',
  'record',
  'compose',
  'scope',
  'maxBytes',
  'maxTouched',
  'lists',
  'facets',
  'rows',
  'maxRows',
  'refresh',
  'serveStaleOnError',
]
const optionNames = [
  'store',
  'namespace',
  'tables',
  'scope',
  'encryption',
  'compression',
  'on',
  'onPending',
  'readDeadline',
  'invalidateDeadline',
  'queueBound',
  'maxFills',
  'fillToken',
  'outbox',
  'serveStaleOnError',
  'catalogReread',
  'clock',
]

function checkNames(where: string, options: object, known: readonly string[]): void {
  const stranger = Object.keys(options).find((name) => !known.includes(name))
  if (stranger === undefined) return
  throw new AsideError('ASIDE_UNKNOWN_OPTION', `${where} has no option '${stranger}'. Known: ${known.join(', ')}.`)
}

function checkTableOptions(options: TableOptions): void {
  for (const name of ['ttl', 'negativeTtl'] as const) if (options[name] !== undefined) milliseconds(options[name], name)
  checkNumber('jitter', options.jitter, (value) => value >= 0 && value < 1, 'a number from 0 to below 1')
  for (const name of ['maxBytes', 'maxTouched', 'maxRows'] as const) {
    checkCount(name, options[name])
  }
  for (const name of ['lists', 'facets'] as const) {
    if (options[name] === undefined || typeof options[name] === 'function') continue
    throw new AsideError('ASIDE_BAD_OPTION', `${name} must be a function of the table's columns.`)
  }
  checkRefresh(options.refresh)
  staleAge(options.serveStaleOnError)
  if (options.rows !== undefined && typeof options.rows !== 'boolean') {
    throw new AsideError('ASIDE_BAD_OPTION', 'rows must be true or false.')
  }
}

function checkRefresh(refresh: unknown): void {
  if (refresh === undefined || typeof refresh === 'boolean') return
  if (typeof refresh !== 'object' || refresh === null)
    throw new AsideError('ASIDE_BAD_OPTION', `refresh must be true, false or e.g. { ahead: '30s' }.`)
  checkNames('refresh', refresh, ['beta', 'ahead'])
  const { beta, ahead } = refresh as { beta?: unknown; ahead?: unknown }
  checkNumber('beta', beta, (value) => value >= 0 && Number.isFinite(value), 'a number from 0')
  if (ahead !== undefined) milliseconds(ahead, 'ahead')
}

/** How old an answer may be that is served while the database is down; undefined: none is. */
export function staleAge(stale: unknown): number | undefined {
  if (stale === undefined || stale === false) return undefined
  if (typeof stale !== 'object' || stale === null)
    throw new AsideError('ASIDE_BAD_OPTION', `serveStaleOnError must be e.g. { maxAge: '1h' }, or false.`)
  checkNames('serveStaleOnError', stale, ['maxAge'])
  return milliseconds((stale as { maxAge?: unknown }).maxAge, 'maxAge')
}

const checkCount = (name: string, value: unknown): void =>
  checkNumber(name, value, (count) => Number.isInteger(count) && count > 0, 'a positive whole number')

function checkNumber(name: string, value: unknown, holds: (value: number) => boolean, wanted: string): void {
  if (value === undefined || (typeof value === 'number' && holds(value))) return
  throw new AsideError('ASIDE_BAD_OPTION', `${name} must be ${wanted}, not ${String(value)}.`)
}

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** A duration in milliseconds. Throws `ASIDE_BAD_DURATION` for anything that is not a positive span of time. */
export function milliseconds(duration: unknown, name: string): number {
  const parts = typeof duration === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration) : undefined
  const ms = parts ? Number(parts[1]) * units[parts[2] as keyof typeof units] : duration
  if (typeof ms === 'number' && Number.isFinite(ms) && ms > 0) return ms
  const wanted = `a positive number of milliseconds or a text such as '10m'`
  throw new AsideError('ASIDE_BAD_DURATION', `${name} must be ${wanted}, not ${JSON.stringify(duration)}.`)
}

/** The outbox with its defaults. */
export interface ResolvedOutbox extends OutboxName {
  readonly mode: OutboxOptions['mode']
  readonly drainMs: number
}

/** Options with their defaults. */
export interface ResolvedOptions {
  readonly store: Store | undefined
  readonly namespace: string
  readonly entries: readonly TableEntry[] | 'all'
  readonly scope: (() => unknown) | undefined
  readonly encryption: Encryption | undefined
  readonly compressFrom: number | undefined
  readonly on: Listener | undefined
  readonly onPending: 'resolve' | 'reject'
  readonly readDeadlineMs: number
  readonly removeDeadlineMs: number
  readonly queueBound: number
  /** Undefined: by the size of the client's pool. */
  readonly maxFills: number | undefined
  /** How long a miss waits for another process's fill; undefined: not at all, and there are no tokens. */
  readonly tokenWaitMs: number | undefined
  readonly outbox: ResolvedOutbox | undefined
  readonly maxStaleMs: number | undefined
  readonly rereadMs: number
  readonly clock: Clock | undefined
}

/** Checks the options of `withCache` and fills in the defaults, once, at the door. */
export function resolveOptions(options: AsideOptions): ResolvedOptions {
  checkNames('withCache', options, optionNames)
  checkTables(options.tables)
  checkStore(options)
  for (const name of ['queueBound', 'maxFills'] as const) checkCount(name, options[name])
  if (options.onPending !== undefined && !['resolve', 'reject'].includes(options.onPending)) {
    throw new AsideError('ASIDE_BAD_OPTION', `onPending must be 'resolve' or 'reject'.`)
  }
  return {
    store: options.store,
    namespace: options.namespace ?? 'default',
    entries: options.tables,
    scope: options.scope,
    encryption: options.encryption && createEncryption(options.encryption),
    compressFrom: thresholdOf(options.compression),
    on: options.on,
    onPending: options.onPending ?? 'resolve',
    readDeadlineMs: milliseconds(options.readDeadline ?? 50, 'readDeadline'),
    removeDeadlineMs: milliseconds(options.invalidateDeadline ?? 250, 'invalidateDeadline'),
    queueBound: options.queueBound ?? 100_000,
    maxFills: options.maxFills,
    tokenWaitMs: tokenWait(options.fillToken),
    outbox: resolveOutbox(options),
    maxStaleMs: staleAge(options.serveStaleOnError),
    rereadMs: milliseconds(options.catalogReread ?? 30_000, 'catalogReread'),
    clock: options.clock,
  }
}

/** A wrap over a replica has no options of its own. */
export function refuseMore(options: ReplicaOptions): void {
  checkNames('withCache with a primary', options, ['primary'])
}

function tokenWait(fillToken: unknown): number | undefined {
  if (fillToken === undefined || fillToken === false) return undefined
  if (fillToken === true) return TOKEN_WAIT_MS
  if (typeof fillToken !== 'object' || fillToken === null)
    throw new AsideError('ASIDE_BAD_OPTION', `fillToken must be true, false or e.g. { wait: '500ms' }.`)
  checkNames('fillToken', fillToken, ['wait'])
  const { wait = TOKEN_WAIT_MS } = fillToken as { wait?: unknown }
  return milliseconds(wait, 'wait')
}

/** Most queries are over by then, and those that are not have a reader who asks himself. */
const TOKEN_WAIT_MS = 200

function thresholdOf(compression: CompressionOptions | undefined): number | undefined {
  if (compression === undefined) return undefined
  checkNames('compression', compression, ['threshold'])
  checkNumber(
    'compression.threshold',
    compression.threshold ?? Number.NaN,
    (value) => Number.isInteger(value) && value > 0,
    'a positive whole number',
  )
  return compression.threshold
}

function resolveOutbox({ outbox, store }: AsideOptions): ResolvedOutbox | undefined {
  if (outbox === undefined) return undefined
  const given: OutboxOptions = typeof outbox === 'string' ? { mode: outbox } : outbox
  checkNames('outbox', given, ['mode', 'schema', 'table', 'drainEvery'])
  if (!['always', 'when-down'].includes(given.mode))
    throw new AsideError('ASIDE_BAD_OPTION', `outbox must be 'always' or 'when-down', or have one of them as its mode.`)
  if (!store || store.processLocal)
    throw new AsideError(
      'ASIDE_OUTBOX_NEEDS_SHARED_STORE',
      'An outbox tells other processes, and what is in the memory of this one they do not share. Pass a shared store, e.g. redisStore(client), or leave outbox out.',
    )
  return { mode: given.mode, ...outboxName(given), drainMs: milliseconds(given.drainEvery ?? 1_000, 'drainEvery') }
}

function outboxName({ schema, table = DEFAULT_OUTBOX }: Pick<OutboxOptions, 'schema' | 'table'>): OutboxName {
  const isName = (name: unknown, longest: number): boolean =>
    typeof name === 'string' && name !== '' && !name.includes('\0') && Buffer.byteLength(name) <= longest
  if (isName(table, LONGEST_OUTBOX) && (schema === undefined || isName(schema, 63))) return { schema, table }
  const wanted = `a name of at most ${LONGEST_OUTBOX} bytes, its schema one of at most 63`
  throw new AsideError('ASIDE_BAD_OPTION', `The table of the outbox must be ${wanted}.`)
}

/**
 * The statements that create the table of the option `outbox`, for your migrations. They may run again. Roles that are
 * not the owner of the table need SELECT, INSERT and DELETE on it.
 *
 * @example
 * console.log(outboxMigration({ schema: 'app' })) // create table if not exists "app"."aside_outbox" (…
 *
 * @throws AsideError `ASIDE_BAD_OPTION` for a name that cannot be one.
 */
export function outboxMigration(name: Pick<OutboxOptions, 'schema' | 'table'> = {}): string {
  checkNames('outboxMigration', name, ['schema', 'table'])
  return outboxTable(outboxName(name))
}

function checkTables(tables: unknown): void {
  if (tables === 'all') return
  const usable = Array.isArray(tables) && tables.every((entry) => isTable((entry as TableEntry)?.table))
  if (usable) return
  throw new AsideError(
    'ASIDE_UNKNOWN_TABLE',
    `tables must be 'all' or a list of cached(table); pass Drizzle table objects.`,
  )
}

/** Each is a key more to remove where a table falls as a whole. */
const MOST_BUCKETS = 64

const storeVerbs = ['read', 'mint', 'write', 'remove', 'clear', 'close'] as const

function checkStore({ store, namespace }: AsideOptions): void {
  if (namespace !== undefined && !isNamespace(namespace)) {
    throw new AsideError(
      'ASIDE_BAD_NAMESPACE',
      `namespace must be 1 to 64 of A-Z a-z 0-9 . _ -, not ${JSON.stringify(namespace)}.`,
    )
  }
  if (store === undefined) return
  const lacking = storeVerbs.find((verb) => typeof store[verb] !== 'function')
  if (lacking)
    throw new AsideError('ASIDE_BAD_STORE', `The store has no ${lacking}(). Pass memoryStore() or redisStore(client).`)
  if (!store.processLocal && (!store.enter || !store.removeAndLook))
    throw new AsideError(
      'ASIDE_BAD_STORE',
      'A store that several processes share must have enter() and removeAndLook(). One that does not is processLocal.',
    )
  const { buckets = 1 } = store
  if (!(Number.isInteger(buckets) && buckets >= 1 && buckets <= MOST_BUCKETS))
    throw new AsideError('ASIDE_BAD_STORE', `buckets of a store must be a whole number from 1 to 64, not ${buckets}.`)
  if (!store.processLocal && namespace === undefined) {
    throw new AsideError(
      'ASIDE_NO_NAMESPACE',
      `A shared store needs a namespace, e.g. namespace: 'shop': it keeps applications apart.`,
    )
  }
}
