/** Stores with one fault each: the memory store with some of its verbs replaced. */

import type { OpenedStore, StoreSubject } from '@drizzle-aside/store-conformance'
import type { Incarnations, RegisterAnswer, RegisterVisit, Store } from 'drizzle-aside/store'
import { memoryStore, sharedMemoryStore } from '../../packages/core/src/stores/memory-store.ts'
import { manualClock } from '../harness/clock.ts'

/** The verbs that are wrong, given a right store. */
type Break = (inner: Verbs) => Partial<Store>
/** The memory store has the verbs of a register. */
type Verbs = Required<Store>

export interface Fault {
  readonly name: string
  /** Called once for each store and its second; what they share is made here. */
  readonly plant: () => Break
  /** Another store than the memory store within its bytes. */
  readonly bounded?: (maxBytes: number) => Store
}

let names = 0

/** The suite's subject: two views of one memory store, both with the fault. */
export function faulty({ name, plant, bounded }: Fault): StoreSubject {
  const open = async (maxBytes?: number): Promise<OpenedStore> => {
    const clock = manualClock()
    const shared = `faulty-${names++}`
    const inner = [0, 1].map(() => sharedMemoryStore(shared, { clock, ...(maxBytes ? { maxBytes } : {}) }))
    const breaks = plant()
    const [store, second] = inner.map((right) => ({ ...right, ...breaks(right as Verbs) }))
    const other = maxBytes && bounded ? bounded(maxBytes) : store
    return {
      store: other as Store,
      second: second as Store,
      prefix: 'p:',
      advance: async (ms) => clock.advance(ms),
      close: async () => void (await Promise.all(inner.map((right) => right.close()))),
    }
  }
  return { name, open: () => open(), openBounded: open }
}

const planted = (name: string, breaks: Break): Fault => ({ name, plant: () => breaks })
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const YEAR = 365 * 24 * 3_600_000
const latin = (text: string): string => Buffer.from(text, 'latin1').toString('latin1')

const ofEntries: Fault[] = [
  planted('has no name', () => ({ name: '' })),
  planted('answers in the order of the keys’ names', ({ read }) => ({ read: (keys) => read([...keys].sort()) })),
  planted('answers what it has, without the gaps', ({ read }) => ({
    read: async (keys) => (await read(keys)).filter((text) => text !== null),
  })),
  planted('answers a key that is asked twice once', ({ read }) => ({ read: (keys) => read([...new Set(keys)]) })),
  planted('answers an empty text for what is missing', ({ read }) => ({
    read: async (keys) => (await read(keys)).map((text) => text ?? ''),
  })),
  planted('takes an empty text for a missing one', ({ read }) => ({
    read: async (keys) => (await read(keys)).map((text) => text || null),
  })),
  planted('does not know how to ask for nothing', ({ read, mint, remove }) => {
    const some = (list: readonly unknown[]) => {
      if (list.length === 0) throw new Error('wrong number of arguments')
    }
    return {
      async read(keys) {
        some(keys)
        return read(keys)
      },
      async mint(stamps, ttlMs) {
        some(stamps)
        return mint(stamps, ttlMs)
      },
      async remove(keys) {
        some(keys)
        await remove(keys)
      },
    }
  }),
  planted('reads the first 500 keys', ({ read }) => ({
    read: async (keys) => [...(await read(keys.slice(0, 500))), ...keys.slice(500).map(() => null)],
  })),
  planted('keeps the first text that is written', ({ read, write }) => ({
    write: async (key, ...rest) => ((await read([key]))[0] === null ? write(key, ...rest) : undefined),
  })),
  planted('loses what is not Latin', ({ write }) => ({
    write: (key, text, ...rest) => write(key, latin(text), ...rest),
  })),
  planted('ends a text at the first zero byte', ({ write }) => ({
    write: (key, text, ...rest) => write(key, text.split('\u0000')[0] ?? '', ...rest),
  })),
  planted('trims texts', ({ write }) => ({ write: (key, text, ...rest) => write(key, text.trim(), ...rest) })),
  planted('cuts texts at 64 kB', ({ write }) => ({
    write: (key, text, ...rest) => write(key, text.slice(0, 65_536), ...rest),
  })),
  renaming('knows keys in any case', (key) => key.toLowerCase()),
  renaming('knows keys by their first 1,000 characters: another’s values', (key) => key.slice(0, 1_000)),
  renaming('knows keys without spaces around them', (key) => key.trim()),
  renaming('knows keys in one Unicode form', (key) => key.normalize('NFC')),
  {
    name: 'answers from a copy that the other’s writes and removals do not reach',
    plant: () => (inner) => {
      const copy = new Map<string, string>()
      return {
        async read(keys) {
          const values = await inner.read(keys)
          return keys.map((key, at) => {
            const value = copy.get(key) ?? values[at] ?? null
            if (value !== null) copy.set(key, value)
            return value
          })
        },
        async write(key, ...rest) {
          copy.delete(key)
          await inner.write(key, ...rest)
        },
        async remove(keys) {
          for (const key of keys) copy.delete(key)
          await inner.remove(keys)
        },
      }
    },
  },
]

function renaming(name: string, rename: (key: string) => string): Fault {
  return planted(name, ({ read, write, mint, remove }) => ({
    read: (keys) => read(keys.map(rename)),
    write: (key, ...rest) => write(rename(key), ...rest),
    mint: (stamps, ttlMs) =>
      mint(
        stamps.map(({ key, text }) => ({ key: rename(key), text })),
        ttlMs,
      ),
    remove: (keys) => remove(keys.map(rename)),
  }))
}

const ofStamps: Fault[] = [
  planted('mints without asking what is kept', ({ mint, remove }) => ({
    async mint(stamps, ttlMs) {
      await remove(stamps.map(({ key }) => key))
      return mint(stamps, ttlMs)
    },
  })),
  planted('answers the given texts, whatever is kept', ({ mint }) => ({
    mint: (stamps, ttlMs) => mint(stamps, ttlMs).then(() => stamps.map(({ text }) => text)),
  })),
  planted('asks, and then mints what was missing: not atomic', ({ read, mint, remove }) => ({
    async mint(stamps, ttlMs) {
      const kept = await read(stamps.map(({ key }) => key))
      await turn()
      const missing = stamps.filter((_, at) => kept[at] === null)
      await remove(missing.map(({ key }) => key))
      await mint(missing, ttlMs)
      return stamps.map(({ text }, at) => kept[at] ?? text)
    },
  })),
  planted('takes an empty stamp for a missing one', ({ read, mint, remove }) => ({
    async mint(stamps, ttlMs) {
      const kept = await read(stamps.map(({ key }) => key))
      await remove(stamps.filter((_, at) => kept[at] === '').map(({ key }) => key))
      return mint(stamps, ttlMs)
    },
  })),
  planted('fails when two minters want the same keys in another order', ({ mint }) => ({
    mint: async (stamps, ttlMs) => {
      const keys = stamps.map(({ key }) => key)
      if (keys.length > 2 && (keys[0] as string) > (keys.at(-1) as string)) throw new Error('deadlock detected')
      return mint(stamps, ttlMs)
    },
  })),
  planted('answers two texts for a key that is minted twice in one call', ({ mint }) => ({
    mint: async (stamps, ttlMs) => {
      const kept = await mint(stamps, ttlMs)
      const keys = stamps.map(({ key }) => key)
      return kept.map((text, at) => (keys.indexOf(keys[at] as string) === at ? text : (stamps[at]?.text ?? null)))
    },
  })),
  {
    name: 'mints a removed stamp with the text that it had',
    plant: () => {
      const had = new Map<string, string>()
      return ({ mint }) => ({
        async mint(stamps, ttlMs) {
          const kept = await mint(
            stamps.map(({ key, text }) => ({ key, text: had.get(key) ?? text })),
            ttlMs,
          )
          for (const [at, { key }] of stamps.entries()) had.set(key, kept[at] as string)
          return kept
        },
      })
    },
  },
]

const ofRemovals: Fault[] = [
  planted('resolves before it has removed', ({ remove }) => ({
    remove: async (keys) => void turn().then(() => remove(keys).catch(() => {})),
  })),
  planted('removes the first key', ({ remove }) => ({ remove: (keys) => remove(keys.slice(0, 1)) })),
  planted('removes at most 1,000 keys', ({ remove }) => ({ remove: (keys) => remove(keys.slice(0, 1_000)) })),
  planted('removes everything', ({ remove, clear }) => ({ remove: (keys) => remove(keys).then(() => clear('')) })),
  planted('fails where there is nothing to remove', ({ read, remove }) => ({
    async remove(keys) {
      if (keys.length > 0 && (await read(keys)).every((text) => text === null)) throw new Error('not found')
      await remove(keys)
    },
  })),
  {
    name: 'brings a removed stamp back with the fill that names it',
    plant: () => {
      const last = new Map<string, string>()
      return ({ mint, write }) => ({
        async mint(stamps, ttlMs) {
          const kept = await mint(stamps, ttlMs)
          for (const [at, { key }] of stamps.entries()) last.set(key, kept[at] as string)
          return kept
        },
        async write(key, text, ttlMs, keepAlive, stampTtlMs) {
          const known = keepAlive.filter((stamp) => last.has(stamp))
          await mint(
            known.map((stamp) => ({ key: stamp, text: last.get(stamp) as string })),
            stampTtlMs,
          )
          await write(key, text, ttlMs, keepAlive, stampTtlMs)
        },
      })
    },
  },
  planted('fails under fills, mints and removals of the same keys', (inner) => {
    const { mint, write } = inner
    let filling = 0
    return {
      async write(...entry) {
        filling++
        await turn()
        filling--
        await write(...entry)
      },
      async mint(stamps, ttlMs) {
        await undefined
        if (filling > 0) throw new Error('deadlock detected')
        return mint(stamps, ttlMs)
      },
    }
  }),
  planted('takes the prefix for a pattern', ({ clear }) => ({
    clear: (prefix) => clear(prefix.slice(0, prefix.search(/[*?[_%]|$/))),
  })),
  planted('clears everything', ({ clear }) => ({ clear: () => clear('') })),
  planted('clears nothing', () => ({ clear: async () => {} })),
]

const ofLives: Fault[] = [
  planted('ignores times to live', ({ mint, write }) => ({
    mint: (stamps) => mint(stamps, YEAR),
    write: (key, text, _, keepAlive) => write(key, text, YEAR, keepAlive, YEAR),
  })),
  planted('takes milliseconds for seconds', ({ mint, write }) => ({
    mint: (stamps, ttlMs) => mint(stamps, 1_000 * ttlMs),
    write: (key, text, ttlMs, keepAlive, stampTtlMs) => write(key, text, 1_000 * ttlMs, keepAlive, 1_000 * stampTtlMs),
  })),
  planted('refuses parts of milliseconds', ({ mint, write }) => ({
    mint: async (stamps, ttlMs) => mint(stamps, whole(ttlMs)),
    write: async (key, text, ttlMs, ...rest) => write(key, text, whole(ttlMs), ...rest),
  })),
  planted('a text keeps the life of the one before it', ({ read, write, remove }) => {
    const lives = new Map<string, number>()
    return {
      async write(key, text, ttlMs, ...rest) {
        const isKept = (await read([key]))[0] !== null
        const life = isKept ? (lives.get(key) ?? ttlMs) : ttlMs
        lives.set(key, life)
        await remove([key])
        await write(key, text, life, ...rest)
      },
    }
  }),
  planted('starts the life of a taken stamp anew', ({ mint, write }) => ({
    async mint(stamps, ttlMs) {
      const kept = await mint(stamps, ttlMs)
      for (const { key } of stamps) await write('p:elsewhere', '', 1, [key], ttlMs)
      return kept
    },
  })),
  planted('leaves the life of stamps as it is', ({ write }) => ({
    write: (key, text, ttlMs) => write(key, text, ttlMs, [], 0),
  })),
  planted('shortens the life of stamps', ({ read, write }) => ({
    async write(key, text, ttlMs, keepAlive, stampTtlMs) {
      await write(key, text, ttlMs, [], 0)
      const texts = await read(keepAlive)
      for (const [at, stamp] of keepAlive.entries()) {
        if (texts[at] !== null) await write(stamp, texts[at] as string, stampTtlMs, [], 0)
      }
    },
  })),
  planted('hides what was removed behind a tombstone, which ends', ({ read, write, mint, remove }) => {
    const stone = (key: string): string => `${key} is removed`
    const isHidden = async (keys: readonly string[]) => (await read(keys.map(stone))).map((text) => text !== null)
    async function dig(keys: readonly string[]): Promise<void> {
      const hidden = await isHidden(keys)
      await remove(keys.filter((_, at) => hidden[at]).flatMap((key) => [key, stone(key)]))
    }
    return {
      async read(keys) {
        const [values, hidden] = [await read(keys), await isHidden(keys)]
        return values.map((text, at) => (hidden[at] ? null : text))
      },
      write: (key, ...rest) => dig([key]).then(() => write(key, ...rest)),
      mint: (stamps, ttlMs) => dig(stamps.map(({ key }) => key)).then(() => mint(stamps, ttlMs)),
      async remove(keys) {
        for (const key of keys) await write(stone(key), '', 500, [], 0)
      },
    }
  }),
]

const whole = (ms: number): number => {
  if (Number.isInteger(ms)) return ms
  throw new Error('value is not an integer')
}

const seen = (change: (answer: RegisterAnswer, visit: RegisterVisit) => Partial<RegisterAnswer>): Break => {
  return ({ enter }) => ({
    async enter(register, visit) {
      const answer = await enter(register, visit)
      return { ...answer, ...change(answer, visit) }
    },
  })
}
const visiting = (change: (visit: RegisterVisit) => Partial<RegisterVisit>): Break => {
  return ({ enter }) => ({ enter: (register, visit) => enter(register, { ...visit, ...change(visit) }) })
}

const ofRegisters: Fault[] = [
  planted(
    'says of every visit that it created the register',
    seen(() => ({ created: true })),
  ),
  planted(
    'says of no visit that it created the register',
    seen(() => ({ created: false })),
  ),
  planted(
    'says that each is alone',
    seen(() => ({ alone: true })),
  ),
  planted(
    'never says that one is alone',
    seen(() => ({ alone: false })),
  ),
  planted('tells the parts to those who know them', ({ enter }) => ({
    enter: (register, visit) => enter(register, { ...visit, known: undefined }),
  })),
  planted(
    'keeps the parts of the latest visit alone',
    seen((_, { parts }) => ({ parts })),
  ),
  planted(
    'has a new version with each visit',
    seen((_, { mint }) => ({ version: mint })),
  ),
  planted(
    'marks nothing',
    seen(() => ({ marked: [] })),
  ),
  planted(
    'marks anew what others have brought',
    seen((answer, { parts, mint }) => ({
      marked: answer.marked.map(({ part, mark }) => ({ part, mark: parts.includes(part) ? mint : mark })),
    })),
  ),
  planted(
    'never takes a mark away',
    visiting(() => ({ settled: [] })),
  ),
  {
    name: 'takes a mark away, whichever it is',
    plant: () => {
      const marks = new Map<string, string>()
      return ({ enter }) => ({
        async enter(register, visit) {
          const settled = visit.settled.map(({ part, mark }) => ({ part, mark: marks.get(part) ?? mark }))
          const answer = await enter(register, { ...visit, settled })
          for (const { part, mark } of answer.marked) marks.set(part, mark)
          return answer
        },
      })
    },
  },
  planted(
    'keeps parties for ever',
    visiting(() => ({ lifeMs: YEAR })),
  ),
  planted('lets the register end with the latest party', ({ enter, read, write }) => ({
    async enter(register, visit) {
      const answer = await enter(register, visit)
      const [text] = await read([register])
      await write(register, text as string, visit.lifeMs, [], 0)
      return answer
    },
  })),
  {
    name: 'keeps what a party has brought before',
    plant: () => {
      const all = new Map<string, Set<string>>()
      return visiting(({ party, parts }) => {
        const mine = all.get(party) ?? new Set()
        for (const part of parts) mine.add(part)
        all.set(party, mine)
        return { parts: [...mine] }
      })
    },
  },
  {
    name: 'creates a removed register with the version that it had',
    plant: () => {
      const first = new Map<string, string>()
      return ({ enter }) => ({
        async enter(register, visit) {
          const mint = first.get(register) ?? visit.mint
          const answer = await enter(register, { ...visit, mint })
          if (answer.created) first.set(register, mint)
          return answer
        },
      })
    },
  },
  {
    name: 'enters in two steps: not atomic',
    plant: () => {
      const texts = new Map<string, string | null>()
      return ({ enter, read, write, remove }) => ({
        async enter(register, visit) {
          texts.set(register, (await read([register]))[0] ?? null)
          const before = texts.get(register)
          await turn()
          if (typeof before === 'string') await write(register, before, YEAR, [], 0)
          else await remove([register])
          return enter(register, visit)
        },
      })
    },
  },
  planted('sees a register only from where it was entered', () => ({
    removeAndLook: async (_, registers) => registers.map(() => null),
  })),
  planted('looks and does not remove', ({ removeAndLook }) => ({
    removeAndLook: (_, registers) => removeAndLook([], registers),
  })),
  planted('looks at the registers that there are', ({ removeAndLook }) => ({
    removeAndLook: async (keys, registers) => (await removeAndLook(keys, registers)).filter((sight) => sight !== null),
  })),
]

const named = (of: (key: string) => string | undefined): Incarnations => ({
  of,
  guard: 'incarnation',
  lowered: undefined,
  listen: () => () => {},
})

/** Replaces what `counts` says may be replaced. */
const mintingOver =
  ({ read, mint, remove }: Verbs, counts: (kept: string | null, over: string) => boolean): Store['mint'] =>
  async (stamps, ttlMs) => {
    for (const { key, over } of stamps)
      if (over !== undefined && counts((await read([key]))[0] ?? null, over)) await remove([key])
    return mint(stamps, ttlMs)
  }

const exactly = (kept: string | null, over: string): boolean => kept === over

const ofIncarnations: Fault[] = [
  planted('names its incarnations by a number', (inner) => ({
    incarnations: named(() => '7'),
    mint: mintingOver(inner, exactly),
  })),
  planted('does not know its incarnation after a read', (inner) => ({
    incarnations: named(() => undefined),
    mint: mintingOver(inner, exactly),
  })),
  {
    name: 'has an incarnation for each of its instances',
    plant: () => {
      let instances = 0
      return (inner) => {
        const name = `other${instances++}`
        return { incarnations: named(() => name), mint: mintingOver(inner, exactly) }
      }
    },
  },
  planted('has incarnations, and mints over nothing', () => ({ incarnations: named(() => 'first-') })),
  planted('has incarnations, and mints over whatever is there', (inner) => ({
    incarnations: named(() => 'first-'),
    mint: mintingOver(inner, () => true),
  })),
]

const ofBounds: Fault[] = [
  { name: 'has no bound', plant: () => () => ({}), bounded: () => memoryStore() },
  {
    name: 'keeps nothing when it is full',
    plant: () => () => ({}),
    bounded: () => ({ ...memoryStore(), write: async () => {} }),
  },
  {
    name: 'does not remove while it is full',
    plant: () => () => ({}),
    bounded: (maxBytes) => ({ ...memoryStore({ maxBytes }), remove: () => Promise.reject(new Error('out of memory')) }),
  },
  {
    name: 'says that it has kept a text that was too large',
    plant: () => () => ({}),
    bounded: (maxBytes) => {
      const inner = memoryStore({ maxBytes })
      const write: Store['write'] = async (key, text, ...rest) =>
        text.length > maxBytes ? undefined : inner.write(key, text, ...rest)
      return { ...inner, write }
    },
  },
]

const ofClosing: Fault[] = [
  {
    name: 'fails when it is closed twice',
    plant:
      () =>
      ({ close }) => {
        let closed = false
        return {
          async close() {
            if (closed) throw new Error('closed already')
            closed = true
            await close()
          },
        }
      },
  },
  planted('goes on after it was closed', () => ({ close: async () => {} })),
  planted('lets registers go on after it was closed', ({ enter, removeAndLook }) => ({
    enter: (register, visit) => enter(register, visit).catch(() => ({ ...nobody })),
    removeAndLook: (keys, registers) => removeAndLook(keys, registers).catch(() => []),
  })),
  planted('closes with what everybody keeps', ({ clear, close }) => ({
    close: () => clear('').then(close, close),
  })),
]

const nobody: RegisterAnswer = { version: '', bornMs: 0, nowMs: 0, created: true, alone: true, parts: [], marked: [] }

export const faults: readonly Fault[] = [
  ...ofEntries,
  ...ofStamps,
  ...ofRemovals,
  ...ofLives,
  ...ofRegisters,
  ...ofIncarnations,
  ...ofBounds,
  ...ofClosing,
]
