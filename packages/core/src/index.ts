/** drizzle-aside: cache-aside for Drizzle ORM on PostgreSQL, row by row. The door for users. */

export type { Explanation } from './drizzle/explain-statement.ts'
export { AsideError, type AsideErrorCode } from './errors.ts'
export type { BypassReason, EpochReason, FillRefusal, InvalidateCause, ReadKind } from './model/reasons.ts'
export type { AsideOptions, ColumnsOf, Duration, TableEntry, TableOptions } from './options.ts'
export { allTables, cached, uncached } from './options.ts'
export type { Clock } from './ports/clock.ts'
export type { AsideEvent, Listener } from './ports/events.ts'
export type { MarkedPart, RegisterAnswer, RegisterSight, RegisterVisit, Store } from './ports/store.ts'
export { type MemoryStats, type MemoryStore, type MemoryStoreOptions, memoryStore } from './stores/memory-store.ts'
export type { AsideStats, ReadCounts } from './watch/create-voice.ts'
export type { Aside, AsideHealth, Explainable, WithAside } from './with-cache.ts'
export { aside, withCache } from './with-cache.ts'
