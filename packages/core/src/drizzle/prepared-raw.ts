import { PgPreparedQuery } from 'drizzle-orm/pg-core'
import type { PreparedQuery, Query } from './internals.ts'
import { currentScope, type StatementContext } from './statement-context.ts'

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
    try {
      const result = await run()
      await this.#after(effect)
      return result
    } catch (error) {
      if (effect === 'commit' || effect === 'chain') await this.#uncertain(error)
      else if (!scope) await context.write.failed(undefined, error, scope)
      throw error
    }
  }

  async #after(effect: SessionEffect): Promise<void> {
    const { context, query } = this.#call
    const { client, write, call } = context
    if (effect === 'session') client.sessionChanged = true
    // Surely only a read: nothing to note, in a transaction or outside.
    if (effect === 'none' && write.isQuiet(query.sql)) return
    if (context.scope) return write.ran(query.sql, context.scope, call.writes)
    if (effect === 'commit' || effect === 'chain' || effect === 'script-ended') await this.#end(true)
    else if (effect === 'rollback') await this.#end(false)
    if (effect === 'none' || effect === 'session' || effect.startsWith('script')) await this.#ran()
    if (effect === 'begin' || effect === 'chain' || effect === 'script-begun')
      client.rawTransaction ??= write.newScope()
  }

  /** Within a raw transaction a pool may have used another connection: known now, and again at its end. */
  async #ran(): Promise<void> {
    const { context, query } = this.#call
    const scope = currentScope(context)
    if (scope) await context.write.ran(query.sql, scope, context.call.writes)
    if (!scope || scope === context.client.rawTransaction) {
      await context.write.ran(query.sql, undefined, context.call.writes)
    }
  }

  async #end(committed: boolean): Promise<void> {
    const { client, write } = this.#call.context
    const scope = client.rawTransaction
    client.rawTransaction = undefined
    if (scope && committed) await write.committed(scope)
  }

  async #uncertain(error: unknown): Promise<void> {
    const { client, write } = this.#call.context
    const scope = client.rawTransaction
    client.rawTransaction = undefined
    if (scope) await write.uncertain(scope, error)
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
