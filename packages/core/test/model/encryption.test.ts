/** Encrypted payloads: what is refused, what rotation keeps readable, and set-up mistakes that say nothing of the keys. */
import { createDecipheriv, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AsideError } from '../../src/errors.ts'
import { createEncryption, type EncryptionOptions, Refused } from '../../src/model/encryption.ts'
import { createPayloads } from '../../src/model/payload.ts'

const [k1, k2, tokenKey] = [randomBytes(32), randomBytes(32), randomBytes(32)] as const
const payloadsOf = (options: Partial<EncryptionOptions> = {}) =>
  createPayloads({ encryption: createEncryption({ keys: { k1 }, current: 'k1', tokenKey, ...options }) })

const about = 'da1:shop:4:shop:E{…}\nhead'
const row = '[1,"secret"]'
const MANY = 1_000_000
const refused = (reason: string) => new Refused(reason)

describe('what is encrypted', () => {
  it('comes back under what it is bound to, rows and "no such row" alike', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }), (text, bound) => {
        const payloads = payloadsOf()
        const sealed = payloads.wrap(`[${text}]`, bound) as string
        expect(payloads.unwrap(sealed, bound, MANY)).toBe(`[${text}]`)
      }),
    )
    const payloads = payloadsOf()
    expect(payloads.unwrap(payloads.wrap(null, about), about, MANY)).toBeNull()
  })

  it('shows nothing of its text, and is another text each time', () => {
    const payloads = payloadsOf()
    const all = Array.from({ length: 50 }, () => payloads.wrap(row, about) as string)
    expect(new Set(all).size).toBe(50)
    expect(new Set(all.map((text) => text.slice(0, 19))).size).toBe(50)
    for (const text of all) expect(Buffer.from(text.slice(3), 'base64url').includes('secret')).toBe(false)
    expect(all[0]).toMatch(/^ek1\.[\w-]+$/)
  })

  it('is not encrypted under the bytes that were passed, which may serve elsewhere', () => {
    const bytes = Buffer.from((payloadsOf().wrap(row, about) as string).slice(3), 'base64url')
    const decipher = createDecipheriv('aes-256-gcm', k1, bytes.subarray(0, 12))
    decipher.setAAD(Buffer.from(about)).setAuthTag(bytes.subarray(-16))
    decipher.update(bytes.subarray(12, -16))
    expect(() => decipher.final()).toThrow()
  })
})

describe('what is refused', () => {
  it('a text that was bound to anything else', () => {
    const payloads = payloadsOf()
    const sealed = payloads.wrap(row, about)
    for (const other of ['', `${about} `, about.slice(1), about.toUpperCase()])
      expect(payloads.unwrap(sealed, other, MANY)).toEqual(refused('not-authentic'))
  })

  it('every change of one character, every truncation, and what is not encrypted', () => {
    const payloads = payloadsOf()
    const sealed = payloads.wrap(row, about) as string
    for (let at = 0; at < sealed.length; at++) {
      const other = sealed[at] === 'A' ? 'B' : 'A'
      const changed = payloads.unwrap(sealed.slice(0, at) + other + sealed.slice(at + 1), about, MANY)
      // The spare bits of the last character of base64 carry nothing.
      if (at < sealed.length - 1 || changed instanceof Refused) expect(changed, `at ${at}`).toBeInstanceOf(Refused)
      else expect(changed).toBe(row)
      expect(payloads.unwrap(sealed.slice(0, at), about, MANY), `cut at ${at}`).toBeInstanceOf(Refused)
    }
    for (const plain of [row, '', '-', '3[1]', 'null']) {
      expect(payloads.unwrap(plain, about, MANY)).toEqual(refused('not-encrypted'))
    }
    expect(payloads.unwrap(null, about, MANY)).toEqual(refused('not-encrypted'))
  })

  it('any text at all, without throwing', () => {
    const payloads = payloadsOf()
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.base64String().map((text) => `ek1.${text}`),
    )
    fc.assert(fc.property(texts, (text) => payloads.unwrap(text, about, MANY) instanceof Refused))
  })

  it('a key that is not given, and another key under a known id', () => {
    const sealed = payloadsOf().wrap(row, about)
    expect(payloadsOf({ keys: { k2 }, current: 'k2' }).unwrap(sealed, about, MANY)).toEqual(refused('unknown-key'))
    expect(payloadsOf({ keys: { k1: k2 } }).unwrap(sealed, about, MANY)).toEqual(refused('not-authentic'))
  })

  it('a text of one key under the id of another', () => {
    const both = payloadsOf({ keys: { k1, k2 }, current: 'k1' })
    const sealed = both.wrap(row, about) as string
    expect(both.unwrap(sealed.replace(/^ek1/, 'ek2'), about, MANY)).toEqual(refused('not-authentic'))
  })
})

describe('rotation', () => {
  it('old ids still decrypt, and what is new is encrypted under the current one', () => {
    const old = payloadsOf().wrap(row, about)
    const after = payloadsOf({ keys: { k1, k2 }, current: 'k2' })
    expect(after.unwrap(old, about, MANY)).toBe(row)
    expect(after.wrap(row, about)).toMatch(/^ek2\./)
  })

  it('leaves the names of questions as they are; another token key changes them and the mark', () => {
    const [one, rotated] = [payloadsOf(), payloadsOf({ keys: { k1, k2 }, current: 'k2' })]
    expect(rotated.mark).toBe(one.mark)
    expect(rotated.nameOf('s6:secret')).toBe(one.nameOf('s6:secret'))
    const other = payloadsOf({ tokenKey: randomBytes(32) })
    expect(other.mark).not.toBe(one.mark)
    expect(other.nameOf('s6:secret')).not.toBe(one.nameOf('s6:secret'))
    expect(one.nameOf('s6:secret')).not.toContain('secret')
    expect(one.nameOf('s6:secret')).not.toBe(`#${createPayloads({}).digest('s6:secret')}`)
  })

  it('of several token keys the first names; all are known by a check that no name of a question tells', () => {
    const newer = randomBytes(32)
    const encryptionWith = (given: EncryptionOptions['tokenKey']) =>
      createEncryption({ keys: { k1 }, current: 'k1', tokenKey: given })
    const [old, both, late] = [encryptionWith(tokenKey), encryptionWith([newer, tokenKey]), encryptionWith([newer])]
    expect(both.mark).toBe(late.mark)
    expect(both.keyedDigest('x')).toBe(late.keyedDigest('x'))
    const checks = ({ sealKeys }: typeof old) => sealKeys.map(({ check }) => check)
    expect(checks(both)).toEqual([...checks(late), ...checks(old)])
    expect(both.sealKeys[1]?.over('x')('y')).toBe(old.sealKeys[0].over('x')('y'))
    // One use, one key: neither is found by asking for the other.
    expect(old.keyedDigest('check')).not.toContain(old.sealKeys[0].check)
    // The cipher's keys have nothing to do with it.
    const rotated = createEncryption({ keys: { k1, k2 }, current: 'k2', tokenKey })
    expect(checks(rotated)).toEqual(checks(old))
  })

  it('keys that are changed after they were passed change nothing', () => {
    const mine = Buffer.from(k1)
    const payloads = payloadsOf({ keys: { k1: mine } })
    mine.fill(0)
    expect(payloadsOf().unwrap(payloads.wrap(row, about), about, MANY)).toBe(row)
  })
})

describe('a set-up that cannot work', () => {
  const short = randomBytes(31)
  it.each([
    ['a key of 31 bytes', { keys: { k1: short } }, 'ASIDE_BAD_ENCRYPTION_KEY', /key 'k1'.*32.*31 bytes/],
    ['a key as a text', { keys: { k1: k1.toString('hex') as never } }, 'ASIDE_BAD_ENCRYPTION_KEY', /not a string/],
    ['no token key', { tokenKey: undefined as never }, 'ASIDE_BAD_ENCRYPTION_KEY', /tokenKey.*not a undefined/],
    ['no token key in a list', { tokenKey: [] }, 'ASIDE_BAD_ENCRYPTION_KEY', /tokenKey of.*not a undefined/],
    ['a token key of 31 bytes in a list', { tokenKey: [k1, short] }, 'ASIDE_BAD_ENCRYPTION_KEY', /tokenKey\[1\].*31/],
    ['a token key of 31 bytes', { tokenKey: short }, 'ASIDE_BAD_ENCRYPTION_KEY', /tokenKey/],
    ['no keys', { keys: {} }, 'ASIDE_NO_CURRENT_KEY', /has: none/],
    ['keys that are not given', { keys: undefined as never }, 'ASIDE_NO_CURRENT_KEY', /has: none/],
    ['a current id that no key has', { current: 'k9' }, 'ASIDE_NO_CURRENT_KEY', /has: k1/],
    ['no current id', { current: undefined as never }, 'ASIDE_NO_CURRENT_KEY', /encryption.current/],
    ['an id with a dot', { keys: { 'k.1': k1 }, current: 'k.1' }, 'ASIDE_BAD_KEY_ID', /'k.1'/],
    ['an empty id', { keys: { '': k1 }, current: '' }, 'ASIDE_BAD_KEY_ID', /1 to 32/],
    ['a name of every object as the current id', { current: 'toString' }, 'ASIDE_NO_CURRENT_KEY', /has: k1/],
  ])('%s', (_, options, code, says) => {
    const made = (): unknown => payloadsOf(options)
    expect(made).toThrow(AsideError)
    expect(made).toThrow(expect.objectContaining({ code, message: expect.stringMatching(says) }))
    for (const bytes of [k1, tokenKey, short]) {
      for (const form of ['hex', 'base64', 'base64url'] as const)
        expect(made).not.toThrow(expect.objectContaining({ message: expect.stringContaining(bytes.toString(form)) }))
    }
  })
})
