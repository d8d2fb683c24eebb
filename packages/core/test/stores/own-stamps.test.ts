import { describe, expect, test } from 'vitest'
import { manualClock } from '../../../../test/harness/clock.ts'
import { newStamp, newToken, taggedStamp } from '../../src/model/keys.ts'
import type { AsideEvent } from '../../src/ports/events.ts'
import type { NewStamp, Store } from '../../src/ports/store.ts'
import { guardStore } from '../../src/stores/guard-store.ts'
import { memoryStore } from '../../src/stores/memory-store.ts'

const MINUTE = 60_000
const of = (tag: string): string => taggedStamp(newStamp(), tag)

/** Texts in memory under a name that the test changes, as a server does that fails over. */
function changing() {
  const texts = memoryStore()
  const minted: NewStamp[][] = []
  const names = new Map<string, string | undefined>()
  let tag: string | undefined = 'first-'
  const store: Store = {
    ...texts,
    incarnations: {
      of: (key) => (names.has(key) ? names.get(key) : tag),
      guard: 'incarnation',
      lowered: undefined,
      listen: () => () => {},
    },
    async mint(stamps, ttlMs) {
      minted.push([...stamps])
      for (const { key, over } of stamps) {
        if (over !== undefined && (await texts.read([key]))[0] === over) await texts.remove([key])
      }
      return texts.mint(stamps, ttlMs)
    },
  }
  const events: AsideEvent[] = []
  const guard = guardStore(store, { clock: manualClock(), emit: (event) => void events.push(event) })
  return {
    texts,
    guard,
    events,
    minted,
    names,
    become: (next: string | undefined) => {
      tag = next
    },
    stamp: async (key: string) => (await guard.mint([{ key, text: newStamp() }], MINUTE))?.[0],
  }
}

describe('stamps of a store with incarnations', () => {
  test('are minted under the name of the one that answers, and taken by all who know it', async () => {
    const { guard, stamp } = changing()
    const minted = await stamp('s')
    expect(minted).toMatch(/^Sfirst-\.[\w-]{16}$/)
    expect(await stamp('s')).toBe(minted)
    expect(await guard.read(['s', 'none'])).toEqual([minted, null])
  })

  test('9: count as missing under another name, and are replaced in one step by who fills next', async () => {
    const { guard, become, minted, stamp, texts } = changing()
    const old = await stamp('s')
    become('second')
    expect(await guard.read(['s'])).toEqual([null])
    const fresh = await stamp('s')
    expect(fresh).toMatch(/^Ssecond\./)
    expect(minted.at(-1)).toEqual([{ key: 's', text: fresh, over: old }])
    expect(await texts.read(['s'])).toEqual([fresh])
  })

  test('come to life again for nobody who has not heard: of two minds each replaces the other’s', async () => {
    const { become, stamp } = changing()
    await stamp('s')
    become('second')
    const second = await stamp('s')
    become('first-')
    expect(await stamp('s')).toMatch(/^Sfirst-/)
    become('second')
    expect(await stamp('s')).not.toBe(second)
  })

  test.for([undefined, '', 'short', 'longer-than-it'])(
    'are neither read nor minted under the name %s',
    async (name) => {
      const { guard, become, minted, stamp } = changing()
      await stamp('s')
      become(name)
      minted.length = 0
      expect(await guard.read(['s'])).toEqual([null])
      expect(await stamp('s')).toBeNull()
      expect(await stamp('t')).toBeNull()
      expect(minted).toEqual([])
    },
  )

  test('belong each to the node of its key', async () => {
    const { guard, names, stamp } = changing()
    const [a, b] = [await stamp('a'), await stamp('b')]
    names.set('b', 'other-')
    expect(await guard.read(['a', 'b'])).toEqual([a, null])
    expect(b).toMatch(/^Sfirst-/)
    expect(await stamp('b')).toMatch(/^Sother-\./)
    names.set('b', undefined)
    // A fill needs all of its stamps.
    const both = ['a', 'b'].map((key) => ({ key, text: newStamp() }))
    expect(await guard.mint(both, MINUTE)).toEqual([null, null])
  })

  test('are what else is kept is not: entries, hints and tokens are left alone', async () => {
    const { guard, become, texts } = changing()
    const token = newToken()
    expect(await guard.mint([{ key: 'token', text: token }], MINUTE)).toEqual([token])
    for (const text of ['', 'S', `${of('first-')}.`, `1${of('first-').slice(1)}`]) {
      become('first-')
      await texts.write('e', text, MINUTE, [], 0)
      become('second')
      expect(await guard.read(['e', 'token'])).toEqual([text, token])
    }
  })

  test('a stamp that cannot be replaced is none', async () => {
    const texts = memoryStore()
    const incarnations = {
      of: () => 'second',
      guard: 'incarnation',
      lowered: undefined,
      listen: () => () => {},
    } as const
    const guard = guardStore({ ...texts, incarnations }, { clock: manualClock(), emit: () => {} })
    await texts.mint([{ key: 's', text: of('first-') }], MINUTE)
    expect(await guard.mint([{ key: 's', text: newStamp() }], MINUTE)).toEqual([null])
  })
})

test('a store without incarnations keeps the stamps as they were minted', async () => {
  const guard = guardStore(memoryStore(), { clock: manualClock(), emit: () => {} })
  const text = newStamp()
  expect(await guard.mint([{ key: 's', text }], MINUTE)).toEqual([text])
  expect(await guard.read(['s'])).toEqual([text])
})
