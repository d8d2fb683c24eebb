import { insertWithValues, type OutboxRow } from '../model/outbox.ts'
import type { Scope, WritePath } from '../ports/paths.ts'
import { type DriverKind, postgresJsSavepoint, type Session } from './internals.ts'

type Keeps = Pick<WritePath, 'rowOf' | 'kept' | 'notKept'>

/**
 * Puts what a transaction has written so far into the outbox: the last statement before its COMMIT. In a savepoint, for
 * the facts about the table are some seconds old: should the insert fail (the table is gone, the transaction is read
 * only), the user's transaction goes on without it. Rejects only where the connection is lost, and the transaction with it.
 */
export async function keepInOutbox(session: Session, kind: DriverKind, write: Keeps, scope: Scope): Promise<void> {
  const row = write.rowOf(scope)
  if (!row) return
  try {
    if (await insertInSavepoint(session, kind, row)) write.kept(scope, row)
  } catch (error) {
    // The transaction had failed before, and its COMMIT is a ROLLBACK as it ever was.
    if (hasFailed(error)) return
    write.notKept(error)
    await goBack(session, kind)
  }
}

const SAVEPOINT = '"__aside"'

async function insertInSavepoint(session: Session, kind: DriverKind, row: OutboxRow): Promise<boolean> {
  const insert = insertWithValues(row)
  if (kind === 'postgres-js') return postgresJsSavepoint(session, insert)
  await send(session, kind, [`savepoint ${SAVEPOINT}`, insert, `release savepoint ${SAVEPOINT}`])
  return true
}

/** The last statement of a transaction of ours around one statement: should it fail, all is done again without it. */
export async function insertRow(session: Session, row: OutboxRow): Promise<void> {
  const query = { sql: insertWithValues(row), params: [] }
  await session.prepareQuery(query, undefined, undefined, false).execute(undefined)
}

async function goBack(session: Session, kind: DriverKind): Promise<void> {
  // The driver has gone back by itself.
  if (kind === 'postgres-js') return
  await send(session, kind, [`rollback to savepoint ${SAVEPOINT}`, `release savepoint ${SAVEPOINT}`])
}

const hasFailed = (error: unknown): boolean => {
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  return code === '25P02' || (cause !== undefined && hasFailed(cause))
}

/** In one message where the driver takes several statements in one: what another statement of its connection cannot part. */
async function send(session: Session, kind: DriverKind, texts: readonly string[]): Promise<void> {
  const messages = kind === 'node-postgres' ? [texts.join('; ')] : texts
  for (const sql of messages)
    await session.prepareQuery({ sql, params: [] }, undefined, undefined, false).execute(undefined)
}
