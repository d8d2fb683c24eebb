/** The databases that catalog tests run on: PostgreSQL 15 and 18, and PGlite in this process. */
import { PGlite } from '@electric-sql/pglite'
import { Client } from 'pg'
import { freshDatabase } from '../../../../test/harness/databases.ts'
import { catalogQuery } from '../../src/catalog/catalog-query.ts'
import { parseCatalog } from '../../src/catalog/parse-catalog.ts'
import type { CatalogFacts } from '../../src/model/facts.ts'

export interface Engine {
  /** The text of each row's columns, as the catalog wing wants them. */
  run(sql: string): Promise<readonly (readonly unknown[])[]>
  /** Several statements. */
  exec(sql: string): Promise<void>
  facts(): Promise<CatalogFacts>
  close(): Promise<void>
}

export const engines = [
  ['PostgreSQL 15', () => openServer(15)],
  ['PostgreSQL 18', () => openServer(18)],
  ['PGlite', openPglite],
] as const

export async function openServer(line: 15 | 18): Promise<Engine> {
  const database = await freshDatabase(line)
  const client = new Client({ connectionString: database.url })
  await client.connect()
  return engine(
    async (sql) => (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows,
    async (sql) => void (await client.query(sql)),
    async () => {
      await client.end()
      await database.drop()
    },
  )
}

async function openPglite(): Promise<Engine> {
  const db = await PGlite.create()
  return engine(
    async (sql) => (await db.query<unknown[]>(sql, [], { rowMode: 'array' })).rows,
    async (sql) => void (await db.exec(sql)),
    () => db.close(),
  )
}

function engine(run: Engine['run'], exec: Engine['exec'], close: Engine['close']): Engine {
  const facts = async () => {
    const [[text] = []] = await run(catalogQuery)
    return parseCatalog(String(text), { systemIdentifier: '', timeline: '' }, 1).facts
  }
  return { run, exec, facts, close }
}

/** Runs it and says whether the database could. */
export async function attempt(engine: Engine, sql: string): Promise<boolean> {
  try {
    await engine.exec(sql)
    return true
  } catch {
    return false
  }
}
