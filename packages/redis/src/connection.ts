import { AsideError } from 'drizzle-aside/store'

/** A Redis command as the store writes it: `NAME before… keys… args…`. */
export interface Command {
  readonly name: string
  /** What stands before the keys: a script and their number. */
  readonly before?: readonly string[]
  readonly keys: readonly string[]
  readonly args?: readonly string[]
  /** Of a command without keys: it is for the node that has this key. */
  readonly near?: string
}

/** Commands to Redis, whatever client library and however many nodes stand behind them. Values come as strings. */
export interface Connection {
  /** What the client puts before every key it sends; SCAN patterns and answers do not get it. */
  readonly keyPrefix: string
  /** Over how many groups the keys of a table are spread, see `Store.buckets`. */
  readonly buckets: number
  /** Rejects at once while there is no connection. */
  run(command: Command): Promise<unknown>
  /** Sends all commands together; their answers in order. Rejects when any of them failed. */
  runAll(commands: readonly Command[]): Promise<unknown[]>
  /** Every node that has keys of its own. */
  nodes(): Promise<readonly Pick<Connection, 'run'>[]>
  /** Closes what was opened for the store. Never rejects. */
  close(): Promise<void>
}

/** To one node at a time. */
export interface SingleConnection extends Connection {
  /** Calls back whenever a connection is ready, the first one included, or was lost; the answer ends it. */
  onReady(opened: () => void): () => void
  /** Gives the connection up and opens another to the same address; of the app's own client nothing. */
  reopen(): void
}

/** To one node for good. */
export interface NodeConnection extends SingleConnection {
  /** As `runAll`, and in the place of an answer the error of a command that failed. Never rejects. */
  runEach(commands: readonly Command[]): Promise<unknown[]>
}

/** What the client libraries do in their own ways with one connection. */
export interface NodeVerbs extends Pick<NodeConnection, 'keyPrefix' | 'onReady' | 'reopen' | 'close'> {
  /** Undefined once commands may be sent without waiting. */
  waits(): Promise<void> | undefined
  send(command: Command): Promise<unknown>
  /** See `NodeConnection.runEach`. */
  sendEach(commands: readonly Command[]): Promise<unknown[]>
}

export function nodeConnection({ waits, send, sendEach, ...verbs }: NodeVerbs): NodeConnection {
  const runEach = (commands: readonly Command[]) => waits()?.then(() => sendEach(commands)) ?? sendEach(commands)
  const connection: NodeConnection = {
    ...verbs,
    buckets: 1,
    run: (command) => waits()?.then(() => send(command)) ?? send(command),
    runEach,
    runAll: (commands) => runEach(commands).then(withoutErrors),
    nodes: async () => [connection],
  }
  return connection
}

/** The answers, where none is an error. */
export function withoutErrors(answers: readonly unknown[]): unknown[] {
  for (const answer of answers) if (answer instanceof Error) throw answer
  return answers as unknown[]
}

/** What went wrong, in the place of an answer. */
export const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)))

/** Puts the store's settings on top of an app's, whatever else stands in them. */
export type WithOurs = <Options extends object>(options: Options) => Options

/** Settings of the store, complete. */
export interface ConnectionOptions {
  /** A function: how to open another client, where the app's cannot be duplicated. */
  readonly duplicate: boolean | ((ours: WithOurs) => unknown)
  readonly deadAfterMs: number
  /** Instead of the client's own. */
  readonly keyPrefix?: string
}

/** Of clients that send a command again after they have lost a connection; what they do by themselves cannot be changed. */
export function refuseAsItIs(kind: string): never {
  throw new AsideError(
    'ASIDE_BAD_STORE',
    `this ${kind} may send a command again after it has lost a connection, which may bring back what was removed; ` +
      'leave `duplicate` on.',
  )
}

/** Tries for ever: 50 ms, doubling to 2 s, apart by chance so that a fleet does not come back in one instant. */
export function reconnectDelayMs(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 6), 2_000) + Math.floor(Math.random() * 50)
}
