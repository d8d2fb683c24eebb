import type { Command, Connection } from './connection.ts'

/** Milliseconds as Redis takes them: whole and positive. */
export const wholeMs = (ms: number): string => String(Math.max(1, Math.ceil(ms)))

/**
 * Writes an entry and raises the life of its stamps to at least `stampTtlMs`, in one batch: `PEXPIRE … GT` (Redis 7.0)
 * never shortens a life that a configuration with longer times gave. Redis 6.2 does not know GT; the first answer says
 * so, and from then on the lives are asked for (PTTL) with the entry's SET and only shorter ones are set, in a second
 * batch. A longer life given between the two batches is cut short there: that costs misses, never a wrong answer.
 *
 * @see https://redis.io/docs/latest/commands/pexpire/ (options since 7.0)
 */
export class EntryWriter {
  readonly #connection: Connection
  #knowsGt = true

  constructor(connection: Connection) {
    this.#connection = connection
  }

  async write(entry: Command, stamps: readonly string[], stampTtlMs: number): Promise<void> {
    const ttl = wholeMs(stampTtlMs)
    if (this.#knowsGt && (await this.#raise(entry, stamps, ttl))) return
    const [, ...left] = await this.#connection.runAll([entry, ...stamps.map((key) => ({ name: 'PTTL', keys: [key] }))])
    // PTTL answers -2 for a missing key and -1 for one that never ends.
    const short = stamps.filter((_, index) => isShorter(left[index], stampTtlMs))
    if (short.length > 0) await this.#connection.runAll(short.map((key) => expire(key, [ttl])))
  }

  async #raise(entry: Command, stamps: readonly string[], ttl: string): Promise<boolean> {
    try {
      await this.#connection.runAll([entry, ...stamps.map((key) => expire(key, [ttl, 'GT']))])
      return true
    } catch (error) {
      if (!isUnknownGt(error)) throw error
      this.#knowsGt = false
      return false
    }
  }
}

const expire = (key: string, args: readonly string[]): Command => ({ name: 'PEXPIRE', keys: [key], args })

const isShorter = (left: unknown, ttlMs: number) => Number(left) >= 0 && Number(left) < ttlMs

const isUnknownGt = (error: unknown) =>
  error instanceof Error && /wrong number of arguments|unsupported option|syntax error/i.test(error.message)
