import { deepEqual } from 'node:assert/strict'
import { MINUTE, type Rule, until } from '../rule.ts'

/** How long what is kept lives. */
export const lives: readonly Rule[] = [
  {
    promise: 'what may live a millisecond ends by itself, entries and stamps',
    async check({ store, prefix: p, pass }) {
      await store.write(`${p}e`, 'entry', 1, [], MINUTE)
      await store.mint([{ key: `${p}s`, text: 'stamp' }], 1)
      await store.write(`${p}kept`, 'kept', MINUTE, [], MINUTE)
      await until(pass, async () => (await store.read([`${p}e`, `${p}s`])).every((text) => text === null))
      deepEqual(await store.read([`${p}kept`]), ['kept'])
      // What has ended is as good as never kept.
      deepEqual(await store.mint([{ key: `${p}s`, text: 'new' }], MINUTE), ['new'])
    },
  },
  {
    promise: 'a later write replaces the text and its time to live',
    needs: ['clock'],
    async check({ store, prefix: p, advance }) {
      await store.write(`${p}a`, 'old', MINUTE, [], MINUTE)
      await store.write(`${p}a`, 'new', 10 * MINUTE, [], MINUTE)
      await store.write(`${p}b`, 'old', 10 * MINUTE, [], MINUTE)
      await store.write(`${p}b`, 'new', MINUTE, [], MINUTE)
      await advance(5 * MINUTE)
      deepEqual(await store.read([`${p}a`, `${p}b`]), ['new', null])
    },
  },
  {
    promise: 'entries and stamps end with their time to live, whole milliseconds or not',
    needs: ['clock'],
    async check({ store, prefix: p, advance }) {
      await store.write(`${p}e`, 'entry', MINUTE + 0.5, [], MINUTE)
      await store.mint([{ key: `${p}s`, text: 'stamp' }], 2 * MINUTE + 0.25)
      deepEqual(await store.read([`${p}e`, `${p}s`]), ['entry', 'stamp'])
      await advance(MINUTE + 1_000)
      deepEqual(await store.read([`${p}e`, `${p}s`]), [null, 'stamp'])
      await advance(MINUTE)
      deepEqual(await store.read([`${p}s`]), [null])
    },
  },
  {
    promise:
      'of those who mint one key in a row the first keeps it for its life, however short, and the next gets it then',
    needs: ['clock', 'second'],
    async check({ store, second, prefix: p, advance }) {
      deepEqual(await store.mint([{ key: `${p}t`, text: 'one' }], 60), ['one'])
      await advance(60)
      deepEqual(await second.mint([{ key: `${p}t`, text: 'two' }], MINUTE), ['two'])
      deepEqual(await store.mint([{ key: `${p}t`, text: 'three' }], MINUTE), ['two'])
    },
  },
  {
    promise: 'taking a stamp does not start its life anew',
    needs: ['clock'],
    async check({ store, prefix: p, advance }) {
      await store.mint([{ key: `${p}s`, text: 'one' }], MINUTE)
      await advance(MINUTE / 2)
      deepEqual(await store.mint([{ key: `${p}s`, text: 'two' }], 10 * MINUTE), ['one'])
      await advance(MINUTE / 2 + 1_000)
      deepEqual(await store.mint([{ key: `${p}s`, text: 'three' }], MINUTE), ['three'])
    },
  },
  {
    promise: 'a fill raises the life of its stamps and never shortens it',
    needs: ['clock'],
    async check({ store, prefix: p, advance }) {
      await store.mint([{ key: `${p}short`, text: 'short' }], MINUTE)
      await store.mint([{ key: `${p}long`, text: 'long' }], 60 * MINUTE)
      await store.write(`${p}e`, 'entry', MINUTE, [`${p}short`, `${p}long`, `${p}missing`], 10 * MINUTE)
      await advance(9 * MINUTE)
      deepEqual(await store.read([`${p}short`, `${p}long`, `${p}missing`]), ['short', 'long', null])
      await advance(2 * MINUTE)
      deepEqual(await store.read([`${p}short`, `${p}long`]), [null, 'long'])
    },
  },
  {
    promise: 'what has ended is not brought back by a fill that names it',
    needs: ['clock'],
    async check({ store, prefix: p, advance }) {
      await store.mint([{ key: `${p}s`, text: 'one' }], MINUTE)
      await advance(MINUTE + 1_000)
      await store.write(`${p}e`, 'entry', MINUTE, [`${p}s`], 10 * MINUTE)
      deepEqual(await store.read([`${p}s`, `${p}e`]), [null, 'entry'])
    },
  },
]
