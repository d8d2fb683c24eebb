import { describe, expect, it } from 'vitest'
import { judgeReplica, walPosition } from '../../src/model/replica.ts'

describe('walPosition', () => {
  it('orders positions as PostgreSQL does, not as texts', () => {
    const rising = ['0/0', '0/9', '0/A0', '0/FFFFFFFF', '1/0', '9/FFFFFFFF', 'A/1', '10/0', '1F/2A000000']
    const numbers = rising.map(walPosition)
    expect([...numbers].sort((a, b) => (a < b ? -1 : 1))).toEqual(numbers)
    expect(new Set(numbers).size).toBe(rising.length)
    expect(walPosition('16/B374D848')).toBe(0x16_b374d848n)
  })
})

describe('judgeReplica', () => {
  const position = { written: 100n, over: 50n, timeline: '00000002', systemIdentifier: '7' }
  const sight = { ...position, standby: true, replayed: 100n, over: 49n, environment: {} as never, schemas: [] }
  it.each([
    ['it has replayed all', {}, 'current'],
    ['it has replayed more', { replayed: 101n }, 'current'],
    ['it lags', { replayed: 99n }, 'behind'],
    ['it lacks only what no transaction wrote', { replayed: 99n, over: 50n }, 'current'],
    ['it is on the timeline from before a failover', { timeline: '00000001', replayed: 500n, over: 500n }, 'behind'],
    ['it is on a later timeline', { timeline: '00000003', replayed: 500n, over: 500n }, 'behind'],
    ['it takes writes itself', { standby: false, replayed: 500n, over: 500n }, 'unfit'],
    ['it is of another cluster', { systemIdentifier: '8', replayed: 500n, over: 500n }, 'unfit'],
  ] as const)('%s', (_, more, verdict) => {
    expect(judgeReplica({ ...sight, ...more }, position)).toBe(verdict)
  })
})
