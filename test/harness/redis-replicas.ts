/**
 * Replication and failover of private Redis servers, by commands alone.
 *
 * Promises: each function resolves when what it says is so at the servers. To lose writes that a primary has confirmed, put
 * a proxy between it and its replica and cut that: pausing a replica by a signal loses nothing, for what the primary has
 * sent waits in its socket.
 */
import { createClient } from 'redis'
import { type PrivateServer, privateRedis } from './servers.ts'

const openAdmin = (url: string) => createClient({ url }).on('error', () => {})

/** Runs `ask` over a connection of its own. */
export async function asAdmin<T>(url: string, ask: (admin: ReturnType<typeof openAdmin>) => Promise<T>): Promise<T> {
  const admin = openAdmin(url)
  await admin.connect()
  try {
    return await ask(admin)
  } finally {
    admin.destroy()
  }
}

/** A Redis whose replicas are in step within milliseconds. */
export const redisPrimary = (args: readonly string[] = []): Promise<PrivateServer> =>
  privateRedis(['--repl-diskless-sync-delay', '0', ...args])

/** A Redis that has all that the one under this address has, and follows it. */
export async function redisReplica(primaryUrl: string): Promise<PrivateServer> {
  const server = await redisPrimary()
  await follow(server.url, primaryUrl)
  return server
}

/** Makes a server a replica of another: it forgets what it has, and takes what that one has. */
export async function follow(url: string, primaryUrl: string): Promise<void> {
  const { hostname, port } = new URL(primaryUrl)
  await asAdmin(url, async (admin) => {
    await admin.sendCommand(['REPLICAOF', hostname, port])
    await until(async () => (await admin.info('replication')).includes('master_link_status:up'))
  })
}

/** Ends the following: the server is a primary with what it has. */
export const promote = (url: string): Promise<unknown> =>
  asAdmin(url, (admin) => admin.sendCommand(['REPLICAOF', 'NO', 'ONE']))

/** Resolves when a replica has all that the primary has now. */
export const inStep = (primaryUrl: string): Promise<void> =>
  asAdmin(primaryUrl, (admin) => until(async () => (await admin.wait(1, 1_000)) >= 1))

/** What a restart begins with from now on: `PrivateServer.restart()` loads it. */
export const saveSnapshot = (url: string): Promise<unknown> => asAdmin(url, (admin) => admin.sendCommand(['SAVE']))

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 20_000
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error('the replica is not in step')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
