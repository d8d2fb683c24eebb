import type { BypassReason } from '../model/reasons.ts'
import { readsClock } from './clock-words.ts'
import type { CountQuery } from './count-query.ts'
import {
  aliasedField,
  builderOf,
  type ChunkKind,
  type Column,
  chunkKind,
  columnsOf,
  encoderOf,
  enumOf,
  inlinesParams,
  isPlaceholder,
  isWrapper,
  type JoinConfig,
  kindOf,
  nameOf,
  type Param,
  placeholderName,
  type SelectConfig,
  type SetOperatorConfig,
  type SQL,
  type SubqueryParts,
  subqueryOf,
  textOf,
  viewOf,
} from './internals.ts'
import { originOf } from './lazy-sql.ts'
import { type Naming, sized } from './naming.ts'

/**
 * All that makes up a statement, by names, without its parameters: the same text implies the same SQL (HOOKS 5.1). For
 * prepared statements it is made once; `values` is asked for each execution.
 */
export interface StructuralKey {
  readonly text: string
  /** False for a statement without parameters. */
  readonly takesValues: boolean
  /** The driver values of the parameters in the order of the SQL, exactly as Drizzle sends them. */
  values(given: Record<string, unknown> | undefined): readonly unknown[] | BypassReason
  /**
   * Where in `values` a parameter stands: a `Param`, a placeholder, or with `at` the bare value at that place of a chunk
   * list. What the statement holds twice is told by its first place; the text says that it is the same.
   */
  operandOf(node: object, at?: number): number | undefined
}

/** The key of a select builder's state; a reason where it holds something whose SQL is not known for certain. */
export function selectKey(config: SelectConfig, naming: Naming): StructuralKey | BypassReason {
  return writeKey(naming, (writer) => writer.select(config))
}

/** A key of whatever `write` writes; it may be asked to do so twice. */
export function writeKey(naming: Naming, write: (writer: KeyWriter) => void): StructuralKey | BypassReason {
  const writer = new KeyWriter(naming)
  write(writer)
  if (!writer.renamed) return writer.finish()
  const again = new KeyWriter(naming, writer.renamed)
  write(again)
  return again.finish()
}

/** The key of `db.$count(source, filters)`. */
export function countKey({ source, filters }: CountQuery, naming: Naming): StructuralKey | BypassReason {
  return writeKey(naming, (writer) => {
    writer.mark('#')
    writer.chunk(source)
    writer.clause('w', filters)
  })
}

/** Bare values of one chunk list: their places among the parameters, by their places in the list. */
interface BareValues {
  readonly list: object
  readonly slots: (number | undefined)[]
}

/** Up to here looking through the parameters is faster than remembering them. */
const FEW = 16

/**
 * Writes keys chunk by chunk, in the order in which Drizzle renders them. Every token tells its own end and its own
 * rendering, so the text of a statement follows from the sequence: a digit begins a sized text, a capital what it names,
 * `?` and `=` a parameter, `|` a clause.
 */
export class KeyWriter {
  private text = ''
  private refusal: BypassReason | undefined = undefined
  private readonly slots: unknown[] = []
  private bare: BareValues[] | undefined = undefined
  private places: Map<unknown, number> | undefined = undefined
  /** How many parameters `places` knows. */
  private placed = 0
  /** Terms of a set operation's order, in which Drizzle replaces columns by their names while it builds. */
  renamed: Set<object> | undefined = undefined
  private readonly naming: Naming
  private readonly changing: ReadonlySet<object> | undefined

  /** `changing`: the `renamed` of an earlier walk. A term that also stands elsewhere changes there too, or not yet. */
  constructor(naming: Naming, changing?: ReadonlySet<object>) {
    this.naming = naming
    this.changing = changing
  }

  finish(): StructuralKey | BypassReason {
    return this.refusal ?? new WrittenKey(this.text, this.slots, this.bare)
  }

  refuse(reason: BypassReason): void {
    this.refusal ??= reason
  }

  /** A token of the caller's own; it must not be the beginning of another token. */
  mark(token: string): void {
    this.text += token
  }

  name(text: string): void {
    if (typeof text === 'string') this.text += `N${sized(text)}`
    else this.refuse('unknown-chunk')
  }

  /** A clause that may be absent: absent is what Drizzle leaves out, everything that is not truthy. */
  clause(letter: string, node: unknown): void {
    if (!node) return
    this.text += `|${letter}`
    this.chunk(node)
  }

  list(letter: string, nodes: readonly unknown[] | undefined): void {
    if (!nodes || nodes.length === 0) return
    this.text += `|${letter}${nodes.length};`
    for (const node of nodes) {
      this.chunk(node)
      this.text += ','
    }
  }

  /** Any chunk, as `SQL.buildQueryFromSourceParams` renders it. */
  chunk(node: unknown): void {
    if (typeof node === 'object' && node !== null) this.object(node, undefined, 0)
    else this.scalar(node, undefined, 0)
  }

  /** A column or tree of which the relational builder puts the columns under an alias (`mapColumnsInSQLToAlias`). */
  under(alias: string, node: object): void {
    if (chunkKind(node) === 'column') {
      this.text += `Ca${sized(alias)}${sized(this.naming.columnName(node as Column))}`
      return
    }
    // What has not been built yet would be, and its columns renamed.
    if (this.changing?.has(node) || originOf(node)) {
      this.refuse('unknown-chunk')
      return
    }
    const list = (node as SQL).queryChunks as readonly unknown[]
    for (let at = 0; at < list.length; at++) {
      const chunk = list[at]
      if (typeof chunk !== 'object' || chunk === null) this.scalar(chunk, list, at)
      else if (isRenamed(chunkKind(chunk))) this.under(alias, chunk)
      else this.object(chunk, list, at)
    }
  }

  private object(node: object, list: object | undefined, at: number): void {
    switch (chunkKind(node)) {
      case 'text': {
        const text = textOf(node) as string
        if (text !== '') this.text += sized(text)
        return
      }
      case 'column':
        this.text += `C${this.naming.columnText(node as Column)}`
        return
      case 'param':
        this.param(node as Param)
        return
      case 'sql':
        this.sql(node as SQL)
        return
      case 'list':
        this.array(node as readonly unknown[])
        return
      case 'table':
        this.text += `R${this.naming.tableText(node)}`
        return
      case 'placeholder':
        this.text += `P${sized(placeholderName(node))}`
        this.slots.push(node)
        return
      case 'aliased':
        this.name(aliasedField(node).fieldAlias)
        return
      case 'name':
        this.name(nameOf(node))
        return
      case 'subquery':
        this.subquery(subqueryOf(node))
        return
      case 'select':
        this.text += '('
        this.builder(node)
        return
      case 'view':
        this.view(node)
        return
      case 'write':
        this.refuse('data-modifying')
        return
      default:
        // What Drizzle would ask for SQL of its own making is not known; everything else it sends to the driver.
        if (isWrapper(node)) this.refuse('unknown-chunk')
        else this.bareValue(node, list, at)
    }
  }

  private scalar(node: unknown, list: object | undefined, at: number): void {
    if (node === undefined) return
    const type = enumOf(node)
    if (typeof node !== 'function' && typeof node !== 'symbol') this.bareValue(node, list, at)
    else if (type) this.text += `E${type.schema ? sized(type.schema) : '-'}${sized(type.name)}`
    else this.refuse('unknown-chunk')
  }

  private chunks(list: readonly unknown[]): void {
    for (let at = 0; at < list.length; at++) {
      const node = list[at]
      if (typeof node === 'object' && node !== null) this.object(node, list, at)
      else this.scalar(node, list, at)
    }
  }

  private array(list: readonly unknown[]): void {
    this.text += `[${list.length};`
    for (let at = 0; at < list.length; at++) {
      const node = list[at]
      if (typeof node === 'object' && node !== null) this.object(node, list, at)
      else this.scalar(node, list, at)
      this.text += ','
    }
  }

  private sql(node: SQL): void {
    if (this.isPlain(node)) this.chunks(node.queryChunks)
    else this.origin(node)
  }

  /** False for what a builder of a wrapped db has not built yet; it is known by the builder's state. */
  private isPlain(node: SQL): boolean {
    if (inlinesParams(node)) this.refuse('inline-params')
    if (this.changing?.has(node)) this.refuse('unknown-chunk')
    return originOf(node) === undefined
  }

  private origin(node: SQL): void {
    const origin = originOf(node)
    if (origin?.kind === 'select') this.nested(origin)
    else this.refuse(origin?.kind === 'relational' ? 'unknown-chunk' : 'data-modifying')
  }

  private param(node: Param): void {
    const known = this.placeOf(node)
    const { value } = node
    if (known !== undefined) this.text += `=${known};`
    else this.text += isPlaceholder(value) ? `Q${sized(placeholderName(value))}` : '?'
    this.slots.push(node)
  }

  private placeOf(node: object): number | undefined {
    const { slots } = this
    if (slots.length <= FEW) {
      const at = slots.indexOf(node)
      return at < 0 ? undefined : at
    }
    this.places ??= new Map()
    const { places } = this
    for (; this.placed < slots.length; this.placed++) {
      const slot = slots[this.placed]
      if (!places.has(slot)) places.set(slot, this.placed)
    }
    return places.get(node)
  }

  private bareValue(value: unknown, list: object | undefined, at: number): void {
    const values = list && this.bareValuesOf(list)
    const known = values?.slots[at]
    if (known !== undefined) this.text += `=${known};`
    else {
      this.text += '?'
      if (values) values.slots[at] = this.slots.length
    }
    this.slots.push(value)
  }

  private bareValuesOf(list: object): BareValues {
    this.bare ??= []
    const { bare } = this
    // The list at hand is nearly always the last one.
    for (let at = bare.length - 1; at >= 0; at--) if (bare[at]?.list === list) return bare[at] as BareValues
    const values: BareValues = { list, slots: [] }
    bare.push(values)
    return values
  }

  private subquery({ sql, alias, isWith }: SubqueryParts): void {
    if (isWith) {
      this.text += `W${sized(alias)}`
      return
    }
    this.text += 'S'
    this.sql(sql)
    this.text += `)${sized(alias)}`
  }

  private view(node: object): void {
    const { name, originalName, schema, isAlias } = viewOf(node)
    this.text += `V${isAlias ? 'a' : 't'}${schema === undefined ? '-' : sized(schema)}${sized(originalName)}${sized(name)}`
  }

  private builder(node: object): void {
    this.nested(builderOf(node))
  }

  /** A nested select. Its own dialect names the columns of its select list, so it must do so by the same rule. */
  private nested({ config, dialect }: ReturnType<typeof builderOf>): void {
    if (this.naming.agreesWith(dialect)) this.select(config)
    else this.refuse('unknown-chunk')
  }

  /** A whole select, as `dialect.buildSelectQuery` builds it. */
  select(config: SelectConfig): void {
    const { setOperators } = config
    if (config.lockingClause) this.refuse('locking')
    this.text += setOperators.length > 0 ? `{${setOperators.length};` : '{'
    this.body(config)
    for (const operator of setOperators) this.setOperator(operator as SetOperatorConfig)
    this.text += '}'
  }

  private body(config: SelectConfig): void {
    const { withList, distinct, fieldsFlat, joins } = config
    if (withList && withList.length > 0) for (const cte of withList) this.cte(subqueryOf(cte as object))
    if (distinct === true) this.text += '|d'
    else if (distinct) {
      this.text += '|e'
      this.list('d', (distinct as { on: readonly unknown[] }).on)
    }
    const single = !joins || joins.length === 0
    if (fieldsFlat) for (const { field } of fieldsFlat) this.field(field, single)
    else this.fields(config.fields, single)
    this.clause('f', config.table)
    if (joins) for (const join of joins) this.join(join as JoinConfig)
    this.clause('w', config.where)
    this.list('g', config.groupBy)
    this.clause('h', config.having)
    this.list('o', config.orderBy)
    this.window(config)
  }

  window({ limit, offset }: { readonly limit?: unknown; readonly offset?: unknown }): void {
    if (typeof limit === 'object' || (typeof limit === 'number' && limit >= 0)) {
      this.text += '|l'
      this.chunk(limit)
    }
    this.clause('s', offset)
  }

  private cte({ sql, alias }: SubqueryParts): void {
    this.text += `|c${sized(alias)}`
    this.sql(sql)
    this.text += ')'
  }

  private join({ joinType, lateral, alias, table, on }: JoinConfig): void {
    this.text += `|j${lateral ? 'l' : ''}${sized(joinType)}${alias === undefined ? '-' : sized(alias)}`
    this.chunk(table)
    this.clause('n', on)
  }

  /** A selection in its own order, as `orderSelectedFields` flattens it; where in the result a value goes is no SQL. */
  private fields(fields: Record<string, unknown>, single: boolean): void {
    for (const key of Object.keys(fields)) this.field(fields[key], single)
  }

  private field(field: unknown, single: boolean): void {
    switch (kindOf(field)) {
      case 'column':
        this.text += (single ? ',c' : ',C') + this.naming.columnText(field as Column)
        return
      case 'sql':
        this.text += ','
        this.expression(field as SQL, single)
        return
      case 'aliased':
        this.text += ','
        this.aliased(field as object, single)
        return
      case 'subquery':
        this.text += ','
        this.object(field as object, undefined, 0)
        return
      case 'table':
        this.fields(columnsOf(field), single)
        return
      case 'other':
        this.fields(field as Record<string, unknown>, single)
        return
      default:
        this.refuse('unknown-chunk')
    }
  }

  private aliased(field: object, single: boolean): void {
    const { sql, fieldAlias, isSelectionField } = aliasedField(field)
    if (!isSelectionField) {
      this.expression(sql, single)
      this.text += '|a'
    }
    this.name(fieldAlias)
  }

  /** In a select of one table Drizzle renders the columns that stand in the expression itself without their table. */
  private expression(node: SQL, single: boolean): void {
    if (!single) this.sql(node)
    else if (this.isPlain(node)) this.unqualified(node.queryChunks)
    else this.refuse('unknown-chunk')
  }

  private unqualified(list: readonly unknown[]): void {
    for (let at = 0; at < list.length; at++) {
      const chunk = list[at]
      if (typeof chunk !== 'object' || chunk === null) this.scalar(chunk, list, at)
      else if (chunkKind(chunk) === 'column') this.text += `c${this.naming.columnText(chunk as Column)}`
      else this.object(chunk, list, at)
    }
  }

  private setOperator(operator: SetOperatorConfig): void {
    const { type, isAll, rightSelect, orderBy } = operator
    this.text += `|u${isAll ? 'a' : 'd'}${sized(type)}`
    if (kindOf(rightSelect) !== 'select') {
      this.refuse('unknown-chunk')
      return
    }
    this.builder(rightSelect as object)
    if (orderBy && orderBy.length > 0) this.setOrder(orderBy)
    this.window(operator)
  }

  private setOrder(orderBy: readonly unknown[]): void {
    this.text += `|o${orderBy.length};`
    for (const term of orderBy) {
      const kind = kindOf(term)
      if (kind === 'column') this.name((term as Column).name)
      else if (kind === 'sql') this.setOrderTerm(term as SQL)
      else this.chunk(term)
      this.text += ','
    }
  }

  /** Columns that stand in the term itself become their names, whatever the casing. */
  private setOrderTerm(term: SQL): void {
    if (inlinesParams(term)) this.refuse('inline-params')
    if (originOf(term) || this.renamed?.has(term)) this.refuse('unknown-chunk')
    const list = originOf(term) ? [] : term.queryChunks
    for (let at = 0; at < list.length; at++) {
      const chunk = list[at]
      if (typeof chunk !== 'object' || chunk === null) this.scalar(chunk, list, at)
      else if (chunkKind(chunk) === 'column') this.renamedColumn(term, chunk as unknown as Column)
      else this.object(chunk, list, at)
    }
  }

  private renamedColumn(term: SQL, column: Column): void {
    this.renamed ??= new Set()
    this.renamed.add(term)
    this.name(column.name)
  }
}

const isRenamed = (kind: ChunkKind): boolean => kind === 'column' || kind === 'sql'

class WrittenKey implements StructuralKey {
  readonly text: string
  private readonly slots: readonly unknown[]
  private readonly bare: readonly BareValues[] | undefined

  constructor(text: string, slots: readonly unknown[], bare: readonly BareValues[] | undefined) {
    this.text = text
    this.slots = slots
    this.bare = bare
  }

  get takesValues(): boolean {
    return this.slots.length > 0
  }

  operandOf(node: object, at?: number): number | undefined {
    if (at !== undefined) return this.bare?.find(({ list }) => list === node)?.slots[at]
    const place = this.slots.indexOf(node)
    return place < 0 ? undefined : place
  }

  values(given: Record<string, unknown> | undefined): readonly unknown[] | BypassReason {
    const { slots } = this
    const values: unknown[] = []
    for (let at = 0; at < slots.length; at++) {
      const slot = slots[at]
      const value = typeof slot === 'object' && slot !== null ? slotValue(slot, given) : plainValue(slot, undefined)
      if (typeof value === 'symbol') return refusals.get(value) as BypassReason
      values.push(value)
    }
    return values
  }
}

const refusals = new Map<symbol, BypassReason>()
/** A refusal in the place of a value; no driver takes symbols. */
function refusal(reason: BypassReason): symbol {
  const mark = Symbol(reason)
  refusals.set(mark, reason)
  return mark
}
const missing = refusal('missing-placeholder')
const encodedAsSql = refusal('encoder-sql')
const byClock = refusal('relative-time')
const noValue = refusal('unknown-chunk')

function slotValue(slot: object, given: Record<string, unknown> | undefined): unknown {
  const kind = chunkKind(slot)
  if (kind === 'param') return paramValue(slot as Param, given)
  // A bare placeholder's value goes to the driver as it was given (HOOKS 2.1).
  if (kind === 'placeholder') return givenValue(placeholderName(slot), given, (value) => plainValue(value, undefined))
  return slot
}

function paramValue(param: Param, given: Record<string, unknown> | undefined): unknown {
  const { value } = param
  if (value === null) return null
  if (isPlaceholder(value)) return givenValue(placeholderName(value), given, (own) => encoded(param, own))
  return encoded(param, value)
}

function givenValue(
  name: string,
  given: Record<string, unknown> | undefined,
  read: (value: unknown) => unknown,
): unknown {
  return given !== undefined && Object.hasOwn(given, name) ? read(given[name]) : missing
}

function encoded(param: Param, value: unknown): unknown {
  const encoder = encoderOf(param)
  return plainValue(encoder.mapToDriverValue(value), encoder)
}

function plainValue(value: unknown, encoder: unknown): unknown {
  if (typeof value === 'string') return readsClock(value, encoder) ? byClock : value
  if (typeof value === 'object' && value !== null) return chunkKind(value) === 'sql' ? encodedAsSql : value
  return typeof value === 'symbol' || typeof value === 'function' ? noValue : value
}
