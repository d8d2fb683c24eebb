/** Names in the store: what differs has different names, whatever the values try to imitate (E1, E2). */
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { entryHead, formatEntry, formatResult, readEntry, readResult } from '../../src/model/entry.ts'
import { groupFacet } from '../../src/model/facets.ts'
import type { TokenKind } from '../../src/model/facts.ts'
import { digest, entryTail, identityOf, newStamp, prefixed, stampKey, TableKeys, tagKey } from '../../src/model/keys.ts'
import { paramsText } from '../../src/model/params-text.ts'
import { scopeText } from '../../src/read/scope-text.ts'

/** Pieces of names: delimiters, lengths, digests, the letters of stamps; and what Unicode makes alike. */
const pieces = [
  ...['', ':', ',', '=', '#', '{', '}', '{a#0}', '\0', '\n', ' ', 'n', 'v', 'm', 'g', 'R', 'V', 's', 't', 'z'],
  ...['0:', '1:', '1:a', '2:', '3:a:b', 'v1:a', '1:a=v1:a', '1,1:a=', `#${digest('x'.repeat(65))}`, 'S000000.'],
  ...['é', 'e\u0301', '\u212b', 'Å', 'ﬁ', 'fi', '\u{1f600}', '\ufffd', 'x'.repeat(63), 'x'.repeat(64), 'x'.repeat(65)],
]
const text = fc.oneof(
  { weight: 4, arbitrary: fc.array(fc.constantFrom(...pieces), { maxLength: 4 }).map((some) => some.join('')) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 80 }) },
)
const column = text.filter((name) => name !== '')
const value = fc.option(text, { nil: null, freq: 6 })

/** As Redis keeps it. */
const inRedis = (key: string): string => Buffer.from(key).toString()

/** Two that differ in what `same` compares have different names, also as bytes. */
function neverMeet<T>(one: fc.Arbitrary<T>, nameOf: (each: T) => string, same: (each: T) => unknown = (each) => each) {
  // Mostly small changes of one another, where a collision would be.
  const pair = fc.oneof(fc.tuple(one, one), fc.array(one, { minLength: 2, maxLength: 2 }))
  fc.assert(
    fc.property(pair, ([a, b]) => {
      const alike = JSON.stringify(same(a as T)) === JSON.stringify(same(b as T))
      expect(inRedis(nameOf(a as T)) === inRedis(nameOf(b as T))).toBe(alike)
    }),
    { numRuns: 3_000 },
  )
}

/** All texts of up to three pieces, in one set: each has a name of its own. */
function allDiffer(nameOf: (each: string) => string): void {
  const texts = new Set(pieces.flatMap((a) => pieces.flatMap((b) => ['', '1:', 'a', '#'].map((c) => a + b + c))))
  const names = new Set([...texts].map((each) => inRedis(nameOf(each))))
  expect(names.size).toBe(texts.size)
}

/** Values that look like what names are made of: parts of the names themselves. */
const imitations = (names: readonly string[]): string[] => [
  ...new Set(
    names.flatMap((name) =>
      [0, 1, 2, 3, 4].flatMap((from) => [0, 1].map((less) => name.slice(from, name.length - less))),
    ),
  ),
]

/** Lists of up to two values, among them all that imitate the names of others: each has a name of its own. */
function nobodyIsImitated<T>(
  values: readonly T[],
  nameOf: (list: readonly (T | string)[]) => string,
  tell: (value: T | string) => unknown = (value) => value,
  lengths: readonly number[] = [2],
): void {
  const listsOf = (some: readonly (T | string)[], others: readonly (T | string)[]) =>
    some.flatMap((a) => [
      ...(lengths.includes(1) ? [[a]] : []),
      ...others.flatMap((b) => [
        [a, b],
        [b, a],
      ]),
    ])
  const plain = listsOf(values, values)
  const lists = [...plain, ...listsOf(imitations(plain.map(nameOf)), values)]
  const different = new Set(lists.map((list) => JSON.stringify(list.map(tell))))
  expect(new Set(lists.map((list) => inRedis(nameOf(list)))).size).toBe(different.size)
}

const tables = (namespace = 'n', database = 'db', schema = 'public', name = 't') =>
  new TableKeys(namespace, database, schema, name)
const kinds = (columns: readonly string[]) => new Map(columns.map((each) => [each, 'text' as TokenKind]))

describe('stamp keys', () => {
  it('differ for every value of a column, and NULL is none of them', () => {
    const scheme = tables().scheme('unique', ['a'], kinds(['a']))
    allDiffer((each) => stampKey(scheme, [each]))
    neverMeet(value, (each) => stampKey(scheme, [each]))
  })

  it('differ for pairs of values that imitate the names of other pairs', () => {
    const scheme = tables().scheme('class', ['a', 'b'], kinds(['a', 'b']))
    const head = stampKey(scheme, [null, null]).indexOf('2,')
    nobodyIsImitated([null, '', 'a', 'b', 'n', '1'], (list) => stampKey(scheme, list).slice(head))
    nobodyIsImitated(['', 'a', '1', '#'], (list) => entryTail(list))
    nobodyIsImitated(['', 'a', '1', '#'], (list) => identityOf(list))
  })

  it('differ for every combination of kind, columns, values and facet', () => {
    const one = fc.record({
      kind: fc.constantFrom('primary' as const, 'class' as const),
      parts: fc.uniqueArray(fc.tuple(column, value), { minLength: 1, maxLength: 3, selector: ([name]) => name }),
      facet: fc.array(column, { maxLength: 2 }).map((group) => (group.length > 0 ? groupFacet(group) : 'm')),
    })
    const sorted = (parts: readonly (readonly [string, string | null])[]) =>
      [...parts].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    neverMeet(
      one,
      ({ kind, parts, facet }) => {
        const columns = parts.map(([name]) => name)
        const scheme = tables().scheme(kind, columns, kinds(columns))
        const values = scheme.columns.map((name) => new Map(parts).get(name) as string | null)
        return stampKey(scheme, values, facet)
      },
      ({ kind, parts, facet }) => [kind, sorted(parts), kind === 'primary' ? '' : facet],
    )
  })

  it('differ for every namespace, database, schema and table, and so do epochs, tables and entries', () => {
    const namespace = fc.constantFrom('n', 'n.1', 'n-1', '1', '0')
    neverMeet(fc.tuple(namespace, column, column, column), ([ns, database, schema, name]) => {
      const keys = tables(ns, database, schema, name)
      return [keys.epoch, keys.table(), keys.entryPrefix(digest('x'))].join('\n')
    })
    neverMeet(fc.tuple(namespace, column, text), ([ns, database, tag]) => tagKey(ns, database, tag))
  })

  it('never meet keys of another kind, and a value never changes the slot', () => {
    const slotOf = (key: string) => /\{[^}]*\}/.exec(key)?.[0]
    const scheme = tables().scheme('class', ['a'], kinds(['a']))
    fc.assert(
      fc.property(text, value, (a, b) => {
        const keys = [stampKey(scheme, [b]), tables().epoch, tables().table(), tables().table(groupFacet([`${a}x`]))]
        keys.push(tables().entryPrefix(digest(a)) + entryTail([a]), tagKey('n', 'db', a))
        expect(new Set(keys.map(inRedis)).size).toBe(keys.length)
        expect(new Set(keys.slice(0, 5).map(slotOf)).size).toBe(1)
      }),
    )
  })
})

describe('what an entry says of itself', () => {
  const scopes = fc.oneof(text, fc.integer(), fc.bigInt(), fc.boolean(), fc.constantFrom(1, '1', 1n, true, 'true', ''))
  const typed = (each: unknown) => [typeof each, String(each)]

  it('differs for every scope of every type', () => {
    neverMeet(scopes, (each) => scopeText(() => each) as string, typed)
    allDiffer((each) => scopeText(() => each) as string)
  })

  it('differs for every scope and values together, none of which borrows from the other', () => {
    const one = fc.tuple(fc.option(scopes, { nil: undefined }), fc.tuple(text, text))
    neverMeet(
      one,
      ([scope, values]) =>
        entryHead((scope === undefined ? '' : scopeText(() => scope)) + identityOf(values as string[])),
      ([scope, values]) => [typed(scope), values],
    )
  })

  it('differs for every list of parameters that the driver sends differently', () => {
    const param = fc.oneof(
      text,
      fc.double(),
      fc.bigInt(),
      fc.boolean(),
      fc.constant(null),
      fc.date({ noInvalidDate: true }),
      fc.uint8Array({ maxLength: 5 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom(0, -0, Number.NaN, 1, '1', 1n, true, 't', 'n1;', 's1:1', null, 'z', new Date(1), 'd1;'),
    )
    const told = (each: unknown) => [
      Object.prototype.toString.call(each),
      each instanceof Date ? each.getTime() : Object.is(each, -0) ? '-0' : String(each),
      Buffer.isBuffer(each) ? each.toString('hex') : '',
    ]
    const some = ['', 'a', 'b', '1', 1, -0, 0, 1n, true, null, new Date(1), Buffer.from('a')]
    nobodyIsImitated<(typeof some)[number]>(some, (list) => paramsText(list) as string, told, [1, 2])
    neverMeet(
      fc.array(param, { maxLength: 3 }),
      (params) => paramsText(params) as string,
      (params) => params.map(told),
    )
  })

  it('is compared whole: an entry about anything else is no answer', () => {
    const [stamp, epoch] = [newStamp(), newStamp()]
    fc.assert(
      fc.property(text, text, (a, b) => {
        const [own, other] = [entryHead(identityOf([a])), entryHead(identityOf([b]))]
        const row = formatEntry(own, stamp, epoch, '[1]')
        const list = formatResult(own, stamp, [], '[[1]]')
        expect(readEntry(row, own, stamp, epoch)).toBe('[1]')
        expect(readEntry(row, other, stamp, epoch)).toBe(a === b ? '[1]' : undefined)
        expect(readResult(list, other, 1, stamp)?.rows).toBe(a === b ? '[[1]]' : undefined)
      }),
    )
  })
})

test('half a surrogate pair is no scope: in Redis all of them are one text', () => {
  for (const scope of ['\ud800', 'a\udfff', '\udc00\ud800', `${'x'.repeat(100)}\ud800`])
    expect(scopeText(() => scope)).toBeUndefined()
  expect(scopeText(() => '\u{1f600}')).toBe('s3:s\u{1f600}')
})

test('a long text is named by 128 bits of its hash, which no short text is taken for', () => {
  const long = 'x'.repeat(65)
  expect(prefixed(long)).toMatch(/^#[\w-]{22}$/)
  expect(prefixed(prefixed(long))).toBe(`23:${prefixed(long)}`)
  allDiffer(prefixed)
})
