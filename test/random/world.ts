/** Two databases of the same content: a plain Drizzle db over one, two wrapped ones over the other. */

import { PGlite } from '@electric-sql/pglite'
import { citext } from '@electric-sql/pglite/contrib/citext'
import { type Aside, cached, type Store, withCache } from 'drizzle-aside'
import { drizzle as overNodePostgres } from 'drizzle-orm/node-postgres'
import { drizzle as overPglite } from 'drizzle-orm/pglite'
import { drizzle as overPostgresJs } from 'drizzle-orm/postgres-js'
import { Pool } from 'pg'
import postgres from 'postgres'
import { type Gate, gate, gatedPool, type Point } from '../harness/gates.ts'
import { type Db, type Hands, seed } from './steps.ts'
import { audit, createTables, type people, schema } from './tables.ts'

export type Driver = 'node-postgres' | 'postgres-js' | 'pglite'

export interface WorldOptions {
  readonly driver: Driver
  /** Databases, empty; not for PGlite. */
  readonly urls: readonly [plain: string, wrapped: string] | undefined
  readonly namespace: string
  /** One store object for each wrapped db; the same one twice where it lives in this process. */
  readonly stores: readonly [Store, Store]
}

export interface World {
  readonly driver: Driver
  readonly plain: Hands
  readonly wrapped: readonly [Wrapped, Wrapped]
  /** Holds the next statement of a wrapped db that fits. Undefined where the driver offers no place for it. */
  readonly hold: ((at: Point, fits: (sql: string) => boolean) => Gate) | undefined
  close(): Promise<void>
}

export interface Wrapped extends Hands {
  readonly db: Db
  readonly aside: Aside<Db>
  readonly counts: Counts
}

/** What the events of one wrapped db said. */
export interface Counts {
  hits: Record<ReadKind, number>
  misses: Record<ReadKind, number>
  joined: number
  trouble: string[]
}

const drizzleOptions = { schema, casing: 'snake_case' } as const

interface Connected {
  readonly dbs: readonly Db[]
  run(text: string): Promise<unknown>
  close(): Promise<unknown>
}

type Hook = (at: Point, sql: string) => void | Promise<void>

/** Connects `count` dbs to one database, each with a client of its own where there is a server. */
async function connect(driver: Driver, url: string | undefined, count: number, hook?: Hook): Promise<Connected> {
  if (driver === 'pglite') return connectPglite(count, hook)
  if (url === undefined) throw new Error(`${driver} needs the URL of a database.`)
  const each = Array.from({ length: count })
  if (driver === 'postgres-js') {
    const clients = each.map(() => postgres(url, { max: 3, onnotice: () => {} }))
    return {
      dbs: clients.map((client) => overPostgresJs(client, drizzleOptions) as unknown as Db),
      run: async (text) => clients[0]?.unsafe(text),
      close: () => Promise.all(clients.map((client) => client.end())),
    }
  }
  const pools = each.map(() => new Pool({ connectionString: url, max: 4 }))
  if (hook) for (const pool of pools) gatedPool(pool, (at, { sql }) => hook(at, sql))
  return {
    dbs: pools.map((pool) => overNodePostgres(pool, drizzleOptions) as unknown as Db),
    run: async (text) => pools[0]?.query(text),
    close: () => Promise.all(pools.map(endPool)),
  }
}

/** A connection that is being closed may still hear that its database was dropped. */
function endPool(pool: Pool): Promise<void> {
  pool.on('error', () => {})
  return pool.end()
}

async function connectPglite(count: number, hook: Hook | undefined): Promise<Connected> {
  const client = await PGlite.create({ extensions: { citext } })
  if (hook) {
    const query = client.query.bind(client)
    client.query = async (text, ...rest) => {
      await hook('before', text)
      const result = await query(text, ...rest)
      await hook('after', text)
      return result as never
    }
  }
  return {
    dbs: Array.from({ length: count }, () => overPglite(client, drizzleOptions) as unknown as Db),
    run: (text) => client.exec(text),
    close: () => client.close(),
  }
}

const kinds = ['key', 'in-list', 'unique', 'list', 'join', 'aggregate', 'set operation', 'relational'] as const
type ReadKind = (typeof kinds)[number]
const none = () => Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<ReadKind, number>

const noCounts = (): Counts => ({
  hits: none(),
  misses: none(),
  joined: 0,
  trouble: [],
})

export async function openWorld({ driver, urls, namespace, stores }: WorldOptions): Promise<World> {
  let held: { at: Point; fits: (sql: string) => boolean; gate: Gate } | undefined
  const hook: Hook = (at, sql) => {
    if (held?.at !== at || !held.fits(sql)) return undefined
    const { gate: found } = held
    held = undefined
    return found.pass()
  }
  const [plain, real] = await Promise.all([connect(driver, urls?.[0], 1), connect(driver, urls?.[1], 2, hook)])
  const [db] = plain.dbs as [Db]
  for (const { run, dbs } of [plain, real]) {
    await run(createTables)
    await seed(dbs[0] as Db)
  }
  const outer = (each: Db) => (driver === 'pglite' ? undefined : each)
  const wrapped = [0, 1].map((at): Wrapped => {
    const own = real.dbs[at] as Db
    const counts = noCounts()
    const cachedDb = withCache(own, { store: stores[at as 0 | 1], namespace, tables: entries(), ...generous })
    listen(cachedDb.$aside, counts)
    return { db: cachedDb, outer: outer(cachedDb), outsider: own, aside: cachedDb.$aside, counts }
  }) as unknown as readonly [Wrapped, Wrapped]
  for (const { aside } of wrapped) await aside.ready()
  const hold = (at: Point, fits: (sql: string) => boolean): Gate => {
    held = { at, fits, gate: gate() }
    return held.gate
  }
  return {
    driver,
    plain: { db, outer: outer(db), outsider: db, aside: undefined },
    wrapped,
    hold: driver === 'postgres-js' ? undefined : hold,
    close: async () => {
      for (const { aside } of wrapped) await aside.close()
      await Promise.all([plain.close(), real.close()])
    },
  }
}

// A busy machine is no fault: what is compared are answers, not times.
const generous = { readDeadline: '5s', invalidateDeadline: '20s' } as const

function entries() {
  const own = { docs: { maxTouched: 5 }, secrets: { scope: () => 'tenant' }, counters: { affects: [audit] } }
  return Object.entries(schema).map(([name, table]) => cached(table as typeof people, own[name as 'docs'] ?? {}))
}

function listen(aside: Aside<Db>, counts: Counts): void {
  aside.on((event) => {
    if (event.type === 'hit') counts.hits[event.kind]++
    else if (event.type === 'miss') counts.misses[event.kind]++
    else if (event.type === 'joined') counts.joined++
    else if (troubles.has(event.type)) counts.trouble.push(JSON.stringify(event))
  })
}

/** Nothing of this may happen on servers that are well. */
const troubles: ReadonlySet<string> = new Set([
  'storeFailed',
  'storeLate',
  'pendingDelivery',
  'outcomeUnknown',
  'catalogFailed',
  'listenerFailed',
  'recordsLost',
  'sessionChanged',
])
