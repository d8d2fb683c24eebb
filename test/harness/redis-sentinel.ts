/**
 * A master, a replica and a sentinel, without Docker.
 *
 * Promises: `privateSentinel()` resolves when the replica follows and the sentinel knows both; each may be tormented. After
 * the death of the master the sentinel makes the replica master within seconds.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from 'redis'
import { freePort, removeFolder, type ServerProcess, startProcess, temporaryFolder, untilReady } from './processes.ts'
import { type PrivateServer, privateRedis } from './servers.ts'

export interface PrivateSentinel {
  /** The group's name. */
  readonly name: string
  readonly host: string
  readonly port: number
  readonly master: PrivateServer
  readonly replica: PrivateServer
  /** The URL of the master now, as the sentinel says. */
  masterUrl(): Promise<string>
  stop(): Promise<void>
}

const NAME = 'group'

export async function privateSentinel(): Promise<PrivateSentinel> {
  const settings = ['--repl-diskless-sync-delay', '0']
  const [master, replica] = await Promise.all([privateRedis(settings), privateRedis(settings)])
  await ask(replica.url, 'REPLICAOF', '127.0.0.1', String(master.port))
  await until(async () => String(await ask(replica.url, 'INFO', 'replication')).includes('master_link_status:up'))
  const folder = temporaryFolder('sentinel')
  const { port, process } = await startSentinel(folder, master.port)
  const url = `redis://127.0.0.1:${port}`
  await until(
    async () => String(await ask(url, 'INFO', 'sentinel')).includes('status=ok') && (await replicas(url)) === 1,
  )
  return {
    name: NAME,
    host: '127.0.0.1',
    port,
    master,
    replica,
    async masterUrl() {
      const [host, at] = (await ask(url, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)) as string[]
      return `redis://${host}:${at}`
    },
    async stop() {
      await Promise.all([process.stop(), master.stop(), replica.stop()])
      removeFolder(folder)
    },
  }
}

async function startSentinel(folder: string, master: number): Promise<{ port: number; process: ServerProcess }> {
  const port = await freePort()
  const file = join(folder, 'sentinel.conf')
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    `sentinel monitor ${NAME} 127.0.0.1 ${master} 1`,
    `sentinel down-after-milliseconds ${NAME} 500`,
    `sentinel failover-timeout ${NAME} 3000`,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const process = startProcess({ file: 'redis-server', args: [file, '--sentinel'], folder })
  await untilReady(process, () => ask(`redis://127.0.0.1:${port}`, 'PING'))
  return { port, process }
}

async function replicas(url: string): Promise<number> {
  return ((await ask(url, 'SENTINEL', 'REPLICAS', NAME)) as unknown[]).length
}

async function ask(url: string, ...words: string[]): Promise<unknown> {
  const client = createClient({ url, socket: { reconnectStrategy: false }, disableOfflineQueue: true })
  client.on('error', () => {})
  await client.connect()
  try {
    return await client.sendCommand(words)
  } finally {
    client.destroy()
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await holds()); ) {
    if (Date.now() > end) throw new Error('the sentinel did not come up')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
