import { deepEqual, equal, ok } from 'node:assert/strict'
import { MINUTE, numbered, type Rule } from '../rule.ts'

/** What is kept under a key is what was written under it. */
export const entries: readonly Rule[] = [
  {
    promise: 'has a name and says whether it is process-local',
    async check({ store }) {
      ok(store.name.length > 0)
      equal(typeof store.processLocal, 'boolean')
    },
  },
  {
    promise: 'answers in the order of the keys, null for what is missing, a key asked twice twice',
    async check({ store, prefix: p }) {
      await store.write(`${p}a`, 'A', MINUTE, [], MINUTE)
      await store.write(`${p}b`, 'B', MINUTE, [], MINUTE)
      deepEqual(await store.read([`${p}b`, `${p}x`, `${p}a`, `${p}b`]), ['B', null, 'A', 'B'])
    },
  },
  {
    promise: 'asking for nothing, minting nothing and removing nothing is no error',
    async check({ store }) {
      deepEqual(await store.read([]), [])
      deepEqual(await store.mint([], MINUTE), [])
      await store.remove([])
    },
  },
  {
    promise: 'reads 1,000 keys in one call, in order',
    async check({ store, prefix: p }) {
      const stamps = Array.from({ length: 500 }, (_, index) => ({ key: `${p}${2 * index}`, text: `t${2 * index}` }))
      await store.mint(stamps, MINUTE)
      const values = await store.read(numbered(1_000, (index) => `${p}${index}`))
      const wanted = Array.from({ length: 1_000 }, (_, index) => (index % 2 ? null : `t${index}`))
      deepEqual(values, wanted)
    },
  },
  {
    promise: 'a later write replaces the text at once, for everybody',
    between: true,
    async check({ store, second, prefix: p }) {
      for (const text of ['old', 'new', '', 'newer']) {
        await store.write(`${p}a`, text, MINUTE, [], MINUTE)
        deepEqual(await second.read([`${p}a`]), [text])
      }
    },
  },
  {
    promise: 'keeps any key and any text exactly, the empty text and a megabyte included',
    between: true,
    async check({ store, second, prefix: p }) {
      const texts = [...hostile, 'x'.repeat(1_000_000), 'ü😀'.repeat(100_000)]
      const keys = texts.map((text, index) => `${p}${text.slice(0, 40)}#${index}`)
      for (const [index, key] of keys.entries()) await store.write(key, texts[index] ?? '', MINUTE, [], MINUTE)
      deepEqual(await second.read(keys), texts)
      await second.remove(keys)
      deepEqual(new Set(await store.read(keys)), new Set([null]))
    },
  },
  {
    promise:
      'keys that differ at all are different keys: in case, a trailing space, Unicode form, behind 4,000 characters',
    async check({ store, prefix: p }) {
      const long = 'k'.repeat(4_000)
      const alike = ['key', 'KEY', 'key ', ' key', 'key\u0000', 'é', 'e\u0301', `${long}1`, `${long}2`, 'k_y', 'k%y']
      const keys = alike.map((key) => `${p}${key}`)
      for (const [index, key] of keys.entries()) await store.write(key, `t${index}`, MINUTE, [], MINUTE)
      const wanted = keys.map((_, index) => `t${index}`)
      deepEqual(await store.read(keys), wanted)
      await store.remove(keys.slice(0, 1))
      deepEqual(await store.read(keys), [null, ...wanted.slice(1)])
    },
  },
]

const hostile = [
  '',
  ' ',
  '0',
  'null',
  '\r\n+OK\r\n$-1\r\n',
  '\u0000\u0001\u001f',
  '😀 é é ﬀ',
  '"\'`\\*?[a-z]^{}',
  'nil',
]
