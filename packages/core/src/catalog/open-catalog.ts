import { AsideError } from '../errors.ts'
import type { CatalogFacts, RelationId, ServerChange } from '../model/facts.ts'
import type { Clock } from '../ports/clock.ts'
import type { Listener } from '../ports/events.ts'
import { asText } from './catalog-json.ts'
import { catalogQuery } from './catalog-query.ts'
import { diffCatalog } from './diff-catalog.ts'
import { systemIdentifierQuery, timelineQuery } from './identity-query.ts'
import { type ParsedCatalog, parseCatalog, type ServerIdentity } from './parse-catalog.ts'

/** Runs one statement outside any transaction and answers its rows as arrays of driver values. */
export type RunSql = (sql: string) => Promise<readonly (readonly unknown[])[]>

export interface CatalogOptions {
  readonly run: RunSql
  readonly clock: Clock
  readonly emit: Listener
  /** How long facts are taken for fresh, in milliseconds. Default: 30 s. */
  readonly rereadMs?: number
  /** After how long without a successful reading the facts may not be used any more, in milliseconds. Default: never. */
  readonly staleMs?: number
  /** Called when the new facts have just become visible; `ready` waits for it. A failure is told again next time. */
  readonly onChange: (changed: readonly RelationId[], info: ChangeInfo) => void | Promise<void>
}

export interface ChangeInfo {
  readonly triggersCame: boolean
  /** The server was started anew, promoted or replaced since the last reading, and may have lost commits. */
  readonly server?: ServerChange | undefined
}

/** What the database says about itself, kept fresh while queries run. */
export interface Catalog {
  /** The last facts read; undefined until the first reading is done, and while they are too old to decide from. */
  readonly facts: CatalogFacts | undefined
  /** `known` as soon as there are facts, also when a later reading fails; `failed` only without any. */
  readonly state: 'unread' | 'reading' | 'known' | 'failed'
  /** Called with every query: starts a reading in the background when one is due. Costs one comparison otherwise. */
  want(): void
  /**
   * Resolves when facts are there. With `reload` it starts a reading of its own, which begins after this call, and
   * resolves when that one and its `onChange` are done. Rejects when that reading fails, after `close`, and at once
   * while a failed first reading waits for its next try.
   */
  ready(options?: { readonly reload?: boolean }): Promise<void>
  /** Facts may be out of date (DDL, an SQLSTATE that says so, a lost server): read again with the next `want`. */
  expire(reason: string): void
  /** Ends timers; a reading under way is dropped. */
  close(): void
}

interface Owed extends ChangeInfo {
  readonly relations: readonly RelationId[]
}
const nothingOwed: Owed = { relations: [], triggersCame: false, server: undefined }

const firstRestMs = 1_000
const longestRestMs = 30_000
const deadlineMs = 30_000
/** A reading may take at most a tenth of the time, however often the facts expire. */
const restPerReading = 9

/**
 * Opens the catalog of a database. Nothing is sent before the first {@link Catalog.want} or {@link Catalog.ready}.
 *
 * No timer goes on while nobody asks: each reading sets one, which fires once and marks the facts as due.
 */
export function openCatalog(options: CatalogOptions): Catalog {
  return new CatalogReader(options)
}

class CatalogReader implements Catalog {
  private latest: CatalogFacts | undefined
  private known: ParsedCatalog | undefined
  private lastText = ''
  private identity: ServerIdentity | undefined
  /** How often the facts were declared out of date: what was asked before the last time may not be kept. */
  private expiries = 0
  private reading: Promise<void> | undefined
  private queued: Promise<void> | undefined
  /** A change whose `onChange` failed: told again with the next reading. */
  private owed: Owed = nothingOwed
  // A flag instead of a look at the clock: `want` runs with every query, and asking the time costs more than all of it.
  private isDue = true
  private isStale = false
  private isResting = false
  private isClosed = false
  private failures = 0
  private lastError: unknown
  private endDueTimer = () => {}
  private endStaleTimer = () => {}
  private endRestTimer = () => {}
  private giveUp: (error: unknown) => void = () => {}

  constructor(private readonly options: CatalogOptions) {}

  get facts(): CatalogFacts | undefined {
    return this.isStale ? undefined : this.latest
  }

  get state(): Catalog['state'] {
    if (this.facts) return 'known'
    if (this.reading) return 'reading'
    return this.failures > 0 ? 'failed' : 'unread'
  }

  want(): void {
    if (this.isDue && !this.isResting && !this.reading && !this.isClosed) void this.begin().catch(() => {})
  }

  async ready({ reload = false }: { readonly reload?: boolean } = {}): Promise<void> {
    this.refuseWhenClosed()
    if (reload) return this.reload()
    if (this.facts) return
    if (!this.reading && this.isResting) throw this.lastError
    await (this.reading ?? this.begin())
  }

  expire(_reason: string): void {
    this.isDue = true
    this.doubtServer()
  }

  close(): void {
    this.isClosed = true
    this.endDueTimer()
    this.endRestTimer()
    this.endStaleTimer()
    this.giveUp(closed())
  }

  /** A reading under way began before the caller's change; those who come while it runs share the next one. */
  private reload(): Promise<void> {
    this.doubtServer()
    if (!this.reading) return this.begin()
    this.queued ??= this.reading
      .catch(() => {})
      .then(() => {
        this.refuseWhenClosed()
        return this.reading ?? this.begin()
      })
    return this.queued
  }

  private doubtServer(): void {
    this.expiries += 1
    this.identity = undefined
  }

  private begin(): Promise<void> {
    this.isDue = false
    // Who queued gets this reading or the next; who comes from now on needs a later one.
    this.queued = undefined
    this.endDueTimer()
    const startedAt = this.options.clock.now()
    const reading = this.read().then(
      () => this.succeed(startedAt),
      (error: unknown) => this.fail(error),
    )
    this.reading = reading
    return reading
  }

  private async read(): Promise<void> {
    const { text, identity } = await this.withinDeadline(this.ask())
    this.refuseWhenClosed()
    await this.take(text, identity)
    this.refuseWhenClosed()
  }

  private async ask(): Promise<{ text: string; identity: ServerIdentity }> {
    const { run } = this.options
    const { expiries } = this
    const text = await onlyText(run, catalogQuery)
    const known = text === this.lastText ? this.identity : undefined
    const identity = known ?? (await readIdentity(run))
    if (expiries === this.expiries) this.identity = identity
    return { text, identity }
  }

  /** Without it, one connection that never answers would end all readings. A late answer is dropped. */
  private withinDeadline<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.giveUp = (error) => {
        end()
        reject(error)
      }
      const late = new Error(`The catalog query did not answer within ${deadlineMs} ms`)
      const end = this.options.clock.setTimer(() => reject(late), deadlineMs)
      answer.finally(end).then(resolve, reject)
    })
  }

  private async take(text: string, identity: ServerIdentity): Promise<void> {
    // The answer has come: what is kept from here on is of now.
    this.isStale = false
    if (this.isKnown(text, identity)) return
    const before = this.known
    const after = parseCatalog(text, identity, (before?.facts.version ?? 0) + 1)
    this.lastText = text
    if (before) await this.change(before, after)
    else this.show(after)
  }

  /** The text is ordered: an unchanged catalog is known without being parsed. */
  private isKnown(text: string, identity: ServerIdentity): boolean {
    const facts = this.latest
    if (!facts || text !== this.lastText || this.owed !== nothingOwed) return false
    return identity.systemIdentifier === facts.systemIdentifier && identity.timeline === facts.timeline
  }

  private show(next: ParsedCatalog): void {
    this.known = next
    this.latest = next.facts
  }

  /** Nothing may run between the new facts and the start of `onChange`: a query would fill under stamps about to go. */
  private async change(before: ParsedCatalog, after: ParsedCatalog): Promise<void> {
    const diff = diffCatalog(before, after)
    const relations = [...new Set([...this.owed.relations, ...diff.relations])]
    const triggersCame = this.owed.triggersCame || diff.triggersCame
    const server = diff.server ?? this.owed.server
    if (diff.relations.length > 0 || diff.elsewhere) this.show(after)
    if (relations.length === 0 && !triggersCame && !server) return
    this.owed = { relations, triggersCame, server }
    const done = startNow(() => this.options.onChange(relations, { triggersCame, server }))
    if (diff.server) this.options.emit({ type: 'serverChanged', how: diff.server })
    if (relations.length > 0 || triggersCame) this.options.emit({ type: 'catalogChanged', tables: relations })
    await done
    this.owed = nothingOwed
  }

  private succeed(startedAt: number): void {
    const { clock, emit, rereadMs = 30_000 } = this.options
    this.reading = undefined
    if (this.isClosed) return
    this.failures = 0
    this.keepFresh()
    this.rest((clock.now() - startedAt) * restPerReading)
    this.endDueTimer = clock.setTimer(() => {
      this.isDue = true
    }, rereadMs)
    if (this.latest) emit({ type: 'catalogRead', relations: this.latest.relations.size, version: this.latest.version })
  }

  /** A process that was idle for long must not decide from what it knew then. */
  private keepFresh(): void {
    const { clock, staleMs } = this.options
    this.isStale = false
    this.endStaleTimer()
    if (staleMs === undefined) return
    this.endStaleTimer = clock.setTimer(() => {
      this.isStale = true
    }, staleMs)
  }

  private fail(error: unknown): never {
    this.reading = undefined
    if (this.isClosed) throw error
    this.isDue = true
    this.lastError = error
    this.rest(Math.min(firstRestMs * 2 ** this.failures, longestRestMs))
    this.failures += 1
    this.options.emit({ type: 'catalogFailed', error })
    throw error
  }

  private rest(ms: number): void {
    this.endRestTimer()
    this.isResting = ms > 0
    if (!this.isResting) return
    this.endRestTimer = this.options.clock.setTimer(() => {
      this.isResting = false
    }, ms)
  }

  private refuseWhenClosed(): void {
    if (this.isClosed) throw closed()
  }
}

function closed(): AsideError {
  return new AsideError('ASIDE_CLOSED', 'the catalog is closed; no facts are read any more')
}

/** Calls at once; a throw becomes a rejection that is not reported as unhandled before somebody awaits it. */
function startNow(call: () => void | Promise<void>): Promise<void> {
  const started = new Promise<void>((resolve) => resolve(call()))
  started.catch(() => {})
  return started
}

async function onlyText(run: RunSql, sql: string): Promise<string> {
  const rows = await run(sql)
  return asText(rows[0]?.[0])
}

async function readIdentity(run: RunSql): Promise<ServerIdentity> {
  const systemIdentifier = await textOrRefusal(run, systemIdentifierQuery)
  const timeline = await textOrRefusal(run, timelineQuery)
  return { systemIdentifier, timeline }
}

/** The server's "no" is an empty text; a connection that broke says nothing about the server and fails the reading. */
async function textOrRefusal(run: RunSql, sql: string): Promise<string> {
  try {
    return await onlyText(run, sql)
  } catch (error) {
    if (isRefusal(error)) return ''
    throw error
  }
}

/** An SQLSTATE outside the classes for connections (08), resources (53) and operators' interventions (57). */
function isRefusal(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) return !/^(08|53|57)/.test(code)
  return cause !== undefined && isRefusal(cause)
}
