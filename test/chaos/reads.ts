/** The reads of a chaos run: one of each kind that the cache serves, each with what its answer says about the database. */
import { and, asc, count, eq, inArray } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { Random } from '../random/random.ts'
import type { Claim, Seen, Task } from './history.ts'
import { accounts, anyAccount, anyTeam, notes, type schema, sizes, slotName, teams } from './tables.ts'

export type Db = NodePgDatabase<typeof schema>

export interface ChaosRead {
  readonly kind: string
  run(): Promise<readonly Claim[]>
}

/** Where the ids of rows begin that the workers of one place insert, and how many each generation may have. */
export const NOTES_OF_PLACE = 1_000_000
export const NOTES_OF_GENERATION = 10_000

interface Account {
  readonly id: number
  readonly at: string
  readonly viewedBy: string
}
const seen = ({ id, at, viewedBy }: Account): Seen => [id, at, viewedBy]
const short = ({ id, at }: { id: number; at: string }): Seen => [id, at]

export function chaosReads(db: Db, random: Random, task: Pick<Task, 'generation' | 'hot'>): () => ChaosRead {
  const account = (): number => anyAccount(random, task.hot)
  const team = (): number => anyTeam(random, task.hot)
  /** One that may be there, have been there, or come. */
  const note = (): number =>
    (1 + random.below(3)) * NOTES_OF_PLACE + random.below(task.generation + 1) * NOTES_OF_GENERATION + random.below(30)

  const byKey = async (id: number): Promise<Claim[]> => {
    const [row] = await db.select().from(accounts).where(eq(accounts.id, id))
    return [['key', 'accounts', id, row ? seen(row) : null]]
  }
  const narrow = async (id: number): Promise<Claim[]> => {
    const [row] = await db.select({ id: accounts.id, at: accounts.at }).from(accounts).where(eq(accounts.id, id))
    return [['key', 'accounts', id, row ? short(row) : null]]
  }
  const bySlot = async (slot: string): Promise<Claim[]> => {
    const rows = await db.select().from(accounts).where(eq(accounts.slot, slot))
    return [['class', 'accounts', { slot }, rows.map(seen)]]
  }
  const inList = async (ids: readonly number[]): Promise<Claim[]> => {
    const rows = await db
      .select()
      .from(accounts)
      .where(inArray(accounts.id, [...ids]))
    return ids.map((id): Claim => {
      const row = rows.find((each) => each.id === id)
      return ['key', 'accounts', id, row ? seen(row) : null]
    })
  }
  const list = async (team: number): Promise<Claim[]> => {
    const rows = await db.select({ id: accounts.id, at: accounts.at }).from(accounts).where(eq(accounts.team, team))
    return [['class', 'accounts', { team: `${team}` }, rows.map(short)]]
  }
  const listWithViews = async (team: number): Promise<Claim[]> => {
    const rows = await db.select().from(accounts).where(eq(accounts.team, team)).orderBy(asc(accounts.id))
    return [['class', 'accounts', { team: `${team}` }, rows.map(seen)]]
  }
  const listOfKind = async (team: number, kind: number): Promise<Claim[]> => {
    const rows = await db
      .select({ id: accounts.id, at: accounts.at })
      .from(accounts)
      .where(and(eq(accounts.team, team), eq(accounts.kind, kind)))
    return [['class', 'accounts', { team: `${team}`, kind: `${kind}` }, rows.map(short)]]
  }
  const noteByKey = async (id: number): Promise<Claim[]> => {
    const [row] = await db.select().from(notes).where(eq(notes.id, id))
    return [['key', 'notes', id, row ? short(row) : null]]
  }
  const notesOf = async (id: number): Promise<Claim[]> => {
    const rows = await db.select().from(notes).where(eq(notes.accountId, id))
    return [['class', 'notes', { account_id: `${id}` }, rows.map(short)]]
  }
  const withTeam = async (id: number): Promise<Claim[]> => {
    const [row] = await db
      .select({ id: accounts.id, at: accounts.at, team: teams.id, teamAt: teams.at })
      .from(accounts)
      .leftJoin(teams, eq(teams.id, accounts.team))
      .where(eq(accounts.id, id))
    if (!row) return [['key', 'accounts', id, null]]
    return [
      ['key', 'accounts', id, short(row)],
      ['key', 'teams', row.team as number, [row.team as number, row.teamAt as string]],
    ]
  }
  const teamOfAll = async (team: number): Promise<Claim[]> => {
    const rows = await db
      .select({ id: accounts.id, at: accounts.at, teamAt: teams.at })
      .from(accounts)
      .innerJoin(teams, eq(teams.id, accounts.team))
      .where(eq(accounts.team, team))
    const each = rows.map(({ teamAt }): Claim => ['key', 'teams', team, [team, teamAt]])
    return [['class', 'accounts', { team: `${team}` }, rows.map(short)], ...each.slice(0, 1)]
  }
  const counted = async (team: number): Promise<Claim[]> => {
    const [row] = await db.select({ n: count() }).from(accounts).where(eq(accounts.team, team))
    return [['count', 'accounts', { team: `${team}` }, row?.n ?? -1]]
  }
  const countedNotes = async (id: number): Promise<Claim[]> => {
    const [row] = await db.select({ n: count() }).from(notes).where(eq(notes.accountId, id))
    return [['count', 'notes', { account_id: `${id}` }, row?.n ?? -1]]
  }
  const relational = async (id: number): Promise<Claim[]> => {
    const row = await db.query.accounts.findFirst({ where: eq(accounts.id, id), with: { notes: true } })
    if (!row) return [['key', 'accounts', id, null]]
    return [
      ['key', 'accounts', id, seen(row)],
      ['class', 'notes', { account_id: `${id}` }, row.notes.map(short)],
    ]
  }

  return () =>
    random.weighted<() => ChaosRead>([
      [6, () => named('by key', byKey, account())],
      [2, () => named('by key, some columns', narrow, account())],
      [4, () => named('by unique key', bySlot, slotName(account(), random.below(sizes.places)))],
      [3, () => named('in-list', inList, [...new Set([account(), account(), account()])])],
      [3, () => named('list', list, team())],
      [2, () => named('list with views', listWithViews, team())],
      [4, () => named('list by two columns', (id) => listOfKind(id, random.below(sizes.kinds)), team())],
      [3, () => named('note by key', noteByKey, note())],
      [3, () => named('notes of one', notesOf, account())],
      [3, () => named('left join', withTeam, account())],
      [2, () => named('inner join', teamOfAll, team())],
      [2, () => named('count', counted, team())],
      [2, () => named('count of notes', countedNotes, account())],
      [3, () => named('relational', relational, account())],
    ])()
}

const named = <Given>(kind: string, ask: (given: Given) => Promise<Claim[]>, given: Given): ChaosRead => ({
  kind,
  run: () => ask(given),
})
