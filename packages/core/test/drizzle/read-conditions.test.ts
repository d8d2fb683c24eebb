import {
  aliasedTable,
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
  notInArray,
  or,
  type SQL,
  sql,
} from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { customType, integer, PgDialect, pgSchema, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { describe, expect, it } from 'vitest'
import type { Dialect } from '../../src/drizzle/internals.ts'
import { readCondition } from '../../src/drizzle/read-conditions.ts'
import { tableShapes } from '../../src/drizzle/table-shape.ts'
import { type Condition, unknownValue } from '../../src/model/condition.ts'

const upper = customType<{ data: string }>({ dataType: () => 'text', toDriver: (value) => value.toUpperCase() })
const asSql = customType<{ data: string }>({ dataType: () => 'text', toDriver: (value) => sql`lower(${value})` })
const t = pgTable('things', { id: integer(), name: text('label'), u: uuid(), shout: upper(), odd: asSql() })
const other = pgTable('others', { id: integer() })
const elsewhere = pgSchema('elsewhere').table('things', { id: integer() })
const alias = aliasedTable(t, 'x')
const dialect = new PgDialect() as unknown as Dialect
const shape = tableShapes(dialect)(t)
const db = drizzle.mock()

function tell(condition: Condition, given?: Record<string, unknown>): string {
  const value = (read: (placeholders: Record<string, unknown> | undefined) => unknown): string => {
    const found = read(given)
    return found === unknownValue
      ? '?'
      : typeof found === 'bigint'
        ? `${found}n`
        : (JSON.stringify(found) ?? 'undefined')
  }
  const name = (column: number): string => shape.names[column] as string
  if (condition.kind === 'opaque') return 'opaque'
  if (condition.kind === 'null') return `${name(condition.column)} is ${condition.negated ? 'not ' : ''}null`
  if (condition.kind === 'compare') return `${name(condition.column)} ${condition.operator} ${value(condition.value)}`
  if (condition.kind === 'in') return `${name(condition.column)} in (${condition.values.map(value)})`
  return `(${condition.members.map((member) => tell(member, given)).join(` ${condition.kind} `)})`
}

const understood: [string, SQL | undefined][] = [
  ['id = 1', eq(t.id, 1)],
  ['id = 1', sql`${t.id} = ${1}`],
  ['id = 1', sql`${eq(t.id, 1)}`],
  ['id = "1"', eq(t.id, '1' as never)],
  ['id = 9007199254740993n', sql`${t.id} = ${9007199254740993n}`],
  ['label = "x"', eq(t.name, 'x')],
  ['label = "it\'s %"', eq(t.name, "it's %")],
  ['shout = "LOUD"', eq(t.shout, 'loud')],
  ['odd = ?', eq(t.odd, 'x')],
  ['id = null', eq(t.id, null as never)],
  ['id <> 1', ne(t.id, 1)],
  ['id is null', isNull(t.id)],
  ['id is not null', isNotNull(t.id)],
  ['id in (1,2)', inArray(t.id, [1, 2])],
  ['id in (1)', inArray(t.id, [1])],
  ['shout in ("A","B")', inArray(t.shout, ['a', 'b'])],
  ['id in (1,null)', inArray(t.id, [1, null as never])],
  ['(id = 1 and label = "x")', and(eq(t.id, 1), eq(t.name, 'x'))],
  ['id = 1', and(eq(t.id, 1))],
  ['id = 1', and(eq(t.id, 1), undefined)],
  ['(id = 1 or id = 2)', or(eq(t.id, 1), eq(t.id, 2))],
  ['(id = 1 and (label = "x" or label = "y"))', and(eq(t.id, 1), or(eq(t.name, 'x'), eq(t.name, 'y')))],
  ['(id = 1 and label = "x" and u = "z")', and(eq(t.id, 1), eq(t.name, 'x'), eq(t.u, 'z'))],
  ['((id = 1 and label = "x") and u is null)', and(and(eq(t.id, 1), eq(t.name, 'x')), isNull(t.u))],
  ['(id = 1 and label = "x")', and(sql`${t.id} = ${1}`, sql`${t.name} = ${'x'}`)],
  ['id = undefined', eq(t.id, sql.placeholder('missing'))],
  ['id = 5', eq(t.id, sql.placeholder('five'))],
  ['shout = "loud"', eq(t.shout, sql.placeholder('loud'))],
  ['id in (5,1)', inArray(t.id, [sql.placeholder('five'), 1])],
]

const notUnderstood: [string, SQL | undefined][] = [
  ['greater', gt(t.id, 1)],
  ['greater or equal', gte(t.id, 1)],
  ['less', lt(t.id, 1)],
  ['less or equal', lte(t.id, 1)],
  ['like', like(t.name, 'a%')],
  ['ilike', ilike(t.name, 'a%')],
  ['between', between(t.id, 1, 2)],
  ['not in', notInArray(t.id, [1])],
  ['not', not(eq(t.id, 1))],
  ['not of a raw or', not(sql`a or b`)],
  ['an empty list', inArray(t.id, [])],
  ['exists', exists(db.select().from(other))],
  ['a list from a query', inArray(t.id, db.select({ id: other.id }).from(other))],
  ['equal to a query', eq(t.id, db.select({ id: other.id }).from(other) as never)],
  ['equal to a column', eq(t.id, other.id)],
  ['equal to SQL', eq(t.id, sql`1`)],
  ['raw text', sql`id = 1`],
  ['raw text around a column', sql`${t.id} = 1`],
  ['raw or behind an equality', sql`${t.id} = ${1} or true`],
  ['raw or before an equality', sql`true or ${t.id} = ${1}`],
  ['a raw member of and', and(eq(t.id, 1), sql`a or b`)],
  ['a raw member of and that looks whole', and(eq(t.id, 1), sql`(a or b)`)],
  ['a raw member of or', or(eq(t.id, 1), sql`true`)],
  ['a raw member deep inside', and(eq(t.id, 1), or(eq(t.id, 2), sql`x`))],
  ['a range in and', and(eq(t.id, 1), gt(t.id, 0))],
  ['another table', eq(other.id, 1)],
  ['another table in and', and(eq(t.id, 1), eq(other.id, 1))],
  ['the same name in another schema', eq(elsewhere.id, 1)],
  ['an alias of the table', eq(alias.id, 1)],
  ['is distinct from', sql`${t.id} is distinct from ${1}`],
  ['two operators', sql`${t.id} = ${1} = ${true}`],
  ['a cast behind the value', sql`${t.id} = ${1}::int`],
  ['a cast behind the column', sql`${t.id}::text = ${'1'}`],
  ['a comment', sql`${t.id} /* x */ = ${1}`],
  ['another operator', sql`${t.id} == ${1}`],
  ['inlined parameters', eq(t.id, 1).inlineParams()],
  ['inlined parameters in and', and(eq(t.id, 1), eq(t.name, 'x').inlineParams())],
  ['the value first', sql`${1} = ${t.id}`],
  ['a list without values, which PostgreSQL refuses', sql`${t.id} in ${[]}`],
  ['any of an array', sql`${t.id} = any(${[1]})`],
  ['an object', sql`${t.id} = ${{ a: 1 }}`],
  ['an identifier', sql`${sql.identifier('id')} = ${1}`],
  ['and without parentheses', sql`${eq(t.id, 1)} and ${eq(t.name, 'x')}`],
  ['mixed words in one group', sql`(${sql`${eq(t.id, 1)} and ${eq(t.id, 2)} or ${eq(t.id, 3)}`})`],
  ['nothing', sql``],
]

describe('reading conditions', () => {
  it.each(understood)('%s', (wanted, condition) => {
    expect(tell(readCondition(condition, shape), { five: 5, loud: 'loud' })).toBe(wanted)
  })

  it.each(notUnderstood)('opaque: %s', (_, condition) => {
    expect(readCondition(condition, shape)).toEqual({ kind: 'opaque' })
  })

  it.each([undefined, null, 1, 'id = 1', {}, [], t, t.id])('what is no SQL is opaque (%#)', (node) => {
    expect(readCondition(node, shape)).toEqual({ kind: 'opaque' })
  })

  it('whatever is understood renders as one condition of its own', () => {
    for (const [, condition] of understood) {
      if (!condition) continue
      const { sql: rendered } = (dialect as unknown as PgDialect).sqlToQuery(sql`(${condition})`)
      expect(rendered.match(/\(/g)?.length).toBe(rendered.match(/\)/g)?.length)
    }
  })
})
