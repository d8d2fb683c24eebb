/** drizzle-aside: cache-aside for Drizzle ORM on PostgreSQL, row by row. The door for users. */

export type { Explanation } from './drizzle/explain-statement.ts'
export type { WarmOptions, WarmProgress, WarmQuery, WarmSummary } from './drizzle/warm-queries.ts'
export { AsideError, type AsideErrorCode } from './errors.ts'
export type { EncryptionOptions } from './model/encryption.ts'
export type { ServerChange } from './model/facts.ts'
export type { OutboxFault } from './model/outbox.ts'
export type { PayloadRefusal } from './model/payload.ts'
export type * from './model/reasons.ts'
export type { SchemaDifference, SchemaDifferenceKind } from './model/schema-difference.ts'
export type {
  AsideOptions,
  ColumnsOf,
  CompressionOptions,
  Duration,
  OutboxOptions,
  ReplicaOptions,
  StaleOptions,
  TableEntry,
  TableOptions,
} from './options.ts'
export { allTables, cached, outboxMigration, uncached } from './options.ts'
export type { Clock } from './ports/clock.ts'
export type { AsideEvent, Listener, ReplicaStep } from './ports/events.ts'
export type { FillCounts } from './ports/fill-counts.ts'
export type * from './ports/store.ts'
export { type MemoryStats, type MemoryStore, type MemoryStoreOptions, memoryStore } from './stores/memory-store.ts'
export type { AsideStats, BoundCounts, NeedlessDrop, ReadCounts, RefreshCounts } from './watch/create-voice.ts'
export type { Aside, AsideHealth, Explainable, WithAside } from './wiring/handle.ts'
export { aside, withCache } from './with-cache.ts'
