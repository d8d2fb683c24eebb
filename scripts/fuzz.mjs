// A long run of the random queries; what it found goes to test/random/results. SEED repeats a run, STEPS sets its length.
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const results = `${root}test/random/results`
mkdirSync(results, { recursive: true })
const child = spawn(process.execPath, [`${root}scripts/test.mjs`, 'test/random/queries/queries.test.ts'], {
  cwd: root,
  stdio: 'inherit',
  env: { STEPS: '100000', RESULT: `${results}/queries.md`, ...process.env },
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
child.on('close', (code) => {
  process.exitCode = code ?? 1
})
