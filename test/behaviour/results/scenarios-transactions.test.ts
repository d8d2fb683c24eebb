/**
 * Transactions (SCENARIOS C) and answers that are kept as a whole: lists, joins, aggregates, relational queries. C6, where
 * an answer gets lost on its way, is `fault/lost-answers.test.ts`.
 */
import { aside, memoryStore, type Store, type WithAside } from 'drizzle-aside'
import { asc, eq, sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ManualClock, manualClock } from '../../harness/clock.ts'
import { type FreshDatabase, freshDatabase, privatePostgres } from '../../harness/databases.ts'
import { gate, gatedStore } from '../../harness/gates.ts'
import { type App, type Driver, type DriverHome, drivers, homeOf } from '../../support/drivers.ts'
import { outside } from '../../support/items.ts'
import { openApp } from '../../support/open-app.ts'
import { type OpenedStores, storeKinds } from '../../support/races.ts'
import {
  authors,
  born,
  byAuthor,
  comments,
  innerJoin,
  list,
  mainKinds,
  posts,
  relationalList,
  renameAuthor,
  type Scene,
  type SceneDb,
  type SceneRead,
  scene,
  sceneRows,
  sceneSetUp,
  sceneTables,
  setPost,
} from '../../support/results-scene.ts'

const setUp = `${sceneSetUp}
  create table late (id int primary key, post_id int references posts deferrable initially deferred);
  create function touch_post() returns int language sql volatile as
    $$ update posts set title = 'by function' where id = 1 returning 1 $$;`
const reset = `truncate late; ${sceneRows.replace('truncate', 'truncate late,')}`

const boom = new Error('boom')
const throwing = async (): Promise<never> => {
  throw boom
}
const postTree =
  (id: number): SceneRead =>
  (db) =>
    db.query.posts.findFirst({ where: eq(posts.id, id), with: { comments: true, author: true } })

describe.each(drivers.map((driver) => [driver.name, driver] as const))('over %s', (_, driver) =>
  transactionsOver(driver),
)

function transactionsOver(driver: Driver): void {
  let home: DriverHome
  let app: App
  let db: WithAside<NodePgDatabase<Scene>>
  let plain: NodePgDatabase<Scene>
  let store: Store

  beforeAll(async () => {
    home = await homeOf(driver, setUp)
    store = memoryStore()
    app = await home.open({ store, namespace: 'tx', schema: scene, tables: sceneTables })
    db = app.db as unknown as typeof db
    plain = app.plain as unknown as typeof plain
  })
  afterAll(async () => {
    await app.close()
    await home.drop()
  })
  beforeEach(async () => {
    await home.outside(reset)
    await db.$aside.flush()
    app.told.forget()
  })
  afterEach(async () => {
    for (const { read } of mainKinds) await expectCurrent(read)
  })

  type Run = () => Promise<void>
  /** Where the outer db has a connection of its own while a transaction is open. */
  const apart = (name: string, run: Run): void => {
    if (driver.outer === 'another connection') it(name, run)
  }
  const isHit = async (read: SceneRead): Promise<boolean> => {
    const { hits } = db.$aside.stats()
    await read(db)
    return db.$aside.stats().hits === hits + 1
  }
  /** Joins learn their partners with a first answer that is not kept. */
  const keep = async (...reads: readonly SceneRead[]): Promise<void> => {
    for (const read of reads) {
      await read(db)
      await read(db)
      expect(await isHit(read)).toBe(true)
    }
  }
  const expectCurrent = async (read: SceneRead): Promise<void> => {
    for (let turn = 0; turn < 2; turn++) expect(await read(db)).toEqual(await read(plain))
  }

  describe.each(mainKinds.map((kind) => [kind.name, kind] as const))('%s', (_, { read, change }) => {
    let before: unknown
    beforeEach(async () => {
      await keep(read)
      before = await read(plain)
      app.told.forget()
    })
    const expectKept = async (): Promise<void> => {
      expect(app.told.of('invalidate')).toEqual([])
      expect(await isHit(read)).toBe(true)
      expect(await read(db)).toEqual(before)
    }
    const expectChanged = async (): Promise<void> => {
      expect(await read(db)).not.toEqual(before)
      await expectCurrent(read)
    }

    it('C1: does not fall before the commit, and has fallen when the promise resolves', async () => {
      await db.transaction(async (tx) => {
        await change(tx)
        expect(app.told.of('invalidate')).toEqual([])
      })
      expect(app.told.of('invalidate')).toMatchObject([{ cause: 'transaction', epochs: 0 }])
      await expectChanged()
    })

    it('C2, F2: what a transaction reads back of its own writes reaches nobody, and a rollback costs nothing', async () => {
      const failed = db.transaction(async (tx) => {
        await change(tx)
        expect(await read(tx)).not.toEqual(before)
        expect(await read(tx)).not.toEqual(before)
        throw boom
      })
      await expect(failed).rejects.toBe(boom)
      await expectKept()
    })

    it('C3: a released savepoint is undone with the transaction around it', async () => {
      const failed = db.transaction(async (tx) => {
        await tx.transaction(async (inner) => void (await change(inner)))
        expect(await read(tx)).not.toEqual(before)
        throw boom
      })
      await expect(failed).rejects.toBe(boom)
      await expectKept()
    })

    it('C4: falls with the commit when a released savepoint wrote, and need not when that was rolled back', async () => {
      await db.transaction(async (tx) => {
        const undone = tx.transaction(async (inner) => {
          await change(inner)
          throw boom
        })
        await expect(undone).rejects.toBe(boom)
        expect(await read(tx)).toEqual(before)
      })
      await expectKept()
      await db.transaction((tx) => tx.transaction(async (inner) => void (await change(inner))))
      await expectChanged()
    })

    it('C5: falls though the transaction survived an error after the write', async () => {
      await db.transaction(async (tx) => {
        await change(tx)
        await tx.transaction(throwing).catch(() => {})
      })
      await expectChanged()
    })

    it('C5: stays when a constraint fails at COMMIT', async () => {
      const failed = db.transaction(async (tx) => {
        await change(tx)
        await aside(tx).with({ writes: [] }).execute(sql`insert into late values (1, 99)`)
      })
      await expect(failed).rejects.toThrow()
      await expectKept()
    })

    it('C8, F1: is read in a transaction as that has made it, and neither hits nor fills', async () => {
      const { hits, fills } = db.$aside.stats()
      await db.transaction(async (tx) => {
        expect(await read(tx)).toEqual(before)
        await change(tx)
        expect(await read(tx)).not.toEqual(before)
        await tx.delete(posts)
        expect(JSON.stringify(await read(tx))).toBe('[]')
      })
      expect(db.$aside.stats()).toMatchObject({ hits, fills })
      await expectChanged()
    })

    it('C11: falls at the commit of a transaction that outlives everything in the store', async () => {
      await db.transaction(async (tx) => {
        await change(tx)
        await store.clear('da1:')
        if (driver.outer === 'another connection') await keep(read)
      })
      await expectChanged()
    })

    it('C13: falls with what is written while reads are off, by hand or by handle', async () => {
      db.$aside.reads('off')
      await change(db)
      db.$aside.reads('on')
      await expectChanged()
      await keep(read)
      const uncached = db.$aside.with({ cache: false })
      await uncached.transaction(async (tx) => void (await tx.delete(posts).where(eq(posts.id, 1))))
      await expectCurrent(read)
    })

    apart(
      'C9, 11: two identical reads at once, one of them in a transaction that wrote, do not share an answer',
      async () => {
        await db.transaction(async (tx) => {
          await change(tx)
          await db.$aside.invalidate(posts)
          const [inside, beside] = await Promise.all([read(tx), read(db)])
          expect(inside).not.toEqual(before)
          expect(beside).toEqual(before)
        })
        await expectChanged()
      },
    )

    apart('C9: what another party keeps while the transaction is open dies with the commit', async () => {
      await db.transaction(async (tx) => {
        await change(tx)
        await db.$aside.flush()
        await keep(read)
      })
      await expectChanged()
    })

    apart('F1: is read in a transaction as another session has committed it meanwhile', async () => {
      await db.transaction(async (tx) => {
        expect(await read(tx)).toEqual(before)
        await change(db)
        expect(await read(tx)).not.toEqual(before)
      })
      await expectChanged()
    })

    apart('C12: hits for everybody while a writer is idle in its transaction', async () => {
      await db.transaction(async (tx) => {
        await change(tx)
        app.sql.reset()
        for (let turn = 0; turn < 3; turn++) expect(await read(db)).toEqual(before)
        expect(app.sql.count()).toBe(0)
      })
      await expectChanged()
    })

    apart('C14: a long transaction that commits last does not bring back what others wrote meanwhile', async () => {
      await db.transaction(async (tx) => {
        await setPost(7, { title: 'long', score: 700 })(tx)
        await change(db)
        await keep(read)
        expect(await read(tx)).not.toEqual(before)
      })
      await expectChanged()
    })

    apart('C17: a serialization failure leaves it as it was, and the retry that commits changes it', async () => {
      let attempts = 0
      const attempt = () =>
        db.transaction(
          async (tx) => {
            await tx.select().from(posts).where(eq(posts.id, 4))
            if (++attempts === 1) await setPost(4, { score: 4 })(db)
            await setPost(4, { score: 44 })(tx)
            await change(tx)
          },
          { isolationLevel: 'serializable' },
        )
      await expect(attempt()).rejects.toThrow()
      await expectCurrent(read)
      await attempt()
      await expectChanged()
    })
  })

  it('C8: lists and trees in a transaction see what raw SQL, a function and TRUNCATE have done', async () => {
    await keep(list.read, postTree(1), relationalList.read)
    await db.transaction(async (tx) => {
      await tx.execute(sql`select touch_post()`)
      expect(await postTree(1)(tx)).toMatchObject({ title: 'by function' })
      expect(await list.read(tx)).toMatchObject([{ title: 'by function' }, {}, {}, {}])
      await tx.execute(sql`truncate comments`)
      expect(await postTree(1)(tx)).toMatchObject({ comments: [] })
    })
    for (const read of [list.read, postTree(1), relationalList.read]) await expectCurrent(read)
  })

  it('C10, 53: locking reads of lists and joins reach PostgreSQL, kept or not, inside and outside a transaction', async () => {
    await keep(list.read, innerJoin.read)
    const ofAuthor = (each: SceneDb) => each.select().from(posts).where(eq(posts.authorId, 1)).orderBy(asc(posts.id))
    const joined = (each: SceneDb) =>
      each
        .select({ title: posts.title, by: authors.name })
        .from(posts)
        .innerJoin(authors, eq(authors.id, posts.authorId))
        .where(eq(posts.status, 'live'))
        .orderBy(asc(posts.id))
    for (const strength of ['update', 'no key update', 'share', 'key share'] as const) {
      for (const config of [{}, { skipLocked: true }, { noWait: true }] as const) {
        app.sql.reset()
        const locking = (each: SceneDb) => [ofAuthor(each).for(strength, config), joined(each).for(strength, config)]
        for (const query of locking(db)) await query
        await db.transaction(async (tx) => {
          for (const query of locking(tx)) await query
        })
        expect(app.sql.count(/ for /)).toBe(4)
      }
    }
  })

  apart(
    'C18: an id that is handed on before its row is committed leaves no lasting empty tree, join or list',
    async () => {
      const ofPost: SceneRead = (each) => each.select().from(comments).where(eq(comments.postId, 13))
      const reads = [postTree(13), ofPost, byAuthor(4)]
      await db.transaction(async (tx) => {
        await born(4)(tx)
        await tx.insert(comments).values({ postId: 13, body: 'born' })
        await keep(...reads)
        expect([await postTree(13)(db), await ofPost(db), await byAuthor(4)(db)]).toEqual([undefined, [], []])
      })
      for (const read of reads) await expectCurrent(read)
      expect(await postTree(13)(db)).toMatchObject({ id: 13, comments: [{ body: 'born' }] })
    },
  )
}

describe.each(storeKinds)('two processes over $name', (kind) => {
  type SceneApp = Awaited<ReturnType<typeof openApp<Scene>>>
  let database: FreshDatabase
  let opened: OpenedStores
  let clock: ManualClock
  let apps: SceneApp[]
  const reads = [list.read, innerJoin.read, relationalList.read]
  /** Several rows of each of these answers. */
  const changeMany = (db: SceneApp['db']) =>
    db.transaction(async (tx) => {
      for (const id of [1, 7]) await setPost(id, { title: 'together' })(tx)
      await renameAuthor(1)(tx)
    })

  beforeAll(async () => {
    database = await freshDatabase()
    await outside(database.url, setUp)
  })
  afterAll(() => database.drop())
  beforeEach(async () => {
    await outside(database.url, reset)
    clock = manualClock()
    opened = await kind.open(clock, database.name)
    apps = []
  })
  afterEach(async () => {
    await Promise.all(apps.map((app) => app.close()))
    await opened.close()
  })
  async function open(store: Store, own = clock): Promise<SceneApp> {
    const shared = { url: database.url, namespace: opened.namespace, schema: scene, tables: sceneTables }
    const app = await openApp<Scene>({ ...shared, clock: own, store })
    apps.push(app)
    return app
  }
  const untilHit = async (app: SceneApp, read: SceneRead): Promise<void> => {
    await expect
      .poll(async () => {
        const { hits } = app.db.$aside.stats()
        await read(app.db)
        return app.db.$aside.stats().hits - hits
      })
      .toBe(1)
  }
  /** A writer whose news are held once it has committed. */
  async function heldWriter(own = clock) {
    const held = gate()
    const holding = gatedStore(opened.stores[0], (point, { method }) =>
      point === 'before' && method === kind.removing ? held.pass() : undefined,
    )
    return { writer: await open(holding, own), held }
  }

  const alone = async (db: SceneApp['db']): Promise<void> => {
    await setPost(1, { title: 'alone' })(db)
  }
  const writes = [
    ['a transaction', changeMany],
    ['a statement', alone],
  ] as const
  const says = 'C15: between the commit of %s and its news an answer is wholly old or wholly new, and new from then on'
  it.each(writes)(says, async (_, write) => {
    const { writer, held } = await heldWriter()
    const reader = await open(opened.stores[1])
    for (const read of reads) await untilHit(reader, read)
    const old = await Promise.all(reads.map((read) => read(reader.plain)))
    const fresh: SceneRead = (db) => db.select().from(posts).where(eq(posts.authorId, 1)).orderBy(asc(posts.title))
    let resolved = false
    const writing = write(writer.db).then(() => {
      resolved = true
    })
    await held.arrived
    for (const [at, read] of reads.entries()) expect(await read(reader.db)).toEqual(old[at])
    expect(await fresh(reader.db)).toEqual(await fresh(reader.plain))
    // Who is told that it is written reads it.
    expect(resolved).toBe(false)
    held.open()
    await writing
    for (const read of [...reads, fresh]) expect(await read(reader.db)).toEqual(await read(reader.plain))
  })

  it('C16: right after its commit a writer and everybody else read what was written', async () => {
    const writer = await open(opened.stores[0])
    const other = await open(opened.stores[1])
    for (let turn = 0; turn < 5; turn++) {
      for (const app of [writer, other]) for (const read of reads) await untilHit(app, read)
      await writer.db.transaction(async (tx) => {
        await setPost(1, { title: `turn ${turn}` })(tx)
        await renameAuthor(1, `turn ${turn}`)(tx)
      })
      for (const app of [writer, other]) {
        for (const read of reads) expect(JSON.stringify(await read(app.db))).toContain(`turn ${turn}`)
      }
    }
  })

  // Redis keeps its own time, which no test can move.
  it.runIf(kind.removing === 'remove')(
    'C7: what a process left behind that died between its commit and its news lives no longer than its time to live',
    async () => {
      const { writer, held } = await heldWriter(manualClock())
      const reader = await open(opened.stores[1])
      for (const read of reads) await untilHit(reader, read)
      const lost = changeMany(writer.db)
      await held.arrived
      // Five minutes, and the tenth by which lives differ.
      await clock.advanceAndSettle(5.5 * 60_000 + 1)
      for (const read of reads) expect(await read(reader.db)).toEqual(await read(reader.plain))
      held.open()
      await lost
    },
  )
})

it('C17: a transaction that is prepared, and committed by another session, changes lists and joins with that commit', async () => {
  const server = await privatePostgres(15, ['max_prepared_transactions=2'])
  await outside(server.url, setUp)
  const app = await openApp<Scene>({ url: server.url, namespace: '2pc', schema: scene, tables: sceneTables })
  const reads = [list.read, innerJoin.read, relationalList.read]
  const keep = async (): Promise<void> => {
    for (const read of [...reads, ...reads]) await read(app.db)
    const { hits } = app.db.$aside.stats()
    for (const read of reads) await read(app.db)
    expect(app.db.$aside.stats().hits).toBe(hits + reads.length)
  }
  for (const [name, end] of [
    ['first', 'commit'],
    ['second', 'rollback'],
  ] as const) {
    await keep()
    await app.db.transaction(async (tx) => {
      await setPost(1, { title: name })(tx)
      await renameAuthor(1, name)(tx)
      await tx.execute(sql.raw(`prepare transaction '${name}'`))
    })
    // Not committed yet: what is kept now is what was.
    await keep()
    for (const read of reads) expect(JSON.stringify(await read(app.db))).not.toContain(name)
    await app.db.execute(sql.raw(`${end} prepared '${name}'`))
    for (const read of reads) {
      expect(await read(app.db)).toEqual(await read(app.plain))
      if (end === 'commit') expect(JSON.stringify(await read(app.db))).toContain(name)
    }
  }
  await app.close()
  await server.stop()
})
