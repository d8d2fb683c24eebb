import type { Table } from 'drizzle-orm'
import type { Catalog } from '../catalog/open-catalog.ts'
import type { Explanation } from '../drizzle/explain-statement.ts'
import type { WarmOptions, WarmQuery, WarmSummary } from '../drizzle/warm-queries.ts'
import type { SchemaDifference } from '../model/schema-difference.ts'
import type { Duration } from '../options.ts'
import type { Listener } from '../ports/events.ts'
import type { FailoverGuard } from '../ports/store.ts'
import type { AsideStats } from '../watch/create-voice.ts'
import type { OutboxHealth } from '../write/outbox.ts'

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
