/**
 * Counting what reached the servers.
 *
 * Promises: `countStatements` lists the SQL statements that a driver was given to send, in order, BEGIN and COMMIT
 * included (and the driver's own look at the array types left out), for a pg.Pool, a pg.Client, a postgres.js client or a PGlite; the client object stays the same.
 * `countRedisCommands` says how often each command ran on a Redis server, by the server's own statistics.
 */
import type { PGlite, Transaction } from '@electric-sql/pglite'
import type { Client, Pool } from 'pg'
import type { Sql } from 'postgres'
import { createClient } from 'redis'
import { type AnyClient, isPool, onEveryClient, readQueryCall, type Statement } from './pg-clients.ts'

export interface StatementCount {
  /** Everything since the start or the last `reset()`. */
  readonly statements: Statement[]
  /** How many there were, or how many match. */
  count(matching?: RegExp): number
  /** Only the texts, for `toEqual`. */
  texts(): string[]
  reset(): void
  /** From now on nothing is counted. */
  stop(): void
}

export function countStatements(client: Pool | Client | Sql | PGlite): StatementCount {
  const statements: Statement[] = []
  let counting = true
  listen(client, (sql, params) => {
    if (counting && !isTypeLookup(sql)) statements.push({ sql, params })
  })
  return {
    statements,
    count: (matching) => statements.filter(({ sql }) => matching?.test(sql) ?? true).length,
    texts: () => statements.map(({ sql }) => sql),
    reset: () => {
      statements.length = 0
    },
    stop: () => {
      counting = false
    },
  }
}

/** The look at the array types that postgres.js and PGlite take by themselves, once per connection. */
function isTypeLookup(sql: string): boolean {
  return /^\s*select b\.oid, b\.typarray/i.test(sql)
}

type Heard = (sql: string, params: unknown[]) => void

function listen(client: Pool | Client | Sql | PGlite, heard: Heard): void {
  if (typeof client === 'function') listenToPostgresJs(client, heard)
  else if ('execProtocolRaw' in client) listenToPglite(client, heard)
  else if (isPool(client)) onEveryClient(client, (each) => listenToClient(each, heard))
  else listenToClient(client, heard)
}

function listenToClient(client: AnyClient, heard: Heard): void {
  const send = client.query.bind(client) as (...args: unknown[]) => unknown
  const query = (...args: unknown[]) => {
    const call = readQueryCall(args)
    if (call) heard(call.sql, call.params)
    return send(...args)
  }
  client.query = query as typeof client.query
}

/** postgres.js asks `options.debug` for every statement that a connection builds; the options are shared by all. */
function listenToPostgresJs(client: Sql, heard: Heard): void {
  const options = client.options as { debug?: unknown }
  const earlier = options.debug
  options.debug = (connection: number, sql: string, params: unknown[], types: unknown[]) => {
    heard(sql, params)
    if (typeof earlier === 'function') earlier(connection, sql, params, types)
  }
}

function listenToPglite(client: PGlite, heard: Heard): void {
  hearQueries(client, heard)
  const transaction = client.transaction.bind(client)
  client.transaction = async (run) => {
    heard('BEGIN', [])
    let ended = false
    try {
      const result = await transaction((tx) => {
        hearQueries(tx, heard)
        const rollback = tx.rollback.bind(tx)
        tx.rollback = () => {
          ended = true
          heard('ROLLBACK', [])
          return rollback()
        }
        return run(tx)
      })
      if (!ended) heard('COMMIT', [])
      return result
    } catch (error) {
      if (!ended) heard('ROLLBACK', [])
      throw error
    }
  }
}

function hearQueries(client: PGlite | Transaction, heard: Heard): void {
  const query = client.query.bind(client)
  client.query = ((sql: string, params?: unknown[], ...more: []) => {
    heard(sql, params ?? [])
    return query(sql, params, ...more)
  }) as typeof client.query
  const exec = client.exec.bind(client)
  client.exec = (sql, ...more) => {
    heard(sql, [])
    return exec(sql, ...more)
  }
}

export interface RedisCommandCount {
  /** Runs of each command since the start or the last `reset()`, names in lower case; commands that did not run are absent. */
  commands(): Promise<Record<string, number>>
  /** Their sum. */
  total(): Promise<number>
  reset(): Promise<void>
  stop(): Promise<void>
}

/** What clients say when they connect, and our own question. */
const connectionTalk = new Set(['info', 'hello', 'client', 'select', 'auth', 'ping', 'readonly', 'quit'])

/** The statistics are the server's: for exact counts give it a server of its own, `privateRedis()`. */
export async function countRedisCommands(url: string): Promise<RedisCommandCount> {
  const client = createClient({ url })
  client.on('error', () => {})
  await client.connect()
  const read = async () => parseCommandStats(await client.info('commandstats'))
  let start = await read()
  const commands = async () => difference(await read(), start)
  return {
    commands,
    total: async () => Object.values(await commands()).reduce((sum, calls) => sum + calls, 0),
    reset: async () => {
      start = await read()
    },
    stop: async () => client.destroy(),
  }
}

/** Lines like `cmdstat_client|setinfo:calls=2,usec=5,…`. */
function parseCommandStats(info: string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const [, name, calls] of info.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)) counts.set(name!, Number(calls))
  return counts
}

function difference(now: Map<string, number>, start: Map<string, number>): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const [name, calls] of now) {
    const runs = calls - (start.get(name) ?? 0)
    if (runs > 0 && !connectionTalk.has(name.split('|')[0]!)) counts[name] = runs
  }
  return counts
}
