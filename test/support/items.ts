/** A small table that tests of races and faults share: a primary key, a unique key, something to change. */
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Client } from 'pg'

export const items = pgTable('items', {
  id: integer().primaryKey(),
  code: text().notNull().unique(),
  label: text().notNull(),
  n: integer().notNull().default(0),
})

export const notes = pgTable('notes', { id: integer().primaryKey(), body: text().notNull() })

export const itemsSetUp = `
  create table items (id int primary key, code text not null unique, label text not null, n int not null default 0);
  create table notes (id int primary key, body text not null);
  insert into items select i, 'c' || i, 'old' from generate_series(1, 100) i;
  insert into notes select i, 'body' from generate_series(1, 10) i;`

/** Runs statements over a connection of their own, as an outsider would. */
export async function outside(url: string, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  // A server that is brought down meanwhile fails the statement; nobody else has to hear of it.
  client.on('error', () => {})
  await client.connect()
  try {
    let rows: Record<string, unknown>[] = []
    for (const statement of statements) rows = (await client.query(statement)).rows ?? []
    return rows
  } finally {
    await client.end()
  }
}
