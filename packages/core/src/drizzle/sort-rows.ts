import type { RecordSource } from '../model/record.ts'
import { tokenOf } from '../model/tokens.ts'
import type { Order } from './record-question.ts'

type Row = readonly unknown[]

/** Thrown when a driver value has no token: only the database knows its place. */
const unsortable: unique symbol = Symbol('unsortable')

/** Sorts as PostgreSQL does for integers and uuids: NULLs last going up, first going down. */
export function sortRows(rows: readonly Row[], order: readonly Order[], source: RecordSource): Row[] {
  const ranked = rows.map((row) => ({ row, ranks: order.map(({ column }) => rankOf(row, column, source)) }))
  ranked.sort((a, b) => {
    for (let at = 0; at < order.length; at++) {
      const way = compareRanks(a.ranks[at] as Rank, b.ranks[at] as Rank)
      if (way !== 0) return order[at]?.descending ? -way : way
    }
    return 0
  })
  return ranked.map(({ row }) => row)
}

type Rank = bigint | string | null

function rankOf(row: Row, column: number, source: RecordSource): Rank {
  const value = row[source.slots[column] as number]
  if (value === null) return null
  const kind = source.kinds[column] as 'int' | 'uuid'
  const token = tokenOf(kind, value)
  if (token === undefined) throw unsortable
  return kind === 'int' ? BigInt(token) : token
}

function compareRanks(a: Rank, b: Rank): number {
  if (a === b) return 0
  if (a === null) return 1
  if (b === null) return -1
  return a < b ? -1 : 1
}
