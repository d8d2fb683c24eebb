/** The worker processes of a chaos run: started, paused, stopped, killed, and followed by the next of their place. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Line, Task, Told } from './history.ts'
import type { ProcessHistory } from './judge.ts'
import type { Configuration } from './tables.ts'

/** What a worker counted up to a moment. */
interface Tick {
  readonly at: number
  readonly lookUps: number
  readonly hits: number
  readonly isWell: boolean
}

/** Look-ups that the share of hits is taken over: the last ones, so that what was before is soon forgotten. */
const LATEST = 120

export class Worker {
  readonly task: Task
  readonly #child: ChildProcess
  readonly #gone: Promise<unknown>
  readonly #now: () => number
  #ticks: Tick[] = []
  #output = ''
  #isReady = false
  died: number | undefined
  /** It is to end, or was told to. */
  isLeaving = false

  constructor(program: string, task: Task, now: () => number) {
    this.task = task
    this.#now = now
    this.#child = fork(program, [JSON.stringify(task)], {
      execArgv: ['--enable-source-maps'],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (text) => {
        this.#output = (this.#output + text).slice(-4_000)
      })
    this.#gone = once(this.#child, 'exit')
    this.#child.on('message', (told: Told) => this.#hear(told))
  }

  #hear(told: Told): void {
    if (told.type === 'ready') this.#isReady = true
    else this.#ticks.push({ at: this.#now(), ...told })
    const newest = this.#ticks.at(-1)?.lookUps ?? 0
    // One from before the latest look-ups stays, to count from.
    while (this.#ticks.length > 2 && newest - (this.#ticks[1] as Tick).lookUps >= LATEST) this.#ticks.shift()
  }

  /** What it says when it ended although nobody wanted it to. */
  get fault(): string | undefined {
    const { exitCode, signalCode } = this.#child
    if (this.isLeaving || (exitCode === null && signalCode === null)) return undefined
    return `${this.task.name} ended by itself (${exitCode ?? signalCode}): ${this.#output}`
  }

  /** Hits per look-up over the latest ones, all of them after `since`; undefined: there were too few. */
  hitShare(since: number): number | undefined {
    const after = this.#ticks.filter(({ at }) => at >= since)
    const [first, last] = [after[0], after.at(-1)]
    if (!first || !last || last.lookUps - first.lookUps < LATEST * 0.8) return undefined
    return (last.hits - first.hits) / (last.lookUps - first.lookUps)
  }

  /** Hits and look-ups since its start. */
  get counts(): { readonly hits: number; readonly lookUps: number } {
    return this.#ticks.at(-1) ?? { hits: 0, lookUps: 0 }
  }

  isWell(since: number): boolean {
    const last = this.#ticks.at(-1)
    return this.#isReady && last !== undefined && last.at > since && last.isWell
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  /** Of the whole process, in the middle of whatever it does. */
  async kill(): Promise<void> {
    this.isLeaving = true
    this.#child.kill('SIGKILL')
    await this.#gone
    this.died = this.#now()
  }

  rest(): void {
    this.#child.send('rest', () => {})
  }

  /** As a deploy ends it. It must end by itself: a timer or a connection that was left open would keep it. */
  async stop(withinMs: number): Promise<string | undefined> {
    this.isLeaving = true
    this.#child.send('stop', () => {})
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), withinMs)
    })
    const outcome = await Promise.race([this.#gone, late])
    clearTimeout(timer)
    if (outcome === 'late') {
      await this.kill()
      return `${this.task.name} did not end within ${withinMs} ms after its close(): ${this.#output}`
    }
    const [code] = outcome as [number | null]
    return code === 0 ? undefined : `${this.task.name} ended with ${code}: ${this.#output}`
  }
}

/** The place whose workers mostly read: they learn of the others late, from their own heartbeat and not with their next write. */
export const READER = 1
const writeShares = [0.08, 0.005, 0.08]

export interface CrewOptions {
  readonly program: string
  readonly folder: string
  readonly seed: number
  readonly places: number
  readonly now: () => number
  readonly links: readonly { readonly database: string; readonly redis: string }[]
  readonly given: Pick<Task, 'namespace' | 'outbox' | 'ttlMs' | 'base' | 'concurrency' | 'hot'>
}

/** One worker for each place, and all that were there before. */
export class Crew {
  readonly #with: CrewOptions
  readonly #all: Worker[] = []
  readonly #now: Worker[] = []
  readonly faults: string[] = []

  constructor(options: CrewOptions) {
    this.#with = options
    for (let place = 0; place < options.places; place++) this.start(place)
  }

  get workers(): readonly Worker[] {
    return this.#now
  }

  at(place: number): Worker {
    return this.#now[place] as Worker
  }

  /** The next worker of a place has the other configuration than the one before. */
  start(place: number): Worker {
    const { program, folder, seed, now, links, given } = this.#with
    const generation = this.#all.filter(({ task }) => task.place === place).length
    const name = `w${place}.${generation}`
    const worker = new Worker(
      program,
      {
        ...given,
        ...(links[place] as { database: string; redis: string }),
        name,
        place,
        generation,
        configuration: (['groups', 'lists'] satisfies Configuration[])[(place + generation) % 2] as Configuration,
        client: place === 1 ? 'ioredis' : 'node-redis',
        writeShare: writeShares[place] ?? 0.06,
        seed: seed * 1_000 + place * 100 + generation,
        file: join(folder, `${name}.jsonl`),
      },
      now,
    )
    this.#all.push(worker)
    this.#now[place] = worker
    return worker
  }

  async replace(place: number, withinMs: number): Promise<void> {
    const fault = await this.at(place).stop(withinMs)
    if (fault) this.faults.push(fault)
    this.start(place)
  }

  /** Hits per look-up of all workers over the whole run. */
  get hitShare(): number {
    const sum = (of: 'hits' | 'lookUps'): number => this.#all.reduce((total, { counts }) => total + counts[of], 0)
    return sum('hits') / sum('lookUps')
  }

  /** Faults of all workers so far. */
  findFaults(): readonly string[] {
    return [...this.faults, ...this.#all.flatMap(({ fault }) => fault ?? [])]
  }

  async stop(withinMs: number): Promise<void> {
    const faults = await Promise.all(this.#now.map((worker) => (worker.fault ? undefined : worker.stop(withinMs))))
    this.faults.push(...faults.flatMap((fault) => fault ?? []))
  }

  async kill(): Promise<void> {
    await Promise.all(this.#all.filter(({ isLeaving, fault }) => !isLeaving && !fault).map((worker) => worker.kill()))
  }

  histories(): ProcessHistory[] {
    return this.#all.map(({ task, died }) => ({ name: task.name, lines: linesOf(task.file), died }))
  }
}

/** The last line of a killed process may be cut off. */
function linesOf(file: string): Line[] {
  let text = ''
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return []
  }
  const lines = text.split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as Line)
}
