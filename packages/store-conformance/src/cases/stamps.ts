import { deepEqual, ok } from 'node:assert/strict'
import { MINUTE, type Rule } from '../rule.ts'

/** Take or mint: the first text under a key is everybody's until it is removed. */
export const stamps: readonly Rule[] = [
  {
    promise: 'mints what is missing and takes what is there',
    between: true,
    async check({ store, second, prefix: p }) {
      deepEqual(await store.mint([{ key: `${p}s`, text: 'one' }], MINUTE), ['one'])
      const both = [`${p}t`, `${p}s`].map((key) => ({ key, text: 'two' }))
      deepEqual(await second.mint(both, MINUTE), ['two', 'one'])
      deepEqual(await store.read([`${p}s`, `${p}t`]), ['one', 'two'])
    },
  },
  {
    promise: 'of 50 concurrent minters exactly one wins and all agree',
    between: true,
    async check({ store, second, prefix: p }) {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, index) => {
          const text = `m${index}`
          const from = index % 2 ? store : second
          return from.mint(
            [`${p}s`, `${p}t`].map((key) => ({ key, text })),
            MINUTE,
          )
        }),
      )
      const [winners] = answers
      for (const answer of answers) deepEqual(answer, winners)
      ok(/^m\d+$/.test(winners?.[0] ?? ''))
      deepEqual(await store.read([`${p}s`, `${p}t`]), winners)
    },
  },
  {
    promise: 'minters that name the same keys in another order all get an answer, and the same',
    between: true,
    async check({ store, second, prefix: p }) {
      const keys = Array.from({ length: 20 }, (_, index) => `${p}${index}`)
      const texts: Record<string, string | null> = {}
      for (let round = 0; round < 10; round++) {
        const answers = await Promise.all([
          store.mint(
            keys.map((key) => ({ key, text: `a${round}` })),
            MINUTE,
          ),
          second.mint(
            [...keys].reverse().map((key) => ({ key, text: `b${round}` })),
            MINUTE,
          ),
        ])
        deepEqual(answers[0], answers[1].reverse())
        deepEqual(await store.read(keys), answers[0])
        for (const text of answers[0]) ok(text !== null && !(text in texts), 'a text of an earlier round')
        for (const text of ['a', 'b']) texts[`${text}${round}`] = null
        await store.remove(keys)
      }
    },
  },
  {
    promise: 'a key that is minted twice in one call has one text',
    async check({ store, prefix: p }) {
      const twice = ['one', 'two'].map((text) => ({ key: `${p}s`, text }))
      const [first, second] = await store.mint(twice, MINUTE)
      ok(first === 'one' || first === 'two')
      deepEqual([second, ...(await store.read([`${p}s`]))], [first, first])
    },
  },
  {
    promise: 'a stamp minted after a removal is the new text',
    between: true,
    async check({ store, second, prefix: p }) {
      await store.mint([{ key: `${p}s`, text: 'one' }], MINUTE)
      await second.remove([`${p}s`])
      deepEqual(await store.mint([{ key: `${p}s`, text: 'two' }], MINUTE), ['two'])
      deepEqual(await second.read([`${p}s`]), ['two'])
    },
  },
  {
    promise: 'the empty text is a value, also as a stamp',
    async check({ store, prefix: p }) {
      deepEqual(await store.mint([{ key: `${p}s`, text: '' }], MINUTE), [''])
      deepEqual(await store.mint([{ key: `${p}s`, text: 'other' }], MINUTE), [''])
      deepEqual(await store.read([`${p}s`]), [''])
    },
  },
]
