import { expect, test } from 'vitest'
import { paramsText } from '../../src/model/params-text.ts'

const twins: readonly (readonly unknown[])[] = [
  ['1'],
  [1],
  [1n],
  ['1', ''],
  ['', '1'],
  [''],
  [],
  [null],
  ['null'],
  ['z'],
  [true],
  ['true'],
  [false],
  ['s1:1'],
  ['a:b', 'c'],
  ['a', 'b:c'],
  [0],
  [-0],
  [Number.NaN],
  [Number.POSITIVE_INFINITY],
  [new Date(1)],
  [Buffer.from('1')],
  [Buffer.from('')],
  [Buffer.from('11'), ''],
  ['\u00e9'],
  ['e\u0301'],
]

test('lists of parameters that are not sent alike have different texts', () => {
  const texts = twins.map(paramsText)
  expect(texts).not.toContain(undefined)
  expect(new Set(texts).size).toBe(twins.length)
})

test('equal lists have one text', () => {
  expect(paramsText(['a', 1, null, new Date(5)])).toBe(paramsText(['a', 1, null, new Date(5)]))
  expect(paramsText([Buffer.from('ab')])).toBe(paramsText([Buffer.from('xab').subarray(1)]))
})

test.each([[{}], [[1]], [undefined], [() => 1], [Symbol('s')], [new (class extends Date {})()]])(
  '%s has no exact text',
  (value) => {
    expect(paramsText([value])).toBeUndefined()
  },
)
