/** The writes of a chaos run. Each leaves its name in every row that it changes. */
import { and, eq, sql } from 'drizzle-orm'
import type { Random } from '../random/random.ts'
import type { Task } from './history.ts'
import { type Db, NOTES_OF_GENERATION, NOTES_OF_PLACE } from './reads.ts'
import { accounts, anyAccount, anyTeam, notes, sizes, slotName, teams } from './tables.ts'

export interface ChaosWrite {
  readonly way: 'autocommit' | 'transaction'
  /** The note that it deletes: such a row cannot carry the name of the write. */
  readonly deletes?: number
  run(): Promise<unknown>
}

type On = Pick<Db, 'insert' | 'update' | 'delete'>
interface Step {
  (on: On, name: string): Promise<unknown>
  deletes?: number
  /** Of several statements, which belong together. */
  several?: true
}

class Undo extends Error {}

export function chaosWrites(db: Db, random: Random, task: Pick<Task, 'place' | 'generation' | 'hot'>) {
  const account = (): number => anyAccount(random, task.hot)
  const team = (): number => anyTeam(random, task.hot)
  const firstNote = task.place * NOTES_OF_PLACE + task.generation * NOTES_OF_GENERATION
  let inserted = 0
  /** Each is inserted, touched and deleted by this worker only, and never comes back. */
  const present: number[] = []

  const touch =
    (id: number): Step =>
    (on, at) =>
      on.update(accounts).set({ at }).where(eq(accounts.id, id))
  const move = (id: number): Step => {
    const to = { team: team(), kind: random.below(sizes.kinds) }
    return (on, at) =>
      on
        .update(accounts)
        .set({ ...to, at })
        .where(eq(accounts.id, id))
  }
  const moveSlot = (id: number): Step => {
    const slot = slotName(id, random.below(sizes.places))
    return (on, at) => on.update(accounts).set({ slot, at }).where(eq(accounts.id, id))
  }
  const view = (id: number): Step => {
    return (on, viewedBy) =>
      on
        .update(accounts)
        .set({ views: sql`${accounts.views} + 1`, viewedBy })
        .where(eq(accounts.id, id))
  }
  const touchTeam =
    (id: number): Step =>
    (on, at) =>
      on.update(teams).set({ at }).where(eq(teams.id, id))
  const touchKind = (of: number, kind: number): Step => {
    const where = and(eq(accounts.team, of), eq(accounts.kind, kind))
    return (on, at) => on.update(accounts).set({ at }).where(where)
  }
  const insertNote = (): Step => {
    const id = firstNote + inserted++
    const accountId = account()
    return async (on, at) => {
      await on.insert(notes).values({ id, accountId, at })
      present.push(id)
    }
  }
  const touchNote = (): Step => {
    const id = present.length > 0 ? random.pick(present) : firstNote
    return (on, at) => on.update(notes).set({ at }).where(eq(notes.id, id))
  }
  const deleteNote = (): Step => {
    const [id] = present.length > 2 ? present.splice(random.below(present.length), 1) : []
    if (id === undefined) return insertNote()
    const step: Step = (on) => on.delete(notes).where(eq(notes.id, id))
    return Object.assign(step, { deletes: id })
  }
  const upsertNote = (): Step => {
    const id = present.length > 0 ? random.pick(present) : firstNote + inserted++
    const accountId = account()
    return (on, at) =>
      on.insert(notes).values({ id, accountId, at }).onConflictDoUpdate({ target: notes.id, set: { at } })
  }
  const several = (): Step => {
    // In one order, or two such transactions would wait for each other.
    const ids = [account(), account()].sort((a, b) => a - b)
    const steps = [...new Set(ids)].map((id) => (random.chance(0.5) ? move(id) : touch(id)))
    const then = touchTeam(team())
    const all: Step = async (on, name) => {
      for (const step of steps) await step(on, name)
      await then(on, name)
    }
    return Object.assign(all, { several: true as const })
  }

  const step = (): Step =>
    random.weighted<() => Step>([
      [4, () => touch(account())],
      [5, () => move(account())],
      [4, () => moveSlot(account())],
      [3, () => view(account())],
      [2, () => touchTeam(team())],
      [1, () => touchKind(team(), random.below(sizes.kinds))],
      [3, insertNote],
      [2, touchNote],
      [2, deleteNote],
      [1, upsertNote],
      [3, several],
    ])()

  return (name: string): ChaosWrite => {
    const run = step()
    const named = run.deletes === undefined ? {} : { deletes: run.deletes }
    if (!run.several && random.chance(0.5)) return { ...named, way: 'autocommit', run: () => run(db, name) }
    if (random.chance(0.1)) return { ...named, way: 'transaction', run: () => rolledBack(db, run, name) }
    return { ...named, way: 'transaction', run: () => db.transaction((tx) => run(tx, name)) }
  }
}

/** Nobody may ever see what it wrote. */
async function rolledBack(db: Db, run: Step, name: string): Promise<void> {
  const undone = db.transaction(async (tx) => {
    await run(tx, name)
    throw new Undo()
  })
  await undone.catch((error) => {
    if (!(error instanceof Undo)) throw error
  })
}
