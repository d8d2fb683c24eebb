// Runs the conformance suites of the Redis store against further servers, one after the other, and ends with a line for
// each. Servers are the URLs of TEST_REDIS_SERVERS (with commas between), e.g.
//   TEST_REDIS_SERVERS=redis://127.0.0.1:7008,redis://127.0.0.1:7009 pnpm test:redis-versions
// or, where that is not set, containers of the images below. Without any it fails and says what to do.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const images = ['redis:6.2', 'redis:7.4', 'redis:8', 'valkey/valkey:8', 'valkey/valkey:9']
const suites = ['test/conformance/redis-store.test.ts', 'test/fault/guard-redis.test.ts']
const root = fileURLToPath(new URL('..', import.meta.url))

const outcomes = []
for await (const { name, url } of servers()) outcomes.push({ name, ...(await run(url)) })
for (const { name, code, version } of outcomes) console.log(`${code === 0 ? 'passed' : 'FAILED'}  ${name} (${version})`)
process.exitCode = outcomes.length > 0 && outcomes.every(({ code }) => code === 0) ? 0 : 1
if (outcomes.length === 0) {
  console.error(
    'No server to test against. Set TEST_REDIS_SERVERS to URLs of servers that may be written to, or start Docker: ' +
      `then ${images.join(', ')} are tested. docs/operations.md says which servers were checked, and how.`,
  )
}

async function* servers() {
  const given = (process.env.TEST_REDIS_SERVERS ?? '').split(',').filter((url) => url.trim() !== '')
  if (given.length > 0) {
    for (const url of given) yield { name: new URL(url.trim()).host, url: url.trim() }
    return
  }
  const docker = await findDocker()
  if (!docker) return
  for (const image of images) {
    const container = await new docker.GenericContainer(image).withExposedPorts(6379).start()
    try {
      yield { name: image, url: `redis://${container.getHost()}:${container.getMappedPort(6379)}` }
    } finally {
      await container.stop()
    }
  }
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
function run(url) {
  return new Promise((resolve) => {
    const args = ['scripts/test.mjs', ...suites]
    const env = { ...process.env, TEST_REDIS_URL: url }
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'], env })
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
      process.stdout.write(chunk)
    })
    child.on('close', (code) => {
      resolve({ code: code ?? 1, version: /Redis (\S.*?) \(TEST_REDIS_URL\)/.exec(output)?.[1] ?? 'not reached' })
    })
  })
}
