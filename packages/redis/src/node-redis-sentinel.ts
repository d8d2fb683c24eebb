import { AsideError } from 'drizzle-aside/store'
import {
  asError,
  type Command,
  type ConnectionOptions,
  refuseAsItIs,
  type SingleConnection,
  withoutErrors,
} from './connection.ts'
import { FirstConnect } from './first-connect.ts'
import { STRINGS_WITHOUT_TIMER, wordsOf } from './node-redis.ts'

/** What the store uses of a node-redis sentinel client (`createSentinel()` of `redis` or `@redis/client`, 6). */
export interface NodeRedisSentinel {
  readonly isOpen: boolean
  readonly isReady: boolean
  duplicate(overrides?: object): unknown
  connect(): Promise<unknown>
  sendCommand(isReadonly: boolean | undefined, args: string[], options?: object): Promise<unknown>
  getMasterNode(): unknown
  getSentinelNode(): unknown
  on(event: string, listener: (...args: unknown[]) => void): unknown
  once(event: string, listener: (...args: unknown[]) => void): unknown
  off(event: string, listener: (...args: unknown[]) => void): unknown
  destroy(): unknown
}

interface Known extends NodeRedisSentinel {
  /** The prefix of its keys (6); `sendCommand` does not put it. */
  readonly _keyPrefix?: string | Uint8Array
}

export function isNodeRedisSentinel(client: unknown): client is NodeRedisSentinel {
  const known = (client ?? {}) as Partial<NodeRedisSentinel>
  return typeof known.getSentinelNode === 'function' && typeof known.getMasterNode === 'function'
}

function refuseOlder(): never {
  throw new AsideError(
    'ASIDE_BAD_STORE',
    'the sentinel client of node-redis 5 cannot be duplicated; use that of node-redis 6, or ioredis with `sentinels`.',
  )
}

/** How often the sentinels are asked who the master is, beside what they tell by themselves. */
const SCAN_MS = 2_000

export function connectNodeRedisSentinel(client: NodeRedisSentinel, options: ConnectionOptions): SingleConnection {
  if (!options.duplicate) refuseAsItIs('sentinel client')
  if (typeof client.duplicate !== 'function') refuseOlder()
  const own = duplicateOf(client)
  const first = new FirstConnect(own, () => own.connect())
  const reopen = reopener(own)
  const keyPrefix = String((client as Known)._keyPrefix ?? '')
  const send = (command: Command): Promise<unknown> => {
    reopen()
    return own.sendCommand(false, wordsOf(command, keyPrefix), STRINGS_WITHOUT_TIMER)
  }
  const sendAll = (commands: readonly Command[]) => Promise.all(commands.map((command) => send(command).catch(asError)))
  const connection: SingleConnection = {
    keyPrefix,
    buckets: 1,
    run: (command) => first.waits()?.then(() => send(command)) ?? send(command),
    runAll: async (commands) => {
      await first.waits()
      return withoutErrors(await sendAll(commands))
    },
    nodes: async () => [connection],
    // Told of another master, or connected anew: whoever answers next may be another.
    onReady(opened) {
      for (const event of ['ready', 'topology-change']) own.on(event, opened)
      return () => {
        for (const event of ['ready', 'topology-change']) own.off(event, opened)
      }
    },
    // It leaves a master that is none any more by itself.
    reopen() {},
    async close() {
      closed.add(own)
      if (own.isOpen) await Promise.resolve(own.destroy()).catch(() => {})
    },
  }
  return connection
}

const closed = new WeakSet<NodeRedisSentinel>()

/**
 * The app's client with ours on top: one connection, to the master alone, and no command is sent twice. By itself the client
 * sends a command again after its connection was lost, up to 16 times, when nobody knows whether it ran: a repeated
 * `SET … NX` of a stamp that was removed meanwhile would bring it back. The settings of the node's connection are the app's,
 * for they cannot be read.
 */
function duplicateOf(client: NodeRedisSentinel): NodeRedisSentinel {
  const own = client.duplicate({
    maxCommandRediscovers: 0,
    masterPoolSize: 1,
    replicaPoolSize: 0,
    reserveClient: false,
    clientSideCache: undefined,
    scanInterval: SCAN_MS,
    commandOptions: STRINGS_WITHOUT_TIMER,
  }) as NodeRedisSentinel
  own.on('error', () => {})
  return own
}

/** Told to try nothing twice, the client also gives up for good where its first look for the master fails. */
function reopener(own: NodeRedisSentinel): () => void {
  let opening: Promise<unknown> | undefined
  return () => {
    if (own.isOpen || opening || closed.has(own)) return
    opening = own.connect().then(
      () => {
        opening = undefined
      },
      () => {
        setTimeout(() => {
          opening = undefined
        }, RETRY_MS).unref()
      },
    )
  }
}

const RETRY_MS = 200
