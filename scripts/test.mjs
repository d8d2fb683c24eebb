// Runs the whole test suite (or the files named on the command line) and ends with the line `N passed, N failed`.
// Every argument is handed to vitest, e.g. `pnpm test test/harness/clock.test.ts -t order`.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const require = createRequire(import.meta.url)
const vitest = join(dirname(require.resolve('vitest/package.json')), 'vitest.mjs')
const folder = mkdtempSync(join(tmpdir(), 'drizzle-aside-tally-'))
const tally = join(folder, 'tally.json')

// `pnpm test -- file` leaves a lone `--` in front, which vitest would take for the end of its options.
const wanted = process.argv.slice(2).filter((argument, position) => !(position === 0 && argument === '--'))
const reporters = ['--reporter=default', `--reporter=${join(root, 'scripts', 'tally-reporter.mjs')}`]
const child = spawn(process.execPath, [vitest, 'run', ...reporters, ...wanted], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, DRIZZLE_ASIDE_TALLY: tally },
})

// The terminal signals the whole group; vitest stops its servers and we wait for it.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))

child.on('close', (code, signal) => {
  const { passed, failed } = readTally()
  rmSync(folder, { recursive: true, force: true })
  const green = code === 0 && signal === null && failed === 0
  process.exitCode = green ? 0 : code || 1
  // What failed outside any test (no server, no file matches, a broken teardown) is one failure.
  console.log(`${passed} passed, ${green ? 0 : Math.max(failed, 1)} failed`)
})

/** A run that died before its end has no tally: that is one failure, never a silent zero. */
function readTally() {
  try {
    return JSON.parse(readFileSync(tally, 'utf8'))
  } catch {
    return { passed: 0, failed: 1 }
  }
}
