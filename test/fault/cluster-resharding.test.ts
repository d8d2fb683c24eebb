/**
 * D11, PROTOCOL 11 no. 65: slots that move from one master to another while their keys are read, minted, removed and
 * written. Some keys of the slot are at the old node, some at the new one, some nowhere.
 */
import { redisStore } from '@drizzle-aside/redis'
import { cached } from 'drizzle-aside'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { registerKey } from '../../packages/core/src/model/keys.ts'
import { keySlot } from '../../packages/redis/src/key-slot.ts'
import { clusterLibraries } from '../conformance/redis-clients.ts'
import { freshDatabase } from '../harness/databases.ts'
import { ageClusterRegister, type PrivateCluster, privateCluster } from '../harness/redis-cluster.ts'
import { History } from '../support/history.ts'
import { raise, readByCode, readByKey } from '../support/item-load.ts'
import { items, itemsSetUp, outside } from '../support/items.ts'
import { openApp } from '../support/open-app.ts'

const MINUTE = 60_000
let cluster: PrivateCluster
beforeAll(async () => {
  cluster = await privateCluster({ replicas: 0 })
})
afterAll(() => cluster.stop())

async function anotherThan(owner: string): Promise<string> {
  return (await cluster.masters()).find((url) => url !== owner) as string
}

describe.each(clusterLibraries)('D11, 65: while a slot moves, a store over $name', (library) => {
  async function opened() {
    const apps = await Promise.all([library.open(cluster.urls), library.open(cluster.urls)])
    const [store, second] = apps.map(({ client }) => redisStore(client))
    if (!store?.removeAndLook || !store.enter || !second?.enter) throw new Error('two stores')
    const tag = `{${library.name}-${Math.random()}}`
    const names = ['there', 'also there', 'here', 'also here', 'nowhere', 'register'].map((name) => `${name}${tag}`)
    const slot = keySlot(names[0] as string)
    const to = await anotherThan(await cluster.ownerOf(names[0] as string))
    return {
      store: store as Required<typeof store>,
      second: second as Required<typeof second>,
      names: names as [string, string, string, string, string, string],
      begin: () => cluster.beginMove(slot, to),
      async close() {
        await Promise.all([store.close(), second.close()])
        for (const app of apps) app.close()
      },
    }
  }

  test('reads, in order, what is at either node', async () => {
    const { store, second, names, begin, close } = await opened()
    const [there, alsoThere, here, alsoHere, nowhere] = names
    for (const key of [there, alsoThere, here, alsoHere]) await store.write(key, `of ${key}`, MINUTE, [], MINUTE)
    const move = await begin()
    await move.keys(there, alsoThere)
    const keys = [nowhere, here, there, alsoHere, alsoThere, here]
    const values = [null, ...keys.slice(1).map((key) => `of ${key}`)]
    for (const each of [store, second]) expect(await each.read(keys)).toEqual(values)
    // In company of other slots, too.
    expect(await store.read(['another', ...keys, 'third'])).toEqual([null, ...values, null])
    await move.end()
    for (const each of [store, second]) expect(await each.read(keys)).toEqual(values)
    await close()
  })

  test('removes for good what is at either node: nothing comes back with the end of the move', async () => {
    const { store, second, names, begin, close } = await opened()
    const [there, alsoThere, here, alsoHere, nowhere] = names
    const keys = [nowhere, here, there, alsoHere, alsoThere]
    for (const key of [there, alsoThere, here, alsoHere]) await store.write(key, 'old', MINUTE, [], MINUTE)
    const move = await begin()
    await move.keys(there, alsoThere)
    await store.remove(keys)
    expect(await second.read(keys)).toEqual([null, null, null, null, null])
    await move.end()
    for (const each of [store, second]) expect(await each.read(keys)).toEqual([null, null, null, null, null])
    await close()
  })

  test('takes or mints at the node where the key is, and what it mints is seen by everybody', async () => {
    const { store, second, names, begin, close } = await opened()
    const [there, , here, , nowhere] = names
    for (const key of [there, here]) await store.mint([{ key, text: 'first' }], MINUTE)
    const move = await begin()
    await move.keys(there)
    const mint = (text: string) => [there, here, nowhere].map((key) => ({ key, text }))
    // A store may answer that it cannot say; it may not answer two texts for one key.
    const answers = [...(await store.mint(mint('second'), MINUTE)), ...(await second.mint(mint('third'), MINUTE))]
    for (const at of [0, 1, 3, 4]) expect(answers[at]).toBe('first')
    expect([answers[2], answers[5]]).toEqual(['second', 'second'])
    await move.end()
    expect(await second.read([there, here, nowhere])).toEqual(['first', 'first', 'second'])
    await close()
  })

  test('writes an entry and raises the lives of stamps at either node', async () => {
    const { store, second, names, begin, close } = await opened()
    const [there, , here, , entry] = names
    for (const key of [there, here]) await store.mint([{ key, text: 's' }], MINUTE)
    const move = await begin()
    await move.keys(there)
    await store.write(entry, 'entry', MINUTE, [there, here], 10 * MINUTE)
    expect(await second.read([entry, there, here])).toEqual(['entry', 's', 's'])
    await move.end()
    const owner = await cluster.ownerOf(entry)
    for (const key of [there, here]) expect(Number(await cluster.ask(owner, 'PTTL', key))).toBeGreaterThan(9 * MINUTE)
    await close()
  })

  test.each(['before', 'behind'] as const)('enters and sees a register that is %s the move', async (side) => {
    const { store, second, names, begin, close } = await opened()
    const [, , here, , , register] = names
    const visit = (party: string) => ({
      ...{ party, parts: [party], digest: party, lifeMs: MINUTE, settled: [], known: undefined },
      mint: `mint of ${party}`,
    })
    await store.enter(register, visit('one'))
    await store.write(here, 'old', MINUTE, [], MINUTE)
    const move = await begin()
    if (side === 'behind') await move.keys(register)
    const entered = await second.enter(register, visit('two'))
    expect(new Set(entered.parts)).toEqual(new Set(['one', 'two']))
    const [sight] = await store.removeAndLook([here], [register])
    expect(sight).toMatchObject({ version: entered.version, bornMs: entered.bornMs })
    await move.end()
    // Another node has it now: what a register says counts for the node in which it was born, so this one is as good as lost.
    expect(await second.removeAndLook([], [register])).toEqual([null])
    expect(await second.enter(register, visit('two'))).toMatchObject({ created: true })
    expect(await second.read([here])).toEqual([null])
    await close()
  })
})

describe.each(clusterLibraries)('D11, 65: over $name, while all slots of an app move to and fro', (library) => {
  test('every read is answered and none is older than what had resolved before it', async () => {
    const database = await freshDatabase(15)
    await outside(database.url, itemsSetUp)
    const namespace = `moves-${library.name}`
    await ageClusterRegister(cluster, namespace, database.name)
    const clients = await Promise.all([library.open(cluster.urls), library.open(cluster.urls)])
    const slow = { readDeadline: '5s', invalidateDeadline: '5s' } as const
    const apps = await Promise.all(
      clients.map(({ client }) =>
        openApp({ url: database.url, store: redisStore(client), namespace, tables: [cached(items)], ...slow }),
      ),
    )
    const history = new History()
    const hits = () => apps.map(({ told }) => told.of('hit').length)
    const ids = Array.from({ length: 8 }, (_, at) => at + 1)
    const load = history.load({
      ids,
      pace: 60,
      readers: apps.flatMap(({ db }) => [readByKey(db), readByCode(db)]),
      writers: apps.map(({ db }) => raise(db)),
    })

    await expect.poll(() => Math.min(...hits())).toBeGreaterThan(100)
    const before = hits()
    const moved = new Set<number>()
    const register = keySlot(registerKey(namespace, database.name))
    const moveSlot = async (slot: number): Promise<void> => {
      await cluster.move(slot, await anotherThan(await cluster.ownerOf(slot)), () => history.someMore(20))
      moved.add(slot)
    }
    for (let round = 0; round < 2; round++)
      for (const slot of await slotsOf(namespace)) if (slot !== register) await moveSlot(slot)
    const during = hits()
    // Its register is lost with it, and everything is as in the first seconds of a deployment.
    await moveSlot(register)
    await history.someMore(400)
    await load.end()
    expect(moved.size).toBeGreaterThan(8)
    expect(history.failures).toEqual([])
    expect(history.stale).toEqual([])
    during.forEach((count, at) => {
      expect(count - (before[at] as number)).toBeGreaterThan(100)
    })
    for (const { told } of apps) {
      expect(told.of('storeFailed')).toEqual([])
      expect(told.of('pendingDelivery')).toEqual([])
    }
    for (const app of apps) await app.close()
    for (const client of clients) client.close()
    await database.drop()
  })
})

/** The slots in which something of a namespace is kept. */
async function slotsOf(namespace: string): Promise<number[]> {
  const masters = await cluster.masters()
  const keys = (await Promise.all(masters.map((url) => cluster.ask(url, 'KEYS', `*${namespace}*`)))) as string[][]
  return [...new Set(keys.flat().map(keySlot))]
}
