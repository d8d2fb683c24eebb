import type { ServerChange } from '../model/facts.ts'
import type { OutboxFault } from '../model/outbox.ts'
import type { PayloadRefusal } from '../model/payload.ts'
import type {
  BypassReason,
  EpochReason,
  FillRefusal,
  InvalidateCause,
  ReadKind,
  StaleRefusal,
} from '../model/reasons.ts'
import type { IncarnationNews } from './store.ts'

export type * from '../model/reasons.ts'

/** A call to the store that may fail or be late. */
export type StoreStep = 'read' | 'mint' | 'write' | 'remove' | 'clear' | 'enter'

/** What has a circuit breaker of its own. */
export type BreakerOf = 'reads' | 'fills'

/** What may fail of the outbox: writing a row, delivering the rows of others, or taking back delivered ones of our own. */
export type OutboxStep = 'write' | 'drain' | 'release'

/** What failed of a fill from a replica: asking the primary how far it is, asking the replica, or the query on the primary. */
export type ReplicaStep = 'position' | 'replica' | 'primary'

/**
 * Everything the extension says aloud. One union: stats, metrics, traces and tests listen to the same script. No event holds
 * a value of a row, a parameter, a scope or a key; errors in it are told without what could quote one.
 */
export type AsideEvent =
  | { type: 'hit'; table: string; kind: ReadKind }
  | { type: 'miss'; table: string; kind: ReadKind }
  | { type: 'fill'; table: string; kind: ReadKind }
  | { type: 'fillRefused'; table: string; reason: FillRefusal }
  | { type: 'payloadRefused'; table: string; reason: PayloadRefusal }
  | { type: 'needlessDrop'; table: string; columns: readonly string[] }
  | { type: 'joined'; table: string }
  | { type: 'fillAwaited'; table: string; served: boolean }
  /** The database did not answer, and this was served in its place; `ageMs` since its query began. */
  | { type: 'staleServed'; table: string; kind: ReadKind; ageMs: number }
  | { type: 'staleRefused'; table: string; reason: StaleRefusal }
  | { type: 'refresh'; table: string }
  | { type: 'refreshSkipped'; table: string }
  | { type: 'refreshFailed'; table: string; error: unknown }
  | { type: 'bypass'; table?: string; reason: BypassReason }
  | { type: 'invalidate'; keys: number; epochs: number; tables: readonly string[]; cause: InvalidateCause }
  | { type: 'epochReplaced'; table: string; reason: EpochReason }
  | { type: 'undeclaredTrigger'; table: string; trigger: string; line: string }
  | { type: 'recordsLost'; table: string; reason: 'duplicate-key' | 'privilege' | 'missing-column' }
  | {
      type: 'listRefused'
      table: string
      columns: readonly string[]
      reason: 'missing-column' | 'no-token' | 'sensitive' | 'too-many-schemes'
    }
  | { type: 'storeFailed'; step: StoreStep | 'close'; error: unknown }
  | { type: 'storeLate'; step: StoreStep; deadlineMs: number }
  | { type: 'breakerOpened'; of: BreakerOf; failures: number; answers: number }
  | { type: 'breakerClosed'; of: BreakerOf; openMs: number }
  | IncarnationNews
  | { type: 'registered'; version: string; parts: number }
  | { type: 'registerChanged'; version: string }
  | { type: 'registerLost' }
  | { type: 'schemeNew'; tables: readonly string[] }
  | { type: 'pendingDelivery'; keys: number; epochs: number }
  | { type: 'pendingOverflow'; epochs: number }
  | { type: 'delivered'; keys: number; waitedMs: number }
  | { type: 'outboxUsable' }
  | { type: 'outboxUnusable'; reason: OutboxFault }
  | { type: 'outboxFailed'; step: OutboxStep; error: unknown }
  | { type: 'outboxDrained'; rows: number; keys: number; epochs: number; oldestMs: number }
  | { type: 'derivationFailed'; error: unknown }
  | { type: 'outcomeUnknown'; tables: readonly string[]; error: unknown }
  | { type: 'outcomeKnown'; tables: readonly string[] }
  | { type: 'catalogRead'; relations: number; version: number }
  | { type: 'catalogFailed'; error: unknown }
  | { type: 'catalogChanged'; tables: readonly string[] }
  /** The database server was started anew, promoted or replaced: everything cached falls. */
  | { type: 'serverChanged'; how: ServerChange }
  /** A replica had not replayed all that was committed: the query of a miss ran on the primary. */
  | { type: 'replicaBehind' }
  /** The statement then runs on the replica as it was written, and its answer is not kept. */
  | { type: 'replicaFailed'; step: ReplicaStep; error: unknown }
  /** What was set, without the value: `SET app.user`. */
  | { type: 'sessionChanged'; statement: string }
  | { type: 'storeIsProcessLocal' }
  | { type: 'listenerFailed'; error: unknown }

/** Receives every event. A listener that throws is reported as `listenerFailed` and never disturbs a query. */
export type Listener = (event: AsideEvent) => void
