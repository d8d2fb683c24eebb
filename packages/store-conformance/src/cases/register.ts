import { deepEqual, equal, ok } from 'node:assert/strict'
import type { RegisterVisit } from 'drizzle-aside/store'
import { MINUTE, marksOf, partsOf, type Rule, registerOf, until, verbOf, visit } from '../rule.ts'

/** The register: who is there, what each keeps, what of it is new. */
export const register: readonly Rule[] = [
  {
    promise: 'a register: the first visit creates it, and a look sees it from everywhere',
    needs: ['register'],
    between: true,
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
    needs: ['register'],
    between: true,
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
    needs: ['register'],
    between: true,
    async check({ store, second, prefix: p, pass }) {
      const register = `${p}F`
      const alone = async (party: string, parts: string[], more?: Partial<RegisterVisit>) =>
        (await registerOf(party === 'A' ? store : second).enter(register, visit(party, parts, more))).alone
      deepEqual([await alone('A', ['a']), await alone('A', ['a'])], [true, true])
      // Who keeps nothing is there all the same.
      deepEqual([await alone('B', []), await alone('A', ['a'])], [false, false])
      await alone('B', [], { lifeMs: 1 })
      await until(pass, () => alone('A', ['a']))
    },
  },
  {
    promise: 'a register: a part that nobody had is new and changes the version; the marks of others stay',
    needs: ['register'],
    between: true,
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
    needs: ['register'],
    between: true,
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
    needs: ['register'],
    between: true,
    async check({ store, second, prefix: p, pass }) {
      const register = `${p}F`
      const settled = [{ part: 'gone', mark: 'one' }]
      await registerOf(second).enter(register, visit('B', ['kept']))
      await registerOf(store).enter(register, visit('A', ['kept', 'gone'], { mint: 'one', lifeMs: 1 }))
      await registerOf(store).enter(register, visit('A', ['kept', 'gone'], { lifeMs: 1, settled }))
      // The life of one party ends by itself, whatever happens to the key.
      const stay = () => registerOf(second).enter(register, visit('B', ['kept']))
      await until(pass, async () => (await stay()).version !== 'one')
      const look = await registerOf(second).enter(register, visit('B', ['kept']))
      deepEqual(partsOf(look), ['kept'])
      const back = await registerOf(store).enter(register, visit('A', ['kept', 'gone'], { mint: 'three' }))
      deepEqual([back.version, marksOf(back).gone], ['three', 'three'])
    },
  },
  {
    promise: 'a register: lives as long as the party that stays longest',
    needs: ['register', 'clock'],
    between: true,
    async check({ store, second, prefix: p, advance }) {
      const register = `${p}F`
      await registerOf(store).enter(register, visit('A', ['a'], { mint: 'one' }))
      await registerOf(second).enter(register, visit('B', ['a'], { lifeMs: MINUTE }))
      await advance(5 * MINUTE)
      equal((await registerOf(second).look(register))?.version, 'one')
      await advance(6 * MINUTE)
      equal(await registerOf(second).look(register), null)
    },
  },
  {
    promise: 'a register: a party that brings other parts leaves the old ones',
    needs: ['register'],
    between: true,
    async check({ store, second, prefix: p }) {
      const register = `${p}F`
      await registerOf(store).enter(register, visit('A', ['a', 'b'], { mint: 'one' }))
      const after = await registerOf(second).enter(register, visit('A', ['b', 'c'], { mint: 'two' }))
      deepEqual([after.version, partsOf(after), marksOf(after)], ['two', ['b', 'c'], { b: 'one', c: 'two' }])
    },
  },
  {
    promise: 'a register that was removed is created anew, as a younger one of another version',
    needs: ['register'],
    between: true,
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
    needs: ['register'],
    between: true,
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
    needs: ['register'],
    between: true,
    async check({ store, second, prefix: p }) {
      await registerOf(store).enter(`${p}F`, visit('A', ['a'], { mint: 'one' }))
      await store.mint([{ key: `${p}s`, text: 'stamp' }], MINUTE)
      const sights = await verbOf(second.removeAndLook).call(second, [`${p}s`], [`${p}none`, `${p}F`])
      deepEqual([sights[0], sights[1]?.version, sights.length], [null, 'one', 2])
      deepEqual(await store.read([`${p}s`]), [null])
    },
  },
]
