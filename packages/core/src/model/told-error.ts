import { AsideError } from '../errors.ts'

/** Causes below one error are told so deep. */
const DEEPEST = 5

/** Whose words are sure to hold no values: the server's and the driver's about their connection. */
const connectionCode = /^(?:E[A-Z_]+|CONNECT\w*|08...|57P..|40003)$/
const connectionWords = /^(?:Connection terminated|Client has encountered|Query read timeout|timeout e)/

/** What a Redis adds to "unknown command". */
const ARGUMENTS = /, with args beginning with.*$/s

/**
 * An error as an event may show it. Clients hang whole commands on their errors, Drizzle the query with its parameters,
 * and words about a value mostly quote it: kept are the name, the code and the place, and of the words those that are about
 * the connection or, with `'store'`, the store. The query that failed rejects with all of it.
 */
export function toldError(error: unknown, about: 'store' | 'query', depth = 0): unknown {
  if (error instanceof AsideError || depth > DEEPEST) return error instanceof AsideError ? error : undefined
  if (typeof error !== 'object' || error === null) return new Error(UNTOLD)
  const { name, code, message, stack, cause } = error as Record<string, unknown>
  if ('query' in error && 'params' in error && cause !== undefined) return toldError(cause, about, depth + 1)
  const words = wordsOf(String(message), name, code, about)
  const below = cause === undefined ? undefined : toldError(cause, about, depth + 1)
  const told = new Error(words, below === undefined ? undefined : { cause: below })
  told.name = typeof name === 'string' ? name : 'Error'
  told.stack = [`${told.name}: ${words}`, ...placesIn(stack)].join('\n')
  return typeof code === 'string' ? Object.assign(told, { code }) : told
}

const UNTOLD = 'not told here, for it may quote values; a query that fails rejects with all of it'

function wordsOf(message: string, name: unknown, code: unknown, about: 'store' | 'query'): string {
  if (about === 'store') return message.replace(ARGUMENTS, '')
  const safe = typeof code === 'string' ? connectionCode.test(code) : connectionWords.test(message)
  return safe || name === 'TypeError' ? message : UNTOLD
}

const placesIn = (stack: unknown): string[] =>
  typeof stack === 'string' ? stack.split('\n').filter((line) => /^\s+at /.test(line)) : []

/** What a statement sets, without the value: `SET app.user`, `set_config app.user`. */
export function settingNamed(statement: string): string {
  const [, verb, name] = /^\s*(SET|RESET)\s+(?:(?:SESSION|LOCAL)\s+)?([a-z_][\w.]*)/i.exec(statement) ?? []
  if (verb !== undefined) return `${verb.toUpperCase()} ${name}`
  const configured = /\bset_config\s*\(\s*'([a-z_][\w.]*)'/i.exec(statement)
  if (configured) return `set_config ${configured[1]}`
  return /^\s*([a-z]+)\b/i.exec(statement)?.[1]?.toUpperCase() ?? 'a statement'
}
