// What do compression and encryption of a stored answer cost, and what does compression save? Best of several rounds.
// Run: pnpm exec tsx bench/payloads.bench.ts
import { randomBytes } from 'node:crypto'
import { brotliCompressSync, brotliDecompressSync, constants, deflateRawSync, inflateRawSync } from 'node:zlib'
import { createEncryption } from '../packages/core/src/model/encryption.ts'
import { createPayloads } from '../packages/core/src/model/payload.ts'
import { decodeRow, encodeRow } from '../packages/core/src/model/row-codec.ts'
import { nanoseconds } from './support/nanoseconds.ts'

const words = ['a longer text, one sentence of it', 'another one', 'and a third, which says a little more than that']
const rowsOf = (count: number) =>
  Array.from({ length: count }, (_, i) => [
    ...[i * 7919, randomBytes(8).toString('hex'), `user${i}@example.org`, i % 3 ? 'active' : 'closed'],
    ...[`2024-0${(i % 9) + 1}-1${i % 9} 10:00:00`, words[i % 3], i % 2 === 0, (i * 1.37).toFixed(2), null],
  ])

const quality = (level: number) => ({ params: { [constants.BROTLI_PARAM_QUALITY]: level } })
const forms: [name: string, pack: (text: string) => Buffer, unpack: (bytes: Buffer) => Buffer][] = [
  ['deflate 1', (text) => deflateRawSync(text, { level: 1 }), (bytes) => inflateRawSync(bytes)],
  ['deflate 6', (text) => deflateRawSync(text), (bytes) => inflateRawSync(bytes)],
  ['brotli 1', (text) => brotliCompressSync(text, quality(1)), (bytes) => brotliDecompressSync(bytes)],
  ['brotli 4', (text) => brotliCompressSync(text, quality(4)), (bytes) => brotliDecompressSync(bytes)],
]
const encryption = createEncryption({ keys: { k: randomBytes(32) }, current: 'k', tokenKey: randomBytes(32) })
const sealed = createPayloads({ encryption })
const told = (ns: number) => `${(ns / 1000).toFixed(1)} µs`

for (const count of [1, 10, 40, 160, 1000]) {
  const text = encodeRow(rowsOf(count)) as string
  const times = Math.max(5, Math.round(2_000 / count))
  console.log(`${count} rows, ${text.length} characters: decode ${told(nanoseconds(() => decodeRow(text), times))}`)
  const wrapped = sealed.wrap(text, 'about')
  const encrypt = nanoseconds(() => sealed.wrap(text, 'about'), times)
  const decrypt = nanoseconds(() => sealed.unwrap(wrapped, 'about', text.length), times)
  console.log(`  AES-256-GCM: encrypt ${told(encrypt)}, decrypt ${told(decrypt)}`)
  for (const [name, pack, unpack] of forms) {
    const bytes = pack(text)
    const size = (((bytes.length * 4) / 3 / text.length) * 100).toFixed(0)
    const packing = told(nanoseconds(() => pack(text), times))
    const unpacking = told(nanoseconds(() => unpack(bytes), times))
    console.log(`  ${name}: ${size} % in base64, compress ${packing}, decompress ${unpacking}`)
  }
}
