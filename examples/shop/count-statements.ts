import type { PGlite, Transaction } from '@electric-sql/pglite'
import type { Pool } from 'pg'

/** Statements that reached the database. */
export interface StatementCount {
  all: number
  /** Selects outside a transaction: reads that no cache has answered. */
  selects: number
}

const isSelect = (statement: unknown): boolean => {
  const text = typeof statement === 'string' ? statement : (statement as { text?: string }).text
  return /^\s*select/i.test(text ?? '')
}

type Query = (...args: unknown[]) => unknown

/** Puts a counter in front of an object's `query`. */
function listen(client: object, count: (statement: unknown) => void): void {
  const target = client as { query: Query }
  const query = target.query.bind(client)
  target.query = (...args) => {
    count(args[0])
    return query(...args)
  }
}

export function countPglite(client: PGlite): StatementCount {
  const count = { all: 0, selects: 0 }
  listen(client, (statement) => {
    count.all++
    if (isSelect(statement)) count.selects++
  })
  const transaction = client.transaction.bind(client)
  client.transaction = (run: (tx: Transaction) => Promise<never>) =>
    transaction((tx) => {
      listen(tx, () => count.all++)
      return run(tx)
    })
  return count
}

export function countPool(pool: Pool): StatementCount {
  const count = { all: 0, selects: 0 }
  pool.on('connect', (client) => listen(client, () => count.all++))
  listen(pool, (statement) => {
    if (isSelect(statement)) count.selects++
  })
  return count
}
