import type { Address, ClusterNodes } from './cluster.ts'
import { type ConnectionOptions, refuseAsItIs } from './connection.ts'
import { connectionOver, duplicateOf, type IoredisClient } from './ioredis.ts'

/** What the store uses of an ioredis cluster (`new Cluster()`, 5 and 6). */
export interface IoredisCluster {
  readonly isCluster: boolean
  readonly options: object
  duplicate(startupNodes?: never[], overrides?: object): unknown
  connect(): Promise<unknown>
  nodes(role?: 'master'): unknown[]
  on(event: string, listener: (...args: unknown[]) => void): unknown
  disconnect(): void
}

interface KnownOptions {
  keyPrefix?: string
  natMap?: Readonly<Record<string, Address>> | ((address: string) => Address | null | undefined)
}

export function isIoredisCluster(client: unknown): client is IoredisCluster {
  const known = (client ?? {}) as Partial<IoredisCluster>
  return known.isCluster === true && typeof known.nodes === 'function'
}

/** Its connections to the nodes as ioredis would open them, with other settings for what happens when they are lost. */
export function nodesOfIoredis(cluster: IoredisCluster, { duplicate, deadAfterMs }: ConnectionOptions): ClusterNodes {
  if (!duplicate) refuseAsItIs('cluster')
  const { keyPrefix = '', natMap } = cluster.options as KnownOptions
  const mapped = (address: Address): Address => {
    const name = `${address.host}:${address.port}`
    return (typeof natMap === 'function' ? natMap(name) : natMap?.[name]) ?? address
  }
  let template: IoredisClient | undefined
  return {
    keyPrefix,
    async discover() {
      const finder = cluster.duplicate([], { lazyConnect: true, clusterRetryStrategy: null }) as IoredisCluster
      finder.on('error', () => {})
      try {
        await finder.connect()
        const masters = finder.nodes('master') as (IoredisClient & { options: Address })[]
        template ??= masters[0]
        return masters.map(({ options: { host, port } }) => ({ host, port }))
      } finally {
        finder.disconnect()
      }
    },
    open(address) {
      if (!template) throw new Error('the Redis Cluster was not found yet')
      const { host, port } = mapped(address)
      return connectionOver(duplicateOf(template, deadAfterMs, { host, port, keyPrefix: '' }), true)
    },
  }
}
