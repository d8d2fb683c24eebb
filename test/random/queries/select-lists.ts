/** Random select lists. */
import { eq, sql } from 'drizzle-orm'
import { drawScalar, type Scope } from './conditions.ts'
import { drawCalculated } from './derived.ts'
import { drawKey, drawOrder, ofTopic, type Source } from './sources.ts'
import { columnsOf, topicOf } from './topics.ts'

/** Undefined: everything, as `select()` gives it. */
export function drawFields(scope: Scope, rest: 'any' | 'plain' = 'any'): Record<string, unknown> | undefined {
  const { draw } = scope
  if (draw.chance(0.4) && scope.sources.every(({ whole }) => whole !== false)) return undefined
  const fields = draw.chance(0.35) ? nested(scope) : some(scope)
  if (rest === 'any') for (const extra of extras) if (draw.chance(0.13)) Object.assign(fields, extra(scope))
  return fields
}

function some({ draw, sources }: Scope): Record<string, unknown> {
  const all = sources.flatMap((source, at) =>
    Object.keys(source.fields).map((key) => [`${key}${at}`, source.column(key)]),
  )
  return Object.fromEntries(draw.shape.some(all as [string, unknown][]))
}

function nested({ draw, sources }: Scope): Record<string, unknown> {
  return Object.fromEntries(
    sources.map((source, at) => {
      const whole = source.topic !== undefined && draw.chance(0.4)
      return [`part${at}`, whole ? allOf(source) : some({ draw, sources: [source] } as unknown as Scope)]
    }),
  )
}

const allOf = (source: Source): Record<string, unknown> =>
  Object.fromEntries(Object.keys(source.fields).map((key) => [key, columnsOf(source.from)[key]]))

type Extra = (scope: Scope) => Record<string, unknown>

const extras: readonly Extra[] = [
  ({ draw, sources }) => {
    const calculated = drawCalculated(draw, draw.shape.pick(sources))
    return calculated ? { calc: draw.chance(0.5) ? calculated : calculated.as('calc') } : {}
  },
  (scope) => {
    scope.draw.note('sub-query in select list')
    return { scalar: sql<number>`(${drawScalar({ ...scope, depth: scope.depth + 1 })})`.mapWith(Number) }
  },
  ({ db, draw, sources }) => {
    const outer = draw.shape.pick(sources)
    const edges = outer.edges.filter(({ to }) => sources.every(({ topic }) => topic?.name !== to))
    if (edges.length === 0) return {}
    draw.note('sub-query in select list')
    const { column, to, toColumn } = draw.shape.pick(edges)
    const counted = ofTopic(topicOf(to))
    const tie = eq(counted.column(toColumn), outer.column(column))
    return { counted: db.$count(counted.from, draw.chance(0.8) ? tie : undefined) }
  },
  ({ draw, sources }) => {
    const source = draw.shape.pick(sources)
    const key = draw.shape.pick(Object.keys(source.fields))
    return { known: sql<string>`case when ${source.column(key)} is null then 'no' else 'yes' end` }
  },
  (scope) => ({ window: drawWindow(scope) }),
]

function drawWindow({ draw, sources }: Scope): unknown {
  draw.note('window')
  const source = draw.shape.pick(sources)
  const parted = drawKey(draw, source) as string
  const order = sql.join(
    drawOrder(
      draw,
      sources,
      sources.flatMap((each) => each.key.map(each.column)),
    ),
    sql`, `,
  )
  const worth = draw.shape.pick([sql`row_number()`, sql`rank()`, sql`count(*)`])
  return sql<number>`${worth} over (partition by ${source.column(parted)} order by ${order})`.mapWith(Number)
}
