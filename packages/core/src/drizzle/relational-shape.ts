import { aliasedTableColumn, and, eq } from 'drizzle-orm'
import type { Block, Predicate, QueryShape, Source } from '../model/query-shape.ts'
import { aliasedField, type Column, chunkKind, SQL } from './internals.ts'
import { levelIn, nowhere, type Place, type Level as Reading, type ShapeOf, ShapeReader } from './query-shape.ts'
import { type Below, type Level, numberLevels, type Tie } from './relational-levels.ts'
import type { StructuralKey } from './structural-key.ts'

/**
 * What a settled relational query reads, and what its conditions say: each relation is a query of its own that is joined
 * laterally, tied to its parent by the equalities of the relation. `refs` begin with the levels, parents first.
 */
export function relationalShape(root: Level, shapeOf: ShapeOf, key: StructuralKey): QueryShape {
  return new RelationalShapeReader(root, shapeOf, key).shape()
}

class RelationalShapeReader extends ShapeReader {
  private readonly root: Level
  private readonly numbers: ReadonlyMap<Level, number>

  constructor(root: Level, shapeOf: ShapeOf, key: StructuralKey) {
    const copies = new Map<object, object>()
    super(shapeOf, knowingCopies(key, copies))
    this.root = root
    this.numbers = numberLevels(root)
    this.copies = copies
  }

  private readonly copies: Map<object, object>

  shape(): QueryShape {
    for (const level of this.numbers.keys()) this.addRef(level.table.schema, level.table.name, false)
    const block = this.level(this.root, nowhere, undefined)
    this.selected = [
      ...this.root.columns.map(({ name }) => ({ ref: 0, column: name })),
      ...this.root.extras.map(() => undefined),
      ...this.root.below.map(() => undefined),
    ]
    // Its partners stand in JSON: `relationalPartners` reads them.
    return this.finish(block, 'relational', false)
  }

  private level(level: Level, outer: Place, above: Above | undefined): Block {
    const ref = this.numbers.get(level) as number
    const at = levelIn(outer, outer.ctes)
    at.visible.push({ name: level.alias, ref, shape: this.shapeOf(level.table.table) })
    at.sources.push({ join: 'from', on: undefined, ref })
    for (const { name } of level.columns) this.refs[ref]?.reached.add(name)
    for (const below of level.below) at.sources.push(this.below(below, level, at))
    const where = this.conditions(level, at, above)
    this.others(level, at, above === undefined && level.below.length === 0)
    return { sources: at.sources, where, inner: at.inner }
  }

  private below({ tie, level }: Below, parent: Level, at: Reading): Source {
    for (const name of tie.fields) this.refs[this.numbers.get(parent) as number]?.reached.add(name)
    for (const name of tie.references) this.refs[this.numbers.get(level) as number]?.reached.add(name)
    const block = this.level(level, { ...at, visible: [...at.visible] }, { alias: parent.alias, tie })
    at.visible.push({ name: level.alias })
    return { join: 'left', on: undefined, block }
  }

  /** What Drizzle makes of them is one `and`, without parentheses around what the user wrote. */
  private conditions({ where, alias }: Level, at: Reading, above: Above | undefined): Predicate | undefined {
    const own = where && this.under(alias, where)
    const both = and(above && tiesOf(above, alias), own)
    if (!both) return undefined
    if (own) this.collect(own, at)
    return this.predicate(both, at)
  }

  /** `single`: Drizzle leaves the table out where a column stands in the expression itself. */
  private others({ extras, orderBy, limit, offset, alias }: Level, at: Reading, single: boolean): void {
    for (const { value } of extras) this.expression(this.under(alias, value.sql), at, single)
    for (const term of orderBy) this.collect(this.under(alias, term), at)
    for (const node of [limit, offset]) this.collect(node, at)
  }

  /** `mapColumnsInSQLToAlias`, remembering what is a copy of what: bare values are known by their places. */
  private under<T extends object>(alias: string, node: T): T {
    const kind = chunkKind(node)
    if (kind === 'column') return aliasedTableColumn(node as unknown as Column, alias) as unknown as T
    if (kind === 'aliased') {
      const { sql, fieldAlias } = aliasedField(node)
      return new SQL.Aliased(this.under(alias, sql), fieldAlias) as unknown as T
    }
    if (kind !== 'sql') return node
    const { queryChunks } = node as unknown as SQL
    const copy = (queryChunks as unknown[]).map((chunk) =>
      typeof chunk === 'object' && chunk !== null ? this.under(alias, chunk) : chunk,
    )
    this.copies.set(copy, queryChunks)
    return new SQL(copy as SQL['queryChunks']) as unknown as T
  }
}

interface Above {
  readonly alias: string
  readonly tie: Tie
}

function tiesOf({ alias: parent, tie }: Above, alias: string): SQL | undefined {
  const { fields, references } = tie.target
  const pairs = fields.map((field, at) =>
    eq(aliasedTableColumn(references[at] as Column, alias), aliasedTableColumn(field, parent)),
  )
  return and(...pairs)
}

function knowingCopies(key: StructuralKey, copies: ReadonlyMap<object, object>): StructuralKey {
  return {
    text: key.text,
    takesValues: key.takesValues,
    values: (given) => key.values(given),
    operandOf: (node, at) => key.operandOf(at === undefined ? node : (copies.get(node) ?? node), at),
  }
}
