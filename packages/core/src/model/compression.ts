import { deflateRawSync, inflateRawSync } from 'node:zlib'

// Level 1 of deflate is the cheapest form to make, and among the cheapest to read: bench/payloads.bench.ts.
const LEVEL = 1

/** Most bytes that a character of a text takes in UTF-8, for each UTF-16 unit. */
const BYTES_PER_UNIT = 3

export const deflate = (text: string): Buffer => deflateRawSync(text, { level: LEVEL })

/** Undefined for what is damaged, or more than `maxChars` characters: a few kilobytes may unfold into gigabytes. */
export function inflate(bytes: Uint8Array, maxChars: number): string | undefined {
  try {
    return inflateRawSync(bytes, { maxOutputLength: maxChars * BYTES_PER_UNIT }).toString()
  } catch {
    return undefined
  }
}
