/**
 * Reads of a real standby whose replay is held or whose link is cut (PROTOCOL 3.14): what it answers is kept only where it
 * shows all that was committed when the stamps were taken; else the primary answers, and nobody is served anything old.
 */
import { cached, memoryStore, type Store, withCache } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { withReplicas } from 'drizzle-orm/pg-core'
import { drizzle as overPostgresJs } from 'drizzle-orm/postgres-js'
import { Pool } from 'pg'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ManualClock, manualClock } from '../harness/clock.ts'
import { countStatements, type StatementCount } from '../harness/counting.ts'
import { type PrivatePair, privatePair } from '../harness/databases.ts'
import { gate, gatedPool } from '../harness/gates.ts'
import { descendantNamed } from '../harness/processes.ts'
import { tcpProxy } from '../harness/tcp-proxy.ts'
import { items, itemsSetUp, notes, outside } from '../support/items.ts'
import { type AppOptions, openApp, openPostgresJs } from '../support/open-app.ts'

type Primary = Awaited<ReturnType<typeof openApp>> & { readonly store: Store }
type Db = Primary['db']
const schema = { items, notes }
const itemRow = (db: Pick<Db, 'select'>, id: number) => db.select().from(items).where(eq(items.id, id))
const labelled = (db: Pick<Db, 'select'>, label: string) =>
  db.select({ id: items.id }).from(items).where(eq(items.label, label)).orderBy(items.id)
const rename = (db: Pick<Db, 'update'>, id: number, label: string) =>
  db.update(items).set({ label }).where(eq(items.id, id))

interface Replica {
  readonly db: Db
  readonly plain: Db
  readonly sql: StatementCount
  close(): Promise<unknown>
}

/** Over each driver that has servers. */
const ways = [
  { name: 'node-postgres', open: openPool, openPrimary: openApp, inTokyo: '?options=-c%20TimeZone%3DAsia/Tokyo' },
  { name: 'postgres-js', open: openJs, openPrimary: openPostgresJs, inTokyo: '?TimeZone=Asia/Tokyo' },
]

function openPool(url: string, primary: Primary['db'], change: (pool: Pool) => Pool = (pool) => pool): Replica {
  const pool = change(new Pool({ connectionString: url }))
  pool.on('error', () => {})
  const sql = countStatements(pool)
  const db = withCache(drizzle(pool, { schema }), { primary }) as unknown as Db
  return { db, plain: drizzle(pool, { schema }) as unknown as Db, sql, close: () => pool.end() }
}

function openJs(url: string, primary: Primary['db']): Replica {
  const client = postgres(url, { onnotice: () => {} })
  const sql = countStatements(client)
  const db = withCache(overPostgresJs(client, { schema }), { primary }) as unknown as Db
  return {
    db,
    plain: overPostgresJs(client, { schema }) as unknown as Db,
    sql,
    close: () => client.end({ timeout: 1 }),
  }
}

let pair: PrivatePair
let clock: ManualClock
let primary: Primary
let closing: (() => Promise<unknown> | unknown)[]

beforeAll(async () => {
  pair = await privatePair(15, ['hot_standby_feedback=on'])
})
afterAll(() => pair.stop())
beforeEach(async () => {
  closing = []
  clock = manualClock()
  await outside(pair.primary.url, 'drop table if exists items, notes', itemsSetUp)
  await pair.caughtUp()
  primary = await openPrimary()
})
afterEach(async () => {
  await outside(pair.standby.url, 'select pg_wal_replay_resume()').catch(() => {})
  for (const close of closing.reverse()) await close()
})

async function openPrimary(options: Partial<AppOptions> = {}, open = openApp): Promise<Primary> {
  const tables = [cached(items, { lists: (t) => [t.label] }), cached(notes)]
  const { store = memoryStore({ clock }) } = options
  const app = await open({ url: pair.primary.url, schema, clock, tables, ...options, store })
  closing.push(() => app.close())
  return { ...app, store }
}

async function ready(replica: Replica): Promise<Replica> {
  closing.push(() => replica.close())
  await replica.db.$aside.ready()
  await pair.caughtUp()
  replica.sql.reset()
  return replica
}

const hold = () => outside(pair.standby.url, 'select pg_wal_replay_pause()')
const isHit = async (db: Db, read: (db: Db) => PromiseLike<unknown>): Promise<boolean> => {
  const { hits } = db.$aside.stats()
  await read(db)
  return db.$aside.stats().hits === hits + 1
}
const questions = (sql: StatementCount): string[] => sql.texts().filter((text) => text.includes('"items"'))

describe.each(ways)('a replica over $name', ({ open, openPrimary: over, inTokyo }) => {
  // Entries are shared where both drivers are the same.
  beforeEach(async () => {
    primary = await openPrimary({}, over as typeof openApp)
  })
  const openReplica = () => ready(open(pair.standby.url, primary.db))

  test('F16: what it answers fills once it has replayed all, and both servers’ wraps are served from that', async () => {
    const replica = await openReplica()
    primary.sql.reset()
    for (const read of [(db: Db) => itemRow(db, 1), (db: Db) => labelled(db, 'old')]) {
      const expected = await read(primary.plain as unknown as Db)
      expect(await read(replica.db)).toEqual(expected)
      expect(await isHit(replica.db, read)).toBe(true)
      expect(await isHit(primary.db, read)).toBe(true)
    }
    expect(questions(replica.sql)).toHaveLength(2)
    expect(primary.told.of('replicaBehind')).toEqual([])
    expect(primary.told.of('replicaFailed')).toEqual([])
    // And the other way round.
    await itemRow(primary.db, 2)
    expect(await isHit(replica.db, (db) => itemRow(db, 2))).toBe(true)
  })

  test('A7, F16, 67: while its replay is held the primary answers, and nothing old is ever served', async () => {
    const replica = await openReplica()
    for (const read of [(db: Db) => itemRow(db, 1), (db: Db) => labelled(db, 'new')]) await read(replica.db)
    await hold()
    await rename(primary.db, 1, 'new')
    replica.sql.reset()
    for (let turn = 0; turn < 2; turn++)
      for (const db of [replica.db, primary.db]) {
        expect(await itemRow(db, 1)).toMatchObject([{ label: 'new' }])
        expect(await labelled(db, 'new')).toEqual([{ id: 1 }])
      }
    // The premise: as plain Drizzle the replica still shows the old row.
    expect(await itemRow(replica.plain, 1)).toMatchObject([{ label: 'old' }])
    expect(primary.told.of('replicaBehind').length).toBe(2)
    await outside(pair.standby.url, 'select pg_wal_replay_resume()')
    await pair.caughtUp()
    expect(await isHit(replica.db, (db) => itemRow(db, 1))).toBe(true)
    primary.told.forget()
    expect(await itemRow(replica.db, 3)).toMatchObject([{ label: 'old' }])
    expect(primary.told.of('replicaBehind')).toEqual([])
  })

  test('A7: a commit that others see and that is not written to the log yet counts as committed', async () => {
    const replica = await openReplica()
    const hasty = await openPrimary({ pool: { options: '-c synchronous_commit=off' }, store: primary.store })
    await itemRow(replica.db, 1)
    const walWriter = descendantNamed(pair.primary.pid, /walwriter/)
    process.kill(walWriter, 'SIGSTOP')
    try {
      await rename(hasty.db, 1, 'seen by all')
      for (let turn = 0; turn < 2; turn++)
        expect(await itemRow(replica.db, 1)).toMatchObject([{ label: 'seen by all' }])
    } finally {
      process.kill(walWriter, 'SIGCONT')
    }
  })

  test('F16: under withReplicas reads of every kind go to the replica, and writes are seen at once', async () => {
    const replica = await openReplica()
    const db = withReplicas(primary.db as unknown as NodePgDatabase<typeof schema>, [
      replica.db as unknown as NodePgDatabase<typeof schema>,
    ])
    const reads = [
      () => db.select().from(items).where(eq(items.id, 1)),
      () => db.query.items.findFirst({ where: eq(items.id, 1) }),
      () => db.query.items.findMany({ where: eq(items.label, 'turn'), orderBy: items.id }),
      () => db.$count(items, eq(items.label, 'turn')),
      () => db.select({ body: notes.body }).from(items).innerJoin(notes, eq(notes.id, items.id)).where(eq(items.id, 1)),
    ]
    for (const label of ['one', 'turn', 'three']) {
      await db.update(items).set({ label }).where(eq(items.id, 1))
      const truth = await outside(pair.primary.url, 'select label from items where id = 1')
      for (let turn = 0; turn < 3; turn++) {
        const [row, first, many, count] = await Promise.all(reads.map((read) => read()))
        expect([row, [first]]).toEqual([row, row])
        expect(row).toMatchObject(truth)
        expect([(many as unknown[]).length, count]).toEqual(label === 'turn' ? [1, 1] : [0, 0])
      }
    }
    expect(primary.db.$aside.stats().hits).toBeGreaterThan(0)
    expect(replica.sql.count(/"items"/)).toBeGreaterThan(0)
  })

  test('a session of another kind keeps answers of its own, and never lets the primary answer for it', async () => {
    const replica = await ready(open(pair.standby.url + inTokyo, primary.db))
    await itemRow(primary.db, 1)
    expect(await isHit(replica.db, (db) => itemRow(db, 1))).toBe(false)
    expect(await isHit(replica.db, (db) => itemRow(db, 1))).toBe(true)
    await hold()
    await rename(primary.db, 1, 'new')
    primary.told.forget()
    // As plain Drizzle: what the replica has, and it is not kept.
    expect(await itemRow(replica.db, 1)).toMatchObject([{ label: 'old' }])
    expect(primary.told.of('bypass')).toMatchObject([{ reason: 'replica-behind' }])
    await outside(pair.standby.url, 'select pg_wal_replay_resume()')
    await pair.caughtUp()
    expect(await itemRow(replica.db, 1)).toMatchObject([{ label: 'new' }])
  })
})

describe('what a wrap over a replica is', () => {
  test('a standby alone neither fills nor hits', async () => {
    const alone = await openApp({
      url: pair.standby.url,
      clock,
      store: memoryStore({ clock }),
      tables: [cached(items)],
    })
    closing.push(() => alone.close())
    for (let turn = 0; turn < 2; turn++) expect(await itemRow(alone.db, 1)).toMatchObject([{ label: 'old' }])
    expect(alone.db.$aside.stats()).toMatchObject({ hits: 0, fills: 0, bypassed: { standby: 2 } })
    expect(alone.db.$aside.health()).toMatchObject({ state: 'degraded', remarks: [expect.stringContaining('standby')] })
  })

  test('another cluster, a primary, and the primary’s own client are no replicas', async () => {
    const stranger = await privatePair(15)
    closing.push(() => stranger.stop())
    await outside(stranger.primary.url, itemsSetUp, `update items set label = 'elsewhere'`)
    await stranger.caughtUp()
    await itemRow(primary.db, 1)
    for (const { url } of [stranger.primary, stranger.standby]) {
      const other = await ready(openPool(url, primary.db))
      for (let turn = 0; turn < 2; turn++) expect(await itemRow(other.db, 1)).toMatchObject([{ label: 'elsewhere' }])
    }
    expect(await itemRow(primary.db, 1)).toMatchObject([{ label: 'old' }])
    expect(primary.db.$aside.stats().bypassed).toEqual({ 'replica-unfit': 4 })
    expect(primary.db.$aside.health().remarks).toEqual([expect.stringContaining('no standby of its primary')])
    expect(() => withCache(drizzle(primary.pool), { primary: primary.db })).toThrow('ASIDE_BAD_OPTION')
    const replica = await ready(openPool(pair.standby.url, primary.db))
    expect(() => openPool(pair.standby.url, replica.db)).toThrow('ASIDE_NOT_WRAPPED')
    expect(() => openPool(pair.standby.url, primary.plain as never)).toThrow('ASIDE_NOT_WRAPPED')
    const more = { primary: primary.db, namespace: 'x' } as never
    expect(() => withCache(drizzle(new Pool()), more)).toThrow('ASIDE_UNKNOWN_OPTION')
  })

  test('close() of a replica ends the cache for it alone; that of the primary for both', async () => {
    const replica = await ready(openPool(pair.standby.url, primary.db))
    await itemRow(replica.db, 1)
    await replica.db.$aside.close()
    expect(await isHit(replica.db, (db) => itemRow(db, 1))).toBe(false)
    expect(await isHit(primary.db, (db) => itemRow(db, 1))).toBe(true)
    const second = await ready(openPool(pair.standby.url, primary.db))
    expect(await isHit(second.db, (db) => itemRow(db, 1))).toBe(true)
    await primary.db.$aside.close()
    expect(await isHit(second.db, (db) => itemRow(db, 1))).toBe(false)
    expect(await itemRow(second.db, 1)).toMatchObject([{ label: 'old' }])
  })

  test('one question to the primary serves all fills that took their stamps before it was sent, and no later one', async () => {
    const held = gate()
    const own = await openPrimary({ namespace: 'gated' })
    closing.push(() => held.open())
    const isPosition = (text: string) => text.includes('pg_current_wal_insert_lsn')
    gatedPool(own.pool, (point, { sql }) => (point === 'after' && isPosition(sql) ? held.pass() : undefined))
    const replica = await ready(openPool(pair.standby.url, own.db))
    own.sql.reset()
    const first = itemRow(replica.db, 10).then((rows) => rows)
    await held.arrived
    // The write resolves while the first question is on its way: whoever comes now needs one that is sent later.
    await hold()
    await rename(own.db, 11, 'new')
    const later = [11, 12, 13].map((id) => itemRow(replica.db, id).then((rows) => rows))
    held.open()
    expect(await first).toMatchObject([{ id: 10 }])
    expect(await Promise.all(later)).toMatchObject([[{ label: 'new' }], [{ id: 12 }], [{ id: 13 }]])
    expect(own.sql.texts().filter(isPosition)).toHaveLength(2)
    expect(await itemRow(own.db, 11)).toMatchObject([{ label: 'new' }])
  })
})

describe('what fails', () => {
  test('a replica that is gone: hits go on, and other reads fail as without cache; then it is back', async () => {
    const proxy = await tcpProxy(pair.standby.url)
    closing.push(() => proxy.close())
    const replica = await ready(openPool(proxy.url, primary.db))
    await itemRow(replica.db, 1)
    proxy.refuse()
    expect(await itemRow(replica.db, 1)).toMatchObject([{ label: 'old' }])
    for (const read of [(db: Db) => itemRow(db, 2), (db: Db) => labelled(db, 'old')]) {
      await expect(read(replica.plain)).rejects.toThrow()
      await expect(read(replica.db)).rejects.toThrow()
    }
    expect(primary.told.of('replicaFailed').map(({ step }) => step)).toEqual(['replica', 'replica'])
    proxy.heal()
    expect(await itemRow(replica.db, 2)).toMatchObject([{ label: 'old' }])
    expect(await isHit(replica.db, (db) => itemRow(db, 2))).toBe(true)
  })

  test('a replica that breaks off in the middle of a fill ends no process, and the reader gets an answer or an error', async () => {
    const proxy = await tcpProxy(pair.standby.url)
    closing.push(() => proxy.close())
    const replica = await ready(openPool(proxy.url, primary.db))
    let asked = false
    proxy.inspect((direction, chunk) => {
      if (direction === 'toServer' && chunk.toString('latin1').includes('from "items"')) asked = true
      return direction === 'toClient' && asked ? 'cut' : 'pass'
    })
    await expect(labelled(replica.db, 'old')).rejects.toThrow()
    proxy.heal()
    expect(await labelled(replica.db, 'old')).toHaveLength(100)
  })

  test('a primary that is gone: the replica answers as without cache, and nothing of it is kept', async () => {
    const proxy = await tcpProxy(pair.primary.url)
    closing.push(() => proxy.close())
    const own = await openPrimary({ namespace: 'gone', url: proxy.url })
    const replica = await ready(openPool(pair.standby.url, own.db))
    proxy.refuse()
    for (let turn = 0; turn < 2; turn++) expect(await itemRow(replica.db, 1)).toMatchObject([{ label: 'old' }])
    expect(own.db.$aside.stats().fills).toBe(0)
    expect(own.told.of('replicaFailed').every(({ step }) => step === 'position')).toBe(true)
    expect(own.told.of('bypass').map(({ reason }) => reason)).toEqual(['replica-failed', 'replica-failed'])
    proxy.heal()
    expect(await itemRow(replica.db, 1)).toMatchObject([{ label: 'old' }])
    expect(own.db.$aside.stats().fills).toBe(1)
  })

  test('a transaction that holds the primary’s last connection does not wait for itself', async () => {
    const own = await openPrimary({ namespace: 'last', pool: { max: 1 } })
    const replica = await ready(openPool(pair.standby.url, own.db))
    const read = own.db.transaction(async (tx) => {
      await tx.update(items).set({ label: 'mine' }).where(eq(items.id, 1))
      const reading = itemRow(replica.db, 2).then((rows) => rows)
      await expect.poll(() => clock.pending()).toBeGreaterThan(0)
      await clock.advanceAndSettle(2_000)
      return reading
    })
    expect(await read).toMatchObject([{ id: 2 }])
    expect(own.told.of('replicaFailed')).toMatchObject([{ step: 'position' }])
    await expect.poll(async () => (await itemRow(replica.db, 1))[0]?.label).toBe('mine')
  })
})
