import { type Catalog, type ChangeInfo, openCatalog } from '../catalog/open-catalog.ts'
import { ReadIndex } from '../catalog/read-index.ts'
import { parsePosition, parseReplica, positionQuery, replicaQuery } from '../catalog/replica-query.ts'
import { createHandle } from '../drizzle/aside-handle.ts'
import { type ClientState, claimClient, releaseClient } from '../drizzle/client-state.ts'
import { declaredTable } from '../drizzle/declared-table.ts'
import type { Database, Session } from '../drizzle/internals.ts'
import { Naming } from '../drizzle/naming.ts'
import type { Server } from '../drizzle/on-one-connection.ts'
import type { SessionEffect } from '../drizzle/prepared-raw.ts'
import { ReplicaFills } from '../drizzle/replica-fills.ts'
import { carefulRunner, outsideRunner, sampleParsers } from '../drizzle/run-outside.ts'
import { type TableShape, tableShapes } from '../drizzle/table-shape.ts'
import { wrapDatabase } from '../drizzle/wrap-database.ts'
import { AsideError } from '../errors.ts'
import { bindCover, labelOf, tableLabel } from '../map/bind-cover.ts'
import { cascadeSteps } from '../map/cascades.ts'
import { changesNames } from '../map/changes-names.ts'
import { beyondCache, classifySql, mayCommitWithin, selectCache, verdictCache } from '../map/classify-sql.ts'
import { compareSchema } from '../map/compare-schema.ts'
import { coverQuery } from '../map/cover-query.ts'
import { matchKey } from '../map/match-key.ts'
import { facetLabel } from '../model/facets.ts'
import { type CatalogFacts, findRelation, type RelationId } from '../model/facts.ts'
import { digest, registerKey, tagKey } from '../model/keys.ts'
import { isOutage } from '../model/outage.ts'
import { createPayloads, type Payloads } from '../model/payload.ts'
import type { BypassReason } from '../model/reasons.ts'
import type { Registration } from '../model/registration.ts'
import { judgeReplica, type PrimaryPosition, sessionText } from '../model/replica.ts'
import type { SchemaDifference } from '../model/schema-difference.ts'
import { settingNamed } from '../model/told-error.ts'
import { milliseconds, type ResolvedOptions } from '../options.ts'
import { type Clock, systemClock } from '../ports/clock.ts'
import type { AsideEvent, Listener } from '../ports/events.ts'
import type { GuardedStore } from '../ports/guarded-store.ts'
import type { LastKnownPort } from '../ports/last-known.ts'
import type { Store } from '../ports/store.ts'
import { type ReadPathWith, RecordReadPath } from '../read/create-read-path.ts'
import type { FillLimit } from '../read/fill-limit.ts'
import { FillTokens } from '../read/fill-tokens.ts'
import { LastKnown } from '../read/last-known.ts'
import { createRecordReader, peekRecord, type RecordReader } from '../read/read-records.ts'
import { createResultReader } from '../read/read-results.ts'
import type { PayloadIdentity } from '../read/record-source.ts'
import { Refreshes } from '../read/refreshes.ts'
import { ResultPath, type ResultPathWith } from '../read/result-path.ts'
import { type KnowsOthers, LocalRegistrar } from '../register/local-registrar.ts'
import { Registrar } from '../register/registrar.ts'
import { adviseGroups } from '../watch/advise-groups.ts'
import { type AsideStats, CountingVoice } from '../watch/create-voice.ts'
import type { Delivery } from '../write/deliver.ts'
import { Outbox } from '../write/outbox.ts'
import { Changes } from '../write/scope.ts'
import { createUnknownOutcomes, type UnknownOutcomes } from '../write/unknown-outcome.ts'
import { WriteThrough } from '../write/write-path.ts'
import type { KnownRegister } from '../write/write-with.ts'
import type { AsideHealth, WithAside } from './handle.ts'
import { OwnTables } from './own-tables.ts'
import { remarksOf } from './remarks.ts'
import { ReplicaWatch } from './replica-watch.ts'
import {
  defaultStore,
  fillLimitOf,
  ownWritesOf,
  type Peer,
  registersOf,
  type SharedStore,
  shareStore,
} from './shared-store.ts'
import { textOf } from './text-of.ts'
import { UnionTables } from './union-tables.ts'

/** How long the first write waits for the first facts. */
const FIRST_FACTS_MS = 2000

/** How much longer than its entries a registration lives, so that a restart finds it (PROTOCOL 3.11, rule 7). */
const REGISTERED_LONGER_MS = 60_000

/** Share of their life after which facts are read again. */
const REREAD_EARLY = 0.8

/** By the handles of wrapped primaries. */
const engines = new WeakMap<object, Engine>()

/** The engine behind a handle; undefined: it is one of a replica. */
export const engineOf = (handle: object): Engine | undefined => engines.get(handle)

/** What a read path decides from: of the primary, or of a replica. */
interface ReadOver {
  facts(): CatalogFacts | undefined
  /** The same, and wakes nobody. */
  knownFacts(): CatalogFacts | undefined
  identity(): PayloadIdentity | undefined
  gate(): BypassReason | undefined
  readonly limit: FillLimit
  readonly refreshes: Refreshes
}

interface ReplicaWrap {
  readonly watch: ReplicaWatch
  readonly refreshes: Refreshes
  readonly reader: RecordReader
  closed: boolean
  close(): Promise<void>
}

/** Puts the wings together for one wrapped db. */
export class Engine implements Peer {
  readonly #options: ResolvedOptions
  readonly #client: ClientState
  readonly #clock: Clock
  readonly #voice = new CountingVoice()
  readonly #store: Store
  readonly #shared: SharedStore
  /** All wraps of this process over the store and namespace, this one included. */
  readonly #peers: ReadonlySet<Peer>
  readonly #delivery: Delivery
  readonly #limit: FillLimit
  readonly #refreshes: Refreshes
  readonly #tokens: FillTokens
  readonly #catalog: Catalog
  readonly unknown: UnknownOutcomes
  readonly #outbox: Outbox | undefined
  readonly #shape: (table: object) => TableShape
  /** What this configuration caches, and what all who share the store do. */
  readonly #own: OwnTables
  readonly #union: UnionTables
  readonly #write: WriteThrough
  readonly #read: RecordReadPath
  readonly #reader: RecordReader
  readonly #results: ResultPath
  /** Undefined where no table is served while the database is down. */
  readonly #lastKnown: LastKnownPort | undefined
  /** The database did not answer the last query that was asked of it. */
  #isDown = false
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
  readonly #primary: Server
  readonly #replicas = new Set<ReplicaWrap>()
  readonly #position: ReadIndex<PrimaryPosition>
  #identity: PayloadIdentity | undefined
  #textIsExact = true
  #serverChanges = 0
  #reads: 'on' | 'off' = 'on'
  #closed = false

  constructor(real: Database, client: ClientState, options: ResolvedOptions) {
    this.#options = options
    this.#client = client
    this.#primary = { session: real.session, client }
    this.#clock = options.clock ?? systemClock
    this.#payloads = createPayloads(options)
    if (options.on) this.#voice.listen(options.on)
    this.#store = options.store ?? defaultStore(options.namespace, this.#clock)
    this.#shape = tableShapes(real.dialect)
    // First what may refuse an option: nothing has been taken then that would have to be given back.
    this.#own = new OwnTables({
      options,
      shape: this.#shape,
      buckets: this.#store.buckets ?? 1,
      emit: this.#emit,
      lastFacts: () => this.#catalog.lastFacts,
      textIsExact: () => this.#textIsExact,
      isOutbox: (relation) => this.#outbox?.isTable(relation) === true,
    })
    this.#union = new UnionTables({
      own: this.#own,
      sealKeys: options.encryption?.sealKeys ?? [],
      union: () => this.#registrar.union,
      textIsExact: () => this.#textIsExact,
    })
    refuseOtherStore(real.session, this.#store)
    this.#release = () => releaseClient(real.session)
    // On a shared store others may cache what this configuration does not.
    this.#idle = this.#store.processLocal && options.entries !== 'all' && options.entries.every(({ cached }) => !cached)
    if (!this.#idle) registersOf(this.#store).keep(options.namespace)
    this.#shared = shareStore(this.#store, options, this.#clock)
    this.#peers = this.#shared.join(options.namespace, this, this.#emit)
    this.#delivery = this.#shared.delivery(options.namespace, options.queueBound)
    this.#limit = fillLimitOf(client, options, this.#clock)
    this.#refreshes = new Refreshes({ limit: this.#limit, clock: this.#clock, voice: this.#voice })
    this.#tokens = this.#createTokens()
    this.#naming = new Naming(real.dialect)
    const run = outsideRunner(real.session)
    this.#position = new ReadIndex(async () => parsePosition(textOf(await run(positionQuery))))
    this.#catalog = openCatalog({
      // What the driver makes of values is known before the first facts are.
      run: async (sql) => {
        if (!this.#identity) await this.#tryParsers(run)
        return run(sql)
      },
      clock: this.#clock,
      emit: (event) => this.#hearCatalog(event),
      ...this.#rereading(),
      onChange: (changed, info) => this.#learn(run, changed, info),
    })
    this.unknown = createUnknownOutcomes({
      run,
      clock: this.#clock,
      voice: this.#voice,
      publish: (changes) => this.#write.publish(changes, 'unknown-outcome'),
    })
    this.#registrar = this.#createRegistrar()
    this.#outbox = this.#createOutbox(carefulRunner(real.session, client))
    const own: ReadOver = {
      facts: () => this.#facts(),
      knownFacts: () => this.#catalog.facts,
      identity: () => this.#identity,
      gate: () => this.#gate(),
      limit: this.#limit,
      refreshes: this.#refreshes,
    }
    this.#reader = this.#createReader(own)
    this.#write = this.#createWrite()
    this.#peekWith = { store: this.#shared.guard, payloads: this.#payloads }
    this.#read = new RecordReadPath(this.#readTools(own, this.#reader.read))
    this.#results = new ResultPath(this.#resultTools(own))
    this.#lastKnown = this.#createLastKnown(own)
    if (this.#store.processLocal && !options.store) this.#announceLocal()
  }

  readonly #emit = (event: AsideEvent): void => this.#voice.emit(event)

  /** With the first facts, what could not be expressed without them is made known. */
  #hearCatalog(event: AsideEvent): void {
    this.#emit(event)
    if (event.type === 'serverChanged') this.#serverChanges++
    if (event.type !== 'catalogRead') return
    this.#isDown = false
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

  wrap<Db>(db: Db): Db {
    return wrapDatabase(db, {
      client: this.#client,
      read: this.#read,
      results: this.#results,
      naming: this.#naming,
      write: this.#write,
      lastKnown: this.#lastKnown,
      call: {},
      shape: this.#shape,
      effectOf: (text) => this.#effectOf(text),
      fills: undefined,
      handle: (session, database) => {
        const handle = createHandle(database, session, this.#verbs())
        engines.set(handle, this)
        return handle
      },
    })
  }

  // —— replicas ——

  /** Everything is this engine's but where reads run, how their answers are named, and how many run at a time. */
  wrapReplica<Db>(db: Db, client: ClientState): WithAside<Db> {
    const { session, dialect } = db as unknown as Database
    const server: Server = { session, client }
    if (server.session.client === this.#primary.session.client)
      throw new AsideError('ASIDE_BAD_OPTION', 'primary is over this very client. A replica has a client of its own.')
    refuseOtherStore(server.session, this.#store)
    const limit = fillLimitOf(server.client, this.#options, this.#clock)
    const refreshes = new Refreshes({ limit, clock: this.#clock, voice: this.#voice })
    const watch = new ReplicaWatch({
      server,
      namespace: this.#options.namespace,
      sealing: this.#payloads.mark,
      clock: this.#clock,
      emit: this.#emit,
      ...this.#rereading(),
    })
    const over: ReadOver = {
      facts: () => watch.factsOf(this.#facts()),
      knownFacts: () => watch.factsOf(this.#catalog.facts),
      identity: () => watch.identity,
      gate: () => (replica.closed ? 'closed' : (this.#gate() ?? watch.gate(this.#catalog.facts))),
      limit,
      refreshes,
    }
    const replica: ReplicaWrap = {
      watch,
      refreshes,
      reader: this.#createReader(over),
      closed: false,
      close: async () => {
        if (replica.closed) return
        replica.closed = true
        await refreshes.end()
        watch.close()
        this.#replicas.delete(replica)
        releaseClient(server.session)
      },
    }
    this.#replicas.add(replica)
    return wrapDatabase(db, {
      client: server.client,
      read: new RecordReadPath(this.#readTools(over, replica.reader.read, new Map())),
      results: new ResultPath(this.#resultTools(over)),
      naming: new Naming(dialect),
      write: this.#write,
      call: {},
      shape: tableShapes(dialect),
      effectOf: (text) => this.#effectOf(text),
      fills: this.#createFills(server, watch),
      // Whose primary is down asks the replica.
      lastKnown: undefined,
      handle: (session, database) =>
        createHandle(database, session, { ...this.#verbs(), ...this.#replicaVerbs(replica) }),
    }) as WithAside<Db>
  }

  #replicaVerbs({ watch, close }: ReplicaWrap) {
    return {
      ready: async (options?: { reload?: boolean }) => {
        await this.#verbs().ready(options)
        await watch.ready(options?.reload === true)
      },
      close,
    }
  }

  #createFills(replica: Server, watch: ReplicaWatch): ReplicaFills {
    return new ReplicaFills({
      replica,
      primary: this.#primary,
      clock: this.#clock,
      statusQuery: replicaQuery,
      sessionText: () => watch.session,
      isShared: () => watch.namesAlike(this.#catalog.facts, this.#identity),
      position: () => this.#position.ask(),
      judge: (status, position) => {
        const sight = parseReplica(status)
        const facts = this.#catalog.facts
        // Who answers as the primary is not whom the facts are about: they are read again.
        const moved = facts && facts.timeline !== position.timeline
        if (moved) this.#catalog.expire('moved')
        return { verdict: moved ? 'behind' : judgeReplica(sight, position), session: sessionText(sight) }
      },
      doubt: () => watch.doubt(),
      inTurn: (query) => this.#limit.run(query).answer,
      fromPrimary: () => this.#emit({ type: 'replicaBehind' }),
      failed: (step, error) => this.#emit({ type: 'replicaFailed', step, error }),
    })
  }

  /** Facts are read again in good time; older than promised they decide nothing. */
  #rereading(): { readonly rereadMs: number; readonly staleMs: number } {
    const { rereadMs } = this.#options
    return { rereadMs: rereadMs * REREAD_EARLY, staleMs: rereadMs }
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
    if (facts && this.#known?.facts !== facts) {
      const key = registerKey(this.#options.namespace, facts.database)
      this.#known = { facts, key, registration: this.#own.registration(facts) }
    }
    return this.#known
  }

  async #dropTables(tables: readonly RelationId[]): Promise<boolean> {
    const { facts } = this.#catalog
    const relations = tables.flatMap((id) => facts?.relations.get(id) ?? [])
    if (!facts || relations.length < tables.length) return false
    const batch = relations.map((relation) => ({ epoch: this.#own.keys(relation, facts).epoch, keys: 'all' as const }))
    for (const { name } of relations) this.#emit({ type: 'epochReplaced', table: name, reason: 'scheme-new' })
    return (await this.#delivery.deliver({ tables: batch })) === 'delivered'
  }

  /** Reads a register anew, where it is this one's; without a name whichever is. */
  hurry(register?: string): void {
    if (this.#known && (register ?? this.#known.key) === this.#known.key) this.#registrar.hurry()
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
      lastFacts: () => this.#catalog.lastFacts,
      awaitFacts: () => this.#awaitFacts(),
      expireFacts: () => this.#catalog.expire('error'),
      rereadFacts: () => this.#rereadFacts(),
      reach: (facts, table, op, changed) => this.#own.reach(facts)(table, op, changed),
      cascades: (facts, parent, op, changed) =>
        cascadeSteps(parent, op, changed, {
          facts,
          affects: (id) => this.#own.affects(facts, id),
          reach: this.#own.reach(facts),
          cached: (relation) => this.#union.isCached(relation),
        }),
      classify: (text, facts) => (facts ? this.#verdicts(text, facts) : classifySql(text, facts)),
      writesBeyond: this.#beyond,
      mayCommitWithin,
      changesNames,
      cached: (relation) => this.#union.isCached(relation),
      cachedRelations: (facts) => this.#union.cachedRelations(facts),
      schemes: (relation, facts) => this.#union.schemes(relation, facts),
      facets: (relation, facts) => this.#union.facets(relation, facts),
      underivable: (relation) => this.#union.underivable(relation),
      register: (facts) => this.#register(facts),
      isCertain: () => this.#registrar.isCertain,
      keys: (relation, facts) => this.#own.keys(relation, facts),
      tagKey: (tag, facts) => tagKey(this.#options.namespace, facts.database, tag),
      maxTouched: (relation) => this.#own.settings(relation)?.maxTouched ?? 1000,
      removing: (losses) => this.#shared.drops.removing(losses),
      deliver: (batch) => {
        for (const { keys } of batch.tables) if (keys !== 'all') this.#forget(keys)
        return this.#delivery.deliver(batch)
      },
      defer: (changes) => this.#deferred.absorb(changes),
      unknown: this.unknown,
      storeIsDown: () => this.#storeIsDown(),
      outbox: this.#outbox,
    })
  }

  #forget(stamps: readonly string[]): void {
    this.#reader.forget(stamps)
    for (const { reader } of this.#replicas) reader.forget(stamps)
  }

  #createReader({ limit, refreshes }: ReadOver): RecordReader {
    return createRecordReader({
      store: this.#shared.guard,
      clock: this.#clock,
      voice: this.#voice,
      payloads: this.#payloads,
      stampTtlMs: this.#stampTtl(),
      closed: () => this.#pending() || this.#closed || this.#registrar.refuses() !== undefined,
      random: Math.random,
      limit,
      refreshes,
      tokens: this.#tokens,
    })
  }

  #createTokens(): FillTokens {
    const { tokenWaitMs: waitMs } = this.#options
    return new FillTokens({ store: this.#shared.guard, clock: this.#clock, voice: this.#voice, waitMs })
  }

  #readTools(
    { facts, knownFacts, identity, gate }: ReadOver,
    read: RecordReader['read'],
    lost = this.#lost,
  ): ReadPathWith {
    return {
      voice: this.#voice,
      facts,
      knownFacts,
      gate,
      blocks: (table) => this.#blocks(table),
      settings: (relation) => this.#own.settings(relation),
      schemes: (relation, facts) => this.#own.schemes(relation, facts),
      keys: (relation, facts) => this.#own.keys(relation, facts),
      identity,
      match: matchKey,
      read,
      lost,
    }
  }

  #resultTools({ facts, identity, limit, refreshes }: ReadOver): ResultPathWith {
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
      limit,
      refreshes,
      tokens: this.#tokens,
    })
    return {
      facts,
      identity,
      settings: (relation) => this.#own.settings(relation),
      schemes: (relation, facts) => this.#own.schemes(relation, facts),
      facets: (relation, facts) => this.#own.facets(relation, facts),
      keys: (relation, facts) => this.#own.keys(relation, facts),
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
    }
  }

  #createLastKnown(over: ReadOver): LastKnownPort | undefined {
    const longest = this.#own.longestStale()
    if (longest === undefined) return undefined
    const own = ownWritesOf(this.#store, this.#clock)
    own.remember(longest)
    const { rows, result } = new LastKnown({
      store: this.#shared.guard,
      clock: this.#clock,
      payloads: this.#payloads,
      voice: this.#voice,
      own,
      isDoubtful: () => [...this.#peers].some((peer) => peer.unknown.any),
    })
    const facts = (): CatalogFacts | undefined => this.#catalog.lastFacts
    // Of a write whose outcome is not known the keys are remembered: the rest of its tables may be served.
    const blocks = (table: RelationId) => (this.#registrar.blocks(table) ? 'scheme-new' : undefined)
    const gate = () => this.#isOff() ?? this.#gateUnder(facts())
    return {
      read: new RecordReadPath({ ...this.#readTools({ ...over, facts, knownFacts: facts, gate }, rows), blocks }),
      results: new ResultPath({
        ...this.#resultTools({ ...over, facts }),
        blocks,
        reader: { read: result, peek: async () => 'unknown' },
      }),
      failed: (error) => {
        const isDown = isOutage(error)
        this.#isDown ||= isDown
        return isDown
      },
      answered: () => {
        this.#isDown = false
      },
    }
  }

  /** Tables whose records are lost, with the facts under which they were. */
  readonly #lost = new Map<RelationId, number>()

  /** A copy is told from one that this process has written over by stamps that are still there. */
  #stampTtl(): number {
    return 2 * Math.ceil(this.#own.longestLife())
  }

  get isSettling(): boolean {
    return this.#settling > 0 || !this.#deferred.empty
  }

  #pending(): boolean {
    if (this.#delivery.pending) return true
    for (const peer of this.#peers) if (peer.isSettling) return true
    return false
  }

  #blocks(table: RelationId): BypassReason | undefined {
    for (const peer of this.#peers) if (peer.unknown.blocks(table)) return 'outcome-unknown'
    return this.#registrar.blocks(table) ? 'scheme-new' : undefined
  }

  #gate(): BypassReason | undefined {
    return this.#isOff() ?? this.#gateUnder(this.#facts())
  }

  #isOff(): BypassReason | undefined {
    if (this.#closed) return 'closed'
    return this.#reads === 'off' ? 'switched-off' : undefined
  }

  #gateUnder(facts: CatalogFacts | undefined): BypassReason | undefined {
    if (!facts || !this.#identity) return 'starting'
    if (!this.#textIsExact) return 'catalog-unknown'
    if (facts.standby) return 'standby'
    if (this.#pending()) return 'pending-delivery'
    if (this.#shared.guard.isResting) return 'store-failed'
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
    const entry = relation && this.#own.entry(relation)
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
        choices: (relation) => this.#own.choices(relation),
        declaresWrites: (relation) => this.#own.affects(facts, relation.id) !== undefined,
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
    const { broken } = this.#shared.guard
    const { facts } = this.#catalog
    const outbox = this.#outbox?.health()
    return remarksOf({
      catalogFailed: this.#catalog.state === 'failed',
      databaseDown: this.#isDown,
      pendingDelivery: this.#delivery.pending,
      readsBroken: broken.reads,
      fillsBroken: broken.fills,
      guardLowered: this.#store.incarnations?.lowered,
      registerStale: this.#identity && !this.#closed ? this.#registrar.refuses() === 'register-stale' : false,
      outboxFault: outbox?.fault,
      outboxFailing: outbox?.state === 'failing',
      outcomeUnknown: this.unknown.any,
      sessionChanged: this.#client.sessionChanged,
      standby: facts?.standby === true,
      replicaUnfit: facts !== undefined && [...this.#replicas].some(({ watch }) => watch.isUnfit(facts)),
    })
  }

  async #close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const replica of this.#replicas) await replica.close()
    await this.#refreshes.end()
    await this.unknown.close()
    await this.#registrar.close()
    await this.#outbox?.close()
    this.#catalog.close()
    this.#release()
    await this.#shared.leave(this.#options.namespace, this, this.#emit)
  }
}

function refuseOtherStore(session: Session, store: Store): void {
  if (claimClient(session, store)) return
  const advice = 'Use one store object for every wrap of a client.'
  throw new AsideError('ASIDE_CLIENT_WRAPPED_TWICE', `This client is wrapped with another store already. ${advice}`)
}
