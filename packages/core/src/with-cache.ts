import { clientState } from './drizzle/client-state.ts'
import { checkDrizzle, type Database } from './drizzle/internals.ts'
import { AsideError } from './errors.ts'
import { type AsideOptions, type ReplicaOptions, refuseMore, resolveOptions } from './options.ts'
import { Engine, engineOf } from './wiring/engine.ts'
import type { Aside, WithAside } from './wiring/handle.ts'

/**
 * Wraps a Drizzle db: selects by key are served from the store, and every write through the returned db invalidates
 * exactly what it touched, after its commit. The db that was passed in stays as it was; what it writes is not seen.
 *
 * @example
 * const db = withCache(drizzle(pool, { schema }), { tables: [cached(users, { ttl: '10m' })] })
 * await db.select().from(users).where(eq(users.id, 1))
 *
 * @throws AsideError with a code for every set-up mistake; see {@link AsideOptions}.
 */
export function withCache<Db extends Wrappable>(db: Db, options: AsideOptions): WithAside<Db>
/**
 * Wraps a db over a read replica, a physical standby: its reads are served from the store of the wrapped primary, and
 * what it answers is kept where it had replayed all that was committed; else the primary is asked. Everything else, `$aside`
 * too, is the primary's, but `close()`, which ends the cache for the replica alone.
 *
 * @example
 * const primary = withCache(drizzle(pool), { tables: [cached(users)] })
 * const db = withReplicas(primary, [withCache(drizzle(replicaPool), { primary })])
 *
 * @throws AsideError `ASIDE_NOT_WRAPPED` where `primary` is not what `withCache` returned for a primary, and as above.
 */
export function withCache<Db extends Wrappable>(replica: Db, options: ReplicaOptions): WithAside<Db>
export function withCache<Db extends Wrappable>(db: Db, options: AsideOptions | ReplicaOptions): WithAside<Db> {
  const kind = checkDrizzle(db)
  const real = db as unknown as Database
  if ('primary' in options) {
    refuseMore(options)
    refuseTwice(real)
    return primaryOf(options.primary).wrapReplica(db, clientState(real.session, kind))
  }
  const resolved = resolveOptions(options)
  refuseTwice(real)
  const engine = new Engine(real, clientState(real.session, kind), resolved)
  return engine.wrap(db) as WithAside<Db>
}

type Wrappable = { readonly _: { readonly session: unknown } }

function primaryOf(primary: unknown): Engine {
  const engine = engineOf(aside(primary))
  if (engine) return engine
  const advice = 'Pass the db that withCache returned for the primary.'
  throw new AsideError('ASIDE_NOT_WRAPPED', `primary is itself a wrap over a replica. ${advice}`)
}

/**
 * The handle of a wrapped db, or of a transaction of one, whose type does not show it.
 *
 * @example
 * await db.transaction(async (tx) => { await tx.execute(sql`…`); await aside(tx).wrote(posts) })
 */
export function aside<Db>(db: Db): Aside<Db> {
  const handle = (db as { $aside?: Aside<Db> } | null | undefined)?.$aside
  if (handle) return handle
  throw new AsideError('ASIDE_NOT_WRAPPED', 'aside() takes a db that withCache returned, or a transaction of one.')
}

function refuseTwice(db: Database): void {
  if ('$aside' in db) {
    throw new AsideError('ASIDE_ALREADY_WRAPPED', 'This db is wrapped already. Wrap what drizzle() returned, once.')
  }
  if (db.$cache !== undefined && hasOwnCache(db.session)) {
    const advice = 'It would answer our own queries. Remove `cache` from drizzle(…).'
    throw new AsideError('ASIDE_DRIZZLE_CACHE_ON', `Drizzle's own cache is on for this db. ${advice}`)
  }
}

function hasOwnCache(session: object): boolean {
  const strategy = (session as { cache?: { strategy?: () => string; constructor: { name: string } } }).cache
  return strategy !== undefined && strategy.constructor.name !== 'NoopCache'
}
