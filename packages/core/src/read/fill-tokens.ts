import { digest, newToken, withoutTags } from '../model/keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { GuardedStore } from '../ports/guarded-store.ts'
import type { Voice } from '../ports/voice.ts'
import type { Limited } from './fill-limit.ts'

/** The first pause between two looks at the store; each is twice the one before, up to the last. */
const FIRST_PAUSE_MS = 5
const LAST_PAUSE_MS = 40

/** Fails a fill that nobody waits for and that somebody else has in hand: see `isNotNow`. */
const inOtherHands = Symbol('another process fills it')

export interface TokensWith {
  readonly store: GuardedStore
  readonly clock: Clock
  readonly voice: Voice
  /** How long a reader waits for the process that holds the token; undefined: there are no tokens. */
  readonly waitMs: number | undefined
}

/** One entry and what it is filled under: a fill under other stamps is another one (PROTOCOL 3.12). */
export interface Fill {
  readonly entryKey: string
  /** In a row. */
  readonly stamps: string
  readonly head: string
}

/** A token that was asked for. */
export interface Bid {
  readonly key: string
  readonly text: string
  /** Once its time is over it may be another's. */
  readonly until: number
  /** What the store keeps under the key: it is had where that is `text`. */
  readonly kept: Promise<string | null | undefined>
}

/** Fills that one process at a time should run, each by itself; those that are this one's are one query. */
export interface Claimed<T extends Filled> {
  readonly table: string
  /** Undefined: nothing may be stored, so it is asked for whoever else does. */
  readonly fills: readonly (Fill | undefined)[]
  readonly background: boolean
  /**
   * The entry as far as it is valid under these very stamps; `'gone'`: they have changed, and waiting is in vain. Called
   * for several in one tick, which the store is asked for in one trip.
   */
  look(at: number, tokenKey: string): Promise<Look<T>>
  /** The answers to some of the fills, in the order of `which`. */
  query(which: readonly number[]): Limited<readonly T[]>
}

export interface Filled {
  /** It was handed to the store. */
  readonly stored: boolean
}

export type Look<T> = { readonly found: T } | 'gone' | 'not-yet'

/**
 * Lets one of several processes that miss the same answer run its query; the others look at the store for a short while
 * and serve what has become valid under their own stamps. Whatever goes wrong with a token, a reader asks the database
 * itself in the end. Nobody who waits for a token holds a place of `maxFills`, and no query waits for a token of others:
 * of a list of keys those that are had are asked for at once, so two lists that wait for each other are both served.
 */
export class FillTokens {
  readonly #with: TokensWith
  /** Asked for ahead of their fills, by key, until the fill takes them, whichever reader of this process it is. */
  readonly #ahead = new Map<string, Bid>()

  constructor(tools: TokensWith) {
    this.#with = tools
  }

  /** Whether there are any. */
  get areOn(): boolean {
    return this.#with.waitMs !== undefined
  }

  /**
   * Asks for the tokens of these fills ahead, beside the trip that mints their stamps: in the name of the stamps that will
   * be there if nobody else mints. Where somebody does, the name is nobody's, and the token keeps nobody waiting. Each must
   * be told to `leave` in the end.
   */
  bid(fills: readonly (Fill | undefined)[]): (Bid | undefined)[] {
    const bids = this.#asked(fills)
    for (const bid of bids) if (bid) this.#ahead.set(bid.key, bid)
    return bids
  }

  /** These are waited for no longer: what no fill has taken is given back, unless it is known to be in nobody's way. */
  leave(bids: readonly (Bid | undefined)[], how?: 'to-lapse'): void {
    const unused = bids.filter((bid) => bid !== undefined && this.#ahead.get(bid.key) === bid)
    for (const bid of unused) if (bid) this.#ahead.delete(bid.key)
    if (how !== 'to-lapse' && unused.length > 0) void this.#giveBack(unused)
  }

  /** Those that were asked for ahead by a reader of this process; the others are asked for now, in one trip. */
  #asked(fills: readonly (Fill | undefined)[]): (Bid | undefined)[] {
    const { waitMs, clock, store } = this.#with
    if (waitMs === undefined) return fills.map(() => undefined)
    const keys = fills.map((fill) => fill && keyOf(fill))
    const ahead = keys.map((key) => (key === undefined ? undefined : this.#ahead.get(key)))
    const named = keys.flatMap((key, at) => (key === undefined || ahead[at] ? [] : [{ key, text: newToken() }]))
    // Longer than anybody waits, so that those who came with the holder do not follow it one by one.
    const lifeMs = 2 * waitMs
    const until = clock.now() + lifeMs
    const minted = named.length > 0 ? store.mint(named, lifeMs) : Promise.resolve(undefined)
    const bids = named.map((token, at): Bid => ({ ...token, until, kept: minted.then((kept) => kept?.[at]) }))
    let next = 0
    return keys.map((key, at) => (key === undefined ? undefined : (ahead[at] ?? bids[next++])))
  }

  /** Of these fills nothing is stored: nobody is kept waiting for those that are had. */
  async #giveBack(bids: readonly (Bid | undefined)[]): Promise<void> {
    const { store, clock } = this.#with
    const asked = bids.filter((bid) => bid !== undefined)
    const kept = await Promise.all(asked.map((bid) => bid.kept))
    const had = asked.filter(({ text, until }, at) => kept[at] === text && clock.now() < until)
    if (had.length > 0) await store.remove(had.map(({ key }) => key))
  }

  /** One answer for each fill, as soon as it is there. */
  run<T extends Filled>(fill: Claimed<T>): readonly Limited<T>[] {
    const { waitMs } = this.#with
    if (waitMs === undefined) return together(fill)
    const turns = fill.fills.map(() => new Turn<T>())
    this.#inTurn(fill, turns, waitMs).catch((error) => {
      for (const turn of turns) turn.fail(error)
    })
    return turns
  }

  async #inTurn<T extends Filled>(fill: Claimed<T>, turns: readonly Turn<T>[], waitMs: number): Promise<void> {
    const until = this.#with.clock.now() + waitMs
    const bids = this.#asked(fill.fills)
    for (const bid of bids) if (bid) this.#ahead.delete(bid.key)
    const kept = await Promise.all(bids.map((bid) => bid?.kept))
    // Where the store does not say, it is as good as had, and nobody's to give back.
    const isLost = (at: number): boolean => typeof kept[at] === 'string' && kept[at] !== bids[at]?.text
    const all = fill.fills.map((_, at) => at)
    const own = all.filter((at) => !isLost(at))
    const lost = all.filter(isLost)
    if (own.length > 0) void this.#fill(fill, turns, own, bids)
    if (fill.background) for (const at of lost) turns[at]?.fail(inOtherHands)
    else await this.#await(fill, turns, lost, (at) => bids[at]?.key as string, until)
  }

  /** Whoever comes for a token after its fill finds it taken, looks, and is served. */
  async #fill<T extends Filled>(
    fill: Claimed<T>,
    turns: readonly Turn<T>[],
    own: readonly number[],
    bids: readonly (Bid | undefined)[],
  ): Promise<void> {
    const answers = await ask(fill, turns, own)
    await this.#giveBack(own.flatMap((at, i) => (answers?.[i]?.stored ? [] : [bids[at]])))
  }

  /** What is found is served; what will not come is asked for at once, and what has not come in time, at the end. */
  async #await<T extends Filled>(
    fill: Claimed<T>,
    turns: readonly Turn<T>[],
    lost: readonly number[],
    tokenKey: (at: number) => string,
    until: number,
  ): Promise<void> {
    const { clock } = this.#with
    let waiting = lost
    let pauseMs = FIRST_PAUSE_MS
    while (waiting.length > 0 && clock.now() < until) {
      await new Promise<void>((resolve) => clock.setTimer(resolve, Math.min(pauseMs, until - clock.now())))
      const looks = await Promise.all(waiting.map((at) => fill.look(at, tokenKey(at))))
      waiting.forEach((at, i) => {
        const look = looks[i] as Look<T>
        if (typeof look === 'string') return
        this.#tell(fill, true)
        turns[at]?.give(look.found)
      })
      this.#giveUp(
        fill,
        turns,
        waiting.filter((_, i) => looks[i] === 'gone'),
      )
      waiting = waiting.filter((_, i) => looks[i] === 'not-yet')
      pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS)
    }
    this.#giveUp(fill, turns, waiting)
  }

  #giveUp<T extends Filled>(fill: Claimed<T>, turns: readonly Turn<T>[], which: readonly number[]): void {
    if (which.length === 0) return
    for (const _ of which) this.#tell(fill, false)
    void ask(fill, turns, which)
  }

  #tell({ table }: { readonly table: string }, served: boolean): void {
    this.#with.voice.emit({ type: 'fillAwaited', table, served })
  }
}

/** In the slot of its entry. Which incarnation its stamps are of, their minter does not know beforehand. */
const keyOf = ({ entryKey, stamps, head }: Fill): string => `${entryKey}!${digest(withoutTags(stamps) + head)}`

/** One query for all. */
function together<T extends Filled>(fill: Claimed<T>): readonly Limited<T>[] {
  const { answer, begun } = fill.query(fill.fills.map((_, at) => at))
  return fill.fills.map((_, at) => ({ answer: answer.then((answers) => answers[at] as T), begun }))
}

/** One query for some, whose turns it ends; the answers are undefined where it failed, which each of the turns tells. */
async function ask<T extends Filled>(
  fill: Claimed<T>,
  turns: readonly Turn<T>[],
  which: readonly number[],
): Promise<readonly T[] | undefined> {
  try {
    const { answer, begun } = fill.query(which)
    for (const at of which) turns[at]?.begin(begun)
    const answers = await answer
    which.forEach((at, i) => {
      turns[at]?.give(answers[i] as T)
    })
    return answers
  } catch (error) {
    for (const at of which) turns[at]?.fail(error)
    return undefined
  }
}

const nothing = (): void => {}

/** The answer of one fill, whoever gives it. */
class Turn<T> implements Limited<T> {
  give: (value: T) => void = nothing
  fail: (error: unknown) => void = nothing
  #begin: () => void = nothing
  readonly begun = new Promise<void>((resolve) => {
    this.#begin = resolve
  })
  readonly answer = new Promise<T>((resolve, reject) => {
    this.give = resolve
    this.fail = reject
  })

  constructor() {
    // Waiting for others is over as well where nothing had to be asked.
    this.answer.then(this.#begin, this.#begin)
  }

  begin(begun: Promise<unknown> | undefined): void {
    if (begun) begun.then(this.#begin, this.#begin)
    else this.#begin()
  }
}
