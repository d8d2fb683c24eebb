/** The tables of the random queries as a world: made, filled with first rows, and cached. */
import { cached, type TableEntry, type TableOptions } from 'drizzle-aside'
import { sql } from 'drizzle-orm'
import { loose } from '../loose.ts'
import { Random } from '../random.ts'
import type { Db } from '../steps.ts'
import type { Values } from '../subjects.ts'
import type { Scene } from '../world.ts'
import { addUnprovenKey, createTables, logs, schema, tables, views } from './tables.ts'
import { type Topic, topicOf } from './topics.ts'

/** In an order in which each row finds the rows that it refers to. */
const filled = {
  teams: 3,
  users: 6,
  posts: 9,
  comments: 12,
  tags: 4,
  postTags: 10,
  reviews: 8,
  stock: 5,
  logs: 4,
  settings: 3,
  entries: 4,
  annexEntries: 4,
}

async function seed(db: Db): Promise<void> {
  const random = new Random(4)
  for (const [name, count] of Object.entries(filled)) {
    const topic = topicOf(name)
    const rows = Array.from({ length: count }, (_, at) => firstRow(topic, at + 1, random))
    await loose(db).insert(topic.source).values(rows).onConflictDoNothing()
  }
  await db.execute(sql.raw(addUnprovenKey))
  await db.execute(sql`select setval('users_id_seq', 6)`)
  await db.refreshMaterializedView(views.postTotals)
}

function firstRow(topic: Topic, at: number, random: Random): Values {
  const row = drawRow(topic, random)
  if (topic.key[0] === 'id') row.id = at
  // Rows that others refer to may not be left out for a value that is there already.
  for (const key of topic.uniques.flat()) if (at > 1 && key !== 'label') row[key] = null
  if (topic.name === 'tags') row.label = ['red', 'hot', 'old', 'new'][at - 1]
  if (row.parentId) row.parentId = at > 1 ? at - 1 : null
  return row
}

export const drawRow = (topic: Topic, random: Random): Values =>
  Object.fromEntries(Object.entries(topic.fields).map(([key, { draw }]) => [key, draw(random)]))

/** A minute of random steps is no time to live. */
const long: TableOptions = { ttl: '1h', negativeTtl: '1h' }

function entries(): TableEntry[] {
  const own: Partial<Record<keyof typeof tables, TableOptions>> = { stock: { affects: [logs] } }
  return Object.entries(tables).map(([name, table]) =>
    cached(table as typeof logs, { ...long, ...own[name as keyof typeof tables] }),
  )
}

export const scene: Scene = { schema, createTables, seed, entries }
