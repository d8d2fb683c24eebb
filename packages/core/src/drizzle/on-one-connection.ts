import type { ClientState } from './client-state.ts'
import { type Session, sessionOver } from './internals.ts'

/** A session and what is true of its client. */
export interface Server {
  readonly session: Session
  readonly client: ClientState
}

type Use<T> = (session: Session, answer: string) => Promise<T>

/** Each statement sees what is there when it begins; and on a standby nothing else than reading is possible. */
const MODE = 'isolation level read committed read only'

/**
 * Asks a question (one row of one text) and runs more on the very server that answered: on one connection, and in one
 * transaction, because behind an address there may be a pooler, and several servers.
 */
export function onOneConnection<T>({ session, client }: Server, question: string, use: Use<T>): Promise<T> {
  if (client.single) return onTheOnly(session, question, use)
  if (client.kind === 'postgres-js') return overPostgresJs(session, question, use)
  return overNodePostgres(session, question, use)
}

async function onTheOnly<T>(session: Session, question: string, use: Use<T>): Promise<T> {
  const query = { sql: question, params: [] }
  const rows = (await session.prepareQuery(query, undefined, undefined, true, (found) => found).execute()) as string[][]
  return use(session, String(rows[0]?.[0]))
}

interface PostgresJs {
  begin<T>(mode: string, run: (client: PostgresJs) => Promise<T>): Promise<T>
  unsafe(text: string): { values(): Promise<unknown[][]> }
}

function overPostgresJs<T>(session: Session, question: string, use: Use<T>): Promise<T> {
  return (session.client as PostgresJs).begin(MODE, async (client) => {
    const rows = await client.unsafe(question).values()
    return use(sessionOver(session, client), String(rows[0]?.[0]))
  })
}

interface PoolClient {
  query(query: string | { text: string; rowMode: 'array' }): Promise<unknown>
  on(event: 'error', hear: () => void): void
  off(event: 'error', hear: () => void): void
  release(error?: Error): void
}

/** Not by Drizzle's transaction: it takes a message more, and a connection that breaks under it ends the process. */
async function overNodePostgres<T>(session: Session, question: string, use: Use<T>): Promise<T> {
  const client = await (session.client as { connect(): Promise<PoolClient> }).connect()
  client.on('error', ignore)
  try {
    const begun = await client.query({ text: `begin ${MODE}; ${question}`, rowMode: 'array' })
    const [, answer] = begun as { rows: unknown[][] }[]
    return await use(sessionOver(session, client), String(answer?.rows[0]?.[0]))
  } finally {
    void giveBack(client)
  }
}

/** Nobody waits for the end of a transaction that has only read. */
async function giveBack(client: PoolClient): Promise<void> {
  let error: Error | undefined
  try {
    await client.query('commit')
  } catch (reason) {
    error = reason as Error
  }
  client.off('error', ignore)
  // With an error the pool throws the connection away.
  client.release(error)
}

/** What is wrong with a connection its statements say, too. */
const ignore = (): void => {}
