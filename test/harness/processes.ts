/**
 * Child processes that never outlive the run.
 *
 * Promises: a server started here is stopped, and its temporary folder removed, when `stop()` is called, when this
 * process exits, on SIGINT and SIGTERM, and (through a small guardian shell) even when this process is killed with -9.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface OsUser {
  uid: number
  gid: number
}

export interface ServerCommand {
  file: string
  args: string[]
  /** Holds data and `server.log`; also the working directory. */
  folder: string
  user?: OsUser | undefined
}

export interface ServerProcess {
  readonly pid: number
  /** Resolves when the process is gone. */
  readonly exited: Promise<void>
  hasExited(): boolean
  /** Everything the server wrote so far. */
  log(): string
  signal(name: NodeJS.Signals): void
  /** Ends the process at once (its data is thrown away) and waits for it. */
  stop(): Promise<void>
}

const alive = new Set<ChildProcess>()
const folders = new Set<string>()
let watching = false

/** A fresh folder under the system's temporary folder, handed to `user` where one is given. */
export function temporaryFolder(purpose: string, user?: OsUser): string {
  const folder = mkdtempSync(join(tmpdir(), `drizzle-aside-${purpose}-`))
  if (user) chownSync(folder, user.uid, user.gid)
  folders.add(folder)
  watchExit()
  return folder
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  folders.delete(folder)
}

export function startProcess(command: ServerCommand): ServerProcess {
  const logFile = join(command.folder, 'server.log')
  const log = openSync(logFile, 'a')
  // Detached: a Ctrl-C in the terminal must not reach the server before our own, ordered stop.
  const child = spawn(command.file, command.args, {
    cwd: command.folder,
    detached: true,
    stdio: ['ignore', log, log],
    ...(command.user ?? {}),
  })
  closeSync(log)
  child.unref()
  watchExit()
  alive.add(child)
  const guardian = spawnGuardian(child, command.folder)

  const exited = new Promise<void>((resolve) => {
    const gone = () => {
      alive.delete(child)
      guardian?.kill('SIGKILL')
      resolve()
    }
    child.once('exit', gone)
    child.once('error', gone)
  })

  return {
    pid: child.pid ?? -1,
    exited,
    hasExited: () => child.pid === undefined || child.exitCode !== null || child.signalCode !== null,
    log: () => readText(logFile),
    signal: (name) => {
      child.kill(name)
    },
    stop: async () => {
      // Unreferenced, it would let a process that only waits for this end too early.
      if (alive.has(child)) child.ref()
      killTree(child)
      await exited
    },
  }
}

/** The guardian reads from a pipe that closes with this process, however this process ends. */
function spawnGuardian(child: ChildProcess, folder: string): ChildProcess | undefined {
  if (process.platform === 'win32' || child.pid === undefined) return undefined
  const script = 'read -r _; kill -CONT "$1"; kill -QUIT "$1"; sleep 1; kill -KILL "$1"; rm -rf "$2"'
  const guardian = spawn('sh', ['-c', script, 'guardian', String(child.pid), folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guardian.on('error', () => {})
  guardian.stdin?.on('error', () => {})
  ;(guardian.stdin as unknown as { unref?: () => void } | null)?.unref?.()
  guardian.unref()
  return guardian
}

/** Runs a command to its end; throws with its output when it fails. */
export function runToEnd(command: ServerCommand): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command.file, command.args, {
      cwd: command.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(command.user ?? {}),
    })
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    child.stderr.on('data', (chunk) => {
      output += chunk
    })
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`${command.file} ended with code ${code}: ${output.trim()}`))
    })
  })
}

/** PostgreSQL's backends form process groups of their own, so a group signal would miss them. */
export function descendantsOf(pid: number): number[] {
  const children = new Map<number, number[]>()
  for (const [child, parent] of processTable()) children.set(parent, [...(children.get(parent) ?? []), child])
  const found: number[] = []
  const queue = [pid]
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const direct = children.get(next) ?? []
    found.push(...direct)
    queue.push(...direct)
  }
  return found
}

/** A server's process whose title matches, e.g. `postgres: walwriter`. */
export function descendantNamed(pid: number, title: RegExp): number {
  const found = descendantsOf(pid).find((each) => title.test(titleOf(each)))
  if (found === undefined) throw new Error(`no process under ${pid} has a title like ${title}`)
  return found
}

function titleOf(pid: number): string {
  if (process.platform === 'linux') return readText(`/proc/${pid}/cmdline`)
  return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' })
}

export function signalTree(pid: number, name: NodeJS.Signals): void {
  for (const each of [pid, ...descendantsOf(pid)]) {
    try {
      process.kill(each, name)
    } catch {
      // Already gone.
    }
  }
}

export async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', resolve)
  })
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** Tries `attempt` until it succeeds, the server has exited, or the time is over; the error carries the server's log. */
export async function untilReady<T>(server: ServerProcess, attempt: () => Promise<T>, withinMs = 30_000): Promise<T> {
  const end = Date.now() + withinMs
  for (;;) {
    try {
      return await attempt()
    } catch (cause) {
      const over = server.hasExited() ? 'exited' : Date.now() > end ? 'did not answer in time' : undefined
      if (over) {
        await server.stop()
        throw new Error(`the server ${over}; its log:\n${server.log()}`, { cause })
      }
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
  }
}

/** Who servers run as: PostgreSQL refuses root, so root hands over to `postgres`, or to `nobody` where that is missing. */
export function serverUser(): OsUser | undefined {
  if (process.getuid?.() !== 0) return undefined
  const lines = readText('/etc/passwd').split('\n')
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(':') ?? []
    if (uid && gid) return { uid: Number(uid), gid: Number(gid) }
  }
  return { uid: 65_534, gid: 65_534 }
}

function watchExit(): void {
  if (watching) return
  watching = true
  process.once('exit', stopEverythingNow)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => process.exit(signal === 'SIGINT' ? 130 : 143))
  }
}

function stopEverythingNow(): void {
  for (const child of alive) killTree(child)
  for (const folder of folders) {
    try {
      removeFolder(folder)
    } catch {
      // A backend may still be writing its last file; the guardian removes the folder a moment later.
    }
  }
}

function killTree(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  signalTree(child.pid, 'SIGKILL')
}

function processTable(): [pid: number, parent: number][] {
  return process.platform === 'linux' ? procTable() : psTable()
}

function procTable(): [number, number][] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      // "pid (name) state ppid …"; the name may itself hold spaces and parentheses.
      const stat = readText(`/proc/${name}/stat`)
      const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]
      return parent ? [[Number(name), Number(parent)] as [number, number]] : []
    })
}

function psTable(): [number, number][] {
  const lines = execFileSync('ps', ['-axo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  return lines.map((line) => line.trim().split(/\s+/).map(Number) as [number, number])
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
