import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { groupFacet } from '../../src/model/facets.ts'
import type { TokenKind } from '../../src/model/facts.ts'
import { epochCopies, stampKey, TableKeys, tagKey } from '../../src/model/keys.ts'
import { PendingKeys } from '../../src/write/pending-keys.ts'

const BUCKETS = 16
const kinds = new Map<string, TokenKind>([
  ['a', 'text'],
  ['b', 'text'],
])
const spread = (database = 'db', name = 't') => new TableKeys('n', database, 'public', name, BUCKETS)
const tagOf = (key: string): string | undefined => /\{([^}]*)\}/.exec(key)?.[1]
const bucketIn = (key: string): number => Number(tagOf(key)?.split('#')[1])

describe('a table in several buckets', () => {
  it('has each class in the bucket that a hash of table and class names, as PROTOCOL 3.1 says', () => {
    const scheme = spread().scheme('class', ['b', 'a'], kinds)
    const classText = '2,1:a=v1:x1:b=n'
    const number = createHash('sha256').update(`6:public1:t${classText}`).digest().readUInt32BE(0) % BUCKETS
    const key = stampKey(scheme, ['x', null])
    expect(key).toBe(`da1:n:2:db:V{${tagOf(key)?.split('#')[0]}#${number}}6:public1:t${classText}m`)
  })

  it('has all facets of a class, and what is filled on it, in one bucket, and the class of all rows in bucket 0', () => {
    const keys = spread()
    const scheme = keys.scheme('class', ['a'], kinds)
    fc.assert(
      fc.property(fc.string(), (value) => {
        const key = stampKey(scheme, [value])
        const bucket = keys.bucketOf(key) as number
        const beside = [stampKey(scheme, [value], groupFacet(['b'])), keys.epochs[bucket] as string]
        beside.push(keys.entryPrefix('x', bucket))
        expect(beside.map(tagOf)).toEqual([tagOf(key), tagOf(key), tagOf(key)])
      }),
    )
    expect([keys.table(), keys.table(groupFacet(['b'])), keys.epoch].map(bucketIn)).toEqual([0, 0, 0])
  })

  it('uses all buckets', () => {
    const scheme = spread().scheme('primary', ['a'], kinds)
    const used = new Set(Array.from({ length: 400 }, (_, value) => bucketIn(stampKey(scheme, [String(value)]))))
    expect(used.size).toBe(BUCKETS)
  })

  it('says nothing of the stamps of others', () => {
    const other = spread('db', 't2').scheme('class', ['a'], kinds)
    expect(spread().bucketOf(stampKey(other, ['x']))).toBeUndefined()
    expect(spread().bucketOf(tagKey('n', 'db', 'x'))).toBeUndefined()
  })

  it('names its keys as ever where there is one', () => {
    const keys = new TableKeys('n', 'db', 'public', 't')
    const key = stampKey(keys.scheme('class', ['a'], kinds), ['x'])
    expect(key).toBe(`da1:n:2:db:V{${tagOf(key)}}6:public1:t1,1:a=v1:xm`)
    expect([bucketIn(key), keys.epochs.length, keys.bucketOf(key)]).toEqual([0, 1, 0])
  })
})

describe('an epoch in several copies', () => {
  const names = fc.oneof(
    fc.string({ unit: 'binary' }).filter((text) => !text.includes('\u0000')),
    fc.constantFrom('x:A{abcdefghijkl#0}', '12:', '#', 'é'.repeat(40), ':A{', '{}', '😀'),
  )

  it('is told by the key of the first, whatever its database and table are called', () => {
    fc.assert(
      fc.property(names, names, (database, name) => {
        const keys = spread(database, name)
        expect(epochCopies(keys.epoch, BUCKETS)).toEqual(keys.epochs)
        expect(new Set(keys.epochs).size).toBe(BUCKETS)
        expect(epochCopies(keys.epoch, 1)).toEqual([keys.epoch])
      }),
    )
  })

  it('is none for a tag, however it is called', () => {
    fc.assert(
      fc.property(names, names, (database, tag) => {
        const key = tagKey('n', database, tag)
        expect(epochCopies(key, BUCKETS)).toEqual([key])
      }),
    )
  })

  it('counts for as many keys as it has copies where an attempt is bounded', () => {
    const waiting = new PendingKeys()
    for (const name of ['a', 'b', 'c']) waiting.add({ epoch: spread('db', name).epoch, keys: 'all' })
    expect(waiting.take(20, BUCKETS).counts).toEqual({ keys: 0, epochs: 2 })
    expect(waiting.take(20, BUCKETS).counts).toEqual({ keys: 0, epochs: 1 })
  })
})
