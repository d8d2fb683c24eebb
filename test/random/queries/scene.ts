/** The tables of the random queries as a world: made, filled with first rows, and cached. */
import { randomBytes } from 'node:crypto'
import { cached, type TableEntry, type TableOptions } from 'drizzle-aside'
import { sql } from 'drizzle-orm'
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core'
import { loose } from '../loose.ts'
import { Random } from '../random.ts'
import type { Db } from '../steps.ts'
import type { Values } from '../subjects.ts'
import type { Scene } from '../world.ts'
import { CONFIGURATIONS_DIFFER } from './switched-on.ts'
import {
  addUnprovenKey,
  comments,
  createTables,
  logs,
  posts,
  schema,
  stock,
  tables,
  teams,
  users,
  views,
} from './tables.ts'
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

type Options = Partial<Record<keyof typeof tables, TableOptions>>

const first: Options = {
  stock: entry(stock, { affects: [logs], facets: (t) => ({ counters: [t.qty] }) }),
  users: entry(users, { lists: (t) => [t.phase], facets: (t) => ({ counters: [t.points, t.seen] }) }),
  posts: entry(posts, {
    lists: (t) => [t.teamId, [t.authorId, t.phase]],
    facets: (t) => ({ reads: [t.views], likes: [t.likes] }),
  }),
  comments: entry(comments, { facets: (t) => ({ votes: [t.votes] }) }),
  teams: entry(teams, { facets: (t) => ({ size: [t.members] }), maxTouched: 2 }),
  reviews: { rows: true },
}

/** Other lists and groups of the same tables. */
const second: Options = {
  stock: { affects: [logs] },
  users: entry(users, { lists: (t) => [[t.teamId, t.phase]], facets: (t) => ({ points: [t.points] }) }),
  posts: entry(posts, { facets: (t) => ({ counters: [t.views, t.likes] }) }),
  comments: entry(comments, { lists: (t) => [t.body] }),
}

/** The options of one table, checked against its columns. */
function entry<T extends PgTable>(_: T, options: TableOptions<T>): TableOptions {
  return options as TableOptions
}

function entries(at: 0 | 1): TableEntry[] {
  const own = CONFIGURATIONS_DIFFER && at === 1 ? second : first
  return Object.entries(tables).map(([name, table]) =>
    cached(table as typeof logs, { ...long, ...own[name as keyof typeof tables] }),
  )
}

export const scene: Scene = { schema, createTables, seed, entries }

const [k1, one, two] = [randomBytes(32), randomBytes(32), randomBytes(32)]

/** The same with every column sensitive, in the midst of a rotation: each of the two names values by another key. */
export const sealedScene: Scene = {
  ...scene,
  entries: (at) => entries(at).map(sealed),
  encryption: (at) => ({ keys: { k1 }, current: 'k1', tokenKey: at === 0 ? [one, two] : [two, one] }),
}

/** What the database suggests makes no class then: foreign keys have to be listed. */
function sealed({ table, options }: TableEntry): TableEntry {
  const keys = getTableConfig(table).foreignKeys.map((key) => key.reference().columns)
  return cached(table as typeof logs, {
    ...options,
    sensitive: (t) => Object.values(t),
    lists: (t) => [...(options.lists?.(t) ?? []), ...keys],
  })
}
