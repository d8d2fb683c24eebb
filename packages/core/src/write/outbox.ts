import { randomUUID } from 'node:crypto'
import type { CatalogFacts, RelationFacts, RelationId } from '../model/facts.ts'
import { findRelation } from '../model/facts.ts'
import type { InvalidatedTable } from '../model/invalidation.ts'
import {
  type OutboxFault,
  type OutboxName,
  type OutboxRow,
  outboxFault,
  packBatch,
  quotedOutbox,
  unpackBatch,
} from '../model/outbox.ts'
import type { Clock } from '../ports/clock.ts'
import type { Listener, OutboxStep } from '../ports/events.ts'
import { sqlState } from './classify-failure.ts'
import { PendingKeys } from './pending-keys.ts'

export interface OutboxWith {
  readonly name: OutboxName
  readonly mode: 'always' | 'when-down'
  readonly drainMs: number
  readonly namespace: string
  readonly clock: Clock
  readonly emit: Listener
  /** 0 to 1: spreads the looks of many processes over the time between two. */
  random(): number
  facts(): CatalogFacts | undefined
  /** An outage of the store was seen that is not known to be over. */
  isDown(): boolean
  /** This process may drain: it can read texts exactly, and nothing of its own waits for the store. */
  mayDrain(): boolean
  /** Runs one statement outside any transaction; undefined: the connection may be in one. */
  run(sql: string, params: readonly string[]): Promise<readonly (readonly unknown[])[]> | undefined
  /** Removes from the store; false: not confirmed. */
  attempt(tables: readonly InvalidatedTable[]): Promise<boolean>
  /** All that is cached, for a row that nobody here can read. */
  everything(): readonly InvalidatedTable[] | undefined
}

/** What `health()` shows of the outbox. */
export interface OutboxHealth {
  /** `failing`: the last statement on the table failed. */
  readonly state: 'starting' | 'usable' | 'unusable' | 'failing'
  readonly fault: OutboxFault | undefined
  /** Age of the oldest row that the last look found overdue, in milliseconds; 0: none. */
  readonly lagMs: number
}

/** Rows of one look; full, the next one follows at once. */
const ROWS_PER_LOOK = 500

/** Most keys of one table that a row names one by one; more, and it names the table. */
const KEYS_PER_ROW = 512

/** Delivered rows of our own that wait to be taken back; more, and they are left to the drain. */
const MOST_RELEASED = 10_000

/**
 * The outbox of one wrapped db (PROTOCOL 3.6). A writer puts the keys of its write into a row that commits with it, tells the
 * store as ever, and takes the row back. A row that lies there for half of `drainMs` is somebody's who died or is cut
 * off: every process looks for such rows twice in `drainMs`, tells the store, and deletes them then.
 *
 * Nothing is locked meanwhile. Two that meet the same row both tell the store, which is idempotent, and one that dies in
 * between leaves the row to the next: so no connection is held while the store is asked, and it works on any driver.
 */
export class Outbox {
  readonly #with: OutboxWith
  #released: string[] = []
  #endReleaseTimer: (() => void) | undefined
  #endDrainTimer: (() => void) | undefined
  #draining: Promise<void> = Promise.resolve()
  #fault: OutboxFault | undefined
  #lagMs = 0
  /** A table that the catalog takes for usable and that refuses rows costs a write more than a trip: not every write. */
  #restUntil = Number.NEGATIVE_INFINITY
  readonly #failing = new Set<OutboxStep>()
  #isClosed = false

  constructor(tools: OutboxWith) {
    this.#with = tools
  }

  /** Begins to look for rows; called with every reading of the catalog, and goes on until {@link Outbox.close}. */
  start(): void {
    if (this.#endDrainTimer || this.#isClosed) return
    this.#drainIn(this.#with.random() * this.#periodMs)
  }

  health(): OutboxHealth {
    const failing = this.#failing.size > 0 ? 'failing' : 'usable'
    const state = !this.#judged ? 'starting' : this.#fault ? 'unusable' : failing
    return { state, fault: this.#fault, lagMs: this.#lagMs }
  }

  /** True for the relation that is the outbox: it is never cached. */
  isTable({ id }: RelationFacts): boolean {
    this.#table()
    return this.#judged?.id === id
  }

  /** The table, where writes that begin now are to leave a row. */
  target(): string | undefined {
    if (this.#isClosed || (this.#with.mode === 'when-down' && !this.#with.isDown())) return undefined
    return this.#with.clock.now() < this.#restUntil ? undefined : this.#table()
  }

  /** The keys of a row; undefined where they remove nothing that is known of. */
  pack(tables: readonly InvalidatedTable[]): string | undefined {
    if (!tables.some(({ keys }) => keys.length > 0)) return undefined
    const bounded = new PendingKeys()
    for (const table of tables) bounded.add(table)
    bounded.bound(KEYS_PER_ROW)
    return packBatch(bounded.take(Number.POSITIVE_INFINITY).tables)
  }

  row(into: string, keys: string): OutboxRow {
    return { into, id: randomUUID(), namespace: this.#with.namespace, keys }
  }

  /** The store has been told what these rows hold. */
  release(rows: Iterable<string>): void {
    for (const row of rows) if (this.#released.length < MOST_RELEASED) this.#released.push(row)
    if (this.#released.length === 0 || this.#endReleaseTimer || this.#isClosed) return
    this.#endReleaseTimer = this.#with.clock.setTimer(() => void this.#takeBack(), this.#with.drainMs / 10)
  }

  /** Each kind of failure is told once, until it works again. */
  failed(step: OutboxStep, error: unknown): void {
    if (this.#isClosed) return
    if (step === 'write' && !isReadOnly(error)) this.#restUntil = this.#with.clock.now() + REST_MS
    if (this.#failing.has(step)) return
    this.#failing.add(step)
    this.#with.emit({ type: 'outboxFailed', step, error })
  }

  worked(step: OutboxStep): void {
    this.#failing.delete(step)
  }

  /** Takes back what was delivered, and looks no more. Rows of others stay for others. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#endDrainTimer?.()
    this.#endReleaseTimer?.()
    // Whoever closes may hold the only connection; then others drain what is left.
    let cancel = (): void => {}
    const late = new Promise<void>((resolve) => {
      cancel = this.#with.clock.setTimer(resolve, this.#with.drainMs)
    })
    await Promise.race([this.#draining.then(() => this.#takeBack()), late])
    cancel()
  }

  get #periodMs(): number {
    return this.#with.drainMs / 2
  }

  #judged:
    | { readonly facts: CatalogFacts; readonly id: RelationId | undefined; readonly table: string | undefined }
    | undefined

  /** Asked of the catalog, because in a transaction an insert that fails has ended it. */
  #table(): string | undefined {
    const facts = this.#with.facts()
    if (!facts) return undefined
    if (this.#judged?.facts !== facts) this.#judged = this.#judge(facts)
    return this.#judged.table
  }

  #judge(facts: CatalogFacts) {
    const relation = findRelation(facts, this.#with.name.schema, this.#with.name.table)
    const fault = outboxFault(relation)
    const isNews = !this.#judged || fault !== this.#fault
    this.#fault = fault
    if (isNews) this.#with.emit(fault ? { type: 'outboxUnusable', reason: fault } : { type: 'outboxUsable' })
    const table = relation && !fault ? quotedOutbox({ schema: relation.schema, table: relation.name }) : undefined
    return { facts, id: relation?.id, table }
  }

  #drainIn(ms: number): void {
    this.#endDrainTimer = this.#with.clock.setTimer(() => {
      this.#draining = this.#drain().then(() => {
        if (!this.#isClosed) this.#drainIn(this.#periodMs)
      })
    }, ms)
  }

  async #drain(): Promise<void> {
    try {
      while (await this.#drainSome()) this.worked('drain')
    } catch (error) {
      this.failed('drain', error)
    }
  }

  /** True where more may be due. */
  async #drainSome(): Promise<boolean> {
    const table = this.#table()
    if (!table || this.#isClosed || this.#with.facts()?.standby || !this.#with.mayDrain()) return false
    const found = await this.#with.run(dueRows(table), [this.#with.namespace, String(this.#periodMs)])
    this.#lagMs = Math.max(0, ...(found ?? []).map((row) => Number(row[2])))
    if (!found) return false
    this.worked('drain')
    if (found.length === 0) return false
    const batch = this.#batchOf(found)
    if (!batch || !(await this.#with.attempt(batch.tables))) return false
    await this.#with.run(deleteRows(table), [found.map(([id]) => id).join()])
    const { keys, epochs } = batch.counts
    this.#with.emit({ type: 'outboxDrained', rows: found.length, keys, epochs, oldestMs: this.#lagMs })
    return found.length === ROWS_PER_LOOK
  }

  /** Undefined while a row cannot be read and nobody can say what all is, either. */
  #batchOf(found: readonly (readonly unknown[])[]) {
    const merged = new PendingKeys()
    for (const [, text] of found) {
      const tables = unpackBatch(String(text), this.#with.namespace) ?? this.#with.everything()
      if (!tables) return undefined
      for (const table of tables) merged.add(table)
    }
    return merged.take(Infinity)
  }

  async #takeBack(): Promise<void> {
    this.#endReleaseTimer = undefined
    const table = this.#table()
    const rows = this.#released
    if (!table || rows.length === 0) return
    const running = this.#with.run(deleteRows(table), [rows.join()])
    if (!running) return this.release([])
    this.#released = []
    try {
      await running
      this.worked('release')
    } catch (error) {
      // They are delivered once more, by whoever drains next.
      this.failed('release', error)
    }
  }
}

/** How long after a row that could not be written no other is tried. */
const REST_MS = 5_000

/** A read-only transaction says nothing about the table. */
const isReadOnly = (error: unknown): boolean => sqlState(error) === '25006'

const dueRows = (table: string): string =>
  `select id::text, keys, (extract(epoch from clock_timestamp() - written_at) * 1000)::text from ${table}
 where namespace = $1::text and written_at <= clock_timestamp() - $2::float8 * interval '1 ms' order by written_at limit ${ROWS_PER_LOOK}`

/** One text for all ids: drivers write arrays differently. */
const deleteRows = (table: string): string =>
  `delete from ${table} where id = any (string_to_array($1::text, ',')::uuid[])`
