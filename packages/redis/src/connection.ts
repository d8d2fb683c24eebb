/** A Redis command as the store writes it: `NAME before… keys… args…`. */
export interface Command {
  readonly name: string
  /** What stands before the keys: a script and their number. */
  readonly before?: readonly string[]
  readonly keys: readonly string[]
  readonly args?: readonly string[]
}

/** One connection to one Redis, whatever client library stands behind it. Values come as strings. */
export interface Connection {
  /** What the client puts before every key it sends; SCAN patterns and answers do not get it. */
  readonly keyPrefix: string
  /** Rejects at once while there is no connection. */
  run(command: Command): Promise<unknown>
  /** Sends all commands together; their answers in order. Rejects when any of them failed. */
  runAll(commands: readonly Command[]): Promise<unknown[]>
  /** Calls back whenever a connection is ready, the first one included; the answer ends it. */
  onReady(opened: () => void): () => void
  /** Gives the connection up and opens another to the same address; of the app's own client nothing. */
  reopen(): void
  /** Closes what was opened for the store. Never rejects. */
  close(): Promise<void>
}

/** Settings of the store, complete. */
export interface ConnectionOptions {
  readonly duplicate: boolean
  readonly deadAfterMs: number
}

/** Tries for ever: 50 ms, doubling to 2 s, apart by chance so that a fleet does not come back in one instant. */
export function reconnectDelayMs(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 6), 2_000) + Math.floor(Math.random() * 50)
}
