/**
 * Did a failed statement surely leave the database as it was? A five-character SQLSTATE says yes, except for connection
 * trouble (class 08), a server that is going away (57P) and "statement completion unknown" (40003); everything without a
 * SQLSTATE (socket errors, time-outs) is unknown. Source: PostgreSQL documentation, appendix "PostgreSQL Error Codes".
 */
export function isDefiniteFailure(error: unknown): boolean {
  const state = sqlState(error)
  return state === undefined ? neverSent(error) : isDefiniteState(state) || state === CANNOT_CONNECT_NOW
}

/** A server that is starting or stopping says so before it takes any statement. */
const CANNOT_CONNECT_NOW = '57P03'

/** Whether an SQLSTATE says that the statement, or the transaction that a COMMIT was to end, has left no trace. */
export function isDefiniteState(state: string | undefined): boolean {
  return state !== undefined && !state.startsWith('08') && !state.startsWith('57P') && state !== '40003'
}

/**
 * Whether an error says that what is known of the catalog may be out of date: a table, column or privilege that was
 * thought to be there is not, the columns of a prepared statement are others (0A000, which has other reasons too), the server has become read-only, or the connection to it was lost (DESIGN 3.5).
 */
export function doubtsFacts(error: unknown): boolean {
  const state = sqlState(error)
  if (state === undefined) return isLostConnection(error)
  return /^(?:42P01|42703|42501|0A000|25006|57P0.|08...)$/.test(state)
}

const connectionCodes = /^(?:E(?:CONN|PIPE|TIMEDOUT|HOST|NET|NOTFOUND|AI_)|CONNECT)/

/** The driver lost the server, or did not reach it: another may answer in its place the next time. */
function isLostConnection(error: unknown): boolean {
  for (let depth = 0, at = error; depth < 5 && typeof at === 'object' && at !== null; depth++) {
    const { code, cause, message } = at as Record<string, unknown>
    if (typeof code === 'string' && connectionCodes.test(code)) return true
    if (typeof message === 'string' && message.startsWith('Connection terminated')) return true
    at = cause
  }
  return false
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

/** How postgres.js refuses a statement that it has not sent. */
const postgresJsRefusals = new Set([
  'CONNECT_TIMEOUT',
  'CONNECTION_ENDED',
  'UNDEFINED_VALUE',
  'MAX_PARAMETERS_EXCEEDED',
])

/** The same for Drizzle, node-postgres (pool and client) and PGlite, whose errors have no code. */
const refusals = [
  'No value for placeholder',
  'timeout exceeded when trying to connect',
  'Connection terminated due to connection timeout',
  'Cannot use a pool after calling end on the pool',
  'Client was closed and is not queryable',
  'Client has encountered a connection error and is not queryable',
  'PGlite is closed',
]

/** Errors that happen before anything is sent: no connection could be had, or Drizzle refused the values. */
function neverSent(error: unknown): boolean {
  for (let depth = 0, at = error; depth < 5 && typeof at === 'object' && at !== null; depth++) {
    const { code, syscall, cause, message } = at as Record<string, unknown>
    if (code === 'ECONNREFUSED' || code === 'ENOTFOUND' || syscall === 'connect') return true
    if (code === 'ASIDE_CLOSED' || (typeof code === 'string' && postgresJsRefusals.has(code))) return true
    if (typeof message === 'string' && refusals.some((text) => message.startsWith(text))) return true
    at = cause
  }
  return false
}
