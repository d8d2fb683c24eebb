import type { RelationId } from '../model/facts.ts'
import { newStamp } from '../model/keys.ts'
import type { BypassReason } from '../model/reasons.ts'
import { HEARTBEAT_MS, NO_VERSION, STALE_MS, UNSERVED_MS, YOUNG_MS } from '../model/register.ts'
import { type Registration, tableOfPart, type Union, unionOf } from '../model/registration.ts'
import type { Clock } from '../ports/clock.ts'
import type { Listener } from '../ports/events.ts'
import type { GuardedStore } from '../ports/guarded-store.ts'
import type { MarkedPart, RegisterAnswer } from '../ports/store.ts'

export interface RegistrarWith {
  readonly store: Pick<GuardedStore, 'enter'>
  readonly clock: Clock
  readonly emit: Listener
  /** The register and what this configuration keeps, under the facts of the moment; undefined: they are not known. */
  mine(): { readonly key: string; readonly registration: Registration } | undefined
  /** How long what was filled may outlive this process: at least twice the longest time to live of an entry. */
  readonly lifeMs: number
  /** Replaces the epochs of tables; true when the store confirmed it. */
  dropTables(tables: readonly RelationId[]): Promise<boolean>
}

/** How often in a row new parts are settled, should they come back as new each time, before the next heartbeat. */
const MOST_ROUNDS = 3

/**
 * Keeps this process in the register of the store, and knows what the others have in it (PROTOCOL 3.11). What was not in
 * it before is new, whoever brought it: until the table's epoch has been replaced, nobody hits or fills under it.
 *
 * A new *table* waits for {@link UNSERVED_MS} before that. By then each writer has a younger heartbeat, in which he saw it,
 * or none that is young enough to rely on ({@link Registrar.isCertain}). So a write that reaches nothing cached need not
 * look at the register when it is over.
 *
 * @example
 * const registrar = new Registrar({ store, clock, emit, mine, lifeMs, dropTables })
 * await registrar.start()
 * registrar.union?.tables.has(id) // cached by a live configuration
 */
export class Registrar {
  readonly #with: RegistrarWith
  readonly #party = newStamp()
  #union: Union | undefined
  #bornMs: number | undefined
  /** At that heartbeat the register was older than {@link YOUNG_MS}. */
  #wasGrown = false
  #key: string | undefined
  /** Parts of this process that are in the register and not new. */
  #live: ReadonlySet<string> = new Set()
  /** When the last heartbeat that succeeded was sent. */
  #sent = Number.NEGATIVE_INFINITY
  #entered: string | undefined
  /** All parts of the union. */
  #parts: readonly string[] = []
  /** New parts of this process, with the time from which they may be settled. */
  #waits = new Map<string, { readonly mark: string; readonly untilMs: number }>()
  #beating: Promise<void> | undefined
  #again = false
  #stopTimer: (() => void) | undefined
  #closed = false

  constructor(tools: RegistrarWith) {
    this.#with = tools
  }

  /** The union as this process last read it. */
  get union(): Union | undefined {
    return this.#union
  }

  /** What a write that is planned now derives its keys under. */
  get version(): string {
    return this.#union?.version ?? NO_VERSION
  }

  /** Why nothing may be served or stored now, whatever the table. */
  refuses(): BypassReason | undefined {
    if (this.#sent === Number.NEGATIVE_INFINITY) return 'registering'
    return this.#with.clock.now() - this.#sent < STALE_MS ? undefined : 'register-stale'
  }

  /**
   * True while nobody can serve what the union does not name. The union is of a heartbeat that was sent less than two
   * periods ago; who has entered a table since then does not serve it before three are over. Before that heartbeat three
   * periods had gone by without a loss of the register: who serves what it did not name has no heartbeat to rely on.
   */
  get isCertain(): boolean {
    const recent = this.#with.clock.now() - this.#sent < STALE_MS
    return this.#wasGrown && recent && this.#with.mine()?.key === this.#key
  }

  #settledFor: { readonly registration: Registration; readonly live: ReadonlySet<string> } | undefined
  readonly #settled = new Map<RelationId, boolean>()

  /** True while something that this configuration keeps of the table is not in the register, or new in it. */
  blocks(table: RelationId): boolean {
    const registration = this.#with.mine()?.registration
    if (!registration) return true
    if (this.#settledFor?.registration !== registration || this.#settledFor.live !== this.#live) {
      this.#settled.clear()
      this.#settledFor = { registration, live: this.#live }
    }
    let settled = this.#settled.get(table)
    if (settled === undefined) {
      settled = (registration.byTable.get(table) ?? []).every((part) => this.#live.has(part))
      this.#settled.set(table, settled)
    }
    return !settled
  }

  /** Enters now, and every period from then on. Also to be called when the facts have changed. */
  start(): void {
    if (this.#with.mine()?.registration.digest !== this.#entered) this.hurry()
  }

  /** Reads the register anew without waiting for the next period. */
  hurry(): void {
    if (this.#closed) return
    if (this.#beating) {
      this.#again = true
      return
    }
    this.#stopTimer?.()
    this.#beating = this.#beat()
  }

  /** Resolves when the visit that is on its way, if any, has ended. */
  async idle(): Promise<void> {
    while (this.#beating) await this.#beating
  }

  /** The registration stays: what was filled under it is still there, and a restart adds nothing that is new. */
  async close(): Promise<void> {
    this.#closed = true
    this.#stopTimer?.()
    await this.#beating
  }

  async #beat(): Promise<void> {
    const start = this.#with.clock.now()
    try {
      await this.#visit([], MOST_ROUNDS)
    } finally {
      this.#beating = undefined
      this.#goOn(start)
    }
  }

  #goOn(start: number): void {
    if (this.#closed) return
    if (this.#again) {
      this.#again = false
      this.hurry()
      return
    }
    const now = this.#with.clock.now()
    const waits = [...this.#waits.values()].map(({ untilMs }) => untilMs).filter((untilMs) => untilMs > now)
    const rest = Math.max(0, Math.min(start + HEARTBEAT_MS, ...waits) - now)
    this.#stopTimer = this.#with.clock.setTimer(() => this.hurry(), rest)
  }

  async #visit(settled: readonly MarkedPart[], rounds: number): Promise<void> {
    const mine = this.#with.mine()
    if (!mine || this.#closed) return
    const { key, registration } = mine
    const known = this.#key === key ? this.#union?.version : undefined
    // Before the store is asked: the answer may take its time.
    const sent = this.#with.clock.now()
    const { parts, digest } = registration
    const { lifeMs } = this.#with
    const visit = { party: this.#party, parts, digest, lifeMs, settled, mint: newStamp(), known }
    const answer = await this.#with.store.enter(key, visit)
    if (!answer) return
    this.#hear(key, registration, answer, sent)
    const now = this.#with.clock.now()
    const ready = answer.marked.filter(
      ({ part }) => (this.#waits.get(part)?.untilMs ?? Number.POSITIVE_INFINITY) <= now,
    )
    if (ready.length > 0 && rounds > 0 && (await this.#settle(ready))) await this.#visit(ready, rounds - 1)
  }

  #hear(key: string, registration: Registration, answer: RegisterAnswer, sent: number): void {
    const marked = new Set(answer.marked.map(({ part }) => part))
    if (answer.parts) this.#parts = answer.parts
    this.#wait(answer, registration, this.#key === key && sent - this.#sent < STALE_MS)
    this.#wasGrown = isGrown(answer)
    this.#live = new Set(registration.parts.filter((part) => !marked.has(part)))
    this.#entered = registration.digest
    this.#sent = sent
    this.#key = key
    this.#tell(answer, registration)
    this.#bornMs = answer.bornMs
    if (answer.parts) this.#union = unionOf(answer.version, answer.parts)
  }

  /** Counts from the answer: what it calls new was new before it. `lasting`: this process served until now. */
  #wait(answer: RegisterAnswer, { parts }: Registration, lasting: boolean): void {
    const from = this.#with.clock.now()
    const marked = new Set(answer.marked.map(({ part }) => part))
    const known = new Set(this.#parts.flatMap((part) => (marked.has(part) ? [] : (tableOfPart(part) ?? []))))
    const isSeen = (part: string): boolean => {
      if (known.has(tableOfPart(part) as RelationId)) return true
      // Nobody else has had a heartbeat for three periods, or he would be in the register.
      if (isGrown(answer)) return answer.alone
      // It was lost: writers know the part from before, and rely on no register that is as young as this one.
      return lasting && this.#live.has(part)
    }
    const waits = answer.marked.flatMap(({ part, mark }): [string, { mark: string; untilMs: number }][] => {
      if (!parts.includes(part)) return []
      const before = this.#waits.get(part)
      if (before?.mark === mark) return [[part, before]]
      return [[part, { mark, untilMs: isSeen(part) ? from : from + UNSERVED_MS }]]
    })
    this.#waits = new Map(waits)
  }

  #tell({ version, bornMs, parts }: RegisterAnswer, registration: Registration): void {
    const { emit } = this.#with
    if (this.#bornMs === undefined) emit({ type: 'registered', version, parts: registration.parts.length })
    else if (this.#bornMs !== bornMs) emit({ type: 'registerLost' })
    else if (parts) emit({ type: 'registerChanged', version })
  }

  /** The epochs first: entries of an earlier life of the scheme may still be there. */
  #settle(fresh: readonly MarkedPart[]): Promise<boolean> {
    const tables = [...new Set(fresh.flatMap(({ part }) => tableOfPart(part) ?? []))]
    this.#with.emit({ type: 'schemeNew', tables })
    return this.#with.dropTables(tables)
  }
}

const isGrown = ({ nowMs, bornMs }: RegisterAnswer): boolean => nowMs - bornMs >= YOUNG_MS
