import { describe, expect, it, test } from 'vitest'
import type { StampLoss } from '../../src/model/facets.ts'
import { relationId } from '../../src/model/facts.ts'
import { adviseGroups, type NamedGroup } from '../../src/watch/advise-groups.ts'
import { NeedlessCounts } from '../../src/watch/count-needless.ts'
import { BoundedDropWatch } from '../../src/watch/watch-drops.ts'

const lost = (...losses: [string, StampLoss][]) => new Map(losses)

describe('what a stamp was removed for', () => {
  it('is told by the stamp that was taken, also when another one was taken since', () => {
    const watch = new BoundedDropWatch()
    watch.taken('K', 'S1')
    watch.removing(lost(['K', ['views']], ['other', ['views']]))
    watch.taken('K', 'S2')
    expect([watch.lossOf('S1'), watch.lossOf('S2')]).toEqual([['views'], undefined])
    watch.removing(lost(['K', 'rows']))
    expect([watch.lossOf('S1'), watch.lossOf('S2')]).toEqual([['views'], 'rows'])
  })

  it.each<[StampLoss[], StampLoss]>([
    [
      [['views'], ['likes', 'views']],
      ['likes', 'views'],
    ],
    [[['views'], 'rows'], 'rows'],
    [['rows', ['views']], 'rows'],
  ])('is all that writes changed until the next one was taken: %j', (losses, all) => {
    const watch = new BoundedDropWatch()
    watch.taken('K', 'S1')
    for (const loss of losses) watch.removing(lost(['K', loss]))
    expect(watch.lossOf('S1')).toEqual(all)
  })

  it('is remembered of the last ones only', () => {
    const watch = new BoundedDropWatch(2)
    for (const name of ['1', '2', '3']) watch.taken(`K${name}`, `S${name}`)
    watch.removing(lost(['K1', ['a']], ['K2', ['a']], ['K3', ['a']]))
    expect([watch.lossOf('S1'), watch.lossOf('S2'), watch.lossOf('S3')]).toEqual([undefined, ['a'], ['a']])
    watch.taken('K4', 'S4')
    watch.removing(lost(['K4', ['a']]))
    expect([watch.lossOf('S2'), watch.lossOf('S3'), watch.lossOf('S4')]).toEqual([undefined, ['a'], ['a']])
  })
})

test('a program that changes ever new columns fills no memory, and the usual ones stay counted', () => {
  const counts = new NeedlessCounts()
  const posts = relationId('public', 'posts')
  for (let at = 0; at < 1000; at++) {
    counts.add(posts, ['views'])
    counts.add(posts, [`column ${at}`])
  }
  expect(counts.most()[0]).toEqual({ table: posts, columns: ['views'], count: 1000 })
  expect(counts.most().length).toBeLessThanOrEqual(200)
})

describe('the line to paste', () => {
  const group = (name: string, ...columns: string[]): NamedGroup => ({ name, columns })
  const keyOf = (column: string) => (column === 'hidden' ? undefined : column.replace('_', '-'))
  const line = (groups: NamedGroup[], ...changes: string[][]) => {
    const text = adviseGroups({ name: 'posts', groups, keyOf }, changes)
    return text?.replace('cached(posts, { facets: (t) => ({ ', '').replace(' }) })', '')
  }

  it.each<[string, NamedGroup[], string[][], string | undefined]>([
    ['a column', [], [['a']], 'a: [t.a]'],
    ['columns that change together', [], [['a', 'b']], 'a: [t.a, t.b]'],
    ['columns that change apart', [], [['a'], ['b']], 'a: [t.a], b: [t.b]'],
    [
      'one of which changes with either',
      [],
      [
        ['a', 'c'],
        ['b', 'c'],
      ],
      'a: [t.a], c: [t.c], b: [t.b]',
    ],
    ['a group that is there', [group('x', 'a', 'b')], [['c']], 'x: [t.a, t.b], c: [t.c]'],
    ['a group that is split', [group('x', 'a', 'b')], [['a']], 'x: [t.a], b: [t.b]'],
    ['a group that changes with others', [group('x', 'a', 'b')], [['a', 'b', 'c']], 'x: [t.a, t.b], c: [t.c]'],
    ['a name that is taken', [group('b', 'a')], [['b']], 'b: [t.a], b2: [t.b]'],
    ['keys that are no words', [group('my group', 'a_b')], [['c_d']], '"my group": [t["a-b"]], "c-d": [t["c-d"]]'],
    ['a column that is not declared', [], [['a', 'hidden']], undefined],
  ])('%s', (_, groups, changes, wanted) => {
    expect(line(groups, ...changes)).toBe(wanted)
  })
})
