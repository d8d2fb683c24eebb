import { describeStore } from '@drizzle-aside/store-conformance'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStorePool } from '../../examples/own-store/homes.ts'
import { openCase } from '../../examples/own-store/open-case.ts'
import { createStoreTable, type Queries, tableStore } from '../../examples/own-store/table-store.ts'
import { type FreshDatabase, freshDatabase } from '../harness/databases.ts'
import { type Ended, runExample } from './run-example.ts'

const MINUTE = 60_000
let database: FreshDatabase
let pools: readonly [Pool, Pool]

beforeAll(async () => {
  database = await freshDatabase(15)
  pools = [openStorePool(database.url), openStorePool(database.url)]
  await createStoreTable(pools[0])
})
afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.end()))
  await database.drop()
})

/** What each step was, in order. */
const stepsOf = ({ output }: Ended): string[] =>
  output.split('\n').flatMap((line) => /^ {2}(\w+) /.exec(line)?.[1] ?? [])
const walk = 'miss hit miss hit write hit miss write miss hit hit write miss'

describe('the app with a store of its own', () => {
  it('misses, hits, writes and misses on PGlite, with the answers of plain Drizzle', async () => {
    const ended = await runExample('own-store', 'main.ts')
    expect(ended.code, ended.output).toBe(0)
    expect(stepsOf(ended).join(' ')).toBe(walk)
    expect(ended.output).toContain('(unlogged)')
  })

  it('does the same on a server, and leaves nothing behind', async () => {
    const home = await freshDatabase(15)
    const ended = await runExample('own-store', 'main.ts', '--database', home.url)
    expect(ended.code, ended.output).toBe(0)
    expect(stepsOf(ended).join(' ')).toBe(walk)
    const pool = new Pool({ connectionString: home.url })
    const { rows } = await pool.query(`select relname from pg_class where relname like 'aside%'`)
    expect(rows).toEqual([])
    await pool.end()
    await home.drop()
  })

  it('passes the suite under node:test', async () => {
    const { code, output } = await runExample('own-store', '--test', 'table-store.test.ts')
    expect(code, output).toBe(0)
    expect(output).toContain('not asked, for there is no bound (its table is bounded by the lives')
    expect(output).toMatch(/pass 44\b/)
  })
})

describeStore(
  { describe, it },
  {
    name: 'table store on a server, over two pools',
    open: () => openCase(pools[0], pools[1]),
    lacks: { bound: 'its table is bounded by the lives of what is in it, and by the disk' },
  },
)

/** The pool, and what was asked of it. */
function counted() {
  const statements: string[] = []
  const db: Queries = {
    query(text, values) {
      statements.push(text)
      return pools[0].query(text, values)
    },
  }
  return { db, statements }
}

describe('the table store', () => {
  it('asks once for each read, mint and removal, however many keys there are', async () => {
    const { db, statements } = counted()
    const store = tableStore(db)
    const keys = Array.from({ length: 1_000 }, (_, index) => `once:${index}`)
    const stamps = keys.map((key) => ({ key, text: key }))
    const calls = [
      () => store.mint(stamps, MINUTE),
      () => store.read(keys),
      () => store.removeAndLook?.(keys, ['once:F', 'once:G']),
      () => store.remove(keys),
    ]
    for (const [index, call] of calls.entries()) {
      await call()
      expect(statements).toHaveLength(index + 1)
    }
  })

  it('sweeps what has ended, so many with so many entries, and nothing else', async () => {
    const store = tableStore(pools[0], { sweepEvery: 10, sweepLimit: 25 })
    const ended = Array.from({ length: 60 }, (_, index) => ({ key: `swept:${index}`, text: 'x' }))
    await store.clear('')
    await store.mint(ended, MINUTE)
    await pools[0].query(`update aside_texts set ends_at = now() - interval '1 minute'`)
    const left: number[] = []
    for (let index = 0; index < 40; index++) {
      await store.write(`swept:new:${index}`, 'x', MINUTE, [], MINUTE)
      const { rows } = await pools[0].query('select count(*)::int as count from aside_texts')
      left.push(rows[0].count - index - 1)
    }
    expect([8, 9, 18, 19, 28, 29, 39].map((index) => left[index])).toEqual([60, 35, 35, 10, 10, 0, 0])
  })

  it.each([0, -1, 1.5, Number.NaN])('refuses to sweep with every %s. entry, or so many', (count) => {
    expect(() => tableStore(pools[0], { sweepEvery: count })).toThrow(/ASIDE_BAD_OPTION.*sweepEvery/)
    expect(() => tableStore(pools[0], { sweepLimit: count })).toThrow(/ASIDE_BAD_OPTION.*sweepLimit/)
  })

  it('writes the life of a stamp that many fills name once in a while', async () => {
    const store = tableStore(pools[0])
    const versionOf = async () => {
      const { rows } = await pools[0].query(`select ctid, ends_at from aside_texts where key = 'hot:s'`)
      return rows[0]
    }
    await store.mint([{ key: 'hot:s', text: 'stamp' }], MINUTE)
    const minted = await versionOf()
    await store.write('hot:e', 'entry', MINUTE, ['hot:s'], 10 * MINUTE)
    const raised = await versionOf()
    expect(raised).not.toEqual(minted)
    for (let fill = 0; fill < 20; fill++) await store.write(`hot:${fill}`, 'entry', MINUTE, ['hot:s'], 10 * MINUTE)
    expect(await versionOf()).toEqual(raised)
  })

  it('a register that is removed under a visit does not come back with it', async () => {
    const visit = { party: 'A', parts: ['a'], digest: 'd', lifeMs: MINUTE, settled: [], known: undefined }
    const other = tableStore(pools[1])
    await other.enter?.('gone:F', { ...visit, mint: 'one' })
    let removed = false
    const store = tableStore({
      async query(text, values) {
        const answer = await pools[0].query(text, values)
        // Between the look and the swap.
        if (!removed) await other.remove(['gone:F'])
        removed = true
        return answer
      },
    })
    const answer = await store.enter?.('gone:F', { ...visit, mint: 'two', known: 'one' })
    expect(answer).toMatchObject({ created: true, version: 'two', parts: ['a'] })
  })

  it('crossing mints, fills and removals of many connections never wait for each other in a circle', async () => {
    // An index happens to give rows in the order of their keys. Whatever plan there is, the statements have to.
    const options = '-c enable_indexscan=off -c enable_bitmapscan=off -c enable_indexonlyscan=off'
    const crossing = new Pool({ connectionString: database.url, max: 16, options })
    const store = tableStore(crossing, { sweepEvery: 3 })
    const keys = Array.from({ length: 12 }, (_, index) => `cross:${index}`)
    const worker = async (at: number): Promise<void> => {
      for (let round = 0; round < 60; round++) {
        // Another order for each worker and round: 5, 7 and 11 have no factor in common with 12.
        const step = [1, 5, 7, 11][(at + round) % 4] as number
        const mine = keys.map((_, index) => keys[(index * step + at) % 12] as string)
        const stamps = mine.map((key) => ({ key, text: `${at}.${round}` }))
        // One by one they come to lie in any order in the table.
        if (at % 4 === 0) for (const stamp of stamps) await store.mint([stamp], MINUTE)
        else if (at % 4 === 1) await store.mint(stamps, MINUTE)
        else if (at % 8 === 3) await store.remove(mine)
        else await store.write(`cross:e${at}`, 'entry', MINUTE, mine, (10 + 10 * round) * MINUTE)
      }
    }
    const outcomes = await Promise.allSettled(Array.from({ length: 16 }, (_, at) => worker(at)))
    await crossing.end()
    expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([])
  })
})
