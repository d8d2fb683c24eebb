import { AsideError } from '../errors.ts'
import type { Explanation } from './explain-statement.ts'

/** A query to warm: a builder that nobody has awaited yet, or a function that makes one, or runs one. */
export type WarmQuery = PromiseLike<unknown> | (() => PromiseLike<unknown>)

export interface WarmOptions {
  /** How many run at a time, at most `maxFills`. Default: `maxFills`. */
  concurrency?: number
  /** Called after each query. What it throws is told as `listenerFailed` and stops nothing. */
  onProgress?: (progress: WarmProgress) => void
}

export interface WarmProgress {
  /** Queries that ran, failed ones included. */
  readonly done: number
  /** How many there are; undefined where an iterable does not say so beforehand. */
  readonly total: number | undefined
  /** Queries whose answer is in the cache now. Of a function that returns a mere promise that is not known. */
  readonly filled: number
  readonly failed: number
}

export interface WarmSummary extends WarmProgress {
  /** The first hundred failures, by the position of their query. */
  readonly failures: readonly { readonly at: number; readonly error: unknown }[]
}

export interface WarmTools {
  explain(query: unknown): Promise<Pick<Explanation, 'state'>>
  /** Without facts about the database nothing would be kept. */
  ready(): Promise<void>
  maxFills(): number
  listenerFailed(error: unknown): void
}

const MOST_FAILURES = 100

/** Runs queries so that their answers are kept, some at a time; one that fails stops no other. */
export async function warmQueries(queries: unknown, options: WarmOptions, tools: WarmTools): Promise<WarmSummary> {
  checkOptions(options)
  const next = inTurn(queries)
  await tools.ready()
  const most = tools.maxFills()
  const warming = new Warming(Array.isArray(queries) ? queries.length : undefined, options, tools)
  const workers = Array.from({ length: Math.min(options.concurrency ?? most, most) }, () => warming.work(next))
  const ends = await Promise.allSettled(workers)
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  return warming.summary()
}

class Warming {
  #done = 0
  #filled = 0
  #failed = 0
  readonly #failures: { at: number; error: unknown }[] = []

  constructor(
    readonly total: number | undefined,
    readonly options: WarmOptions,
    readonly tools: WarmTools,
  ) {}

  async work(next: Next): Promise<void> {
    for (let item = await next(); item; item = await next()) {
      await this.#run(item)
      this.#done++
      this.#tell()
    }
  }

  async #run({ at, query }: Item): Promise<void> {
    try {
      if (await isFilled(query, this.tools)) this.#filled++
    } catch (error) {
      this.#failed++
      if (this.#failures.length < MOST_FAILURES) this.#failures.push({ at, error })
    }
  }

  #tell(): void {
    try {
      this.options.onProgress?.(this.#progress())
    } catch (error) {
      this.tools.listenerFailed(error)
    }
  }

  #progress(): WarmProgress {
    return { done: this.#done, total: this.total, filled: this.#filled, failed: this.#failed }
  }

  summary(): WarmSummary {
    return { ...this.#progress(), failures: this.#failures.sort((a, b) => a.at - b.at) }
  }
}

/** Runs a query, and says whether the cache holds its answer from now on. */
async function isFilled(query: unknown, { explain }: WarmTools): Promise<boolean> {
  const made = typeof query === 'function' ? query() : query
  if (!isAwaitable(made)) throw noQuery()
  await made
  if (!('getSQL' in made)) return false
  const { state } = await explain(made)
  // Of a join whose partners only its rows name, the first run keeps the names; the second one keeps the rows.
  if (state !== 'miss') return state === 'hit'
  await made
  return (await explain(made)).state === 'hit'
}

const isAwaitable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'

function noQuery(): AsideError {
  const advice = 'Give builders that were not awaited, or functions; an async generator must yield functions.'
  return new AsideError('ASIDE_BAD_QUERY', `warm() met something that is no query. ${advice}`)
}

interface Item {
  readonly at: number
  readonly query: unknown
}

type Next = () => Promise<Item | undefined>

/** Hands out the queries one by one. In a box: a builder that an async function returns would be run by it. */
function inTurn(queries: unknown): Next {
  const iterator = iteratorOf(queries)
  let at = 0
  let last: Promise<Item | undefined> = Promise.resolve({ at: -1, query: undefined })
  const pull = async (before: Item | undefined): Promise<Item | undefined> => {
    if (!before) return undefined
    const result = await iterator.next()
    return result.done ? undefined : { at: at++, query: result.value }
  }
  return () => {
    last = last.then(pull)
    return last
  }
}

function iteratorOf(queries: unknown): Iterator<unknown> | AsyncIterator<unknown> {
  if (typeof queries === 'object' && queries !== null) {
    const given = queries as Partial<Iterable<unknown> & AsyncIterable<unknown>>
    const iterator = given[Symbol.asyncIterator]?.() ?? given[Symbol.iterator]?.()
    if (iterator) return iterator
  }
  throw new AsideError('ASIDE_BAD_QUERY', 'warm() takes a list or an iterable of queries, e.g. warm([db.select()…]).')
}

function checkOptions(options: WarmOptions): void {
  const known = ['concurrency', 'onProgress']
  const stranger = Object.keys(options).find((name) => !known.includes(name))
  if (stranger !== undefined)
    throw new AsideError('ASIDE_UNKNOWN_OPTION', `warm() has no option '${stranger}'. Known: ${known.join(', ')}.`)
  const { concurrency, onProgress } = options
  if (concurrency !== undefined && !(Number.isInteger(concurrency) && concurrency > 0))
    throw new AsideError('ASIDE_BAD_OPTION', `concurrency must be a positive whole number, not ${String(concurrency)}.`)
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw new AsideError('ASIDE_BAD_OPTION', 'onProgress must be a function.')
}
