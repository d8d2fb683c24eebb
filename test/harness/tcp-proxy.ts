/**
 * A TCP proxy for faults on the way to Redis or PostgreSQL.
 *
 * Promises: bytes arrive unchanged and in order; every fault acts at once on open and on new connections and ends with
 * `heal()`. A black hole keeps the bytes and the sockets, as a network partition does: after `heal()` they arrive.
 * Only plain TCP; no flow control, so it is not for large transfers.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'

export type Direction = 'toServer' | 'toClient'

/** What an inspected chunk meets: it goes on, it is kept with all that follows, or the connection is cut before it. */
export type Verdict = 'pass' | 'hold' | 'cut'

export interface TcpProxy {
  /** The target's URL with the proxy's host and port. */
  url: string
  port: number
  /** Open client connections. */
  connections(): number
  /** Resets every open connection; new ones are welcome. Bytes on the way are lost. */
  cut(): void
  /** Nothing arrives any more in the given direction (default: both); sockets stay open. */
  blackHole(direction?: Direction): void
  /** Every chunk waits so many milliseconds. */
  delay(ms: { toServer?: number; toClient?: number }): void
  /** New connections are accepted and reset at once; open ones are cut. */
  refuse(): void
  /** Asks about every chunk before it goes on, e.g. to lose the answer to one COMMIT. */
  inspect(judge: (direction: Direction, chunk: Buffer) => Verdict): void
  /** From now on new connections go to another server, as a failover does it; open ones stay where they are. */
  moveTo(targetUrl: string): void
  /** Ends all of the above but the move; bytes that a black hole kept arrive now. */
  heal(): void
  close(): Promise<void>
}

interface Rules {
  hole: Record<Direction, boolean>
  delay: Record<Direction, number>
  refusing: boolean
  judge: ((direction: Direction, chunk: Buffer) => Verdict) | undefined
}

interface Lane {
  take(chunk: Buffer): void
  end(): void
  pump(): void
  stop(): void
}

interface Link {
  pump(): void
  reset(): void
}

// Kept, so that a test with fake timers does not stop the network.
const { setTimeout: startTimer, clearTimeout: stopTimer } = globalThis

export async function tcpProxy(targetUrl: string): Promise<TcpProxy> {
  let target = new URL(targetUrl)
  const rules = noFaults()
  const links = new Set<Link>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    if (rules.refusing) client.resetAndDestroy()
    else openLink(client, target, rules, links)
  })
  const port = await listen(server)
  const resetAll = () => {
    for (const link of [...links]) link.reset()
  }

  return {
    url: through(target, port),
    port,
    connections: () => links.size,
    cut: resetAll,
    blackHole: (direction) => {
      for (const each of direction ? [direction] : (['toServer', 'toClient'] as const)) rules.hole[each] = true
    },
    delay: (ms) => void Object.assign(rules.delay, ms),
    refuse: () => {
      rules.refusing = true
      resetAll()
    },
    inspect: (judge) => {
      rules.judge = judge
    },
    moveTo: (url) => {
      target = new URL(url)
    },
    heal: () => {
      Object.assign(rules, noFaults())
      for (const link of links) link.pump()
    },
    close: async () => {
      resetAll()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function noFaults(): Rules {
  return {
    hole: { toServer: false, toClient: false },
    delay: { toServer: 0, toClient: 0 },
    refusing: false,
    judge: undefined,
  }
}

function openLink(client: Socket, target: URL, rules: Rules, links: Set<Link>): void {
  const upstream = connect({ host: target.hostname, port: Number(target.port), allowHalfOpen: true, noDelay: true })
  const reset = () => {
    links.delete(link)
    for (const lane of [toServer, toClient]) lane.stop()
    for (const socket of [client, upstream]) if (!socket.destroyed) sever(socket)
  }
  const toServer = openLane('toServer', upstream, rules, reset)
  const toClient = openLane('toClient', client, rules, reset)
  const link: Link = {
    reset,
    pump: () => {
      toServer.pump()
      toClient.pump()
    },
  }
  links.add(link)
  join(client, toServer, reset)
  join(upstream, toClient, reset)
  const closed = () => {
    if (client.destroyed && upstream.destroyed) links.delete(link)
  }
  client.once('close', closed)
  upstream.once('close', closed)
}

/**
 * Resets a connection. One whose end is on its way is only destroyed: libuv refuses to reset it (EINVAL from
 * `uv_tcp_close_reset`), and Node 20 then neither closes the handle nor comes to the end of the process.
 */
function sever(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy()
  else socket.resetAndDestroy()
}

function join(from: Socket, lane: Lane, reset: () => void): void {
  from.on('data', lane.take)
  from.on('end', lane.end)
  from.on('error', reset)
}

function openLane(direction: Direction, to: Socket, rules: Rules, reset: () => void): Lane {
  const queue: { chunk: Buffer; due: number }[] = []
  let timer: NodeJS.Timeout | undefined
  let ended = false

  const pump = () => {
    stopTimer(timer)
    timer = undefined
    while (!rules.hole[direction]) {
      const next = queue[0]
      if (next === undefined) {
        if (ended) to.end()
        return
      }
      const wait = next.due - performance.now()
      if (wait > 0) {
        timer = startTimer(pump, wait)
        return
      }
      const verdict = rules.judge?.(direction, next.chunk) ?? 'pass'
      if (verdict === 'cut') return reset()
      if (verdict === 'hold') {
        rules.hole[direction] = true
        return
      }
      queue.shift()
      if (to.writable) to.write(next.chunk)
    }
  }

  return {
    take: (chunk) => {
      queue.push({ chunk, due: performance.now() + rules.delay[direction] })
      pump()
    },
    end: () => {
      ended = true
      pump()
    },
    pump,
    stop: () => {
      stopTimer(timer)
      queue.length = 0
    },
  }
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

function through(target: URL, port: number): string {
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String(port)
  return url.href
}
