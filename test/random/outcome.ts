/** What a step came to, in a form that two databases can be compared by. */
import { inspect, isDeepStrictEqual } from 'node:util'

export type Outcome = { readonly ok: unknown } | { readonly failed: unknown }

export async function outcomeOf(run: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { ok: await run() }
  } catch (error) {
    return { failed: described(error) }
  }
}

interface Failure {
  readonly class: string
  readonly message: string
  readonly code: unknown
  readonly constraint: unknown
  readonly cause: Failure | undefined
}

/** Class, text and SQLSTATE, down to the cause. A failed comparison is no outcome and goes on its way. */
function described(error: unknown): Failure {
  if (!(error instanceof Error) || error instanceof Difference) throw error
  const {
    code,
    constraint_name,
    constraint = constraint_name,
  } = error as { code?: unknown; constraint?: unknown; constraint_name?: unknown }
  const cause = error.cause === undefined ? undefined : described(error.cause)
  return { class: error.constructor.name, message: error.message, code, constraint, cause }
}

/** Thrown where the wrapped db gave something else than the plain one. */
export class Difference extends Error {}

const printed = (value: unknown): string =>
  inspect(value, { depth: null, breakLength: 140, maxArrayLength: null, maxStringLength: null })

/** Throws unless both are the same: values, types, prototypes, and the order of rows where it is given. */
export function same(label: string, plain: Outcome, wrapped: Outcome, ordered = false): void {
  const [expected, actual] = [canonical(plain, ordered), canonical(wrapped, ordered)]
  if (isDeepStrictEqual(expected, actual) || sameViolation(expected, actual)) return
  throw new Difference(`${label}\n  plain:   ${printed(expected)}\n  wrapped: ${printed(actual)}`)
}

/**
 * An update of several rows that violates several unique constraints names the one that it meets first. Before PostgreSQL
 * 18 the form that reads the old image may come to the rows in another order than the plain statement (docs/limits.md).
 */
function sameViolation(expected: Outcome, actual: Outcome): boolean {
  if (!('failed' in expected && 'failed' in actual)) return false
  const [one, other] = [unnamed(expected.failed as Failure), unnamed(actual.failed as Failure)]
  return one !== undefined && isDeepStrictEqual(one, other)
}

/** A violated unique constraint of an update, without its name. */
function unnamed(failure: Failure): Failure | undefined {
  const { cause } = failure
  if (!failure.message.startsWith('Failed query: update ') || cause?.code !== '23505') return undefined
  return { ...failure, cause: { ...cause, message: '', constraint: undefined } }
}

/** Rows in an order that depends on nothing but them, unless the statement gives one. */
export function canonical(outcome: Outcome, ordered: boolean): Outcome {
  return 'ok' in outcome ? { ok: native(outcome.ok, ordered) } : outcome
}

const sorted = (rows: readonly unknown[], ordered: boolean): unknown[] =>
  ordered || rows.length < 2
    ? [...rows]
    : rows
        .map((row) => [printed(row), row] as const)
        .sort(byText)
        .map(([, row]) => row)

const byText = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number =>
  a < b ? -1 : a > b ? 1 : 0

/** Rows as they are; a driver's own result by everything in it that a caller may look at. */
function native(value: unknown, ordered: boolean): unknown {
  if (Array.isArray(value))
    return 'command' in value ? postgresJs(value as PostgresJs, ordered) : sorted(value, ordered)
  if (typeof value !== 'object' || value === null || !('rows' in value)) return value
  const { rows, fields, rowCount, command, oid, affectedRows } = value as NodePostgres
  const columns = fields.map(({ name, dataTypeID }) => [name, typeNumber(dataTypeID)])
  const shape = [value.constructor.name, ...Object.keys(value).sort()]
  return { shape, rows: sorted(rows, ordered), columns, rowCount, command, oid, affectedRows }
}

/** Types of one's own have another number in each database. */
const typeNumber = (oid: number): number | 'own' => (oid >= 16_384 ? 'own' : oid)

interface NodePostgres {
  readonly rows: unknown[]
  readonly fields: readonly { name: string; dataTypeID: number }[]
  readonly [rest: string]: unknown
}

interface PostgresJs extends Array<unknown> {
  readonly count: number
  readonly command: string
  readonly columns: readonly { name: string; type: number }[] | undefined
}

function postgresJs(result: PostgresJs, ordered: boolean): unknown {
  const { count, command, columns } = result
  const names = columns?.map(({ name, type }) => [name, typeNumber(type)])
  return { class: result.constructor.name, rows: sorted(result, ordered), count, command, names }
}

/** Changes everything that a caller could change in a result: nobody else may notice. */
export function spoil(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  if (value instanceof Date) value.setTime(1)
  else if (ArrayBuffer.isView(value)) new Uint8Array(value.buffer, value.byteOffset, value.byteLength).fill(7)
  else if (Array.isArray(value)) {
    for (const element of value) spoil(element)
    value.push('spoiled')
  } else if (Object.getPrototypeOf(value) === Object.prototype) {
    for (const member of Object.values(value)) spoil(member)
    ;(value as Record<string, unknown>).spoiled = true
  }
}
