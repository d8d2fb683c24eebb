import { sql } from 'drizzle-orm'
import type { OutboxRow } from '../model/outbox.ts'
import type { WritePlan } from '../model/write.ts'
import {
  type Dialect,
  type Field,
  is,
  originalNameOf,
  Placeholder,
  type Query,
  SQL,
  schemaOf,
  type WriteConfig,
} from './internals.ts'
import type { WriteParts } from './lazy-sql.ts'
import type { TableShape } from './table-shape.ts'

/**
 * The rewritten forms of a write (DESIGN 3.4, HOOKS 3). Each evaluates the user's WHERE, SET and VALUES once, touches the
 * same rows and takes the same locks as the plain statement; hidden columns stand at the end and come back as text, so
 * that no type parser of the driver can change them.
 */
export interface WriteForms {
  readonly dialect: Dialect
  readonly op: 'insert' | 'update' | 'delete'
  readonly config: WriteConfig
  readonly parts: WriteParts
  readonly shape: TableShape
  /** The user's RETURNING; undefined when there is none. */
  readonly fields: readonly Field[] | undefined
}

export const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`
const join = (texts: readonly string[]): string => texts.join(', ')

/** Names for the old and the new row that no table or column of the user's can take. */
const imageNames = `with (old as "__o", new as "__n") `

/** The statement in the form that a plan asks for. */
function writeForm(forms: WriteForms, plan: WritePlan): SQL {
  const hidden = hiddenColumns(forms, plan)
  const core = plan.form === 'locked' ? lockedCore(forms, plan) : forms.parts.core
  const names = plan.form === 'old-new' && isPlain(forms.fields) ? sql.raw(imageNames) : undefined
  const lists = [userSelection(forms), sql.raw(hidden)].filter((list) => list !== undefined)
  const returning = sql` returning ${names}${sql.join(lists, sql.raw(', '))}`
  const ctes = [userCtes(forms), plan.form === 'locked' ? lockedRows(forms, plan) : undefined]
  if (plan.limit === undefined) return sql`${withList(ctes)}${core}${returning}`
  const bounded = sql`"__aside" as (${core}${returning})`
  const width = hiddenCount(plan)
  const columns = join(Array.from({ length: width }, (_, at) => `"__h${at}"`))
  const tail = `select ${columns}, (select count(*) from "__aside")::text from "__aside" limit ${plan.limit}`
  return sql`${withList([...ctes, bounded])}${sql.raw(tail)}`
}

/** A form as it is sent. */
export interface CompiledForm {
  readonly query: Query
  /** The user's own text, where it was compiled alone. */
  readonly visible: string | undefined
}

/**
 * Makes the text of a form. Where hidden columns only follow the user's own text, that is compiled alone and they are put behind
 * it: what stands in the tree is walked by Drizzle chunk by chunk, which costs a write a quarter of its building.
 */
export function compileForm(forms: WriteForms, plan: WritePlan): CompiledForm {
  const { dialect, fields } = forms
  const follows = plan.limit === undefined && plan.form !== 'locked' && !(fields && plan.form === 'old-new')
  if (!follows) return { query: dialect.sqlToQuery(writeForm(forms, plan)), visible: undefined }
  const query = dialect.sqlToQuery(userStatement(forms))
  const names = plan.form === 'old-new' ? imageNames : ''
  const sql = `${query.sql}${fields ? ', ' : ` returning ${names}`}${hiddenColumns(forms, plan)}`
  return { query: { ...query, sql }, visible: query.sql }
}

const rowParams = ['__aside_id', '__aside_namespace', '__aside_keys'] as const

/** Parameters are counted in two bytes, and postgres.js takes two fewer. */
const MOST_PARAMS = 65_533

/** Whether a statement has parameters to spare for a row of the outbox. */
export const fitsBeside = ({ params }: Query): boolean => params.length + rowParams.length <= MOST_PARAMS

/**
 * A form with the insert of a row of the outbox before it: a CTE of its own, which PostgreSQL runs to its end whatever becomes of
 * its rows, in the same transaction. The statement itself stays at the top, with its own tag and its own rows. Undefined
 * where the text is of no form that is known here.
 */
export function besideRow({ sql, params, ...rest }: Query, into: string): Query | undefined {
  const after = /^with /.test(sql) ? `, ${sql.slice(5)}` : /^(insert|update|delete) /.test(sql) ? ` ${sql}` : undefined
  if (after === undefined) return undefined
  const [id, namespace, keys] = rowParams.map((_, at) => `$${params.length + at + 1}`)
  const insert = `insert into ${into} (id, namespace, keys) values (${id}::uuid, ${namespace}::text, ${keys}::text)`
  const placeholders = rowParams.map((name) => new Placeholder(name))
  return { ...rest, sql: `with "__aside_row" as (${insert})${after}`, params: [...params, ...placeholders] }
}

/** The values of a row, for a statement that {@link besideRow} made. */
export const rowValues = ({ id, namespace, keys }: OutboxRow): Record<string, unknown> => ({
  [rowParams[0]]: id,
  [rowParams[1]]: namespace,
  [rowParams[2]]: keys,
})

/** A compiled form's text without what only we added to its RETURNING. */
export function withoutHidden(text: string, forms: WriteForms, plan: WritePlan): string {
  const visible = text.slice(0, -hiddenColumns(forms, plan).length)
  const end = visible.endsWith(', ') ? visible.length - 2 : visible.lastIndexOf(' returning ')
  return visible.slice(0, end).replace(imageNames, '')
}

/** The statement as the user wrote it. */
export function userStatement(forms: WriteForms): SQL {
  if (forms.parts.whole) return forms.parts.whole
  const ctes = userCtes(forms)
  const selection = userSelection(forms)
  // Most writes are their core alone; wrapped once more they would be walked once more when the text is made.
  if (!ctes && !selection) return forms.parts.core
  const returning = selection && sql` returning ${selection}`
  return sql`${withList([ctes])}${forms.parts.core}${returning}`
}

/** True when a RETURNING holds columns only, so that redefining `old` and `new` in it changes nothing. */
export function isPlain(fields: readonly Field[] | undefined): boolean {
  return fields === undefined || fields.every(({ field }) => !is(field, SQL) && !is(field, SQL.Aliased))
}

/** How many hidden columns a plan adds; with a limit the total count stands behind them. */
function hiddenCount({ form, columns }: WritePlan): number {
  if (form === 'none') return 0
  if (form === 'upsert') return columns.length + 1
  return form === 'new' ? columns.length : 2 * columns.length
}

function hiddenColumns({ shape, fields }: WriteForms, plan: WritePlan): string {
  const table = quote(shape.alias)
  const of = (alias: string): string[] => plan.columns.map((column) => `${alias}.${quote(column)}::text`)
  const after = of(table)
  const lists: Record<string, () => string[]> = {
    new: () => after,
    upsert: () => [...after, `(${table}.xmax = 0)::text`],
    'old-new': () => (isPlain(fields) ? [...of('"__n"'), ...of('"__o"')] : [...of('new'), ...of('old')]),
    locked: () => [...after, ...plan.columns.map((_, at) => `"__old"."__o${at}"::text`)],
  }
  return join((lists[plan.form] as () => string[])().map((text, at) => `${text} as "__h${at}"`))
}

function userSelection({ dialect, fields, op, config }: WriteForms): SQL | undefined {
  return fields && dialect.buildSelection(fields, { isSingleTable: op !== 'update' || !config.from })
}

function userCtes({ dialect, config, parts }: WriteForms): SQL | undefined {
  const built = parts.withList(() => dialect.buildWithCTE(config.withList))
  // Drizzle answers `with a as (…), b as (…) `; the word is ours to write.
  return built && new SQL(built.queryChunks.slice(1))
}

function withList(ctes: readonly (SQL | undefined)[]): SQL | undefined {
  const present = ctes.filter((cte) => cte !== undefined)
  return present.length === 0 ? undefined : sql`with ${sql.join(present, sql.raw(', '))} `
}

/** Locks the rows and keeps their old image: the locked version is the one that the update will change. */
function lockedRows({ config, shape }: WriteForms, plan: WritePlan): SQL {
  const table = quote(shape.alias)
  const columns = join(plan.columns.map((column, at) => `${table}.${quote(column)} as "__o${at}"`))
  const where = config.where ? sql` where ${config.where as SQL}` : undefined
  return sql`"__old" as (select ${sql.raw(columns)} from ${tableName(config, shape)}${where} for ${sql.raw(plan.lock)} of ${sql.raw(table)})`
}

export function tableName({ table }: WriteConfig, shape: TableShape): SQL {
  const schema = schemaOf(table)
  const name = originalNameOf(table)
  const qualified = `${schema === undefined ? '' : `${quote(schema)}.`}${quote(name)}`
  return sql.raw(shape.alias === name ? qualified : `${qualified} ${quote(shape.alias)}`)
}

/** The update, joined to the locked rows by primary key; its own WHERE was evaluated while locking. */
function lockedCore({ dialect, config, parts, shape }: WriteForms, plan: WritePlan): SQL {
  const key = plan.key.map((column) => plan.columns.indexOf(column))
  const conditions = key.map((at) => `${quote(shape.alias)}.${quote(plan.columns[at] as string)} = "__old"."__o${at}"`)
  const set = parts.set(() => dialect.buildUpdateSet(config.table, config.set as Record<string, unknown>))
  return sql`update ${tableName(config, shape)} set ${set} from "__old" where ${sql.raw(conditions.join(' and '))}`
}

/** Builds the part of a write that no form changes; set, default and on-update functions run here, once. */
export function buildCore(dialect: Dialect, op: WriteForms['op'], config: WriteConfig, parts: WriteParts): SQL {
  // Not deleted: that would make an object of another, slower kind.
  const isBare = config.withList === undefined && config.returning === undefined
  const bare: WriteConfig = isBare ? config : { ...config, withList: undefined, returning: undefined }
  if (op === 'insert') return dialect.buildInsertQuery(bare)
  if (op === 'delete') return dialect.buildDeleteQuery(bare)
  return rememberingSet(dialect, parts, (remembering) => remembering.buildUpdateQuery(bare))
}

interface Remembering {
  readonly dialect: Dialect
  /** Of the statement that is being built now. */
  parts: WriteParts
}

const rememberers = new WeakMap<Dialect, Remembering>()

/** Builds with a dialect that keeps the SET list in `parts`: one per dialect, for making objects with a prototype is dear. */
function rememberingSet(dialect: Dialect, parts: WriteParts, build: (remembering: Dialect) => SQL): SQL {
  const remembering = rememberers.get(dialect) ?? createRemembering(dialect, parts)
  // An on-update function may build a statement of its own meanwhile.
  const outer = remembering.parts
  remembering.parts = parts
  try {
    return build(remembering.dialect)
  } finally {
    remembering.parts = outer
  }
}

function createRemembering(real: Dialect, parts: WriteParts): Remembering {
  const remembering: Remembering = { dialect: Object.create(real), parts }
  remembering.dialect.buildUpdateSet = (table, set) => remembering.parts.set(() => real.buildUpdateSet(table, set))
  rememberers.set(real, remembering)
  return remembering
}

/** Database names of the columns that an UPDATE SET changes: the given ones and those with an on-update function. */
export function changedColumns(
  shape: TableShape,
  set: Record<string, unknown>,
  hasOnUpdate: (column: unknown) => boolean,
): Set<string> {
  const changed = shape.columns.filter(({ key, column }) => set[key] !== undefined || hasOnUpdate(column))
  return new Set(changed.map(({ name }) => name))
}

/** Of these, the ones that are set to expressions, or by a function that may give one. */
export function computedColumns(
  shape: TableShape,
  set: Record<string, unknown>,
  hasOnUpdate: (column: unknown) => boolean,
): Set<string> {
  const computed = shape.columns.filter(({ key, column }) => {
    const value = set[key]
    return value === undefined ? hasOnUpdate(column) : is(value, SQL)
  })
  return new Set(computed.map(({ name }) => name))
}
