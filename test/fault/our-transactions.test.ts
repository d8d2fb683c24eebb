/**
 * A statement that the extension puts a transaction around loses its connection. Over plain Drizzle it would reject and no
 * more: what `pg` says beside that, by an event that nobody listens to, must not end the process.
 */
import { cached, memoryStore, withCache } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { type ClientBase, Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../harness/databases.ts'
import { type TcpProxy, tcpProxy } from '../harness/tcp-proxy.ts'
import { outside } from '../support/items.ts'

const parents = pgTable('parents', { id: integer('id').primaryKey() })
const children = pgTable('children', { id: integer('id').primaryKey(), parentId: integer('parent_id') })

/** Every `error` event of a connection, with how many listened; one that nobody would hear is kept back. */
function watchErrors(pool: Pool) {
  const connections = new Set<ClientBase>()
  const listeners: number[] = []
  pool.on('connect', (connection) => {
    connections.add(connection)
    const emit = connection.emit
    connection.emit = ((event: string, ...args: never[]) => {
      if (event !== 'error') return (emit as (...all: unknown[]) => boolean).apply(connection, [event, ...args])
      listeners.push(connection.listenerCount('error'))
      return connection.listenerCount('error') > 0
        ? (emit as (...all: unknown[]) => boolean).apply(connection, [event, ...args])
        : false
    }) as typeof emit
  })
  return { connections, listeners }
}

describe('a delete whose cascade is read in a transaction of ours', () => {
  let database: FreshDatabase
  let proxy: TcpProxy
  beforeAll(async () => {
    database = await freshDatabase(15)
    await outside(
      database.url,
      'create table parents (id integer primary key)',
      'create table children (id integer primary key, parent_id integer references parents on delete cascade)',
      'insert into parents select generate_series(1, 9)',
      'insert into children select i, i from generate_series(1, 9) i',
    )
    proxy = await tcpProxy(database.url)
  })
  afterAll(async () => {
    await proxy.close()
    await database.drop()
  })

  const open = async () => {
    const pool = new Pool({ connectionString: proxy.url })
    pool.on('error', () => {})
    const watched = watchErrors(pool)
    const db = withCache(drizzle(pool), {
      store: memoryStore(),
      namespace: 'ours',
      tables: [cached(parents), cached(children)],
    })
    await db.$aside.ready()
    const close = async () => {
      await db.$aside.close()
      await pool.end()
    }
    return { db, pool, ...watched, close }
  }

  // The BEGIN is sent before anything else of ours runs.
  test.each([
    ['its BEGIN', 'begin', 1],
    ['its statement', 'delete from', 2],
    ['its COMMIT', 'commit', 3],
  ])(
    'cut at %s it rejects, or is done over another one, and an event that nobody hears is not told',
    async (_, at, id) => {
      const { db, pool, listeners, close } = await open()
      let cuts = 0
      proxy.inspect((direction, chunk) => {
        if (direction !== 'toServer' || cuts > 0 || !chunk.toString('latin1').includes(at)) return 'pass'
        cuts++
        return 'cut'
      })
      const outcome = await db
        .delete(parents)
        .where(eq(parents.id, id))
        .then(
          () => 'done',
          () => 'rejected',
        )
      proxy.heal()
      expect(cuts).toBe(1)
      expect(outcome).toBe(at === 'begin' ? 'done' : 'rejected')
      expect(listeners.length).toBeGreaterThan(0)
      expect(listeners).not.toContain(0)
      // Given back, or thrown away: one that was kept would be missing for good. Others ask what became of the write.
      await expect.poll(() => pool.totalCount - pool.idleCount).toBe(0)
      await close()
    },
  )

  test('nothing listens any longer when the connection is back in its pool', async () => {
    const { db, pool, connections, close } = await open()
    const counts = () => [...connections].map((connection) => connection.listenerCount('error'))
    const before = counts()
    for (const id of [4, 5, 6]) await db.delete(parents).where(eq(parents.id, id))
    expect(pool.idleCount).toBe(connections.size)
    expect(counts()).toEqual(before)
    await close()
  })
})
