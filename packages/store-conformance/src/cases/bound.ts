import { deepEqual, ok } from 'node:assert/strict'
import type { Store } from 'drizzle-aside/store'
import { BOUND, MINUTE, numbered, type Rule } from '../rule.ts'

/** A store that is full may lose what it has or refuse what comes, and nothing else. */
export const bound: readonly Rule[] = [
  {
    promise: 'bounded: three times what fits was written, and what is kept fits and is exact',
    needs: ['bound'],
    async check({ store, prefix: p }) {
      const keys = await overfill(store, p)
      const kept = await store.read(keys)
      const texts = kept.filter((text) => text !== null)
      deepEqual(
        kept,
        keys.map((key, index) => (kept[index] === null ? null : textOf(key))),
      )
      ok(texts.length > 0, 'it keeps nothing')
      ok(bytesOf(texts) <= BOUND, `it keeps ${bytesOf(texts)} bytes of text in room for ${BOUND}`)
    },
  },
  {
    promise: 'bounded: a store that is full still reads and removes, and what was removed stays away',
    needs: ['bound'],
    async check({ store, prefix: p }) {
      const keys = await overfill(store, p)
      await store.remove(keys)
      deepEqual(new Set(await store.read(keys)), new Set([null]))
      deepEqual(await store.mint([{ key: `${p}s`, text: 'stamp' }], MINUTE), ['stamp'])
    },
  },
  {
    promise: 'bounded: a text larger than the whole store takes the older one under its key away, or is refused',
    needs: ['bound'],
    async check({ store, prefix: p }) {
      await store.write(`${p}a`, 'small', MINUTE, [], MINUTE)
      const large = 'x'.repeat(2 * BOUND)
      const isTaken = await attempt(store.write(`${p}a`, large, MINUTE, [], MINUTE))
      const [text] = await store.read([`${p}a`])
      ok(isTaken ? text === null || text === large : text === null || text === 'small')
    },
  },
]

const TEXT = 10_000
const textOf = (key: string): string => key.padEnd(TEXT, key)
const bytesOf = (texts: readonly (string | null)[]): number =>
  texts.reduce((sum, text) => sum + Buffer.byteLength(text ?? ''), 0)

async function overfill(store: Store, p: string): Promise<string[]> {
  const keys = numbered((3 * BOUND) / TEXT, (index) => `${p}${index}`)
  for (const key of keys) await attempt(store.write(key, textOf(key), MINUTE, [], MINUTE))
  return keys
}

/** A full store may refuse a text: false. */
const attempt = (writing: Promise<void>): Promise<boolean> =>
  writing.then(
    () => true,
    () => false,
  )
