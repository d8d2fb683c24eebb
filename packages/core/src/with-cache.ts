import type { Table } from 'drizzle-orm'
import { type Catalog, type ChangeInfo, openCatalog } from './catalog/open-catalog.ts'
import { createHandle } from './drizzle/aside-handle.ts'
import { type ClientState, claimClient, clientState, releaseClient } from './drizzle/client-state.ts'
import { declaredTable } from './drizzle/declared-table.ts'
import type { Explanation } from './drizzle/explain-statement.ts'
import { checkDrizzle, type Database } from './drizzle/internals.ts'
import { Naming } from './drizzle/naming.ts'
import type { SessionEffect } from './drizzle/prepared-raw.ts'
import { carefulRunner, outsideRunner, sampleParsers } from './drizzle/run-outside.ts'
import { type TableShape, tableShapes } from './drizzle/table-shape.ts'
import type { WarmOptions, WarmQuery, WarmSummary } from './drizzle/warm-queries.ts'
import { wrapDatabase } from './drizzle/wrap-database.ts'
import { AsideError } from './errors.ts'
import { bindCover, labelOf, tableLabel } from './map/bind-cover.ts'
import { cascadeSteps } from './map/cascades.ts'
import { beyondCache, classifySql, mayCommitWithin, selectCache, verdictCache } from './map/classify-sql.ts'
import { compareSchema } from './map/compare-schema.ts'
import { coverQuery } from './map/cover-query.ts'
import { matchKey } from './map/match-key.ts'
import { reachCache } from './map/reach.ts'
import { refusedLists, schemesLeftOut, tableSchemes } from './map/schemes.ts'
import { type FacetMap, facetLabel, facetMap } from './model/facets.ts'
import { type CatalogFacts, findRelation, type RelationFacts, type RelationId } from './model/facts.ts'
import { digest, registerKey, type Scheme, TableKeys, tagKey } from './model/keys.ts'
import type { OutboxFault } from './model/outbox.ts'
import { createPayloads, type Payloads } from './model/payload.ts'
import type { BypassReason } from './model/reasons.ts'
import type { TableSettings } from './model/record.ts'
import { type Registration, registrationOf, unionFacets } from './model/registration.ts'
import type { SchemaDifference } from './model/schema-difference.ts'
import type { RefreshSettings } from './model/timing.ts'
import { settingNamed } from './model/told-error.ts'
import {
  type AsideOptions,
  type Duration,
  milliseconds,
  type ResolvedOptions,
  resolveOptions,
  type TableOptions,
} from './options.ts'
import { type Clock, systemClock } from './ports/clock.ts'
import type { AsideEvent, Listener } from './ports/events.ts'
import type { GuardedStore } from './ports/guarded-store.ts'
import type { FailoverGuard, GuardLowered, Store } from './ports/store.ts'
import { RecordReadPath } from './read/create-read-path.ts'
import { FillLimit } from './read/fill-limit.ts'
import { FillTokens } from './read/fill-tokens.ts'
import { createRecordReader, peekRecord, type RecordReader } from './read/read-records.ts'
import { createResultReader } from './read/read-results.ts'
import type { PayloadIdentity } from './read/record-source.ts'
import { Refreshes } from './read/refreshes.ts'
import { ResultPath } from './read/result-path.ts'
import { type KnowsOthers, LocalRegisters, LocalRegistrar } from './register/local-registrar.ts'
import { Registrar } from './register/registrar.ts'
import { guardStore } from './stores/guard-store.ts'
import { sharedMemoryStore } from './stores/memory-store.ts'
import { adviseGroups, type NamedGroup } from './watch/advise-groups.ts'
import { type AsideStats, CountingVoice } from './watch/create-voice.ts'
import { BoundedDropWatch } from './watch/watch-drops.ts'
import { createDelivery, type Delivery } from './write/deliver.ts'
import { Outbox, type OutboxHealth } from './write/outbox.ts'
import { Changes } from './write/scope.ts'
import { createUnknownOutcomes, type UnknownOutcomes } from './write/unknown-outcome.ts'
import { type KnownRegister, WriteThrough } from './write/write-path.ts'

/** How the extension is doing, and what to do where it is not well. */
export interface AsideHealth {
  readonly state: 'ok' | 'starting' | 'degraded' | 'off'
  readonly store: {
    readonly name: string
    readonly pendingKeys: number
    readonly pendingTables: number
    /** What keeps removed answers from coming back with a failover; undefined: the store cannot bring any back. */
    readonly failoverGuard: FailoverGuard | undefined
  }
  readonly catalog: Catalog['state']
  /**
   * How often the database server was found to be started anew, promoted or replaced. Each time everything cached falls:
   * such a server may have lost commits that were read before.
   */
  readonly serverChanges: number
  /** Undefined without the option. */
  readonly outbox: OutboxHealth | undefined
  /** One sentence for each thing that keeps reads from the cache, or the outbox from its work. */
  readonly remarks: readonly string[]
}

type Columns<T extends Table> = Partial<T['$inferSelect']>

/** What `$aside.with` takes: said once for every query of the handle that it returns. */
export interface CallOptions {
  /** How long answers may be served. Default: the shortest of the tables that are read. */
  ttl?: Duration
  /** `false`: reads go to the database. Writes are made known all the same. */
  cache?: boolean
  /** The tables that raw statements write, on the caller's word; `[]`: none. */
  writes?: readonly Table[]
  /** Answers also fall with `invalidateTag`. */
  tag?: string | readonly string[]
  /**
   * Tables that the raw text of selects reads beside those that can be seen; on the caller's word. A call of a function that
   * is not known to be immutable stays a bypass.
   */
  tables?: readonly Table[]
}

/** Any builder; a relational query's type shows only `toSQL`. */
export type Explainable = { getSQL(): unknown } | { toSQL(): unknown }

/** The handle `db.$aside`. */
export interface Aside<Db> {
  /** The same db with other options for everything it runs; keep it in a constant. */
  with(options: CallOptions): Db & { readonly $aside: Aside<Db> }
  /** What the extension would do with a query, and why; prints as text. */
  explain(query: Explainable): Promise<Explanation>
  /**
   * Runs queries so that the cache holds their answers, before traffic comes: after a deploy, say, or a `flush()`. At most
   * `maxFills` run at a time, and what is in the cache already asks the database for nothing. A query that fails stops no
   * other; the summary says which did, and why. An async generator must yield functions: it would run builders itself.
   *
   * @example
   * const { filled, failed } = await db.$aside.warm(
   *   ids.map((id) => db.query.posts.findFirst({ where: eq(posts.id, id), with: { author: true } })),
   *   { concurrency: 2, onProgress: ({ done, total }) => console.log(`${done} of ${total}`) },
   * )
   *
   * @throws AsideError `ASIDE_UNKNOWN_OPTION` or `ASIDE_BAD_OPTION` for options that make no sense, `ASIDE_BAD_QUERY` where
   * `queries` is no iterable, `ASIDE_CLOSED` after `close()`; and what an iterable of yours throws. An item that is no query
   * is a failure like others, with `ASIDE_BAD_QUERY`.
   */
  warm(queries: Iterable<WarmQuery> | AsyncIterable<WarmQuery>, options?: WarmOptions): Promise<WarmSummary>
  /**
   * Tells that rows were written by other means: the whole table, or exactly the given row, as it was and as it is. It is
   * exact where the rows name every column of every key and list of the table. In a transaction: at commit.
   */
  wrote<T extends Table>(table: T, rows?: { old?: Columns<T>; new?: Columns<T> }): Promise<void>
  /**
   * Drops what is cached of one key, of the rows that share the values of a list (`{ authorId: 1 }`), or of a whole table.
   */
  invalidate<T extends Table>(table: T, key?: Columns<T> | string | number | bigint): Promise<void>
  /** Drops every answer that was asked for under one of these tags. In a transaction: at commit. */
  invalidateTag(...tags: string[]): Promise<void>
  /** Drops everything that is cached under the namespace. */
  flush(): Promise<void>
  /** Kill switch: reads bypass the cache, invalidations go on. */
  reads(state: 'on' | 'off'): void
  /** Resolves when the database's facts are known; with `reload`, when they were read anew (after migrations). */
  ready(options?: { reload?: boolean }): Promise<void>
  /**
   * Reads the catalog anew and tells where it differs from the declared schema, the tables of the options and of the
   * schema given to drizzle, and what each difference costs. Empty: nothing does. For a start-up log or a test.
   *
   * @example
   * for (const { table, columns, found, cost } of await db.$aside.verifySchema()) console.warn(table, columns, found, cost)
   */
  verifySchema(): Promise<SchemaDifference[]>
  stats(): AsideStats
  health(): AsideHealth
  /** Adds a listener; the answer takes it away again. */
  on(listener: Listener): () => void
  /** Delivers what waits, ends timers and the store's own connections. The db goes on without cache. */
  close(): Promise<void>
}

/** A db of the same type with the handle. */
export type WithAside<Db> = Db & { readonly $aside: Aside<Db> }

/**
 * Wraps a Drizzle db: selects by key are served from the store, and every write through the returned db invalidates
 * exactly what it touched, after its commit. The db that was passed in stays as it was; what it writes is not seen.
 *
 * @example
 * const db = withCache(drizzle(pool, { schema }), { tables: [cached(users, { ttl: '10m' })] })
 * await db.select().from(users).where(eq(users.id, 1))
 *
 * @throws AsideError with a code for every set-up mistake; see {@link AsideOptions}.
 */
export function withCache<Db extends { readonly _: { readonly session: unknown } }>(
  db: Db,
  options: AsideOptions,
): WithAside<Db> {
  const kind = checkDrizzle(db)
  const resolved = resolveOptions(options)
  const real = db as unknown as Database
  refuseTwice(real)
  const engine = new Engine(real, clientState(real.session, kind), resolved)
  return engine.wrap(db) as WithAside<Db>
}

/**
 * The handle of a wrapped db, or of a transaction of one, whose type does not show it.
 *
 * @example
 * await db.transaction(async (tx) => { await tx.execute(sql`…`); await aside(tx).wrote(posts) })
 */
export function aside<Db>(db: Db): Aside<Db> {
  const handle = (db as { $aside?: Aside<Db> } | null | undefined)?.$aside
  if (handle) return handle
  throw new AsideError('ASIDE_NOT_WRAPPED', 'aside() takes a db that withCache returned, or a transaction of one.')
}

function refuseTwice(db: Database): void {
  if ('$aside' in db) {
    throw new AsideError('ASIDE_ALREADY_WRAPPED', 'This db is wrapped already. Wrap what drizzle() returned, once.')
  }
  if (db.$cache !== undefined && hasOwnCache(db.session)) {
    const advice = 'It would answer our own queries. Remove `cache` from drizzle(…).'
    throw new AsideError('ASIDE_DRIZZLE_CACHE_ON', `Drizzle's own cache is on for this db. ${advice}`)
  }
}

function hasOwnCache(session: object): boolean {
  const strategy = (session as { cache?: { strategy?: () => string; constructor: { name: string } } }).cache
  return strategy !== undefined && strategy.constructor.name !== 'NoopCache'
}

/** What several wrapped dbs over one store share: its guard, and per namespace what waits for it. */
interface SharedStore {
  readonly guard: GuardedStore
  readonly deliveries: Map<string, Delivery>
  readonly engines: Map<string, Set<Engine>>
  readonly voices: Set<Listener>
  readonly drops: BoundedDropWatch
  /** Hears no more of the store's incarnations. */
  readonly unhear: () => void
  users: number
}
const sharedStores = new WeakMap<Store, SharedStore>()
/** What was kept in the stores of this process. It outlives the last wrap: a store may be wrapped again. */
const localRegisters = new WeakMap<Store, LocalRegisters>()
const defaultStores = new Map<string, Store>()

function shareStore(store: Store, options: ResolvedOptions, clock: Clock): SharedStore {
  let shared = sharedStores.get(store)
  if (!shared) {
    const voices = new Set<Listener>()
    const emit: Listener = (event) => {
      for (const voice of voices) voice(event)
    }
    const { readDeadlineMs, removeDeadlineMs } = options
    const guard = guardStore(store, { clock, emit, readDeadlineMs, removeDeadlineMs })
    const engines: SharedStore['engines'] = new Map()
    const unhear = store.incarnations?.listen((news) => {
      emit(news)
      // The register went with the incarnation: whoever enters the new one first ends the time without.
      if (news.type === 'incarnationChanged')
        for (const peers of engines.values()) for (const each of peers) each.hurry()
    })
    const drops = new BoundedDropWatch()
    shared = { guard, deliveries: new Map(), engines, voices, drops, unhear: unhear ?? (() => {}), users: 0 }
    sharedStores.set(store, shared)
  }
  return shared
}

/** By the state of a client: what its wraps ask of one database at a time is one number. */
const fillLimits = new WeakMap<ClientState, FillLimit>()

/** Where a client does not say how many connections it has; and the share of them that fills may take where it does. */
const DEFAULT_MAX_FILLS = 8
const FILLS_OF_POOL = 0.8

function fillLimitOf(client: ClientState, { maxFills }: ResolvedOptions, clock: Clock): FillLimit {
  const limit = fillLimits.get(client) ?? new FillLimit(() => usualFills(client), clock)
  fillLimits.set(client, limit)
  if (maxFills !== undefined) limit.ask(maxFills)
  return limit
}

function usualFills(client: ClientState): number {
  const size = client.poolSize()
  return size === undefined ? DEFAULT_MAX_FILLS : Math.max(1, Math.floor(size * FILLS_OF_POOL))
}

function registersOf(store: Store): LocalRegisters {
  const registers = localRegisters.get(store) ?? new LocalRegisters()
  localRegisters.set(store, registers)
  return registers
}

function defaultStore(namespace: string, clock: Clock): Store {
  let store = defaultStores.get(namespace)
  if (!store) {
    store = sharedMemoryStore(namespace, { clock })
    defaultStores.set(namespace, store)
  }
  return store
}

/** How long the first write waits for the first facts. */
const FIRST_FACTS_MS = 2000

/** One table's entry, found by the name it was declared under. */
interface Listed {
  readonly shape: TableShape
  readonly cached: boolean
  readonly settings: TableSettings
  /** The column groups of the settings under the user's names for them. */
  readonly groups: readonly NamedGroup[]
  readonly affects: readonly TableShape[] | undefined
}

/** Puts the wings together for one wrapped db. */
class Engine {
  readonly #options: ResolvedOptions
  readonly #client: ClientState
  readonly #clock: Clock
  readonly #voice = new CountingVoice()
  readonly #store: Store
  readonly #shared: SharedStore
  /** All wraps of this process over the store and namespace, this one included: what one must not serve, none may. */
  readonly #peers: Set<Engine>
  readonly #delivery: Delivery
  readonly #limit: FillLimit
  readonly #refreshes: Refreshes
  readonly #tokens: FillTokens
  readonly #catalog: Catalog
  readonly #unknown: UnknownOutcomes
  readonly #outbox: Outbox | undefined
  readonly #shape: (table: object) => TableShape
  readonly #listed: readonly Listed[] | 'all'
  readonly #write: WriteThrough
  readonly #read: RecordReadPath
  readonly #reader: RecordReader
  readonly #results: ResultPath
  readonly #naming: Naming
  readonly #payloads: Payloads
  readonly #peekWith: { store: GuardedStore; payloads: Payloads }
  readonly #verdicts = verdictCache()
  readonly #beyond = beyondCache()
  readonly #deferred = new Changes()
  /** Deferred changes that are being made known now. */
  #settling = 0
  /** Knows what others keep in the store. */
  readonly #registrar: KnowsOthers
  readonly #idle: boolean
  readonly #release: () => void
  #identity: PayloadIdentity | undefined
  #textIsExact = true
  #serverChanges = 0
  #reads: 'on' | 'off' = 'on'
  #closed = false

  constructor(real: Database, client: ClientState, options: ResolvedOptions) {
    this.#options = options
    this.#client = client
    this.#clock = options.clock ?? systemClock
    this.#payloads = createPayloads(options)
    if (options.on) this.#voice.listen(options.on)
    this.#store = options.store ?? defaultStore(options.namespace, this.#clock)
    refuseOtherStore(real, this.#store)
    this.#release = () => releaseClient(real.session)
    // On a shared store others may cache what this configuration does not.
    this.#idle = this.#store.processLocal && options.entries !== 'all' && options.entries.every(({ cached }) => !cached)
    if (!this.#idle) registersOf(this.#store).keep(options.namespace)
    this.#shared = shareStore(this.#store, options, this.#clock)
    this.#shared.voices.add(this.#emit)
    this.#shared.users++
    this.#peers = this.#shared.engines.get(options.namespace) ?? new Set()
    this.#shared.engines.set(options.namespace, this.#peers.add(this))
    this.#delivery = this.#shareDelivery()
    this.#limit = fillLimitOf(client, options, this.#clock)
    this.#refreshes = new Refreshes({ limit: this.#limit, clock: this.#clock, voice: this.#voice })
    this.#tokens = this.#createTokens()
    this.#shape = tableShapes(real.dialect)
    this.#naming = new Naming(real.dialect)
    this.#listed = listTables(options, this.#shape)
    const run = outsideRunner(real.session)
    this.#catalog = openCatalog({
      // What the driver makes of values is known before the first facts are.
      run: async (sql) => {
        if (!this.#identity) await this.#tryParsers(run)
        return run(sql)
      },
      clock: this.#clock,
      emit: (event) => this.#hearCatalog(event),
      // Read again in good time; facts older than promised decide nothing.
      rereadMs: options.rereadMs * REREAD_EARLY,
      staleMs: options.rereadMs,
      onChange: (changed, info) => this.#learn(run, changed, info),
    })
    this.#unknown = createUnknownOutcomes({
      run,
      clock: this.#clock,
      voice: this.#voice,
      publish: (changes) => this.#write.publish(changes, 'unknown-outcome'),
    })
    this.#registrar = this.#createRegistrar()
    this.#outbox = this.#createOutbox(carefulRunner(real.session, client))
    this.#reader = this.#createReader()
    this.#write = this.#createWrite()
    this.#peekWith = { store: this.#shared.guard, payloads: this.#payloads }
    this.#read = this.#createRead()
    this.#results = this.#createResults()
    if (this.#store.processLocal && !options.store) this.#announceLocal()
  }

  readonly #emit = (event: AsideEvent): void => this.#voice.emit(event)

  /** With the first facts, what could not be expressed without them is made known. */
  #hearCatalog(event: AsideEvent): void {
    this.#emit(event)
    if (event.type === 'serverChanged') this.#serverChanges++
    if (event.type !== 'catalogRead') return
    this.#registrar.start()
    this.#outbox?.start()
    if (this.#deferred.empty) return
    const waiting = new Changes()
    waiting.absorb(this.#deferred)
    this.#deferred.clear()
    this.#settling++
    const settled = (): void => {
      this.#settling--
    }
    this.#write.publish(waiting, 'unknown-write').then(settled, settled)
  }

  #announceLocal(): void {
    // The listener given in the options hears it; later ones ask health().
    if (!this.#idle) this.#emit({ type: 'storeIsProcessLocal' })
  }

  #shareDelivery(): Delivery {
    const { deliveries, guard, voices } = this.#shared
    const { namespace, queueBound } = this.#options
    let delivery = deliveries.get(namespace)
    if (!delivery) {
      const emit: Listener = (event) => {
        for (const voice of voices) voice(event)
      }
      const { engines } = this.#shared
      const doubted = (register: string): void => {
        for (const engine of engines.get(namespace) ?? []) engine.hurry(register)
      }
      delivery = createDelivery({ store: guard, clock: this.#clock, emit, doubted, maxPendingKeys: queueBound })
      deliveries.set(namespace, delivery)
    }
    return delivery
  }

  wrap<Db>(db: Db): Db {
    return wrapDatabase(db, {
      client: this.#client,
      read: this.#read,
      results: this.#results,
      naming: this.#naming,
      write: this.#write,
      call: {},
      shape: this.#shape,
      effectOf: (text) => this.#effectOf(text),
      handle: (session, database) => createHandle(database, session, this.#verbs()),
    })
  }

  #facts(): CatalogFacts | undefined {
    this.#catalog.want()
    return this.#catalog.facts
  }

  // —— what the catalog said ——

  /** New facts: what was cached under the old ones falls, and what waited for facts is made known. */
  async #learn(
    run: ReturnType<typeof outsideRunner>,
    changed: readonly RelationId[],
    { triggersCame, server }: ChangeInfo,
  ): Promise<void> {
    await this.#tryParsers(run)
    await this.#write.catalogChanged(changed, server ? 'server-changed' : triggersCame ? 'catalog-changed' : undefined)
  }

  async #tryParsers(run: ReturnType<typeof outsideRunner>): Promise<void> {
    const { kind, instance } = this.#client
    const samples = await sampleParsers(run)
    const parsers = digest(samples.text)
    this.#textIsExact = samples.textIsExact
    if (this.#identity?.parsers === parsers) return
    const { namespace } = this.#options
    this.#identity = { namespace, driver: kind, parsers, instance, sealing: this.#payloads.mark }
  }

  async #awaitFacts(): Promise<void> {
    if (this.#catalog.facts || this.#closed) return
    await this.#patiently(this.#catalog.ready())
  }

  /** After DDL nothing may be decided from what was known before it. */
  async #rereadFacts(): Promise<void> {
    if (this.#closed) return
    const before = this.#catalog.facts
    await this.#patiently(this.#catalog.ready({ reload: true }))
    if (this.#catalog.facts === before) this.#catalog.expire('ddl')
  }

  /** Waits for the catalog, but not for ever; what goes wrong is told by the catalog itself. */
  #patiently(ready: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.setTimer(resolve, FIRST_FACTS_MS)
      const end = (): void => {
        cancel()
        resolve()
      }
      ready.then(end, end)
    })
  }

  // —— which tables ——

  #entryOf(relation: RelationFacts, facts: CatalogFacts): Listed | undefined {
    if (this.#listed === 'all') return undefined
    // The last one wins, so that a list of all tables can be followed by exceptions.
    return [...this.#listed]
      .reverse()
      .find(({ shape }) => findRelation(facts, shape.schema, shape.name)?.id === relation.id)
  }

  readonly #entries = new Map<RelationId, { version: number; entry: Listed | undefined }>()

  #entry(relation: RelationFacts): Listed | undefined {
    const facts = this.#catalog.facts
    if (!facts) return undefined
    const known = this.#entries.get(relation.id)
    if (known?.version === facts.version) return known.entry
    const entry = this.#entryOf(relation, facts)
    this.#entries.set(relation.id, { version: facts.version, entry })
    return entry
  }

  #settings(relation: RelationFacts): TableSettings | undefined {
    if (this.#outbox?.isTable(relation)) return undefined
    if (this.#listed === 'all') {
      this.#allSettings ??= settingsOf({}, this.#options, undefined)
      return this.#allSettings
    }
    const entry = this.#entry(relation)
    return entry?.cached ? entry.settings : undefined
  }

  #allSettings: TableSettings | undefined

  #isCachedHere(relation: RelationFacts): boolean {
    if (this.#outbox?.isTable(relation)) return false
    if (this.#listed === 'all') return keepsRows.has(relation.kind)
    return this.#entry(relation)?.cached === true
  }

  #cachedRelations(facts: CatalogFacts): RelationFacts[] {
    return [...facts.relations.values()].filter((relation) => this.#isCached(relation))
  }

  #cachedHere(facts: CatalogFacts): RelationFacts[] {
    return [...facts.relations.values()].filter((relation) => this.#isCachedHere(relation))
  }

  #affects(facts: CatalogFacts, id: RelationId): RelationId[] | undefined {
    const relation = facts.relations.get(id)
    const declared = relation && this.#entry(relation)?.affects
    return declared?.flatMap(({ schema, name }) => findRelation(facts, schema, name)?.id ?? [])
  }

  #reachBy: { facts: CatalogFacts; reach: ReturnType<typeof reachCache> } | undefined

  #reach(facts: CatalogFacts): ReturnType<typeof reachCache> {
    if (this.#reachBy?.facts !== facts) {
      this.#reachBy = { facts, reach: reachCache(facts, (id) => this.#affects(facts, id)) }
    }
    return this.#reachBy.reach
  }

  readonly #keysOf = new Map<RelationId, { database: string; keys: TableKeys }>()

  #keys(relation: RelationFacts, facts: CatalogFacts): TableKeys {
    let known = this.#keysOf.get(relation.id)
    if (known?.database !== facts.database) {
      const { schema, name } = relation
      const keys = new TableKeys(this.#options.namespace, facts.database, schema, name, this.#shared.guard.buckets)
      known = { database: facts.database, keys }
      this.#keysOf.set(relation.id, known)
    }
    return known.keys
  }

  readonly #schemesOf = new Map<RelationId, { version: number; schemes: readonly Scheme[] }>()

  /** The schemes that entries of this configuration may rest on. */
  #ownSchemes(relation: RelationFacts, facts: CatalogFacts): readonly Scheme[] {
    let known = this.#schemesOf.get(relation.id)
    if (known?.version !== facts.version) {
      const { lists, sensitive } = this.#settings(relation) ?? nothingChosen
      this.#tellRefusedLists(relation, { lists, sensitive })
      const keys = this.#keys(relation, facts)
      const schemes = this.#textIsExact ? tableSchemes(relation, keys, { lists, sensitive }) : []
      known = { version: facts.version, schemes }
      this.#schemesOf.set(relation.id, known)
    }
    return known.schemes
  }

  readonly #toldLists = new Set<string>()

  #tellRefusedLists(relation: RelationFacts, choices: Parameters<typeof refusedLists>[1]): void {
    const beyond = schemesLeftOut(relation, choices).map((columns) => ({
      columns,
      reason: 'too-many-schemes' as const,
    }))
    for (const { columns, reason } of [...refusedLists(relation, choices), ...beyond]) {
      const name = JSON.stringify([relation.id, columns, reason])
      if (this.#toldLists.has(name)) continue
      this.#toldLists.add(name)
      this.#emit({ type: 'listRefused', table: relation.name, columns, reason })
    }
  }

  readonly #facetsOf = new Map<RelationId, { version: number; facets: FacetMap }>()

  /** The column groups that this configuration declares. */
  #ownFacets(relation: RelationFacts, facts: CatalogFacts): FacetMap {
    let known = this.#facetsOf.get(relation.id)
    if (known?.version !== facts.version) {
      known = { version: facts.version, facets: facetMap(this.#settings(relation)?.facets ?? []) }
      this.#facetsOf.set(relation.id, known)
    }
    return known.facets
  }

  // —— who else is on the store ——

  #createRegistrar(): KnowsOthers {
    if (this.#store.processLocal) return new LocalRegistrar(registersOf(this.#store), () => this.#mine())
    return new Registrar({
      store: this.#shared.guard,
      clock: this.#clock,
      emit: this.#emit,
      mine: () => this.#mine(),
      lifeMs: this.#stampTtl() + REGISTERED_LONGER_MS,
      dropTables: (tables) => this.#dropTables(tables),
    })
  }

  #known: { readonly facts: CatalogFacts; readonly key: string; readonly registration: Registration } | undefined

  /** What this configuration keeps, for the register. */
  #mine(): { readonly key: string; readonly registration: Registration } | undefined {
    const { facts } = this.#catalog
    if (!facts || this.#known?.facts === facts) return this.#known
    const tables = this.#cachedHere(facts).map((relation) => {
      const schemes = this.#ownSchemes(relation, facts).map(({ kind, columns }) => ({ kind, columns }))
      return { schema: relation.schema, name: relation.name, schemes, groups: this.#settings(relation)?.facets ?? [] }
    })
    const key = registerKey(this.#options.namespace, facts.database)
    const registration = registrationOf(tables)
    // Facts that are read again mostly say the same; what is known of one registration holds for an equal one.
    const same = this.#known?.registration.digest === registration.digest
    this.#known = { facts, key, registration: same ? (this.#known?.registration as Registration) : registration }
    return this.#known
  }

  async #dropTables(tables: readonly RelationId[]): Promise<boolean> {
    const { facts } = this.#catalog
    const relations = tables.flatMap((id) => facts?.relations.get(id) ?? [])
    if (!facts || relations.length < tables.length) return false
    const batch = relations.map((relation) => ({ epoch: this.#keys(relation, facts).epoch, keys: 'all' as const }))
    for (const { name } of relations) this.#emit({ type: 'epochReplaced', table: name, reason: 'scheme-new' })
    return (await this.#delivery.deliver({ tables: batch })) === 'delivered'
  }

  /** Reads a register anew, where it is this one's; without a name whichever is. */
  hurry(register?: string): void {
    if (this.#known && (register ?? this.#known.key) === this.#known.key) this.#registrar.hurry()
  }

  /** All that is kept of a relation: by this configuration, and by others that share the store. */
  #unionSchemes(relation: RelationFacts, facts: CatalogFacts): readonly Scheme[] {
    const own = this.#ownSchemes(relation, facts)
    const union = this.#registrar.union
    const others = this.#textIsExact && union?.tables.get(relation.id)?.schemes
    if (!others) return own
    const known = this.#unionSchemesOf.get(relation)
    if (known?.union === union && known?.own === own) return known.schemes
    const tokens = new Map([...relation.columns.values()].map(({ name, token }) => [name, token]))
    const keys = this.#keys(relation, facts)
    const schemes = others.map(({ kind, columns }) => keys.scheme(kind, columns, tokens))
    const names = new Set(own.map(({ name }) => name))
    const all = [...own, ...schemes.filter(({ name }) => !names.has(name))]
    this.#unionSchemesOf.set(relation, { union, own, schemes: all })
    return all
  }

  readonly #unionSchemesOf = new WeakMap<
    RelationFacts,
    { union: unknown; own: readonly Scheme[]; schemes: readonly Scheme[] }
  >()

  /** The column groups of all who share the store: writes spare what every one of them groups. */
  #unionFacets(relation: RelationFacts, facts: CatalogFacts): FacetMap {
    const own = this.#ownFacets(relation, facts)
    const groupings = this.#registrar.union?.tables.get(relation.id)?.groupings
    if (!groupings) return own
    const known = this.#unionFacetsOf.get(groupings)
    if (known?.own === own) return known.facets
    const here = this.#isCachedHere(relation) ? [this.#settings(relation)?.facets ?? []] : []
    const facets = unionFacets([...groupings, ...here])
    this.#unionFacetsOf.set(groupings, { own, facets })
    return facets
  }

  readonly #unionFacetsOf = new WeakMap<object, { own: FacetMap; facets: FacetMap }>()

  /**
   * Others may know columns that the facts here do not have yet, or be of a release that keeps more than this one knows.
   * And what they keep by a column that is sensitive here, this configuration may not name: its values stand in no key.
   */
  #derivable(relation: RelationFacts): boolean {
    const union = this.#registrar.union
    const table = union?.tables.get(relation.id)
    if (!union || !table) return union?.known !== false
    const known = table.schemes.every(({ columns }) => columns.every((column) => relation.columns.has(column)))
    return union.known && table.known && known && !this.#namesSensitive(relation, table.schemes)
  }

  #namesSensitive(relation: RelationFacts, schemes: readonly Pick<Scheme, 'columns'>[]): boolean {
    const { sensitive } = this.#settings(relation) ?? nothingChosen
    return schemes.some(({ columns }) => columns.some((column) => sensitive.has(column)))
  }

  #register(facts: CatalogFacts): KnownRegister {
    const { version } = this.#registrar
    if (this.#registered?.version !== version || this.#registered.facts !== facts)
      this.#registered = { facts, version, shared: this.#sharedRegister(facts) }
    return this.#registered
  }

  #registered: (KnownRegister & { readonly facts: CatalogFacts }) | undefined

  #sharedRegister({ database }: CatalogFacts): string | undefined {
    return this.#store.processLocal ? undefined : registerKey(this.#options.namespace, database)
  }

  /** By this configuration, or by another that shares the store. */
  #isCached(relation: RelationFacts): boolean {
    return this.#isCachedHere(relation) || this.#registrar.union?.tables.has(relation.id) === true
  }

  #kept(): boolean {
    return registersOf(this.#store).isKept(this.#options.namespace)
  }

  // —— the outbox ——

  #createOutbox(run: ReturnType<typeof carefulRunner>): Outbox | undefined {
    const { outbox, namespace } = this.#options
    if (!outbox) return undefined
    return new Outbox({
      ...outbox,
      name: outbox,
      namespace,
      clock: this.#clock,
      emit: this.#emit,
      random: Math.random,
      facts: () => this.#facts(),
      isDown: () => this.#storeIsDown(),
      mayDrain: () => this.#textIsExact && !this.#pending(),
      run,
      attempt: (tables) => this.#delivery.attempt({ tables }),
      everything: () => this.#everything(),
    })
  }

  /** Seen by a delivery, by reads or, where nobody reads or writes, by the heartbeat. */
  #storeIsDown(): boolean {
    return this.#pending() || this.#shared.guard.broken.reads || this.#registrar.refuses() !== undefined
  }

  #everything() {
    const facts = this.#facts()
    const changes = new Changes()
    changes.addEverything('outbox-unreadable')
    if (!facts) return undefined
    const { batch, epochs } = this.#write.expand(changes, facts, false)
    for (const each of epochs) this.#emit({ type: 'epochReplaced', ...each })
    return batch
  }

  // —— the two paths ——

  #createWrite(): WriteThrough {
    return new WriteThrough({
      voice: this.#voice,
      idle: () => this.#idle && !this.#kept(),
      onPending: this.#options.onPending,
      facts: () => this.#facts(),
      awaitFacts: () => this.#awaitFacts(),
      expireFacts: () => this.#catalog.expire('error'),
      rereadFacts: () => this.#rereadFacts(),
      reach: (facts, table, op, changed) => this.#reach(facts)(table, op, changed),
      cascades: (facts, parent, op, changed) =>
        cascadeSteps(parent, op, changed, {
          facts,
          affects: (id) => this.#affects(facts, id),
          reach: this.#reach(facts),
          cached: (relation) => this.#isCached(relation),
        }),
      classify: (text, facts) => (facts ? this.#verdicts(text, facts) : classifySql(text, facts)),
      writesBeyond: this.#beyond,
      mayCommitWithin,
      cached: (relation) => this.#isCached(relation),
      cachedRelations: (facts) => this.#cachedRelations(facts),
      schemes: (relation, facts) => this.#unionSchemes(relation, facts),
      facets: (relation, facts) => this.#unionFacets(relation, facts),
      derivable: (relation) => this.#derivable(relation),
      register: (facts) => this.#register(facts),
      isCertain: () => this.#registrar.isCertain,
      keys: (relation, facts) => this.#keys(relation, facts),
      tagKey: (tag, facts) => tagKey(this.#options.namespace, facts.database, tag),
      maxTouched: (relation) => this.#settings(relation)?.maxTouched ?? 1000,
      removing: (losses) => this.#shared.drops.removing(losses),
      deliver: (batch) => {
        for (const { keys } of batch.tables) if (keys !== 'all') this.#reader.forget(keys)
        return this.#delivery.deliver(batch)
      },
      defer: (changes) => this.#deferred.absorb(changes),
      unknown: this.#unknown,
      storeIsDown: () => this.#storeIsDown(),
      outbox: this.#outbox,
    })
  }

  #createReader(): RecordReader {
    return createRecordReader({
      store: this.#shared.guard,
      clock: this.#clock,
      voice: this.#voice,
      payloads: this.#payloads,
      stampTtlMs: this.#stampTtl(),
      closed: () => this.#pending() || this.#closed || this.#registrar.refuses() !== undefined,
      random: Math.random,
      limit: this.#limit,
      refreshes: this.#refreshes,
      tokens: this.#tokens,
    })
  }

  #createTokens(): FillTokens {
    const { tokenWaitMs: waitMs } = this.#options
    return new FillTokens({ store: this.#shared.guard, clock: this.#clock, voice: this.#voice, waitMs })
  }

  #createRead(): RecordReadPath {
    return new RecordReadPath({
      voice: this.#voice,
      facts: () => this.#facts(),
      knownFacts: () => this.#catalog.facts,
      gate: () => this.#gate(),
      shut: () => this.#shared.guard.isResting || this.#registrar.refuses() === 'register-stale',
      blocks: (table) => this.#blocks(table),
      settings: (relation) => this.#settings(relation),
      schemes: (relation, facts) => this.#ownSchemes(relation, facts),
      keys: (relation, facts) => this.#keys(relation, facts),
      identity: () => this.#identity,
      match: matchKey,
      read: this.#reader.read,
    })
  }

  #createResults(): ResultPath {
    const reading = selectCache()
    const reader = createResultReader({
      store: this.#shared.guard,
      clock: this.#clock,
      voice: this.#voice,
      payloads: this.#payloads,
      stampTtlMs: this.#stampTtl(),
      drops: this.#shared.drops,
      closed: () => this.#pending() || this.#closed,
      random: Math.random,
      limit: this.#limit,
      refreshes: this.#refreshes,
      tokens: this.#tokens,
    })
    return new ResultPath({
      facts: () => this.#facts(),
      identity: () => this.#identity,
      settings: (relation) => this.#settings(relation),
      schemes: (relation, facts) => this.#ownSchemes(relation, facts),
      facets: (relation, facts) => this.#ownFacets(relation, facts),
      keys: (relation, facts) => this.#keys(relation, facts),
      blocks: (table) => this.#blocks(table),
      reading,
      cover: coverQuery,
      bind: bindCover,
      label: (dependency) => labelOf(dependency, facetLabel),
      tableLabel,
      tagKey: (tag, facts) => tagKey(this.#options.namespace, facts.database, tag),
      payloads: this.#payloads,
      revision: () => '',
      reader,
    })
  }

  #stampTtl(): number {
    const entries = this.#listed === 'all' ? [] : this.#listed
    const longest = Math.max(DEFAULT_TTL_MS, ...entries.map(({ settings }) => settings.ttlMs * (1 + settings.jitter)))
    return 2 * Math.ceil(longest)
  }

  #pending(): boolean {
    if (this.#delivery.pending) return true
    for (const peer of this.#peers) if (peer.#settling > 0 || !peer.#deferred.empty) return true
    return false
  }

  #blocks(table: RelationId): BypassReason | undefined {
    for (const peer of this.#peers) if (peer.#unknown.blocks(table)) return 'outcome-unknown'
    return this.#registrar.blocks(table) ? 'scheme-new' : undefined
  }

  #gate(): BypassReason | undefined {
    if (this.#closed) return 'closed'
    if (this.#reads === 'off') return 'switched-off'
    const facts = this.#facts()
    if (!facts || !this.#identity) return 'starting'
    if (!this.#textIsExact) return 'catalog-unknown'
    if (facts.standby) return 'standby'
    if (this.#pending()) return 'pending-delivery'
    return this.#registrar.refuses()
  }

  #effectOf(text: string): SessionEffect {
    const facts = this.#facts()
    const verdict = facts ? this.#verdicts(text, facts) : classifySql(text, undefined)
    if (verdict.kind === 'session') return this.#tellSession(verdict.local, text)
    if (verdict.kind === 'read') return verdict.session ? this.#tellSession(false, text) : 'none'
    if (verdict.kind === 'begin') return 'begin'
    if (verdict.kind === 'commit' || verdict.kind === 'rollback') return verdict.chain ? 'chain' : verdict.kind
    const after = verdict.kind === 'write' ? verdict.after : undefined
    return after ? (after === 'begun' ? 'script-begun' : 'script-ended') : 'none'
  }

  #tellSession(local: boolean, statement: string): 'none' | 'session' {
    if (local) return 'none'
    this.#emit({ type: 'sessionChanged', statement: settingNamed(statement) })
    return 'session'
  }

  // —— the handle's verbs ——

  #verbs() {
    return {
      verifySchema: (tables: readonly object[]) => this.#verifySchema(tables),
      stats: (schema: readonly object[]): AsideStats => ({
        ...this.#voice.stats((table, changes) => this.#adviseGroups(schema, table, changes)),
        fillLimit: this.#limit.counts(),
      }),
      health: () => this.#health(),
      ready: async (options?: { reload?: boolean }) => {
        await this.#catalog.ready(options)
        await this.#registrar.idle()
      },
      reads: (state: 'on' | 'off') => {
        this.#reads = state
      },
      flush: async () => {
        const changes = new Changes()
        changes.addEverything('by-hand')
        await this.#write.publish(changes, 'flush')
      },
      invalidateKeys: (...[table, row, scope]: Parameters<WriteThrough['invalidate']>) =>
        this.#write.invalidate(table, row, scope),
      peek: (...[lookup, key]: [Parameters<typeof peekRecord>[1], Parameters<typeof peekRecord>[2]]) =>
        peekRecord(this.#peekWith, lookup, key),
      listen: (listener: (event: never) => void) => this.#voice.listen(listener as Listener),
      close: () => this.#close(),
      maxFills: () => this.#limit.counts().max,
      listenerFailed: (error: unknown) => this.#emit({ type: 'listenerFailed', error }),
      toMs: (duration: unknown) => milliseconds(duration, 'ttl'),
    }
  }

  #adviseGroups(
    schema: readonly object[],
    table: RelationId,
    changes: readonly (readonly string[])[],
  ): string | undefined {
    const facts = this.#catalog.facts
    const relation = facts?.relations.get(table)
    const entry = relation && this.#entry(relation)
    const named = ({ schema, name }: TableShape): boolean =>
      facts !== undefined && findRelation(facts, schema, name)?.id === table
    const shape = entry?.shape ?? schema.map(this.#shape).find(named)
    if (!relation || !shape) return undefined
    const keyOf = (column: string): string | undefined => shape.columns.find(({ name }) => name === column)?.key
    return adviseGroups({ name: relation.name, groups: entry?.groups ?? [], keyOf }, changes)
  }

  async #verifySchema(schema: readonly object[]): Promise<SchemaDifference[]> {
    await this.#catalog.ready({ reload: true })
    const facts = this.#catalog.facts as CatalogFacts
    const entries = this.#options.entries === 'all' ? [] : this.#options.entries.map(({ table }) => table)
    const tables = [...new Set<object>([...entries, ...schema])]
    return compareSchema(
      tables.map((table) => declaredTable(table, this.#shape)),
      {
        facts,
        choices: (relation) => this.#settings(relation) ?? nothingChosen,
        declaresWrites: (relation) => this.#affects(facts, relation.id) !== undefined,
      },
    )
  }

  #health(): AsideHealth {
    const { keys, epochs } = this.#delivery.pendingCounts()
    const remarks = this.#remarks()
    const starting = !this.#identity && this.#catalog.state !== 'failed'
    const state =
      this.#closed || this.#reads === 'off' ? 'off' : remarks.length > 0 ? 'degraded' : starting ? 'starting' : 'ok'
    return {
      state,
      store: {
        name: this.#store.name,
        pendingKeys: keys,
        pendingTables: epochs,
        failoverGuard: this.#store.incarnations?.guard,
      },
      catalog: this.#catalog.state,
      serverChanges: this.#serverChanges,
      outbox: this.#outbox?.health(),
      remarks,
    }
  }

  #remarks(): string[] {
    const remarks: string[] = []
    if (this.#catalog.state === 'failed')
      remarks.push('The catalog cannot be read: no row is cached. Check the role and the connection.')
    if (this.#delivery.pending) remarks.push('Invalidations wait for the store: no hit is served. Check the store.')
    const { broken } = this.#shared.guard
    if (broken.reads)
      remarks.push('The store failed again and again: reads go to the database until it answers. Check the store.')
    if (broken.fills)
      remarks.push(
        'The store keeps nothing new: what it has is served, misses go to the database. Check its memory and rights.',
      )
    const lowered = this.#store.incarnations?.lowered
    if (lowered) remarks.push(guardRemarks[lowered])
    const registered = this.#identity && !this.#closed ? this.#registrar.refuses() : undefined
    if (registered === 'register-stale')
      remarks.push(
        'The store did not confirm for two heartbeats that this process is known: no hit is served. Check the store.',
      )
    const outbox = this.#outbox?.health()
    if (outbox?.fault) remarks.push(`The outbox cannot be used: ${outboxRemarks[outbox.fault]}.`)
    if (outbox?.state === 'failing') remarks.push('A statement on the outbox failed. See the event outboxFailed.')
    if (this.#unknown.any)
      remarks.push('The outcome of a write is not known yet: its tables bypass the cache until it is.')
    if (this.#client.sessionChanged)
      remarks.push(
        'A session setting was changed outside a transaction: reads bypass the cache. Use SET LOCAL in a transaction.',
      )
    if (this.#catalog.facts?.standby) remarks.push('This server is a standby: it is never a source of cached rows.')
    return remarks
  }

  async #close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#refreshes.end()
    await this.#unknown.close()
    await this.#registrar.close()
    await this.#outbox?.close()
    this.#catalog.close()
    this.#shared.users--
    this.#shared.voices.delete(this.#emit)
    this.#peers.delete(this)
    this.#release()
    if (this.#shared.users > 0) return
    for (const delivery of this.#shared.deliveries.values()) await delivery.close()
    this.#shared.unhear()
    sharedStores.delete(this.#store)
    if (defaultStores.get(this.#options.namespace) === this.#store) defaultStores.delete(this.#options.namespace)
    await this.#shared.guard.close()
  }
}

function refuseOtherStore(real: Database, store: Store): void {
  if (claimClient(real.session, store)) return
  const advice = 'Use one store object for every wrap of a client.'
  throw new AsideError('ASIDE_CLIENT_WRAPPED_TWICE', `This client is wrapped with another store already. ${advice}`)
}

const guardRemarks: Readonly<Record<GuardLowered, string>> = {
  'not-told':
    'The store does not say which incarnation of it answers, so a failover may be noticed late. ' +
    'Let its user run INFO, or choose failoverGuard in redisStore().',
  'not-unique':
    'Several servers answer by turns under one address, so a failover may be noticed late. ' +
    'Connect to the primary itself, or choose failoverGuard in redisStore().',
}

const outboxRemarks: Readonly<Record<OutboxFault, string>> = {
  missing: 'there is no such table. Run the statements of outboxMigration(), or name the schema',
  'not-a-table': 'it is a view, partitioned, foreign, or has inheritance children. Make a table of its own for it',
  'other-columns': 'its columns are not those of outboxMigration(). Make a table of its own for it',
  'no-privilege': 'this role lacks SELECT, INSERT or DELETE on it. Grant them',
  'side-effects': 'it has triggers, rules or row security, by which a write could fail. Remove them',
}

const DEFAULT_TTL_MS = 300_000

/** What `tables: 'all'` caches: answers rest on these, and on views by what they read. */
const keepsRows: ReadonlySet<RelationFacts['kind']> = new Set(['table', 'partitioned', 'materialized view'])

/** How much longer than its entries a registration lives, so that a restart finds it (PROTOCOL 3.11, rule 7). */
const REGISTERED_LONGER_MS = 60_000

/** Share of their life after which facts are read again. */
const REREAD_EARLY = 0.8

function listTables(options: ResolvedOptions, shapeOf: (table: object) => TableShape): readonly Listed[] | 'all' {
  if (options.entries === 'all') return 'all'
  return options.entries.map(({ table, options: own, cached }) => ({
    shape: shapeOf(table),
    cached,
    settings: settingsOf(own, options, shapeOf(table)),
    groups: groupsOf(own, shapeOf(table)),
    affects: own.affects?.map(shapeOf),
  }))
}

const nothingChosen = { lists: [], sensitive: new Set<string>() }

function settingsOf(own: TableOptions, options: ResolvedOptions, shape: TableShape | undefined): TableSettings {
  const sensitive = new Set(chosenNames('sensitive', own, shape) ?? [])
  return {
    ttlMs: milliseconds(own.ttl ?? DEFAULT_TTL_MS, 'ttl'),
    negativeTtlMs: milliseconds(own.negativeTtl ?? 30_000, 'negativeTtl'),
    jitter: own.jitter ?? 0.1,
    maxBytes: own.maxBytes ?? 262_144,
    maxTouched: own.maxTouched ?? 1000,
    compose: own.compose ?? true,
    sensitive,
    hidden: options.encryption ? new Set() : sensitive,
    record: shape && own.record && new Set(chosenNames('record', own, shape)),
    scope: own.scope ?? options.scope,
    lists: listsOf(own, shape, sensitive),
    facets: groupsOf(own, shape).map(({ columns }) => columns),
    rows: own.rows ?? false,
    maxRows: own.maxRows ?? 1000,
    refresh: refreshOf(own),
  }
}

function refreshOf({ refresh }: TableOptions): RefreshSettings | undefined {
  if (!refresh) return undefined
  const { beta = 1, ahead } = refresh === true ? {} : refresh
  return { beta, aheadMs: ahead === undefined ? 0 : milliseconds(ahead, 'ahead') }
}

type ColumnsChosen = Parameters<NonNullable<TableOptions['sensitive']>>[0]
const fieldsOf = (shape: TableShape): ColumnsChosen => shape.fields as ColumnsChosen

function chosenNames(
  option: 'sensitive' | 'record',
  own: TableOptions,
  shape: TableShape | undefined,
): readonly string[] | undefined {
  return shape && own[option]?.(fieldsOf(shape)).map((column) => nameIn(shape, column, option))
}

/** The name of a column in the database; only a column of the table's own has one here. */
function nameIn(shape: TableShape, column: unknown, option: keyof TableOptions): string {
  const found = shape.columns.find((each) => each.column === column)
  if (found) return found.name
  throw new AsideError('ASIDE_UNKNOWN_COLUMN', `${option} of ${shape.name} names a column that is not one of its own.`)
}

/** Most combinations of columns that a table may list. */
const MOST_LISTS = 16

function listsOf(
  own: TableOptions,
  shape: TableShape | undefined,
  sensitive: ReadonlySet<string>,
): readonly (readonly string[])[] {
  if (!own.lists || !shape) return []
  const lists = own
    .lists(fieldsOf(shape))
    .map((list) => (Array.isArray(list) ? list : [list]).map((column) => nameIn(shape, column, 'lists')))
  if (lists.length > MOST_LISTS) refuseOption(`lists of ${shape.name} has more than ${MOST_LISTS} entries.`)
  for (const columns of lists) {
    if (columns.length === 0) refuseOption(`lists of ${shape.name} has an entry without columns.`)
    const secret = columns.find((column) => sensitive.has(column))
    if (secret)
      refuseOption(`lists of ${shape.name} names ${secret}, which is sensitive: its values may stand in no key.`)
  }
  return lists
}

function groupsOf(own: TableOptions, shape: TableShape | undefined): readonly NamedGroup[] {
  if (!own.facets || !shape) return []
  const groups = Object.entries(own.facets(fieldsOf(shape))).map(([name, columns]) => ({
    name,
    columns: [...new Set(columns.map((column) => nameIn(shape, column, 'facets')))],
  }))
  if (groups.some(({ columns }) => columns.length === 0))
    refuseOption(`facets of ${shape.name} has a group without columns.`)
  const all = groups.flatMap(({ columns }) => columns)
  const twice = all.find((column, at) => all.indexOf(column) !== at)
  if (twice) refuseOption(`facets of ${shape.name} names ${twice} in two groups; a column belongs to one at most.`)
  return groups
}

function refuseOption(message: string): never {
  throw new AsideError('ASIDE_BAD_OPTION', message)
}
