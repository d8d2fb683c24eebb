import { filledUnder, isStamp, type LearnedStamp, readEntry, readResult } from '../model/entry.ts'
import { refusalOf } from '../model/payload.ts'
import type { ReadKind, StaleRefusal } from '../model/reasons.ts'
import type { Lookup, LookupAnswer, RecordRow } from '../model/record.ts'
import type { ResultAnswer, ResultLookup, ResultRows } from '../model/result.ts'
import { decodeRow } from '../model/row-codec.ts'
import { copyKey, readCopy, type StaleCopy, stampsOfRecord } from '../model/stale-copy.ts'
import { wallNow } from '../ports/clock.ts'
import type { OwnWrites } from '../ports/own-writes.ts'
import type { Voice } from '../ports/voice.ts'
import { aboutCopy, type KeepWith } from './keep-copy.ts'
import { nameKey, rowOf, type Wanted } from './read-records.ts'

export interface LastKnownWith extends KeepWith {
  readonly voice: Voice
  readonly own: OwnWrites
  /** True while the outcome of a write of this process is not known: it may become visible after a fill of another process. */
  isDoubtful(): boolean
}

/** What an answer came to that was known once, and what it rests on. */
interface Known<T> {
  readonly value: T
  readonly filledAt: number
  readonly restsOn: readonly LearnedStamp[]
}

const notServed = { bypass: 'database-down' } as const

/**
 * Reads copies of entries for queries that the database did not answer. Their stamps may be gone: what others have written
 * since is what such an answer may lack. What this process has written it may not; see {@link LastKnown.#isOverwritten}.
 */
export class LastKnown {
  readonly #with: LastKnownWith

  constructor(tools: LastKnownWith) {
    this.#with = tools
  }

  /** Rows by key: those of all keys, or none. */
  readonly rows = async (lookup: Lookup): Promise<LookupAnswer> => {
    const { source, kind } = lookup
    const { maxStaleMs } = source.settings
    if (maxStaleMs === undefined) return notServed
    const wanted = lookup.keys.map((key) => nameKey(lookup, key))
    const found = await this.#read(
      wanted.map(({ entryKey }) => copyKey(entryKey)),
      (copy, at) => this.#record(copy, wanted[at] as Wanted),
    )
    const answer = await this.#judge(found, maxStaleMs, source.label, kind)
    return answer ? { rows: answer } : notServed
  }

  /** A whole answer. */
  readonly result = async (lookup: ResultLookup): Promise<ResultAnswer> => {
    const { label, kind, maxStaleMs, entryKey } = lookup
    if (maxStaleMs === undefined) return notServed
    const found = await this.#read([copyKey(entryKey)], (copy) => this.#answer(copy, lookup))
    const answer = await this.#judge(found, maxStaleMs, label, kind)
    return answer ? { rows: answer[0] as ResultRows } : notServed
  }

  async #read<T>(
    keys: readonly string[],
    known: (copy: StaleCopy, at: number) => Known<T> | undefined,
  ): Promise<Known<T>[] | StaleRefusal> {
    const texts = await this.#with.store.read(keys)
    if (!texts) return 'store-failed'
    const found: Known<T>[] = []
    for (let at = 0; at < keys.length; at++) {
      const copy = readCopy(texts[at] ?? '')
      const one = copy && known(copy, at)
      if (!one) return 'not-kept'
      found.push(one)
    }
    return found
  }

  #record(copy: StaleCopy, one: Wanted): Known<RecordRow> | undefined {
    const { head, filledAt, entry } = copy
    const [stamp, epoch] = stampsOfRecord(entry, one.head)
    const payload = readEntry(entry, one.head, stamp, epoch)
    if (payload === undefined) return undefined
    const about = aboutCopy(copyKey(one.entryKey), head, one.head + stamp + epoch)
    const text = this.#with.payloads.unwrap(payload, about, one.maxBytes)
    const value = rowOf(text, one.width)
    if (value === undefined) this.#with.voice.payloadRefused(one.label, refusalOf(text))
    const restsOn = [
      { key: one.stampKey, stamp },
      { key: one.epochKey, stamp: epoch },
    ]
    return value === undefined ? undefined : { value, filledAt, restsOn }
  }

  #answer({ head, filledAt, entry }: StaleCopy, lookup: ResultLookup): Known<ResultRows> | undefined {
    const own = filledUnder(entry, lookup.head, lookup.stamps.length)
    const stored = own && readResult(entry, lookup.head, own.length, own.join(''))
    if (stored?.rows === undefined) return undefined
    const before = entry.slice(0, entry.length - stored.rows.length)
    const about = aboutCopy(copyKey(lookup.entryKey), head, before)
    const text = this.#with.payloads.unwrap(stored.rows, about, lookup.maxBytes)
    const value = typeof text === 'string' ? (decodeRow(text) as ResultRows | undefined) : undefined
    if (value === undefined) this.#with.voice.payloadRefused(lookup.label, refusalOf(text))
    const restsOn = (own as readonly string[]).map((stamp, at) => ({ key: lookup.stamps[at] as string, stamp }))
    return value === undefined ? undefined : { value, filledAt, restsOn: [...restsOn, ...stored.learned] }
  }

  /** The values where all may be served; tells either way. */
  async #judge<T>(
    found: readonly Known<T>[] | StaleRefusal,
    maxStaleMs: number,
    table: string,
    kind: ReadKind,
  ): Promise<readonly T[] | undefined> {
    const { clock, voice } = this.#with
    const refusal = typeof found === 'string' ? found : await this.#refuse(found, maxStaleMs)
    if (refusal !== undefined) {
      voice.emit({ type: 'staleRefused', table, reason: refusal })
      return undefined
    }
    const known = found as readonly Known<T>[]
    const oldest = Math.min(...known.map(({ filledAt }) => filledAt))
    voice.emit({ type: 'staleServed', table, kind, ageMs: Math.max(0, wallNow(clock) - oldest) })
    return known.map(({ value }) => value)
  }

  async #refuse(found: readonly Known<unknown>[], maxStaleMs: number): Promise<StaleRefusal | undefined> {
    // A store that is late with its expiries, or a copy of a service that allows more.
    const from = wallNow(this.#with.clock) - maxStaleMs
    if (found.some(({ filledAt }) => filledAt < from)) return 'too-old'
    return this.#isOverwritten(found.flatMap(({ restsOn }) => restsOn))
  }

  /**
   * Only stamps that this process has removed of late matter. One of them that is in the store again, the very one that
   * the copy names, was made after that removal, and so was the copy. Any other may have been removed by us or by others.
   */
  async #isOverwritten(restsOn: readonly LearnedStamp[]): Promise<StaleRefusal | undefined> {
    const { own, store } = this.#with
    const ours = restsOn.filter(({ key }) => own.has(key))
    if (ours.length === 0) return undefined
    if (this.#with.isDoubtful()) return 'own-write'
    const texts = await store.read(ours.map(({ key }) => key))
    if (!texts) return 'store-failed'
    const stands = ours.every(({ stamp }, at) => isStamp(stamp) && texts[at] === stamp)
    return stands ? undefined : 'own-write'
  }
}
