import type { ClusterNodes } from './cluster.ts'
import { type ConnectionOptions, refuseAsItIs } from './connection.ts'
import { connectNodeRedis, type NodeRedisClient } from './node-redis.ts'

/** What the store uses of a node-redis cluster (`createCluster()` of `redis` or `@redis/client`, 5 and 6). */
export interface NodeRedisCluster {
  readonly masters: readonly { readonly host: string; readonly port: number }[]
  duplicate(overrides?: object): unknown
  connect(): Promise<unknown>
  nodeClient(node: never): unknown
  on(event: string, listener: (...args: unknown[]) => void): unknown
  destroy(): void
}

interface Known extends NodeRedisCluster {
  /** The prefix of its keys (6); commands that are sent to a node's client do not get it. */
  readonly _keyPrefix?: string | Uint8Array
}

export function isNodeRedisCluster(client: unknown): client is NodeRedisCluster {
  const known = (client ?? {}) as Partial<NodeRedisCluster>
  return typeof known.nodeClient === 'function' && Array.isArray(known.masters)
}

/** A node as node-redis keeps it: `nodeClient` makes a client of the cluster's settings for it, mapped address and all. */
interface NodeOfCluster {
  readonly host: string
  readonly port: number
  readonly address: string
  readonly readonly: false
  client?: NodeRedisClient
}

/** How the app's client reaches nodes. */
export function nodesOfNodeRedis(cluster: NodeRedisCluster, options: ConnectionOptions): ClusterNodes {
  if (!options.duplicate) refuseAsItIs('cluster')
  // Never connected itself: it only says how to reach a node.
  const maker = quiet(cluster.duplicate(plain))
  return {
    keyPrefix: String((cluster as Known)._keyPrefix ?? ''),
    async discover() {
      const finder = quiet(cluster.duplicate(plain))
      try {
        await finder.connect()
        return finder.masters.map(({ host, port }) => ({ host, port }))
      } finally {
        if ((finder as { isOpen?: boolean }).isOpen) finder.destroy()
      }
    },
    open({ host, port }) {
      const node: NodeOfCluster = { host, port, address: `${host}:${port}`, readonly: false }
      const connecting = maker.nodeClient(node as never) as Promise<unknown>
      connecting.catch(() => {})
      const template = node.client as NodeRedisClient
      const connection = connectNodeRedis(template, { ...options, keyPrefix: '' })
      template.destroy()
      return connection
    },
  }
}

/** Connects to nothing by itself, and reads from no replica. */
const plain = { minimizeConnections: true, useReplicas: false, clientSideCache: undefined }

function quiet(duplicate: unknown): NodeRedisCluster {
  const cluster = duplicate as NodeRedisCluster
  // Without a listener an 'error' event ends the process. Whoever waits for a command hears of the failure from it.
  cluster.on('error', () => {})
  return cluster
}
