/** The names of things that happen, as `explain`, `stats` and events show them. */

import type { QueryKind } from './query-shape.ts'

/** How a read was asked: rows by primary key, by a list of them, by a unique key; or a whole result of some kind. */
export type ReadKind = 'key' | 'in-list' | 'unique' | QueryKind

/** Why an answer was not stored although the query ran. */
export type FillRefusal =
  | 'too-large'
  | 'too-many-rows'
  | 'partners-unknown'
  | 'not-encodable'
  | 'duplicate-key'
  | 'stamp-lost'
  | 'store-failed'
  | 'gate-closed'

/** Why the database's answer was not known well enough to be served while it is down (`serveStaleOnError`). */
export type StaleRefusal =
  /** It was never kept, or is gone; or one of several rows is. */
  | 'not-kept'
  | 'too-old'
  /** This process has written something since that it does not show, or may have. */
  | 'own-write'
  | 'store-failed'

/** Why a read never consulted the cache (DESIGN 5). `explain` and `stats` show these names. */
export type BypassReason =
  | 'not-a-record'
  | 'untracked-table'
  | 'in-transaction'
  | 'locking'
  | 'starting'
  | 'catalog-unknown'
  | 'no-primary-key'
  | 'not-a-proven-key'
  | 'value-without-token'
  | 'sensitive-column'
  | 'row-security'
  | 'no-scope'
  | 'auth-token'
  | 'session-changed'
  | 'standby'
  | 'replica-behind'
  | 'replica-failed'
  | 'replica-unfit'
  | 'switched-off'
  | 'cache-false'
  | 'pending-delivery'
  | 'outcome-unknown'
  | 'records-lost'
  | 'load-failed'
  | 'store-failed'
  | 'too-many-keys'
  | 'raw-sql'
  | 'volatile-function'
  | 'foreign-table'
  | 'not-encodable'
  | 'data-modifying'
  | 'inline-params'
  | 'unknown-chunk'
  | 'encoder-sql'
  | 'relative-time'
  | 'missing-placeholder'
  | 'registering'
  | 'register-stale'
  | 'scheme-new'
  | 'database-down'
  | 'closed'

/** Who asked for an invalidation. */
export type InvalidateCause =
  | 'write'
  | 'transaction'
  | 'unknown-write'
  | 'hand'
  | 'flush'
  | 'catalog'
  | 'unknown-outcome'

/** Why a whole table fell instead of single rows. */
export type EpochReason =
  | 'no-images'
  | 'too-many-rows'
  | 'too-many-keys'
  | 'cascade'
  | 'trigger'
  | 'undeclared-trigger'
  | 'partition'
  | 'raw-sql'
  | 'catalog-unknown'
  | 'catalog-changed'
  | 'server-changed'
  | 'key-update'
  | 'upsert'
  | 'value-without-token'
  | 'data-modifying-cte'
  | 'unknown-outcome'
  | 'by-hand'
  | 'overflow'
  | 'register-lost'
  | 'register-changed'
  | 'register-young'
  | 'scheme-new'
  | 'values-unnamed'
  | 'outbox-unreadable'
