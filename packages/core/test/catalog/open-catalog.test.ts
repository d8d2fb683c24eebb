import { beforeEach, describe, expect, it } from 'vitest'
import { type ManualClock, manualClock, settle } from '../../../../test/harness/clock.ts'
import { type Catalog, type CatalogOptions, openCatalog } from '../../src/catalog/open-catalog.ts'
import { relationId } from '../../src/model/facts.ts'
import type { AsideEvent } from '../../src/ports/events.ts'
import { answer, column, relation, serial } from './answers.ts'

const users = relationId('public', 'users')
const small = answer({ relations: [relation(1, 'users')] })
const wider = answer({ relations: [relation(1, 'users', { columns: [serial, column(2, 'more')] })] })
const armed = answer({ relations: [relation(1, 'users', { triggers: [['t', 5, false, []]] })] })

let clock: ManualClock
let database: ReturnType<typeof fakeDatabase>
let events: AsideEvent[]
let changes: unknown[][]

beforeEach(() => {
  clock = manualClock()
  database = fakeDatabase()
  events = []
  changes = []
})

/** Answers catalog queries one by one when told to, identity queries at once. */
function fakeDatabase() {
  const waiting: { answer: (text: string) => void; fail: (error: unknown) => void }[] = []
  const state = { catalogQueries: 0, identityQueries: 0, identity: async (_sql: string): Promise<string> => '42' }
  const run = (sql: string): Promise<readonly (readonly unknown[])[]> => {
    if (!sql.includes('json_build_object')) {
      state.identityQueries += 1
      return state.identity(sql).then((text) => [[text]])
    }
    state.catalogQueries += 1
    return new Promise((resolve, reject) =>
      waiting.push({ answer: (text) => resolve([[text]]), fail: (error) => reject(error) }),
    )
  }
  const next = () => waiting.shift() ?? expect.unreachable('nothing was asked')
  const reply = async (text: string) => {
    next().answer(text)
    await settle()
  }
  const fail = async (error: unknown = new Error('gone')) => {
    next().fail(error)
    await settle()
  }
  return { state, run, reply, fail, open: () => waiting.length }
}

function open(more: Partial<CatalogOptions> = {}): Catalog {
  return openCatalog({
    run: database.run,
    clock,
    emit: (event) => void events.push(event),
    onChange: (...call) => void changes.push(call),
    ...more,
  })
}

async function opened(more: Partial<CatalogOptions> = {}): Promise<Catalog> {
  const catalog = open(more)
  catalog.want()
  await database.reply(small)
  return catalog
}

describe('when it reads', () => {
  it('nothing is sent before the first query', async () => {
    const catalog = open()
    await clock.advanceAndSettle(100_000)
    expect([database.state.catalogQueries, clock.pending(), catalog.state]).toEqual([0, 0, 'unread'])
    expect(catalog.facts).toBeUndefined()
  })

  it('the first query starts one reading, however many follow', async () => {
    const catalog = open()
    for (let i = 0; i < 5; i++) catalog.want()
    expect([database.state.catalogQueries, catalog.state]).toEqual([1, 'reading'])
    await database.reply(small)
    expect(catalog.state).toBe('known')
    expect(catalog.facts).toMatchObject({ version: 1, systemIdentifier: '42', timeline: '42' })
    expect(events).toEqual([{ type: 'catalogRead', relations: 1, version: 1 }])
    expect(changes).toEqual([])
  })

  it('facts are read again with the first query after 30 s, not before and not by themselves', async () => {
    const catalog = await opened()
    await clock.advanceAndSettle(29_999)
    catalog.want()
    expect(database.open()).toBe(0)
    await clock.advanceAndSettle(1_000_000)
    expect([database.open(), clock.pending()]).toEqual([0, 0])
    catalog.want()
    expect(database.open()).toBe(1)
    expect(catalog.state).toBe('known')
  })

  it('rereadMs moves that', async () => {
    const catalog = await opened({ rereadMs: 50 })
    await clock.advanceAndSettle(50)
    catalog.want()
    expect(database.open()).toBe(1)
  })

  it('after an idle time nothing is decided from facts older than staleMs; the next reading brings them back', async () => {
    const catalog = await opened({ rereadMs: 24_000, staleMs: 30_000 })
    await clock.advanceAndSettle(29_999)
    expect(catalog.facts).toBeDefined()
    await clock.advanceAndSettle(1)
    expect(catalog.facts).toBeUndefined()
    const ready = catalog.ready()
    await database.reply(small)
    await ready
    expect([catalog.facts?.version, database.state.catalogQueries]).toEqual([1, 2])
  })

  it('facts that were stale are there again before onChange is called, which must not wait for itself', async () => {
    const seen: unknown[] = []
    const catalog: Catalog = await opened({
      rereadMs: 24_000,
      staleMs: 30_000,
      onChange: async () => void seen.push(catalog.facts?.version),
    })
    await clock.advanceAndSettle(30_000)
    catalog.want()
    await database.reply(wider)
    expect(seen).toEqual([2])
  })

  it('while queries run, facts never grow stale', async () => {
    const catalog = await opened({ rereadMs: 24_000, staleMs: 30_000 })
    await clock.advanceAndSettle(24_000)
    catalog.want()
    await database.reply(small)
    await clock.advanceAndSettle(20_000)
    expect(catalog.facts).toBeDefined()
  })

  it('expired facts are read again with the next query and used meanwhile', async () => {
    const catalog = await opened()
    catalog.expire('42P01')
    expect(database.open()).toBe(0)
    catalog.want()
    catalog.want()
    expect(database.open()).toBe(1)
    expect(catalog.facts?.version).toBe(1)
  })

  it('facts that expire during a reading are read once more', async () => {
    const catalog = await opened()
    catalog.expire('ddl')
    catalog.want()
    catalog.expire('ddl')
    await database.reply(wider)
    catalog.want()
    expect(database.open()).toBe(1)
    await database.reply(wider)
    catalog.want()
    expect(database.open()).toBe(0)
  })

  it('facts that expire all the time leave the database nine tenths of it', async () => {
    const catalog = await opened()
    catalog.expire('42P01')
    catalog.want()
    await clock.advanceAndSettle(20)
    await database.reply(small)
    catalog.expire('42P01')
    await clock.advanceAndSettle(179)
    catalog.want()
    expect(database.open()).toBe(0)
    await clock.advanceAndSettle(1)
    catalog.want()
    expect(database.open()).toBe(1)
  })
})

describe('when it fails', () => {
  it('the first failure leaves no facts, the next tries come after 1, 2, 4 … 30 s', async () => {
    const catalog = open()
    for (const rest of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      catalog.want()
      await database.fail()
      expect(catalog.state).toBe('failed')
      await clock.advanceAndSettle(rest - 1)
      catalog.want()
      expect(database.open()).toBe(0)
      await clock.advanceAndSettle(1)
    }
    expect(events.every((event) => event.type === 'catalogFailed')).toBe(true)
    catalog.want()
    await database.reply(small)
    expect(catalog.state).toBe('known')
  })

  it('a failed re-reading keeps the facts, and a good one ends the rests', async () => {
    const catalog = await opened()
    catalog.expire('08006')
    catalog.want()
    await database.fail()
    expect([catalog.state, catalog.facts?.version]).toEqual(['known', 1])
    await clock.advanceAndSettle(1_000)
    catalog.want()
    await database.reply(small)
    catalog.expire('08006')
    catalog.want()
    await database.fail()
    await clock.advanceAndSettle(1_000)
    catalog.want()
    expect(database.open()).toBe(1)
  })

  it('an answer in another form is a failure', async () => {
    const catalog = open()
    catalog.want()
    await database.reply('{}')
    expect([catalog.state, events[0]?.type]).toEqual(['failed', 'catalogFailed'])
  })

  it('an answer that never comes is given up after 30 s, and dropped if it comes late', async () => {
    const catalog = open()
    catalog.want()
    await clock.advanceAndSettle(30_000)
    expect(catalog.state).toBe('failed')
    await database.reply(small)
    expect(catalog.facts).toBeUndefined()
  })

  it('a role that may not ask for the identity gets an empty one', async () => {
    database.state.identity = () => Promise.reject(Object.assign(new Error('no'), { code: '42501' }))
    expect((await opened()).facts).toMatchObject({ systemIdentifier: '', timeline: '' })
  })

  it('a connection that breaks in between is a failure, not an empty identity', async () => {
    const broken = Object.assign(new Error('Failed query'), { cause: { code: '57P01' } })
    database.state.identity = () => Promise.reject(broken)
    const catalog = await opened()
    expect([catalog.state, catalog.facts]).toEqual(['failed', undefined])
  })
})

describe('ready', () => {
  it('starts a reading or joins the one under way', async () => {
    const catalog = open()
    const both = Promise.all([catalog.ready(), catalog.ready()])
    await database.reply(small)
    await both
    await catalog.ready()
    expect(database.state.catalogQueries).toBe(1)
  })

  it('rejects when the reading fails, and at once during the rest after it', async () => {
    const catalog = open()
    const first = catalog.ready()
    await Promise.all([expect(first).rejects.toThrow('gone'), database.fail()])
    await expect(catalog.ready()).rejects.toThrow('gone')
    expect(database.state.catalogQueries).toBe(1)
  })

  it('with reload never joins a reading that began before, and many reloads share the next', async () => {
    const catalog = await opened()
    catalog.expire('ddl')
    catalog.want()
    const done: string[] = []
    const reloads = [1, 2].map((n) => catalog.ready({ reload: true }).then(() => done.push(`reload ${n}`)))
    await database.reply(small)
    expect([done, database.open()]).toEqual([[], 1])
    await database.reply(wider)
    await Promise.all(reloads)
    expect([done.length, database.state.catalogQueries]).toEqual([2, 3])
    expect(catalog.facts?.version).toBe(2)
  })

  it('a reload asked for just when a reading has ended still gets one of its own', async () => {
    const catalog = await opened()
    const first = catalog.ready({ reload: true })
    const second = catalog.ready({ reload: true })
    const late = first.then(() => catalog.ready({ reload: true }))
    catalog.want()
    for (let reads = 0; reads < 3; reads++) {
      expect(database.open(), `reading ${reads}`).toBe(1)
      await database.reply(small)
    }
    await Promise.all([first, second, late])
    expect(database.open()).toBe(0)
  })

  it('two readings never run side by side, not even when a listener queries', async () => {
    let query = () => {}
    const catalog = await opened({ emit: (event) => event.type === 'catalogRead' && query() })
    query = () => catalog.want()
    const reload = catalog.ready({ reload: true })
    const queued = catalog.ready({ reload: true })
    catalog.expire('ddl')
    await database.reply(small)
    await reload
    expect(database.open()).toBe(1)
    await database.reply(small)
    await queued
    expect(database.open()).toBe(0)
  })

  it('with reload reads at once even during a rest', async () => {
    const catalog = open()
    catalog.want()
    await database.fail()
    const reload = catalog.ready({ reload: true })
    await database.reply(small)
    await reload
    expect(catalog.state).toBe('known')
  })

  it('with reload waits until the change has been taken in', async () => {
    let finish = () => {}
    const catalog = await opened({ onChange: () => new Promise<void>((resolve) => (finish = resolve)) })
    let isReady = false
    const reload = catalog.ready({ reload: true }).then(() => (isReady = true))
    await database.reply(wider)
    expect([isReady, catalog.facts?.version]).toEqual([false, 2])
    finish()
    await reload
  })
})

describe('what changed', () => {
  it('is told when the new facts have just become visible', async () => {
    const seen: unknown[] = []
    const catalog: Catalog = await opened({
      onChange: (changed, info) => void seen.push([changed, info, catalog.facts?.version]),
    })
    catalog.expire('ddl')
    catalog.want()
    await database.reply(wider)
    expect(seen).toEqual([[[users], { triggersCame: false }, 2]])
    expect(events.map((event) => event.type)).toEqual(['catalogRead', 'catalogChanged', 'catalogRead'])
  })

  it('a reading that changed nothing leaves version and facts as they are', async () => {
    const catalog = await opened()
    const { facts } = catalog
    const reload = catalog.ready({ reload: true })
    await database.reply(small)
    await reload
    expect(catalog.facts).toBe(facts)
    expect(changes).toEqual([])
  })

  it('a trigger that came is told', async () => {
    const catalog = await opened()
    const reload = catalog.ready({ reload: true })
    await database.reply(armed)
    await reload
    expect(changes).toEqual([[[users], { triggersCame: true }]])
  })

  it('another server behind the same name is noticed though its catalog reads the same', async () => {
    const catalog = await opened()
    database.state.identity = async () => '43'
    catalog.expire('57P01')
    catalog.want()
    await database.reply(small)
    expect(catalog.facts).toMatchObject({ version: 2, systemIdentifier: '43' })
    expect(changes).toEqual([[[], { triggersCame: false, server: 'another' }]])
    expect(events.map(({ type }) => type)).toEqual(['catalogRead', 'serverChanged', 'catalogRead'])
  })

  it('a server that was started anew, and one that was promoted, are told though their catalogs read the same', async () => {
    const lives = [
      [{ incarnation: 'first', standby: true }, '1', undefined],
      [{ incarnation: 'first' }, '1', 'promoted'],
      [{ incarnation: 'second' }, '1', 'restarted'],
      [{ incarnation: 'third' }, '2', 'promoted'],
      [{ incarnation: 'third' }, '2', undefined],
    ] as const
    const catalog = open()
    for (const [life, timeline, how] of lives) {
      changes.length = 0
      database.state.identity = async (sql) => (sql.includes('pg_control_system') ? '42' : timeline)
      const reload = catalog.ready({ reload: true })
      await database.reply(answer({ relations: [relation(1, 'users')], ...life }))
      await reload
      expect(changes).toEqual(how ? [[[], { triggersCame: false, server: how }]] : [])
    }
  })

  it('an identity asked for before the facts expired is asked for again', async () => {
    const catalog = await opened()
    catalog.expire('57P01')
    let answerLate = (_: string) => {}
    database.state.identity = () => new Promise((resolve) => (answerLate = resolve))
    catalog.want()
    await database.reply(small)
    catalog.expire('57P01')
    database.state.identity = async () => '43'
    answerLate('42')
    await settle()
    catalog.want()
    await database.reply(small)
    expect(catalog.facts?.systemIdentifier).toBe('43')
  })

  it('the identity is not asked for again while nothing happens', async () => {
    const catalog = await opened()
    await clock.advanceAndSettle(30_000)
    catalog.want()
    await database.reply(small)
    expect(database.state.identityQueries).toBe(2)
  })

  it('a change that could not be taken in fails the reading and is told again', async () => {
    let isBroken = true
    const catalog = await opened({
      onChange: (...call) => {
        changes.push(call)
        if (isBroken) throw new Error('store down')
      },
    })
    const reload = catalog.ready({ reload: true })
    await Promise.all([expect(reload).rejects.toThrow('store down'), database.reply(armed)])
    expect(catalog.facts?.version).toBe(2)
    isBroken = false
    const again = catalog.ready({ reload: true })
    await database.reply(armed)
    await again
    expect(changes).toEqual([
      [[users], { triggersCame: true }],
      [[users], { triggersCame: true }],
    ])
    expect(catalog.facts?.version).toBe(2)
  })
})

describe('closing', () => {
  it('ends timers and readings', async () => {
    const catalog = await opened()
    catalog.expire('ddl')
    catalog.want()
    catalog.close()
    await database.reply(wider)
    expect([catalog.facts?.version, clock.pending()]).toEqual([1, 0])
    catalog.want()
    expect(database.open()).toBe(0)
    await expect(catalog.ready()).rejects.toThrow('ASIDE_CLOSED')
  })

  it('those who wait are told', async () => {
    const catalog = open()
    const waiting = catalog.ready()
    const reload = catalog.ready({ reload: true })
    catalog.close()
    await expect(waiting).rejects.toThrow('ASIDE_CLOSED')
    await expect(reload).rejects.toThrow('ASIDE_CLOSED')
    expect(clock.pending()).toBe(0)
    await database.reply(small)
    expect(catalog.facts).toBeUndefined()
  })
})
