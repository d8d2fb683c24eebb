/**
 * One app instance over one database: a client, the plain db beside the wrapped one, its events and its statements.
 *
 * Promises: instances share nothing but what they are given (a store, a clock); facts are known when `openApp` resolves;
 * `close()` ends everything that was opened here, and not the store that was passed in.
 */
import { PGlite } from '@electric-sql/pglite'
import { type AsideEvent, type AsideOptions, withCache } from 'drizzle-aside'
import { drizzle as overNodePostgres } from 'drizzle-orm/node-postgres'
import { drizzle as overPglite } from 'drizzle-orm/pglite'
import { drizzle as overPostgresJs } from 'drizzle-orm/postgres-js'
import { Client, Pool, type PoolConfig } from 'pg'
import postgres from 'postgres'
import { countStatements, type StatementCount } from '../harness/counting.ts'
import { gatedClient, gatedPool, type StatementHook } from '../harness/gates.ts'

type Schema = Record<string, unknown>

export interface AppOptions<S extends Schema = Schema> extends AsideOptions {
  readonly url: string
  readonly schema?: S
  /** Called before and after each statement of a pool or single client. */
  readonly hook?: StatementHook
  readonly pool?: PoolConfig
  /** Set to false where the first facts are part of the test. */
  readonly awaitReady?: boolean
}

export interface Told {
  readonly events: AsideEvent[]
  /** Events of one type, in order. */
  of<T extends AsideEvent['type']>(type: T): Extract<AsideEvent, { type: T }>[]
  forget(): void
}

function teller(): Told & { hear(event: AsideEvent): void } {
  const events: AsideEvent[] = []
  return {
    events,
    hear: (event) => void events.push(event),
    of: <T extends AsideEvent['type']>(type: T) =>
      events.filter((event): event is Extract<AsideEvent, { type: T }> => event.type === type),
    forget: () => {
      events.length = 0
    },
  }
}

function split<S extends Schema>({ url, schema, hook, pool, awaitReady, on, ...options }: AppOptions<S>) {
  const told = teller()
  const hear = (event: AsideEvent): void => {
    told.hear(event)
    on?.(event)
  }
  return { told, url, schema, hook, pool, awaitReady: awaitReady ?? true, options: { ...options, on: hear } }
}

/** An instance over a node-postgres pool. */
export async function openApp<S extends Schema = Schema>(given: AppOptions<S>) {
  const { told, url, schema, hook, pool: config, awaitReady, options } = split(given)
  const pool = new Pool({ connectionString: url, ...config })
  // Broken idle connections are part of some tests; without a listener they would end the process.
  pool.on('error', () => {})
  // Nor does Drizzle listen to the connection of a transaction.
  pool.on('connect', (client) => void client.on('error', () => {}))
  if (hook) gatedPool(pool, hook)
  const sql: StatementCount = countStatements(pool)
  const plain = overNodePostgres(pool, { schema: schema as S })
  const db = withCache(overNodePostgres(pool, { schema: schema as S }), options)
  if (awaitReady) await db.$aside.ready()
  sql.reset()
  return {
    db,
    plain,
    pool,
    sql,
    told,
    close: async () => {
      await db.$aside.close()
      if (!pool.ending) await pool.end()
    },
  }
}

/** An instance over one single node-postgres connection, which its transactions share with everybody. */
export async function openSingle<S extends Schema = Schema>(given: AppOptions<S>) {
  const { told, url, schema, hook, awaitReady, options } = split(given)
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  if (hook) gatedClient(client, hook)
  const sql = countStatements(client)
  const plain = overNodePostgres(client, { schema: schema as S })
  const db = withCache(overNodePostgres(client, { schema: schema as S }), options)
  if (awaitReady) await db.$aside.ready()
  sql.reset()
  return {
    db,
    plain,
    client,
    sql,
    told,
    close: async () => {
      await db.$aside.close()
      await client.end().catch(() => {})
    },
  }
}

/** An instance over postgres.js. */
export async function openPostgresJs<S extends Schema = Schema>(
  given: AppOptions<S> & { readonly postgres?: postgres.Options<Record<string, postgres.PostgresType>> },
) {
  const { postgres: settings, ...rest } = given
  const { told, url, schema, awaitReady, options } = split(rest)
  const client = postgres(url, { onnotice: () => {}, ...settings })
  const sql = countStatements(client)
  const plain = overPostgresJs(client, { schema: schema as S })
  const db = withCache(overPostgresJs(client, { schema: schema as S }), options)
  if (awaitReady) await db.$aside.ready()
  sql.reset()
  return {
    db,
    plain,
    client,
    sql,
    told,
    close: async () => {
      await db.$aside.close()
      await client.end({ timeout: 1 })
    },
  }
}

/** An instance over a PGlite of its own, prepared with `setUp`. */
export async function openPglite<S extends Schema = Schema>(
  given: Omit<AppOptions<S>, 'url'> & { readonly setUp: string },
) {
  const { setUp, ...rest } = given
  const { told, schema, awaitReady, options } = split({ ...rest, url: '' })
  const client = await PGlite.create()
  await client.exec(setUp)
  const sql = countStatements(client)
  const plain = overPglite(client, { schema: schema as S })
  const db = withCache(overPglite(client, { schema: schema as S }), options)
  if (awaitReady) await db.$aside.ready()
  sql.reset()
  return {
    db,
    plain,
    client,
    sql,
    told,
    close: async () => {
      await db.$aside.close()
      await client.close()
    },
  }
}
