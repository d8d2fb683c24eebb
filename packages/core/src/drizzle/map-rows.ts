import { aliasOf, Column, type Field, is, mapResultRow, SQL, Subquery } from './internals.ts'

interface Decoder {
  mapFromDriverValue(value: unknown): unknown
}

/** A field at the top of the result, or in one object of it. */
interface Slot {
  readonly key: string
  /** Undefined: the driver's value is the result's. */
  readonly decoder: Decoder | undefined
  /** Position in `groups`; -1: at the top. */
  readonly group: number
}

/** An object of the result, as a joined table is. */
interface Group {
  readonly name: string
  /** Position of its first column among the slots; the others do not say whether the partner is missing. */
  first: number
  table: string
  /** Its columns are of more than one table: then it is never null. */
  mixed: boolean
}

interface Layout {
  readonly fields: readonly Field[]
  readonly slots: readonly Slot[]
  readonly groups: readonly Group[]
}

/**
 * Maps rows as Drizzle's own `mapResultRow` does, cell by cell the same, but decides once for all rows what that decides
 * for each cell anew: which decoder, which object, whose partner is missing. Selections of another shape, and a lone row,
 * are mapped by Drizzle.
 *
 * @example
 * mapRows(fields, [[1, 'a']], undefined) // [{ id: 1, name: 'a' }]
 */
export function mapRows(
  fields: readonly Field[],
  rows: readonly (readonly unknown[])[],
  joinsNotNullableMap: Record<string, boolean> | undefined,
): unknown[] {
  const layout = rows.length > 1 ? (knownLayout(fields) ?? layoutOf(fields)) : undefined
  if (!layout) return rows.map((row) => mapResultRow(fields, row, joinsNotNullableMap))
  if (layout.groups.length === 0) return rows.map((row) => mapFlatRow(layout.slots, row))
  const mayMiss = joinsNotNullableMap
    ? layout.groups.filter(({ first, mixed, table }) => first >= 0 && !mixed && !joinsNotNullableMap[table])
    : []
  return rows.map((row) => mapRow(layout, row, mayMiss))
}

function mapFlatRow(slots: readonly Slot[], row: readonly unknown[]): object {
  const result: Record<string, unknown> = {}
  for (let at = 0; at < slots.length; at++) {
    const { key, decoder } = slots[at] as Slot
    result[key] = decoded(decoder, row[at])
  }
  return result
}

const decoded = (decoder: Decoder | undefined, raw: unknown): unknown =>
  raw === null || decoder === undefined ? raw : decoder.mapFromDriverValue(raw)

function mapRow({ slots, groups }: Layout, row: readonly unknown[], mayMiss: readonly Group[]): object {
  const result: Record<string, unknown> = {}
  const nodes: Record<string, unknown>[] = []
  let opened = 0
  for (let at = 0; at < slots.length; at++) {
    const { key, decoder, group } = slots[at] as Slot
    let node = result
    if (group >= 0) {
      // Groups are numbered in the order of their first fields.
      if (group === opened) {
        nodes[group] = {}
        result[(groups[group] as Group).name] = nodes[group]
        opened++
      }
      node = nodes[group] as Record<string, unknown>
    }
    node[key] = decoded(decoder, row[at])
  }
  for (const { name, first } of mayMiss) {
    const { key, group } = slots[first] as Slot
    if ((nodes[group] as Record<string, unknown>)[key] === null) result[name] = null
  }
  return result
}

/** Layouts by their first column: the selections of an app come again and again, as arrays that are made anew. */
const layouts = new WeakMap<object, Layout[]>()
const MOST_LAYOUTS = 4

function knownLayout(fields: readonly Field[]): Layout | undefined {
  const first = fields[0]?.field as object | undefined
  return first && layouts.get(first)?.find((layout) => isSameSelection(layout.fields, fields))
}

function isSameSelection(known: readonly Field[], asked: readonly Field[]): boolean {
  if (known.length !== asked.length) return false
  for (let at = 0; at < known.length; at++) {
    const { path, field } = known[at] as Field
    const other = asked[at] as Field
    if (field !== other.field || path.length !== other.path.length) return false
    if (path[0] !== other.path[0] || path[1] !== other.path[1]) return false
  }
  return true
}

/** Only columns are what they are for good: the decoder of an expression may be set anew. */
function keep(layout: Layout): Layout {
  const { fields } = layout
  if (!fields.every(({ field }) => is(field, Column))) return layout
  const first = (fields[0] as Field).field as object
  const others = layouts.get(first)?.slice(0, MOST_LAYOUTS - 1) ?? []
  layouts.set(first, [layout, ...others])
  return layout
}

/** Undefined where one field could stand in the way of another, or lies deeper: then the order of steps matters. */
function layoutOf(fields: readonly Field[]): Layout | undefined {
  const groups: Group[] = []
  const slots: Slot[] = []
  // What is at the top, and what is in its objects; a value at the top has nothing in it.
  const named = new Map<string, Set<string> | undefined>()
  for (const { path, field } of fields) {
    const [outer, inner] = path as readonly string[]
    if (outer === undefined || path.length > 2 || outer in emptyObject || (inner !== undefined && inner in emptyObject))
      return undefined
    const within = named.get(outer)
    // Named twice, at one place or as a value and as an object.
    if (named.has(outer) && (inner === undefined || within === undefined || within.has(inner))) return undefined
    let group = -1
    if (inner === undefined) named.set(outer, undefined)
    else {
      if (!within) groups.push({ name: outer, first: -1, table: '', mixed: false })
      named.set(outer, (within ?? new Set()).add(inner))
      group = groups.findIndex(({ name }) => name === outer)
      if (is(field, Column)) noteColumn(groups[group] as Group, field, slots.length)
    }
    slots.push({ key: inner ?? outer, decoder: decoderOf(field), group })
  }
  return slots.length > 0 ? keep({ fields, slots, groups }) : undefined
}

const emptyObject = {}

function noteColumn(group: Group, column: Column, at: number): void {
  const table = aliasOf(column.table)
  if (group.first < 0) Object.assign(group, { first: at, table })
  else if (group.table !== table) group.mixed = true
}

const { mapFromDriverValue: asItIs } = Column.prototype

function decoderOf(field: unknown): Decoder | undefined {
  if (is(field, Column)) {
    const decoder = field as unknown as Decoder
    return decoder.mapFromDriverValue === asItIs ? undefined : decoder
  }
  if (is(field, SQL)) return (field as unknown as { decoder: Decoder }).decoder
  if (is(field, Subquery)) return (field as unknown as { _: { sql: { decoder: Decoder } } })._.sql.decoder
  return (field as unknown as { sql: { decoder: Decoder } }).sql.decoder
}
