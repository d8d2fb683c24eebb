import { AsideError } from '../errors.ts'
import type { TableShape } from './table-shape.ts'

/** A row of TypeScript values as driver values by database column name; columns that are not given are left out. */
export function encodeFor(shape: TableShape, row: object): Record<string, unknown> {
  const encoded: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(row)) {
    const found = shape.columns.find((column) => column.key === key)
    if (!found) {
      const keys = shape.columns.map((column) => column.key).join(', ')
      throw new AsideError('ASIDE_UNKNOWN_COLUMN', `${shape.name} has no column '${key}'. It has: ${keys}.`)
    }
    encoded[found.name] = value === null || value === undefined ? value : found.column.mapToDriverValue(value)
  }
  return encoded
}
