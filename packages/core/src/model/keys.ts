import { createHash, randomBytes } from 'node:crypto'
import type { TokenKind } from './facts.ts'
import { type Seal, type SealKey, sealOver } from './seal.ts'

/**
 * The names of things in the store (PROTOCOL 3.1). Stamp keys carry too little at worst (a needless miss); entry keys
 * carry too much at worst (a needless miss). Values are length-prefixed, so no value can imitate a delimiter.
 */

/** Longest text that stands in a key as itself; longer ones are replaced by 128 bits of their SHA-256. */
const LONGEST_PLAIN = 64

/** Sixteen bytes of SHA-256 in 22 characters. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest().subarray(0, 16).toString('base64url')
}

/** All of SHA-256, for what an entry says of itself: a key may be short, the question behind it must be certain. */
export const fullDigest = (text: string): string => createHash('sha256').update(text).digest('base64url')

/** `length:text`, or `#digest` for a long text. The length counts UTF-8 bytes. */
export function prefixed(text: string): string {
  const bytes = isShortAscii(text) ? text.length : Buffer.byteLength(text)
  return bytes <= LONGEST_PLAIN ? `${bytes}:${text}` : `#${digest(text)}`
}

/** Most values are a few digits or letters: counted here, without a call into the runtime. */
function isShortAscii(text: string): boolean {
  if (text.length > 24) return false
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 127) return false
  return true
}

export const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Twelve random bytes in sixteen characters: a text that nobody has used before. */
export function newToken(): string {
  if (poolUsed === POOL) {
    pool = randomBytes(POOL)
    poolUsed = 0
  }
  const text = pool.toString('base64url', poolUsed, poolUsed + 12)
  poolUsed += 12
  return text
}
const POOL = 12 * 512
let pool = Buffer.alloc(0)
let poolUsed = POOL

/**
 * A fresh stamp: `S`, six characters that name the incarnation of the store ({@link taggedStamp} puts them in, where the
 * store has several), a dot, a token.
 */
export const newStamp = (): string => `S000000.${newToken()}`

/** Length of every stamp text. */
export const STAMP_LENGTH = 24

/** Length of the name of an incarnation within a stamp. */
export const TAG_LENGTH = 6

/** The stamp as one of this incarnation. */
export const taggedStamp = (stamp: string, tag: string): string => `S${tag}${stamp.slice(1 + TAG_LENGTH)}`

/** What is random about stamps in a row: the same for those that were minted and those that the store has made of them. */
export function withoutTags(stamps: string): string {
  let text = ''
  for (let at = 0; at < stamps.length; at += STAMP_LENGTH) text += stamps.slice(at + 1 + TAG_LENGTH, at + STAMP_LENGTH)
  return text
}

/** A combination of columns that stamps are kept for (DESIGN 3.1): a key, or a class that many rows may share. */
export interface Scheme {
  readonly kind: 'primary' | 'unique' | 'class'
  /** Database names in byte order: the order in which values stand in keys. */
  readonly columns: readonly string[]
  readonly tokens: readonly TokenKind[]
  /**
   * Texts before each value of the stamp key, or before the one name of all values; behind the last stands the facet, which
   * row stamps lack.
   */
  readonly parts: readonly string[]
  /** Where keys of the table are spread over buckets: what stands before `parts`. Undefined: `parts` are all. */
  readonly spread: SpreadHead | undefined
  /** Names the scheme within an entry key. */
  readonly name: string
  /** Set where a column is sensitive: then no value stands in a key as it is. */
  readonly seal: Seal | undefined
}

/** What values are named by that may not be seen: a key, and the columns that hold them. */
export interface SealWith {
  readonly key: SealKey
  readonly hides: ReadonlySet<string>
}

/**
 * A store whose nodes share the keys among them by the tag in braces (Redis Cluster) has several buckets for each table, or
 * one table would lie on one node. The bucket of a class is a hash of it, so its stamps, the entries that rest on them
 * first, and a copy of the epoch are together.
 */
export interface SpreadHead {
  readonly head: string
  /** By bucket. */
  readonly tags: readonly string[]
  readonly table: string
}

/** `uint32be(sha256(table class)) mod buckets`; facets are no part of a class. */
const bucketOf = (text: string, buckets: number): number =>
  createHash('sha256').update(text).digest().readUInt32BE(0) % buckets

/** Key of the register of a namespace and database (PROTOCOL 3.11). */
export const registerKey = (namespace: string, database: string): string =>
  `da1:${namespace}:${prefixed(database)}:F{f}`

/** All key names of one table in one namespace and database. */
export class TableKeys {
  /** Key of the epoch: the stamp that every entry on this table also checks. Of several copies the first, which names all. */
  readonly epoch: string
  /** Keys of the epoch's copies, by bucket. They are removed together; an entry checks one of them. */
  readonly epochs: readonly string[]
  readonly #head: string
  /** Begins the tag of each bucket. */
  readonly #slot: string
  readonly #tags: readonly string[]
  readonly #table: string

  constructor(namespace: string, database: string, schema: string, name: string, buckets = 1) {
    this.#head = `da1:${namespace}:${prefixed(database)}:`
    this.#table = prefixed(schema) + prefixed(name)
    const slot = createHash('sha256')
      .update(`${namespace}:${prefixed(database)}:${this.#table}`)
      .digest()
    this.#slot = `{${slot.subarray(0, 9).toString('base64url')}#`
    this.#tags = Array.from({ length: buckets }, (_, bucket) => `${this.#slot}${bucket}}`)
    this.epochs = this.#tags.map((tag) => `${this.#head}A${tag}${this.#table}`)
    this.epoch = this.epochs[0] as string
  }

  /** The scheme of a key; `tokens` gives the kind of each column. */
  scheme(
    kind: Scheme['kind'],
    columns: readonly string[],
    tokens: ReadonlyMap<string, TokenKind>,
    sealWith?: SealWith,
  ): Scheme {
    const sorted = [...columns].sort(byBytes)
    const names = sorted.map(prefixed)
    const letter = kind === 'primary' ? 'R' : 'V'
    const head = `${this.#head}${letter}`
    const about = `${this.#table}${sorted.length},${names.join('')}`
    const seal = sealWith && sealOver(sealWith.key, this.#head + about, sealWith.hides)
    const parts = seal ? [`${names.join('')}=h`] : names.map((name) => `${name}=`)
    const spread = this.#tags.length > 1
    parts[0] = `${spread ? '' : head + this.#tags[0] + this.#table}${sorted.length},${parts[0]}`
    return {
      kind,
      columns: sorted,
      tokens: sorted.map((column) => tokens.get(column) ?? 'none'),
      parts,
      spread: spread ? { head, tags: this.#tags, table: this.#table } : undefined,
      name: letter + names.join('') + (seal ? `!${seal.check}` : ''),
      seal,
    }
  }

  /** The stamp of the whole table (the empty class) and a facet: every write to the table touches one of them. */
  table(facet = 'm'): string {
    return `${this.#head}T${this.#tags[0]}${this.#table}${facet}`
  }

  /** What every entry key of this table begins with; `fingerprint` is a digest of all that shapes the answer. */
  entryPrefix(fingerprint: string, bucket = 0): string {
    return `${this.#head}E${this.#tags[bucket]}${fingerprint}`
  }

  /** The bucket that a stamp of this table is in; undefined for a stamp of another table, or of none. */
  bucketOf(key: string): number | undefined {
    const at = this.#head.length + 1
    if (!key.startsWith(this.#slot, at)) return undefined
    if (this.#tags.length === 1) return 0
    const bucket = this.#tags.findIndex((tag) => key.startsWith(tag, at))
    return bucket < 0 ? undefined : bucket
  }
}

/**
 * All copies of an epoch, from the key of its first: that one stands for them wherever keys wait or are handed on. A key of
 * another kind, as a tag's, is alone.
 */
export function epochCopies(key: string, buckets: number): readonly string[] {
  if (buckets === 1) return [key]
  const body = bodyAt(key)
  const zero = body + LENGTH_BEFORE_BUCKET
  if (key[body] !== 'A' || key.slice(zero, zero + 2) !== '0}') return [key]
  return Array.from({ length: buckets }, (_, bucket) => key.slice(0, zero) + bucket + key.slice(zero + 1))
}

/** `A{`, twelve characters of hash and `#`. */
const LENGTH_BEFORE_BUCKET = 15

/** Where a key's body begins: behind the namespace, and the database with its length in bytes or hashed. */
function bodyAt(key: string): number {
  const database = key.indexOf(':', 'da1:'.length) + 1
  if (key[database] === '#') return database + '#'.length + 22 + ':'.length
  const text = key.indexOf(':', database) + 1
  const bytes = Number(key.slice(database, text - 1))
  return text + Buffer.from(key.slice(text)).subarray(0, bytes).toString().length + ':'.length
}

/**
 * Key of the stamp of one class and facet (`m`, main, unless another is given; row stamps have none). `values` are tokens
 * in the order of the scheme's columns; null is SQL NULL.
 */
export function stampKey(scheme: Scheme, values: readonly (string | null)[], facet = 'm'): string {
  let key = ''
  if (scheme.seal) key = scheme.parts[0] + scheme.seal.name(values).slice(0, SEALED_LENGTH)
  else for (let i = 0; i < values.length; i++) key += scheme.parts[i] + valueText(values[i] as string | null)
  if (scheme.spread) key = inBucket(scheme.spread, key)
  return scheme.kind === 'primary' ? key : key + facet
}

/** Characters of a name in a stamp key, 132 bits: two values of one name would only fall together. */
const SEALED_LENGTH = 22

function inBucket({ head, tags, table }: SpreadHead, classText: string): string {
  const named = table + classText
  return head + tags[bucketOf(named, tags.length)] + named
}

const valueText = (token: string | null): string => (token === null ? 'n' : `v${prefixed(token)}`)

/** A key's values as they may stand in the store and in an entry's identity. */
export const toldValues = ({ seal }: Scheme, values: readonly string[]): readonly string[] =>
  seal ? [seal.name(values)] : values

/** Where a value of a sensitive column would stand, for people. */
const HIDDEN = '<sensitive>'

/** `column=value` for people; values of sensitive columns are not told, nor is whether they are NULL. */
export function pairsOf(
  { columns, seal }: Scheme,
  values: readonly (string | null)[],
  tell: (value: string) => string = (value) => value,
): string {
  const told = columns.map((column, at) => (seal?.hides.has(column) ? HIDDEN : tell(values[at] ?? 'null')))
  return columns.map((column, at) => `${column}=${told[at]}`).join(', ')
}

/** The values of an entry's identity, each with its length: in the key long ones are hashed, in the entry never. */
export function identityOf(values: readonly string[]): string {
  if (values.length === 1) return `${(values[0] as string).length}:${values[0]}`
  let text = ''
  for (const value of values) text += `${value.length}:${value}`
  return text
}

/** The part of an entry key that tells one key of a table from another. */
export function entryTail(values: readonly string[]): string {
  if (values.length === 1) return prefixed(values[0] as string)
  let text = ''
  for (const value of values) text += prefixed(value)
  return text
}

/** Key of a user's tag: one more stamp that answers may rest on. */
export function tagKey(namespace: string, database: string, tag: string): string {
  return `da1:${namespace}:${prefixed(database)}:X{${digest(tag)}}${prefixed(tag)}`
}

/** Namespaces are part of every key, so their alphabet is closed. */
export const isNamespace = (text: string): boolean => /^[A-Za-z0-9._-]{1,64}$/.test(text)
