import { describe, expect, test } from 'vitest'
import { entryHead, formatHint, formatResult, readResult } from '../../src/model/entry.ts'
import { newStamp } from '../../src/model/keys.ts'

const head = entryHead('question')
const [a, b, c] = [newStamp(), newStamp(), newStamp()] as [string, string, string]
const learned = [
  { key: 'key;of:one', stamp: b },
  { key: '', stamp: c },
]
const text = formatResult(head, a, learned, '[[1]]')

describe('a stored result', () => {
  test('gives its rows under the stamps it was filled under', () => {
    expect(readResult(text, head, 1, a)).toEqual({ learned, rows: '[[1]]' })
    expect(readResult(formatResult(head, '', [], '[]'), head, 0, '')).toEqual({ learned: [], rows: '[]' })
  })

  test('gives no rows, and still the keys that it learned, under other stamps or none', () => {
    expect(readResult(text, head, 1, b)).toEqual({ learned, rows: undefined })
    expect(readResult(text, head, 1, undefined)).toEqual({ learned, rows: undefined })
  })

  test('is nothing to another question', () => {
    expect(readResult(text, entryHead('other'), 1, a)).toBeUndefined()
    expect(readResult(text, entryHead('questio'), 1, a)).toBeUndefined()
  })

  test('is nothing to a reader that counts another number of stamps', () => {
    expect(readResult(text, head, 0, '')?.rows).toBeUndefined()
    expect(readResult(text, head, 2, a + b)?.rows).toBeUndefined()
  })

  test('as a hint gives keys and no rows', () => {
    const hint = formatHint(head, ['x', 'y:z'])
    expect(readResult(hint, head, 1, a)).toEqual({
      learned: [
        { key: 'x', stamp: '' },
        { key: 'y:z', stamp: '' },
      ],
      rows: undefined,
    })
  })

  test('cut off anywhere is never an answer that it was not', () => {
    for (let length = 0; length < text.length; length++) {
      const rows = readResult(text.slice(0, length), head, 1, a)?.rows
      expect(rows === undefined || '[[1]]'.startsWith(rows)).toBe(true)
      if (rows !== undefined) expect(length).toBeGreaterThanOrEqual(text.length - '[[1]]'.length)
    }
  })
})
