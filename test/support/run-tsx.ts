/** Starts a TypeScript file as a user would and waits for its end. */
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const tsx = join(dirname(require.resolve('tsx/package.json')), 'dist', 'cli.mjs')
const tsconfig = fileURLToPath(new URL('../../tsconfig.json', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly output: string
}

export function runTsx(cwd: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [tsx, '--tsconfig', tsconfig, ...args], {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...userEnvironment(), ...more },
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, output }))
  })
}

/** Without what a test runner sets for its own workers. */
function userEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS, NODE_TEST_CONTEXT, VITEST, ...env } = process.env
  return env
}
