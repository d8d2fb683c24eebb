/** A soak: one process under a load that never repeats itself; what it holds must stay the same. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { outboxMigration } from 'drizzle-aside'
import { Client } from 'pg'
import { ageRegister } from '../harness/redis-keys.ts'
import { privatePostgres, privateRedis } from '../harness/servers.ts'
import { bundle, type Edit } from '../random/bundle.ts'
import { setUp } from './tables.ts'

export interface SoakTask {
  readonly database: string
  readonly redis: string
  readonly seed: number
  readonly seconds: number
}

export interface Sample {
  readonly heapUsed: number
  readonly external: number
  readonly handles: number
  readonly memoryBytes: number
  readonly operations: number
  readonly longestQueue: number
}

export interface SoakEnd {
  readonly operations: number
  readonly failures: number
  readonly longestQueue: number
  /** What still waited when it had been closed. */
  readonly pendingKeys: number
  readonly queueBound: number
  readonly memoryBound: number
}

export interface Soak extends SoakEnd {
  readonly samples: readonly Sample[]
  /** Resources that kept the process after everything was closed. */
  readonly left: readonly string[]
  readonly exitCode: number | null
}

/** What comes before and after the measured time: the first meeting with everything new, and the end. */
const ENDS_WITHIN_MS = 360_000

export async function runSoak(task: Pick<SoakTask, 'seed' | 'seconds'>, edits: readonly Edit[] = []): Promise<Soak> {
  const [postgres, redis, program] = await Promise.all([
    privatePostgres(15),
    privateRedis(),
    bundle('../chaos/soak-program.ts', edits),
  ])
  try {
    const client = new Client({ connectionString: postgres.url })
    await client.connect()
    await client.query(setUp)
    await client.query(outboxMigration())
    await client.end()
    await ageRegister(redis.url, 'soak', 'postgres')
    return await run(program.file, { ...task, database: postgres.url, redis: redis.url })
  } finally {
    program.remove()
    await Promise.all([postgres.stop(), redis.stop()])
  }
}

async function run(file: string, task: SoakTask): Promise<Soak> {
  const child = fork(file, [JSON.stringify(task)], {
    execArgv: ['--expose-gc', '--enable-source-maps'],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const samples: Sample[] = []
  let end: SoakEnd | undefined
  let output = ''
  child.on('message', (told: Sample | SoakEnd) => {
    if ('heapUsed' in told) samples.push(told)
    else end = told
  })
  child.stdout?.on('data', (text) => {
    output += text
  })
  const late = setTimeout(() => child.kill('SIGKILL'), 1_000 * task.seconds + ENDS_WITHIN_MS)
  const [exitCode] = (await once(child, 'close')) as [number | null]
  clearTimeout(late)
  if (!end) throw new Error(`The soak ended with ${exitCode} before its time: ${output}`)
  return { ...end, samples, left: JSON.parse(output || '["nothing was told"]') as string[], exitCode }
}
