// Runs the suites that the version of Redis matters to against further servers, one after the other, and ends with a line
// for each. Servers are
// - the programs of TEST_REDIS_PROGRAMS (with commas between), of which the tests start their own: alone, with replicas,
//   behind Sentinel, as a Cluster of three masters and three replicas;
// - the URLs of TEST_REDIS_SERVERS (with commas between), for the suites that need one server, e.g.
//     TEST_REDIS_PROGRAMS=/opt/redis-8/redis-server,/opt/valkey-8/valkey-server pnpm test:redis-versions
//     TEST_REDIS_SERVERS=redis://127.0.0.1:7008,redis://127.0.0.1:7009 pnpm test:redis-versions
// or, where neither is set, containers of the images below. Without any it fails and says what to do.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const images = ['redis:6.2', 'redis:7.4', 'redis:8', 'valkey/valkey:8', 'valkey/valkey:9']
const ofOne = ['test/conformance/redis-store.test.ts', 'test/fault/guard-redis.test.ts']
const ofPrograms = [
  ...ofOne,
  'test/conformance/redis-cluster.test.ts',
  'test/behaviour/cluster/one-node.test.ts',
  'test/fault/cluster-failover.test.ts',
  'test/fault/cluster-resharding.test.ts',
  'test/fault/failover-guard.test.ts',
  'test/fault/redis-failover.test.ts',
  'test/fault/redis-memory.test.ts',
  'test/fault/sentinel-failover.test.ts',
]
const root = fileURLToPath(new URL('..', import.meta.url))

const outcomes = []
for await (const { name, suites, env } of servers()) outcomes.push({ name, ...(await run(suites, env)) })
for (const { name, code, version, tally } of outcomes) {
  console.log(`${code === 0 ? 'passed' : 'FAILED'}  ${name} (${version}): ${tally}`)
}
process.exitCode = outcomes.length > 0 && outcomes.every(({ code }) => code === 0) ? 0 : 1
if (outcomes.length === 0) {
  console.error(
    'No server to test against. Set TEST_REDIS_PROGRAMS to programs that may be started, or TEST_REDIS_SERVERS to URLs of ' +
      `servers that may be written to, or start Docker: then ${images.join(', ')} are tested. docs/operations.md says ` +
      'which servers were checked, and how.',
  )
}

async function* servers() {
  const programs = listOf('TEST_REDIS_PROGRAMS')
  const urls = listOf('TEST_REDIS_SERVERS')
  for (const program of programs) yield* ownOf(program)
  for (const url of urls) yield { name: new URL(url).host, suites: ofOne, env: { TEST_REDIS_URL: url } }
  if (programs.length === 0 && urls.length === 0) yield* containers()
}

/** The harness starts what is called `redis-server` and is first on the PATH. */
function* ownOf(program) {
  const folder = mkdtempSync(join(tmpdir(), 'drizzle-aside-redis-program-'))
  try {
    symlinkSync(resolve(program), join(folder, 'redis-server'))
    const given = { TEST_REDIS_URL: '', TEST_REDIS_CLUSTER_URLS: '' }
    yield { name: program, suites: ofPrograms, env: { ...given, PATH: folder + delimiter + process.env.PATH } }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function* containers() {
  const docker = await findDocker()
  if (!docker) return
  for (const image of images) {
    const container = await new docker.GenericContainer(image).withExposedPorts(6379).start()
    try {
      const url = `redis://${container.getHost()}:${container.getMappedPort(6379)}`
      yield { name: image, suites: ofOne, env: { TEST_REDIS_URL: url } }
    } finally {
      await container.stop()
    }
  }
}

function listOf(variable) {
  const given = (process.env[variable] ?? '').split(',').map((each) => each.trim())
  return given.filter((each) => each !== '')
}

async function findDocker() {
  const docker = await import('testcontainers')
  const answers = docker.getContainerRuntimeClient().then(
    () => true,
    () => false,
  )
  return (await answers) ? docker : undefined
}

/** The version is what the header of the run says of the server. */
function run(suites, more) {
  return new Promise((settle) => {
    const env = { ...process.env, ...more }
    const child = spawn(process.execPath, ['scripts/test.mjs', ...suites], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
      env,
    })
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
      process.stdout.write(chunk)
    })
    child.on('close', (code) => {
      const version = /^Servers: .*Redis (\S.*?) \(/m.exec(output)?.[1] ?? 'not reached'
      settle({ code: code ?? 1, version, tally: output.trimEnd().split('\n').at(-1) })
    })
  })
}
