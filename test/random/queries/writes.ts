/** Random writes: rows come, change and go, by key, by class, many at once, behind cascades and triggers, as raw text. */
import { and, eq, getTableName, inArray, isNull, or, type SQL, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { type Fluent, loose } from '../loose.ts'
import type { Random } from '../random.ts'
import type { Db, Hands, Step } from '../steps.ts'
import type { Values } from '../subjects.ts'
import { drawWhere } from './conditions.ts'
import { Draw } from './draw.ts'
import { drawRow } from './scene.ts'
import { ofTopic } from './sources.ts'
import {
  annexEntries,
  comments,
  entries,
  logs,
  posts,
  postTags,
  postTotals,
  stock,
  tags,
  teams,
  users,
} from './tables.ts'
import { columnsOf, type Topic, topicOf, written } from './topics.ts'

const show = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && 'queryChunks' in part ? 'sql' : part,
  )

const column = (topic: Topic, key: string): PgColumn => columnsOf(topic.source)[key] as PgColumn

const isKeyed = ({ name }: Topic): boolean => name !== 'logs'

// —— which rows ——

interface Rows {
  readonly label: string
  where(db: Db): SQL | undefined
}

const fixed = (label: string, where: SQL | undefined): Rows => ({ label, where: () => where })

function drawRows(topic: Topic, random: Random, narrow = false): Rows {
  return random.weighted<() => Rows>([
    [9, () => atKey(topic, random)],
    [1.5, () => atKeys(topic, random)],
    [narrow ? 0.5 : 2.5, () => atClass(topic, random)],
    [narrow ? 0.2 : 1, () => anyRows(topic, random)],
    [0.12, () => fixed('all rows', undefined)],
  ])()
}

const keyValues = (topic: Topic, random: Random): Values =>
  Object.fromEntries(topic.key.map((key) => [key, topic.fields[key]?.draw(random)]))

const equal = (topic: Topic, values: Values): SQL =>
  and(
    ...Object.entries(values).map(([key, value]) =>
      value === null ? isNull(column(topic, key)) : eq(column(topic, key), value),
    ),
  ) as SQL

function atKey(topic: Topic, random: Random): Rows {
  const values = keyValues(topic, random)
  return fixed(show(values), equal(topic, values))
}

function atKeys(topic: Topic, random: Random): Rows {
  const all = Array.from({ length: 2 + random.below(3) }, () => keyValues(topic, random))
  const [only] = topic.key as [string]
  if (topic.key.length > 1) return fixed(show(all), or(...all.map((values) => equal(topic, values))))
  const values = all.map((each) => each[only])
  return fixed(show(values), inArray(column(topic, only), values))
}

function atClass(topic: Topic, random: Random): Rows {
  const keys = topic.moves.length > 0 && random.chance(0.7) ? topic.moves : Object.keys(topic.fields)
  const key = random.pick(keys.filter((each) => topic.fields[each]?.type !== 'json'))
  const values = { [key]: topic.fields[key]?.draw(random) }
  return fixed(show(values), equal(topic, values))
}

function anyRows(topic: Topic, random: Random): Rows {
  const seeds = { shape: random.below(2 ** 31), values: 0 }
  return {
    label: `some rows (${seeds.shape})`,
    where: (db) => drawWhere({ db: loose(db), draw: new Draw(seeds), sources: [ofTopic(topic)], depth: 1 }),
  }
}

// —— what is set ——

function drawChanges(topic: Topic, random: Random): Values {
  const { counters, moves, key, fields, uniques } = topic
  if (counters.length > 0 && random.chance(0.4)) return counted(topic, random)
  const special = new Set([...key, ...uniques.flat(), ...moves])
  const plain = Object.keys(fields).filter((each) => !special.has(each) && !counters.includes(each))
  const chosen = random.weighted<readonly string[]>([
    [plain.length > 0 ? 5 : 0, random.some(plain.length > 0 ? plain : key)],
    [moves.length > 0 ? 5 : 0, random.some(moves.length > 0 ? moves : key)],
    [uniques.length > 0 ? 1.5 : 0, uniques.length > 0 ? random.pick(uniques) : key],
    [movableKeys.has(topic.name) ? 0.7 : 0.01, [random.pick(key)]],
  ])
  return Object.fromEntries(chosen.map((each) => [each, fields[each]?.draw(random)]))
}

// Before PostgreSQL 18 a primary key in any SET costs its table the exact images: other tables keep theirs.
const movableKeys: ReadonlySet<string> = new Set(['tags', 'entries', 'settings'])

function counted(topic: Topic, random: Random): Values {
  return Object.fromEntries(
    random
      .some(topic.counters)
      .map((key) => [key, random.chance(0.7) ? sql`${column(topic, key)} + 1` : topic.fields[key]?.draw(random)]),
  )
}

// —— statements ——

type Ending = (query: Fluent) => Fluent

function returning(topic: Topic, random: Random): Ending {
  const some = column(topic, random.pick(Object.keys(topic.fields)))
  return random.weighted<Ending>([
    [6, (query) => query],
    [2, (query) => query.returning()],
    [1, (query) => query.returning({ some })],
  ])
}

/** The first of a set of rows that satisfies the unique keys is as good as another: the outcome is compared. */
function insert(topic: Topic, random: Random): Step {
  const length = random.weighted([
    [6, 1],
    [2, 2],
    [1, 4],
  ] as const)
  const rows = Array.from({ length }, () => drawInserted(topic, random))
  const [settle, how] = drawConflict(topic, random)
  const end = returning(topic, random)
  return {
    label: `insert ${topic.name} ${show(rows)} ${how}`,
    run: async ({ db }) => end(settle(loose(db).insert(topic.source).values(rows))),
  }
}

function drawInserted(topic: Topic, random: Random): Values {
  const row = drawRow(topic, random)
  if (topic.name === 'users' && random.chance(0.15)) delete row.id
  for (const key of topic.counters) if (random.chance(0.3)) delete row[key]
  return row
}

function drawConflict(topic: Topic, random: Random): [Ending, string] {
  if (!isKeyed(topic)) return [(query) => query, '']
  const keys = random.chance(0.25) && topic.uniques.length > 0 ? random.pick(topic.uniques) : topic.key
  const target = keys.map((key) => column(topic, key))
  const set = drawChanges(topic, random)
  return random.weighted<[Ending, string]>([
    [2, [(query) => query, '']],
    [4, [(query) => query.onConflictDoNothing(), 'or nothing']],
    [1, [(query) => query.onConflictDoNothing({ target }), 'or nothing by key']],
    [4, [(query) => query.onConflictDoUpdate({ target, set }), `or set ${show(set)} at ${keys}`]],
  ])
}

function update(topic: Topic, random: Random): Step {
  const rows = drawRows(topic, random)
  const set = drawChanges(topic, random)
  const end = returning(topic, random)
  return {
    label: `update ${topic.name} ${rows.label} set ${Object.keys(set)} ${show(set)}`,
    run: async ({ db }) => end(loose(db).update(topic.source).set(set).where(rows.where(db))),
  }
}

function remove(topic: Topic, random: Random): Step {
  const rows = drawRows(topic, random, true)
  const end = returning(topic, random)
  return {
    label: `delete ${topic.name} ${rows.label}`,
    run: async ({ db }) => end(loose(db).delete(topic.source).where(rows.where(db))),
  }
}

/** Rows that deletes and cascades took away come again. */
function refill(topic: Topic, random: Random): Step {
  const [key] = topic.key as [string]
  const rows = Array.from({ length: 6 }, (_, at) => {
    const row = drawRow(topic, random)
    for (const unique of topic.uniques.flat()) if (unique !== 'label') row[unique] = null
    return topic.key.length === 1 && topic.fields[key]?.type === 'int' ? { ...row, [key]: at + 1 } : row
  })
  return {
    label: `refill ${topic.name} ${show(rows)}`,
    run: async ({ db }) => loose(db).insert(topic.source).values(rows).onConflictDoNothing(),
  }
}

// —— statements that reach further ——

const others: readonly ((random: Random) => Step)[] = [
  (random) => {
    const [id, other] = [1 + random.below(6), 1 + random.below(6)]
    return {
      label: `update posts of the team of users ${id} from users`,
      run: async ({ db }) =>
        db
          .update(posts)
          .set({ editorId: other, likes: sql`${posts.likes} + 1` })
          .from(users)
          .where(and(eq(posts.authorId, users.id), eq(users.id, id))),
    }
  },
  (random) => {
    const name = random.pick(['red', 'hot'])
    return {
      label: `delete post_tags by a sub-query on tags ${name}`,
      run: async ({ db }) =>
        db
          .delete(postTags)
          .where(inArray(postTags.tagId, db.select({ id: tags.id }).from(tags).where(eq(tags.label, name)))),
    }
  },
  (random) => {
    const ref = 1 + random.below(5)
    return {
      label: `insert entries select annex.entries ${ref}`,
      run: async ({ db }) =>
        db
          .insert(entries)
          .select(sql`select id + 1, ref, label from annex.entries where ref = ${ref}`)
          .onConflictDoNothing(),
    }
  },
  (random) => {
    const id = 1 + random.below(5)
    return {
      label: `cte that deletes annex.entries ${id}`,
      run: async ({ db }) => {
        const gone = db.$with('gone').as(db.delete(annexEntries).where(eq(annexEntries.id, id)).returning())
        return db.with(gone).select().from(gone)
      },
    }
  },
]

// —— raw text ——

interface Declared {
  readonly writes: readonly PgTable[]
  readonly text: SQL
}

function drawDeclared(random: Random): Declared {
  const [id, other] = [1 + random.below(6), 1 + random.below(4)]
  return random.pick<Declared>([
    { writes: [users], text: sql`update users set points = points + 1 where id = ${id}` },
    { writes: [comments], text: sql`update comments set votes = ${other} where post_id = ${id}` },
    { writes: [posts], text: sql`update posts set live = not live, title = 'raw' where author_id = ${id}` },
    {
      writes: [teams, users],
      text: sql`with u as (update users set team_id = ${other} where id = ${id} and exists
      (select from teams where id = ${other}) returning team_id) update teams set members = members + 1
      where id in (select team_id from u)`,
    },
    { writes: [], text: sql`select count(*) from users where id = ${id}` },
  ])
}

/** Raw text with the user's word on what it writes; now and then without. */
function raw(random: Random): Step {
  const { writes, text } = drawDeclared(random)
  const told = random.chance(0.85)
  return {
    label: `raw text, ${told ? `which writes ${writes.map(getTableName)}` : 'of which nothing is told'}`,
    run: ({ db, aside }) => (told && aside ? aside.with({ writes }).execute(text) : db.execute(text)),
  }
}

function wroteByHand(random: Random): Step {
  const [id, ref] = [1 + random.below(5), 1 + random.below(5)]
  return {
    label: `annex.entries ${id} written elsewhere, ref ${ref}, and told`,
    run: async ({ outsider, aside }) => {
      const [old] = await outsider.select().from(annexEntries).where(eq(annexEntries.id, id))
      const [row] = await outsider.update(annexEntries).set({ ref }).where(eq(annexEntries.id, id)).returning()
      if (old && row) await aside?.wrote(annexEntries, { old, new: row })
      return row
    },
  }
}

const refresh: Step = {
  label: 'refresh post_totals',
  run: async ({ db }) => loose(db).refreshMaterializedView(postTotals),
}

/** The price has a trigger behind it, which writes logs. */
function reprice(random: Random): Step {
  const price = random.pick(['1.00', '2.5', null])
  const region = random.pick(['', 'eu', 'a:b'])
  return {
    label: `price of stock ${region} ${price}`,
    run: async ({ db }: Hands) => db.update(stock).set({ price }).where(eq(stock.region, region)),
  }
}

const clearLogs = (random: Random): Step => {
  const kind = random.pick(['', 'eu', 'a:b'])
  return { label: `clear logs ${kind}`, run: async ({ db }) => db.delete(logs).where(eq(logs.kind, kind)) }
}

export interface WriteOptions {
  /** Within a transaction, where another connection's write would wait for it. */
  readonly inside?: boolean
  /** What rows are to be written of, more often than not. */
  readonly likely?: readonly Topic[]
}

export function drawWrite(random: Random, { inside = false, likely = [] }: WriteOptions = {}): Step {
  const topic =
    likely.length > 0 && random.chance(0.7)
      ? random.pick(likely)
      : random.weighted(written.map((each) => [each.writes, each] as const))
  return random.weighted<() => Step>([
    [9, () => insert(topic, random)],
    [12, () => update(topic, random)],
    [2.5, () => remove(topic, random)],
    [2.5, () => refill(topicOf(random.pick(['users', 'posts', 'comments', 'postTags', 'teams', 'tags'])), random)],
    [1.2, () => random.pick(others)(random)],
    [0.6, () => raw(random)],
    [inside ? 0 : 0.5, () => wroteByHand(random)],
    [inside ? 0 : 1, () => refresh],
    [0.6, () => reprice(random)],
    [0.3, () => clearLogs(random)],
  ])()
}
