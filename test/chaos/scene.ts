/** What a chaos run plays on: private servers, and for each worker a proxy to each of them. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { outboxMigration } from 'drizzle-aside'
import { Client } from 'pg'
import { createClient } from 'redis'
import { type PrivateServer, privatePostgres, privateRedis } from '../harness/servers.ts'
import { type TcpProxy, tcpProxy } from '../harness/tcp-proxy.ts'
import { type Commit, readCommits, startCommits } from './commits.ts'
import { setUp } from './tables.ts'

export interface Link {
  readonly redis: TcpProxy
  readonly postgres: TcpProxy
}

export interface Scene {
  readonly postgres: PrivateServer
  readonly redis: RedisPair
  readonly links: readonly Link[]
  /** A client of the conductor's own, past all proxies. */
  withDatabase<T>(run: (client: Client) => Promise<T>): Promise<T>
  commits(): Promise<Commit[]>
  close(): Promise<void>
}

export async function openScene(places: number, outbox: boolean): Promise<Scene> {
  const settings = ['wal_level=logical', 'max_replication_slots=2', 'max_wal_senders=2']
  const [postgres, redis] = await Promise.all([privatePostgres(15, settings), openRedisPair()])
  const links: Link[] = []
  for (let place = 0; place < places; place++)
    links.push({ redis: await tcpProxy(redis.url), postgres: await tcpProxy(postgres.url) })
  const withDatabase = async <T>(run: (client: Client) => Promise<T>): Promise<T> => {
    const client = new Client({ connectionString: postgres.url })
    client.on('error', () => {})
    await client.connect()
    try {
      return await run(client)
    } finally {
      await client.end()
    }
  }
  await withDatabase(async (client) => {
    await startCommits(client)
    await client.query(setUp)
    if (outbox) await client.query(outboxMigration())
  })
  return {
    postgres,
    redis,
    links,
    withDatabase,
    commits: () => withDatabase(readCommits),
    close: async () => {
      for (const link of links) await Promise.all([link.redis.close(), link.postgres.close()])
      await Promise.all([postgres.stop(), redis.close()])
    },
  }
}

/** A Redis with a replica behind a link of its own; which of the two is the primary changes with each failover. */
export interface RedisPair {
  /** Of the primary. */
  readonly url: string
  readonly primary: PrivateServer
  /** Runs commands on the primary, past all proxies. */
  run(...commands: readonly (readonly string[])[]): Promise<unknown[]>
  /** Kills the primary and starts it again with nothing in it. */
  restartEmpty(): Promise<void>
  /** Keeps what the primary holds now; the answer kills it and starts it again with that. */
  remember(): Promise<() => Promise<void>>
  /** The replica hears nothing more of the primary, which does not know. */
  partReplica(): void
  /** The replica takes over as it is; `move` is to bring the clients to it. The old primary follows it from then on. */
  promote(move: (url: string) => void): Promise<void>
  close(): Promise<void>
}

interface Node {
  readonly server: PrivateServer
  readonly folder: string
  /** What leads to it as a primary. */
  readonly link: TcpProxy
}

async function openNode(): Promise<Node> {
  const server = await privateRedis(['--repl-diskless-sync-delay', '0', '--repl-timeout', '5'])
  const [folder] = await send(server.url, ['CONFIG', 'GET', 'dir'])
  return { server, folder: (folder as string[])[1] as string, link: await tcpProxy(server.url) }
}

async function send(url: string, ...commands: readonly (readonly string[])[]): Promise<unknown[]> {
  const client = createClient({ url, RESP: 2, socket: { reconnectStrategy: false } })
  client.on('error', () => {})
  await client.connect()
  try {
    const answers: unknown[] = []
    for (const command of commands) answers.push(await client.sendCommand([...command]))
    return answers
  } finally {
    client.destroy()
  }
}

async function openRedisPair(): Promise<RedisPair> {
  let [primary, replica] = await Promise.all([openNode(), openNode()])
  const follow = async (): Promise<void> => {
    await send(replica.server.url, ['REPLICAOF', '127.0.0.1', String(primary.link.port)])
  }
  await follow()
  await untilInStep(replica.server.url)
  return {
    get url() {
      return primary.server.url
    },
    get primary() {
      return primary.server
    },
    run: (...commands) => send(primary.server.url, ...commands),
    restartEmpty: () => {
      rmSync(join(primary.folder, 'dump.rdb'), { force: true })
      return primary.server.restart()
    },
    remember: async () => {
      await send(primary.server.url, ['SAVE'])
      return () => primary.server.restart()
    },
    partReplica: () => primary.link.blackHole(),
    promote: async (move) => {
      await send(replica.server.url, ['REPLICAOF', 'NO', 'ONE'])
      move(replica.server.url)
      // What the old link still holds must never arrive.
      primary.link.cut()
      primary.link.heal()
      ;[primary, replica] = [replica, primary]
      await follow()
    },
    close: async () => {
      await Promise.all([primary, replica].map(({ link }) => link.close()))
      await Promise.all([primary, replica].map(({ server }) => server.stop()))
    },
  }
}

async function untilInStep(url: string): Promise<void> {
  for (let look = 0; look < 400; look++) {
    const [info] = await send(url, ['INFO', 'replication'])
    if (String(info).includes('master_link_status:up')) return
    await pause(25)
  }
  throw new Error('The replica did not follow within ten seconds.')
}
