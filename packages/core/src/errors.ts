/** Codes of everything we throw. Set-up mistakes throw at once; a failing store never does. */
export type AsideErrorCode =
  | 'ASIDE_UNKNOWN_OPTION'
  | 'ASIDE_BAD_OPTION'
  | 'ASIDE_BAD_DURATION'
  | 'ASIDE_NO_NAMESPACE'
  | 'ASIDE_BAD_NAMESPACE'
  | 'ASIDE_UNKNOWN_TABLE'
  | 'ASIDE_DUPLICATE_TABLE'
  | 'ASIDE_UNKNOWN_COLUMN'
  | 'ASIDE_UNSUPPORTED_DRIVER'
  | 'ASIDE_UNSUPPORTED_DRIZZLE'
  | 'ASIDE_ALREADY_WRAPPED'
  | 'ASIDE_DRIZZLE_CACHE_ON'
  | 'ASIDE_CLIENT_WRAPPED_TWICE'
  | 'ASIDE_NOT_WRAPPED'
  | 'ASIDE_BAD_STORE'
  | 'ASIDE_BAD_ENCRYPTION_KEY'
  | 'ASIDE_BAD_KEY_ID'
  | 'ASIDE_NO_CURRENT_KEY'
  | 'ASIDE_BAD_KEY'
  | 'ASIDE_BAD_QUERY'
  | 'ASIDE_CLOSED'
  | 'ASIDE_NOT_DELIVERED'
  | 'ASIDE_OUTBOX_NEEDS_SHARED_STORE'

/** An error of ours: a code to test for, what happened, and what to do. No row values in the text. */
export class AsideError extends Error {
  override readonly name = 'AsideError'
  /** With `ASIDE_NOT_DELIVERED`: the write is committed in the database; only its invalidation waits. */
  readonly committed: boolean

  constructor(
    readonly code: AsideErrorCode,
    message: string,
    details: { cause?: unknown; committed?: boolean } = {},
  ) {
    super(`${code}: ${message}`, details.cause === undefined ? undefined : { cause: details.cause })
    this.committed = details.committed ?? false
  }
}
