/**
 * Databases of one's own on a given server.
 *
 * Promises: each call creates an empty database with a name nobody else uses; `drop()` removes it, also while
 * connections to it are still open. Free of vitest, so demos and benches use it too.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'

export interface FreshDatabase {
  url: string
  name: string
  drop(): Promise<void>
}

export async function createDatabase(serverUrl: string, prefix = 'aside'): Promise<FreshDatabase> {
  const name = `${prefix}_${randomBytes(6).toString('hex')}`
  await onServer(serverUrl, `create database ${name}`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return { url: url.href, name, drop: () => dropDatabase(serverUrl, name) }
}

/** How often a database is looked at for connections that are just closing, and the pause between two looks. */
const LOOKS = 200
const PAUSE_MS = 10

/**
 * A client's `end()` resolves before its backend is gone. Ended by force, such a backend says so on a socket that nobody
 * listens to any more, and the error ends the test process; so it gets the time to go by itself.
 */
async function dropDatabase(serverUrl: string, name: string): Promise<void> {
  const client = new Client({ connectionString: serverUrl })
  await client.connect()
  try {
    for (let look = 0; look < LOOKS && (await isInUse(client, name)); look++) await pause(PAUSE_MS)
    await client.query(`drop database if exists ${name} with (force)`)
  } finally {
    await client.end()
  }
}

async function isInUse(client: Client, name: string): Promise<boolean> {
  const { rows } = await client.query('select 1 from pg_stat_activity where datname = $1 limit 1', [name])
  return rows.length > 0
}

/** Removes the databases that a run has left on somebody else's server. */
export async function dropDatabases(serverUrl: string, prefix: string): Promise<void> {
  const client = new Client({ connectionString: serverUrl })
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string }>(
      `select datname as name from pg_database where starts_with(datname, $1)`,
      [`${prefix}_`],
    )
    for (const { name } of rows) await client.query(`drop database if exists ${name} with (force)`)
  } finally {
    await client.end()
  }
}

async function onServer(serverUrl: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: serverUrl })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
