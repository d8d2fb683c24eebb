import { AsideError, lookAtRegister, type RegisterVisit, type Store, visitRegister } from 'drizzle-aside/store'
import { Encoded } from './encoded.ts'
import * as sql from './statements.ts'

/** What the store uses of a client: a `Pool` of pg has it, and a PGlite instance. */
export interface Queries {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
}

export interface TableStoreOptions {
  /** After how many entries texts that have ended are deleted. Default: 50. */
  sweepEvery?: number
  /** How many of them at most, in one statement. Default: 2,000; an entry may bring a few dozen stamps of its own. */
  sweepLimit?: number
}

/** Creates the store's table where there is none. Runs with the migrations: the store itself changes no schema. */
export async function createStoreTable(db: Queries): Promise<void> {
  for (const statement of sql.CREATE) await db.query(statement)
}

/**
 * A store over an unlogged PostgreSQL table: for apps that have PostgreSQL and nothing else. Whatever runs on `db` must
 * reach the primary, outside of transactions, on connections of its own: a pool that is busy with the app's transactions
 * would make their invalidations wait for them.
 *
 * @throws AsideError `ASIDE_BAD_OPTION` when an option is not a positive whole number.
 *
 * @example
 * const pool = new Pool({ connectionString, max: 4, query_timeout: 1_000 })
 * await createStoreTable(pool)
 * const db = withCache(drizzle(appPool), { store: tableStore(pool), namespace: 'shop', tables: [cached(users)] })
 */
export function tableStore(db: Queries, { sweepEvery = 50, sweepLimit = 2_000 }: TableStoreOptions = {}): Store {
  checkCount('sweepEvery', sweepEvery)
  checkCount('sweepLimit', sweepLimit)
  let closed = false
  let writes = 0
  async function ask<Row>(text: string, values: unknown[]): Promise<Row[]> {
    if (closed) throw new AsideError('ASIDE_CLOSED', 'this table store was closed; create a new one.')
    return (await db.query(text, values)).rows as Row[]
  }
  return {
    name: 'table',
    processLocal: false,

    async read(keys) {
      const encoded = keys.map(Encoded.key)
      const found = new Map((await ask<Kept>(sql.READ, [encoded])).map(({ key, text }) => [key, text]))
      return encoded.map((key) => textOf(found.get(key)))
    },

    async mint(stamps, ttlMs) {
      // A statement may touch a row once. Of two texts for one key the first counts.
      const given = new Map([...stamps].reverse().map(({ key, text }) => [Encoded.key(key), Encoded.text(text)]))
      const rows = await ask<Kept>(sql.MINT, [[...given.keys()], [...given.values()], ttlMs])
      const kept = new Map(rows.map(({ key, text }) => [key, text]))
      return stamps.map(({ key }) => textOf(kept.get(Encoded.key(key))))
    },

    // Nobody waits for a fill, so that the statements need not be one; and none of them holds a lock for the next.
    async write(key, text, ttlMs, keepAlive, stampTtlMs) {
      await ask(sql.WRITE, [Encoded.key(key), Encoded.text(text), ttlMs])
      if (keepAlive.length > 0) await ask(sql.RAISE, [keepAlive.map(Encoded.key), stampTtlMs])
      writes++
      if (writes % sweepEvery === 0) await ask(sql.SWEEP, [sweepLimit])
    },

    async remove(keys) {
      await ask(sql.REMOVE, [keys.map(Encoded.key)])
    },

    async removeAndLook(keys, registers) {
      const looked = registers.map(Encoded.key)
      const rows = await ask<Kept & { now: number }>(sql.REMOVE_AND_LOOK, [keys.map(Encoded.key), looked])
      return looked.map((register) => {
        const row = rows.find(({ key }) => key === register)
        return row ? lookAtRegister(Encoded.decode(row.text), row.now) : null
      })
    },

    async enter(register, visit) {
      const key = Encoded.key(register)
      for (;;) {
        const [row] = await ask<{ text: string | null; now: number }>(sql.LOOK, [key])
        const visited = visitOf(row as NonNullable<typeof row>, visit)
        // Lost to another visit or a removal: again, from what is there now. Of those at once one always gets through.
        if ((await ask(visited.statement, [key, visited.text, visited.lifeMs, ...visited.before])).length > 0)
          return visited.answer
      }
    },

    async clear(prefix) {
      await ask(sql.CLEAR, [Encoded.text(prefix)])
    },

    // The connections are the app's.
    async close() {
      closed = true
    },
  }
}

function checkCount(name: string, count: number): void {
  if (Number.isInteger(count) && count > 0) return
  throw new AsideError('ASIDE_BAD_OPTION', `${name} of a table store must be a positive whole number, not ${count}.`)
}

interface Kept {
  readonly key: string
  readonly text: string
}

const textOf = (text: string | undefined): string | null => (text === undefined ? null : Encoded.decode(text))

/** A visit of what was found, and the statement that keeps its outcome if the same is still there. */
function visitOf({ text: found, now }: { text: string | null; now: number }, visit: RegisterVisit) {
  const { text, lifeMs, answer } = visitRegister(found === null ? null : Encoded.decode(found), visit, now)
  const swap =
    found === null ? { statement: sql.CREATE_REGISTER, before: [] } : { statement: sql.SWAP, before: [found] }
  return { ...swap, text: Encoded.text(text), lifeMs, answer }
}
