/** Random selects: lists, pages, joins, aggregates, set operations. */
import { and, avg, count, countDistinct, eq, gt, isNull, max, min, ne, or, type SQL, sql, sum } from 'drizzle-orm'
import type { Fluent } from '../loose.ts'
import { drawCondition, drawEquality, drawWhere, type Scope } from './conditions.ts'
import { Ctes, drawCte, drawLateral, drawSubquery } from './derived.ts'
import { drawFields } from './select-lists.ts'
import { drawKey, drawOrder, drawTable, drawTopic, isPlain, ofTopic, type Source } from './sources.ts'
import { type Field, topicOf } from './topics.ts'

export interface Drawn {
  readonly query: PromiseLike<unknown>
  /** The statement says in which order the rows come. */
  readonly ordered: boolean
}

/** What a select reads from, and how the rest of it is joined. */
interface From {
  readonly sources: readonly Source[]
  /** Columns that tell the rows of the whole apart. */
  readonly keys: readonly SQL[]
  readonly ctes: Ctes
  /** Columns that name partners by their keys. */
  readonly ties: readonly SQL[]
  readonly scope: Scope
  join(query: Fluent): Fluent
}

type Base = Omit<Scope, 'sources'>

function drawSource(base: Base, ctes: Ctes, beside: readonly Source[] = []): Source {
  const { draw } = base
  const scope = { ...base, sources: [] }
  return draw.shape.weighted<() => Source>([
    [12, () => drawTable(draw, drawTopic(draw), beside)],
    [base.depth < 2 ? 1.3 : 0, () => drawSubquery(scope)],
    [base.depth < 1 ? 1.5 : 0, () => drawCte(scope, ctes)],
  ])()
}

function drawSingle(base: Base): From {
  const ctes = new Ctes()
  const source = drawSource(base, ctes)
  const sources = [source]
  return {
    sources,
    keys: source.key.map(source.column),
    ctes,
    ties: [],
    scope: { ...base, sources },
    join: (query) => query,
  }
}

// —— lists ——

export function drawList(base: Base): Drawn {
  const { draw } = base
  return draw.shape.weighted<() => Drawn>([
    [6, () => rows(base, drawSingle(base))],
    [1.2, () => distinct(base)],
    [1, () => distinctOn(base)],
    [1.5, () => keyset(base)],
  ])()
}

/** A plain select, in an order or not, a page of it or all. */
function rows(base: Base, from: From, where = drawWhere(from.scope), fields = drawFields(from.scope)): Drawn {
  const { db, draw } = base
  const query = from.join(from.ctes.start(db).select(fields).from(from.sources[0]?.from)).where(where)
  if (draw.chance(0.5)) return { query: draw.chance(0.1) ? query.$dynamic() : query, ordered: false }
  return { query: page(base, query.orderBy(...drawOrder(draw, from.sources, from.keys))), ordered: true }
}

function page({ draw }: Base, query: Fluent): Fluent {
  if (draw.chance(0.4)) return query
  draw.note('limit')
  const limited = query.limit(draw.count(4))
  return draw.chance(0.3) ? limited.offset(draw.count(3)) : limited
}

function distinct(base: Base): Drawn {
  const { db, draw } = base
  draw.note('distinct')
  const from = drawSingle(base)
  const fields = drawFields(from.scope, 'plain')
  return {
    query: from.ctes.start(db).selectDistinct(fields).from(from.sources[0]?.from).where(drawWhere(from.scope)),
    ordered: false,
  }
}

function distinctOn(base: Base): Drawn {
  const { db, draw } = base
  draw.note('distinct on')
  const from = drawSingle(base)
  const [source] = from.sources as [Source]
  const on = source.column(drawKey(draw, source) as string)
  const query = from.ctes
    .start(db)
    .selectDistinctOn([on], drawFields(from.scope, 'plain'))
    .from(source.from)
    .where(drawWhere(from.scope))
    .orderBy(on, ...drawOrder(draw, [], from.keys))
  return { query: page(base, query), ordered: true }
}

/** The next page behind a row: by comparisons, or by comparing rows. */
function keyset(base: Base): Drawn {
  const { db, draw } = base
  draw.note('keyset')
  const topic = drawTopic(draw, ({ key, fields }) => key.length === 1 && fields[key[0] as string]?.type === 'int')
  const source = drawTable(draw, topic)
  const scope = { ...base, sources: [source] }
  const id = topic.key[0] as string
  const first = drawKey(draw, source, ({ type }) => type !== 'bool') as string
  const [place, behind] = [draw.present(topic.fields[first] as Field), draw.present(topic.fields[id] as Field)]
  const [column, key] = [source.column(first), source.column(id)]
  const after = draw.chance(0.5)
    ? or(gt(column, place), and(eq(column, place), gt(key, behind)))
    : sql`(${column}, ${key}) > (${place}, ${behind})`
  const where = and(draw.chance(0.6) ? drawWhere(scope) : undefined, after)
  const query = db.select(drawFields(scope)).from(source.from).where(where).orderBy(column, key)
  return { query: query.limit(draw.count(5)), ordered: true }
}

// —— joins ——

type JoinVerb = 'innerJoin' | 'leftJoin' | 'rightJoin' | 'fullJoin' | 'crossJoin'

export function drawJoin(base: Base): Drawn {
  const from = drawJoined(base)
  if (from.plain) return rows(base, from, plainWhere(from), drawFields(from.scope, 'plain'))
  return rows(base, from, joinedWhere(from))
}

/** Mostly nothing but the keys tells of the partners: what a list with its authors looks like. */
function plainWhere({ scope, sources }: From): SQL | undefined {
  const { draw } = scope
  if (draw.chance(0.2)) return undefined
  if (draw.chance(0.25)) return partnerWhere({ scope, sources })
  return drawWhere({ ...scope, sources: sources.slice(0, 1), flat: true })
}

/** On columns that are no keys of theirs. */
function partnerWhere({ scope, sources }: Pick<From, 'scope' | 'sources'>): SQL | undefined {
  const { draw } = scope
  const partner = draw.shape.pick(sources.slice(1))
  const others = Object.entries(partner.fields).filter(([key, field]) => isPlain(field) && !partner.key.includes(key))
  if (others.length === 0) return undefined
  draw.note('condition on a partner')
  const [key, field] = draw.shape.pick(others)
  return draw.shape.pick([eq, ne])(partner.column(key), draw.present(field))
}

function joinedWhere({ scope, sources }: From): SQL | undefined {
  const { draw } = scope
  const partner = sources.at(-1) as Source
  if (draw.chance(0.12)) {
    draw.note('anti-join')
    return isNull(partner.column(partner.key[0] as string))
  }
  return draw.chance(0.4) ? drawWhere({ ...scope, sources: [sources[0] as Source] }) : drawWhere(scope)
}

interface Step {
  readonly source: Source
  join(query: Fluent): Fluent
  /** What its key equals, where it has at most one row for each row so far. */
  readonly toOne: SQL | undefined
}

function drawJoined(base: Base): From & { plain: boolean } {
  const { draw } = base
  const plain = draw.chance(0.4)
  if (plain) draw.note('plain partners')
  const ctes = new Ctes()
  const root = plain
    ? drawTable(
        draw,
        drawTopic(draw, ({ edges }) => edges.length > 0),
      )
    : drawSource(base, ctes)
  const sources = [root]
  const keys = root.key.map(root.column)
  const steps: Step[] = []
  for (
    let more = draw.shape.weighted([
      [5, 1],
      [3, 2],
      [1, 3],
    ] as const);
    more > 0;
    more--
  ) {
    const step = drawStep({ ...base, sources }, ctes, plain)
    steps.push(step)
    sources.push(step.source)
    if (!step.toOne) keys.push(...step.source.key.map(step.source.column))
  }
  const join = (query: Fluent) => steps.reduce((joined, step) => step.join(joined), query)
  const ties = steps.flatMap(({ toOne }) => toOne ?? [])
  return { sources, keys, ctes, ties, scope: { ...base, sources: [...sources] }, join, plain }
}

function drawStep(scope: Scope, ctes: Ctes, plain: boolean): Step {
  const { draw } = scope
  const edged = scope.sources.filter(({ edges }) => edges.length > 0)
  if (edged.length > 0 && (plain || draw.chance(0.6))) return alongEdge(scope, draw.shape.pick(edged), plain)
  return freely(scope, drawSource(scope, ctes, scope.sources))
}

function alongEdge(scope: Scope, outer: Source, plain: boolean): Step {
  const { draw, sources } = scope
  const edges = plain ? outer.edges.filter(isToOne) : outer.edges
  const edge = draw.shape.pick(edges.length > 0 ? edges : outer.edges)
  const table = drawTable(draw, topicOf(edge.to), sources)
  const tie = eq(outer.column(edge.column), table.column(edge.toColumn))
  if (!plain && scope.depth < 1 && draw.chance(0.12)) {
    const source = drawLateral(scope, table, tie)
    const verb = draw.chance(0.6) ? 'leftJoinLateral' : 'innerJoinLateral'
    return { source, join: (query) => query[verb](source.from, sql`true`), toOne: undefined }
  }
  const verb = draw.shape.weighted<JoinVerb>([
    [5, 'innerJoin'],
    [5, 'leftJoin'],
    [plain ? 0 : 1, 'rightJoin'],
    [plain ? 0 : 1, 'fullJoin'],
  ])
  const on = plain && draw.chance(0.8) ? tie : withMore({ ...scope, sources: [...sources, table] }, tie, verb)
  const kept = verb === 'innerJoin' || verb === 'leftJoin'
  if (sources[0]?.topic === table.topic) draw.note('first table joined again')
  if (plain && outer !== sources[0]) draw.note('partner of a partner')
  if (plain && verb === 'innerJoin' && edge.mayMiss) draw.note('inner partner that may be missing')
  return {
    source: table,
    join: joinBy(verb, table, on),
    toOne: kept && isToOne(edge) ? outer.column(edge.column) : undefined,
  }
}

/** Towards the whole primary key of another table. */
const isToOne = ({ to, toColumn }: { to: string; toColumn: string }): boolean => {
  const { key, written } = topicOf(to)
  return written && key.length === 1 && key[0] === toColumn
}

/** More in the ON of a join: on either side. */
function withMore(scope: Scope, tie: SQL, verb: JoinVerb): SQL {
  const { draw } = scope
  if (draw.chance(0.6)) return tie
  draw.note(`more in on of ${verb}`)
  if (verb === 'leftJoin' && draw.chance(0.3)) {
    draw.note('left side in on')
    return and(tie, drawEquality({ ...scope, sources: scope.sources.slice(0, -1) })) as SQL
  }
  if (verb !== 'fullJoin') return and(tie, drawCondition({ ...scope, flat: draw.chance(0.7) }, 1)) as SQL
  const source = draw.shape.pick(scope.sources)
  const key = drawKey(draw, source) as string
  return and(tie, eq(source.column(key), draw.present(source.fields[key] as Field))) as SQL
}

/** By columns of one type, by a constant, or by nothing. */
function freely(scope: Scope, source: Source): Step {
  const { draw, sources } = scope
  const outer = draw.shape.pick(sources)
  const key = drawKey(draw, outer) as string
  const other = drawKey(draw, source, ({ type }) => type === outer.fields[key]?.type)
  if (other === undefined || draw.chance(0.15)) {
    return { source, join: (query) => query.crossJoin(source.from), toOne: undefined }
  }
  const verb = draw.shape.weighted<JoinVerb>([
    [5, 'innerJoin'],
    [4, 'leftJoin'],
    [1.5, 'rightJoin'],
    [1, 'fullJoin'],
  ])
  const tie = eq(outer.column(key), source.column(other))
  const on = draw.chance(0.85) || verb === 'fullJoin' ? tie : gt(outer.column(key), source.column(other))
  return {
    source,
    join: joinBy(verb, source, withMore({ ...scope, sources: [...sources, source] }, on, verb)),
    toOne: undefined,
  }
}

const joinBy =
  (verb: JoinVerb, { from }: Source, on: SQL) =>
  (query: Fluent): Fluent => {
    if (verb === 'crossJoin') return query.crossJoin(from)
    return query[verb](from, on)
  }

// —— aggregates ——

export function drawAggregate(base: Base): Drawn {
  const { db, draw } = base
  if (draw.chance(0.15)) {
    const source = ofTopic(drawTopic(draw))
    return { query: db.$count(source.from, drawWhere({ ...base, sources: [source] })), ordered: false }
  }
  const from = draw.chance(0.4) ? drawJoined(base) : drawSingle(base)
  const grouped = draw.chance(0.6)
  if (grouped && from.sources.length > 1) draw.note('joined groups')
  return grouped ? groups(base, from) : totals(base, from)
}

function totals({ db }: Base, from: From): Drawn {
  const query = from.join(from.ctes.start(db).select(aggregates(from)).from(from.sources[0]?.from))
  return { query: query.where(drawWhere(from.scope)), ordered: false }
}

function groups({ db, draw }: Base, from: From): Drawn {
  draw.note('group by')
  const by = Array.from({ length: 1 + draw.shape.below(2) }, () => {
    const source = draw.shape.pick(from.sources)
    return source.column(drawKey(draw, source) as string)
  })
  const byPartner = from.ties.length > 0 && draw.chance(0.6)
  if (byPartner) draw.note('groups by partner')
  if (byPartner) by[0] = draw.shape.pick(from.ties)
  const worths = aggregates(from, byPartner)
  const fields = { ...Object.fromEntries(by.map((column, at) => [`by${at}`, column])), ...worths }
  let query = from.join(from.ctes.start(db).select(fields).from(from.sources[0]?.from))
  const where = byPartner && draw.chance(0.7) ? partnerWhere(from) : drawWhere(from.scope)
  query = query.where(where).groupBy(...by)
  if (draw.chance(0.35)) {
    draw.note('having')
    query = query.having(gt(count(), draw.count(2)))
  }
  if (draw.chance(0.5)) return { query, ordered: false }
  query = query.orderBy(...by)
  return { query: draw.chance(0.4) ? query.limit(draw.count(3)) : query, ordered: true }
}

/** `own`: without raw text, of which less is known. */
function aggregates({ scope, sources }: From, own = false): Record<string, unknown> {
  const { draw } = scope
  const fields: Record<string, unknown> = {}
  for (let more = 1 + draw.shape.below(3); more > 0; more--) {
    const source = draw.shape.pick(sources)
    const int = drawKey(draw, source, ({ type }) => type === 'int')
    const any = source.column(drawKey(draw, source) as string)
    const number = int === undefined ? undefined : source.column(int)
    fields[`worth${more}`] = draw.shape.pick([
      count(),
      count(any),
      countDistinct(any),
      ...(own ? [] : rawAggregates(any)),
      ...(number ? [sum(number), avg(number), max(number), min(number)] : []),
    ])
  }
  return fields
}

const rawAggregates = (column: SQL): SQL[] => [
  sql<string[]>`array_agg(${column}::text order by ${column}::text)`,
  sql<number>`count(*) filter (where ${column} is not null)`.mapWith(Number),
]

// —— set operations ——

const operations = ['union', 'unionAll', 'intersect', 'intersectAll', 'except', 'exceptAll'] as const
type SetVerb = (typeof operations)[number]
type Combining = Fluent & Record<SetVerb, (other: unknown) => Combining>

export function drawSetOperation(base: Base): Drawn {
  const { draw } = base
  const type = draw.shape.pick(['int', 'text'] as const)
  let query = member(base, type) as Combining
  for (let more = 1 + draw.shape.below(2); more > 0; more--) {
    query = query[
      draw.shape.weighted<SetVerb>([
        [4, 'union'],
        [3, 'unionAll'],
        [1, 'intersect'],
        [0.5, 'intersectAll'],
        [2, 'except'],
        [0.5, 'exceptAll'],
      ])
    ](member(base, type))
  }
  if (draw.chance(0.6)) return { query, ordered: false }
  const sorted = query.orderBy(sql`1, 2`)
  return { query: draw.chance(0.5) ? sorted.limit(draw.count(5)) : sorted, ordered: true }
}

/** Two columns, of the same types in each member. */
function member(base: Base, type: 'int' | 'text'): Fluent {
  const { db, draw } = base
  const fits = (of: Field) => of.type === type
  const topic = drawTopic(draw, ({ fields }) => Object.values(fields).some(fits))
  const source = drawTable(draw, topic)
  const scope = { ...base, sources: [source], depth: base.depth + 1 }
  const column = source.column(drawKey(draw, source, fits) as string)
  const other = source.column(
    draw.shape.pick(Object.keys(source.fields).filter((key) => isPlain(source.fields[key] as Field))),
  )
  const query = db
    .select({ it: type === 'text' ? sql<string>`${column}::text` : column, other: sql<string>`${other}::text` })
    .from(source.from)
    .where(drawWhere(scope))
  if (!draw.chance(0.15)) return query
  draw.note('limit within')
  return query.orderBy(...drawOrder(draw, [], source.key.map(source.column))).limit(draw.count(3))
}
