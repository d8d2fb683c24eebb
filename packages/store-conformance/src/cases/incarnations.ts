import { deepEqual, equal, match } from 'node:assert/strict'
import { MINUTE, type Rule } from '../rule.ts'

/** Incarnations: kept by a store that has them; one without has a single one for ever. */
export const incarnations: readonly Rule[] = [
  {
    promise: 'where there are incarnations: names that of any key in six characters, the same to everybody',
    between: true,
    async check({ store, second, prefix: p }) {
      if (!store.incarnations) return
      for (const key of [`${p}a`, `${p}b`]) {
        for (const each of [store, second]) await each.read([key])
        match(store.incarnations.of(key) ?? '', /^[\w-]{6}$/)
        equal(second.incarnations?.of(key), store.incarnations.of(key))
      }
    },
  },
  {
    promise: 'where there are incarnations: mints over the text that counts as none, and over no other',
    between: true,
    async check({ store, second, prefix: p }) {
      if (!store.incarnations) return
      const keys = ['named', 'other', 'none'].map((name) => `${p}${name}`)
      const old = keys.slice(0, 2).map((key) => ({ key, text: 'old' }))
      deepEqual(await store.mint(old, MINUTE), ['old', 'old'])
      const over = keys.map((key, at) => ({ key, text: 'new', over: at === 1 ? 'older' : 'old' }))
      deepEqual(await second.mint(over, MINUTE), ['new', 'old', 'new'])
      deepEqual(await store.read(keys), ['new', 'old', 'new'])
      // Another who had met the same text takes what is there by now.
      deepEqual(await store.mint([{ key: `${p}named`, text: 'late', over: 'old' }], MINUTE), ['new'])
    },
  },
]
