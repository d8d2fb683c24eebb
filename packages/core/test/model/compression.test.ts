/** Compressed payloads: they come back, bombs and damage do not, and what does not get smaller stays as it is. */
import { randomBytes } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createEncryption, Refused } from '../../src/model/encryption.ts'
import { createPayloads, type PayloadForm } from '../../src/model/payload.ts'

const encryption = createEncryption({ keys: { k: randomBytes(32) }, current: 'k', tokenKey: randomBytes(32) })
const MAX = 262_144
const rows = JSON.stringify(Array.from({ length: 100 }, (_, i) => [i, `user${i}@example.org`, 'active', null]))
const bomb = deflateRawSync(Buffer.alloc(64 * 1024 * 1024, 0x61), { level: 9 })

describe.each<[string, PayloadForm]>([
  ['readable', {}],
  ['encrypted', { encryption }],
])('compression of %s payloads', (_, form) => {
  const plain = createPayloads(form)
  const compressing = createPayloads({ ...form, compressFrom: 100 })

  it('makes texts from the threshold on smaller, and every reader reads them', () => {
    const wrapped = compressing.wrap(rows, 'a') as string
    expect(wrapped.length).toBeLessThan(rows.length / 2)
    for (const reader of [plain, compressing]) expect(reader.unwrap(wrapped, 'a', MAX)).toBe(rows)
    expect(compressing.unwrap(plain.wrap(rows, 'a'), 'a', MAX)).toBe(rows)
  })

  it('leaves shorter texts, and those that would not get smaller, as long as they were', () => {
    const noise = JSON.stringify([randomBytes(300).toString('base64')])
    for (const text of ['[1,"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]', noise]) {
      const wrapped = compressing.wrap(text, 'a') as string
      const readable = plain.wrap(text, 'a') as string
      expect(wrapped.length).toBeLessThanOrEqual(readable.length)
      expect(compressing.unwrap(wrapped, 'a', MAX)).toBe(text)
    }
    expect(compressing.unwrap(compressing.wrap(null, 'a'), 'a', MAX)).toBeNull()
  })

  it('brings back every text of JSON, to the last character', () => {
    const always = createPayloads({ ...form, compressFrom: 1 })
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 300 })), (row) => {
        const text = JSON.stringify(row)
        expect(always.unwrap(always.wrap(text, 'a'), 'a', MAX)).toBe(text)
      }),
    )
  })

  it('takes a text of the most characters that a table allows, of three bytes each', () => {
    const most = `["${'語'.repeat(996)}"]`
    expect(compressing.unwrap(compressing.wrap(most, 'a'), 'a', 1_000)).toBe(most)
  })

  it('refuses what unfolds into more than a table allows, at no cost of memory', () => {
    const forged = form.encryption
      ? form.encryption.encrypt(Buffer.concat([Buffer.from('z'), bomb]), 'a')
      : `z${bomb.toString('base64url')}`
    const before = process.memoryUsage().arrayBuffers
    expect(plain.unwrap(forged, 'a', MAX)).toEqual(new Refused('damaged'))
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 1024 * 1024)
  })
})

it('a damaged payload is refused, or is a text; it never throws', () => {
  const payloads = createPayloads({ compressFrom: 1 })
  const wrapped = payloads.wrap(rows, '') as string
  for (let length = 1; length < wrapped.length - 1; length++)
    expect(payloads.unwrap(wrapped.slice(0, length), '', MAX), `cut at ${length}`).toEqual(new Refused('damaged'))
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const read = payloads.unwrap(`z${text}`, '', MAX)
      return read instanceof Refused || typeof read === 'string'
    }),
  )
})
