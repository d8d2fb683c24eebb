/** Random `db.query` reads: trees of relations, each level with columns, a condition, an order and a limit of its own. */
import { asc, desc, type SQL, sql } from 'drizzle-orm'
import type { Loose } from '../loose.ts'
import { drawWhere } from './conditions.ts'
import type { Draw } from './draw.ts'
import type { Drawn } from './selects.ts'
import { columnOf, ofTopic } from './sources.ts'
import { columnsOf, type Topic, topicOf, topics } from './topics.ts'

/** Rows within rows come in any order. */
export const unorderedWithin = 'unordered within'

interface Level {
  readonly db: Loose
  readonly draw: Draw
  readonly topic: Topic
  readonly depth: number
  readonly many: boolean
}

export function drawRelational({ db, draw }: { db: Loose; draw: Draw }): Drawn {
  const topic = draw.shape.weighted(topics.filter(({ written }) => written).map((each) => [each.reads, each] as const))
  const first = draw.chance(0.35)
  const config = drawConfig({ db, draw, topic, depth: 0, many: !first })
  const builder = db.query[topic.name] as NonNullable<Loose['query'][string]>
  // The first row of several is only the same one if their order is total.
  if (first) return { query: builder.findFirst({ ...config, orderBy: totalOrder(draw, topic) }), ordered: false }
  return { query: builder.findMany(config), ordered: 'orderBy' in config }
}

function drawConfig(level: Level): Record<string, unknown> {
  const { draw, topic, depth, many } = level
  draw.topics.add(topic)
  const config: Record<string, unknown> = {}
  const columns = drawColumns(draw, topic)
  if (columns) config.columns = columns
  if (depth === 0 || many) Object.assign(config, drawPart(level))
  const related = drawWith(level)
  if (related) config.with = related
  if (draw.chance(0.12)) config.extras = drawExtras(draw, topic)
  return config
}

function drawColumns(draw: Draw, topic: Topic): Record<string, boolean> | undefined {
  if (draw.chance(0.6)) return undefined
  const chosen = draw.shape.some(Object.keys(topic.fields))
  // Without a column left there is no statement.
  const keep = draw.chance(0.7) || chosen.length === Object.keys(topic.fields).length
  return Object.fromEntries(chosen.map((key) => [key, keep]))
}

/** Which rows, and in which order: a limit only where the order is total. */
function drawPart({ db, draw, topic, depth }: Level): Record<string, unknown> {
  const part: Record<string, unknown> = {}
  if (draw.chance(depth === 0 ? 0.8 : 0.35)) {
    if (depth > 0) draw.note('where within with')
    part.where = drawFilter(db, draw, topic)
  }
  if (draw.chance(0.45)) {
    part.orderBy = totalOrder(draw, topic)
    if (draw.chance(0.5)) {
      draw.note(depth === 0 ? 'limit' : 'limit within with')
      part.limit = draw.count(3)
      if (depth === 0 && draw.chance(0.3)) part.offset = draw.count(2)
    }
  }
  return part
}

/** On the table's own columns, or on those that the callback is given. */
function drawFilter(db: Loose, draw: Draw, topic: Topic): SQL | ((columns: unknown) => SQL | undefined) | undefined {
  if (draw.chance(0.5)) return drawWhere({ db, draw, sources: [ofTopic(topic)], depth: 1, flat: true })
  const later = draw.later()
  return (columns) => drawWhere({ db, draw: later(), sources: [ofTopic(topic, columns)], depth: 1, flat: true })
}

const totalOrder = (draw: Draw, topic: Topic): SQL[] => {
  const first = draw.chance(0.5) ? [draw.shape.pick(Object.keys(topic.fields))] : []
  const plain = first.filter((key) => topic.fields[key]?.type !== 'json')
  return [...plain, ...topic.key].map((key) => (draw.chance(0.5) ? asc : desc)(columnsOf(topic.source)[key] as never))
}

function drawWith(level: Level): Record<string, unknown> | undefined {
  const { draw, topic, depth } = level
  if (depth >= 3 || topic.relations.length === 0 || draw.chance([0.1, 0.55, 0.85][depth] as number)) return undefined
  const chosen = topic.relations.filter(() => draw.chance(depth === 0 ? 0.4 : 0.25))
  const relations = chosen.length > 0 ? chosen : [draw.shape.pick(topic.relations)]
  return Object.fromEntries(
    relations.map(({ name, to, many }) => {
      draw.note(many ? 'with many' : 'with one')
      const config = draw.chance(0.35) ? {} : drawConfig({ ...level, topic: topicOf(to), depth: depth + 1, many })
      if (many && !('orderBy' in config)) draw.note(unorderedWithin)
      return [name, Object.keys(config).length > 0 ? config : true]
    }),
  )
}

function drawExtras(draw: Draw, topic: Topic): unknown {
  draw.note('extras')
  const key = draw.shape.pick(Object.keys(topic.fields))
  const text = (column: SQL) => ({ told: sql<string>`coalesce(${column}::text, 'none')`.as('told') })
  if (draw.chance(0.5)) return text(columnOf({ from: topic.source }, key))
  return (columns: unknown) => text(columnOf({ from: columns }, key))
}
