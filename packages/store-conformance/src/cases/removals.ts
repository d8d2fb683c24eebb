import { deepEqual } from 'node:assert/strict'
import { MINUTE, numbered, type Rule } from '../rule.ts'

/** What was removed is gone when the removal resolves, and stays gone. */
export const removals: readonly Rule[] = [
  {
    promise: 'a removal that resolved is seen by everybody at once, and only its keys are gone',
    between: true,
    async check({ store, second, prefix: p }) {
      for (let round = 0; round < 20; round++) {
        await store.write(`${p}a`, `a${round}`, MINUTE, [], MINUTE)
        await store.mint([{ key: `${p}s`, text: `s${round}` }], MINUTE)
        await store.write(`${p}kept`, 'kept', MINUTE, [], MINUTE)
        deepEqual(await second.read([`${p}a`, `${p}s`]), [`a${round}`, `s${round}`])
        await store.remove([`${p}a`, `${p}s`, `${p}never`])
        deepEqual(await second.read([`${p}a`, `${p}s`, `${p}kept`]), [null, null, 'kept'])
      }
    },
  },
  {
    promise: 'a removed value stays away: raising its life and reading do not bring it back',
    between: true,
    async check({ store, second, prefix: p }) {
      await store.mint([{ key: `${p}s`, text: 'one' }], MINUTE)
      await store.remove([`${p}s`])
      await second.write(`${p}e`, 'entry', MINUTE, [`${p}s`], 10 * MINUTE)
      deepEqual(await store.read([`${p}s`, `${p}e`]), [null, 'entry'])
      deepEqual(await second.read([`${p}s`]), [null])
    },
  },
  {
    promise: 'a removed value stays away while time goes by',
    between: true,
    needs: ['clock'],
    async check({ store, second, prefix: p, advance }) {
      await store.mint([{ key: `${p}s`, text: 'one' }], MINUTE)
      await store.remove([`${p}s`])
      await second.write(`${p}e`, 'entry', MINUTE, [`${p}s`], 10 * MINUTE)
      await advance(1_000)
      deepEqual(await second.read([`${p}s`]), [null])
    },
  },
  {
    promise: 'removing twice, or again when a new stamp was minted, is harmless',
    async check({ store, prefix: p }) {
      await store.mint([{ key: `${p}s`, text: 'one' }], MINUTE)
      await Promise.all([store.remove([`${p}s`]), store.remove([`${p}s`, `${p}s`])])
      await store.mint([{ key: `${p}s`, text: 'two' }], MINUTE)
      await store.remove([`${p}s`])
      deepEqual(await store.read([`${p}s`]), [null])
    },
  },
  {
    promise: 'removes thousands of keys in one call',
    async check({ store, prefix: p }) {
      const keys = numbered(2_500, (index) => `${p}${index}`)
      for (let start = 0; start < keys.length; start += 500) {
        const minted = keys.slice(start, start + 500).map((key) => ({ key, text: 'x' }))
        await store.mint(minted, MINUTE)
      }
      await store.remove(keys)
      deepEqual(new Set(await store.read(keys)), new Set([null]))
    },
  },
  {
    promise: 'minting, filling and removing the same keys at once fails for nobody, and the removal is final',
    between: true,
    async check({ store, second, prefix: p }) {
      const keys = numbered(8, (index) => `${p}${index}`)
      const reversed = [...keys].reverse()
      for (let round = 0; round < 15; round++) {
        const text = `r${round}`
        await Promise.all([
          store.mint(
            keys.map((key) => ({ key, text })),
            MINUTE,
          ),
          second.mint(
            reversed.map((key) => ({ key, text })),
            MINUTE,
          ),
          store.write(`${p}e`, text, MINUTE, reversed, 10 * MINUTE),
          second.write(`${p}e`, text, MINUTE, keys, 10 * MINUTE),
          store.remove(keys),
          second.remove(reversed),
        ])
        await second.remove(keys)
        deepEqual(new Set(await store.read(keys)), new Set([null]))
        deepEqual(await store.read([`${p}e`]), [text])
      }
    },
  },
  {
    promise: 'clears a prefix, taken literally, and nothing else',
    async check({ store, prefix: p }) {
      const inside = numbered(1_200, (index) => `${p}a*b?[c]_%\\^-${index}`)
      const outside = [`${p}aXbY[c]_%\\^-1`, `${p}a*b?c_%\\^-1`, `${p}a*b?[c]XX\\^-1`, `${p}other`]
      for (const key of [...inside, ...outside]) await store.write(key, 'x', MINUTE, [], MINUTE)
      await store.clear(`${p}a*b?[c]_%\\^-`)
      deepEqual(new Set(await store.read(inside)), new Set([null]))
      deepEqual(await store.read(outside), ['x', 'x', 'x', 'x'])
    },
  },
]
