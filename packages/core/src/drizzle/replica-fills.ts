import type { BypassReason } from '../model/reasons.ts'
import type { PrimaryPosition, ReplicaVerdict } from '../model/replica.ts'
import type { Clock } from '../ports/clock.ts'
import type { ReplicaStep } from '../ports/events.ts'
import { mayBeInTransaction } from './client-state.ts'
import type { Session } from './internals.ts'
import { onOneConnection, type Server } from './on-one-connection.ts'

/** What the fills of a wrap over a replica are made with. */
export interface ReplicaFillsWith {
  readonly replica: Server
  readonly primary: Server
  readonly clock: Clock
  /** Asks a replica what it has replayed; one row of one text. */
  readonly statusQuery: string
  /** Text of the session that keys are made for now. */
  sessionText(): string | undefined
  /** True where the primary's session answers as the replica's: then their entries are the same. */
  isShared(): boolean
  /** How far the primary had written at some moment after this call. */
  position(): Promise<PrimaryPosition>
  /** What a status says: of the replica, and of its session. */
  judge(status: string, position: PrimaryPosition): { readonly verdict: ReplicaVerdict; readonly session: string }
  /** The replica is not what was known of it. */
  doubt(): void
  /** Runs a query of a miss on the primary when its turn has come there. */
  inTurn<T>(query: () => Promise<T>): Promise<T>
  fromPrimary(): void
  failed(step: ReplicaStep, error: unknown): void
}

const behind = Symbol('the replica is behind')
const failed = Symbol('the replica could not be judged')
const reasons: ReadonlyMap<unknown, BypassReason> = new Map([
  [behind, 'replica-behind'],
  [failed, 'replica-failed'],
])

/** Why the statement runs on the replica as it was written, and is not kept; undefined: the error is of another kind. */
export const replicaReason = (error: unknown): BypassReason | undefined => reasons.get(error)

/**
 * How long the primary may take. Whoever reads from a replica while he holds the last connection to the primary, in a
 * transaction, must not wait for another one for ever.
 */
const POSITION_MS = 1_000
const PRIMARY_MS = 5_000

type Query<T> = (session: Session) => Promise<T>

/**
 * Where the queries of misses run for a wrap over a replica (PROTOCOL 3.14). By then the stamps are taken: what is kept
 * must show all that was committed when they were. So the primary is asked how far it has written, and the query runs on
 * the replica once that has replayed as much, both on one connection and in one transaction, for an address may
 * stand for several servers. Else it runs on the primary; and where that may not answer for the replica, as written.
 */
export class ReplicaFills {
  readonly #with: ReplicaFillsWith
  /** Questions to the primary that were not answered in time, and are not yet. */
  #hanging = 0

  constructor(tools: ReplicaFillsWith) {
    this.#with = tools
  }

  /** To be called when a key is made; what it answers rejects with what {@link replicaReason} knows, or as the query does. */
  begin(): <T>(query: Query<T>) => Promise<T> {
    const session = this.#with.sessionText()
    return (query) => this.#run(session, query)
  }

  async #run<T>(session: string | undefined, query: Query<T>): Promise<T> {
    const position = await this.#position()
    const own = await this.#onReplica(session, position, query)
    if (own) return own.value
    if (!this.#with.isShared() || this.#with.sessionText() !== session) throw behind
    return this.#onPrimary(query)
  }

  async #position(): Promise<PrimaryPosition> {
    if (this.#hanging > 0) throw failed
    const asking = this.#with.position()
    return this.#orFailed('position', asking, POSITION_MS, () => {
      this.#hanging++
      const answered = (): void => {
        this.#hanging--
      }
      asking.then(answered, answered)
    })
  }

  /** Undefined: it does not show everything. */
  async #onReplica<T>(
    session: string | undefined,
    position: PrimaryPosition,
    query: Query<T>,
  ): Promise<{ readonly value: T } | undefined> {
    const { replica, statusQuery } = this.#with
    let asked = false
    try {
      return await onOneConnection(replica, statusQuery, async (over, status) => {
        const told = this.#with.judge(status, position)
        asked = true
        if (told.session !== session || told.verdict === 'unfit') {
          this.#with.doubt()
          throw behind
        }
        return told.verdict === 'current' ? { value: await query(over) } : undefined
      })
    } catch (error) {
      if (asked) throw error
      this.#with.failed('replica', error)
      throw failed
    }
  }

  async #onPrimary<T>(query: Query<T>): Promise<T> {
    const { session, client } = this.#with.primary
    const { begun } = client
    if (mayBeInTransaction(client)) throw behind
    this.#with.fromPrimary()
    const asking = this.#with.inTurn(() => query(session))
    const value = await this.#orFailed('primary', asking, PRIMARY_MS)
    // On one connection for everybody it may have fallen into a transaction that has begun since.
    if (client.begun !== begun) throw behind
    return value
  }

  /** The replica's own answer, or its own error, is what the caller would have had without us. */
  #orFailed<T>(step: ReplicaStep, asking: Promise<T>, withinMs: number, late = (): void => {}): Promise<T> {
    return new Promise((resolve, reject) => {
      let isOver = false
      const fail = (error: unknown): void => {
        if (isOver) return
        isOver = true
        cancel()
        this.#with.failed(step, error)
        reject(failed)
      }
      const cancel = this.#with.clock.setTimer(() => {
        late()
        fail(new Error(`The primary did not answer within ${withinMs} ms`))
      }, withinMs)
      asking.then((value) => {
        cancel()
        resolve(value)
      }, fail)
    })
  }
}
