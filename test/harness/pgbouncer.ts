/**
 * A private pgbouncer in transaction mode before a PostgreSQL server.
 *
 * Promises: statements of different transactions of one client meet different server connections; it is stopped and its
 * folder removed with the run. Where there is no pgbouncer, the error says what to install.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { Client } from 'pg'
import { freePort, removeFolder, serverUser, startProcess, temporaryFolder, untilReady } from './processes.ts'

export interface PgBouncer {
  readonly port: number
  /** The URL of a server's database, through the pooler. */
  through(url: string): string
  stop(): Promise<void>
}

/** `size`: connections to the server, for each database and user. */
export async function privatePgBouncer(serverUrl: string, size: number): Promise<PgBouncer> {
  const file = program()
  const user = serverUser()
  const folder = temporaryFolder('pgbouncer', user)
  const port = await freePort()
  const { hostname, port: serverPort } = new URL(serverUrl)
  const settings = [
    '[databases]',
    `* = host=${hostname} port=${serverPort} user=postgres`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    `default_pool_size = ${size}`,
    'server_round_robin = 1',
    'ignore_startup_parameters = extra_float_digits',
  ]
  const ini = join(folder, 'pgbouncer.ini')
  writeFileSync(ini, `${settings.join('\n')}\n`)
  const server = startProcess({ file, args: [ini], folder, user })
  const through = (url: string): string => {
    const changed = new URL(url)
    changed.hostname = '127.0.0.1'
    changed.port = String(port)
    return changed.href
  }
  await untilReady(server, () => askOnce(through(serverUrl)))
  return {
    port,
    through,
    stop: async () => {
      await server.stop()
      removeFolder(folder)
    },
  }
}

function program(): string {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  const found = folders.map((folder) => join(folder, 'pgbouncer')).find((file) => existsSync(file))
  if (found) return found
  throw new Error('No pgbouncer for the tests on PATH or in /usr/sbin. What to do: install the package pgbouncer.')
}

async function askOnce(url: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('select 1')
  } finally {
    await client.end().catch(() => {})
  }
}
