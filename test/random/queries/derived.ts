/** Queries with a name to read from: sub-queries, CTEs, groups, lateral ones. */
import { and, type SQL, sql } from 'drizzle-orm'
import type { Derived, Fluent, Loose } from '../loose.ts'
import { drawWhere, type Scope } from './conditions.ts'
import type { Draw } from './draw.ts'
import { asSource, drawKey, drawOrder, drawTable, drawTopic, type Source } from './sources.ts'
import type { Field } from './topics.ts'

/** The CTEs that a query begins with, in their order. */
export class Ctes {
  readonly all: Derived[] = []
  readonly sources: Source[] = []

  /** Where the query's `select` is found. */
  start(db: Loose): Pick<Loose, 'select' | 'selectDistinct' | 'selectDistinctOn'> {
    return this.all.length > 0 ? db.with(...this.all) : db
  }
}

const counted: Field = { type: 'int', draw: (random) => 1 + random.below(4), likely: false }

interface Inner {
  readonly query: Fluent
  readonly fields: Readonly<Record<string, Field>>
  readonly key: readonly string[]
  readonly base: Source
}

export function drawSubquery(scope: Scope): Source {
  scope.draw.note('sub-query in from')
  const { query, ...shape } = drawInner(scope, drawTable(scope.draw, drawTopic(scope.draw)))
  return named(query.as(scope.draw.name('q')), shape)
}

export function drawCte(scope: Scope, ctes: Ctes): Source {
  const { db, draw } = scope
  draw.note('cte')
  const before = ctes.sources.length > 0 && draw.chance(0.5) ? draw.shape.pick(ctes.sources) : undefined
  const { query, ...shape } = drawInner(scope, before ?? drawTable(draw, drawTopic(draw)))
  const cte = db.$with(draw.name('w')).as(query)
  const source = named(cte, shape)
  ctes.all.push(cte)
  ctes.sources.push(source)
  return source
}

/** A few rows of another table for each row of one outside. */
export function drawLateral(scope: Scope, table: Source, tie: SQL | undefined): Source {
  scope.draw.note('lateral')
  const { query, ...shape } = drawRows({ ...scope, sources: [table], depth: scope.depth + 1 }, table, tie, true)
  return named(query.as(scope.draw.name('l')), shape)
}

const named = (from: Derived, { fields, key, base }: Omit<Inner, 'query'>): Source =>
  asSource(from, { fields, key, edges: base.edges.filter(({ column }) => column in fields), topic: undefined })

function drawInner(scope: Scope, base: Source): Inner {
  const within: Scope = { ...scope, sources: [base], depth: scope.depth + 1 }
  return scope.draw.chance(0.3) ? drawGroups(within, base) : drawRows(within, base, undefined, scope.draw.chance(0.25))
}

function drawGroups(scope: Scope, base: Source): Inner {
  const { db, draw } = scope
  const key = drawKey(draw, base) as string
  const column = base.column(key)
  // Drizzle names such a column without its query: no two may have one name.
  const total = draw.name('total')
  const query = db
    .select({ [key]: column, [total]: sql<number>`count(*)::integer`.as(total) })
    .from(base.from)
    .where(drawWhere(scope))
    .groupBy(column)
  return { query, fields: { [key]: base.fields[key] as Field, [total]: counted }, key: [key], base }
}

function drawRows(scope: Scope, base: Source, tie: SQL | undefined, limited: boolean): Inner {
  const { db, draw } = scope
  const keys = Object.keys(base.fields).filter((key) => base.key.includes(key) || draw.chance(0.5))
  const fields = Object.fromEntries(keys.map((key) => [key, base.fields[key] as Field]))
  const columns: Record<string, unknown> = Object.fromEntries(keys.map((key) => [key, base.column(key)]))
  const calculated = drawCalculated(draw, base)
  if (calculated && draw.chance(0.25)) {
    const name = draw.name('calc')
    columns[name] = calculated.as(name)
    fields[name] = counted
  }
  const query = db
    .select(columns)
    .from(base.from)
    .where(and(tie, drawWhere(scope)))
  if (!limited) return { query, fields, key: base.key, base }
  draw.note('limit within')
  const order = drawOrder(draw, [base], base.key.map(base.column))
  return { query: query.orderBy(...order).limit(draw.count(4)), fields, key: base.key, base }
}

/** A number made of a column. */
export function drawCalculated(draw: Draw, source: Source): SQL<number> | undefined {
  const key = drawKey(draw, source, ({ type }) => type === 'int')
  return key === undefined ? undefined : sql<number>`${source.column(key)} + 1`
}
