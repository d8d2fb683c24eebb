/**
 * Starts the servers once per run, in parallel, before the first test file.
 *
 * Promises: tests find PostgreSQL 15, PostgreSQL 18 and Redis through `freshDatabase()` and `freshRedis()`; one header
 * line says which versions these are and where they came from; afterwards everything is stopped, and on servers that
 * were given by URL the databases and keys of this run are removed. A missing server fails the run, it skips nothing.
 */
import { randomBytes } from 'node:crypto'
import type { TestProject } from 'vitest/node'
import { dropDatabases } from './create-database.ts'
import { removeKeys } from './redis-keys.ts'
import { findPostgres, findRedis, type RunningServer } from './servers.ts'

export interface ProvidedServer {
  url: string
  version: string
  from: string
}

declare module 'vitest' {
  interface ProvidedContext {
    /** Part of the name of everything that this run creates. */
    run: string
    postgres15: ProvidedServer
    postgres18: ProvidedServer
    redis: ProvidedServer
  }
}

export default async function startServers(project: TestProject): Promise<() => Promise<void>> {
  const run = randomBytes(4).toString('hex')
  const [postgres15, postgres18, redis] = await allOrNone([findPostgres(15), findPostgres(18), findRedis()])

  project.provide('run', run)
  project.provide('postgres15', told(postgres15))
  project.provide('postgres18', told(postgres18))
  project.provide('redis', told(redis))
  const line = [named('PostgreSQL', postgres15), named('PostgreSQL', postgres18), named('Redis', redis)].join(', ')
  console.log(`Servers: ${line}`)

  return async () => {
    const postgres = [postgres15, postgres18].filter((server) => server.external)
    await Promise.allSettled(postgres.map((server) => dropDatabases(server.url, databasePrefix(run))))
    if (redis.external) await removeKeys(redis.url, run)
    await Promise.allSettled([postgres15.stop(), postgres18.stop(), redis.stop()])
  }
}

export function databasePrefix(run: string): string {
  return `aside_${run}`
}

type Three = [RunningServer, RunningServer, RunningServer]

/** When one server cannot be had, those that did start are stopped before the run fails. */
async function allOrNone(
  starting: [Promise<RunningServer>, Promise<RunningServer>, Promise<RunningServer>],
): Promise<Three> {
  const outcomes = await Promise.allSettled(starting)
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as Error] : []))
  const started = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  if (failures.length === 0) return started as Three
  await Promise.allSettled(started.map((server) => server.stop()))
  throw new Error(failures.map((failure) => failure.message).join('\n\n'), { cause: failures[0] })
}

function told({ url, version, from }: RunningServer): ProvidedServer {
  return { url, version, from }
}

function named(product: string, server: RunningServer): string {
  return `${product} ${server.version} (${server.from})`
}
