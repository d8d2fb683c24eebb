import type { RelationId } from '../model/facts.ts'
import type { AsideEvent, BypassReason, FillRefusal, ReadKind } from './events.ts'

/** How the wings speak: counted always, told to listeners only where there are any. */
export interface Voice {
  emit(event: AsideEvent): void
  hit(table: string, kind: ReadKind, negative: boolean): void
  miss(table: string, kind: ReadKind): void
  /** `widened`: for the number of its stamps the answer rests on a whole table. */
  fill(table: string, kind: ReadKind, widened?: boolean): void
  /** An answer fell because these columns changed, of which it reaches none. */
  needlessDrop(table: RelationId, columns: readonly string[]): void
  fillRefused(table: string, reason: FillRefusal): void
  joined(table: string): void
  bypass(table: string | undefined, reason: BypassReason): void
}
