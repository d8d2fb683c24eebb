/** How deep an error is looked into: Drizzle hangs the driver's error below its own. */
const DEEPEST = 5

/**
 * Whether an error says that the database could not answer, whatever it was asked: it was not reached, or the connection
 * broke. What it says about the query itself, or about who asks, is its answer and no outage: a syntax error, a privilege
 * (42501) or password (28P01) that is gone, a conflict (40001), a lock or a statement that took too long (55P03, 57014: of
 * that query, or somebody cancelled it), a server that refuses this one for its size (53100, 53200). Nor is a client that
 * the program itself has ended.
 *
 * @see PostgreSQL documentation, appendix "PostgreSQL Error Codes"; the drivers' sources for the rest.
 */
export function isOutage(error: unknown): boolean {
  if (error === stillDown) return true
  for (let depth = 0, at = error; depth < DEEPEST && typeof at === 'object' && at !== null; depth++) {
    const told = at as Told
    if (typeof told.code === 'string') return isOutageCode(told.code, told)
    if (typeof told.message === 'string' && messages.some((text) => (told.message as string).startsWith(text)))
      return true
    at = told.cause
  }
  return false
}

/** What a reader is told who waited for his turn to ask, when the database did not answer those before him. */
export const stillDown = Symbol('the database does not answer others')

interface Told {
  readonly code?: unknown
  readonly message?: unknown
  readonly severity?: unknown
  readonly syscall?: unknown
  readonly cause?: unknown
}

function isOutageCode(code: string, { severity, syscall }: Told): boolean {
  // Poolers tell every trouble of theirs by it; from the server it means a malformed message, e.g. a missing parameter.
  if (code === '08P01') return severity === 'FATAL'
  return states.test(code) || sockets.has(code) || (syscall === 'connect' && code === 'ENOENT')
}

/**
 * Connection exceptions; the server stops, crashed, starts, or ended an idle session; it takes no more connections. Not
 * 57P04: a database that was dropped does not come back.
 */
const states = /^(?:08...|57P0[1235]|53300)$/

/** Of Node, and of postgres.js. `CONNECTION_ENDED` and `CONNECTION_DESTROYED` are the program's own doing. */
const sockets = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'CONNECT_TIMEOUT',
  'CONNECTION_CLOSED',
])

/**
 * Of node-postgres, which gives its own errors no code. Its "Query read timeout" is about a query, as 57014 is, and
 * "Connection terminated" without more the program's own doing.
 */
const messages = [
  'timeout expired',
  'timeout exceeded when trying to connect',
  'Connection terminated unexpectedly',
  'Connection terminated due to connection timeout',
  'Client has encountered a connection error and is not queryable',
]
