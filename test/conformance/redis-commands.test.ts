/**
 * Which commands the store sends, by MONITOR, against those of Redis 6.2: a newer one would work here and fail there.
 * The list is by hand from https://redis.io/docs/latest/commands/ (each command's "since" and its history of options).
 */
import { redisStore } from '@drizzle-aside/redis'
import { asc, eq, inArray } from 'drizzle-orm'
import { createClient } from 'redis'
import { expect, test } from 'vitest'
import { type PrivateServer, privateRedis } from '../harness/databases.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import { openPglite } from '../support/open-app.ts'
import { authors, posts, scene, sceneSetUp, sceneTables } from '../support/results-scene.ts'
import { everyRedisLibrary } from './redis-clients.ts'

/** What stands behind the name and the keys, and the release in which it came. */
const knownTo62: Readonly<Record<string, RegExp>> = {
  mget: /^/,
  set: /^(NX )?PX \d+$/,
  unlink: /^/,
  pexpire: /^\d+$/,
  pttl: /^$/,
  scan: /^\d+ MATCH \S+ COUNT \d+$/,
  hmget: /^v b i$/,
  time: /^$/,
  eval: /^/,
  ping: /^$/,
}
const inScripts: Readonly<Record<string, RegExp>> = {
  time: /^$/,
  hgetall: /^$/,
  get: /^$/,
  set: /^(NX )?PX \d+$/,
  del: /^$/,
  hset: /^/,
  hdel: /^/,
  pttl: /^$/,
  pexpire: /^\d+$/,
}
/** Newer ones that are tried once, with another way behind them (see expiry.ts). */
const triedFirst: Readonly<Record<string, RegExp>> = { pexpire: /^\d+ GT$/ }
/** What clients say when they connect; they live with an error. */
const clientTalk = new Set(['hello', 'client', 'info', 'select', 'auth', 'quit', 'monitor'])

interface Sent {
  readonly name: string
  readonly rest: string
  readonly inScript: boolean
}

/** `1700000000.123456 [0 127.0.0.1:5000] "SET" "key" "text" "PX" "5"`; within a script there is no address. */
function readLine(line: string): Sent {
  const words = [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word]) => word as string)
  const name = (words[0] as string).toLowerCase()
  const skipped = { set: 3, scan: 1, time: 1, ping: 1 }[name] ?? 2
  return { name, rest: words.slice(skipped).join(' '), inScript: !/\[\d+ \S+:\S*\]/.test(line) }
}

const isKnown = ({ name, rest, inScript }: Sent): boolean => {
  if (clientTalk.has(name)) return true
  const known = (inScript ? inScripts : knownTo62)[name]
  return known?.test(rest) || (!inScript && (triedFirst[name]?.test(rest) ?? false))
}

async function monitored(server: PrivateServer): Promise<{ sent: Sent[]; all(): Promise<void>; close(): void }> {
  const [monitor, marker] = [createClient({ url: server.url }), createClient({ url: server.url })]
  await Promise.all([monitor.connect(), marker.connect()])
  const sent: Sent[] = []
  let marks = 0
  await monitor.monitor((line) => {
    const one = readLine(String(line))
    if (one.name === 'ping' && String(line).includes('the mark')) marks++
    else sent.push(one)
  })
  return {
    sent,
    async all() {
      const before = marks
      await marker.ping('the mark')
      await expect.poll(() => marks, { timeout: 10_000 }).toBeGreaterThan(before)
    },
    close() {
      monitor.destroy()
      marker.destroy()
    },
  }
}

test.each(everyRedisLibrary)('over $name every command and option is one of Redis 6.2', async (library) => {
  const server = await privateRedis()
  await ageRegister(server.url, 'commands', 'postgres')
  const client = await library.open(server.url)
  const watch = await monitored(server)
  const store = redisStore(client.client)
  const given = { namespace: 'commands', store, schema: scene, tables: sceneTables, fillToken: true }
  const app = await openPglite({ ...given, setUp: sceneSetUp, readDeadline: '5s', invalidateDeadline: '5s' })

  const reads = [
    () => app.db.select().from(posts).where(eq(posts.id, 1)),
    () =>
      app.db
        .select()
        .from(posts)
        .where(inArray(posts.id, [1, 2, 3])),
    () => app.db.select({ title: posts.title }).from(posts).where(eq(posts.authorId, 1)),
    () => app.db.select().from(posts).leftJoin(authors, eq(authors.id, posts.authorId)).orderBy(asc(posts.id)),
    () => app.db.select().from(posts).where(eq(posts.id, 1)).$withCache({ tag: 'home' }),
  ]
  for (let times = 0; times < 3; times++) for (const read of reads) await read()
  await app.db.update(posts).set({ title: 'New' }).where(eq(posts.id, 1))
  await app.db.$aside.invalidate(posts)
  await app.db.$aside.invalidateTag('home')
  for (const read of reads) await read()
  await app.db.$aside.flush()
  await store.clear('da1:commands:')
  expect(app.told.of('storeFailed')).toEqual([])
  await watch.all()

  const own = watch.sent.filter(({ name }) => !clientTalk.has(name))
  expect(own.filter((one) => !isKnown(one))).toEqual([])
  // All verbs were called: a command that is never sent would prove nothing.
  const names = new Set(own.map(({ name }) => name))
  for (const name of ['mget', 'set', 'unlink', 'pexpire', 'scan', 'hmget', 'time', 'eval'])
    expect(names).toContain(name)

  await app.close()
  client.close()
  watch.close()
  await server.stop()
})
