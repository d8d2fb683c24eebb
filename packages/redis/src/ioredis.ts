import { AsideError } from 'drizzle-aside/store'
import {
  asError,
  type Command,
  type ConnectionOptions,
  type NodeConnection,
  nodeConnection,
  reconnectDelayMs,
} from './connection.ts'
import { FirstConnect } from './first-connect.ts'

/** What the store uses of an ioredis client (`new Redis()`, 5 and 6; iovalkey has the same shape). */
export interface IoredisClient {
  readonly status: string
  readonly options: object
  duplicate(overrides?: object): unknown
  connect(): Promise<unknown>
  call(name: string, args: string[]): Promise<unknown>
  pipeline(commands?: unknown[][]): { exec(): Promise<[error: Error | null, answer: unknown][] | null> }
  on(event: string, listener: (...args: unknown[]) => void): unknown
  once(event: string, listener: (...args: unknown[]) => void): unknown
  off(event: string, listener: (...args: unknown[]) => void): unknown
  disconnect(reconnect?: boolean): void
}

interface KnownOptions {
  keyPrefix?: string
  autoResendUnfulfilledCommands?: boolean
  sentinels?: unknown
  maxRetriesPerRequest?: number | null
}

export function isIoredis(client: unknown): client is IoredisClient {
  const known = (client ?? {}) as Partial<IoredisClient & { isCluster: boolean }>
  return typeof known.status === 'string' && typeof known.pipeline === 'function' && !known.isCluster
}

export function connectIoredis(client: IoredisClient, options: ConnectionOptions): NodeConnection {
  if (options.duplicate) return connectionOver(duplicateOf(client, options.deadAfterMs), true)
  return connectionOver(asItIs(client), false)
}

/** `isOurs`: it was opened for the store, connects with the first command, and is closed with the store. */
export function connectionOver(own: IoredisClient, isOurs: boolean): NodeConnection {
  const first = isOurs ? new FirstConnect(own, () => own.connect()) : undefined
  const stop = isOurs ? neverEnding(own) : undefined
  return nodeConnection({
    keyPrefix: optionsOf(own).keyPrefix ?? '',
    waits: () => first?.waits(),
    send: ({ name, before = [], keys, args = [] }) => own.call(name, [...before, ...keys, ...args]),
    sendEach: (commands) => pipelined(own, commands),
    onReady(opened) {
      own.on('ready', opened)
      return () => void own.off('ready', opened)
    },
    reopen() {
      if (isOurs && own.status === 'ready') own.disconnect(true)
    },
    async close() {
      stop?.()
      if (isOurs) own.disconnect()
    },
  })
}

/**
 * Connects again whenever the client has given up for good: behind Sentinel it does where it hears of another master while
 * it asks for the master, whatever its strategy. The answer ends it.
 */
function neverEnding(own: IoredisClient): () => void {
  let timer: NodeJS.Timeout | undefined
  const again = () => {
    timer = setTimeout(() => {
      if (own.status === 'end') own.connect().catch(() => {})
    }, RETRY_MS)
    timer.unref()
  }
  own.on('end', again)
  return () => {
    own.off('end', again)
    clearTimeout(timer)
  }
}

const RETRY_MS = 100

/**
 * The app's connection settings with ours on top:
 * - no offline queue, no retries: a command without a connection fails now;
 * - nothing is sent again after a reconnect: a repeated `SET … NX` of a stamp that was removed meanwhile would bring
 *   it back, and with it every entry filled under it;
 * - socket timeout: a connection that swallows everything is given up;
 * - no auto-pipelining: the reads of one tick are one command already, and a lone command pays 1.6 times for it;
 * - behind Sentinel: always the master; when there is another, or a node says that it is none any more, it is left.
 */
export function duplicateOf(client: IoredisClient, deadAfterMs: number, more: object = {}): IoredisClient {
  const own = client.duplicate({
    ...more,
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    enableAutoPipelining: false,
    commandTimeout: undefined,
    socketTimeout: deadAfterMs,
    readOnly: false,
    retryStrategy: reconnectDelayMs,
    ...(optionsOf(client).sentinels ? toTheMaster : {}),
  }) as IoredisClient
  // Without a listener ioredis prints every error. Whoever waits for a command hears of the failure from it.
  own.on('error', () => {})
  return own
}

const toTheMaster = {
  role: 'master',
  failoverDetector: true,
  sentinelRetryStrategy: reconnectDelayMs,
  // `true` opens a connection anew; 2 would also send the command again.
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
}

function asItIs(client: IoredisClient): IoredisClient {
  const { autoResendUnfulfilledCommands, maxRetriesPerRequest } = optionsOf(client)
  if (autoResendUnfulfilledCommands === false || maxRetriesPerRequest === 0) return client
  throw new AsideError(
    'ASIDE_BAD_STORE',
    'this ioredis client sends unanswered commands again after a reconnect, which may bring back what was removed; ' +
      'leave `duplicate` on, or create it with `autoResendUnfulfilledCommands: false`.',
  )
}

async function pipelined(client: IoredisClient, commands: readonly Command[]): Promise<unknown[]> {
  const lines = commands.map(({ name, before = [], keys, args = [] }) => {
    return [name.toLowerCase(), ...before, ...keys, ...args]
  })
  try {
    const answers = (await client.pipeline(lines).exec()) ?? []
    return answers.map(([error, answer]) => error ?? answer)
  } catch (error) {
    return commands.map(() => asError(error))
  }
}

const optionsOf = (client: IoredisClient): KnownOptions => client.options
