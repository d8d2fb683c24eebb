/** Reads and writes of the slots, as every process of the histories makes them. */
import { eq, inArray, sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { Random } from './random.ts'
import { type Record, slotName, slots, type Task } from './slots.ts'

export interface SlotSteps {
  read(): Promise<void>
  /** Of several rows by their keys: each is recorded as a read by itself. */
  readList(): Promise<void>
  write(): Promise<void>
}

/** `db` is asked for with every step: a service may be deployed anew in between. */
export function slotSteps(
  db: () => Pick<NodePgDatabase, 'select' | 'update' | 'transaction'>,
  { rows, places, base }: Pick<Task, 'rows' | 'places' | 'base'>,
  random: Random,
  record: Pick<Record, 'reads' | 'writes'>,
): SlotSteps {
  const began = BigInt(base)
  const now = (): number => Number(process.hrtime.bigint() - began)
  return {
    async read() {
      const row = random.below(rows)
      const slot = random.chance(0.5) ? random.below(places) : undefined
      const start = now()
      const where = slot === undefined ? eq(slots.id, row) : eq(slots.slot, slotName(row, slot))
      const [found] = await db().select().from(slots).where(where)
      record.reads.push(row, slot ?? -1, start, now(), found?.version ?? -1, found ? placeOf(found.slot) : -1)
    },
    async readList() {
      const ids = Array.from({ length: rows }, (_, row) => row).filter(() => random.chance(0.4))
      const start = now()
      const found = await db().select().from(slots).where(inArray(slots.id, ids))
      const end = now()
      const versions = new Map(found.map(({ id, version, slot }) => [id, [version, placeOf(slot)] as const]))
      for (const row of ids) record.reads.push(row, -1, start, end, ...(versions.get(row) ?? [-1, -1]))
    },
    async write() {
      const row = random.below(rows)
      const moves = random.chance(0.5)
      const set = { version: sql`${slots.version} + 1`, ...(moves && { slot: slotName(row, random.below(places)) }) }
      const returning = { version: slots.version, slot: slots.slot }
      const start = now()
      const update = (on: Pick<NodePgDatabase, 'update'>) =>
        on.update(slots).set(set).where(eq(slots.id, row)).returning(returning)
      const [changed] = random.chance(0.5) ? await update(db()) : await db().transaction((tx) => update(tx))
      if (!changed) throw new Error(`Row ${row} was not updated.`)
      record.writes.push(row, changed.version, placeOf(changed.slot), start, now())
    },
  }
}

const placeOf = (slot: string): number => Number(slot.split('/')[1])
