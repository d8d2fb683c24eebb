/** The errors that real drivers throw, each caused for real, and whether they prove that nothing was written. */
import { PGlite } from '@electric-sql/pglite'
import { sql } from 'drizzle-orm'
import { drizzle as overNodePostgres } from 'drizzle-orm/node-postgres'
import { drizzle as overPglite } from 'drizzle-orm/pglite'
import { drizzle as overPostgresJs } from 'drizzle-orm/postgres-js'
import { Client, Pool } from 'pg'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../../../test/harness/databases.ts'
import { freePort } from '../../../test/harness/processes.ts'
import { tcpProxy } from '../../../test/harness/tcp-proxy.ts'
import { isDefiniteFailure, isDefiniteState, sqlState } from '../src/write/classify-failure.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase(15)
})
afterAll(() => database.drop())

interface Executes {
  execute(query: ReturnType<typeof sql>): PromiseLike<unknown>
}

/** The error of a statement, as Drizzle hands it on. */
async function failureOf(db: Executes, text: string): Promise<unknown> {
  try {
    await db.execute(sql.raw(text))
  } catch (error) {
    return error
  }
  throw new Error(`it did not fail: ${text}`)
}

const refusing = async (): Promise<string> => `postgres://postgres@127.0.0.1:${await freePort()}/postgres`

/** Statements that PostgreSQL refuses or undoes as a whole. */
const undone: [string, string][] = [
  ['22012', 'select 1 / 0'],
  ['42P01', 'update no_such_table set a = 1'],
  ['42601', 'updat'],
  ['57014', 'set statement_timeout = 20; select pg_sleep(5)'],
  ['55P03', 'set lock_timeout = 20; select 1 from locked for update nowait'],
]

describe('node-postgres', () => {
  const over = async (config: object, run: (db: Executes, pool: Pool) => Promise<void>): Promise<void> => {
    const pool = new Pool({ connectionString: database.url, max: 1, ...config })
    pool.on('error', () => {})
    pool.on('connect', (client) => void client.on('error', () => {}))
    await run(overNodePostgres(pool) as unknown as Executes, pool)
    if (!pool.ending) await pool.end()
  }

  test.for(undone)('SQLSTATE %s proves that nothing was written', async ([state, text]) => {
    const rival = new Client({ connectionString: database.url })
    await rival.connect()
    await rival.query('create table if not exists locked (id int); insert into locked values (1)')
    await rival.query('begin; select 1 from locked for update')
    await over({}, async (db) => {
      const error = await failureOf(db, text)
      expect(sqlState(error)).toBe(state)
      expect(isDefiniteFailure(error)).toBe(true)
    })
    await rival.end()
  })

  test('nothing was sent when the server refuses connections', async () => {
    await over({ connectionString: await refusing() }, async (db) => {
      expect(isDefiniteFailure(await failureOf(db, 'select 1'))).toBe(true)
    })
  })

  test('nothing was sent when no connection of the pool became free in time', async () => {
    await over({ connectionTimeoutMillis: 1000 }, async (db, pool) => {
      const holder = await pool.connect()
      expect(isDefiniteFailure(await failureOf(db, 'select 1'))).toBe(true)
      holder.release()
    })
  })

  test('nothing was sent when a new connection could not be opened in time', async () => {
    const proxy = await tcpProxy(database.url)
    proxy.blackHole()
    await over({ connectionString: proxy.url, connectionTimeoutMillis: 1000 }, async (db) => {
      expect(isDefiniteFailure(await failureOf(db, 'select 1'))).toBe(true)
    })
    await proxy.close()
  })

  test('nothing was sent by a pool or a client that was ended', async () => {
    await over({}, async (db, pool) => {
      await pool.end()
      expect(isDefiniteFailure(await failureOf(db, 'select 1'))).toBe(true)
    })
    const client = new Client({ connectionString: database.url })
    await client.connect()
    await client.end()
    expect(isDefiniteFailure(await failureOf(overNodePostgres(client) as unknown as Executes, 'select 1'))).toBe(true)
  })

  test('a wrong password or database is found before any statement', async () => {
    const url = new URL(database.url)
    url.pathname = '/no_such_database'
    await over({ connectionString: url.href }, async (db) => {
      const error = await failureOf(db, 'select 1')
      expect(sqlState(error)).toBe('3D000')
      expect(isDefiniteFailure(error)).toBe(true)
    })
  })

  test('a terminated backend proves nothing', async () => {
    await over({}, async (db) => {
      const error = await failureOf(db, 'select pg_terminate_backend(pg_backend_pid())')
      expect(isDefiniteFailure(error)).toBe(false)
    })
  })

  test('a connection that is cut, before or behind the statement, proves nothing', async () => {
    const proxy = await tcpProxy(database.url)
    await over({ connectionString: proxy.url }, async (db) => {
      const failing = failureOf(db, 'select pg_sleep(5)')
      await expect.poll(() => proxy.connections()).toBe(1)
      await expect.poll(() => sleeping()).toBe(1)
      proxy.cut()
      expect(isDefiniteFailure(await failing)).toBe(false)
    })
    await proxy.close()
  })

  test('the client’s own time limit on an answer proves nothing', async () => {
    await over({ query_timeout: 30 }, async (db) => {
      expect(isDefiniteFailure(await failureOf(db, 'select pg_sleep(0.3)'))).toBe(false)
    })
  })

  test('after a lost COMMIT the driver’s word on its ROLLBACK proves nothing', async () => {
    const proxy = await tcpProxy(database.url)
    await over({ connectionString: proxy.url }, async (_, pool) => {
      const db = overNodePostgres(pool)
      const error = await db
        .transaction(async (tx) => {
          await tx.execute(sql`select 1`)
          proxy.inspect((direction, chunk) =>
            direction === 'toClient' && chunk.toString('latin1').includes('COMMIT') ? 'cut' : 'pass',
          )
        })
        .catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(Error)
      expect(isDefiniteState(sqlState(error))).toBe(false)
    })
    await proxy.close()
  })
})

describe('postgres-js', () => {
  const over = async (url: string, options: object, run: (db: Executes, client: postgres.Sql) => Promise<void>) => {
    const client = postgres(url, { max: 1, onnotice: () => {}, fetch_types: false, ...options })
    await run(overPostgresJs(client) as unknown as Executes, client)
    await client.end({ timeout: 0 })
  }

  test.for(undone.slice(0, 3))('SQLSTATE %s proves that nothing was written', async ([state, text]) => {
    await over(database.url, {}, async (db) => {
      const error = await failureOf(db, text)
      expect(sqlState(error)).toBe(state)
      expect(isDefiniteFailure(error)).toBe(true)
    })
  })

  test('a statement that the server cancelled left no trace', async () => {
    await over(database.url, { connection: { statement_timeout: 20 } }, async (db) => {
      const error = await failureOf(db, 'select pg_sleep(5)')
      expect(sqlState(error)).toBe('57014')
      expect(isDefiniteFailure(error)).toBe(true)
    })
  })

  test('nothing was sent when the server refuses connections, or answers too late', async () => {
    await over(await refusing(), {}, async (db) => {
      expect(isDefiniteFailure(await failureOf(db, 'select 1'))).toBe(true)
    })
    const proxy = await tcpProxy(database.url)
    proxy.blackHole()
    await over(proxy.url, { connect_timeout: 0.05 }, async (db) => {
      expect(isDefiniteFailure(await failureOf(db, 'select 1'))).toBe(true)
    })
    await proxy.close()
  })

  test('nothing was sent by a client that was ended', async () => {
    await over(database.url, {}, async (db, client) => {
      await client.end()
      expect(isDefiniteFailure(await failureOf(db, 'select 1'))).toBe(true)
    })
  })

  test('a terminated backend, or a cut connection, proves nothing', async () => {
    const proxy = await tcpProxy(database.url)
    await over(proxy.url, {}, async (db) => {
      expect(isDefiniteFailure(await failureOf(db, 'select pg_terminate_backend(pg_backend_pid())'))).toBe(false)
      const failing = failureOf(db, 'select pg_sleep(5)')
      await expect.poll(() => sleeping()).toBe(1)
      proxy.cut()
      expect(isDefiniteFailure(await failing)).toBe(false)
    })
    await proxy.close()
  })
})

describe('PGlite', () => {
  test('a refused statement left no trace, and a closed PGlite takes none', async () => {
    const client = await PGlite.create()
    const db = overPglite(client) as unknown as Executes
    expect(isDefiniteFailure(await failureOf(db, 'select 1 / 0'))).toBe(true)
    expect(isDefiniteFailure(await failureOf(db, 'update no_such_table set a = 1'))).toBe(true)
    await client.close()
    expect(isDefiniteFailure(await failureOf(db, 'select 1'))).toBe(true)
  })
})

/** States of which only the text matters. */
test.for([
  ['23505', true],
  ['40001', true],
  ['40P01', true],
  ['40003', false],
  ['08006', false],
  ['08P01', false],
  ['57P01', false],
  ['57P02', false],
  ['57P05', false],
  ['57014', true],
  ['25P03', true],
  ['53300', true],
] as const)('SQLSTATE %s: definite %s', ([code, definite]) => {
  const wrapped = new Error('Failed query', { cause: Object.assign(new Error('x'), { code }) })
  expect(isDefiniteFailure(wrapped)).toBe(definite)
})

test('a server that does not take connections yet has taken no statement; of a COMMIT that proves nothing', () => {
  const error = Object.assign(new Error('the database system is starting up'), { code: '57P03' })
  expect(isDefiniteFailure(error)).toBe(true)
  expect(isDefiniteState('57P03')).toBe(false)
})

test.for(['EPIPE', 'ECONNRESET', 'ETIMEDOUT', 'CONNECTION_CLOSED', 'CONNECTION_DESTROYED'])(
  '%s proves nothing',
  (code) => {
    expect(isDefiniteFailure(Object.assign(new Error('x'), { code }))).toBe(false)
  },
)

async function sleeping(): Promise<number> {
  const client = new Client({ connectionString: database.url })
  await client.connect()
  const { rows } = await client.query(
    `select 1 from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()`,
  )
  await client.end()
  return rows.length
}
