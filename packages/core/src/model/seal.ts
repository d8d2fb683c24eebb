import { createHmac, type createSecretKey } from 'node:crypto'

/** Characters of a key check: 132 bits. */
const CHECK_LENGTH = 22

/**
 * A secret that names values of sensitive columns in the store (HMAC-SHA-256): who has it finds the name of a value, and
 * nobody else can find out, by trying, which value a name stands for.
 */
export interface SealKey {
  /** Tells keys apart in public, as an id could not: two services may give one id to different keys. */
  readonly check: string
  /** Names for what `about` says, and for nothing else: equal values of two columns have names that cannot be linked. */
  over(about: string): (text: string) => string
}

export function sealKey(secret: ReturnType<typeof createSecretKey>): SealKey {
  const mac = (text: string): Buffer => createHmac('sha256', secret).update(text).digest()
  return {
    check: mac('check').toString('base64url').slice(0, CHECK_LENGTH),
    over(about) {
      const own = mac(`about ${about}`)
      return (text) => createHmac('sha256', own).update(text).digest('base64url')
    },
  }
}

/** How the values of a scheme with a sensitive column stand in the store: all of them as one name. */
export interface Seal {
  readonly check: string
  /** Columns whose values are shown to nobody, in `explain` either. */
  readonly hides: ReadonlySet<string>
  /** The name of values in the order of the scheme's columns, null for NULL, which is no easier to tell than a value: 43 characters. */
  name(values: readonly (string | null)[]): string
}

/**
 * One name for all values of a scheme, the plain ones too: named each by itself, an e-mail that two tenants share would
 * show in a key of both.
 */
export function sealOver(key: SealKey, about: string, hides: ReadonlySet<string>): Seal {
  const names = new RecentNames(key.over(about))
  return { check: key.check, hides, name: (values) => names.of(textOf(values)) }
}

/** Each value with its length: no two lists of values have one text. */
function textOf(values: readonly (string | null)[]): string {
  let text = ''
  for (const value of values) text += value === null ? 'n' : `${value.length}:${value}`
  return text
}

/** Names in one generation; two are kept. */
const GENERATION = 1_000

/** Longer texts are named anew each time. */
const LONGEST_KEPT = 256

/** A name takes some microseconds, and the same few are asked for again and again (`bench/sealed-keys.bench.ts`). */
class RecentNames {
  readonly #name: (text: string) => string
  #young = new Map<string, string>()
  #old = new Map<string, string>()

  constructor(name: (text: string) => string) {
    this.#name = name
  }

  of(text: string): string {
    const known = this.#young.get(text)
    if (known !== undefined) return known
    const name = this.#old.get(text) ?? this.#name(text)
    if (text.length <= LONGEST_KEPT) this.#keep(text, name)
    return name
  }

  #keep(text: string, name: string): void {
    if (this.#young.size >= GENERATION) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(text, name)
  }
}
