/** Random conditions in all the ways Drizzle offers to write them. */
import {
  and,
  between,
  eq,
  exists,
  gt,
  gte,
  ilike,
  inArray,
  isNotNull,
  isNull,
  like,
  lt,
  lte,
  ne,
  not,
  notExists,
  notInArray,
  or,
  type SQL,
  sql,
} from 'drizzle-orm'
import type { Loose } from '../loose.ts'
import type { Draw } from './draw.ts'
import { drawKey, drawTable, drawTopic, type Source } from './sources.ts'
import { type Field, topicOf } from './topics.ts'

/** What a condition may speak of. */
export interface Scope {
  readonly db: Loose
  readonly draw: Draw
  readonly sources: readonly Source[]
  /** How deep queries stand within queries. */
  readonly depth: number
  /** Sub-queries are not for every place. */
  readonly flat?: boolean
}

const onlyOf = (scope: Scope, source: Source): Scope => ({ ...scope, sources: [source] })

/** The condition of a whole query: mostly something that fixes a key or a class, often with more. */
export function drawWhere(scope: Scope): SQL | undefined {
  const { draw } = scope
  return draw.shape.weighted<() => SQL | undefined>([
    [6, () => drawEquality(scope)],
    [5, () => and(drawEquality(scope), drawCondition(scope))],
    [3, () => inList(scope)],
    [2, () => and(inList(scope), drawCondition(scope))],
    [3, () => either(scope)],
    [1.5, () => and(either(scope), drawEquality(scope))],
    [1.2, () => and(drawEquality(scope), drawOpaque(scope))],
    [5, () => drawCondition(scope)],
    [3, () => undefined],
  ])()
}

export function drawCondition(scope: Scope, level = 0): SQL {
  const { draw } = scope
  if (level < 2 && draw.chance(0.3)) return group(scope, level)
  return atom(scope)
}

function group(scope: Scope, level: number): SQL {
  const { draw } = scope
  const members = Array.from({ length: 2 + draw.shape.below(2) }, () => drawCondition(scope, level + 1))
  return draw.shape.weighted<() => SQL>([
    [4, () => and(...members) as SQL],
    [3, () => anyOf(scope, members)],
    [2, () => negated(scope, members)],
  ])()
}

/** Some of its members may say nothing of any class. */
function anyOf({ draw }: Scope, members: readonly SQL[]): SQL {
  draw.note('or of anything')
  return or(...members) as SQL
}

function negated({ draw }: Scope, members: readonly SQL[]): SQL {
  draw.note('not')
  return draw.chance(0.5)
    ? not(members[0] as SQL)
    : not(draw.chance(0.5) ? (and(...members) as SQL) : (or(...members) as SQL))
}

/** Every way in is an equality: several classes, each of which counts. */
function either(scope: Scope): SQL {
  const { draw } = scope
  draw.note('or')
  const source = draw.shape.pick(scope.sources)
  const members = Array.from({ length: 2 + draw.shape.below(2) }, () => drawEquality(onlyOf(scope, source)))
  return or(...members) as SQL
}

export function drawEquality(scope: Scope): SQL {
  const { draw } = scope
  const source = draw.shape.pick(scope.sources)
  const key = drawKey(draw, source) as string
  return draw.shape.weighted<() => SQL>([
    [9, () => eq(source.column(key), draw.present(fieldOf(source, key)))],
    [1.2, () => nullClass(draw, source)],
    [1, () => sql`${source.column(key)} = ${draw.present(fieldOf(source, key))}`],
    [0.4, () => eq(source.column(key), draw.value(fieldOf(source, key)))],
  ])()
}

/** `is null` on a column that has NULLs: the class of those rows. */
function nullClass(draw: Draw, source: Source): SQL {
  draw.note('is null')
  const key = draw.shape.pick(Object.keys(source.fields))
  if (source.topic?.moves.includes(key)) draw.note('class of null')
  return isNull(source.column(key))
}

function inList({ draw, sources }: Scope): SQL {
  const source = draw.shape.pick(sources)
  const key = drawKey(draw, source) as string
  draw.note('in list')
  return inArray(source.column(key), valuesOf(draw, fieldOf(source, key), draw.shape.below(4)))
}

const valuesOf = (draw: Draw, field: Field, length: number): unknown[] =>
  Array.from({ length }, () => (draw.chance(0.05) ? draw.value(field) : draw.present(field)))

const fieldOf = (source: Source, key: string): Field => source.fields[key] as Field

function atom(scope: Scope): SQL {
  const { draw, depth, flat } = scope
  const nested = depth < 2 && !flat ? 1 : 0
  return draw.shape.weighted<() => SQL>([
    [6, () => drawEquality(scope)],
    [2, () => inList(scope)],
    [5, () => comparison(scope)],
    [1.5, () => nullTest(scope)],
    [1, () => pattern(scope)],
    [2, () => raw(scope)],
    [1, () => twoColumns(scope)],
    [1.6 * nested, () => existing(scope)],
    [1.2 * nested, () => inQuery(scope)],
    [0.8 * nested, () => scalarQuery(scope)],
  ])()
}

const comparisons = [ne, gt, gte, lt, lte]

function comparison({ draw, sources }: Scope): SQL {
  const source = draw.shape.pick(sources)
  const key = drawKey(draw, source) as string
  const [column, field] = [source.column(key), fieldOf(source, key)]
  if (draw.chance(0.15)) return between(column, draw.present(field), draw.present(field))
  if (draw.chance(0.2)) return notInArray(column, valuesOf(draw, field, 1 + draw.shape.below(3)))
  return draw.shape.pick(comparisons)(column, draw.present(field))
}

function nullTest({ draw, sources }: Scope): SQL {
  const source = draw.shape.pick(sources)
  const column = source.column(draw.shape.pick(Object.keys(source.fields)))
  draw.note('is null')
  return draw.chance(0.5) ? isNull(column) : isNotNull(column)
}

function pattern(scope: Scope): SQL {
  const { draw, sources } = scope
  const source = draw.shape.pick(sources)
  const key = drawKey(draw, source, ({ type }) => type === 'text' || type === 'citext')
  if (key === undefined) return comparison(scope)
  const text = draw.shape.pick(['%a%', 'A%', '_', '%'])
  return draw.chance(0.5) ? like(source.column(key), text) : ilike(source.column(key), text)
}

/** Text of one's own: some of it stands by itself, some reaches beyond its place. */
function raw({ draw, sources }: Scope): SQL {
  const source = draw.shape.pick(sources)
  const [key, other] = [drawKey(draw, source) as string, draw.shape.pick(Object.keys(source.fields))]
  const [column, field] = [source.column(key), fieldOf(source, key)]
  draw.note('raw text')
  return draw.shape.weighted<() => SQL>([
    [3, () => drawOpaque({ draw, sources })],
    [2, () => sql`${column} is not distinct from ${draw.value(field)}`],
    [2, () => sql`(${column} = ${draw.present(field)} or ${source.column(other)} is null)`],
    [1, () => sql`coalesce(${column}, ${draw.present(field)}) = ${draw.present(field)}`],
    [1, () => sql`${column} in ${[draw.present(field), draw.present(field)]}`],
    [1, () => sql`not ${column} = ${draw.present(field)}`],
  ])()
}

/** Within a group it changes what its neighbours mean: Drizzle puts no parentheses around it. */
function drawOpaque({ draw, sources }: Pick<Scope, 'draw' | 'sources'>): SQL {
  draw.note('opaque or')
  const source = draw.shape.pick(sources)
  const [key, other] = [drawKey(draw, source) as string, draw.shape.pick(Object.keys(source.fields))]
  return sql`${source.column(key)} = ${draw.present(fieldOf(source, key))} or ${source.column(other)} is null`
}

/** Columns of one type, of the same source or of two. */
function twoColumns(scope: Scope): SQL {
  const { draw, sources } = scope
  const [left, right] = [draw.shape.pick(sources), draw.shape.pick(sources)]
  const key = drawKey(draw, left) as string
  const other = drawKey(draw, right, ({ type }) => type === fieldOf(left, key).type)
  if (other === undefined) return comparison(scope)
  const operator = draw.shape.weighted([
    [3, eq],
    [1, ne],
    [1, lt],
  ] as const)
  return operator(left.column(key), right.column(other))
}

// —— queries within conditions ——

/** Another table, tied to one of those outside by an edge of the schema where there is one. */
function inner(scope: Scope): { source: Source; tie: SQL | undefined; within: Scope } {
  const { draw, sources } = scope
  const outer = draw.shape.pick(sources)
  const edge = outer.edges.length > 0 && draw.chance(0.8) ? draw.shape.pick(outer.edges) : undefined
  const topic = edge ? topicOf(edge.to) : drawTopic(draw)
  // Under the name of a table outside it hides that one: both then speak of the inner.
  const shadows = draw.chance(0.08)
  const source = drawTable(draw, topic, shadows ? [] : sources)
  const tie = edge && eq(outer.column(edge.column), source.column(edge.toColumn))
  return { source, tie, within: { ...scope, sources: [source], depth: scope.depth + 1 } }
}

function existing(scope: Scope): SQL {
  const { db, draw } = scope
  draw.note('exists')
  const { source, tie, within } = inner(scope)
  const where = and(tie, draw.chance(0.5) ? drawCondition(within, 1) : undefined)
  const query = db.select({ one: sql`1` }).from(source.from).where(where)
  return draw.chance(0.7) ? exists(query as never) : notExists(query as never)
}

function inQuery(scope: Scope): SQL {
  const { db, draw } = scope
  const { source, within } = inner(scope)
  const outer = draw.shape.pick(scope.sources)
  const key = drawKey(draw, outer) as string
  const other = drawKey(draw, source, ({ type }) => type === fieldOf(outer, key).type)
  if (other === undefined) return existing(scope)
  draw.note('in sub-query')
  const query = db
    .select({ it: source.column(other) })
    .from(source.from)
    .where(drawCondition(within, 1))
  return draw.chance(0.75) ? inArray(outer.column(key), query as never) : notInArray(outer.column(key), query as never)
}

function scalarQuery(scope: Scope): SQL {
  const { draw, sources } = scope
  const outer = draw.shape.pick(sources)
  const key = drawKey(draw, outer, ({ type }) => type === 'int')
  if (key === undefined) return existing(scope)
  draw.note('scalar sub-query')
  return draw.shape.pick([gte, lt, eq])(outer.column(key), sql`(${drawScalar(scope)})`)
}

/** A query of one number. */
export function drawScalar(scope: Scope): unknown {
  const { db, draw } = scope
  const { source, tie, within } = inner(scope)
  const key = drawKey(draw, source, ({ type }) => type === 'int')
  const where = and(tie, draw.chance(0.4) ? drawCondition(within, 1) : undefined)
  if (draw.chance(0.5) || key === undefined)
    return db.select({ n: sql`count(*)::integer` }).from(source.from).where(where)
  const worth = draw.shape.pick(['max', 'min', 'sum'])
  return db
    .select({ n: sql`${sql.raw(worth)}(${source.column(key)})::integer` })
    .from(source.from)
    .where(where)
}
