import { type RelationId, relationWords } from '../model/facts.ts'
import type { PayloadRefusal } from '../model/payload.ts'
import type { BypassReason, EpochReason, FillRefusal, ReadKind, StaleRefusal } from '../model/reasons.ts'
import { toldError } from '../model/told-error.ts'
import type { AsideEvent, Listener } from '../ports/events.ts'
import type { FillCounts } from '../ports/fill-counts.ts'
import type { Voice, Widened } from '../ports/voice.ts'
import { type CountedDrops, NeedlessCounts } from './count-needless.ts'

/** Reads of one table or kind, counted since the db was wrapped. */
export interface ReadCounts {
  hits: number
  /** Hits that said "there is no such row". */
  negativeHits: number
  misses: number
  fills: number
  joined: number
}

/** How often each bound was met, since the db was wrapped. Every query answers all the same. */
export interface BoundCounts {
  /** Answers of more than `maxRows` rows: not kept. */
  readonly maxRows: number
  /** Answers and rows of more than `maxBytes` characters: not kept. */
  readonly maxBytes: number
  /**
   * Answers that were kept and rest on a whole table, because their conditions name more classes than an answer may rest
   * on (16, or 64 with `rows`), e.g. a long in-list.
   */
  readonly stamps: number
  /** The same, because their rows name more partners, or with `rows` more rows, than there was room for. */
  readonly learnedStamps: number
  /** Lists of more than 1,000 primary keys: kept as a whole answer, not row by row. */
  readonly listKeys: number
  /** Tables that fell as a whole, because a write touched more than `maxTouched` rows. */
  readonly maxTouched: number
  /** The same, because a write would have removed over 512 keys, or a transaction over 10,000. */
  readonly writeKeys: number
  /** The same, because more than `queueBound` keys waited for a store that did not answer; over all wraps of the store. */
  readonly queueBound: number
  /**
   * Combinations of columns that foreign keys or indexes suggest and that got no class, because a table has more than 16
   * of them, its keys included. Lists by them rest on a wider class; `lists` names those that matter.
   */
  readonly schemes: number
}

/** Answers that fell although they reach none of the columns that were changed: a column group (`facets`) would spare them. */
export interface NeedlessDrop {
  /** As in `byTable`. */
  readonly table: string
  /** The columns that writes changed, by their names in the database. */
  readonly columns: readonly string[]
  /**
   * How many answers this process found dropped for it and asked the database for again. Both the write and the first
   * answer have to be its own.
   */
  readonly count: number
  /**
   * The line to paste, e.g. `cached(posts, { facets: (t) => ({ views: [t.views] }) })`: the groups that the table has,
   * with those for this item and for the items of the table above it. Undefined where the table object does not declare
   * one of the columns, or is not known (`tables: 'all'` without a schema given to drizzle).
   */
  readonly advice: string | undefined
}

/** What `$aside.stats()` answers: counts since the db was wrapped. */
export interface AsideStats extends ReadCounts {
  /** Hits per look-up, 0 to 1; NaN before the first. */
  readonly hitRate: number
  readonly byKind: Readonly<Record<ReadKind, ReadCounts>>
  readonly byTable: Readonly<Record<string, ReadCounts>>
  /** Reads that never consulted the cache, by reason. */
  readonly bypassed: Readonly<Partial<Record<BypassReason, number>>>
  readonly fillsRefused: Readonly<Partial<Record<FillRefusal, number>>>
  /** Stored answers that were not used, by reason: encrypted under a key that is not given, forged, damaged. */
  readonly payloadsRefused: Readonly<Partial<Record<PayloadRefusal, number>>>
  readonly bounds: BoundCounts
  readonly fillLimit: FillCounts
  /** Misses that waited for another process's fill (`fillToken`), and were served by it or asked the database after all. */
  readonly fillsAwaited: { readonly served: number; readonly lapsed: number }
  /** Answers from before, served while the database was down (`serveStaleOnError`). */
  readonly staleServed: number
  /** Answers that were looked for then and not served, by reason. */
  readonly staleRefused: Readonly<Partial<Record<StaleRefusal, number>>>
  /** Entries filled anew behind a hit (`refresh`). */
  readonly refreshes: RefreshCounts
  /** The ten sets of columns that cause most needless drops, those with most first. */
  readonly needlessDrops: readonly NeedlessDrop[]
  readonly invalidations: number
  readonly keysRemoved: number
  readonly epochsReplaced: Readonly<Partial<Record<EpochReason, number>>>
  readonly storeFailures: number
  readonly outcomesUnknown: number
  /** How often the register of a shared store was gone. */
  readonly registersLost: number
  /** Rows of the outbox that this process delivered: other processes had died or were cut off, or this one had been. */
  readonly outboxDrained: number
  /** The longest that such a row had lain there, in milliseconds. */
  readonly outboxLongestLagMs: number
}

export interface RefreshCounts {
  readonly begun: number
  /** Fills that failed; the hit was served, and the entry stays. Each is an event, `refreshFailed`. */
  readonly failed: number
  /** Not done: there was no free place, or a transaction had begun on the only connection. A later hit tries again. */
  readonly skipped: number
}

const labelOf = (table: RelationId): string => {
  const { schema, name } = relationWords(table)
  return `${schema}.${name}`
}

export type Advise = (table: RelationId, changes: readonly (readonly string[])[]) => string | undefined

/** Most items of `needlessDrops`. */
const MOST_TOLD = 10

function advised(drops: readonly CountedDrops[], advise: Advise): NeedlessDrop[] {
  const above = new Map<RelationId, (readonly string[])[]>()
  return drops.slice(0, MOST_TOLD).map(({ table, columns, count }) => {
    const changes = [...(above.get(table) ?? []), columns]
    above.set(table, changes)
    return { table: labelOf(table), columns, count, advice: advise(table, changes) }
  })
}

/** Errors of the store and of the catalog speak of our own commands; others may quote what the user sent or got. */
function withoutValues(event: AsideEvent): AsideEvent {
  if (!('error' in event) || event.type === 'listenerFailed') return event
  const ours = event.type === 'storeFailed' || event.type === 'catalogFailed'
  return { ...event, error: toldError(event.error, ours ? 'store' : 'query') }
}

const noReads = (): ReadCounts => ({ hits: 0, negativeHits: 0, misses: 0, fills: 0, joined: 0 })

/** Counts everything, and tells it to whoever listens. */
export class CountingVoice implements Voice {
  readonly #listeners = new Set<Listener>()
  readonly #all = noReads()
  readonly #kinds: Record<ReadKind, ReadCounts> = {
    key: noReads(),
    'in-list': noReads(),
    unique: noReads(),
    list: noReads(),
    join: noReads(),
    aggregate: noReads(),
    'set operation': noReads(),
    relational: noReads(),
  }
  readonly #tables = new Map<string, ReadCounts>()
  readonly #bypassed: Partial<Record<BypassReason, number>> = {}
  readonly #refused: Partial<Record<FillRefusal, number>> = {}
  readonly #payloads: Partial<Record<PayloadRefusal, number>> = {}
  readonly #epochs: Partial<Record<EpochReason, number>> = {}
  #invalidations = 0
  #keys = 0
  #failures = 0
  #unknown = 0
  #lost = 0
  readonly #outbox = { outboxDrained: 0, outboxLongestLagMs: 0 }
  readonly #bounds = { stamps: 0, learnedStamps: 0, listKeys: 0, queueBound: 0, schemes: 0 }
  readonly #awaited = { served: 0, lapsed: 0 }
  #staleServed = 0
  readonly #staleRefused: Partial<Record<StaleRefusal, number>> = {}
  readonly #refreshes = { begun: 0, failed: 0, skipped: 0 }
  readonly #needless = new NeedlessCounts()

  /** Adds a listener; the answer takes it away again. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  emit(event: AsideEvent): void {
    this.#count(event)
    if (this.#listeners.size > 0) this.#tell(withoutValues(event))
  }

  #tell(event: AsideEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch (error) {
        if (event.type !== 'listenerFailed') this.#tell({ type: 'listenerFailed', error })
      }
    }
  }

  #count(event: AsideEvent): void {
    if (event.type === 'invalidate') {
      this.#invalidations++
      this.#keys += event.keys
    } else if (event.type === 'epochReplaced') this.#epochs[event.reason] = (this.#epochs[event.reason] ?? 0) + 1
    else if (event.type === 'storeFailed' || event.type === 'storeLate') this.#failures++
    else if (event.type === 'outcomeUnknown') this.#unknown++
    else if (event.type === 'registerLost') this.#lost++
    else if (event.type === 'fillAwaited') this.#awaited[event.served ? 'served' : 'lapsed']++
    else if (event.type === 'staleServed') this.#staleServed++
    else if (event.type === 'staleRefused')
      this.#staleRefused[event.reason] = (this.#staleRefused[event.reason] ?? 0) + 1
    else if (event.type === 'refresh') this.#refreshes.begun++
    else if (event.type === 'refreshFailed') this.#refreshes.failed++
    else if (event.type === 'refreshSkipped') this.#refreshes.skipped++
    else if (event.type === 'outboxDrained') {
      this.#outbox.outboxDrained += event.rows
      this.#outbox.outboxLongestLagMs = Math.max(this.#outbox.outboxLongestLagMs, event.oldestMs)
    } else if (event.type === 'pendingOverflow') this.#bounds.queueBound += event.epochs
    else if (event.type === 'listRefused' && event.reason === 'too-many-schemes') this.#bounds.schemes++
  }

  #of(table: string): ReadCounts {
    let counts = this.#tables.get(table)
    if (!counts) {
      counts = noReads()
      this.#tables.set(table, counts)
    }
    return counts
  }

  hit(table: string, kind: ReadKind, negative: boolean): void {
    const ofKind = this.#kinds[kind]
    const ofTable = this.#of(table)
    this.#all.hits++
    ofKind.hits++
    ofTable.hits++
    if (negative) {
      this.#all.negativeHits++
      ofKind.negativeHits++
      ofTable.negativeHits++
    }
    if (this.#listeners.size > 0) this.#tell({ type: 'hit', table, kind })
  }

  miss(table: string, kind: ReadKind): void {
    for (const counts of [this.#all, this.#kinds[kind], this.#of(table)]) counts.misses++
    if (this.#listeners.size > 0) this.#tell({ type: 'miss', table, kind })
  }

  fill(table: string, kind: ReadKind, widened?: Widened): void {
    if (widened?.stamps) this.#bounds.stamps++
    if (widened?.learned) this.#bounds.learnedStamps++
    for (const counts of [this.#all, this.#kinds[kind], this.#of(table)]) counts.fills++
    if (this.#listeners.size > 0) this.#tell({ type: 'fill', table, kind })
  }

  joined(table: string): void {
    this.#all.joined++
    this.#of(table).joined++
    if (this.#listeners.size > 0) this.#tell({ type: 'joined', table })
  }

  listTooLong(): void {
    this.#bounds.listKeys++
  }

  needlessDrop(table: RelationId, columns: readonly string[]): void {
    this.#needless.add(table, columns)
    if (this.#listeners.size > 0) this.#tell({ type: 'needlessDrop', table: labelOf(table), columns })
  }

  fillRefused(table: string, reason: FillRefusal): void {
    this.#refused[reason] = (this.#refused[reason] ?? 0) + 1
    if (this.#listeners.size > 0) this.#tell({ type: 'fillRefused', table, reason })
  }

  payloadRefused(table: string, reason: PayloadRefusal): void {
    this.#payloads[reason] = (this.#payloads[reason] ?? 0) + 1
    if (this.#listeners.size > 0) this.#tell({ type: 'payloadRefused', table, reason })
  }

  bypass(table: string | undefined, reason: BypassReason): void {
    this.#bypassed[reason] = (this.#bypassed[reason] ?? 0) + 1
    if (this.#listeners.size > 0) this.#tell({ type: 'bypass', reason, ...(table !== undefined && { table }) })
  }

  /** `advise` gives the line to paste, for the sets of columns of one table that are to be told apart. */
  stats(advise: Advise = () => undefined): Omit<AsideStats, 'fillLimit'> {
    const { hits, misses } = this.#all
    return {
      ...this.#all,
      hitRate: hits / (hits + misses),
      byKind: structuredClone(this.#kinds),
      byTable: Object.fromEntries([...this.#tables].map(([table, counts]) => [table, { ...counts }])),
      bypassed: { ...this.#bypassed },
      fillsRefused: { ...this.#refused },
      payloadsRefused: { ...this.#payloads },
      bounds: {
        maxRows: this.#refused['too-many-rows'] ?? 0,
        maxBytes: this.#refused['too-large'] ?? 0,
        ...this.#bounds,
        maxTouched: this.#epochs['too-many-rows'] ?? 0,
        writeKeys: this.#epochs['too-many-keys'] ?? 0,
      },
      fillsAwaited: { ...this.#awaited },
      staleServed: this.#staleServed,
      staleRefused: { ...this.#staleRefused },
      refreshes: { ...this.#refreshes },
      needlessDrops: advised(this.#needless.most(), advise),
      invalidations: this.#invalidations,
      keysRemoved: this.#keys,
      epochsReplaced: { ...this.#epochs },
      storeFailures: this.#failures,
      outcomesUnknown: this.#unknown,
      registersLost: this.#lost,
      ...this.#outbox,
    }
  }
}
