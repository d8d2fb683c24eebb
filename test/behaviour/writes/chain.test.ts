/**
 * The chain test: every version of a row is superseded once, by the write that says so.
 *
 * Each write gives a row a version that nobody else ever writes, in a column that rows are cached by. The stamps that a
 * write removes therefore tell which versions it took for the old ones. Under many writers these pairs must form an
 * unbroken chain per row; where the old image is not locked, they do not.
 *
 * Before PostgreSQL 18 an update that computes a unique column for several rows drops the whole table: there, statements
 * of several rows are tried on an index that is not unique, and a unique one has statements of one row.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { cached, memoryStore, type Store } from 'drizzle-aside'
import { and, eq, inArray, ne, sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import type { Pool } from 'pg'
import { describe, expect, it } from 'vitest'
import { onEveryClient } from '../../harness/pg-clients.ts'
import { openWrapped } from '../../support/wrapped-database.ts'

const links = pgTable('links', {
  id: integer().primaryKey(),
  version: text().notNull(),
  n: integer().notNull().default(0),
})
const ROWS = 8
const WRITERS = 12
const OPERATIONS = 60

type Index = 'unique' | 'plain'

const ddl = (index: Index): string => `
  do $$ begin execute format('alter database %I set deadlock_timeout = ''20ms''', current_database()); end $$;
  create table links (id int primary key, version text not null, n int not null default 0);
  create ${index === 'unique' ? 'unique' : ''} index on links (version);
  insert into links select n, 'start-' || n from generate_series(1, ${ROWS}) n;
`

/** What one write, or one transaction, wrote and removed. */
interface Account {
  /** Version texts without their row, in the order of writing. */
  readonly tokens: string[]
  /** Versions named by the removed stamps. */
  readonly removed: Set<string>
  /** Rows that the write left as they are in the key. */
  touchesOnly: boolean
}

const current = new AsyncLocalStorage<Account>()

/** A memory store that notes, for the write in whose course it is called, the versions whose stamps are removed. */
function noting(): Store {
  const store = memoryStore()
  const spy = Object.create(store) as Store
  spy.remove = (keys) => {
    for (const key of keys) {
      const version = /7:version=v\d+:(.+)m$/.exec(key)?.[1]
      if (version) current.getStore()?.removed.add(version)
    }
    return store.remove(keys)
  }
  return spy
}

function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below)
  }
}

type Db = NodePgDatabase<Record<string, unknown>>
type Random = (below: number) => number

/** One random write; `next` gives a token that was never used. */
async function write(db: Db, random: Random, account: Account, next: () => string, several: boolean): Promise<void> {
  const token = next()
  const version = sql`${`${token}-`} || ${links.id}::text`
  const id = 1 + random(ROWS)
  const kind = random(8)
  if (kind <= 2) account.tokens.push(token)
  if (kind === 0) await db.update(links).set({ version }).where(eq(links.id, id))
  else if (kind === 1)
    await db
      .update(links)
      .set({ version })
      .where(inArray(links.id, several ? [id, 1 + random(ROWS), 1 + random(ROWS)] : [id]))
      .returning()
  else if (kind === 2)
    await db
      .update(links)
      .set({ version })
      .where(several ? sql`${links.n} % 3 = ${random(3)}` : and(eq(links.id, id), ne(links.n, 0)))
  else if (kind === 3) await db.delete(links).where(eq(links.id, id))
  else if (kind === 4) {
    account.tokens.push(token)
    await db
      .insert(links)
      .values({ id, version: `${token}-${id}` })
      .onConflictDoNothing()
  } else if (kind === 5) {
    account.tokens.push(token)
    account.touchesOnly = true
    await db
      .insert(links)
      .values({ id, version: `${token}-${id}` })
      .onConflictDoUpdate({ target: links.id, set: { n: sql`${links.n} + 1` } })
  } else if (kind === 6) {
    await db.transaction(async (tx) => {
      for (let step = 0; step <= random(3); step++) {
        const own = next()
        account.tokens.push(own)
        const moved = sql`${`${own}-`} || ${links.id}::text`
        await tx
          .update(links)
          .set({ version: moved, n: sql`${links.n} + 1` })
          .where(eq(links.id, 1 + random(ROWS)))
      }
      if (random(4) === 0) tx.rollback()
    })
  } else {
    account.touchesOnly = true
    await db
      .update(links)
      .set({ n: sql`${links.n} + 1` })
      .where(eq(links.id, id))
  }
}

const rowOf = (version: string): string => version.slice(version.lastIndexOf('-') + 1)

/** Where the accounts of all writes do not form one chain per row. */
function violations(accounts: readonly Account[], live: readonly string[]): string[] {
  const found: string[] = []
  const superseded = new Map<string, number>()
  const written = new Set(Array.from({ length: ROWS }, (_, i) => `start-${i + 1}`))
  for (const account of accounts) {
    for (const row of new Set([...account.removed].map(rowOf))) {
      const versions = [...account.removed].filter((version) => rowOf(version) === row)
      const ours = account.tokens.map((token) => `${token}-${row}`).filter((version) => versions.includes(version))
      const olds = versions.filter((version) => !ours.includes(version))
      for (const version of ours) written.add(version)
      if (olds.length > 1) found.push(`one write, two old versions: ${olds}`)
      if (account.touchesOnly && ours.length === 0) continue
      // Within a transaction each version follows the one before it.
      for (const version of ours.slice(0, -1)) superseded.set(version, (superseded.get(version) ?? 0) + 1)
      for (const version of olds) superseded.set(version, (superseded.get(version) ?? 0) + 1)
    }
  }
  for (const [version, times] of superseded) {
    if (times > 1) found.push(`${version} was superseded ${times} times`)
    if (!written.has(version)) found.push(`${version} was never written`)
    if (live.includes(version)) found.push(`${version} is alive`)
  }
  for (const version of written) {
    if (!superseded.has(version) && !live.includes(version)) found.push(`${version} went unseen`)
  }
  for (const version of live) if (!written.has(version)) found.push(`${version} came unseen`)
  return found
}

/** Takes the row lock out of the statements before they are sent. */
function withoutLock(pool: Pool): Pool {
  onEveryClient(pool, (client) => {
    const send = client.query.bind(client) as (...args: unknown[]) => unknown
    const query = (config: unknown, ...more: unknown[]): unknown => {
      const { text } = (config ?? {}) as { text?: string }
      if (text === undefined) return send(config, ...more)
      return send({ ...(config as object), text: text.replace(/ for (no key )?update of "\w+"\)/, ')') }, ...more)
    }
    client.query = query as typeof client.query
  })
  return pool
}

async function run(line: 15 | 18, index: Index, seed: number, change?: (pool: Pool) => Pool) {
  const test = await openWrapped(line, {
    ddl: ddl(index),
    store: noting(),
    tables: [cached(links)],
    max: WRITERS,
    ...(change && { pool: change }),
  })
  const accounts: Account[] = []
  const failures: string[] = []
  let tokens = 0
  const several = line === 18 || index === 'plain'
  const writer = async (number: number): Promise<void> => {
    const random = randomFrom(seed * 100 + number)
    for (let i = 0; i < OPERATIONS; i++) {
      const account: Account = { tokens: [], removed: new Set(), touchesOnly: false }
      try {
        await current.run(account, () => write(test.db, random, account, () => `w${number}.${++tokens}`, several))
        accounts.push(account)
      } catch (error) {
        // Deadlocks among statements of many rows, and rollbacks of the test's own: these wrote nothing.
        const { cause, message } = error as { cause?: { code?: string }; message: string }
        if (cause?.code !== '40P01' && message !== 'Rollback') failures.push(`${cause?.code ?? ''} ${message}`)
        if (account.removed.size > 0) failures.push(`a failed write removed ${[...account.removed]}`)
      }
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, (_, number) => writer(number)))
  const live = (await test.run('select version from links')).map(({ version }) => version as string)
  const locked = test.count.count(/"__old" as /)
  const whole = test.events.filter(({ type }) => type === 'epochReplaced')
  await test.close()
  return { found: violations(accounts, live), failures, locked, whole, writes: accounts.length }
}

const seed = Number(process.env.SEED ?? 1 + Math.floor(Math.random() * 1_000_000))

describe.each([
  [15, 'unique'],
  [15, 'plain'],
  [18, 'unique'],
] as const)('PostgreSQL %i, %s index', (line, index) => {
  it(`B1: old and new images form an unbroken chain under ${WRITERS} writers (SEED=${seed})`, async () => {
    console.info(`chain test: SEED=${seed}`)
    const { found, failures, locked, whole, writes } = await run(line, index, seed)
    expect(failures).toEqual([])
    expect(found).toEqual([])
    expect(whole).toEqual([])
    expect(writes).toBeGreaterThan((WRITERS * OPERATIONS) / 2)
    if (line === 15) expect(locked).toBeGreaterThan(100)
    else expect(locked).toBe(0)
  })
})

it.each(['unique', 'plain'] as const)(
  'the chain breaks before PostgreSQL 18 without the row lock, %s index',
  async (index) => {
    const { found } = await run(15, index, seed, withoutLock)
    expect(found.length).toBeGreaterThan(0)
  },
)
