/**
 * Did a failed statement surely leave the database as it was? A five-character SQLSTATE says yes, except for connection
 * trouble (class 08), a server that is going away (57P) and "statement completion unknown" (40003); everything without a
 * SQLSTATE (socket errors, time-outs) is unknown. Source: PostgreSQL documentation, appendix "PostgreSQL Error Codes".
 */
export function isDefiniteFailure(error: unknown): boolean {
  const state = sqlState(error)
  if (state === undefined) return neverSent(error)
  return !state.startsWith('08') && !state.startsWith('57P') && state !== '40003'
}

/** The SQLSTATE of a driver error, however deep Drizzle wrapped it. */
export function sqlState(error: unknown): string | undefined {
  for (let depth = 0, at = error; depth < 5 && typeof at === 'object' && at !== null; depth++) {
    const { code, cause } = at as { code?: unknown; cause?: unknown }
    if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !nodeCodes.has(code)) return code
    at = cause
  }
  return undefined
}

// Five capital letters: not SQLSTATEs.
const nodeCodes = new Set(['EPIPE', 'EBUSY', 'EPERM', 'EFBIG', 'EBADF', 'EAGAIN', 'EROFS', 'EXDEV', 'EFAULT', 'EINTR'])

/** Errors that happen before anything is sent: no connection could be had, or Drizzle refused the values. */
function neverSent(error: unknown): boolean {
  for (let depth = 0, at = error; depth < 5 && typeof at === 'object' && at !== null; depth++) {
    const { code, syscall, cause, message } = at as Record<string, unknown>
    if (code === 'ECONNREFUSED' || code === 'ENOTFOUND' || syscall === 'connect') return true
    if (code === 'CONNECT_TIMEOUT' || code === 'ASIDE_CLOSED') return true
    if (typeof message === 'string' && message.startsWith('No value for placeholder')) return true
    at = cause
  }
  return false
}
