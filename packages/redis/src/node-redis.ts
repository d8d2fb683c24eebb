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

/** What the store uses of a node-redis client (`createClient()` of `redis` or `@redis/client`, 5 and 6). */
export interface NodeRedisClient {
  readonly isOpen: boolean
  readonly isReady: boolean
  readonly options?: object | undefined
  duplicate(overrides?: object): unknown
  connect(): Promise<unknown>
  sendCommand(args: string[], options?: object): Promise<unknown>
  on(event: string, listener: (...args: unknown[]) => void): unknown
  once(event: string, listener: (...args: unknown[]) => void): unknown
  off(event: string, listener: (...args: unknown[]) => void): unknown
  destroy(): void
}

interface KnownOptions {
  socket?: object
  keyPrefix?: string | Uint8Array
  clientSideCache?: unknown
}

/** Cluster, sentinel and pool clients have most of these members too; `isPubSubActive` only a single node's. */
export function isNodeRedis(client: unknown): client is NodeRedisClient {
  const known = (client ?? {}) as Partial<NodeRedisClient & { isPubSubActive: boolean }>
  return typeof known.isPubSubActive === 'boolean' && typeof known.isReady === 'boolean'
}

/**
 * Whatever the client's defaults are: strings, and no timer per command, which costs 3 to 5 times the throughput and
 * never fires for a command that was already sent. The deadline is ours.
 */
export const STRINGS_WITHOUT_TIMER = { timeout: undefined, typeMapping: undefined }

export function connectNodeRedis(client: NodeRedisClient, options: ConnectionOptions): NodeConnection {
  const own = options.duplicate ? duplicateOf(client, options.deadAfterMs) : asItIs(client)
  const first = options.duplicate ? new FirstConnect(own, () => own.connect()) : undefined
  const keyPrefix = options.keyPrefix ?? String(optionsOf(client).keyPrefix ?? '')
  const send = (command: Command) => own.sendCommand(wordsOf(command, keyPrefix), STRINGS_WITHOUT_TIMER)
  return nodeConnection({
    keyPrefix,
    waits: () => first?.waits(),
    send,
    // Commands of one tick leave in one write: node-redis sends on setImmediate.
    sendEach: (commands) => Promise.all(commands.map((command) => send(command).catch(asError))),
    onReady(opened) {
      own.on('ready', opened)
      return () => void own.off('ready', opened)
    },
    reopen() {
      if (own === client || !own.isReady) return
      own.destroy()
      // Tries until it succeeds; meanwhile commands fail at once.
      own.connect().catch(() => {})
    },
    async close() {
      if (own !== client && own.isOpen) own.destroy()
    },
  })
}

/**
 * The app's connection settings with ours on top:
 * - no offline queue: a command without a connection fails now and not when nobody waits any more;
 * - no client-side cache: it is told of changes asynchronously, and could answer what was already removed;
 * - PING and socket timeout: a connection that swallows everything is given up, without them for ~15 minutes not;
 * - our reconnect strategy: the app's may give up for good, the default one does after a socket timeout.
 */
export function nodeSettings(deadAfterMs: number, socket: object | undefined): object {
  return {
    disableOfflineQueue: true,
    commandOptions: STRINGS_WITHOUT_TIMER,
    clientSideCache: undefined,
    emitInvalidate: undefined,
    readonly: false,
    pingInterval: Math.ceil(deadAfterMs / 4),
    socket: { ...socket, socketTimeout: deadAfterMs, reconnectStrategy: reconnectDelayMs },
  }
}

function duplicateOf(client: NodeRedisClient, deadAfterMs: number): NodeRedisClient {
  const own = client.duplicate(nodeSettings(deadAfterMs, optionsOf(client).socket)) as NodeRedisClient
  // Without a listener an 'error' event ends the process. Whoever waits for a command hears of the failure from it.
  own.on('error', () => {})
  return own
}

function asItIs(client: NodeRedisClient): NodeRedisClient {
  if (optionsOf(client).clientSideCache === undefined) return client
  throw new AsideError(
    'ASIDE_BAD_STORE',
    'this node-redis client has a client-side cache, which may answer what was already removed; leave `duplicate` on.',
  )
}

const optionsOf = (client: NodeRedisClient): KnownOptions => client.options ?? {}

/** sendCommand puts no prefix before keys. */
export function wordsOf({ name, before = [], keys, args = [] }: Command, keyPrefix: string): string[] {
  return [name, ...before, ...(keyPrefix === '' ? keys : keys.map((key) => keyPrefix + key)), ...args]
}
