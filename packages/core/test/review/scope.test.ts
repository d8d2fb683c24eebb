/** What a transaction collects stays bounded, and nothing of it gets lost on the way. */
import { expect, test } from 'vitest'
import { Changes } from '../../src/write/scope.ts'

const table = '6:public.items'

test('a transaction over very many rows ends up with the whole table instead of their keys', () => {
  const changes = new Changes()
  for (let row = 0; row < 20_000; row++) changes.addKeys(table, [`key ${row}`])
  expect(changes.tables.get(table)).toEqual({ reason: 'too-many-keys' })
})

test('very many different texts become everything, and one of them may have been DDL', () => {
  const changes = new Changes()
  for (let at = 0; at < 2_000; at++) changes.addText(`select ${at}`)
  expect(changes).toMatchObject({ everything: 'overflow', ddl: true })
  expect(changes.texts.length).toBeLessThanOrEqual(1_000)
})

test('what comes into a savepoint after its end belongs to the transaction', () => {
  const outer = new Changes()
  const savepoint = outer.child()
  outer.absorb(savepoint)
  savepoint.end()
  const late = new Changes()
  late.addKeys(table, ['late'])
  savepoint.absorb(late)
  expect(outer.tables.get(table)).toEqual(new Map([['late', 'rows']]))
})

test('the oldest reading of the catalog counts', () => {
  const changes = new Changes()
  changes.derivedFrom(3)
  const older = new Changes()
  older.derivedFrom(2)
  changes.absorb(older)
  changes.derivedFrom(4)
  expect(changes.since).toBe(2)
})
