import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { settle } from './clock.ts'
import { type FreshDatabase, freshDatabase } from './databases.ts'
import { gate, gatedPool, gatedStore } from './gates.ts'

describe('gate', () => {
  test('holds whoever arrives until it is opened, and lets later ones through', async () => {
    const g = gate()
    let through = 0
    const party = () => g.pass().then(() => through++)
    const both = [party(), party()]
    await g.arrived
    await g.arrivals(2)
    await settle()
    expect(through).toBe(0)
    g.open()
    await Promise.all(both)
    await party()
    expect(through).toBe(3)
  })

  test('arrived waits for the first arrival', async () => {
    const g = gate()
    let arrived = false
    void g.arrived.then(() => {
      arrived = true
    })
    await settle()
    expect(arrived).toBe(false)
    void g.pass()
    await settle()
    expect(arrived).toBe(true)
  })
})

describe('gatedPool', () => {
  let database: FreshDatabase
  let pool: pg.Pool
  beforeAll(async () => {
    database = await freshDatabase(15)
    pool = new pg.Pool({ connectionString: database.url, max: 2 })
    await pool.query('create table t (id int primary key, n int)')
    await pool.query('insert into t values (1, 1)')
  })
  afterAll(async () => {
    await pool.end()
    await database.drop()
  })

  test('hears each statement once before and once after, through pool.query and through a client', async () => {
    const seen: string[] = []
    const own = gatedPool(new pg.Pool({ connectionString: database.url, max: 1 }), (point, { sql, params }) => {
      seen.push(`${point} ${sql} ${JSON.stringify(params)}`)
    })
    await own.query('select $1::int', [7])
    const client = await own.connect()
    expect((await client.query({ text: 'select $1::int as n', values: [8] })).rows).toEqual([{ n: 8 }])
    expect((await client.query({ text: 'select $1::int as n', rowMode: 'array' }, [9])).rows).toEqual([[9]])
    client.release()
    expect(seen).toEqual([
      'before select $1::int [7]',
      'after select $1::int [7]',
      'before select $1::int as n [8]',
      'after select $1::int as n [8]',
      'before select $1::int as n [9]',
      'after select $1::int as n [9]',
    ])
    await own.end()
  })

  test('stays a pg.Pool', async () => {
    const own = new pg.Pool({ connectionString: database.url })
    const gated = gatedPool(own, () => {})
    expect(gated).toBe(own)
    expect(gated).toBeInstanceOf(pg.Pool)
    expect(gated.constructor.name).toContain('Pool')
    await own.end()
  })

  test('a statement held before it is sent sees what was committed meanwhile; one held after it does not', async () => {
    const early = gate()
    const late = gate()
    const own = gatedPool(new pg.Pool({ connectionString: database.url, max: 2 }), async (point, { sql }) => {
      if (point === 'before' && sql.includes('/* early */')) await early.pass()
      if (point === 'after' && sql.includes('/* late */')) await late.pass()
    })
    const heldBefore = own.query('select n from t /* early */')
    const heldAfter = own.query('select n from t /* late */')
    await Promise.all([early.arrived, late.arrived])
    await pool.query('update t set n = 2')
    early.open()
    late.open()
    expect((await heldBefore).rows).toEqual([{ n: 2 }])
    expect((await heldAfter).rows).toEqual([{ n: 1 }])
    await own.end()
  })

  test('statements given to one client keep their order while the first is held', async () => {
    const first = gate()
    const own = gatedPool(new pg.Pool({ connectionString: database.url }), async (point, { sql }) => {
      if (point === 'before' && sql === 'begin') await first.pass()
    })
    const client = await own.connect()
    const begin = client.query('begin')
    const inside = client.query(`select now() = statement_timestamp() as alone`)
    await first.arrived
    first.open()
    await begin
    expect((await inside).rows).toEqual([{ alone: false }])
    await client.query('rollback')
    client.release()
    await own.end()
  })

  test('the errors of statements and of hooks reach the caller, and the pool goes on', async () => {
    const own = gatedPool(new pg.Pool({ connectionString: database.url }), (_, { sql }) => {
      if (sql.includes('unlucky')) throw new Error('made to fail')
    })
    await expect(own.query('select 1/0')).rejects.toMatchObject({ code: '22012' })
    await expect(own.query('select 1 as unlucky')).rejects.toThrow('made to fail')
    expect((await own.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await own.end()
  })
})

describe('gatedStore', () => {
  class Shelf {
    #items = new Map<string, string>()
    async put(key: string, value: string) {
      this.#items.set(key, value)
    }
    async read(key: string) {
      return this.#items.get(key)
    }
    describe() {
      return 'shelf'
    }
  }

  test('calls the hook around every method and keeps private members working', async () => {
    const seen: unknown[] = []
    const store = gatedStore(new Shelf(), (point, call) => void seen.push([point, call.method, call.result]), [
      'describe',
    ])
    await store.put('a', '1')
    expect(await store.read('a')).toBe('1')
    expect(store.describe()).toBe('shelf')
    expect(seen).toEqual([
      ['before', 'put', undefined],
      ['after', 'put', undefined],
      ['before', 'read', undefined],
      ['after', 'read', '1'],
    ])
  })

  test('holds a write while a read goes through', async () => {
    const g = gate()
    const store = gatedStore(new Shelf(), async (point, { method }) => {
      if (point === 'before' && method === 'put') await g.pass()
    })
    const writing = store.put('a', '1')
    await g.arrived
    expect(await store.read('a')).toBeUndefined()
    g.open()
    await writing
    expect(await store.read('a')).toBe('1')
  })
})
