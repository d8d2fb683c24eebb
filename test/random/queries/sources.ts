/** What a query reads from: a table, an alias of one, a view, a query with a name. */
import { type SQL, sql } from 'drizzle-orm'
import { alias } from 'drizzle-orm/pg-core'
import type { Draw } from './draw.ts'
import { columnsOf, type Edge, type Field, type Topic, topics } from './topics.ts'

export interface Source {
  /** As `from` and the joins take it. */
  readonly from: unknown
  readonly fields: Readonly<Record<string, Field>>
  /** Columns that tell its rows apart. */
  readonly key: readonly string[]
  readonly edges: readonly Edge[]
  /** The topic of which its rows are; undefined for groups and the like. */
  readonly topic: Topic | undefined
  /** Drizzle cannot select all of an aliased view. */
  readonly whole?: false
  column(key: string): SQL
}

export const columnOf = (source: Pick<Source, 'from'>, key: string): SQL =>
  columnsOf(source.from)[key] as unknown as SQL

export function asSource(from: unknown, given: Omit<Source, 'from' | 'column'>): Source {
  return { ...given, from, column: (key) => columnOf({ from }, key) }
}

export const ofTopic = (topic: Topic, from: unknown = topic.source): Source =>
  asSource(from, { fields: topic.fields, key: topic.key, edges: topic.edges, topic })

export function drawTopic(draw: Draw, fits: (topic: Topic) => boolean = () => true): Topic {
  const topic = draw.shape.weighted(topics.filter(fits).map((each) => [each.reads, each] as const))
  draw.topics.add(topic)
  return topic
}

/** A table or view; under an alias where it is there already, and now and then otherwise. */
export function drawTable(draw: Draw, topic: Topic, beside: readonly Source[] = []): Source {
  const again = beside.some((other) => other.topic !== undefined && sameName(other.topic, topic))
  if (again) draw.note('self-join')
  if (!topic.written) draw.note('view')
  draw.topics.add(topic)
  if (!again && !draw.chance(0.1)) return ofTopic(topic)
  const aliased = ofTopic(topic, alias(topic.source as never, draw.name('t')))
  return topic.written ? aliased : { ...aliased, whole: false }
}

const sameName = (one: Topic, other: Topic): boolean => one === other || (isEntries(one) && isEntries(other))
const isEntries = ({ name }: Topic): boolean => name === 'entries' || name === 'annexEntries'

/** Its values may stand in any text: no encoder of the column is needed. */
export const isPlain = ({ type }: Field): boolean => type !== 'json' && type !== 'time'

/** A column to put a condition on: keys and indexed columns more often than others. */
export function drawKey(draw: Draw, source: Source, fits: (field: Field) => boolean = () => true): string | undefined {
  const choices = Object.entries(source.fields).filter(([, field]) => isPlain(field) && fits(field))
  if (choices.length === 0) return undefined
  return draw.shape.weighted(choices.map(([key, field]) => [field.likely ? 5 : 1, key] as const))
}

/** An order in which no two rows stand equal: any columns, then all keys. */
export function drawOrder(draw: Draw, sources: readonly Source[], keys: readonly SQL[]): SQL[] {
  const first: SQL[] = []
  while (sources.length > 0 && first.length < 3 && draw.chance(0.45)) {
    const source = draw.shape.pick(sources)
    const key = draw.shape.pick(Object.keys(source.fields))
    if (source.fields[key]?.type !== 'json') first.push(directed(draw, source.column(key)))
  }
  if (first.length > 0) draw.note('order by')
  return [...first, ...keys.map((key) => directed(draw, key))]
}

const directed = (draw: Draw, column: SQL): SQL =>
  draw.shape.weighted([
    [3, sql`${column} asc`],
    [3, sql`${column} desc`],
    [1, sql`${column} desc nulls last`],
  ] as const)
