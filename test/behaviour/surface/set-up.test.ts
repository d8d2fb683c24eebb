/** A mistake in the set-up is told at once: by a code, what happened and what to do. */
import type { PGlite } from '@electric-sql/pglite'
import {
  type AsideError,
  type AsideOptions,
  aside,
  cached,
  memoryStore,
  outboxMigration,
  uncached,
  withCache,
} from 'drizzle-aside'
import { type Cache, NoopCache } from 'drizzle-orm/cache/core'
import { drizzle } from 'drizzle-orm/node-postgres'
import { drizzle as overPgProxy } from 'drizzle-orm/pg-proxy'
import { drizzle as overPglite } from 'drizzle-orm/pglite'
import { drizzle as overPostgresJs } from 'drizzle-orm/postgres-js'
import { Pool } from 'pg'
import { afterEach, describe, expect, it } from 'vitest'
import { items, notes } from '../../support/items.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

/** A db whose pool never connects. */
const bare = () => drizzle(new Pool({ connectionString: 'postgres://nobody@127.0.0.1:1/none' }))
const wrap = (options: object, db = bare()) => {
  const wrapped = withCache(db, { store: memoryStore(), ...options } as unknown as AsideOptions)
  ends.push(() => wrapped.$aside.close())
  return wrapped
}
const sharedStore = () => ({ ...memoryStore(), name: 'shared', processLocal: false })

class OwnCache extends NoopCache {
  override strategy = () => 'all' as const
}

interface Mistake {
  readonly what: string
  readonly make: () => unknown
  readonly code: AsideError['code']
  /** What happened, and what to do. */
  readonly says: RegExp[]
}

const mistakes: Mistake[] = [
  {
    what: 'an unknown option',
    make: () => wrap({ tables: [], ttl: 5 }),
    code: 'ASIDE_UNKNOWN_OPTION',
    says: [/'ttl'/, /Known: store, namespace, tables/],
  },
  { what: 'no tables', make: () => wrap({}), code: 'ASIDE_UNKNOWN_TABLE', says: [/cached\(table\)/] },
  {
    what: 'a table without cached()',
    make: () => wrap({ tables: [items] }),
    code: 'ASIDE_UNKNOWN_TABLE',
    says: [/cached\(table\)/],
  },
  {
    what: 'cached() of no table',
    make: () => wrap({ tables: [cached({} as typeof items)] }),
    code: 'ASIDE_UNKNOWN_TABLE',
    says: [/Drizzle table objects/],
  },
  {
    what: 'an unknown option of a table',
    make: () => cached(items, { tll: '1m' } as object),
    code: 'ASIDE_UNKNOWN_OPTION',
    says: [/'tll'/, /Known: ttl/],
  },
  {
    what: 'an unknown option of an uncached table',
    make: () => uncached(items, { ttl: '1m' } as object),
    code: 'ASIDE_UNKNOWN_OPTION',
    says: [/'ttl'/, /affects/],
  },
  {
    what: 'a duration that is none',
    make: () => cached(items, { ttl: '10 minutes' as '10m' }),
    code: 'ASIDE_BAD_DURATION',
    says: [/ttl/, /'10m'/, /10 minutes/],
  },
  {
    what: 'a duration of zero',
    make: () => cached(items, { negativeTtl: 0 }),
    code: 'ASIDE_BAD_DURATION',
    says: [/negativeTtl/],
  },
  {
    what: 'a deadline that is none',
    make: () => wrap({ tables: [], readDeadline: 'soon' }),
    code: 'ASIDE_BAD_DURATION',
    says: [/readDeadline/],
  },
  {
    what: 'a jitter beyond one',
    make: () => cached(items, { jitter: 1 }),
    code: 'ASIDE_BAD_OPTION',
    says: [/jitter/, /from 0 to below 1/],
  },
  {
    what: 'a bound that is no number',
    make: () => cached(items, { maxBytes: 1.5 }),
    code: 'ASIDE_BAD_OPTION',
    says: [/maxBytes/, /positive whole number/],
  },
  {
    what: 'a limit on fills that lets none run',
    make: () => wrap({ tables: [], maxFills: 0 }),
    code: 'ASIDE_BAD_OPTION',
    says: [/maxFills/, /positive whole number/],
  },
  {
    what: 'an early refresh that is none',
    make: () => cached(items, { refresh: 'early' as never }),
    code: 'ASIDE_BAD_OPTION',
    says: [/refresh/, /ahead/],
  },
  {
    what: 'a refresh after its time',
    make: () => cached(items, { refresh: { beta: -1 } }),
    code: 'ASIDE_BAD_OPTION',
    says: [/beta/, /a number from 0/],
  },
  {
    what: 'stale answers without an age',
    make: () => cached(items, { serveStaleOnError: true as never }),
    code: 'ASIDE_BAD_OPTION',
    says: [/serveStaleOnError/, /maxAge/],
  },
  {
    what: 'stale answers of an age that is none',
    make: () => cached(items, { serveStaleOnError: { maxAge: 'long' as never } }),
    code: 'ASIDE_BAD_DURATION',
    says: [/maxAge/, /long/],
  },
  {
    what: 'an unknown word on stale answers',
    make: () => cached(items, { serveStaleOnError: { maxAge: '1h', ttl: '1h' } as never }),
    code: 'ASIDE_UNKNOWN_OPTION',
    says: [/serveStaleOnError/, /ttl/],
  },
  {
    what: 'an unknown way to refresh',
    make: () => cached(items, { refresh: { before: '1s' } as object }),
    code: 'ASIDE_UNKNOWN_OPTION',
    says: [/'before'/, /beta, ahead/],
  },
  {
    what: 'a fill token that is none',
    make: () => wrap({ tables: [], fillToken: '1s' as never }),
    code: 'ASIDE_BAD_OPTION',
    says: [/fillToken/, /wait/],
  },
  {
    what: 'a fill token that waits for nothing',
    make: () => wrap({ tables: [], fillToken: { wait: 0 } }),
    code: 'ASIDE_BAD_DURATION',
    says: [/wait/],
  },
  {
    what: 'an unknown way to reject',
    make: () => wrap({ tables: [], onPending: 'throw' }),
    code: 'ASIDE_BAD_OPTION',
    says: [/'resolve' or 'reject'/],
  },
  {
    what: 'a column of another table',
    make: () => wrap({ tables: [cached(items, { sensitive: () => [notes.body] })] }),
    code: 'ASIDE_UNKNOWN_COLUMN',
    says: [/items/],
  },
  {
    what: 'a list of a column of another table',
    make: () => wrap({ tables: [cached(items, { lists: () => [notes.body] })] }),
    code: 'ASIDE_UNKNOWN_COLUMN',
    says: [/lists of items/],
  },
  {
    what: 'a list that is no function',
    make: () => cached(items, { lists: ['n'] as never }),
    code: 'ASIDE_BAD_OPTION',
    says: [/lists must be a function/],
  },
  {
    what: 'a list without columns',
    make: () => wrap({ tables: [cached(items, { lists: () => [[]] })] }),
    code: 'ASIDE_BAD_OPTION',
    says: [/lists of items/, /without columns/],
  },
  {
    what: 'a list of a sensitive column',
    make: () => wrap({ tables: [cached(items, { sensitive: (t) => [t.code], lists: (t) => [[t.n, t.code]] })] }),
    code: 'ASIDE_BAD_OPTION',
    says: [/code, which is sensitive/],
  },
  {
    what: 'an encryption key that is too short',
    make: () =>
      wrap({ tables: [], encryption: { keys: { k1: Buffer.alloc(16) }, current: 'k1', tokenKey: Buffer.alloc(32) } }),
    code: 'ASIDE_BAD_ENCRYPTION_KEY',
    says: [/key 'k1'/, /32 random bytes/, /randomBytes/],
  },
  {
    what: 'a current key that is not given',
    make: () =>
      wrap({ tables: [], encryption: { keys: { k1: Buffer.alloc(32) }, current: 'k2', tokenKey: Buffer.alloc(32) } }),
    code: 'ASIDE_NO_CURRENT_KEY',
    says: [/encryption.current/, /k1/],
  },
  {
    what: 'a compression without threshold',
    make: () => wrap({ tables: [], compression: {} as never }),
    code: 'ASIDE_BAD_OPTION',
    says: [/compression.threshold/, /positive whole number/],
  },
  {
    what: 'more lists than a write can bear',
    make: () => wrap({ tables: [cached(items, { lists: (t) => Array.from({ length: 17 }, () => t.n) })] }),
    code: 'ASIDE_BAD_OPTION',
    says: [/more than 16/],
  },
  {
    what: 'a column in two groups',
    make: () => wrap({ tables: [cached(items, { facets: (t) => ({ one: [t.n], two: [t.label, t.n] }) })] }),
    code: 'ASIDE_BAD_OPTION',
    says: [/facets of items names n in two groups/],
  },
  {
    what: 'a group without columns',
    make: () => wrap({ tables: [cached(items, { facets: () => ({ none: [] }) })] }),
    code: 'ASIDE_BAD_OPTION',
    says: [/without columns/],
  },
  {
    what: 'rows that is neither true nor false',
    make: () => cached(items, { rows: 1 as never }),
    code: 'ASIDE_BAD_OPTION',
    says: [/rows must be/],
  },
  {
    what: 'no rows at all',
    make: () => cached(items, { maxRows: 0 }),
    code: 'ASIDE_BAD_OPTION',
    says: [/maxRows/, /positive whole number/],
  },
  {
    what: 'no namespace with a shared store',
    make: () => withCache(bare(), { store: sharedStore(), tables: [] }),
    code: 'ASIDE_NO_NAMESPACE',
    says: [/namespace: 'shop'/],
  },
  {
    what: 'a namespace with a colon',
    make: () => wrap({ tables: [], namespace: 'a:b' }),
    code: 'ASIDE_BAD_NAMESPACE',
    says: [/"a:b"/, /1 to 64/],
  },
  {
    what: 'a store that lacks a verb',
    make: () => wrap({ tables: [], store: { ...memoryStore(), mint: undefined } }),
    code: 'ASIDE_BAD_STORE',
    says: [/mint\(\)/, /memoryStore\(\) or redisStore\(client\)/],
  },
  {
    what: 'an outbox beside a store that nobody shares',
    make: () => wrap({ tables: [], outbox: 'always' }),
    code: 'ASIDE_OUTBOX_NEEDS_SHARED_STORE',
    says: [/redisStore\(client\)/, /leave outbox out/],
  },
  {
    what: 'an outbox of no known mode',
    make: () => wrap({ tables: [], outbox: 'sometimes' }),
    code: 'ASIDE_BAD_OPTION',
    says: [/'always' or 'when-down'/],
  },
  {
    what: 'an outbox with an option that is none',
    make: () => wrap({ tables: [], outbox: { mode: 'always', drain: '1s' } }),
    code: 'ASIDE_UNKNOWN_OPTION',
    says: [/'drain'/, /drainEvery/],
  },
  {
    what: 'a migration for a name that PostgreSQL would cut',
    make: () => outboxMigration({ table: 'x'.repeat(60) }),
    code: 'ASIDE_BAD_OPTION',
    says: [/59 bytes/],
  },
  {
    what: 'a client instead of a store',
    make: () => wrap({ tables: [], store: new Map() }),
    code: 'ASIDE_BAD_STORE',
    says: [/redisStore\(client\)/],
  },
  {
    what: 'another driver',
    make: () =>
      withCache(
        overPgProxy(async () => ({ rows: [] })),
        { tables: [] },
      ),
    code: 'ASIDE_UNSUPPORTED_DRIVER',
    says: [/node-postgres/, /postgres-js/, /pglite/],
  },
  {
    what: 'no db at all',
    make: () => withCache({} as ReturnType<typeof bare>, { tables: [] }),
    code: 'ASIDE_UNSUPPORTED_DRIVER',
    says: [/Pass what drizzle\(\) returned/],
  },
  {
    what: 'a db that is wrapped already',
    make: () => wrap({ tables: [] }, wrap({ tables: [] })),
    code: 'ASIDE_ALREADY_WRAPPED',
    says: [/once/],
  },
  {
    what: "Drizzle's own cache",
    make: () => wrap({ tables: [] }, drizzle(new Pool(), { cache: new OwnCache() as Cache })),
    code: 'ASIDE_DRIZZLE_CACHE_ON',
    says: [/Remove `cache`/],
  },
  {
    what: 'one client with two stores',
    make: () => {
      const pool = new Pool()
      wrap({ tables: [] }, drizzle(pool))
      wrap({ tables: [] }, drizzle(pool))
    },
    code: 'ASIDE_CLIENT_WRAPPED_TWICE',
    says: [/one store object/],
  },
  { what: 'the handle of a bare db', make: () => aside(bare()), code: 'ASIDE_NOT_WRAPPED', says: [/withCache/] },
  {
    what: 'an unknown option of with()',
    make: () => wrap({ tables: [] }).$aside.with({ tll: '1m' } as object),
    code: 'ASIDE_UNKNOWN_OPTION',
    says: [/'tll'/, /Known: ttl/],
  },
  {
    what: 'a bad duration in with()',
    make: () => wrap({ tables: [] }).$aside.with({ ttl: -1 }),
    code: 'ASIDE_BAD_DURATION',
    says: [/ttl/],
  },
]

describe('set-up', () => {
  it.each(mistakes)('$what is refused with $code, and the text says what to do', ({ make, code, says }) => {
    let told: unknown
    try {
      make()
    } catch (error) {
      told = error
    }
    expect(told).toBeInstanceOf(Error)
    expect(told).toMatchObject({ name: 'AsideError', code })
    for (const text of says) expect((told as Error).message).toMatch(text)
  })

  it('several wraps of one client over one store are fine', () => {
    const pool = new Pool()
    const store = memoryStore()
    wrap({ tables: [cached(items)], store }, drizzle(pool))
    wrap({ tables: [cached(notes)], store }, drizzle(pool))
  })

  it('what is refused has taken neither the client nor the store', async () => {
    const pool = new Pool()
    let closed = 0
    const store = { ...memoryStore(), close: async () => void closed++ }
    const refused = [cached(items, { lists: () => [notes.body] })]
    expect(() => withCache(drizzle(pool), { store, tables: refused })).toThrow(/lists of items/)
    wrap({ tables: [cached(items)] }, drizzle(pool))
    await withCache(bare(), { store, tables: [cached(items)] }).$aside.close()
    expect(closed).toBe(1)
  })

  it('F13: drizzle.mock() of each driver can be wrapped', async () => {
    const mocks = [drizzle.mock(), overPostgresJs.mock(), overPglite.mock()] as unknown as ReturnType<typeof bare>[]
    for (const mock of mocks) {
      const db = withCache(mock, { store: memoryStore(), tables: [cached(items)] })
      expect(db.select().from(items).toSQL()).toEqual(mock.select().from(items).toSQL())
      await db.$aside.close()
    }
  })

  it('F13: wrapping touches no client', async () => {
    const touched: PropertyKey[] = []
    const note = (target: object, key: PropertyKey): unknown => {
      touched.push(key)
      return Reflect.get(target, key)
    }
    const pool = new Proxy<Pool>(new Pool(), { get: note })
    const embedded = new Proxy<PGlite>({} as PGlite, { get: note })
    const dbs = [drizzle(pool), overPglite({ client: embedded })] as unknown as ReturnType<typeof bare>[]
    touched.length = 0
    for (const db of dbs) {
      const wrapped = withCache(db, { store: memoryStore(), tables: [cached(items)] })
      wrapped.select().from(items).toSQL()
      await wrapped.$aside.close()
    }
    expect(touched).toEqual([])
  })
})
