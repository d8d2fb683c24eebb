/**
 * A wrapped db on a database of its own, with everything a test wants to see counted.
 *
 * Promises: `db` is wrapped over a pool whose statements are counted; `outside` is plain Drizzle on a pool of its own,
 * so looking at the truth is not counted. The clock stands still until it is moved. `close()` gives everything back.
 */
import { randomBytes } from 'node:crypto'
import { type AsideEvent, type AsideOptions, memoryStore, type Store, type WithAside, withCache } from 'drizzle-aside'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { expect } from 'vitest'
import { type ManualClock, manualClock } from '../harness/clock.ts'
import { countStatements, type StatementCount } from '../harness/counting.ts'
import { freshDatabase, type PostgresLine } from '../harness/databases.ts'

type Schema = Record<string, unknown>
type Options = Omit<AsideOptions, 'namespace' | 'clock' | 'store'>

export interface OpenOptions<S extends Schema> extends Options {
  /** SQL that sets the database up, run before wrapping. */
  ddl: string
  schema?: S
  /** Default: a memory store of its own. */
  store?: Store
  /** Changes the pool before its first use, e.g. to gate it. */
  pool?: (pool: Pool) => Pool
  /** Connects the wrapped db as another role. */
  role?: { user: string; password: string }
  max?: number
}

export interface WrappedDatabase<S extends Schema = Schema> {
  readonly line: PostgresLine
  /** `server_version_num`, for what only newer servers of the line have. */
  readonly version: number
  readonly url: string
  readonly db: WithAside<NodePgDatabase<S>>
  readonly outside: NodePgDatabase<S>
  readonly pool: Pool
  readonly count: StatementCount
  readonly events: AsideEvent[]
  readonly clock: ManualClock
  /** Runs SQL outside the wrapped db. */
  run(sql: string, params?: unknown[]): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

export async function openWrapped<S extends Schema = Schema>(
  line: PostgresLine,
  { ddl, schema, store, pool: change, role, max, ...options }: OpenOptions<S>,
): Promise<WrappedDatabase<S>> {
  const database = await freshDatabase(line)
  const outsidePool = new Pool({ connectionString: database.url, max: 3 })
  const url = role ? urlOf(database.url, role) : database.url
  const bare = new Pool({ connectionString: url, ...(max !== undefined && { max }) })
  await outsidePool.query(ddl)
  const version = await outsidePool.query(`select current_setting('server_version_num')::int as number`)
  const count = countStatements(bare)
  const pool = change ? change(bare) : bare
  const events: AsideEvent[] = []
  const clock = manualClock()
  const { on } = options
  const db = withCache(drizzle(pool, { ...(schema && { schema }) }) as NodePgDatabase<S>, {
    ...options,
    namespace: `t-${randomBytes(6).toString('hex')}`,
    store: store ?? memoryStore({ clock }),
    clock,
    on: (event) => {
      events.push(event)
      on?.(event)
    },
  })
  await db.$aside.ready()
  count.reset()
  return {
    line,
    version: version.rows[0].number,
    url: database.url,
    db,
    outside: drizzle(outsidePool, { ...(schema && { schema }) }) as NodePgDatabase<S>,
    pool,
    count,
    events,
    clock,
    run: async (sql, params) => (await outsidePool.query(sql, params)).rows as Record<string, unknown>[],
    close: async () => {
      await db.$aside.close()
      // Dropping the database may meet a connection that is still saying goodbye.
      for (const each of [pool, outsidePool]) each.on('error', () => {})
      await pool.end()
      await outsidePool.end()
      await database.drop()
    },
  }
}

function urlOf(url: string, { user, password }: { user: string; password: string }): string {
  const changed = new URL(url)
  changed.username = user
  changed.password = password
  return changed.href
}

/** A read that is asked of the wrapped db and of the plain one. */
export type Read<S extends Schema> = (db: NodePgDatabase<S>) => PromiseLike<unknown>

async function ask<S extends Schema>(test: WrappedDatabase<S>, read: Read<S>, what: string): Promise<number> {
  const before = test.count.statements.length
  const answer = await read(test.db)
  // The catalog may be read again meanwhile.
  const asked = test.count
    .texts()
    .slice(before)
    .filter((text) => !text.includes('pg_catalog.')).length
  // Without ORDER BY a list comes in key order from records and in any order from the database.
  expect(sorted(answer), `${what}: the answer is the database's`).toEqual(sorted(await read(test.outside)))
  return asked
}

function sorted(answer: unknown): unknown {
  if (!Array.isArray(answer)) return answer
  return [...answer].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}

/** Fills the cache with the answers; each is asked twice, the second time without a statement. */
export async function warm<S extends Schema>(test: WrappedDatabase<S>, ...reads: Read<S>[]): Promise<void> {
  for (const [at, read] of reads.entries()) {
    await ask(test, read, `read ${at} while warming`)
    expect(await ask(test, read, `read ${at} while warming`), `read ${at} hits once it is warm`).toBe(0)
  }
}

/** Asserts that each read is still answered without a statement, and rightly. */
export async function expectHits<S extends Schema>(test: WrappedDatabase<S>, ...reads: Read<S>[]): Promise<void> {
  for (const [at, read] of reads.entries()) {
    expect(await ask(test, read, `spared read ${at}`), `spared read ${at} still hits`).toBe(0)
  }
}

/** Asserts that each read has to ask the database again, and then equals it. */
export async function expectFallen<S extends Schema>(test: WrappedDatabase<S>, ...reads: Read<S>[]): Promise<void> {
  for (const [at, read] of reads.entries()) {
    const before = test.count.statements.length
    const asked = await ask(test, read, `fallen read ${at}`)
    expect(asked, `fallen read ${at} asks the database: ${test.count.texts().slice(before)}`).toBe(1)
  }
}

/** The reasons for which whole tables fell, as `table: reason`, since the list was last emptied. */
export const fallenTables = (events: readonly AsideEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'epochReplaced' ? [`${event.table}: ${event.reason}`] : []))
