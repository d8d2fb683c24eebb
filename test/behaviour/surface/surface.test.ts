/** What else a db is, beside its statements: properties, logger, replicas, proxies, names; the same when it is wrapped. */
import { randomBytes } from 'node:crypto'
import { type AsideOptions, cached, memoryStore, withCache } from 'drizzle-aside'
import { and, eq, inArray, is, sql } from 'drizzle-orm'
import { drizzle, NodePgDatabase } from 'drizzle-orm/node-postgres'
import { integer, pgSchema, pgTable, text, withReplicas } from 'drizzle-orm/pg-core'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { countStatements } from '../../harness/counting.ts'
import { type FreshDatabase, freshDatabase } from '../../harness/databases.ts'
import { compareSurface } from '../../support/compare-surface.ts'
import { drivers } from '../../support/drivers.ts'
import { surfaceCases } from '../../support/surface-cases.ts'
import { everyTable, openPair } from '../../support/surface-pair.ts'
import { surfaceSchema, surfaceSetUp, users } from '../../support/surface-tables.ts'

let database: FreshDatabase
let pool: Pool
beforeAll(async () => {
  database = await freshDatabase(18)
  pool = new Pool({ connectionString: database.url, max: 4 })
  await pool.query(surfaceSetUp)
})
afterAll(async () => {
  await pool.end()
  await database.drop()
})

const fresh = (tables: AsideOptions['tables']): AsideOptions => ({
  store: memoryStore(),
  namespace: `t-${randomBytes(6).toString('hex')}`,
  tables,
})
// Each wrap has a store of its own, so each has a pool of its own.
const pools: Pool[] = []
afterAll(() => Promise.all(pools.map((each) => each.end())))
function newPool(): Pool {
  const made = new Pool({ connectionString: database.url, max: 2 })
  pools.push(made)
  return made
}

class Lines {
  readonly lines: string[] = []
  logQuery(query: string, params: unknown[]): void {
    this.lines.push(`${query} ${JSON.stringify(params)}`)
  }
}

describe('F13: the db itself', () => {
  it('has the class, the properties and the objects of the plain one', () => {
    const own = newPool()
    const plain = drizzle(own, { schema: surfaceSchema })
    const db = withCache(plain, fresh(everyTable()))
    expect(db).toBeInstanceOf(NodePgDatabase)
    expect(is(db, NodePgDatabase)).toBe(true)
    expect(
      Object.keys(db)
        .filter((key) => key !== '$aside')
        .sort(),
    ).toEqual(Object.keys(plain).sort())
    expect(db.$client).toBe(own)
    expect(Object.keys(db._)).toEqual(Object.keys(plain._))
    expect(db._.schema).toBe(plain._.schema)
    expect(db._.fullSchema).toBe(plain._.fullSchema)
    expect(db._.tableNamesMap).toBe(plain._.tableNamesMap)
    expect(Object.keys(db.query)).toEqual(Object.keys(plain.query))
    // The db that was passed in stays as it was.
    expect('$aside' in plain).toBe(false)
  })

  it('logs what plain Drizzle logs when no table is cached', async () => {
    const logs = [new Lines(), new Lines()] as const
    const run = async (db: NodePgDatabase<typeof surfaceSchema>): Promise<void> => {
      await db.select().from(users).where(eq(users.id, 1))
      await db.query.users.findMany({ where: inArray(users.id, [1, 2]), with: { posts: true } })
      await db.transaction(async (tx) => {
        await tx.update(users).set({ mood: 'low' }).where(eq(users.id, 1))
        await tx.transaction((inner) => inner.execute(sql`select 1`))
      })
      await db.delete(users).where(eq(users.id, 404))
      await db.$count(users)
    }
    await run(drizzle(newPool(), { schema: surfaceSchema, logger: logs[0] }))
    const db = withCache(drizzle(newPool(), { schema: surfaceSchema, logger: logs[1] }), fresh([]))
    await run(db)
    await db.$aside.close()
    expect(logs[1].lines).toEqual(logs[0].lines)
    expect(logs[0].lines.length).toBeGreaterThan(6)
  })

  it('logs the statements that run, and nothing on a hit', async () => {
    const log = new Lines()
    const db = withCache(drizzle(newPool(), { schema: surfaceSchema, logger: log }), fresh(everyTable()))
    await db.$aside.ready()
    log.lines.length = 0
    for (let round = 0; round < 3; round++) await db.select().from(users).where(eq(users.id, 1))
    expect(log.lines).toHaveLength(1)
    await db.$aside.close()
  })

  it('F16: can be the primary of withReplicas', async () => {
    const replica = drizzle(newPool(), { schema: surfaceSchema })
    const own = newPool()
    const seen = countStatements(own)
    const primary = withCache(drizzle(own, { schema: surfaceSchema }), fresh(everyTable()))
    await primary.$aside.ready()
    const db = withReplicas(primary, [replica as typeof primary])
    const find = () => primary.select({ tags: users.tags }).from(users).where(eq(users.id, 5))
    expect(await find()).toEqual([{ tags: ['y'] }])
    seen.reset()
    await find()
    expect(seen.count()).toBe(0)
    expect(
      await db
        .update(users)
        .set({ tags: ['z'] })
        .where(eq(users.id, 5))
        .returning({ tags: users.tags }),
    ).toEqual([{ tags: ['z'] }])
    expect(await find()).toEqual([{ tags: ['z'] }])
    expect(await db.select({ tags: users.tags }).from(users).where(eq(users.id, 5))).toEqual([{ tags: ['z'] }])
    expect(await db.query.users.findFirst({ where: eq(users.id, 5), columns: { tags: true } })).toEqual({ tags: ['z'] })
    expect(db.$primary.$aside.stats().invalidations).toBe(1)
    await primary.$aside.close()
  })

  it('works behind a Proxy that binds its methods', async () => {
    const [driver] = drivers
    if (!driver) throw new Error('no driver')
    const pair = await openPair(driver, 18)
    try {
      const proxied = new Proxy(pair.wrapped, {
        get: (db, key) => {
          const value: unknown = Reflect.get(db, key, db)
          return typeof value === 'function' ? value.bind(db) : value
        },
      })
      const cases = surfaceCases.filter(({ name }) => !name.includes('after writes'))
      expect(await compareSurface(pair.plain, proxied, { rounds: 1, cases })).toEqual([])
      expect(proxied.$aside.stats().hits).toBeGreaterThan(0)
    } finally {
      await pair.close()
    }
  })
})

describe('F7: prepared statements', () => {
  it('serve each value from its own record, follow writes, and ask the database in a transaction', async () => {
    const own = newPool()
    const seen = countStatements(own)
    const db = withCache(drizzle(own, { schema: surfaceSchema }), fresh(everyTable()))
    await db.$aside.ready()
    const named = db
      .select({ name: users.fullName })
      .from(users)
      .where(eq(users.id, sql.placeholder('id')))
      .prepare('by_id')
    const rename = db
      .update(users)
      .set({ fullName: sql`${sql.placeholder('name')}` })
      .where(eq(users.id, sql.placeholder('id')))
      .prepare('rename')
    const before = [await named.execute({ id: 3 }), await named.execute({ id: 4 }), await named.execute({ id: 404 })]
    expect(before).toEqual([[{ name: 'Cyd' }], [{ name: 'Dee' }], []])
    seen.reset()
    for (const [at, id] of [3, 4, 404].entries()) expect(await named.execute({ id })).toEqual(before[at])
    expect(seen.count()).toBe(0)
    for (const name of ['one', 'two', 'three']) {
      await rename.execute({ id: 3, name })
      expect(await named.execute({ id: 3 })).toEqual([{ name }])
      seen.reset()
      expect(await named.execute({ id: 4 })).toEqual([{ name: 'Dee' }])
      expect(seen.count()).toBe(0)
    }
    await db.transaction(async (tx) => {
      const inner = tx
        .select({ name: users.fullName })
        .from(users)
        .where(eq(users.id, sql.placeholder('id')))
        .prepare('by_id_inside')
      await tx.update(users).set({ fullName: 'inside' }).where(eq(users.id, 3))
      expect(await inner.execute({ id: 3 })).toEqual([{ name: 'inside' }])
      expect(await named.execute({ id: 3 })).toEqual([{ name: 'three' }])
    })
    expect(await named.execute({ id: 3 })).toEqual([{ name: 'inside' }])
    await db.$aside.close()
  })
})

describe('F10: default and on-update functions', () => {
  const calls = { given: 0, changed: 0 }
  const counted = pgTable('counted', {
    id: integer().primaryKey(),
    code: text()
      .unique()
      .$defaultFn(() => `given ${++calls.given}`),
    mark: text().$onUpdate(() => `changed ${++calls.changed}`),
  })

  it.each([15, 18] as const)('are called exactly once for each statement, on PostgreSQL %s', async (line) => {
    const own = await freshDatabase(line)
    const ownPool = new Pool({ connectionString: own.url })
    await ownPool.query('create table counted (id int primary key, code text unique, mark text)')
    const db = withCache(drizzle(ownPool), fresh([cached(counted)]))
    await db.$aside.ready()
    const called = async (run: () => PromiseLike<unknown>): Promise<typeof calls> => {
      Object.assign(calls, { given: 0, changed: 0 })
      await run()
      return { ...calls }
    }
    const once = { given: 1, changed: 1 }
    expect(await called(() => db.insert(counted).values({ id: 1 }))).toEqual(once)
    expect(
      await called(() =>
        db.insert(counted).values([
          { id: 2, code: 'b' },
          { id: 3, code: 'c' },
        ]),
      ),
    ).toEqual({
      given: 0,
      changed: 2,
    })
    expect(await called(() => db.insert(counted).values({ id: 4, code: 'd' }).returning())).toEqual({
      given: 0,
      changed: 1,
    })
    const onlyChanged = { given: 0, changed: 1 }
    expect(await called(() => db.update(counted).set({ code: 'x' }).where(eq(counted.id, 1)))).toEqual(onlyChanged)
    expect(await called(() => db.update(counted).set({ code: sql`code || id` }))).toEqual(onlyChanged)
    expect(await called(() => db.update(counted).set({ code: 'y' }).where(eq(counted.id, 1)).returning())).toEqual(
      onlyChanged,
    )
    expect(
      await called(() => db.transaction((tx) => tx.update(counted).set({ code: 'z' }).where(eq(counted.id, 1)))),
    ).toEqual(onlyChanged)
    await db.$aside.close()
    await ownPool.end()
    await own.drop()
  })
})

describe('F11: names', () => {
  const other = pgSchema('other')
  const people = pgTable('people', {
    id: integer().primaryKey(),
    fullName: text(),
    emailAddress: text().unique(),
    givenName: text('given'),
  })
  const orders = pgTable('orders', { orgId: integer().notNull(), lineNo: integer().notNull(), noteText: text() })
  const otherPeople = other.table('people', { id: integer().primaryKey(), fullName: text() })
  const schema = { people, orders, otherPeople }

  it("casing: 'snake_case' and two tables of one name in two schemas are told apart", async () => {
    const own = await freshDatabase(15)
    const ownPool = new Pool({ connectionString: own.url })
    await ownPool.query(`
      create schema other;
      create table people (id int primary key, full_name text, email_address text unique, given text);
      create table orders (org_id int, line_no int, note_text text, primary key (org_id, line_no));
      create table other.people (id int primary key, full_name text);
      insert into people values (1, 'Ada L', 'ada@x', 'Ada'), (2, 'Bob B', 'bob@x', 'Bob');
      insert into orders values (1, 1, 'first'), (1, 2, 'second');
      insert into other.people values (1, 'Other')`)
    const seen = countStatements(ownPool)
    const plain = drizzle(ownPool, { schema, casing: 'snake_case' })
    const db = withCache(
      drizzle(ownPool, { schema, casing: 'snake_case' }),
      fresh([cached(people), cached(orders), cached(otherPeople)]),
    )
    await db.$aside.ready()
    type Db = typeof plain
    const reads: ((db: Db) => PromiseLike<unknown>)[] = [
      (each) => each.select().from(people).where(eq(people.id, 1)),
      (each) => each.select().from(people).where(eq(people.emailAddress, 'ada@x')),
      (each) => each.query.people.findFirst({ where: eq(people.emailAddress, 'bob@x'), columns: { givenName: true } }),
      (each) =>
        each
          .select()
          .from(orders)
          .where(and(eq(orders.lineNo, 2), eq(orders.orgId, 1))),
      (each) => each.select().from(otherPeople).where(eq(otherPeople.id, 1)),
      (each) => each.query.otherPeople.findFirst({ where: (t, { eq }) => eq(t.id, 1) }),
    ]
    const check = async (): Promise<number> => {
      let asked = 0
      for (const read of reads) {
        const truth = await read(plain)
        seen.reset()
        expect(await read(db)).toEqual(truth)
        asked += seen.count()
      }
      return asked
    }
    await check()
    expect(await check()).toBe(0)
    await db.update(people).set({ fullName: 'Ada M', emailAddress: 'ada@y' }).where(eq(people.id, 1))
    // The row by its key, and "not found" by the address it had; the other table of this name is spared.
    expect(await check()).toBe(2)
    expect(await db.update(otherPeople).set({ fullName: 'New' }).where(eq(otherPeople.id, 1)).returning()).toEqual([
      { id: 1, fullName: 'New' },
    ])
    // Two reads of one record.
    expect(await check()).toBe(1)
    await db.update(orders).set({ noteText: sql`note_text || '!'` }).where(eq(orders.orgId, 1))
    expect(await check()).toBe(1)
    await db.$aside.close()
    await ownPool.end()
    await own.drop()
  })
})

describe('F14, F15: who is heard', () => {
  it('F14: a write that touches no row invalidates nothing', async () => {
    const own = newPool()
    const db = withCache(drizzle(own, { schema: surfaceSchema }), fresh(everyTable()))
    await db.$aside.ready()
    await db.update(users).set({ fullName: 'x' }).where(eq(users.id, 404))
    await db.update(users).set({ email: 'x' }).where(eq(users.id, 404)).returning()
    await db.update(users).set({ fullName: 'x' }).where(sql`false`)
    await db.delete(users).where(eq(users.id, 404))
    await db.insert(users).values({ email: 'ada@x', fullName: 'x' }).onConflictDoNothing()
    await db
      .insert(users)
      .values({ email: 'ada@x', fullName: 'x' })
      .catch(() => undefined)
    expect(db.$aside.stats().invalidations).toBe(0)
    await db.$aside.close()
  })

  it('D16, F15: a plain db over the same client is not heard, until the user tells', async () => {
    const own = newPool()
    const plain = drizzle(own, { schema: surfaceSchema })
    const db = withCache(drizzle(own, { schema: surfaceSchema }), fresh(everyTable()))
    await db.$aside.ready()
    const mood = async () => (await db.select({ mood: users.mood }).from(users).where(eq(users.id, 4)))[0]?.mood
    expect(await mood()).toBe('mid')
    await plain.update(users).set({ mood: 'low' }).where(eq(users.id, 4))
    expect(await mood()).toBe('mid')
    await db.$aside.wrote(users, { new: { id: 4, email: 'dee@x' } })
    expect(await mood()).toBe('low')
    await db.$aside.close()
  })
})
