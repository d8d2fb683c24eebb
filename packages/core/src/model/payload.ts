import { deflate, inflate } from './compression.ts'
import { type Encryption, Refused, type SealRefusal } from './encryption.ts'
import { fullDigest } from './keys.ts'

/** Why a stored payload was not used; the read is a miss. */
export type PayloadRefusal = SealRefusal | 'damaged'

/** How the encoded rows stand in an entry, and how a question is named that holds values. */
export interface Payloads {
  /** Part of what tells entries apart; empty where nothing is encrypted. */
  readonly mark: string
  /** `about` is everything else that the entry says, and its key. `null`: there is no such row. */
  wrap(text: string | null, about: string): string | null
  /** A text of more than `maxChars` characters may be refused: it can only be forged. */
  unwrap(payload: string | null, about: string, maxChars: number): string | null | Refused<PayloadRefusal>
  /** The values of a question as they may stand in the store. */
  nameOf(values: string): string
  /** 43 characters for a text: see {@link fullDigest}. */
  digest(text: string): string
}

/** Why a payload that was unwrapped, or refused, gave no rows. */
export const refusalOf = (unwrapped: string | null | Refused<PayloadRefusal>): PayloadRefusal =>
  unwrapped instanceof Refused ? unwrapped.reason : 'damaged'

export interface PayloadForm {
  readonly encryption?: Encryption | undefined
  /** Texts of at least so many characters are compressed. Default: none. */
  readonly compressFrom?: number | undefined
}

/**
 * Rows as they are, compressed (`z` and base64), or encrypted (`e`), compressed before where it pays. Compressed ones are
 * read whatever `compressFrom` is, so that it can be changed while others run.
 */
export function createPayloads({ encryption, compressFrom = Number.POSITIVE_INFINITY }: PayloadForm): Payloads {
  return encryption ? encrypted(encryption, compressFrom) : readable(compressFrom)
}

/** Longer values stand in an entry as their hash. */
const LONGEST_PLAIN = 256

function readable(compressFrom: number): Payloads {
  return {
    mark: '',
    wrap(text) {
      if (text === null || text.length < compressFrom) return text
      const packed = `z${deflate(text).toString('base64url')}`
      return packed.length < text.length ? packed : text
    },
    unwrap(payload, _about, maxChars) {
      if (payload === null || payload.charCodeAt(0) !== COMPRESSED) return payload
      return inflate(Buffer.from(payload.slice(1), 'base64url'), maxChars) ?? damaged
    },
    nameOf: (values) => (values.length <= LONGEST_PLAIN ? values : `#${fullDigest(values)}`),
    digest: fullDigest,
  }
}

/** `z`, which no encoded row begins with. */
const COMPRESSED = 0x7a
const damaged = new Refused('damaged' as const)

/** "No such row" as a text: it must be as hard to forge as a row. No encoded row begins with it. */
const NO_ROW = '-'

/** What is not encrypted is refused: whoever can write to the store must not be able to answer a query. */
function encrypted(encryption: Encryption, compressFrom: number): Payloads {
  return {
    mark: encryption.mark,
    wrap: (text, about) => encryption.encrypt(packed(text ?? NO_ROW, compressFrom), about),
    unwrap(payload, about, maxChars) {
      if (payload === null) return new Refused('not-encrypted')
      const bytes = encryption.decrypt(payload, about)
      if (bytes instanceof Refused) return bytes
      const text = bytes[0] === COMPRESSED ? inflate(bytes.subarray(1), maxChars) : bytes.toString()
      if (text === undefined) return damaged
      return text === NO_ROW ? null : text
    },
    nameOf: (values) => `#${encryption.keyedDigest(values)}`,
    digest: encryption.keyedDigest,
  }
}

/** Compressed before it is encrypted: afterwards there is nothing left to find. */
function packed(text: string, compressFrom: number): Buffer {
  const bytes = Buffer.from(text)
  if (text.length < compressFrom) return bytes
  const small = deflate(text)
  return small.length + 1 < bytes.length ? Buffer.concat([Buffer.of(COMPRESSED), small]) : bytes
}
