/** How many slots the keys of a Redis Cluster are shared by. */
export const SLOTS = 16_384

/**
 * The slot of a key: CRC-16 (polynomial 0x1021) of what stands in its first braces, or of all of it where these are missing
 * or empty.
 *
 * @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ (hash tags, appendix A)
 */
export function keySlot(key: string): number {
  const open = key.indexOf('{')
  const close = open < 0 ? -1 : key.indexOf('}', open + 1)
  return crc16(close > open + 1 ? key.slice(open + 1, close) : key) % SLOTS
}

function crc16(text: string): number {
  let crc = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    // A slot is one of bytes; the tags of our own keys are ASCII.
    if (code > 127) return crcOf(Buffer.from(text))
    crc = step(crc, code)
  }
  return crc
}

function crcOf(bytes: Uint8Array): number {
  let crc = 0
  for (const byte of bytes) crc = step(crc, byte)
  return crc
}

const step = (crc: number, byte: number): number =>
  ((crc << 8) & 0xffff) ^ (table[((crc >> 8) ^ byte) & 0xff] as number)

const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc
})
