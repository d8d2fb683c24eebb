import { AsyncLocalStorage } from 'node:async_hooks'
import type { PGlite, Transaction } from '@electric-sql/pglite'
import type { Pool, PoolClient } from 'pg'

/** Statements that reached a database. */
export interface StatementCount {
  all: number
}

const own = new AsyncLocalStorage<StatementCount>()

/** Runs an operation and tells how many statements it has sent itself: none where it shared another one's. */
export async function countOwn<T>(run: () => Promise<T>): Promise<{ result: T; statements: number }> {
  const count = { all: 0 }
  // Awaited inside: a query builder sends its statement only when somebody waits for it.
  const result = await own.run(count, async () => await run())
  return { result, statements: count.all }
}

type Query = (...args: unknown[]) => unknown

/** Puts a counter in front of an object's `query`. */
function listen(client: object, count: StatementCount): void {
  const target = client as { query: Query }
  const query = target.query.bind(client)
  target.query = (...args) => {
    count.all++
    const operation = own.getStore()
    if (operation) operation.all++
    return query(...args)
  }
}

export function countPglite(client: PGlite): StatementCount {
  const count = { all: 0 }
  listen(client, count)
  const transaction = client.transaction.bind(client)
  client.transaction = (run: (tx: Transaction) => Promise<never>) =>
    transaction((tx) => {
      listen(tx, count)
      return run(tx)
    })
  return count
}

export function countPool(pool: Pool): StatementCount {
  const count = { all: 0 }
  listen(pool, count)
  const connect = pool.connect.bind(pool) as (...args: unknown[]) => unknown
  const target = pool as { connect(...args: unknown[]): unknown }
  // `pool.query` connects with a callback, and is counted already.
  target.connect = async (...args) => {
    const client = await connect(...args)
    return args.length > 0 ? client : lend(client as PoolClient, count)
  }
  return count
}

/** Counts what a client sends until it is given back. */
function lend(client: PoolClient, count: StatementCount): PoolClient {
  const release = client.release
  listen(client, count)
  client.release = (error) => {
    delete (client as { query?: unknown }).query
    release.call(client, error)
  }
  return client
}
