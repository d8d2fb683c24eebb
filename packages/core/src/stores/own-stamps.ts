import { isStamp } from '../model/entry.ts'
import { TAG_LENGTH, taggedStamp } from '../model/keys.ts'
import type { Incarnations, NewStamp, Store } from '../ports/store.ts'

type Values = (string | null)[]

/**
 * Stamps of the incarnation that answers, for a store that has several (PROTOCOL 3.10): those of another count as missing
 * and are replaced by the next fill. So an entry that was filled under one never validates, wherever it is read.
 *
 * The name is compared when the answer is there: a store that has changed since the question was sent costs a miss.
 */
export class OwnStamps {
  readonly #store: Store
  readonly #incarnations: Incarnations

  constructor(store: Store, incarnations: Incarnations) {
    this.#store = store
    this.#incarnations = incarnations
  }

  /** Takes stamps of others out of an answer, in place: it stands before every hit, and a copy would cost each of them. */
  dropForeign(keys: readonly string[], values: Values): undefined {
    for (let at = 0; at < values.length; at++) {
      if (this.#isForeign(keys[at] as string, values[at] as string | null)) values[at] = null
    }
  }

  /** A stamp of another incarnation is replaced where it is still there, so all who meet it agree on the new one. */
  async mint(stamps: readonly NewStamp[], ttlMs: number): Promise<Values> {
    const values = await this.#mintUnder(stamps, ttlMs)
    const foreign = stamps.flatMap((stamp, at): [number, NewStamp][] => {
      const over = values[at] ?? null
      return over !== null && this.#isForeign(stamp.key, over) ? [[at, { ...stamp, over }]] : []
    })
    if (foreign.length === 0) return values
    const replaced = await this.#mintUnder(
      foreign.map(([, stamp]) => stamp),
      ttlMs,
    )
    foreign.forEach(([at], index) => {
      values[at] = replaced[index] ?? null
    })
    this.dropForeign(
      stamps.map(({ key }) => key),
      values,
    )
    return values
  }

  /** Nothing is minted by who does not know for which incarnation. */
  async #mintUnder(stamps: readonly NewStamp[], ttlMs: number): Promise<Values> {
    const tagged: NewStamp[] = []
    for (const stamp of stamps) {
      const tag = this.#tagOf(stamp.key)
      if (!isStamp(stamp.text)) tagged.push(stamp)
      else if (tag !== undefined) tagged.push({ ...stamp, text: taggedStamp(stamp.text, tag) })
    }
    return tagged.length < stamps.length ? stamps.map(() => null) : this.#store.mint(tagged, ttlMs)
  }

  #isForeign(key: string, text: string | null): boolean {
    if (!isStamp(text)) return false
    const tag = this.#tagOf(key)
    return tag === undefined || !text.startsWith(tag, 1)
  }

  /** A store is somebody else's code: a name of another length would shift what stands behind it. */
  #tagOf(key: string): string | undefined {
    const tag = this.#incarnations.of(key)
    return tag?.length === TAG_LENGTH ? tag : undefined
  }
}
