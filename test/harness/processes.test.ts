import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const servers = new URL('./servers.ts', import.meta.url).href
const root = fileURLToPath(new URL('../..', import.meta.url))

/** A program that starts both servers, says their process ids, and waits. */
const program = `
  const { privatePostgres, privateRedis } = await import(${JSON.stringify(servers)})
  const [postgres, redis] = await Promise.all([privatePostgres(15), privateRedis()])
  console.log(JSON.stringify([postgres.pid, redis.pid]))
  setInterval(() => {}, 1000)
`

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 25))
}

test.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)(
  'no server and no folder outlives a run ended by %s',
  async (signal) => {
    // A temporary folder of its own shows what is left.
    const folder = mkdtempSync(`${tmpdir()}/drizzle-aside-left-`)
    chmodSync(folder, 0o755)
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
      cwd: root,
      env: { ...process.env, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(child.stdout, 'data')
    const pids = JSON.parse(String(line)) as number[]
    expect(pids.map(isRunning)).toEqual([true, true])

    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
    await until(() => !pids.some(isRunning))
    await until(() => !readdirSync(folder).some((name) => name.startsWith('drizzle-aside-')))
    rmSync(folder, { recursive: true })
  },
)
