/** Names of sensitive values in the store: who lacks the key learns nothing from them, and no two lists of values meet. */
import { createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { TokenKind } from '../../src/model/facts.ts'
import { pairsOf, stampKey, TableKeys, toldValues } from '../../src/model/keys.ts'
import { sealKey, sealOver } from '../../src/model/seal.ts'

const keyOf = (bytes: Uint8Array) => sealKey(createSecretKey(bytes))
const secret = randomBytes(32)
const [key, other] = [keyOf(secret), keyOf(randomBytes(32))]

interface At {
  namespace?: string
  database?: string
  schema?: string
  table?: string
  columns?: string[]
  kind?: 'primary' | 'unique' | 'class'
  by?: typeof key
}
function schemeAt({ namespace = 'n', database = 'd', schema = 'public', table = 't', ...rest }: At = {}) {
  const { columns = ['a', 'b'], kind = 'class', by = key } = rest
  const kinds = new Map(columns.map((column) => [column, 'text' as TokenKind]))
  const tables = new TableKeys(namespace, database, schema, table)
  return tables.scheme(kind, columns, kinds, { key: by, hides: new Set(['a']) })
}
const nameAt = (at: At, values: readonly (string | null)[] = ['x', 'y']) => schemeAt(at).seal?.name(values) as string

const value = fc.option(fc.constantFrom('', '1', '1:', 'n', '1:a', 'a', 'nn', '😀', 'x'.repeat(300)), { nil: null })

describe('the name of values', () => {
  it('is the same for the same values and another for any others, in the memory of recent names too', () => {
    const seal = sealOver(key, 'about', new Set())
    fc.assert(
      fc.property(fc.array(value, { maxLength: 3 }), fc.array(value, { maxLength: 3 }), (one, two) => {
        const alike = JSON.stringify(one) === JSON.stringify(two)
        expect(seal.name(one) === seal.name(two)).toBe(alike)
        expect(sealOver(keyOf(secret), 'about', new Set()).name(one)).toBe(seal.name(one))
      }),
    )
  })

  it('is remembered for the recent ones alone, and right for all', () => {
    const all = Array.from({ length: 5_000 }, (_, at) => `v${at}`)
    const seal = sealOver(key, 'about', new Set())
    const first = all.map((each) => seal.name([each]))
    expect(new Set(first).size).toBe(all.length)
    expect(all.map((each) => seal.name([each]))).toEqual(first)
  })

  it('asks for an HMAC once for the same values, and again when many others were named since', () => {
    let asked = 0
    const counting = { check: '', over: () => (text: string) => `${++asked} ${text}` }
    const seal = sealOver(counting, '', new Set())
    for (let round = 0; round < 3; round++) for (const each of ['x', 'y']) seal.name([each])
    expect(asked).toBe(2)
    for (let at = 0; at < 2_000; at++) seal.name([`v${at}`])
    seal.name(['x'])
    expect(asked).toBe(2_003)
  })

  it('cannot be linked with that of the same values anywhere else, or under another key', () => {
    const places: At[] = [
      {},
      { namespace: 'm' },
      { database: 'e' },
      { schema: 's' },
      { table: 'u' },
      { columns: ['a', 'c'] },
      { by: other },
    ]
    expect(new Set(places.map((at) => nameAt(at))).size).toBe(places.length)
    // What parts the names of columns may not be imitated.
    expect(nameAt({ columns: ['a'] }, ['x'])).not.toBe(nameAt({ columns: ['a', 'b'] }, ['x']))
    expect(nameAt({ table: 't1:a', columns: ['b'] }, ['x'])).not.toBe(
      nameAt({ table: 't', columns: ['1:a', 'b'] }, ['x']),
    )
  })

  it('stands in keys for all values of a scheme, the plain ones too: a value that two rows share shows in neither', () => {
    const scheme = schemeAt()
    const [one, two] = [stampKey(scheme, ['secret', 'plain']), stampKey(scheme, ['secret', 'other'])]
    for (const text of [one, two, ...toldValues(scheme, ['secret', 'plain'])])
      expect(text).not.toMatch(/secret|plain|other/)
    const [, left] = one.split('=h')
    const [, right] = two.split('=h')
    expect(left).toHaveLength(23)
    expect(left).not.toBe(right)
    expect(schemeAt({ kind: 'primary' })).toMatchObject({ parts: [one.slice(0, -23).replace(':V{', ':R{')] })
  })

  it('decides the bucket of a class, where a store has several: nothing of the value does', () => {
    const tables = new TableKeys('n', 'd', 'public', 't', 16)
    const spread = (by: typeof key) =>
      tables.scheme('class', ['a'], new Map([['a', 'text']]), { key: by, hides: new Set(['a']) })
    const keys = Array.from({ length: 200 }, (_, at) => stampKey(spread(key), [`secret${at}`]))
    expect(new Set(keys.map((each) => tables.bucketOf(each))).size).toBe(16)
    for (const each of keys) expect(each).toMatch(/^da1:n:1:d:V\{[\w-]{12}#\d+\}6:public1:t1,1:a=h[\w-]{22}m$/)
    const moved = keys.filter(
      (each, at) => tables.bucketOf(each) !== tables.bucketOf(stampKey(spread(other), [`secret${at}`])),
    )
    expect(moved.length).toBeGreaterThan(100)
  })

  it('differs for NULL and for each facet, and no sealed key is a plain one', () => {
    const scheme = schemeAt({ columns: ['a'] })
    const plain = new TableKeys('n', 'd', 'public', 't').scheme('class', ['a'], new Map([['a', 'text']]))
    const names = [null, '', 'n', 'v', 'h'].flatMap((each) => [
      stampKey(scheme, [each]),
      stampKey(scheme, [each], 'g1:a'),
      stampKey(plain, [each]),
    ])
    expect(new Set(names).size).toBe(names.length)
    expect(stampKey(scheme, [null])).toHaveLength(stampKey(scheme, ['a value']).length)
  })
})

describe('what is told of it', () => {
  it('the check says which key it is, and is no name', () => {
    expect(keyOf(secret).check).toBe(key.check)
    expect(other.check).not.toBe(key.check)
    expect(key.check).toHaveLength(22)
    expect(schemeAt().name).not.toBe(schemeAt({ by: other }).name)
  })

  it('people are shown the columns, and no value of one that is sensitive', () => {
    expect(pairsOf(schemeAt(), ['secret', 'plain'])).toBe('a=<sensitive>, b=plain')
    expect(pairsOf(schemeAt(), [null, null])).toBe('a=<sensitive>, b=null')
  })
})
