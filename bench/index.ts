/**
 * `pnpm bench`: finds or starts PostgreSQL 15 and Redis, and asks each question in a process of its own.
 *
 * `pnpm bench [question …] [--quick] [--full] [--rounds N] [--ops N] [--concurrency 1,16] [--writes 0,5] [--save]`
 *
 * Questions are the files `*.bench.ts` of the list below. They are bundled first, as an app would run them: a loader
 * that wraps functions to keep their names would slow down our sources and not the libraries beside them.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { findPostgres, findRedis, type RunningServer } from '../test/harness/servers.ts'
import { readSettings } from './support/settings.ts'

/** By question, the page of `bench/results/` that `--save` writes; a page holds what was asked of it in one run. */
const pages: Readonly<Record<string, string>> = {
  'key-reads': 'keys',
  misses: 'keys',
  uncached: 'keys',
  writes: 'keys',
  'memory-hits': 'keys',
  mixed: 'mixed',
  northwind: 'northwind',
  'result-hits': 'result-hits',
  'write-cost': 'write-cost',
  outbox: 'outbox',
  outage: 'outage',
  'guard-read': 'guard-read',
  'first-fill': 'first-fill',
  'structural-key': 'structural-key',
}
const questions = Object.keys(pages)

const args = process.argv.slice(2)
const settings = readSettings(args)
const unknown = settings.questions.filter((name) => !questions.includes(name))
if (unknown.length > 0) throw new Error(`Unknown: ${unknown.join(', ')}. Questions: ${questions.join(', ')}.`)
const asked = settings.questions.length > 0 ? settings.questions : questions

const root = fileURLToPath(new URL('..', import.meta.url))
const bundles = join(root, 'node_modules/.cache/drizzle-aside-bench')
const running: RunningServer[] = []
let child: ChildProcess | undefined
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child?.kill(signal))

try {
  await bundle()
  const [postgres, redis] = await Promise.all([findPostgres(15), findRedis()])
  running.push(postgres, redis)
  const head = header(postgres, redis)
  process.stdout.write(`${head}\n`)
  for (const page of new Set(asked.map((name) => pages[name] as string))) {
    const parts = [head]
    for (const name of asked.filter((each) => pages[each] === page))
      parts.push(await ask(name, postgres.url, redis.url))
    if (settings.save) save(page, parts)
  }
} finally {
  for (const server of running) await server.stop()
  rmSync(bundles, { recursive: true, force: true })
}

async function bundle(): Promise<void> {
  await build({
    entryPoints: asked.map((name) => join(root, `bench/${name}.bench.ts`)),
    outdir: bundles,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: false,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    tsconfig: join(root, 'tsconfig.json'),
    sourcemap: 'inline',
    logLevel: 'warning',
  })
}

/** Runs one question; its printed result. */
function ask(name: string, postgres: string, redis: string): Promise<string> {
  const file = join(bundles, `${name}.bench.mjs`)
  const env = { ...process.env, BENCH_POSTGRES: postgres, BENCH_REDIS: redis, NODE_ENV: 'production' }
  const flags = (process.env.BENCH_NODE_FLAGS ?? '').split(' ').filter((flag) => flag !== '')
  return new Promise((resolve, reject) => {
    const asking = spawn(process.execPath, ['--expose-gc', ...flags, file, ...args.filter((arg) => arg !== name)], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    child = asking
    let text = ''
    asking.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      process.stdout.write(chunk)
    })
    asking.once('error', reject)
    asking.once('close', (code) => {
      if (code === 0) resolve(text)
      else reject(new Error(`${name} ended with ${code}.`))
    })
  })
}

function header(postgres: RunningServer, redis: RunningServer): string {
  const cores = cpus()
  const version = (name: string): string => {
    const found = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')) as {
      version: string
    }
    return `${name} ${found.version}`
  }
  return [
    '# Measured',
    '',
    `${new Date().toISOString().slice(0, 10)}, ${cores.length} cores (${cores[0]?.model.trim()}), Node ${process.version}, ` +
      `PostgreSQL ${postgres.version}, Redis ${redis.version}, ${['drizzle-orm', 'pg', 'redis'].map(version).join(', ')}.`,
    '',
    'Client, servers and bench share these cores. Compare figures of one table only: a ratio is the median over the',
    'rounds of throughput beside throughput of the same round.',
    '',
    ...(settings.quick ? ['A quick run: these figures say little.', ''] : []),
  ].join('\n')
}

function save(page: string, parts: readonly string[]): void {
  const folder = join(root, 'bench/results')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${page}.md`), `${parts.join('\n').trim()}\n`)
}
