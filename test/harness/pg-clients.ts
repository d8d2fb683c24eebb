/**
 * A grip on the clients of a node-postgres pool.
 *
 * Promises: `onEveryClient` runs once for each client that the pool has or will hand out, before its first statement
 * is sent. The pool stays what it is (same instance, same class): only events are listened to.
 */
import type { Client, Pool, PoolClient } from 'pg'

export type AnyClient = Client | PoolClient

/** Calls of `client.query` that carry text; cursors and streams (objects with `submit`) are left alone. */
export interface Statement {
  sql: string
  params: unknown[]
}

export type Callback = (error: unknown, result?: unknown) => void

export interface QueryCall extends Statement {
  /** The arguments without the callback. */
  args: unknown[]
  callback: Callback | undefined
}

export function isPool(client: object): client is Pool {
  return 'totalCount' in client && 'idleCount' in client
}

export function onEveryClient(pool: Pool, adopt: (client: AnyClient) => void): () => void {
  const seen = new WeakSet<object>()
  const meet = (client: AnyClient) => {
    if (seen.has(client)) return
    seen.add(client)
    adopt(client)
  }
  pool.on('connect', meet)
  pool.on('acquire', meet)
  return () => {
    pool.off('connect', meet)
    pool.off('acquire', meet)
  }
}

/** Reads the many forms of `client.query(…)`; undefined for what is not a text statement. */
export function readQueryCall(args: unknown[]): QueryCall | undefined {
  const last = args.at(-1)
  const callback = typeof last === 'function' ? (last as Callback) : undefined
  const plain = callback ? args.slice(0, -1) : args
  const [config, values] = plain
  if (typeof config === 'string') return { sql: config, params: asList(values), args: plain, callback }
  if (typeof config !== 'object' || config === null || 'submit' in config) return undefined
  const { text, values: own } = config as { text?: unknown; values?: unknown }
  if (typeof text !== 'string') return undefined
  return { sql: text, params: asList(values ?? own), args: plain, callback }
}

function asList(values: unknown): unknown[] {
  return Array.isArray(values) ? values : []
}
