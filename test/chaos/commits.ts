/**
 * What the database really did, in the order of its commits: read from its log by logical decoding, so that nothing of it
 * touches the system under test. A commit whose answer was lost, or whose writer was killed, is in it like any other.
 */
import type { Client } from 'pg'
import type { TableName } from './history.ts'

export interface Change {
  readonly table: TableName
  readonly id: number
  /** Undefined: the row was deleted. Values as texts, by their names in the database. */
  readonly row: Readonly<Record<string, string>> | undefined
}

export interface Commit {
  /** The database's clock, in milliseconds since 1970. */
  readonly at: number
  readonly changes: readonly Change[]
}

const SLOT = 'chaos'

export async function startCommits(client: Client): Promise<void> {
  await client.query('select pg_create_logical_replication_slot($1, $2)', [SLOT, 'test_decoding'])
}

export async function readCommits(client: Client): Promise<Commit[]> {
  const { rows } = await client.query<{ data: string }>(
    `select data from pg_logical_slot_get_changes($1, null, null, 'include-timestamp', 'on', 'skip-empty-xacts', 'on')`,
    [SLOT],
  )
  await client.query('select pg_drop_replication_slot($1)', [SLOT])
  return parseCommits(rows.map(({ data }) => data))
}

export function parseCommits(lines: readonly string[]): Commit[] {
  const commits: Commit[] = []
  let changes: Change[] = []
  for (const line of lines) {
    const commit = /^COMMIT \d+ \(at (.+)\)$/.exec(line)
    const change = /^table public\.(teams|accounts|notes): (INSERT|UPDATE|DELETE): (.*)$/.exec(line)
    if (commit) {
      if (changes.length > 0) commits.push({ at: millisecondsOf(commit[1] as string), changes })
      changes = []
    } else if (change) {
      const [, table, op, text] = change as unknown as [string, TableName, string, string]
      const values = valuesOf(text)
      changes.push({ table, id: Number(values.id), row: op === 'DELETE' ? undefined : values })
    }
  }
  return commits
}

/** `2026-01-01 12:00:00.123456+00`: with the microseconds, which Date.parse would drop. */
function millisecondsOf(text: string): number {
  const [, seconds, fraction = '', zone] = /^(.{19})(\.\d+)?(.*)$/.exec(text) as unknown as string[]
  const whole = Date.parse(`${seconds?.replace(' ', 'T')}${zone?.length === 3 ? `${zone}:00` : zone}`)
  return whole + Number(`0${fraction}`) * 1_000
}

function valuesOf(text: string): Record<string, string> {
  const found = text.matchAll(/(\w+)\[[^\]]*\]:(?:'((?:[^']|'')*)'|(\S+))/g)
  return Object.fromEntries([...found].map(([, name, quoted, bare]) => [name, quoted?.replaceAll("''", "'") ?? bare]))
}
