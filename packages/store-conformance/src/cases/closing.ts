import { deepEqual, rejects } from 'node:assert/strict'
import type { Store } from 'drizzle-aside/store'
import { MINUTE, type Rule, registerOf, visit } from '../rule.ts'

const CLOSED = { code: 'ASIDE_CLOSED' }

/** What closing ends, and what it leaves alone. */
export const closing: readonly Rule[] = [
  {
    promise: 'once closed, every call rejects and says so; closing twice is no error',
    async check({ store, prefix: p }) {
      await store.read([`${p}a`])
      await store.close()
      await store.close()
      for (const call of calls(store, p)) await rejects(call, CLOSED)
    },
  },
  {
    promise: 'once closed, the verbs of a register reject as well',
    needs: ['register'],
    async check({ store, prefix: p }) {
      await store.close()
      await rejects(registerOf(store).enter(`${p}F`, visit('A', [])), CLOSED)
      await rejects(registerOf(store).look(`${p}F`), CLOSED)
    },
  },
  {
    promise: 'a store that closes leaves what others keep, and they go on',
    needs: ['second'],
    async check({ store, second, prefix: p }) {
      await store.write(`${p}a`, 'A', MINUTE, [], MINUTE)
      await second.write(`${p}b`, 'B', MINUTE, [], MINUTE)
      await store.close()
      deepEqual(await second.read([`${p}a`, `${p}b`]), ['A', 'B'])
      await second.remove([`${p}a`])
      deepEqual(await second.read([`${p}a`, `${p}b`]), [null, 'B'])
    },
  },
]

const calls = (store: Store, p: string): (() => Promise<unknown>)[] => [
  () => store.read([`${p}a`]),
  () => store.mint([{ key: `${p}s`, text: 'x' }], MINUTE),
  () => store.write(`${p}a`, 'x', MINUTE, [], MINUTE),
  () => store.remove([`${p}a`]),
  () => store.clear(p),
]
