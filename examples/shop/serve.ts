import type { Contender } from './contenders.ts'
import type { Row } from './schema.ts'
import type { Operation, Read, Write } from './stream.ts'

/** Visitors who are in the shop at the same time. */
const VISITORS = 8

/** A read that is over, to be judged when the time is not measured. */
interface Seen {
  readonly read: Read
  readonly rows: readonly Row[]
  /** For each question: how far its answers had come when the read began and when it ended. */
  readonly from: readonly number[]
  readonly until: readonly number[]
}

/** Serves operations, `VISITORS` at a time, and judges every answer afterwards. */
export async function serve(contender: Contender, operations: readonly Operation[], measured: boolean): Promise<void> {
  const { home, tally } = contender
  const before = { ...home.count }
  const began = performance.now()
  const seen = await serveAll(contender, operations)
  const milliseconds = performance.now() - began
  tally.stale += seen.filter((each) => !isCurrent(contender, each)).length
  if (!measured) return
  tally.operations += operations.length
  tally.reads += seen.length
  tally.withoutSql += Math.max(0, seen.length - (home.count.selects - before.selects))
  tally.statements += home.count.all - before.all
  tally.milliseconds += milliseconds
}

async function serveAll(contender: Contender, operations: readonly Operation[]): Promise<Seen[]> {
  const seen: Seen[] = []
  let next = 0
  // Writes wait for one another, so that it is known what is committed; visitors do not wait for them.
  let writing: Promise<unknown> = Promise.resolve()
  const visit = async (): Promise<void> => {
    while (next < operations.length) {
      const operation = operations[next++] as Operation
      if (operation.kind === 'read') seen.push(await serveRead(contender, operation))
      else {
        writing = writing.then(() => serveWrite(contender, operation))
        await writing
      }
    }
  }
  await Promise.all(Array.from({ length: VISITORS }, visit))
  return seen
}

async function serveRead({ db, truth }: Contender, read: Read): Promise<Seen> {
  const from = read.keys.map((key) => truth.settledAt(key))
  const rows = await read.run(db)
  return { read, rows, from, until: read.keys.map((key) => truth.begunAt(key)) }
}

async function serveWrite({ db, truth }: Contender, write: Write): Promise<void> {
  truth.begin(write.changes)
  await write.run(db)
  truth.settle(write.changes)
}

function isCurrent({ truth }: Contender, { read, rows, from, until }: Seen): boolean {
  const answers = new Map(rows.map((row) => [read.keyOf(row), row]))
  const nothingElse = rows.length === answers.size && [...answers.keys()].every((key) => read.keys.includes(key))
  return (
    nothingElse &&
    read.keys.every((key, at) => truth.allows(key, answers.get(key) ?? null, from[at] as number, until[at] as number))
  )
}
