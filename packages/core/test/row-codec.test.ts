import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeRow, encodeRow } from '../src/model/row-codec.ts'

/** Own strict comparison, independent of `isDeepStrictEqual`: prototypes, keys in order, `Object.is` at the leaves. */
function same(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || a === null || typeof b !== 'object' || b === null) return Object.is(a, b)
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false
  if (a instanceof Date) return Object.is(a.getTime(), (b as Date).getTime())
  if (a instanceof Uint8Array) return Buffer.compare(a, b as Uint8Array) === 0
  const keys = Reflect.ownKeys(a)
  const others = Reflect.ownKeys(b)
  return (
    keys.length === others.length &&
    keys.every((key, i) => key === others[i] && same(ownValue(a, key), ownValue(b, key)))
  )
}

const ownValue = (object: object, key: PropertyKey): unknown => Object.getOwnPropertyDescriptor(object, key)?.value

function memoryOf(value: unknown, found: Set<unknown> = new Set()): Set<unknown> {
  if (typeof value !== 'object' || value === null) return found
  found.add(value)
  if (ArrayBuffer.isView(value)) return found.add(value.buffer)
  for (const key of Reflect.ownKeys(value)) memoryOf(ownValue(value, key), found)
  return found
}

function expectRoundTrip(row: unknown[]): void {
  const text = encodeRow(row)
  expect(text).toBeTypeOf('string')
  const back = decodeRow(text as string)
  expect(same(back, row)).toBe(true)
  // Node 20 takes two invalid dates for different.
  if (![...memoryOf(row)].some(isInvalidDate)) expect(isDeepStrictEqual(back, row)).toBe(true)
  const before = memoryOf(row)
  for (const memory of memoryOf(back)) expect(before.has(memory)).toBe(false)
  expect(encodeRow(back as unknown[])).toBe(text)
}

const isInvalidDate = (value: unknown) => value instanceof Date && Number.isNaN(value.getTime())
const own = (key: string, value: unknown): object => Object.fromEntries([[key, value]])
const nullPrototype = (object: object): object => Object.setPrototypeOf({ ...object }, null)
const view = (from: number, to: number): Uint8Array => new Uint8Array([9, 8, 7, 6, 5, 4, 3, 2, 1]).subarray(from, to)

const exact: [string, unknown[]][] = [
  ['no columns', []],
  ['JSON scalars', [null, '', 'a', true, false, 0, 1, -1, 1.5, 1e300, 5e-324, Number.MAX_SAFE_INTEGER]],
  ['numbers that JSON loses', [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0]],
  ['a number that JSON loses at the end only', [1, 'a', -0]],
  ['lone surrogates', ['\ud800', 'a\udfffb', '\udc00\ud800', '😀']],
  ['texts that look like the codec', ['["n","NaN"]', '0[1]', '[', '1,3', '\u2028\u2029\0"\\']],
  ['arrays that look like tags', [['n', 'NaN'], ['i', '1'], ['d', 5], ['b', ''], ['o', '__proto__', 1], ['a'], []]],
  [
    'arrays that look like tags beside a tagged leaf',
    [
      [['n', 'NaN'], 1n],
      ['o', 'x', -0],
    ],
  ],
  ['bigint', [0n, -1n, 9223372036854775808n, 10n ** 400n, -(10n ** 50n)]],
  ['buffers', [Buffer.alloc(0), Buffer.from('héllo'), Buffer.from([0, 255]), Buffer.alloc(5000, 7)]],
  ['byte arrays', [new Uint8Array(0), new Uint8Array([1, 2, 3]), view(2, 5), view(0, 0)]],
  ['a buffer that is a view with an offset', [Buffer.from('abcdefgh').subarray(3, 6)]],
  ['dates', [new Date(0), new Date(-1), new Date(8.64e15), new Date(Number.NaN), new Date('2024-02-30T00:00:00Z')]],
  ['nested arrays', [[], [[]], [1, [2, [3, null]]], ['a', ['b']], [[Number.NaN]], [[1n]], [[Buffer.from('x')], null]]],
  ['objects', [{}, { a: 1 }, { a: { b: [1, { c: null }] } }, { z: 1, a: 2, 10: 3, 2: 4 }, { '': 1, ' ': 2 }]],
  ['__proto__ as a key', [own('__proto__', { polluted: true }), { a: own('__proto__', null) }, [own('__proto__', 1)]]],
  ['__proto__ beside a tagged leaf', [{ ...own('x', 1n), y: own('__proto__', new Date(5)) }, own('__proto__', -0)]],
  ['names of Object.prototype', [{ constructor: 1, toString: 2, hasOwnProperty: null, valueOf: [], toJSON: 'x' }]],
  [
    'names of Object.prototype beside a tagged leaf',
    [{ constructor: 1n, toString: -0, toJSON: {}, __defineGetter__: 1 }],
  ],
  [
    'an object with null prototype',
    [nullPrototype({}), nullPrototype({ a: 1, b: [new Date(1)] }), [nullPrototype({ x: 1 })]],
  ],
  ['a date inside json', [{ at: new Date(7), list: [new Date(Number.NaN)] }]],
  ['a buffer inside json', [{ bytes: Buffer.from('abc') }, { type: 'Buffer', data: [1, 2] }]],
  ['the JSON form of a date', ['2024-01-01T00:00:00.000Z', { at: '2024-01-01T00:00:00.000Z' }]],
  ['one object twice', (() => ((shared) => [shared, [shared]])({ a: 1 }))()],
  [
    'a node-postgres point',
    [
      { x: 1.5, y: -0 },
      { x: Number.POSITIVE_INFINITY, y: 2 },
    ],
  ],
  ['a hundred levels', [Array.from({ length: 100 }).reduce<unknown>((inner) => [inner], 1)]],
]

function withLength(array: unknown[], length: number): unknown[] {
  array.length = length
  return array
}

function cyclic(): unknown[] {
  const array: unknown[] = []
  array.push(array)
  return array
}

function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

class Own {
  x = 1
}

const hostile: [string, unknown[]][] = [
  ['undefined', [undefined]],
  ['undefined in an array', [[undefined]]],
  ['undefined in an object', [{ a: undefined }]],
  ['a symbol', [Symbol('x')]],
  ['a function', [() => 1]],
  ['a class instance', [new Own()]],
  ['a class instance inside json', [{ a: [new Own()] }]],
  ['a Map', [new Map()]],
  ['a Set in an array', [[new Set()]]],
  ['a boxed number', [Object(1)]],
  ['a boxed string', [Object('a')]],
  ['a regular expression', [/a/]],
  ['an error', [new Error('x')]],
  ['other typed arrays', [new Float32Array(1)]],
  ['an array buffer', [new ArrayBuffer(1)]],
  ['a data view', [new DataView(new ArrayBuffer(1))]],
  ['a subclass of Date', [new (class extends Date {})()]],
  ['a subclass of Array', [new (class extends Array {})()]],
  ['a subclass of Uint8Array', [new (class extends Uint8Array {})(1)]],
  ['a subclass of Array as the row', new (class extends Array {})() as unknown[]],
  ['an object that poses as a date', [Object.create(Date.prototype)]],
  ['an object that poses as a buffer', [Object.create(Buffer.prototype)]],
  ['an array that poses as an object', [Object.setPrototypeOf([], Object.prototype) as unknown].filter(() => true)],
  ['an object that poses as an array', [Object.create(Array.prototype)]],
  // biome-ignore lint/suspicious/noSparseArray: the hole is the case
  ['a sparse array', [[1, , 2]]],
  // biome-ignore lint/suspicious/noSparseArray: the hole is the case
  ['a sparse row', [1, , 2]],
  // biome-ignore lint/suspicious/noSparseArray: the hole is the case
  ['a hole made up for by a property', [Object.assign([1, , 2], { x: 1 })]],
  ['a hole at the end made up for by a property', [Object.assign(withLength([1], 2), { x: 1 })]],
  ['a hole at the end', [withLength([1], 2)]],
  ['an array with a property', [Object.assign([1], { x: 1 })]],
  ['an array with a symbol', [Object.assign([1], { [Symbol('s')]: 1 })]],
  ['an array with a hidden property', [Object.defineProperty([1], 'x', { value: 1 })]],
  ['an array with an accessor', [Object.defineProperty([1], 0, { get: () => 1, enumerable: true })]],
  ['an object with a symbol', [{ [Symbol('s')]: 1 }]],
  ['an object with a getter', [{ get a() { return 1 } }]], // biome-ignore format: one line per case
  ['an object with a setter', [Object.defineProperty({}, 'a', { set: () => {}, enumerable: true })]],
  ['an object with a hidden property', [Object.defineProperty({}, 'a', { value: 1 })]],
  ['an object with a toJSON method', [{ toJSON: () => 'lie' }]],
  ['a date with a property', [Object.assign(new Date(0), { x: 1 })]],
  ['a date with an own toJSON', [Object.assign(new Date(0), { toJSON: () => 'lie' })]],
  ['a buffer with a symbol', [Object.assign(Buffer.alloc(1), { [Symbol('s')]: 1 })]],
  ['a cycle', [cyclic()]],
  ['a cycle through an object', [((o: Record<string, unknown>) => Object.assign(o, { o }))({})]],
  ['a thousand levels', [Array.from({ length: 1000 }).reduce<unknown>((inner) => [inner], 1)]],
  [
    'shared objects that unfold into billions',
    [Array.from({ length: 60 }).reduce<unknown>((inner) => [inner, inner], [])],
  ],
  ['a revoked proxy', [revokedProxy()]],
]

describe('the codec gives back exactly', () => {
  test.each(exact)('%s', (_, row) => expectRoundTrip(row))

  test('every driver-level value, however nested', () => {
    fc.assert(fc.property(fc.array(driverValue, { maxLength: 12 }), expectRoundTrip), { numRuns: 2000 })
  })

  test('every JSON value', () => {
    fc.assert(fc.property(fc.array(fc.jsonValue()), expectRoundTrip), { numRuns: 1000 })
  })
})

test('a row of JSON scalars is plain JSON', () => {
  expect(encodeRow([1, 'a', null, true, { k: [1] }])).toBe('[1,"a",null,true,{"k":[1]}]')
})

test('tags stand only at the positions that need them', () => {
  expect(encodeRow([7, 12n, null, Number.NaN])).toBe('1,3[7,["i","12"],null,["n","NaN"]]')
})

describe('the codec refuses', () => {
  test.each(hostile)('%s', (_, row) => {
    expect(encodeRow(row)).toBeUndefined()
  })

  test('everything while somebody has put toJSON on Object.prototype', () => {
    const prototype = Object.prototype as { toJSON?: unknown }
    prototype.toJSON = () => 'lie'
    try {
      expect(encodeRow([1])).toBeUndefined()
    } finally {
      delete prototype.toJSON
    }
  })

  test('a proxy, or it tells the truth', () => {
    const text = encodeRow([new Proxy({ a: 1 }, {})])
    expect(text === undefined || isDeepStrictEqual(decodeRow(text), [{ a: 1 }])).toBe(true)
  })
})

describe('texts that encodeRow did not make', () => {
  const bad = [
    '', ' ', 'x', 'null', '5', '{}', '"a"', '{"a":[1]}', '[', '[1', '[1]]', '[1,]', '1', '1[', '0[', '0[]', '0[1',
    '1[1]', ',[1]', '0,[1]', '0,0[1]', '1,0[1,2]', '-1[1]', '1.5[1,2]', '0x1[1,2]', ' 0[1]', '0 [["n","1"]]',
    '0[["n","1"]]', '0[["n"]]', '0[["i","1.5"]]', '0[["i",""]]', '0[["i",7]]', '0[["b",7]]', '0[["b"]]', '0[["u",{}]]',
    '0[["q"]]', '0[[]]', '0[{}]', '0[["n","NaN"]', '99999999999999999999[1]', '0[["i","0x1f"]]', '0[["n","1e5"]]',
  ] // biome-ignore format: a list
  test.each(bad)('%j is undecodable', (text) => {
    expect(decodeRow(text)).toBeUndefined()
  })

  test('never throw, cut anywhere or with any character changed', () => {
    const rows = exact.map(([, row]) => encodeRow(row) as string).filter((text) => text.length < 400)
    for (const text of rows) {
      for (let i = 0; i < text.length; i++) {
        expect(decodeRow(text.slice(0, i))).toBeUndefined()
        for (const other of ['"', '[', ']', ',', '9', 'n', '{', '\0'])
          decodeRow(text.slice(0, i) + other + text.slice(i + 1))
      }
    }
  })

  test('never throw, whatever they are', () => {
    const soup = fc.string({ unit: fc.constantFrom(...'[]{}",:0123-eE.nNaibuodz\\ ') })
    fc.assert(
      fc.property(fc.oneof(fc.string(), soup), (text) => void decodeRow(text)),
      { numRuns: 5000 },
    )
    expect(decodeRow(`0${'['.repeat(100_000)}`)).toBeUndefined()
    expect(decodeRow(`0[${'["a",'.repeat(20_000)}1${']'.repeat(20_000)}]`) === undefined || true).toBe(true)
  })

  test('cannot pollute prototypes', () => {
    decodeRow('0[["o","__proto__",["o","polluted",1]],{"__proto__":{"polluted":1}}]')
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })
})

const bytes = fc.uint8Array({ maxLength: 20 })
const anyString = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.array(fc.nat(0xffff)).map((codes) => String.fromCharCode(...codes)),
)
const anyKey = fc.oneof(
  anyString,
  fc.constantFrom('__proto__', 'constructor', 'toJSON', 'toString', '', '0', '10', 'a'),
)

const { driverValue } = fc.letrec<{ driverValue: unknown }>((tie) => ({
  driverValue: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(
      fc.constant(null),
      anyString,
      fc.boolean(),
      fc.double(),
      fc.constantFrom(Number.NaN, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
      fc.integer(),
      fc.bigInt(),
      bytes.map((from) => Buffer.from(from)),
      bytes.map((from) => Buffer.from(from).subarray(from.length >> 1)),
      bytes.map((from) => Uint8Array.from(from)),
      fc.date({ noInvalidDate: false }),
    ),
    fc.array(tie('driverValue'), { maxLength: 4 }),
    fc.array(fc.tuple(anyKey, tie('driverValue')), { maxLength: 4 }).map(Object.fromEntries),
    fc
      .array(fc.tuple(anyKey, tie('driverValue')), { maxLength: 3 })
      .map((e) => Object.setPrototypeOf(Object.fromEntries(e), null)),
  ),
}))
