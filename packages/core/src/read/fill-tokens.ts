import { digest, newToken } from '../model/keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { GuardedStore } from '../ports/guarded-store.ts'
import type { Voice } from '../ports/voice.ts'
import type { Limited } from './fill-limit.ts'

/** The first pause between two looks at the store; each is twice the one before, up to the last. */
const FIRST_PAUSE_MS = 5
const LAST_PAUSE_MS = 40

/** Thrown where nobody waits for a fill and somebody else has it in hand: see `isNotNow`. */
const inOtherHands = Symbol('another process fills it')

export interface TokensWith {
  readonly store: GuardedStore
  readonly clock: Clock
  readonly voice: Voice
  /** How long a reader waits for the process that holds the token; undefined: there are no tokens. */
  readonly waitMs: number | undefined
}

/** A fill on its way. */
export interface Running<T> extends Limited<T> {
  /** Must be called at the end of the fill: whether its answer was handed to the store. */
  end(stored: boolean): void
}

interface Turn {
  readonly begin: () => void
  readonly ended: Promise<boolean>
  readonly waitMs: number
}

const nothing = (): void => {}

function signal<T>(): [promise: Promise<T>, give: (value: T) => void] {
  let give: (value: T) => void = nothing
  const promise = new Promise<T>((resolve) => {
    give = resolve
  })
  return [promise, give]
}

/** A fill that one process at a time should run. */
export interface Claimed<T> {
  readonly table: string
  readonly entryKey: string
  /** What it is filled under: a fill under other stamps is another one (PROTOCOL 3.12). */
  readonly under: string
  readonly background: boolean
  /** The entry as far as it is valid under these very stamps; `'gone'`: they have changed, and waiting is in vain. */
  look(tokenKey: string): Promise<Look<T>>
  query(): Limited<T>
}

export type Look<T> = { readonly found: T } | 'gone' | 'not-yet'

/**
 * Lets one of several processes that miss the same answer run its query; the others look at the store for a short while
 * and serve what has become valid under their own stamps. Whatever goes wrong with a token, a reader asks the database
 * itself in the end. Nobody who waits for a token holds a place of `maxFills`.
 */
export class FillTokens {
  readonly #with: TokensWith

  constructor(tools: TokensWith) {
    this.#with = tools
  }

  run<T>(fill: Claimed<T>): Running<T> {
    const { waitMs } = this.#with
    if (waitMs === undefined) return { ...fill.query(), end: nothing }
    const [begun, begin] = signal<void>()
    const [ended, end] = signal<boolean>()
    return { begun, answer: this.#inTurn(fill, { begin, ended, waitMs }).finally(begin), end }
  }

  async #inTurn<T>(fill: Claimed<T>, { begin, ended, waitMs }: Turn): Promise<T> {
    const token = { key: `${fill.entryKey}!${digest(fill.under)}`, text: newToken() }
    // Longer than anybody waits, so that those who came with the holder do not follow it one by one.
    const lifeMs = 2 * waitMs
    const since = this.#with.clock.now()
    const kept = (await this.#with.store.mint([token], lifeMs))?.[0]
    if (kept === token.text) void this.#release(token.key, since + lifeMs, ended)
    else if (typeof kept === 'string') {
      const found = await this.#await(fill, token.key, since + waitMs)
      if (found) return found.found
    }
    const { answer, begun } = fill.query()
    if (begun) begun.then(begin)
    else begin()
    return answer
  }

  /**
   * Whoever comes for the token after a fill finds it taken, looks, and is served. Only where nothing was stored nobody is
   * kept waiting. Once its time is over it may be another's.
   */
  async #release(key: string, until: number, ended: Promise<boolean>): Promise<void> {
    const { store, clock } = this.#with
    const stored = await ended
    if (!stored && clock.now() < until) await store.remove([key])
  }

  async #await<T>(fill: Claimed<T>, key: string, until: number): Promise<{ readonly found: T } | undefined> {
    if (fill.background) throw inOtherHands
    const { clock, voice } = this.#with
    for (let pauseMs = FIRST_PAUSE_MS; clock.now() < until; pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS)) {
      await new Promise<void>((resolve) => clock.setTimer(resolve, Math.min(pauseMs, until - clock.now())))
      const look = await fill.look(key)
      if (look === 'gone') break
      if (look === 'not-yet') continue
      voice.emit({ type: 'fillAwaited', table: fill.table, served: true })
      return look
    }
    voice.emit({ type: 'fillAwaited', table: fill.table, served: false })
    return undefined
  }
}
