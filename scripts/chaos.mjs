// Long runs of chaos, and of the soak:
//
//   pnpm chaos [--minutes 10] [--seed 7] [--outbox always|never] [--mutants]
//   pnpm soak  [--minutes 20] [--seed 7]
//
// Every argument that is not one of these is handed to vitest.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  args: process.argv.slice(2).filter((argument) => argument !== '--'),
  allowPositionals: true,
  options: {
    soak: { type: 'boolean', default: false },
    minutes: { type: 'string' },
    seed: { type: 'string' },
    outbox: { type: 'string' },
    mutants: { type: 'boolean', default: false },
  },
})

const minutes = Number(values.minutes ?? (values.soak ? 20 : 1))
if (!(minutes > 0)) throw new Error(`--minutes must be a number above 0, not ${values.minutes}.`)
if (values.outbox !== undefined && !['always', 'never'].includes(values.outbox))
  throw new Error(`--outbox must be always or never, not ${values.outbox}.`)

const file = values.soak ? 'test/chaos/soak.test.ts' : 'test/chaos/chaos.test.ts'
const only = values.soak || values.mutants ? [] : ['-t', 'nothing is stale']
const env = {
  ...process.env,
  CHAOS_TELL: '1',
  [values.soak ? 'SOAK_SECONDS' : 'CHAOS_SECONDS']: String(60 * minutes),
  ...(values.seed !== undefined && { SEED: values.seed }),
  ...(values.outbox !== undefined && { CHAOS_OUTBOX: values.outbox }),
  ...(values.mutants && { MUTANTS: 'all' }),
}
const root = fileURLToPath(new URL('..', import.meta.url))
const child = spawn(process.execPath, [`${root}scripts/test.mjs`, file, ...only, ...positionals], {
  cwd: root,
  stdio: 'inherit',
  env,
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
child.on('close', (code) => {
  process.exitCode = code ?? 1
})
