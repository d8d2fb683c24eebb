import type { RelationId } from '../model/facts.ts'
import type { PayloadRefusal } from '../model/payload.ts'
import type { AsideEvent, BypassReason, FillRefusal, ReadKind } from './events.ts'

/** An answer rests on a whole table for the number of its stamps: of those that its conditions name, or its rows. */
export interface Widened {
  readonly stamps: boolean
  readonly learned: boolean
}

/** How the wings speak: counted always, told to listeners only where there are any. */
export interface Voice {
  emit(event: AsideEvent): void
  hit(table: string, kind: ReadKind, negative: boolean): void
  miss(table: string, kind: ReadKind): void
  fill(table: string, kind: ReadKind, widened?: Widened): void
  /** A list of more keys than are read row by row: the whole answer may be kept all the same. */
  listTooLong(): void
  /** An answer fell because these columns changed, of which it reaches none. */
  needlessDrop(table: RelationId, columns: readonly string[]): void
  fillRefused(table: string, reason: FillRefusal): void
  /** Something stood in the store that was not used: a miss. */
  payloadRefused(table: string, reason: PayloadRefusal): void
  joined(table: string): void
  bypass(table: string | undefined, reason: BypassReason): void
}
