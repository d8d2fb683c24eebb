/** Counted at the servers: what a hit, a miss and a write cost in Redis commands, round trips and SQL statements. */
import { redisStore } from '@drizzle-aside/redis'
import { cached } from 'drizzle-aside'
import type { NewStamp, Store } from 'drizzle-aside/store'
import { and, eq, gt, inArray } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type AppClient, redisLibraries } from '../../conformance/redis-clients.ts'
import { manualClock } from '../../harness/clock.ts'
import { countRedisCommands, type RedisCommandCount } from '../../harness/counting.ts'
import { type FreshDatabase, freshDatabase, type PrivateServer, privateRedis } from '../../harness/databases.ts'
import { gatedStore } from '../../harness/gates.ts'
import { ageRegister } from '../../harness/redis-keys.ts'
import { items, itemsSetUp, notes, outside } from '../../support/items.ts'
import { openApp } from '../../support/open-app.ts'

/** Fill tokens are shorter. */
const STAMP_LENGTH = 24

describe.each(redisLibraries)('over $name', (library) => {
  let database: FreshDatabase
  let redis: PrivateServer
  let commands: RedisCommandCount
  let client: AppClient
  let app: Awaited<ReturnType<typeof openApp>>
  let trips: string[]
  /** The same calls by round trips: those that have left before an answer came are one. */
  let rounds: string[][]
  let answered: boolean
  let awaited: number
  let store: Store

  beforeAll(async () => {
    database = await freshDatabase(18)
    await outside(database.url, itemsSetUp)
    redis = await privateRedis()
    commands = await countRedisCommands(redis.url)
  })
  afterAll(async () => {
    await commands.stop()
    await redis.stop()
    await database.drop()
  })
  beforeEach(async () => {
    await ageRegister(redis.url, 'counted', database.name)
    client = await library.open(redis.url)
    trips = []
    rounds = []
    answered = false
    awaited = 0
    // Its time stands still: who the server is, is asked once a second, which comes when it comes.
    store = gatedStore(redisStore(client.client, { clock: manualClock() }), (point, { method }) => {
      // The register's heartbeat comes when it comes, and nobody waits for it.
      if (method === 'enter') return
      if (point === 'after') awaited++
      else {
        trips.push(method)
        if (answered || rounds.length === 0) rounds.push([])
        rounds.at(-1)?.push(method)
      }
      answered = point === 'after'
    })
    app = await openApp({ url: database.url, store, namespace: 'counted', tables: [cached(items)] })
    await app.db.$aside.flush()
    await start()
  })
  afterEach(async () => {
    await app.close()
    client.close()
  })

  const start = async (): Promise<void> => {
    trips.length = 0
    rounds.length = 0
    awaited = 0
    app.sql.reset()
    await commands.reset()
  }
  /** Commands without those of the register's heartbeat. */
  const counted = async () => {
    const { eval: _, evalsha: __, ...rest } = await commands.commands()
    return rest
  }
  const byId = (id: number) => app.db.select().from(items).where(eq(items.id, id))
  const settled = () => expect.poll(() => awaited).toBe(trips.length)
  const warm = async (...ids: number[]): Promise<void> => {
    for (const id of ids) await byId(id)
    await settled()
    await start()
  }

  test('76: a warm hit is exactly one Redis command and no SQL, by key, by unique key, in a list, through findFirst', async () => {
    await app.db.select().from(items).where(eq(items.code, 'c1'))
    await warm(1, 2, 3)
    const reads: (() => PromiseLike<unknown[]>)[] = [
      () => byId(1),
      () =>
        app.db
          .select({ l: items.label })
          .from(items)
          .where(and(eq(items.id, 1), eq(items.code, 'c1'))),
      () => app.db.select().from(items).where(eq(items.code, 'c1')),
      () =>
        app.db
          .select()
          .from(items)
          .where(inArray(items.id, [1, 2, 3])),
    ]
    for (const read of reads) {
      await start()
      expect((await read()).length).toBeGreaterThan(0)
      expect(await commands.commands()).toEqual({ mget: 1 })
      expect(app.sql.count()).toBe(0)
      expect(trips).toEqual(['read'])
    }
  })

  test('reads of one tick share one Redis command', async () => {
    await warm(1, 2, 3)
    await Promise.all([byId(1), byId(2), byId(3)])
    expect(await commands.commands()).toEqual({ mget: 1 })
    expect(app.sql.count()).toBe(0)
  })

  test('76: a write adds exactly one awaited round trip, however many keys fall', async () => {
    await warm(1, 2, 3)
    const writes: (() => PromiseLike<unknown>)[] = [
      () => app.db.update(items).set({ n: 1 }).where(eq(items.id, 1)),
      () =>
        app.db
          .update(items)
          .set({ n: 2 })
          .where(inArray(items.id, [1, 2, 3])),
      () => app.db.update(items).set({ code: 'c2b' }).where(eq(items.id, 2)).returning(),
      () => app.db.insert(items).values({ id: 700, code: 'c700', label: 'x' }),
      () => app.db.delete(items).where(eq(items.id, 700)),
      () =>
        app.db.transaction(async (tx) => {
          await tx.update(items).set({ n: 3 }).where(eq(items.id, 1))
          await tx.update(items).set({ code: 'c2' }).where(eq(items.id, 2))
        }),
    ]
    // The first asks how old the register is; one that has grown stays so.
    await app.db.update(items).set({ n: 1 }).where(eq(items.id, 1))
    for (const write of writes) {
      await start()
      await write()
      expect(trips).toEqual(['removeAndLook'])
      expect(awaited).toBe(1)
      // With the keys goes the question whether the register still is what the write went by.
      expect(await counted()).toEqual({ unlink: 1, hmget: 1 })
    }
  })

  test('a write that touches no row, a read of an uncached table and a failed write cost no Redis command', async () => {
    await app.db.update(items).set({ n: 1 }).where(eq(items.id, -1))
    await app.db.select().from(notes).where(eq(notes.id, 1))
    await app.db
      .insert(items)
      .values({ id: 1, code: 'x', label: 'x' })
      .catch(() => {})
    await app.db.transaction(async (tx) => void (await tx.select().from(items).where(eq(items.id, 1))))
    expect(await counted()).toEqual({})
    expect(trips).toEqual([])
  })

  test('a write to a table that nobody caches asks nothing of the store, in a transaction and by itself', async () => {
    await app.db.update(notes).set({ body: 'x' }).where(eq(notes.id, 1))
    await app.db.transaction((tx) => tx.update(notes).set({ body: 'y' }).where(eq(notes.id, 1)))
    expect(trips).toEqual([])
    expect(await counted()).toEqual({})
  })

  test('in a young register it looks, and the table falls: somebody who caches it may be missing', async () => {
    const own = redisStore(client.client)
    const young = await openApp({ url: database.url, store: own, namespace: 'young', tables: [cached(items)] })
    await start()
    await young.db.update(notes).set({ body: 'x' }).where(eq(notes.id, 1))
    expect(await counted()).toEqual({ hmget: 1, time: 1, unlink: 1 })
    await young.close()
    await own.close()
  })

  test('the first miss of a row takes its stamps in the trip that looks it up; nobody waits for the fill', async () => {
    await byId(50)
    expect(app.sql.count()).toBe(1)
    await settled()
    // Both leave in one tick: the stamps are asked for at once, the look-up at its end.
    expect(trips).toEqual(['mint', 'read', 'write'])
    await start()
    await byId(51)
    await settled()
    expect(trips).toEqual(['mint', 'read', 'write'])
    const { set, mget, ...rest } = await commands.commands()
    // The row's stamp and its entry; the table's stamp is there since the first row, and was only looked up.
    expect({ set, mget }).toEqual({ set: 2, mget: 2 })
    // The row's stamp has only begun its life, and the epoch's was raised a moment ago.
    expect(rest).toEqual({})
  })

  test('a row that was asked for before and is gone is looked up first, then its stamps are taken', async () => {
    await byId(50)
    await settled()
    await store.clear('')
    await start()
    await byId(50)
    await settled()
    expect(trips).toEqual(['read', 'mint', 'write'])
  })

  test('a strange row of a table whose stamp is gone takes that one before the query all the same', async () => {
    await byId(50)
    await settled()
    await store.clear('')
    await start()
    await byId(51)
    await settled()
    expect(trips).toEqual(['mint', 'read', 'mint', 'write'])
    await byId(51)
    expect(app.sql.count()).toBe(1)
  })

  test('after its own write a process knows that it will miss', async () => {
    await byId(50)
    await settled()
    await app.db.update(items).set({ n: 3 }).where(eq(items.id, 50))
    await start()
    await byId(50)
    await settled()
    expect(trips).toEqual(['mint', 'read', 'write'])
  })

  test('a list that is half there is one read, one mint and one SQL statement for the missing half', async () => {
    await warm(1, 2)
    await app.db
      .select()
      .from(items)
      .where(inArray(items.id, [1, 2, 60, 61]))
    expect(app.sql.count()).toBe(1)
    expect(app.sql.statements[0]?.params.map(Number)).toEqual([60, 61])
    await settled()
    expect(trips).toEqual(['read', 'mint', 'write', 'write'])
  })

  describe('with fill tokens', () => {
    let tokens: typeof app
    /** Entries, and what is minted beside the stamps. */
    let kept: Set<string>
    beforeEach(async () => {
      kept = new Set()
      const noting = gatedStore(store, (_, { method, args }) => {
        if (method === 'write') kept.add(args[0] as string)
        const minted = method === 'mint' ? (args[0] as NewStamp[]) : []
        for (const { key, text } of minted) if (text.length !== STAMP_LENGTH) kept.add(key)
      })
      const given = { url: database.url, store: noting, namespace: 'counted', readDeadline: '5s' } as const
      tokens = await openApp({ ...given, tables: [cached(items)], fillToken: true })
    })
    afterEach(() => tokens.close())

    const tokenById = (id: number) => tokens.db.select().from(items).where(eq(items.id, id))
    /** The round trips of one miss: those before its query, and the one that nobody waits for. */
    async function tripsOf(read: () => PromiseLike<unknown>): Promise<string[][]> {
      await settled()
      await start()
      tokens.sql.reset()
      await read()
      await settled()
      expect(tokens.sql.count()).toBe(1)
      return rounds
    }
    const alone = [['mint', 'mint', 'read'], ['write']]
    const behindLook = [['read'], ['mint', 'mint'], ['write']]

    test('the first miss of a row takes its token in the trip that looks it up and mints its stamps', async () => {
      // Rows that no other test has left stamps of.
      expect(await tripsOf(() => tokenById(70))).toEqual(alone)
      expect(await tripsOf(() => tokenById(71))).toEqual(alone)
      await tokens.db.update(items).set({ n: 4 }).where(eq(items.id, 71))
      expect(await tripsOf(() => tokenById(71))).toEqual(alone)
    })

    test('a hundred readers of one strange row wait for no token of their own process', async () => {
      const read = () => Promise.all(Array.from({ length: 100 }, () => tokenById(73)))
      expect((await tripsOf(read))[0]?.slice(0, 2)).toEqual(['mint', 'mint'])
      expect(rounds).toHaveLength(2)
      expect(tokens.db.$aside.stats()).toMatchObject({ misses: 100, fills: 1, fillsAwaited: { served: 0, lapsed: 0 } })
    })

    test('where stamps are minted after the look-up, the token is taken with them: of a row, a list, a whole answer', async () => {
      await tokenById(50)
      await settled()
      await store.clear('')
      expect(await tripsOf(() => tokenById(50))).toEqual(behindLook)
      const keys = () =>
        tokens.db
          .select()
          .from(items)
          .where(inArray(items.id, [50, 60]))
      expect(await tripsOf(keys)).toEqual(behindLook)
      expect(await tripsOf(() => tokens.db.select().from(items).where(gt(items.id, 98)))).toEqual(behindLook)
    })

    test('where all stamps are there it is a trip of its own', async () => {
      await tokenById(50)
      await settled()
      await store.remove([...kept])
      expect(await tripsOf(() => tokenById(50))).toEqual([['read'], ['mint'], ['write']])
    })

    test("a token in the name of a table's stamp that has gone is asked for anew, with the new one", async () => {
      await tokenById(50)
      await app.db.$aside.invalidate(items)
      const anew = [['mint', 'mint', 'read'], ['mint', 'mint'], ['write']]
      expect(await tripsOf(() => tokenById(51))).toEqual(anew)
    })
  })
})
