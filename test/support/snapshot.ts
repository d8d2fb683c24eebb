/**
 * Answers made comparable: two runs of one statement must give the same, down to prototypes and hidden properties.
 *
 * Promises: every own property is kept, enumerable or not, and every prototype; only what no two statements can share is
 * left out: stacks, the numbers of a connection, the ids that a database gives to tables and types, the random names that postgres.js gives to statements, and, in the
 * driver's own error inside Drizzle's, the text that was sent and positions in it.
 */
import { isDeepStrictEqual } from 'node:util'

/** What one run came to. */
export type Outcome = { readonly answer: unknown } | { readonly error: unknown }

/** Runs it and takes the snapshot of its answer or error. */
export async function outcomeOf(run: () => unknown, { unordered = false } = {}): Promise<Outcome> {
  try {
    const answer = await run()
    return { answer: snapshot(unordered ? sortedRows(answer) : answer) }
  } catch (error) {
    return { error: snapshot(error) }
  }
}

export const sameOutcome = (a: Outcome, b: Outcome): boolean => isDeepStrictEqual(a, b)

function sortedRows(answer: unknown): unknown {
  if (!Array.isArray(answer)) return answer
  return [...answer].sort((a, b) => (text(a) < text(b) ? -1 : 1))
}

const text = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? `${each}n` : each))

/** A copy in which all properties count and functions are their source. */
export function snapshot(value: unknown, seen: Map<object, unknown> = new Map()): unknown {
  if (typeof value === 'function') return `function ${value.toString()}`
  if (typeof value !== 'object' || value === null) return value
  // An invalid date is not equal to itself.
  if (value instanceof Date) return Object.assign(Object.create(Date.prototype) as object, { time: value.getTime() })
  if (ArrayBuffer.isView(value)) return value
  const known = seen.get(value)
  if (known) return known
  const copy = Object.create(Object.getPrototypeOf(value)) as object
  const shown = Array.isArray(value) ? { list: [] as unknown[], of: copy } : copy
  seen.set(value, shown)
  if (Array.isArray(value)) (shown as { list: unknown[] }).list = Array.from(value, (each) => snapshot(each, seen))
  for (const key of Reflect.ownKeys(value)) {
    if (Array.isArray(value) && (key === 'length' || /^\d+$/.test(String(key)))) continue
    // A relational query's `toSQL()` gives the object that goes to the session; what we hang on it is not enumerable.
    if (typeof key === 'symbol' && key.description?.startsWith('drizzle-aside')) continue
    if (leftOut(value, key)) continue
    const own = snapshot(Reflect.get(value, key), seen)
    Object.defineProperty(copy, key, { value: own, enumerable: true, configurable: true, writable: true })
  }
  return shown
}

const ofConnection = new Set<string | symbol>(['state'])
/** Parameter types stand in the order of the text that was sent. */
const ofStatement = new Set<string | symbol>(['name', 'types'])
/** Object ids of tables; ids of types below FIRST_OID are PostgreSQL's own. */
const ofCatalog = new Set<string | symbol>(['tableID', 'table'])
const ofType = new Set<string | symbol>(['dataTypeID', 'type'])
const FIRST_OID = 16384
/** `length` is that of the error message, positions included. */
const ofDriverError = new Set<string | symbol>(['stack', 'position', 'length', 'query', 'parameters', 'args', 'types'])

function leftOut(owner: object, key: string | symbol): boolean {
  if (owner instanceof Error) {
    return owner.constructor.name === 'DrizzleQueryError' ? key === 'stack' : ofDriverError.has(key)
  }
  if ('statement' in owner && ofConnection.has(key)) return true
  if ('tableID' in owner || 'parser' in owner) {
    return ofCatalog.has(key) || (ofType.has(key) && Number(Reflect.get(owner, key)) >= FIRST_OID)
  }
  return 'string' in owner && 'types' in owner && ofStatement.has(key)
}
