import type { Write } from './changes.ts'
import { type Contender, type OperationClass, tallyOf } from './contenders.ts'
import { countOwn } from './count-statements.ts'
import type { Read } from './reads.ts'
import type { Operation } from './stream.ts'

/** Visitors who are in the shop at the same time. */
const VISITORS = 8

/** An operation that is over. */
interface Served {
  readonly operationClass: OperationClass
  readonly statements: number
  readonly milliseconds: number
}

/** A read that is over, to be judged when the time is not measured. */
interface Seen {
  readonly read: Read
  readonly rows: readonly object[]
  /** How many writes had resolved when the read began, and had begun when it ended. */
  readonly from: number
  readonly until: number
}

/** Serves operations, `VISITORS` at a time, and judges every answer afterwards. */
export async function serve(contender: Contender, operations: readonly Operation[], measured: boolean): Promise<void> {
  const { home, tally, truth } = contender
  const before = home.count.all
  const began = performance.now()
  const { served, seen } = await serveAll(contender, operations)
  const milliseconds = performance.now() - began
  for (const { read, rows, from, until } of seen) {
    if (!read.parts(rows).every((part) => truth.allows(part, from, until))) tallyOf(tally, read.queryClass).stale++
  }
  if (!measured) return
  tally.statements += home.count.all - before
  tally.milliseconds += milliseconds
  for (const each of served) note(contender, each)
}

function note({ tally }: Contender, { operationClass, statements, milliseconds }: Served): void {
  const its = tallyOf(tally, operationClass)
  its.operations++
  its.statements += statements
  its.milliseconds += milliseconds
  if (statements === 0) its.withoutSql++
}

async function serveAll(contender: Contender, operations: readonly Operation[]) {
  const served: Served[] = []
  const seen: Seen[] = []
  let next = 0
  // Writes wait for one another, so that it is known what is committed; visitors do not wait for them.
  let writing: Promise<unknown> = Promise.resolve()
  const visit = async (): Promise<void> => {
    while (next < operations.length) {
      const operation = operations[next++] as Operation
      if (operation.kind === 'read') {
        served.push(await timed(operation.queryClass, async () => seen.push(await serveRead(contender, operation))))
      } else {
        writing = writing.then(async () => served.push(await timed('writes', () => serveWrite(contender, operation))))
        await writing
      }
    }
  }
  await Promise.all(Array.from({ length: VISITORS }, visit))
  return { served, seen }
}

async function timed(operationClass: OperationClass, run: () => Promise<unknown>): Promise<Served> {
  const began = performance.now()
  const { statements } = await countOwn(run)
  return { operationClass, statements, milliseconds: performance.now() - began }
}

async function serveRead({ db, truth }: Contender, read: Read): Promise<Seen> {
  const from = truth.settled
  const rows = await read.run(db)
  return { read, rows, from, until: truth.begun }
}

async function serveWrite({ db, truth }: Contender, write: Write): Promise<void> {
  truth.begin(write.changes)
  await write.run(db)
  truth.settle()
}
