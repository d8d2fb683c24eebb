import { PgPreparedQuery } from 'drizzle-orm/pg-core'
import type { Scope } from '../ports/paths.ts'
import type { PreparedQuery, Query } from './internals.ts'
import { keepInOutbox } from './keep-in-outbox.ts'
import { currentScope, destinations, type StatementContext } from './statement-context.ts'

/** What a text does to its session; `map/` decides, the Drizzle wing acts. */
export type SessionEffect =
  | 'none'
  | 'session'
  | 'begin'
  | 'commit'
  | 'rollback'
  /** COMMIT or ROLLBACK AND CHAIN: the next transaction is open at once. */
  | 'chain'
  /** Several statements in one text, after which a transaction is open, or none is. */
  | 'script-begun'
  | 'script-ended'

export interface RawCall {
  readonly context: StatementContext
  readonly plain: PreparedQuery
  readonly query: Query
  /** A select builder made it: without facts its text may be judged later, so that no read waits for them. */
  readonly built: boolean
  effectOf(text: string): SessionEffect
}

/**
 * A statement of which only the text counts: raw SQL, and whatever a builder made that is neither a read by key nor a
 * write. It runs untouched; afterwards its text is judged, and what it may have written falls.
 */
export class PreparedRaw extends (PgPreparedQuery as unknown as new (query: Query) => PreparedQuery) {
  readonly #call: RawCall

  constructor(call: RawCall) {
    super(call.query)
    this.#call = call
  }

  override execute(placeholders?: Record<string, unknown>, token?: unknown): Promise<unknown> {
    return this.#run(() => this.#plain().execute(placeholders, token))
  }

  override all(placeholders?: Record<string, unknown>): Promise<unknown> {
    return this.#run(() => this.#plain().all(placeholders))
  }

  #plain(): PreparedQuery {
    const { plain } = this.#call
    plain.joinsNotNullableMap = this.joinsNotNullableMap
    return plain
  }

  async #run(run: () => Promise<unknown>): Promise<unknown> {
    const { context, query, effectOf } = this.#call
    const effect = effectOf(query.sql)
    const scope = currentScope(context)
    let result: unknown
    const begins = effect === 'begin' || effect === 'script-begun'
    try {
      if (effect === 'commit' || effect === 'chain') await this.#keep()
      if (begins) context.client.entering++
      result = await run().finally(() => {
        if (begins) context.client.entering--
      })
    } catch (error) {
      context.write.noteError(error)
      if (effect === 'commit' || effect === 'chain') await this.#uncertain(error)
      // A read that failed has written nothing, whatever became of its connection.
      else if (!context.write.wasQuiet(query.sql)) await this.#failed(error, scope)
      throw error
    }
    await this.#after(effect)
    return result
  }

  /** Before a COMMIT by hand; not on a pool, where nobody knows which connection holds a transaction begun by hand. */
  async #keep(): Promise<void> {
    const { client, write, scope: own, session } = this.#call.context
    const scope = own ?? (client.single ? client.rawTransaction : undefined)
    if (scope) await keepInOutbox(session, client.kind, write, scope)
  }

  async #after(effect: SessionEffect): Promise<void> {
    const { context, query } = this.#call
    const { client, write } = context
    if (effect === 'session') client.sessionChanged = true
    if (effect === 'session' && write.changesNames(query.sql)) client.namesChanged = true
    // Surely only a read: nothing to note, in a transaction or outside.
    if (effect === 'none' && write.isQuiet(query.sql)) return
    if (context.scope) return this.#afterWithin(context.scope, effect)
    if (this.#call.built && effect === 'none' && !write.facts()) return write.judgeLater(query.sql)
    if (effect === 'commit' || effect === 'script-ended') await this.#end(true)
    else if (effect === 'chain') await this.#chained()
    else if (effect === 'rollback') await this.#end(false)
    if (effect === 'none' || effect === 'session' || effect.startsWith('script')) await this.#ran()
    if (effect !== 'begin' && effect !== 'chain' && effect !== 'script-begun') return
    client.rawTransaction ??= write.newScope()
    client.begun++
  }

  /** `transaction()` ends its transaction itself; after one who ends it by hand, statements run on their own. */
  async #afterWithin(scope: Scope, effect: SessionEffect): Promise<void> {
    const { context, query } = this.#call
    if (effect === 'commit' || effect === 'rollback' || effect === 'script-ended') scope.over = true
    if (effect === 'begin' || effect === 'script-begun') scope.over = false
    await context.write.ran(query.sql, scope, context.call.writes)
    if (effect === 'commit' || effect === 'chain' || effect === 'script-ended') await context.write.committed(scope)
  }

  async #ran(): Promise<void> {
    const { context, query } = this.#call
    for (const to of destinations(context, currentScope(context))) {
      await context.write.ran(query.sql, to, context.call.writes)
    }
  }

  async #failed(error: unknown, scope: Scope | undefined): Promise<void> {
    const { context, query } = this.#call
    if (context.write.mayCommitWithin(query.sql, scope !== undefined)) await this.#ranInPart(scope)
    for (const to of destinations(context, scope)) await context.write.failed(undefined, error, to)
  }

  /** The statement failed, and what it had committed by then stays. The caller hears of its failure and of nothing else. */
  async #ranInPart(scope: Scope | undefined): Promise<void> {
    const { context, query } = this.#call
    for (const to of [...new Set([...destinations(context, scope), undefined])]) {
      await context.write.ran(query.sql, to, context.call.writes).catch(() => undefined)
    }
  }

  /** The scope stays: a statement on its way belongs to the next transaction, and what was told is only told again. */
  async #chained(): Promise<void> {
    const { client, write } = this.#call.context
    if (client.rawTransaction) await write.committed(client.rawTransaction)
  }

  async #end(committed: boolean): Promise<void> {
    const { client, write } = this.#call.context
    const scope = client.rawTransaction
    client.rawTransaction = undefined
    if (scope) scope.over = true
    if (scope && committed) await write.committed(scope)
  }

  async #uncertain(error: unknown): Promise<void> {
    const { client, write, scope: own } = this.#call.context
    const scope = own ?? client.rawTransaction
    if (!own) client.rawTransaction = undefined
    if (!scope) return
    scope.over = true
    await write.uncertain(scope, error)
  }

  override getQuery(): Query {
    const { sql, params } = this.#call.query
    return { sql, params }
  }

  override setToken(token: unknown): this {
    this.#call.plain.setToken(token)
    return this
  }

  override mapResult(response: unknown, isFromBatch?: boolean): unknown {
    return this.#call.plain.mapResult(response, isFromBatch)
  }

  override isResponseInArrayMode(): boolean {
    return this.#call.plain.isResponseInArrayMode()
  }
}
