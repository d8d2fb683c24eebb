import { AsideError } from 'drizzle-aside/store'
import {
  asError,
  type Command,
  type ConnectionOptions,
  refuseAsItIs,
  type SingleConnection,
  type WithOurs,
  withoutErrors,
} from './connection.ts'
import { FirstConnect } from './first-connect.ts'
import { nodeSettings, STRINGS_WITHOUT_TIMER, wordsOf } from './node-redis.ts'

/** What the store uses of a node-redis sentinel client (`createSentinel()` of `redis` or `@redis/client`, 5 and 6). */
export interface NodeRedisSentinel {
  readonly isOpen: boolean
  readonly isReady: boolean
  /** That of version 5 has none. */
  duplicate?(overrides?: object): unknown
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
    'the sentinel client of node-redis 5 cannot be duplicated; say how to open another one: ' +
      'redisStore(client, { duplicate: (ours) => createSentinel(ours(options)) }), with the options of the first.',
  )
}

/** How often the sentinels are asked who the master is, beside what they tell by themselves. */
const SCAN_MS = 2_000

export function connectNodeRedisSentinel(client: NodeRedisSentinel, options: ConnectionOptions): SingleConnection {
  if (!options.duplicate) refuseAsItIs('sentinel client')
  const own = ownOf(client, options)
  const first = new FirstConnect(own, () => open(own))
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
    onReady: (opened) => onOtherAnswers(own, opened),
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
 * Told of another master, or connected anew: whoever answers next may be another. A connection to the same master that
 * comes back is not told of; that it was lost, is.
 */
function onOtherAnswers(own: NodeRedisSentinel, opened: () => void): () => void {
  const onError = (error: unknown) => {
    if (error instanceof Error && error.message.startsWith('Master Client')) opened()
  }
  for (const event of ['ready', 'topology-change']) own.on(event, opened)
  own.on('error', onError)
  return () => {
    for (const event of ['ready', 'topology-change']) own.off(event, opened)
    own.off('error', onError)
  }
}

/**
 * The app's client with ours on top: one connection, to the master alone, and no command is sent twice. By itself the client
 * sends a command again after its connection was lost, up to 16 times, when nobody knows whether it ran: a repeated
 * `SET … NX` of a stamp that was removed meanwhile would bring it back. Of a client that duplicates itself the settings of the
 * node's connection are the app's, for they cannot be read.
 */
function ownOf(client: NodeRedisSentinel, { duplicate, deadAfterMs }: ConnectionOptions): NodeRedisSentinel {
  if (typeof duplicate !== 'function' && !client.duplicate) refuseOlder()
  const own = typeof duplicate === 'function' ? duplicate(withOurs(deadAfterMs)) : client.duplicate?.(settings)
  if (own === client || !isNodeRedisSentinel(own)) refuseOther()
  own.on('error', () => {})
  return own
}

function refuseOther(): never {
  throw new AsideError(
    'ASIDE_BAD_OPTION',
    'the function `duplicate` must answer a new sentinel client: (ours) => createSentinel(ours(options)).',
  )
}

const settings = {
  maxCommandRediscovers: 0,
  masterPoolSize: 1,
  replicaPoolSize: 0,
  reserveClient: false,
  clientSideCache: undefined,
  scanInterval: SCAN_MS,
  commandOptions: STRINGS_WITHOUT_TIMER,
  // Lost connections are told as errors, see `onOtherAnswers`.
  passthroughClientErrorEvents: true,
}

/**
 * A lost connection to a node is not opened again by itself but by the next command, which asks the sentinels first: version 5
 * tries a master that is gone until it is back, and meanwhile hears of no other.
 */
function withOurs(deadAfterMs: number): WithOurs {
  return (options) => {
    const { nodeClientOptions } = options as { nodeClientOptions?: { readonly socket?: object } }
    const ofNode = nodeSettings(deadAfterMs, nodeClientOptions?.socket) as { readonly socket: object }
    const socket = { ...ofNode.socket, reconnectStrategy: false }
    return { ...options, ...settings, nodeClientOptions: { ...nodeClientOptions, ...ofNode, socket } }
  }
}

/** Told to try nothing twice, the client also gives up for good where its first look for the master fails. */
function reopener(own: NodeRedisSentinel): () => void {
  let opening: Promise<unknown> | undefined
  return () => {
    if (own.isOpen || opening || closed.has(own)) return
    opening = open(own).then(
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

async function open(own: NodeRedisSentinel): Promise<void> {
  try {
    await own.connect()
  } catch (error) {
    // Version 5 stays open with nobody to talk to.
    if (own.isOpen) await own.destroy()
    throw error
  }
}

const RETRY_MS = 200
