/**
 * Histories over services with different options on one Redis: one with the table cached, one that caches nothing, one
 * that is deployed again and again with other tables; the register is lost now and then. Judged like two equal processes.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { Client } from 'pg'
import { createClient } from 'redis'
import { describe, expect, test } from 'vitest'
import { type FreshRedis, freshDatabase, freshRedis } from '../harness/databases.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import { bundle, type Edit } from './bundle.ts'
import { judgeReads, type Verdict } from './judge-reads.ts'
import { Random } from './random.ts'
import type { Service } from './register-service.ts'
import { type Record, slotName } from './slots.ts'

// REGISTER_STEPS sets the size of the runs, SEED their course.
const steps = Number(process.env.REGISTER_STEPS ?? 3_000)
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
const [rows, places] = [8, 3]

/** A short period, so that a run sees many heartbeats. */
const PERIOD_MS = 300
const shortPeriods: Edit = {
  file: 'model/register.ts',
  find: 'HEARTBEAT_MS = 2_000',
  put: `HEARTBEAT_MS = ${PERIOD_MS}`,
}

const unionIgnored: Edit = {
  file: 'wiring/union-tables.ts',
  find: 'this.#with.union()?.tables.has(relation.id) === true',
  put: 'false',
}

/** A register counts as complete however young it is, for those who rely on it and for those who look at it. */
const lossForgiven: readonly Edit[] = [
  { file: 'register/registrar.ts', find: 'nowMs - bornMs >= YOUNG_MS', put: 'nowMs - bornMs >= 0' },
  { file: 'model/register.ts', find: 'sight.nowMs - sight.bornMs < YOUNG_MS', put: 'sight.nowMs - sight.bornMs < 0' },
]

type Role = Pick<Service, 'name' | 'driver' | 'rounds' | 'writeShare'>
const api: Role = { name: 'api', driver: 'node-postgres', rounds: [['slots']], writeShare: 0.02 }
const worker: Role = { name: 'worker', driver: 'postgres-js', rounds: [[]], writeShare: 0.5 }
const third: Role = { name: 'third', driver: 'node-postgres', rounds: [['others']], writeShare: 0.5 }
const deployed: Role = {
  name: 'deployed',
  driver: 'node-postgres',
  rounds: [['slots'], ['slots', 'others'], ['others'], ['slots'], [], ['slots', 'others']],
  writeShare: 0.2,
}

interface History extends Verdict {
  readonly hitRate: number
  readonly troubles: readonly string[]
  readonly epochs: readonly string[]
  readonly losses: number
}

interface Course {
  readonly roles: readonly Role[]
  readonly steps: number
  /** The register is lost with one in so many steps of a hundred operations; 0: never. */
  readonly loseOneIn: number
  readonly agree?: boolean
  /** Another course than that of SEED. */
  readonly from?: number
  readonly edits?: readonly Edit[]
}

async function runServices({
  roles,
  steps,
  loseOneIn,
  agree = false,
  from = seed,
  edits = [],
}: Course): Promise<History> {
  const [database, redis, program] = await Promise.all([
    freshDatabase(15),
    freshRedis(),
    bundle('register-program.ts', [shortPeriods, ...edits]),
  ])
  const register = await openRegister(redis, database.name)
  try {
    await createSlots(database.url)
    const given = { database: database.url, redis: redis.url, namespace: redis.namespace, rows, places, concurrency: 8 }
    const base = `${process.hrtime.bigint()}`
    const services = roles.map((role, at): Service => {
      const each = Math.ceil(steps / role.rounds.length)
      return { ...given, ...role, base, agree, seed: from + at, steps: each }
    })
    const random = new Random(from)
    let losses = 0
    const step = (): void => {
      if (loseOneIn === 0 || !random.chance(1 / loseOneIn)) return
      losses++
      void register.lose()
    }
    const children = []
    for (const service of services) children.push(await startChild(program.file, service, step))
    const ended = await Promise.all(children.map((run) => run()))
    const records = ended.map(({ record }) => record)
    const [hits, misses] = [sum(records.map(({ hits }) => hits)), sum(records.map(({ misses }) => misses))]
    return {
      ...judgeReads(records, rows),
      hitRate: hits / (hits + misses),
      troubles: records.flatMap(({ troubles }) => troubles),
      epochs: ended.flatMap(({ epochs }) => epochs),
      losses,
    }
  } finally {
    program.remove()
    register.close()
    await redis.drop()
    await database.drop()
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)

/** A register that is old from the start: what is looked for is not what its first seconds cost. */
async function openRegister({ url, namespace }: FreshRedis, database: string) {
  await ageRegister(url, namespace, database)
  const client = createClient({ url })
  await client.connect()
  const key = `da1:${namespace}:${database.length}:${database}:F{f}`
  return { lose: () => client.unlink(key), close: () => client.destroy() }
}

async function createSlots(url: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('create table slots (id integer primary key, slot text not null unique, version integer not null)')
  await client.query('create table others (id integer primary key)')
  for (let row = 0; row < rows; row++)
    await client.query('insert into slots values ($1, $2, 0)', [row, slotName(row, 0)])
  await client.end()
}

interface Ended {
  readonly record: Record
  readonly epochs: readonly string[]
}

/** Resolves when the service has entered the register; the answer lets it begin, and resolves when it has ended. */
async function startChild(file: string, service: Service, step: () => void): Promise<() => Promise<Ended>> {
  const child = fork(file, [JSON.stringify(service)], { serialization: 'advanced', execArgv: ['--enable-source-maps'] })
  let answer: Ended | undefined
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('message', (message) => {
      if (message === 'step') step()
      else if (typeof message === 'object') answer = message as Ended
    })
    child.on('exit', (code) => (answer ? resolve(answer) : reject(new Error(`${service.name} ended with ${code}.`))))
  })
  ended.catch(() => undefined)
  await Promise.race([isReady(child), ended])
  return () => {
    child.send('go')
    return ended
  }
}

const isReady = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    child.on('message', (message) => message === 'ready' && resolve())
  })

function report(name: string, history: History): void {
  const { byKey, byUnique, writes, stale, v1, beyondV1, hitRate, epochs, losses } = history
  console.log(
    `${name}: SEED=${seed}, ${byKey} reads by key, ${byUnique} by unique key, ${writes} writes, ${losses} losses, ` +
      `${epochs.length} epochs, hit rate ${Math.round(100 * hitRate)} %; stale by key ${stale.length}, V1 ${v1}, beyond V1 ${beyondV1.length}`,
  )
}

function expectNothingStale({ stale, beyondV1, troubles }: History): void {
  expect(stale.slice(0, 5)).toEqual([])
  expect(beyondV1.slice(0, 5)).toEqual([])
  expect(troubles.slice(0, 5)).toEqual([])
}

const mixed = [api, worker, third]

describe('services with different options on one Redis', () => {
  test('side by side: nothing is stale beyond V1, and no table falls as a whole', async () => {
    const history = await runServices({ roles: mixed, steps, loseOneIn: 0, agree: true })
    report('side by side', history)
    expectNothingStale(history)
    expect(history.epochs).toEqual([])
    expect(history.hitRate).toBeGreaterThan(0.05)
  }, 240_000)

  test('deployed again and again with other tables, forward and back: nothing is stale beyond V1', async () => {
    const history = await runServices({ roles: [api, worker, deployed], steps, loseOneIn: 0 })
    report('deployed again and again', history)
    expectNothingStale(history)
    expect(history.epochs.length).toBeGreaterThan(0)
  }, 240_000)

  test('with a register that is lost again and again: nothing is stale beyond V1', async () => {
    const history = await runServices({ roles: [...mixed, deployed], steps, loseOneIn: 12 })
    report('lost again and again', history)
    expectNothingStale(history)
    expect(history.losses).toBeGreaterThan(0)
  }, 240_000)

  test('stale reads are seen where a writer ignores what others cache', async () => {
    const history = await runServices({ roles: mixed, steps, loseOneIn: 0, edits: [unionIgnored] })
    report('the union ignored', history)
    expect(history.stale.length + history.beyondV1.length).toBeGreaterThan(0)
  }, 240_000)

  test('stale reads are seen where a lost register is believed as soon as somebody creates it anew', async () => {
    // It takes a write between the loss and the next heartbeat of the one who caches its row.
    let found = 0
    for (let from = seed; found === 0 && from < seed + 6; from++) {
      const history = await runServices({ roles: mixed, steps, loseOneIn: 2, from, edits: lossForgiven })
      report(`a loss forgiven, from ${from}`, history)
      found = history.stale.length + history.beyondV1.length
    }
    expect(found).toBeGreaterThan(0)
  }, 240_000)
})
