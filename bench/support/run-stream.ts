import type { Contender } from './contenders.ts'
import { ROWS } from './items.ts'
import type { Stream } from './random.ts'

/** Which version of each row is surely committed: the judge of stale reads. */
export class Versions {
  readonly #resolved = new Int32Array(ROWS + 1)
  readonly #given = new Int32Array(ROWS + 1)
  readonly #writing = new Map<number, Promise<void>>()

  /** The version that a read which begins now must at least see. */
  least(id: number): number {
    return this.#resolved[id] as number
  }

  /** Writes to one row one after the other, so that versions grow; writes to different rows do not wait. */
  write(id: number, send: (version: number) => Promise<unknown>): Promise<void> {
    const version = (this.#given[id] as number) + 1
    this.#given[id] = version
    const before = this.#writing.get(id)
    const written = before ? before.then(() => send(version)) : send(version)
    const done: Promise<void> = written.then(() => {
      this.#resolved[id] = version
      if (this.#writing.get(id) === done) this.#writing.delete(id)
    })
    this.#writing.set(id, done)
    return done
  }
}

export interface RoundResult {
  readonly ms: number
  /** How long each operation took, in milliseconds. */
  readonly latencies: Float64Array
  readonly stale: number
  readonly reads: number
  /** Undefined for who has no cache. */
  readonly hits: number | undefined
  readonly statements: number
}

/** Runs a stream of operations with so many in flight. */
export async function runStream(
  contender: Contender,
  versions: Versions,
  { keys, writes }: Stream,
  concurrency: number,
): Promise<RoundResult> {
  const latencies = new Float64Array(keys.length)
  let next = 0
  let stale = 0
  let reads = 0
  const worker = async (): Promise<void> => {
    while (next < keys.length) {
      const at = next++
      const id = keys[at] as number
      const began = performance.now()
      if (writes[at] === 1) await versions.write(id, (version) => contender.write(id, version))
      else {
        reads++
        const least = versions.least(id)
        const item = await contender.read(id)
        if (item === undefined || item.version < least) stale++
      }
      latencies[at] = performance.now() - began
    }
  }
  const statements = contender.statements()
  const hits = contender.reads?.().hits
  const began = performance.now()
  await Promise.all(Array.from({ length: concurrency }, worker))
  const ms = performance.now() - began
  return {
    ms,
    latencies,
    stale,
    reads,
    hits: hits === undefined ? undefined : (contender.reads?.().hits ?? 0) - hits,
    statements: contender.statements() - statements,
  }
}
