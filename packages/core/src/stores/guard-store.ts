import { AsideError } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { Listener } from '../ports/events.ts'
import type { GuardedStore } from '../ports/guarded-store.ts'
import type { RegisterAnswer, RegisterSight, Store } from '../ports/store.ts'
import { type AskedStep, AskInTime } from './ask-in-time.ts'
import { Breaker } from './breaker.ts'
import { MergeReads } from './merge-reads.ts'
import { OwnStamps } from './own-stamps.ts'

export interface GuardOptions {
  clock: Clock
  /** Receives `storeFailed` and `storeLate`. It must not throw: the wiring reports listeners that do. */
  emit: Listener
  /** How long `read` and `mint` wait for the store, in milliseconds. Default: 50. */
  readDeadlineMs?: number
  /** How long `remove` waits for the store, in milliseconds. Default: 250. */
  removeDeadlineMs?: number
}

type Values = (string | null)[]
type Sights = (RegisterSight | null)[]

/**
 * Stands between a {@link Store} and the paths that use it, so that no query fails or hangs with its cache: every call
 * settles within its deadline, nothing rejects, and reads of one tick are one round trip. Reads and fills have a circuit
 * breaker each; invalidations have none, for they must arrive: the delivery's queue is what spares writers the waiting.
 *
 * @example
 * const guarded = guardStore(memoryStore(), { clock: systemClock, emit: (event) => log(event) })
 * const values = await guarded.read(['a', 'b']) // undefined: ask the database
 */
export function guardStore(store: Store, options: GuardOptions): GuardedStore {
  const { clock, emit, readDeadlineMs = 50, removeDeadlineMs = 250 } = options
  const reading = new Breaker('reads', clock, emit)
  const filling = new Breaker('fills', clock, emit)
  const onRead = new AskInTime(clock, readDeadlineMs, emit, reading)
  const onFill = new AskInTime(clock, readDeadlineMs, emit, filling)
  const onWrite = new AskInTime(clock, removeDeadlineMs, emit)
  const own = store.incarnations && new OwnStamps(store, store.incarnations)
  const reads = new MergeReads((keys, settle) =>
    onRead.ask({
      step: 'read',
      ask: () => store.read(keys),
      check: (values) => checkValues(values, keys.length) ?? own?.dropForeign(keys, values),
      settle,
    }),
  )
  const failed = (step: AskedStep | 'close') => (error: unknown) => emit({ type: 'storeFailed', step, error })
  return {
    name: store.name,
    processLocal: store.processLocal,
    buckets: store.buckets ?? 1,
    read: (keys) => reads.read(keys),
    mint: (stamps, ttlMs) =>
      new Promise<Values | undefined>((settle) =>
        onFill.ask<Values>({
          step: 'mint',
          ask: () => (own ?? store).mint(stamps, ttlMs),
          check: (values) => checkValues(values, stamps.length),
          settle,
        }),
      ),
    get broken() {
      return { reads: reading.isOpen, fills: filling.isOpen }
    },
    get isResting() {
      return reading.isResting
    },
    write(key, text, ttlMs, keepAlive, stampTtlMs) {
      if (filling.isOpen) return
      attempt(() => store.write(key, text, ttlMs, keepAlive, stampTtlMs)).then(
        () => filling.answered(),
        (error) => {
          failed('write')(error)
          filling.failed()
        },
      )
    },
    remove: (keys) =>
      new Promise((resolve) =>
        onWrite.ask({
          step: 'remove',
          ask: () => store.remove(keys).then(confirmed),
          check: nothing,
          settle: (done) => resolve(done === true),
        }),
      ),
    removeAndLook: (keys, registers) =>
      new Promise<Sights | undefined>((settle) =>
        onWrite.ask<Sights>({
          step: 'remove',
          ask: () => verbOf(store.removeAndLook).call(store, keys, registers),
          check: (sights) => checkSights(sights, registers.length),
          settle,
        }),
      ),
    enter: (register, visit) =>
      new Promise<RegisterAnswer | undefined>((settle) =>
        onWrite.ask<RegisterAnswer>({
          step: 'enter',
          ask: () => verbOf(store.enter).call(store, register, visit),
          check: checkAnswer,
          settle,
        }),
      ),
    clear: (prefix) => attempt(() => store.clear(prefix)).then(confirmed, refused(failed('clear'))),
    close: () => attempt(() => store.close()).catch(failed('close')),
  }
}

const confirmed = () => true
const nothing = () => undefined
const refused = (report: (error: unknown) => void) => (error: unknown) => {
  report(error)
  return false
}

/** A store that throws instead of rejecting fails like any other. */
async function attempt(call: () => Promise<void>): Promise<void> {
  await call()
}

/** A store is somebody else's code: values that are none must not reach the decoder. */
function checkValues(values: Values, wanted: number): AsideError | undefined {
  if (!Array.isArray(values) || values.length !== wanted) {
    const found = Array.isArray(values) ? `${values.length} values` : `no list (${typeof values})`
    return new AsideError('ASIDE_BAD_STORE', `the store answered ${found} for ${wanted} keys; see the Store contract.`)
  }
  for (const value of values) {
    if (typeof value === 'string' || value === null) continue
    return new AsideError('ASIDE_BAD_STORE', `the store answered a ${typeof value}; only strings and null are values.`)
  }
  return undefined
}

/** The set-up refuses a shared store that lacks the verb, so nobody asks one that has none. */
function verbOf<Verb>(verb: Verb | undefined): Verb {
  if (verb) return verb
  throw new AsideError('ASIDE_BAD_STORE', 'the store keeps no register; see the Store contract.')
}

function checkSights(sights: Sights, wanted: number): AsideError | undefined {
  const usable = Array.isArray(sights) && sights.length === wanted
  return usable && sights.every((sight) => sight === null || isSight(sight)) ? undefined : noSight()
}

function checkAnswer(answer: RegisterAnswer): AsideError | undefined {
  const { parts, marked } = answer ?? {}
  const usable = isSight(answer) && Array.isArray(marked) && (parts === undefined || Array.isArray(parts))
  return usable ? undefined : noSight()
}

const isSight = (sight: RegisterSight | undefined): boolean =>
  typeof sight?.version === 'string' && Number.isFinite(sight.bornMs) && Number.isFinite(sight.nowMs)

const noSight = (): AsideError =>
  new AsideError('ASIDE_BAD_STORE', 'the store answered no register; see the Store contract.')
