import type { Block, JoinKind, Predicate, QueryKind, QueryShape, Source, TableRef, Term } from '../model/query-shape.ts'
import { conditionTemplate, gapsOf, isAggregate, isOwnTemplate, templateOf } from './chunk-template.ts'
import { type CountQuery, embeddedCountOf } from './count-query.ts'
import {
  aliasedField,
  aliasOf,
  builderOf,
  type Column,
  chunkKind,
  type Field,
  isAliased,
  type JoinConfig,
  kindOf,
  orderFields,
  originalNameOf,
  type SelectConfig,
  type SetOperatorConfig,
  type SQL,
  schemaOf,
  subqueryOf,
  textOf,
  viewOf,
} from './internals.ts'
import { builtChunks, originOf } from './lazy-sql.ts'
import { rawTextBreaks } from './raw-text.ts'
import { readPredicate } from './read-predicate.ts'
import type { StructuralKey } from './structural-key.ts'
import type { TableShape } from './table-shape.ts'

export type ShapeOf = (table: object) => TableShape

/**
 * What a select reads and what its conditions say. `key` is the select's own structural key: the shape holds for every
 * select of that key, and its operands are places in that key's `values`.
 */
export function selectShape(config: SelectConfig, shapeOf: ShapeOf, key: StructuralKey): QueryShape {
  const reader = new ShapeReader(shapeOf, key)
  const root = reader.select(config, nowhere, true)
  return reader.finish(root, selectKind(config, root, reader), isOneByOne(config) && reader.plainFields)
}

/** The same for `db.$count(source, filters)`. */
export function countShape(count: CountQuery, shapeOf: ShapeOf, key: StructuralKey): QueryShape {
  const reader = new ShapeReader(shapeOf, key)
  return reader.finish(reader.count(count, nowhere), 'aggregate', false)
}

function selectKind(config: SelectConfig, root: Block, { aggregates }: ShapeReader): QueryKind {
  if (config.setOperators.length > 0) return 'set operation'
  if (config.groupBy?.length || config.having || aggregates) return 'aggregate'
  return root.sources.length > 1 || root.inner.length > 0 ? 'join' : 'list'
}

/** Rows are what the joins give, one by one. */
const isOneByOne = ({ distinct, groupBy, having, setOperators }: SelectConfig): boolean =>
  !distinct && !groupBy?.length && !having && setOperators.length === 0

/** A name that columns may be qualified by, and the table reference behind it, where it is one. */
export interface Visible {
  readonly name: string
  readonly ref?: number
  readonly shape?: TableShape
}

/** Where a chunk stands: the names that columns may use there, innermost first. */
export interface Place {
  readonly visible: readonly Visible[]
  readonly outer: Place | undefined
  /** Names of the CTEs that may be used here. */
  readonly ctes: ReadonlySet<string>
}

export const nowhere: Place = { visible: [], outer: undefined, ctes: new Set() }

/** A select while it is read. */
export interface Level extends Place {
  readonly visible: Visible[]
  readonly sources: Source[]
  readonly inner: Block[]
  /** The statement's own select, whose plain columns and join equalities do not count as used elsewhere. */
  readonly root: boolean
}

export const levelIn = (outer: Place | undefined, ctes: ReadonlySet<string>, root = false): Level => ({
  visible: [],
  sources: [],
  inner: [],
  outer,
  ctes,
  root,
})

const other: Predicate = { kind: 'other' }

/** A reference while it is read. */
export interface OpenRef {
  readonly table: TableRef['table']
  readonly reached: Set<string>
  opaque: boolean
}

type How = Pick<Source, 'join' | 'on'>

/**
 * Reads statements that Drizzle's select builders make, from their state. What it does not understand makes the shape
 * wider: conditions that narrow nothing, references that reach every column.
 */
export class ShapeReader {
  /** True once an aggregate or `$count` was met in the root select. */
  aggregates = false
  /** False once a value of the root's select list was not a plain column. */
  plainFields = true
  protected readonly refs: OpenRef[] = []
  private readonly usedElsewhere = new Set<number>()
  protected selected: readonly (Term | undefined)[] = []
  private raw = false
  private broken = false
  protected readonly shapeOf: ShapeOf
  private readonly key: StructuralKey

  constructor(shapeOf: ShapeOf, key: StructuralKey) {
    this.shapeOf = shapeOf
    this.key = key
  }

  finish(root: Block, kind: QueryKind, oneByOne: boolean): QueryShape {
    const { raw, selected, usedElsewhere } = this
    const refs = this.refs.map(
      ({ table, reached, opaque }): TableRef => ({ table, reached: raw || opaque ? 'all' : reached }),
    )
    const learnable = oneByOne && !raw && root.sources.every((source) => !('opaque' in source))
    return { refs, root: this.broken ? neutral(root) : root, selected, learnable, usedElsewhere, raw, kind }
  }

  /** A select and the set operations behind it; `outer` is what its conditions may name besides its own sources. */
  select(config: SelectConfig, outer: Place, root = false): Block {
    const ctes = new Set(outer.ctes)
    const level = levelIn(outer, ctes, root)
    for (const cte of config.withList ?? []) {
      const { sql, alias } = subqueryOf(cte as object)
      level.inner.push(this.query(sql, { ...nowhere, ctes: new Set(ctes) }))
      ctes.add(alias)
    }
    this.sources(config, level)
    this.fields(config, level)
    const where = this.condition(config.where, level)
    this.rest(config, level)
    for (const operator of config.setOperators) this.setOperator(operator as SetOperatorConfig, level)
    return { sources: level.sources, where, inner: level.inner }
  }

  count({ source, filters }: CountQuery, outer: Place): Block {
    const level = levelIn(outer, outer.ctes)
    this.source(source, { join: 'from', on: undefined }, level, { keepsAlias: false, lateral: false })
    const where = this.condition(filters, level)
    return { sources: level.sources, where, inner: level.inner }
  }

  private sources(config: SelectConfig, level: Level): void {
    const joins = (config.joins ?? []) as readonly JoinConfig[]
    this.source(config.table, { join: 'from', on: undefined }, level, { keepsAlias: true, lateral: false })
    for (const { table, joinType, on, lateral } of joins) {
      this.source(table, { join: joinType as JoinKind, on: undefined }, level, {
        keepsAlias: true,
        lateral: lateral === true,
      })
      if (!on) continue
      const last = level.sources.pop() as Source
      level.sources.push({ ...last, on: this.predicate(on, level) })
      this.joinCondition(on, level)
    }
  }

  /** `keepsAlias`: the place renders an aliased table with its own name too; elsewhere the alias stands alone. */
  private source(
    table: unknown,
    how: How,
    level: Level,
    { keepsAlias, lateral }: { readonly keepsAlias: boolean; readonly lateral: boolean },
  ): void {
    const kind = kindOf(table)
    if (kind === 'table') this.tableSource(table as object, how, level, keepsAlias)
    else if (kind === 'view') this.viewSource(table as object, how, level)
    else if (kind === 'subquery') this.subquerySource(table as object, how, level, lateral)
    else {
      this.opaqueSource(how, level, undefined)
      this.raw = true
      this.collect(table, level)
    }
  }

  private tableSource(table: object, how: How, level: Level, keepsAlias: boolean): void {
    const name = aliasOf(table)
    const aliased = isAliased(table)
    const isCte = schemaOf(table) === undefined && level.ctes.has(originalNameOf(table))
    const aliasAlone = aliased && !keepsAlias
    if (aliasAlone) this.raw = true
    if (isCte || aliasAlone) {
      this.opaqueSource(how, level, name)
      return
    }
    const shape = this.shapeOf(table)
    const ref = this.addRef(shape.schema, shape.name, false)
    level.visible.push({ name, ref, shape })
    level.sources.push({ ...how, ref })
  }

  private viewSource(view: object, how: How, level: Level): void {
    const { schema, name, originalName, isAlias } = viewOf(view)
    // FROM renders the alias of a view alone, which may be the name of any relation.
    const aliasAlone = isAlias && how.join === 'from'
    if (aliasAlone) this.raw = true
    if (aliasAlone || (schema === undefined && level.ctes.has(originalName))) {
      this.opaqueSource(how, level, name)
      return
    }
    const ref = this.addRef(schema, originalName, true)
    level.visible.push({ name, ref })
    level.sources.push({ ...how, ref })
  }

  private subquerySource(subquery: object, how: How, level: Level, lateral: boolean): void {
    const { sql, alias, isWith } = subqueryOf(subquery)
    if (isWith) {
      if (!level.ctes.has(alias)) this.raw = true
      this.opaqueSource(how, level, alias)
      return
    }
    const outer = lateral
      ? { ...level, visible: [...level.visible] }
      : { ...(level.outer ?? nowhere), ctes: level.ctes }
    level.sources.push({ ...how, block: this.query(sql, outer) })
    level.visible.push({ name: alias })
  }

  private opaqueSource(how: How, level: Level, name: string | undefined): void {
    level.sources.push({ ...how, opaque: true })
    if (name !== undefined) level.visible.push({ name })
  }

  protected addRef(schema: string | undefined, name: string, opaque: boolean): number {
    const table = schema === undefined ? { name } : { schema, name }
    return this.refs.push({ table, reached: new Set(), opaque }) - 1
  }

  /** What a builder or raw text put where a whole query stands. */
  private query(sql: SQL, outer: Place): Block {
    const origin = originOf(sql)
    if (origin?.kind === 'select') return this.select(origin.config, outer)
    const level = levelIn(outer, outer.ctes)
    this.opaqueSource({ join: 'from', on: undefined }, level, undefined)
    this.raw = true
    if (!origin) this.collect(sql, level)
    return { sources: level.sources, where: other, inner: level.inner }
  }

  private fields(config: SelectConfig, level: Level): void {
    const fields = config.fieldsFlat ?? orderFields(config.fields)
    const single = !config.joins?.length
    const terms = fields.map(({ field }) => this.field(field, level, single))
    if (level.root) this.selected = terms
  }

  private field(field: Field['field'], level: Level, single: boolean): Term | undefined {
    const kind = chunkKind(field as object)
    if (kind === 'column') return this.use(field as Column, level, { elsewhere: !level.root, bare: single })
    if (level.root) this.plainFields = false
    if (kind !== 'aliased') this.expression(field, level, single)
    else if (!aliasedField(field as object).isSelectionField) {
      this.expression(aliasedField(field as object).sql, level, single)
    }
    return undefined
  }

  /** In a select of one table Drizzle leaves the table out where a column stands in the expression itself. */
  protected expression(node: unknown, level: Level, single: boolean): void {
    if (single && chunkKind(node as object) === 'sql' && !originOf(node)) {
      for (const chunk of (node as SQL).queryChunks as readonly unknown[]) {
        if (isColumn(chunk)) this.use(chunk, level, { elsewhere: true, bare: true })
      }
    }
    this.collect(node, level)
  }

  private condition(node: unknown, level: Level): Predicate | undefined {
    if (!node) return undefined
    const predicate = this.predicate(node, level)
    this.collect(node, level)
    return predicate
  }

  protected predicate(node: unknown, level: Level): Predicate {
    return readPredicate(node, { key: this.key, termOf: (column) => this.resolve(column, level).term })
  }

  /** Plain equalities of columns in the ON of a root's join are no use elsewhere. */
  private joinCondition(node: unknown, level: Level): void {
    const chunks = builtChunks(node)
    const gaps = chunks ? gapsOf(chunks) : []
    const meaning = chunks && conditionTemplate(templateOf(chunks))
    if (meaning === 'same-as-inside' || meaning === 'parentheses' || meaning === 'and') {
      for (const at of gaps) this.joinCondition(chunks?.[at], level)
    } else if (meaning === 'equal' && gaps.every((at) => isColumn(chunks?.[at]))) {
      for (const at of gaps) this.use(chunks?.[at] as Column, level, { elsewhere: !level.root, bare: false })
    } else this.collect(node, level)
  }

  private rest(config: SelectConfig, level: Level): void {
    const { distinct, groupBy, having, orderBy, limit, offset } = config
    const on = typeof distinct === 'object' && distinct !== null ? (distinct as { on: readonly unknown[] }).on : []
    for (const node of [...on, ...(groupBy ?? []), having, ...(orderBy ?? []), limit, offset]) this.collect(node, level)
  }

  private setOperator({ rightSelect, orderBy, limit, offset }: SetOperatorConfig, level: Level): void {
    const outer = { ...(level.outer ?? nowhere), ctes: level.outer?.ctes ?? nowhere.ctes }
    level.inner.push(this.select(builderOf(rightSelect as object).config, outer))
    // Its order names columns of the result: Drizzle writes their names alone, and puts them into the term itself.
    for (const term of orderBy ?? []) {
      if (isColumn(term)) continue
      const chunks = builtChunks(term)
      if (chunks) this.chunks(chunks, level, (chunk) => !isColumn(chunk) && kindOf(chunk) !== 'name')
      else this.collect(term, level)
    }
    for (const node of [limit, offset]) this.collect(node, level)
  }

  /** Everything that stands in a tree: columns, queries, raw text. */
  protected collect(node: unknown, level: Level): void {
    if (typeof node !== 'object' || node === null) {
      if (typeof node === 'function') this.raw = true
      return
    }
    switch (chunkKind(node)) {
      case 'column':
        this.use(node as Column, level, { elsewhere: true, bare: false })
        return
      case 'sql':
        this.collectSql(node as SQL, level)
        return
      case 'list':
        for (const item of node as readonly unknown[]) this.collect(item, level)
        return
      case 'select':
        level.inner.push(this.select(builderOf(node).config, level))
        return
      case 'subquery':
        this.collectSubquery(node, level)
        return
      case 'aliased':
        this.bareName(aliasedField(node).fieldAlias, level)
        return
      case 'table':
      case 'view':
        this.raw = true
        this.namedInText(node, level)
        return
      case 'name':
      case 'text':
      case 'write':
        this.raw = true
        return
      default:
        return
    }
  }

  /** A name without a table means whatever the innermost select has under it: perhaps a column of a table. */
  private bareName(name: string, level: Level): void {
    for (let place: Place | undefined = level; place; place = place.outer) {
      for (const { ref, shape } of place.visible) {
        if (ref === undefined || !shape?.names.includes(name)) continue
        this.refs[ref]?.reached.add(name)
        this.usedElsewhere.add(ref)
      }
    }
  }

  private collectSubquery(node: object, level: Level): void {
    const { sql, isWith } = subqueryOf(node)
    if (isWith) this.raw = true
    else level.inner.push(this.query(sql, level))
  }

  private collectSql(node: SQL, level: Level): void {
    const chunks = builtChunks(node)
    const counted = chunks && embeddedCountOf(chunks)
    if (counted) {
      if (level.root) this.aggregates = true
      level.inner.push(this.count(counted, level))
    } else if (chunks) this.chunks(chunks, level, () => true)
    else level.inner.push(this.query(node, level))
  }

  private chunks(chunks: readonly unknown[], level: Level, wanted: (chunk: unknown) => boolean): void {
    const template = templateOf(chunks)
    if (level.root && (isAggregate(template) || rawAggregate.test(template))) this.aggregates = true
    if (!isOwnTemplate(template)) this.rawText(chunks)
    for (const at of gapsOf(chunks)) {
      const chunk = chunks[at]
      if (wanted(chunk) && !this.isWholeRow(chunk, chunks[at - 1], level)) this.collect(chunk, level)
    }
  }

  private rawText(chunks: readonly unknown[]): void {
    this.raw = true
    if (rawTextBreaks(chunks)) this.broken = true
  }

  /** `row_to_json(users)`: a table's name as the argument of a function is a row of that source. */
  private isWholeRow(chunk: unknown, before: unknown, level: Level): boolean {
    if (kindOf(chunk) !== 'table') return false
    if (!argument.test(textOf(before) ?? '')) return false
    const found = level.visible.find(({ name, shape }) => name === aliasOf(chunk) && shape && isSameTable(shape, chunk))
    if (found?.ref === undefined) return found !== undefined
    this.usedElsewhere.add(found.ref)
    const row = this.refs[found.ref]
    // `count` alone asks only whether there is a row.
    if (row && textOf(before) !== 'count(') row.opaque = true
    return true
  }

  /** A table in raw text may be read there; whatever the text says about it narrows nothing. */
  private namedInText(relation: object, level: Level): void {
    const inside = levelIn(level, level.ctes)
    this.source(relation, { join: 'from', on: undefined }, inside, { keepsAlias: false, lateral: false })
    level.inner.push({ sources: inside.sources, where: other, inner: inside.inner })
  }

  /** Notes that a column is named, and says which it is. `bare`: it is rendered without its table. */
  private use(
    column: Column,
    level: Level,
    { elsewhere, bare }: { readonly elsewhere: boolean; readonly bare: boolean },
  ): Term | undefined {
    const { term, ref, certain, own } = this.resolve(column, level)
    if (!certain || (bare && !own)) this.raw = true
    if (term) this.refs[term.ref]?.reached.add(term.column)
    if (elsewhere && ref !== undefined) this.usedElsewhere.add(ref)
    return term
  }

  private resolve(column: Column, level: Place): Resolved {
    const name = aliasOf(column.table)
    for (let place: Place | undefined = level; place; place = place.outer) {
      const found = place.visible.filter((visible) => visible.name === name)
      if (found.length === 0) continue
      return { ...this.explain(column, found), own: place === level }
    }
    return { term: undefined, ref: undefined, certain: false, own: false }
  }

  /** Which of the sources of one name a column means. */
  private explain(column: Column, found: readonly Visible[]): Omit<Resolved, 'own'> {
    const table = found.find(({ shape }) => shape && isSameTable(shape, column.table))
    const name = table?.shape && columnName(table.shape, column)
    if (table?.ref !== undefined && name !== undefined) {
      return { term: { ref: table.ref, column: name }, ref: table.ref, certain: true }
    }
    const other = found.find(({ shape }) => !shape)
    return { term: undefined, ref: other?.ref, certain: other !== undefined }
  }
}

interface Resolved {
  readonly term: Term | undefined
  /** The reference, also of a view, whose columns are no terms. */
  readonly ref: number | undefined
  /** False where no source of the query explains the name. */
  readonly certain: boolean
  /** A source of the innermost select has it. */
  readonly own: boolean
}

const isSameTable = (shape: TableShape, table: unknown): boolean =>
  shape.name === originalNameOf(table) && shape.schema === schemaOf(table)

function columnName({ positions, names }: TableShape, column: Column): string | undefined {
  const at = positions.get(column.name)
  return at === undefined ? undefined : names[at]
}

const isColumn = (chunk: unknown): chunk is Column => kindOf(chunk) === 'column'

/** A function's name and its parenthesis; `from (` and the like begin a list of tables. */
const argument = /(?<![\w"])(?!(?:from|join|only|lateral|in|exists|table|using)\()[a-z_]\w*\($/i

/** Only for counting: how a query with raw text is called. */
const rawAggregate = /\b(?:count|sum|avg|min|max|bool_and|bool_or|\w+_agg)\s*\(/i

/** The same block where no condition narrows anything: raw text may have put any of them out of its place. */
function neutral({ sources, inner }: Block): Block {
  return {
    sources: sources.map((source) => ({
      ...source,
      on: other,
      ...('block' in source && { block: neutral(source.block) }),
    })),
    where: other,
    inner: inner.map(neutral),
  }
}
