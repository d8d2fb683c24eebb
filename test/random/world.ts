/** Two databases of the same content: a plain Drizzle db over one, two wrapped ones over the other. */

import {
  type Aside,
  cached,
  type EncryptionOptions,
  outboxMigration,
  type Store,
  type TableEntry,
  withCache,
} from 'drizzle-aside'
import { type Gate, gate, type Point } from '../harness/gates.ts'
import { connect, type Driver, type Hook } from './connect.ts'
import { type Db, type Hands, seed } from './steps.ts'
import { audit, createTables, type people, schema } from './tables.ts'

export type { Driver } from './connect.ts'

/** The tables of a world: how they are made, filled and cached. */
export interface Scene {
  readonly schema: Record<string, unknown>
  readonly createTables: string
  seed(db: Db): Promise<void>
  /** The entries of one of the two wrapped dbs. */
  entries(at: 0 | 1): readonly TableEntry[]
  /** Default: nothing is encrypted. */
  encryption?(at: 0 | 1): EncryptionOptions
}

export interface WorldOptions {
  readonly driver: Driver
  /** Databases, empty; not for PGlite. */
  readonly urls: readonly [plain: string, wrapped: string] | undefined
  readonly namespace: string
  /** One store object for each wrapped db; the same one twice where it lives in this process. */
  readonly stores: readonly [Store, Store]
  /** Default: the tables of the tests by key. */
  readonly scene?: Scene
  /** Whether the wrapped dbs keep an outbox; they need a store that processes share. */
  readonly outbox?: boolean
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

const kinds = ['key', 'in-list', 'unique', 'list', 'join', 'aggregate', 'set operation', 'relational'] as const
type ReadKind = (typeof kinds)[number]
const none = () => Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<ReadKind, number>

const noCounts = (): Counts => ({
  hits: none(),
  misses: none(),
  joined: 0,
  trouble: [],
})

export async function openWorld(options: WorldOptions): Promise<World> {
  const { driver, urls, namespace, stores, scene = byKey, outbox = false } = options
  let held: { at: Point; fits: (sql: string) => boolean; gate: Gate } | undefined
  const hook: Hook = (at, sql) => {
    if (held?.at !== at || !held.fits(sql)) return undefined
    const { gate: found } = held
    held = undefined
    return found.pass()
  }
  const [plain, real] = await Promise.all([
    connect({ driver, url: urls?.[0], count: 1, schema: scene.schema }),
    connect({ driver, url: urls?.[1], count: 2, schema: scene.schema, hook }),
  ])
  const [db] = plain.dbs as [Db]
  for (const { run, dbs } of [plain, real]) {
    await run(scene.createTables)
    if (outbox) await run(outboxMigration())
    await scene.seed(dbs[0] as Db)
  }
  const outer = (each: Db) => (driver === 'pglite' ? undefined : each)
  const beside = outbox ? { outbox: 'always' as const } : {}
  const wrapped = ([0, 1] as const).map((at): Wrapped => {
    const own = real.dbs[at] as Db
    const counts = noCounts()
    const encrypted = scene.encryption && { encryption: scene.encryption(at) }
    const given = { store: stores[at], namespace, tables: scene.entries(at), ...generous, ...beside, ...encrypted }
    const cachedDb = withCache(own, given)
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

const byKey: Scene = { schema, createTables, seed, entries }

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
  'outboxFailed',
  'outboxUnusable',
])
