import { aliasOf, Column, type Field, is, mapResultRow, SQL, Subquery } from './internals.ts'

interface Decoder {
  mapFromDriverValue(value: unknown): unknown
}

/** A field at the top of the result, or in one object of it. */
interface Slot {
  readonly key: string
  readonly decoder: Decoder
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
  const layout = rows.length > 1 ? layoutOf(fields) : undefined
  if (!layout) return rows.map((row) => mapResultRow(fields, row, joinsNotNullableMap))
  const mayMiss = joinsNotNullableMap
    ? layout.groups.filter(({ first, mixed, table }) => first >= 0 && !mixed && !joinsNotNullableMap[table])
    : []
  return rows.map((row) => mapRow(layout, row, mayMiss))
}

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
    const raw = row[at]
    node[key] = raw === null ? null : decoder.mapFromDriverValue(raw)
  }
  for (const { name, first } of mayMiss) {
    const { key, group } = slots[first] as Slot
    if ((nodes[group] as Record<string, unknown>)[key] === null) result[name] = null
  }
  return result
}

/** Undefined where one field could stand in the way of another, or lies deeper: then the order of steps matters. */
function layoutOf(fields: readonly Field[]): Layout | undefined {
  const groups: Group[] = []
  const slots: Slot[] = []
  const names = new Map<string, number>()
  const paths = new Set<string>()
  for (const { path, field } of fields) {
    const [outer, inner] = path as readonly string[]
    if (outer === undefined || path.length > 2 || outer in emptyObject || (inner !== undefined && inner in emptyObject))
      return undefined
    // Named twice, at one place or as a value and as an object.
    const place = JSON.stringify(path)
    if (paths.has(place) || (inner === undefined ? names.has(outer) : paths.has(JSON.stringify([outer]))))
      return undefined
    paths.add(place)
    let group = -1
    if (inner !== undefined) {
      group = names.get(outer) ?? groups.length
      if (group === groups.length) groups.push({ name: outer, first: -1, table: '', mixed: false })
      names.set(outer, group)
      if (is(field, Column)) noteColumn(groups[group] as Group, field, slots.length)
    }
    slots.push({ key: inner ?? outer, decoder: decoderOf(field), group })
  }
  return { slots, groups }
}

const emptyObject = {}

function noteColumn(group: Group, column: Column, at: number): void {
  const table = aliasOf(column.table)
  if (group.first < 0) Object.assign(group, { first: at, table })
  else if (group.table !== table) group.mixed = true
}

function decoderOf(field: unknown): Decoder {
  if (is(field, Column)) return field as unknown as Decoder
  if (is(field, SQL)) return (field as unknown as { decoder: Decoder }).decoder
  if (is(field, Subquery)) return (field as unknown as { _: { sql: { decoder: Decoder } } })._.sql.decoder
  return (field as unknown as { sql: { decoder: Decoder } }).sql.decoder
}
