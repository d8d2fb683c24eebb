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
  unwrap(payload: string | null, about: string): string | null | Refused<PayloadRefusal>
  /** The values of a question as they may stand in the store. */
  nameOf(values: string): string
  /** 43 characters for a text: see {@link fullDigest}. */
  digest(text: string): string
}

/** Why a payload that was unwrapped, or refused, gave no rows. */
export const refusalOf = (unwrapped: string | null | Refused<PayloadRefusal>): PayloadRefusal =>
  unwrapped instanceof Refused ? unwrapped.reason : 'damaged'

/** Longer values stand in an entry as their hash. */
const LONGEST_PLAIN = 256

/** As they are. */
export const plainPayloads: Payloads = {
  mark: '',
  wrap: (text) => text,
  unwrap: (payload) => payload,
  nameOf: (values) => (values.length <= LONGEST_PLAIN ? values : `#${fullDigest(values)}`),
  digest: fullDigest,
}

/** "No such row" as a text: it must be as hard to forge as a row. No encoded row begins with it. */
const NO_ROW = '-'

/** Encrypted; what is not, is refused: whoever can write to the store must not be able to answer a query. */
export function encryptedPayloads(encryption: Encryption): Payloads {
  return {
    mark: encryption.mark,
    wrap: (text, about) => encryption.encrypt(Buffer.from(text ?? NO_ROW), about),
    unwrap(payload, about) {
      if (payload === null) return new Refused('not-encrypted')
      const bytes = encryption.decrypt(payload, about)
      if (bytes instanceof Refused) return bytes
      const text = bytes.toString()
      return text === NO_ROW ? null : text
    },
    nameOf: (values) => `#${encryption.keyedDigest(values)}`,
    digest: encryption.keyedDigest,
  }
}
