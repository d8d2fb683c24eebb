import { expect, it } from 'vitest'
import { settle } from '../../../../test/harness/clock.ts'
import { ReadIndex } from '../../src/catalog/read-index.ts'

/** Questions in the order of their sending, answered by hand. */
function asked() {
  const sent: { answer(value: number): void; fail(error: unknown): void }[] = []
  const index = new ReadIndex<number>(() => new Promise((answer, fail) => void sent.push({ answer, fail })))
  return { sent, index }
}

it('who asks while a question is on its way never gets its answer, and shares the next one', async () => {
  const { sent, index } = asked()
  const first = index.ask()
  const later = [index.ask(), index.ask()]
  expect(sent).toHaveLength(1)
  sent[0]?.answer(1)
  expect(await first).toBe(1)
  await settle()
  expect(sent).toHaveLength(2)
  // This one was sent already when the next comes.
  const last = index.ask()
  sent[1]?.answer(2)
  expect(await Promise.all(later)).toEqual([2, 2])
  await settle()
  sent[2]?.answer(3)
  expect(await last).toBe(3)
})

it('a question that fails fails for those who asked it, and for nobody else', async () => {
  const { sent, index } = asked()
  const first = index.ask()
  const later = index.ask()
  sent[0]?.fail(new Error('gone'))
  await expect(first).rejects.toThrow('gone')
  await settle()
  sent[1]?.answer(2)
  expect(await later).toBe(2)
  const again = index.ask()
  sent[2]?.answer(3)
  expect(await again).toBe(3)
})
