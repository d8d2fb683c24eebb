import type { RelationId } from '../model/facts.ts'
import type { Clock } from '../ports/clock.ts'
import type { Voice } from '../ports/voice.ts'
import type { Changes } from './scope.ts'

export interface OutcomeWith {
  /** Runs one statement on a connection of its own; rows as text arrays. */
  run(sql: string): Promise<readonly (readonly unknown[])[]>
  readonly clock: Clock
  readonly voice: Voice
  publish(changes: Changes): Promise<void>
}

export interface DoubtfulTables {
  readonly ids: readonly RelationId[]
  /** The tables that the write has locked, by oid; empty: any. */
  readonly locked: readonly number[]
}

/** Tables whose last write may or may not have happened. */
export interface UnknownOutcomes {
  /** True while reads of the table must go to the database. */
  blocks(table: RelationId): boolean
  readonly any: boolean
  /** Invalidates at once, and again when the write is known to be over. Resolves after the first. */
  begin(changes: Changes, tables: DoubtfulTables, error: unknown): Promise<void>
  /** Stops waiting; what is still unknown is invalidated once more. */
  close(): Promise<void>
}

const FIRST_LOOK_MS = 20
const LONGEST_PAUSE_MS = 1000

/** Stands for all tables where the catalog is not known yet. */
const EVERYTHING = '*'

/**
 * The answer to a COMMIT or an autocommit write was lost (PROTOCOL 3.9): only the database knows when it is over. Until
 * then this process neither hits nor fills on the tables. Over = no transaction that held, or waited for, a lock for
 * writing on one of the tables when we looked is in `pg_locks` any more; locks go after the changes are visible.
 */
export function createUnknownOutcomes(tools: OutcomeWith): UnknownOutcomes {
  const blocked = new Map<RelationId, number>()
  const waiting = new Set<Changes>()
  let closed = false
  const count = (table: RelationId, by: number): void => {
    const left = (blocked.get(table) ?? 0) + by
    if (left > 0) blocked.set(table, left)
    else blocked.delete(table)
  }
  return {
    blocks: (table) => blocked.has(table) || blocked.has(EVERYTHING),
    get any() {
      return blocked.size > 0
    },
    async begin(changes, tables, error) {
      const { ids, locked } = tables
      const held = ids.length > 0 ? ids : [EVERYTHING]
      for (const id of held) count(id, 1)
      tools.voice.emit({ type: 'outcomeUnknown', tables: ids, error })
      await tools.publish(changes)
      waiting.add(changes)
      void untilOver(tools, locked, () => closed).then(async (over) => {
        if (!over) return
        waiting.delete(changes)
        await tools.publish(changes)
        for (const id of held) count(id, -1)
        tools.voice.emit({ type: 'outcomeKnown', tables: ids })
      })
    },
    async close() {
      closed = true
      for (const changes of waiting) await tools.publish(changes)
      waiting.clear()
    },
  }
}

async function untilOver(tools: OutcomeWith, locked: readonly number[], closed: () => boolean): Promise<boolean> {
  let writers: readonly string[] | undefined
  for (let pause = FIRST_LOOK_MS; !closed(); pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    try {
      writers ??= await writersOf(tools, locked)
      if (writers.length === 0 || !(await anyLeft(tools, writers))) return true
    } catch (error) {
      // The database may be down for long; the tables stay blocked, which costs hits and nothing else.
      tools.voice.emit({ type: 'catalogFailed', error })
    }
    await sleep(tools.clock, pause)
  }
  return false
}

const sleep = (clock: Clock, ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.setTimer(resolve, ms)
  })

const writing = [
  'RowExclusiveLock',
  'ShareUpdateExclusiveLock',
  'ShareLock',
  'ShareRowExclusiveLock',
  'ExclusiveLock',
  'AccessExclusiveLock',
]
const quoted = (texts: readonly string[]): string => texts.map((text) => `'${text.replaceAll("'", "''")}'`).join(', ')

async function writersOf(tools: OutcomeWith, locked: readonly number[]): Promise<string[]> {
  const which = locked.length > 0 ? `and relation in (${locked.map(Number).join(', ')})` : ''
  const rows = await tools.run(
    // Databases made from one template have the same numbers for their tables.
    `select distinct virtualtransaction::text from pg_catalog.pg_locks where locktype = 'relation' ${which} and mode in (${quoted(writing)})
 and database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())`,
  )
  return rows.map(([transaction]) => String(transaction))
}

async function anyLeft(tools: OutcomeWith, writers: readonly string[]): Promise<boolean> {
  const rows = await tools.run(
    `select 1 from pg_catalog.pg_locks where virtualtransaction::text in (${quoted(writers)}) limit 1`,
  )
  return rows.length > 0
}
