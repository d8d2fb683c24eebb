/**
 * What every store must do, told as tests that any runner can run: `declare` is the runner's `test`.
 *
 * @example
 * storeConformance({ name: 'my store', open: async () => ({ store, second, prefix, advance, close }) }, test)
 */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import type { RegisterVisit, Store } from 'drizzle-aside/store'

/** A store opened for one test. */
export interface OpenedStore {
  readonly store: Store
  /** Another user of the same data: another process's store, or what comes closest. */
  readonly second: Store
  /** Begins every key of this test; nobody else has it. */
  readonly prefix: string
  /** Lets so many milliseconds go by for what is kept, without sleeping. */
  advance(ms: number): Promise<void>
  /** Closes what is left open. */
  close(): Promise<void>
}

export interface StoreSubject {
  readonly name: string
  open(): Promise<OpenedStore>
}

type Declare = (name: string, run: () => Promise<void>) => void

interface Rule {
  readonly promise: string
  check(opened: OpenedStore): Promise<void>
}

const MINUTE = 60_000

/** What store authors must have where several processes share the store; a test of these needs both verbs. */
const registerOf = (store: Store) => ({
  enter: (register: string, visit: RegisterVisit) => required(store.enter).call(store, register, visit),
  look: async (register: string) => (await required(store.removeAndLook).call(store, [], [register]))[0],
})

function required<Verb>(verb: Verb | undefined): Verb {
  if (verb) return verb
  throw new Error('A store that several processes share keeps a register.')
}

let mints = 0
const visit = (party: string, parts: readonly string[], more: Partial<RegisterVisit> = {}): RegisterVisit => ({
  party,
  parts,
  digest: `d${parts.join('|')}`,
  lifeMs: 10 * MINUTE,
  settled: [],
  mint: `m${mints++}`,
  known: undefined,
  ...more,
})
const marksOf = ({ marked }: { marked: readonly { part: string; mark: string }[] }) =>
  Object.fromEntries(marked.map(({ part, mark }) => [part, mark]))
const partsOf = ({ parts }: { parts: readonly string[] | undefined }) => [...new Set(parts)].sort()

/** Declares one test per promise of the store contract. */
export function storeConformance(subject: StoreSubject, declare: Declare): void {
  for (const rule of rules) {
    declare(`${subject.name}: ${rule.promise}`, async () => {
      const opened = await subject.open()
      try {
        await rule.check(opened)
      } finally {
        await opened.close()
      }
    })
  }
}

const rules: Rule[] = [
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
    promise: 'a later write replaces the text and its time to live',
    async check({ store, prefix: p, advance }) {
      await store.write(`${p}a`, 'old', MINUTE, [], MINUTE)
      await store.write(`${p}a`, 'new', 10 * MINUTE, [], MINUTE)
      await advance(5 * MINUTE)
      deepEqual(await store.read([`${p}a`]), ['new'])
    },
  },
  {
    promise: 'mints what is missing and takes what is there',
    async check({ store, second, prefix: p }) {
      deepEqual(await store.mint([{ key: `${p}s`, text: 'one' }], MINUTE), ['one'])
      const both = [`${p}t`, `${p}s`].map((key) => ({ key, text: 'two' }))
      deepEqual(await second.mint(both, MINUTE), ['two', 'one'])
      deepEqual(await store.read([`${p}s`, `${p}t`]), ['one', 'two'])
    },
  },
  {
    promise: 'of 50 concurrent minters exactly one wins and all agree',
    async check({ store, second, prefix: p }) {
      const minters = Array.from({ length: 50 }, (_, index) => ({
        from: index % 2 ? store : second,
        text: `m${index}`,
      }))
      const answers = await Promise.all(
        minters.map(({ from, text }) =>
          from.mint(
            [
              { key: `${p}s`, text },
              { key: `${p}t`, text },
            ],
            MINUTE,
          ),
        ),
      )
      const [winners] = answers
      for (const answer of answers) deepEqual(answer, winners)
      ok(minters.some(({ text }) => text === winners?.[0]))
      deepEqual(await store.read([`${p}s`, `${p}t`]), winners)
    },
  },
  {
    promise: 'a stamp minted after a removal is the new text',
    async check({ store, second, prefix: p }) {
      await store.mint([{ key: `${p}s`, text: 'one' }], MINUTE)
      await second.remove([`${p}s`])
      deepEqual(await store.mint([{ key: `${p}s`, text: 'two' }], MINUTE), ['two'])
      deepEqual(await second.read([`${p}s`]), ['two'])
    },
  },
  {
    promise: 'a removal that resolved is seen by everybody at once, and only its keys are gone',
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
    promise: 'a removed value stays away: raising its life, reading and time do not bring it back',
    async check({ store, second, prefix: p, advance }) {
      await store.mint([{ key: `${p}s`, text: 'one' }], MINUTE)
      await store.remove([`${p}s`])
      await second.write(`${p}e`, 'entry', MINUTE, [`${p}s`], 10 * MINUTE)
      deepEqual(await store.read([`${p}s`, `${p}e`]), [null, 'entry'])
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
      const keys = Array.from({ length: 2_500 }, (_, index) => `${p}${index}`)
      for (let start = 0; start < keys.length; start += 500) {
        const stamps = keys.slice(start, start + 500).map((key) => ({ key, text: 'x' }))
        await store.mint(stamps, MINUTE)
      }
      await store.remove(keys)
      deepEqual(new Set(await store.read(keys)), new Set([null]))
    },
  },
  {
    promise: 'entries and stamps end with their time to live, whole milliseconds or not',
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
    promise: 'taking a stamp does not start its life anew',
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
    promise: 'keeps any key and any text exactly, the empty text and a megabyte included',
    async check({ store, second, prefix: p }) {
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
      const texts = [...hostile, 'x'.repeat(1_000_000), 'ü😀'.repeat(100_000)]
      const keys = texts.map((text, index) => `${p}${text.slice(0, 40)}#${index}`)
      for (const [index, key] of keys.entries()) await store.write(key, texts[index] ?? '', MINUTE, [], MINUTE)
      deepEqual(await second.read(keys), texts)
      await second.remove(keys)
      deepEqual(new Set(await store.read(keys)), new Set([null]))
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
  {
    promise: 'clears a prefix, taken literally, and nothing else',
    async check({ store, prefix: p }) {
      const inside = Array.from({ length: 1_200 }, (_, index) => `${p}a*b?[c]\\^-${index}`)
      const outside = [`${p}aXbY[c]\\^-1`, `${p}a*b?c\\^-1`, `${p}other`]
      for (const key of [...inside, ...outside]) await store.write(key, 'x', MINUTE, [], MINUTE)
      await store.clear(`${p}a*b?[c]\\^-`)
      deepEqual(new Set(await store.read(inside)), new Set([null]))
      deepEqual(await store.read(outside), ['x', 'x', 'x'])
    },
  },
  {
    promise: 'reads 1,000 keys in one call, in order',
    async check({ store, prefix: p }) {
      const stamps = Array.from({ length: 500 }, (_, index) => ({ key: `${p}${2 * index}`, text: `t${2 * index}` }))
      await store.mint(stamps, MINUTE)
      const keys = Array.from({ length: 1_000 }, (_, index) => `${p}${index}`)
      const values = await store.read(keys)
      deepEqual(
        values,
        keys.map((_, index) => (index % 2 ? null : `t${index}`)),
      )
    },
  },
  {
    promise: 'a register: the first visit creates it, and a look sees it from everywhere',
    async check({ store, second, prefix: p }) {
      const register = `${p}F`
      equal(await registerOf(second).look(register), null)
      const first = await registerOf(store).enter(register, visit('A', ['a', 'é"]'], { mint: 'one' }))
      equal(first.created, true)
      equal(first.version, 'one')
      deepEqual(partsOf(first), ['a', 'é"]'])
      deepEqual(marksOf(first), { a: 'one', 'é"]': 'one' })
      const sight = await registerOf(second).look(register)
      deepEqual([sight?.version, sight?.bornMs], ['one', first.bornMs])
      ok(sight !== null && sight !== undefined && sight.nowMs >= first.nowMs && first.nowMs >= first.bornMs)
    },
  },
  {
    promise: 'a register: whoever adds nothing changes nothing, and need not be told what he knows',
    async check({ store, second, prefix: p }) {
      const register = `${p}F`
      const { version } = await registerOf(store).enter(register, visit('A', ['a', 'b']))
      const second1 = await registerOf(second).enter(register, visit('B', ['b']))
      deepEqual([second1.created, second1.version, partsOf(second1)], [false, version, ['a', 'b']])
      const again = await registerOf(store).enter(register, visit('A', ['a', 'b'], { known: version }))
      deepEqual([again.version, again.parts], [version, undefined])
      const empty = await registerOf(second).enter(register, visit('C', [], { known: version }))
      deepEqual([empty.version, empty.parts], [version, undefined])
    },
  },
  {
    promise: 'a register: tells who is alone in it, and who is not',
    async check({ store, second, prefix: p, advance }) {
      const register = `${p}F`
      const alone = async (party: string, parts: string[], more?: Partial<RegisterVisit>) =>
        (await registerOf(party === 'A' ? store : second).enter(register, visit(party, parts, more))).alone
      deepEqual([await alone('A', ['a']), await alone('A', ['a'])], [true, true])
      // Who keeps nothing is there all the same.
      deepEqual([await alone('B', []), await alone('A', ['a'])], [false, false])
      await alone('B', [], { lifeMs: 1 })
      while (!(await alone('A', ['a']))) await advance(2)
    },
  },
  {
    promise: 'a register: a part that nobody had is new and changes the version; the marks of others stay',
    async check({ store, second, prefix: p }) {
      const register = `${p}F`
      const first = await registerOf(store).enter(register, visit('A', ['a'], { mint: 'one' }))
      const next = await registerOf(second).enter(register, visit('B', ['a', 'b'], { mint: 'two', known: 'one' }))
      deepEqual([next.version, next.bornMs, partsOf(next)], ['two', first.bornMs, ['a', 'b']])
      deepEqual(marksOf(next), { a: 'one', b: 'two' })
    },
  },
  {
    promise: 'a register: a part loses its mark by the mark that it carries, for everybody',
    async check({ store, second, prefix: p }) {
      const register = `${p}F`
      await registerOf(store).enter(register, visit('A', ['a', 'b'], { mint: 'one' }))
      const settled = [
        { part: 'a', mark: 'one' },
        { part: 'b', mark: 'another' },
        { part: 'c', mark: 'one' },
      ]
      const after = await registerOf(second).enter(register, visit('B', ['b'], { settled }))
      deepEqual([after.version, marksOf(after)], ['one', { b: 'one' }])
    },
  },
  {
    promise: 'a register: who stays away is dropped with what nobody else has, and that is new when it comes back',
    async check({ store, second, prefix: p, advance }) {
      const register = `${p}F`
      const settled = [{ part: 'gone', mark: 'one' }]
      await registerOf(second).enter(register, visit('B', ['kept']))
      await registerOf(store).enter(register, visit('A', ['kept', 'gone'], { mint: 'one', lifeMs: 1 }))
      await registerOf(store).enter(register, visit('A', ['kept', 'gone'], { lifeMs: 1, settled }))
      // The life of one party ends by itself, whatever happens to the key.
      while ((await registerOf(second).enter(register, visit('B', ['kept']))).version === 'one') await advance(2)
      const look = await registerOf(second).enter(register, visit('B', ['kept']))
      deepEqual(partsOf(look), ['kept'])
      const back = await registerOf(store).enter(register, visit('A', ['kept', 'gone'], { mint: 'three' }))
      deepEqual([back.version, marksOf(back).gone], ['three', 'three'])
    },
  },
  {
    promise: 'a register: a party that brings other parts leaves the old ones',
    async check({ store, second, prefix: p }) {
      const register = `${p}F`
      await registerOf(store).enter(register, visit('A', ['a', 'b'], { mint: 'one' }))
      const after = await registerOf(second).enter(register, visit('A', ['b', 'c'], { mint: 'two' }))
      deepEqual([after.version, partsOf(after), marksOf(after)], ['two', ['b', 'c'], { b: 'one', c: 'two' }])
    },
  },
  {
    promise: 'a register that was removed is created anew, as a younger one of another version',
    async check({ store, second, prefix: p }) {
      const register = `${p}F`
      await registerOf(store).enter(register, visit('A', ['a'], { mint: 'one' }))
      await second.remove([register])
      equal(await registerOf(store).look(register), null)
      const again = await registerOf(store).enter(register, visit('A', ['a'], { mint: 'two', known: 'one' }))
      deepEqual([again.created, again.version, partsOf(again), marksOf(again)], [true, 'two', ['a'], { a: 'two' }])
    },
  },
  {
    promise: 'a register: of 30 visits at once each finds what the others have brought',
    async check({ store, second, prefix: p }) {
      const register = `${p}F`
      const visits = Array.from({ length: 30 }, (_, at) =>
        registerOf(at % 2 ? store : second).enter(register, visit(`P${at}`, [`part${at % 5}`])),
      )
      const answers = await Promise.all(visits)
      equal(answers.filter(({ created }) => created).length, 1)
      const last = await registerOf(store).enter(register, visit('last', []))
      deepEqual(partsOf(last), ['part0', 'part1', 'part2', 'part3', 'part4'])
      equal(last.marked.length, 5)
    },
  },
  {
    promise: 'removes and looks in one call, at several registers, in order',
    async check({ store, second, prefix: p }) {
      await registerOf(store).enter(`${p}F`, visit('A', ['a'], { mint: 'one' }))
      await store.mint([{ key: `${p}s`, text: 'stamp' }], MINUTE)
      const sights = await required(second.removeAndLook).call(second, [`${p}s`], [`${p}none`, `${p}F`])
      deepEqual([sights[0], sights[1]?.version, sights.length], [null, 'one', 2])
      deepEqual(await store.read([`${p}s`]), [null])
    },
  },
  {
    promise: 'once closed, every call rejects and says so; other users go on; closing twice is no error',
    async check({ store, second, prefix: p }) {
      await second.write(`${p}a`, 'A', MINUTE, [], MINUTE)
      await store.read([`${p}a`])
      await store.close()
      await store.close()
      const closed = { code: 'ASIDE_CLOSED' }
      await rejects(store.read([`${p}a`]), closed)
      await rejects(store.mint([{ key: `${p}s`, text: 'x' }], MINUTE), closed)
      await rejects(store.write(`${p}a`, 'x', MINUTE, [], MINUTE), closed)
      await rejects(store.remove([`${p}a`]), closed)
      await rejects(store.clear(p), closed)
      await rejects(registerOf(store).enter(`${p}F`, visit('A', [])), closed)
      await rejects(registerOf(store).look(`${p}F`), closed)
      deepEqual(await second.read([`${p}a`]), ['A'])
    },
  },
  {
    promise: 'has a name and says whether it is process-local',
    async check({ store }) {
      ok(store.name.length > 0)
      equal(typeof store.processLocal, 'boolean')
    },
  },
]
