/** What a statement of which only the text is known does, as far as it can be proven (DESIGN 3.4, raw SQL). */
export type SqlVerdict =
  | { readonly kind: 'read'; readonly volatile: boolean; readonly session: boolean }
  | { readonly kind: 'harmless' }
  | { readonly kind: 'session'; readonly local: boolean }
  | { readonly kind: 'begin' }
  | { readonly kind: 'commit' }
  | { readonly kind: 'rollback' }
  | { readonly kind: 'prepare-transaction' }
  | {
      readonly kind: 'write'
      readonly tables: readonly { readonly schema?: string; readonly name: string }[] | 'unknown'
      readonly ddl: boolean
      readonly reason: string
    }
