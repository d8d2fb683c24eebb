import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Client } from 'pg'
import { describe, expect, test } from 'vitest'
import { freshDatabase, freshRedis } from '../harness/databases.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import { bundle, type Edit } from './bundle.ts'
import { judgeReads, type Verdict } from './judge-reads.ts'
import { races, waits } from './mutants.ts'
import { type Record, slotName, type Task } from './slots.ts'

// TWO_READS and TWO_WRITES set the size of the run without a fault, SEED its course.
const reads = Number(process.env.TWO_READS ?? 200_000)
const writes = Number(process.env.TWO_WRITES ?? 20_000)
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
const [rows, places, processes] = [16, 4, 2]

interface Run extends Verdict {
  readonly hitRate: number
  readonly served: number
  readonly troubles: readonly string[]
  readonly milliseconds: number
}

interface Size {
  readonly reads: number
  readonly writes: number
  readonly tokens?: boolean
}

async function runTwo(size: Size, edits: readonly Edit[] = []): Promise<Run> {
  const [database, redis, program] = await Promise.all([
    freshDatabase(15),
    freshRedis(),
    bundle('two-processes-program.ts', edits),
  ])
  try {
    await createSlots(database.url)
    await ageRegister(redis.url, redis.namespace, database.name)
    const base = `${process.hrtime.bigint()}`
    const given = {
      database: database.url,
      redis: redis.url,
      namespace: redis.namespace,
      rows,
      places,
      concurrency: 16,
      tokens: size.tokens ?? false,
      base,
    }
    const tasks = Array.from({ length: processes }, (_, at) => {
      return { ...given, seed: seed + at, reads: size.reads / processes, writes: size.writes / processes }
    })
    const children = await Promise.all(tasks.map((task) => startChild(program.file, task)))
    const start = performance.now()
    const records = await Promise.all(children.map((run) => run()))
    const milliseconds = Math.round(performance.now() - start)
    const [hits, misses] = [sum(records.map((record) => record.hits)), sum(records.map((record) => record.misses))]
    const served = sum(records.map((record) => record.served ?? 0))
    const troubles = records.flatMap((record) => record.troubles)
    return { ...judgeReads(records, rows), hitRate: hits / (hits + misses), served, troubles, milliseconds }
  } finally {
    program.remove()
    await redis.drop()
    await database.drop()
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)

async function createSlots(url: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('create table slots (id integer primary key, slot text not null unique, version integer not null)')
  for (let row = 0; row < rows; row++)
    await client.query('insert into slots values ($1, $2, 0)', [row, slotName(row, 0)])
  await client.end()
}

/** Resolves when the process is ready to begin; the answer lets it begin and resolves with its record. */
async function startChild(file: string, task: Task): Promise<() => Promise<Record>> {
  const child = fork(file, [JSON.stringify(task)], { serialization: 'advanced', execArgv: ['--enable-source-maps'] })
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`The process ended with ${code} before it had told anything.`)
  })
  failed.catch(() => undefined)
  await Promise.race([once(child, 'message'), failed])
  return async () => {
    const told = once(child, 'message')
    child.send('go')
    const [record] = (await Promise.race([told, failed])) as [Record]
    // It has told everything: its end is no failure any more, but it must have come before its database goes.
    await failed.catch(() => undefined)
    return record
  }
}

function told(name: string, run: Run): string {
  const { byKey, byUnique, stale, v1, beyondV1, hitRate, milliseconds } = run
  return (
    `${name}: SEED=${seed}, ${byKey} reads by key, ${byUnique} by unique key, ${run.writes} writes in ${milliseconds} ms, ` +
    `hit rate ${Math.round(100 * hitRate)} %; stale by key ${stale.length}, V1 ${v1}, beyond V1 ${beyondV1.length}`
  )
}

describe('two processes on one Redis', () => {
  test('12: no read by key, and none by unique key beyond V1, is older than what had resolved before it', async () => {
    const run = await runTwo({ reads, writes })
    console.log(told('two processes', run))
    expect(run.byKey + run.byUnique).toBe(reads)
    expect(run.writes).toBe(writes)
    expect(run.stale.slice(0, 5)).toEqual([])
    expect(run.beyondV1.slice(0, 5)).toEqual([])
    expect(run.troubles.slice(0, 5)).toEqual([])
    // A cache that never hits passes everything above.
    expect(run.hitRate).toBeGreaterThan(0.3)
  }, 300_000)

  test.each(Object.values(races))(
    'stale reads are seen with $name',
    async ({ name, edits }) => {
      const run = await runTwo({ reads: 12_000, writes: 2_400 }, edits)
      console.log(told(name, run))
      expect(run.stale.length + run.beyondV1.length).toBeGreaterThan(0)
    },
    120_000,
  )
})

describe('two processes on one Redis with fill tokens', () => {
  test('no row by key, alone or in a list, is older than what had resolved before it, whoever has filled it', async () => {
    const run = await runTwo({ reads: 8_000, writes: 800, tokens: true })
    console.log(`${told('with fill tokens', run)}; ${run.served} served by the other's fill`)
    expect(run.writes).toBe(800)
    expect(run.stale.slice(0, 5)).toEqual([])
    expect(run.beyondV1.slice(0, 5)).toEqual([])
    expect(run.troubles.slice(0, 5)).toEqual([])
    // Who never waits for the other passes everything above.
    expect(run.served).toBeGreaterThan(20)
  }, 300_000)

  test.each(waits)(
    'stale reads are seen with $name',
    async ({ name, edits }) => {
      const run = await runTwo({ reads: 8_000, writes: 800, tokens: true }, edits)
      console.log(told(name, run))
      expect(run.stale.length + run.beyondV1.length).toBeGreaterThan(0)
    },
    120_000,
  )
})

describe('the judge of reads', () => {
  const writesOf = (...all: readonly (readonly number[])[]) => all.flat()
  const record = (given: { reads: number[]; writes: number[] }): Record => ({
    ...given,
    troubles: [],
    hits: 0,
    misses: 0,
  })
  // Row 0: version 1 at place 1, resolved at 20; version 2 at place 2, resolved at 15, before the other writer's.
  const moves = writesOf([0, 1, 1, 1, 20], [0, 2, 2, 2, 15])

  test.each([
    ['a read by key of the newest version is right', [0, -1, 16, 17, 2, 2], { stale: 0, v1: 0, beyond: 0 }],
    [
      'a read by key that began before the write resolved may be older',
      [0, -1, 14, 17, 0, 0],
      { stale: 0, v1: 0, beyond: 0 },
    ],
    ['a read by key that began after it may not', [0, -1, 16, 17, 1, 1], { stale: 1, v1: 0, beyond: 0 }],
    ['a place left by a write that has not resolved is V1', [0, 0, 16, 17, 0, 0], { stale: 0, v1: 1, beyond: 0 }],
    ['a place left by a write that has resolved is not', [0, 0, 21, 22, 0, 0], { stale: 0, v1: 0, beyond: 1 }],
    ['a place left by the write that has resolved is not', [0, 1, 16, 17, 1, 1], { stale: 0, v1: 0, beyond: 1 }],
    [
      'a place entered by a write that has resolved is not empty',
      [0, 2, 16, 17, -1, -1],
      { stale: 0, v1: 0, beyond: 1 },
    ],
    ['a place that was left is empty', [0, 1, 16, 17, -1, -1], { stale: 0, v1: 0, beyond: 0 }],
    ['a row found at another place than asked for is wrong', [0, 2, 16, 17, 2, 1], { stale: 0, v1: 0, beyond: 1 }],
  ])('%s', (_, read, expected) => {
    const { stale, v1, beyondV1 } = judgeReads([record({ reads: read, writes: moves })], 1)
    expect({ stale: stale.length, v1, beyond: beyondV1.length }).toEqual(expected)
  })
})
