import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { settle } from './clock.ts'
import { freshDatabase } from './databases.ts'
import { type TcpProxy, tcpProxy } from './tcp-proxy.ts'

let echo: Server
let proxy: TcpProxy
let sockets: Socket[]

beforeEach(async () => {
  sockets = []
  echo = createServer((socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
  const { port } = echo.address() as { port: number }
  proxy = await tcpProxy(`redis://127.0.0.1:${port}`)
})
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await proxy.close()
  await new Promise((resolve) => echo.close(resolve))
})

interface Caller {
  socket: Socket
  say(text: string): void
  heard(): string
  hears(text: string): Promise<void>
  closed: Promise<void>
}

// Not events.once: that rejects on the reset itself.
function gone(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

async function call(): Promise<Caller> {
  const socket = connect(proxy.port, '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => {})
  const closed = gone(socket)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  await once(socket, 'connect')
  const hears = async (wanted: string) => {
    while (text !== wanted) await once(socket, 'data')
  }
  return { socket, say: (words) => void socket.write(words), heard: () => text, hears, closed }
}

async function sayAndHear(caller: Caller, words: string, all = words) {
  caller.say(words)
  await caller.hears(all)
}

test('keeps the rest of the URL', async () => {
  const other = await tcpProxy('postgres://me:secret@127.0.0.1:5/shop?x=1')
  expect(other.url).toBe(`postgres://me:secret@127.0.0.1:${other.port}/shop?x=1`)
  await other.close()
})

test('passes bytes both ways and counts connections', async () => {
  const caller = await call()
  await sayAndHear(caller, 'hello')
  expect(proxy.connections()).toBe(1)
})

/** Cuts a connection whose end a black hole had kept; its end shows that nothing of it was left. */
const cutAtEnd = `
  import { once } from 'node:events'
  import { connect, createServer } from 'node:net'
  import { tcpProxy } from './test/harness/tcp-proxy.ts'
  const target = createServer((socket) => socket.resume().on('error', () => {}))
  await once(target.listen(0, '127.0.0.1'), 'listening')
  const proxy = await tcpProxy('redis://127.0.0.1:' + target.address().port)
  const call = () => connect(proxy.port, '127.0.0.1').on('error', () => {})
  const arrived = once(target, 'connection')
  const caller = call()
  await arrived
  proxy.blackHole()
  caller.end()
  // One that came after the end has been taken, so the end has been, too.
  const later = call()
  while (proxy.connections() < 2) await new Promise((resolve) => setImmediate(resolve))
  proxy.heal()
  await proxy.close()
  caller.destroy()
  later.destroy()
  target.close()
  console.log('closed')
`

test('what is cut while its end is on the way lets the process end', async () => {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', cutAtEnd], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  // A test that runs out of time is left where it waits.
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = once(child, 'exit')
  expect(String(await once(child.stdout, 'data'))).toBe('closed\n')
  expect(await ended).toEqual([0, null])
})

test('cut resets what is open and welcomes what is new', async () => {
  const caller = await call()
  await sayAndHear(caller, 'a')
  proxy.cut()
  await caller.closed
  await sayAndHear(await call(), 'b')
})

test('a black hole keeps sockets open and bytes back until it heals', async () => {
  const caller = await call()
  await sayAndHear(caller, 'a')
  proxy.blackHole()
  caller.say('b')
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(caller.heard()).toBe('a')
  expect(caller.socket.destroyed).toBe(false)
  proxy.heal()
  await caller.hears('ab')
})

test('a black hole of one direction lets the other through', async () => {
  let reached = ''
  echo.on('connection', (socket) => socket.on('data', (chunk) => (reached += chunk)))
  const caller = await call()
  proxy.blackHole('toClient')
  caller.say('lost answer')
  while (reached === '') await settle()
  expect(reached).toBe('lost answer')
  expect(caller.heard()).toBe('')
})

test('delays add up per direction and keep the order', async () => {
  const caller = await call()
  proxy.delay({ toServer: 40, toClient: 40 })
  const start = performance.now()
  caller.say('1')
  await settle()
  caller.say('2')
  await caller.hears('12')
  expect(performance.now() - start).toBeGreaterThan(75)
})

test('refuse resets open and new connections until it heals', async () => {
  const before = await call()
  await sayAndHear(before, 'a')
  proxy.refuse()
  await before.closed
  const refused = connect(proxy.port, '127.0.0.1')
  refused.on('error', () => {})
  await gone(refused)
  proxy.heal()
  await sayAndHear(await call(), 'b')
})

describe('inspect', () => {
  test('can cut before a chosen chunk', async () => {
    const caller = await call()
    proxy.inspect((direction, chunk) => (direction === 'toClient' && chunk.includes('x') ? 'cut' : 'pass'))
    await sayAndHear(caller, 'a')
    caller.say('x')
    await caller.closed
    expect(caller.heard()).toBe('a')
  })

  test('loses the answer to a COMMIT that the database has carried out', async () => {
    const database = await freshDatabase(15)
    const line = await tcpProxy(database.url)
    const direct = new pg.Client({ connectionString: database.url })
    const client = new pg.Client({ connectionString: line.url })
    client.on('error', () => {})
    await Promise.all([direct.connect(), client.connect()])
    await client.query('create table t (id int)')
    await client.query('begin')
    await client.query('insert into t values (1)')
    line.inspect((direction, chunk) => (direction === 'toClient' && chunk.includes('COMMIT') ? 'cut' : 'pass'))
    await expect(client.query('commit')).rejects.toThrow()
    expect((await direct.query('select id from t')).rows).toEqual([{ id: 1 }])
    await direct.end()
    await line.close()
    await database.drop()
  })
})

test('moveTo sends new connections elsewhere and leaves open ones', async () => {
  const other = createServer((socket) => {
    socket.on('error', () => {})
    socket.end('elsewhere')
  })
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const before = await call()
  await sayAndHear(before, 'still')
  proxy.moveTo(`redis://127.0.0.1:${(other.address() as { port: number }).port}`)
  await sayAndHear(before, ' here', 'still here')
  await (await call()).hears('elsewhere')
  await new Promise((resolve) => other.close(resolve))
})
