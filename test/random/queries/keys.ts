/** Reads of single rows, by all of a key: what records answer. */
import { and, eq, inArray, is, or, type SQL, StringChunk, sql } from 'drizzle-orm'
import type { Loose } from '../loose.ts'
import { drawCondition } from './conditions.ts'
import type { Draw } from './draw.ts'
import type { Drawn } from './selects.ts'
import { ofTopic, type Source } from './sources.ts'
import { columnsOf, type Field, type Topic, topics } from './topics.ts'

const keyed = topics.filter(({ name, written }) => written && name !== 'logs')

export interface DrawnByKey extends Drawn {
  /** The versions of the rows that are at the key, or at another key that the query fixes too. */
  readonly versions: SQL
}

export type KeyKind = 'key' | 'in-list' | 'unique'

export function drawByKey({ db, draw }: { db: Loose; draw: Draw }, kind: KeyKind): DrawnByKey {
  const fitting = kind === 'unique' ? keyed.filter(({ uniques }) => uniques.length > 0) : keyed
  const topic = draw.shape.weighted(fitting.map((each) => [each.reads, each] as const))
  draw.topics.add(topic)
  const source = ofTopic(topic)
  const key = kind === 'unique' ? draw.shape.pick(topic.uniques) : topic.key
  const where = kind === 'in-list' ? listed(draw, topic, source) : equal(draw, source, key)
  const more = draw.chance(0.15) ? drawCondition({ db, draw, sources: [source], depth: 0, flat: true }, 2) : undefined
  const condition = more ? and(where, more) : where
  const found = more && fixesAnotherKey(more, topic, key) ? or(where, more) : where
  const versions = sql`select xmin::text, ctid::text from ${topic.source} where ${found} order by 1, 2`
  const end = { ordered: false, versions }
  if (draw.chance(0.25)) return { query: db.query[topic.name]!.findMany({ where: condition }), ...end }
  const columns = draw.chance(0.3) ? some(draw, source) : undefined
  return { query: db.select(columns).from(topic.source).where(condition), ...end }
}

/** The record may be found by another whole key, where a further condition fixes one: none does with several columns. */
function fixesAnotherKey({ queryChunks }: SQL, topic: Topic, asked: readonly string[]): boolean {
  const [before, column, operator, , after, ...rest] = queryChunks
  const fixes = rest.length === 0 && [' = ', ' in '].includes(textOf(operator)) && !textOf(before) && !textOf(after)
  const others = [topic.key, ...topic.uniques].filter((key) => key !== asked && key.length === 1)
  return fixes && others.some(([only]) => columnsOf(topic.source)[only as string] === column)
}

const textOf = (chunk: unknown): string => (is(chunk, StringChunk) ? chunk.value.join('') : '')

const equal = (draw: Draw, source: Source, key: readonly string[]): SQL =>
  and(...key.map((each) => eq(source.column(each), draw.present(source.fields[each] as Field)))) as SQL

function listed(draw: Draw, topic: Topic, source: Source): SQL {
  const each = Array.from({ length: 1 + draw.shape.below(4) })
  const [only] = topic.key as [string]
  if (topic.key.length > 1) return or(...each.map(() => equal(draw, source, topic.key))) as SQL
  return inArray(
    source.column(only),
    each.map(() => draw.present(topic.fields[only] as Field)),
  )
}

const some = (draw: Draw, source: Source): Record<string, unknown> =>
  Object.fromEntries(draw.shape.some(Object.keys(source.fields)).map((key) => [key, source.column(key)]))
