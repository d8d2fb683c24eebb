import type { RelationId } from './facts.ts'

/** What a statement of which only the text is known does, as far as it can be proven (DESIGN 3.4, raw SQL). */

export interface NamedTable {
  readonly schema?: string
  readonly name: string
}

export interface WriteVerdict {
  readonly kind: 'write'
  readonly tables: readonly NamedTable[] | 'unknown'
  /** The catalog is to be read again. */
  readonly ddl: boolean
  readonly reason: string
  /** Several statements in one text began or ended a transaction: how it stands after the last of them. */
  readonly after?: 'begun' | 'ended'
}

export type SqlVerdict =
  /** One query that provably writes no table. `volatile`: it may be run, never cached. `session`: calls set_config. */
  | { readonly kind: 'read'; readonly volatile: boolean; readonly session: boolean }
  /** Changes no table and nothing that later queries answer from. */
  | { readonly kind: 'harmless' }
  /** Changes the session; `local`: until the end of the transaction. */
  | { readonly kind: 'session'; readonly local: boolean }
  | { readonly kind: 'begin' }
  /** `chain`: AND CHAIN, the next transaction is open at once. */
  | { readonly kind: 'commit'; readonly chain: boolean }
  | { readonly kind: 'rollback'; readonly chain: boolean }
  | { readonly kind: 'prepare-transaction' }
  | WriteVerdict

/** What one query reads and calls, by its text. */
export interface SelectReading {
  /** Why it is no proven read, or cannot be read with certainty. */
  readonly problem: string | undefined
  readonly volatile: boolean
  readonly session: boolean
  /** How often it names each relation. */
  readonly relations: ReadonlyMap<RelationId, number>
}
