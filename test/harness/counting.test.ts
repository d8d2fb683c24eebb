import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import postgres from 'postgres'
import { createClient } from 'redis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { countRedisCommands, countStatements } from './counting.ts'
import { type FreshDatabase, freshDatabase, privateRedis } from './databases.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase(15)
})
afterAll(() => database.drop())

test('counts what a pg.Pool sends, transactions on its clients included', async () => {
  const pool = new pg.Pool({ connectionString: database.url })
  await pool.query('select 0')
  const counted = countStatements(pool)
  await pool.query('select $1::int', [1])
  const client = await pool.connect()
  await client.query('begin')
  await client.query('commit')
  client.release()
  expect(counted.texts()).toEqual(['select $1::int', 'begin', 'commit'])
  expect(counted.statements[0]!.params).toEqual([1])
  expect(counted.count(/^select/)).toBe(1)
  counted.reset()
  expect(counted.count()).toBe(0)
  counted.stop()
  await pool.query('select 2')
  expect(counted.count()).toBe(0)
  await pool.end()
})

test('counts what a single pg.Client sends', async () => {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  const counted = countStatements(client)
  await client.query('select 1')
  expect(counted.texts()).toEqual(['select 1'])
  await client.end()
})

test('counts what postgres.js sends, without its own look at the types', async () => {
  const sql = postgres(database.url, { max: 2 })
  const counted = countStatements(sql)
  await sql.unsafe('select $1::int', [1])
  await sql.begin(async (tx) => {
    await tx.unsafe('select 2')
  })
  expect(counted.texts().map((text) => text.trim())).toEqual(['select $1::int', 'begin', 'select 2', 'commit'])
  await sql.end()
})

test('counts what PGlite runs, transactions included', async () => {
  const client = new PGlite()
  const counted = countStatements(client)
  await client.query('select $1::int', [1])
  await client.transaction((tx) => tx.query('select 2'))
  await client
    .transaction(async () => {
      throw new Error('no')
    })
    .catch(() => {})
  expect(counted.texts()).toEqual(['select $1::int', 'BEGIN', 'select 2', 'COMMIT', 'BEGIN', 'ROLLBACK'])
  await client.close()
})

test('counts Redis commands by the statistics of the server, without the talk of connecting', async () => {
  const server = await privateRedis()
  const counted = await countRedisCommands(server.url)
  const client = createClient({ url: server.url })
  await client.connect()
  await client.set('a', '1')
  await client.mGet(['a', 'b'])
  await client.mGet(['a'])
  expect(await counted.commands()).toEqual({ set: 1, mget: 2 })
  expect(await counted.total()).toBe(3)
  await counted.reset()
  expect(await counted.total()).toBe(0)
  client.destroy()
  await counted.stop()
  await server.stop()
})
