import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { getTableColumns, getTableName } from 'drizzle-orm'
import type { Cache } from 'drizzle-orm/cache/core'
import { drizzle as overNodePostgres } from 'drizzle-orm/node-postgres'
import type { PgTable } from 'drizzle-orm/pg-core'
import { drizzle as overPglite, type PgliteDatabase } from 'drizzle-orm/pglite'
import { Pool } from 'pg'
import { countPglite, countPool, type StatementCount } from './count-statements.ts'
import { createTables, schema } from './schema.ts'
import type { ShopData } from './shop-data.ts'

/** The shop's Drizzle db. Over node-postgres the builders are the same, so one type serves both. */
export type ShopDb = PgliteDatabase<typeof schema>

/** A database with the shop's tables in it, for one contender. */
export interface Home {
  readonly count: StatementCount
  open(options?: { cache?: Cache }): ShopDb
  close(): Promise<void>
}

type Run = (statement: string, params?: unknown[]) => Promise<unknown>

/** Embedded PostgreSQL: one is filled, the others are copies of it. */
export async function openEmbeddedHomes(amount: number, data: ShopData): Promise<Home[]> {
  const first = await PGlite.create()
  await first.exec(createTables)
  await fill((statement, params) => first.query(statement, params), data)
  const clients: PGlite[] = [first]
  while (clients.length < amount) clients.push((await first.clone()) as PGlite)
  return clients.map((client) => ({
    count: countPglite(client),
    open: (options) => overPglite({ client, schema, ...options }),
    close: () => client.close(),
  }))
}

/** Tables on a server, in a schema of their own for each contender; `close` drops it. */
export function openServerHomes(amount: number, data: ShopData, url: string): Promise<Home[]> {
  const run = randomBytes(4).toString('hex')
  return Promise.all(
    Array.from({ length: amount }, (_, at) => openServerHome(`aside_shop_${run}_${at + 1}`, data, url)),
  )
}

async function openServerHome(name: string, data: ShopData, url: string): Promise<Home> {
  const admin = new Pool({ connectionString: url, max: 1 })
  await admin.query(`create schema ${name}`)
  const pool = new Pool({ connectionString: url, max: 8, options: `-c search_path=${name}` })
  const close = async (): Promise<void> => {
    await pool.end()
    await admin.query(`drop schema ${name} cascade`)
    await admin.end()
  }
  try {
    await pool.query(createTables)
    await fill((statement, params) => pool.query(statement, params), data)
    await pool.query('analyze products, stock, customers, prices, follows, cart_items')
  } catch (error) {
    await close()
    throw error
  }
  return {
    count: countPool(pool),
    open: (options) => overNodePostgres(pool, { schema, ...options }) as unknown as ShopDb,
    close,
  }
}

async function fill(run: Run, data: ShopData): Promise<void> {
  await fillTable(run, schema.categories, data.categories)
  await fillTable(run, schema.products, data.products)
  await fillTable(run, schema.stock, data.stock)
  await fillTable(run, schema.customers, data.customers)
  await fillTable(run, schema.regions, data.regions)
  await fillTable(run, schema.prices, data.prices)
  await fillTable(run, schema.follows, data.follows)
  await fillTable(run, schema.cartItems, data.cartItems)
}

/** All rows in one statement. */
async function fillTable(run: Run, table: PgTable, rows: readonly object[]): Promise<void> {
  const columns = Object.entries(getTableColumns(table))
  const named = rows.map((row) => {
    const values = row as Record<string, unknown>
    return Object.fromEntries(columns.map(([key, column]) => [column.name, values[key]]))
  })
  const name = getTableName(table)
  const from = `jsonb_populate_recordset(null::${name}, $1::jsonb)`
  await run(`insert into ${name} select * from ${from}`, [JSON.stringify(named)])
}
