import { type Comparison, type Condition, unknownValue, type Value } from '../model/condition.ts'
import { Column, chunksOf, encoderOf, inlinesParams, is, Param, Placeholder, type SQL, textOf } from './internals.ts'
import { positionOf, type TableShape } from './table-shape.ts'

/**
 * Reads a condition from its chunks. The chunk array is the program that renders the text, so an exact shape such as
 * `[column, ' = ', parameter]` can mean only one thing, whoever built it. Everything else is opaque. A group with an
 * opaque member is opaque as a whole: Drizzle 0.45 does not put members into parentheses, so raw text with an `or` in it
 * may reach beyond its place.
 */
export function readCondition(node: unknown, shape: TableShape): Condition {
  const chunks = chunksOf(node)
  if (!chunks || inlinesParams(node as SQL)) return opaque
  return readEquality(chunks, shape) ?? readParts(withoutEmptyText(chunks), shape)
}

/** What `eq(column, value)` builds, which is what most reads by key ask for, without going through the general reader. */
function readEquality(chunks: readonly unknown[], shape: TableShape): Condition | undefined {
  const [, column, , param] = chunks
  if (chunks.length !== 5 || !(column instanceof Column) || !(param instanceof Param)) return undefined
  if (textOf(chunks[2]) !== ' = ' || textOf(chunks[0]) !== '' || textOf(chunks[4]) !== '') return undefined
  const position = positionOf(shape, column)
  return position === undefined
    ? opaque
    : { kind: 'compare', column: position, operator: '=', value: paramValue(param) }
}

function readParts(parts: readonly unknown[], shape: TableShape): Condition {
  if (parts.length === 1) return readCondition(parts[0], shape)
  const column = parts[0]
  if (isColumn(column)) return readComparison(column, parts, shape)
  if (parts.length === 3 && textOf(parts[0]) === '(' && textOf(parts[2]) === ')') return readGroup(parts[1], shape)
  return opaque
}

const opaque: Condition = { kind: 'opaque' }

const isColumn = (chunk: unknown): chunk is Column => chunk instanceof Column || is(chunk, Column)

function withoutEmptyText(chunks: readonly unknown[]): unknown[] {
  const parts: unknown[] = []
  for (const chunk of chunks) if (chunk !== undefined && textOf(chunk) !== '') parts.push(chunk)
  return parts
}

const comparisons: Record<string, Comparison> = { ' = ': '=', ' <> ': '<>' }

function readComparison(column: Column, parts: readonly unknown[], shape: TableShape): Condition {
  const position = positionOf(shape, column)
  const operator = textOf(parts[1])
  if (position === undefined || operator === undefined) return opaque
  if (parts.length === 2) return readNullTest(position, operator)
  if (parts.length !== 3) return opaque
  if (operator === ' in ') return readList(position, parts[2])
  const comparison = comparisons[operator]
  const value = comparison && readValue(parts[2])
  return value ? { kind: 'compare', column: position, operator: comparison, value } : opaque
}

function readNullTest(column: number, text: string): Condition {
  if (text === ' is null') return { kind: 'null', column, negated: false }
  return text === ' is not null' ? { kind: 'null', column, negated: true } : opaque
}

function readList(column: number, list: unknown): Condition {
  // PostgreSQL refuses `in ()`.
  if (!Array.isArray(list) || list.length === 0) return opaque
  const values: Value[] = []
  for (const item of list) {
    const value = readValue(item)
    if (!value) return opaque
    values.push(value)
  }
  return { kind: 'in', column, values }
}

function readGroup(node: unknown, shape: TableShape): Condition {
  const chunks = chunksOf(node)
  if (!chunks || inlinesParams(node as SQL)) return opaque
  const word = textOf(chunks[1])
  if (word !== ' and ' && word !== ' or ') return opaque
  const members: Condition[] = []
  for (let i = 0; i < chunks.length; i++) {
    if (i % 2 === 1) {
      if (textOf(chunks[i]) !== word) return opaque
      continue
    }
    const member = readCondition(chunks[i], shape)
    if (member.kind === 'opaque') return opaque
    members.push(member)
  }
  return { kind: word === ' and ' ? 'and' : 'or', members }
}

function readValue(chunk: unknown): Value | undefined {
  if (chunk instanceof Param || is(chunk, Param)) return paramValue(chunk as Param)
  if (chunk instanceof Placeholder || is(chunk, Placeholder)) return (values) => values?.[(chunk as Placeholder).name]
  // A bare primitive in a raw fragment is sent to the driver as it is.
  return typeof chunk === 'string' || typeof chunk === 'number' || typeof chunk === 'bigint' ? () => chunk : undefined
}

function paramValue(param: Param): Value {
  const { value } = param
  if (value instanceof Placeholder || is(value, Placeholder)) {
    return (values) => encode(param, values?.[(value as Placeholder).name])
  }
  return () => encode(param, value)
}

function encode(param: Param, value: unknown): unknown {
  if (value === null || value === undefined) return value
  const encoded = encoderOf(param).mapToDriverValue(value)
  return typeof encoded === 'object' && encoded !== null && chunksOf(encoded) ? unknownValue : encoded
}
