import { createCipheriv, createDecipheriv, createHmac, createSecretKey, hkdfSync, randomBytes } from 'node:crypto'
import { AsideError } from '../errors.ts'
import { type SealKey, sealKey } from './seal.ts'

/** Keys for what is kept in the store. Bytes, never texts: a pass phrase is no key. */
export interface EncryptionOptions {
  /**
   * AES-256 keys by their ids: 32 random bytes each, ids of 1 to 32 of `A-Z a-z 0-9 _ -`. All of them decrypt; a key may
   * go once the longest time to live has passed since the last process encrypted under it.
   */
  readonly keys: Readonly<Record<string, Uint8Array>>
  /** The id of the key that encrypts what is stored from now on. */
  readonly current: string
  /**
   * 32 random bytes that name questions, and the values of `sensitive` keys and lists (HMAC-SHA-256), so that no key in the
   * store can be guessed back into its value. The same in every process, and kept when `keys` rotate: with another one all
   * is a miss. To replace it, give several: the first names, and what others name by the rest this process can drop one by
   * one; what they name by a key that it lacks it can only drop by whole tables.
   *
   * @example tokenKey: [newKey, oldKey] // until no process names by the old one any more
   */
  readonly tokenKey: Uint8Array | readonly Uint8Array[]
}

/** Why an encrypted text was not read; the read is a miss. */
export type SealRefusal = 'not-encrypted' | 'unknown-key' | 'not-authentic'

/** A text that could not be trusted or read, as a value that no text can be mistaken for. */
export class Refused<Reason extends string = string> {
  constructor(readonly reason: Reason) {}
}

/** Encrypts texts for the store, and names what must not be guessed. */
export interface Encryption {
  /** Tells configurations with different token keys apart; says nothing of the key. */
  readonly mark: string
  /** `about` is what the text is bound to: under anything else it is refused. */
  encrypt(bytes: Uint8Array, about: string): string
  decrypt(text: string, about: string): Buffer | Refused<SealRefusal>
  /** A digest that nobody can compute who lacks the token key: 43 characters. */
  keyedDigest(text: string): string
  /** What names the values of sensitive columns: the first does; the others are known, too. */
  readonly sealKeys: readonly [SealKey, ...SealKey[]]
}

const KEY_BYTES = 32
/** 96 random bits for every text (NIST SP 800-38D, 8.2.2). */
const NONCE_BYTES = 12
const TAG_BYTES = 16
const keyId = /^[A-Za-z0-9_-]{1,32}$/
const sealedText = /^e([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]+)$/

/**
 * Checks the keys and makes them ready.
 *
 * @throws AsideError `ASIDE_BAD_ENCRYPTION_KEY`, `ASIDE_BAD_KEY_ID` or `ASIDE_NO_CURRENT_KEY`.
 */
export function createEncryption({ keys, current, tokenKey }: EncryptionOptions): Encryption {
  const ready = new Map(Object.entries(keys ?? {}).map(([id, bytes]) => [checkId(id), readyKey(bytes, `key '${id}'`)]))
  const cipherKey = typeof current === 'string' ? ready.get(current) : undefined
  if (!cipherKey)
    throw new AsideError(
      'ASIDE_NO_CURRENT_KEY',
      `encryption.current must be the id of one of encryption.keys, which has: ${[...ready.keys()].join(', ') || 'none'}.`,
    )
  const [naming, ...known] = tokenKeys(tokenKey)
  const names = derived(naming, 'names')
  const keyedDigest = (text: string): string => createHmac('sha256', names).update(text).digest('base64url')
  return {
    mark: keyedDigest('mark').slice(0, 11),
    encrypt: (bytes, about) => `e${current}.${seal(cipherKey, bytes, about)}`,
    decrypt(text, about) {
      const parts = sealedText.exec(text)
      if (!parts) return new Refused(text.startsWith('e') ? 'not-authentic' : 'not-encrypted')
      const key = ready.get(parts[1] as string)
      return key ? open(key, parts[2] as string, about) : new Refused('unknown-key')
    },
    keyedDigest,
    sealKeys: [sealKeyOf(naming), ...known.map(sealKeyOf)],
  }
}

function tokenKeys(given: EncryptionOptions['tokenKey']): [Uint8Array, ...Uint8Array[]] {
  const [first, ...others]: unknown[] = Array.isArray(given) ? given : [given]
  return [checkBytes(first, 'tokenKey'), ...others.map((bytes, at) => checkBytes(bytes, `tokenKey[${at + 1}]`))]
}

const sealKeyOf = (bytes: Uint8Array): SealKey => sealKey(derived(bytes, 'stamps'))

type SecretKey = ReturnType<typeof createSecretKey>

function seal(key: SecretKey, bytes: Uint8Array, about: string): string {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(about))
  const parts = [nonce, cipher.update(bytes), cipher.final()]
  return Buffer.concat([...parts, cipher.getAuthTag()]).toString('base64url')
}

function open(key: SecretKey, text: string, about: string): Buffer | Refused<SealRefusal> {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return new Refused('not-authentic')
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(about))
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
  const plain = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES))
  try {
    decipher.final()
    return plain
  } catch {
    // The only thing that `final` can find is that the text is not what was encrypted, or not about this.
    return new Refused('not-authentic')
  }
}

function checkId(id: string): string {
  if (keyId.test(id)) return id
  throw new AsideError('ASIDE_BAD_KEY_ID', `Ids in encryption.keys must be 1 to 32 of A-Z a-z 0-9 _ -, not '${id}'.`)
}

const readyKey = (bytes: unknown, what: string): SecretKey => derived(checkBytes(bytes, what), 'payload')

/** The text never shows a byte of what was passed. */
function checkBytes(bytes: unknown, what: string): Uint8Array {
  if (bytes instanceof Uint8Array && bytes.length === KEY_BYTES) return bytes
  const found = bytes instanceof Uint8Array ? `${bytes.length} bytes` : `a ${typeof bytes}`
  throw new AsideError(
    'ASIDE_BAD_ENCRYPTION_KEY',
    `${what} of encryption must be ${KEY_BYTES} random bytes (a Buffer or Uint8Array), not ${found}. Make one with randomBytes(${KEY_BYTES}).`,
  )
}

/** One use, one key: what is passed is never used as it is, so that one secret in two places does no harm. */
function derived(bytes: Uint8Array, use: string): SecretKey {
  return createSecretKey(Buffer.from(hkdfSync('sha256', bytes, '', `drizzle-aside ${use} 1`, KEY_BYTES)))
}
