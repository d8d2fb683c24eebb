import { isDeepStrictEqual } from 'node:util'
import { asc, eq } from 'drizzle-orm'
import type { PgliteDatabase } from 'drizzle-orm/pglite'
import type { App } from './app.ts'
import { books } from './schema.ts'

const BOOK = 1
const OTHER = 2

const oneBook = (db: PgliteDatabase) => db.select().from(books).where(eq(books.id, BOOK))
const onLoan = (db: PgliteDatabase) => db.select().from(books).where(eq(books.onLoan, true)).orderBy(asc(books.id))

/** Asks the app and plain Drizzle the same, and keeps what went otherwise than it should. */
export class Walk {
  readonly #plain: PgliteDatabase
  readonly #wrong: string[] = []
  #titles = 0

  constructor(plain: PgliteDatabase) {
    this.#plain = plain
  }

  /** Until then questions go to the database. */
  async untilServed(app: App, pause: () => Promise<void>): Promise<void> {
    for (;;) {
      await app.db.select().from(books).where(eq(books.id, OTHER))
      if (app.told().some((event) => event === 'miss' || event === 'hit')) return
      await pause()
    }
  }

  ask = (app: App, what: string, wanted: 'hit' | 'miss'): Promise<void> => this.#compare(app, oneBook, what, wanted)
  list = (app: App, what: string, wanted: 'hit' | 'miss'): Promise<void> => this.#compare(app, onLoan, what, wanted)

  async lend({ db }: App, what: string): Promise<void> {
    await db.update(books).set({ onLoan: true }).where(eq(books.id, OTHER))
    console.log(`  ${'write'.padEnd(6)}${what}`)
  }

  async rename({ db }: App, what: string): Promise<void> {
    this.#titles++
    await db
      .update(books)
      .set({ title: `title ${this.#titles}` })
      .where(eq(books.id, BOOK))
    console.log(`  ${'write'.padEnd(6)}${what}`)
  }

  /** 0 where every answer was plain Drizzle's and came from where it should. */
  report(): number {
    if (this.#wrong.length === 0) console.log("Every answer equals plain Drizzle's.")
    else console.log(`${this.#wrong.length} WRONG. Please report this.\n${this.#wrong.join('\n')}`)
    return this.#wrong.length === 0 ? 0 : 1
  }

  async #compare(
    { db, told }: App,
    question: (db: PgliteDatabase) => PromiseLike<unknown[]>,
    what: string,
    wanted: 'hit' | 'miss',
  ): Promise<void> {
    told()
    const answer = await question(db)
    const found = told().join(', ')
    console.log(`  ${found.padEnd(6)}${what}`)
    if (found !== wanted) this.#wrong.push(`${what}: ${found}, and not a ${wanted}`)
    const truth = await question(this.#plain)
    if (!isDeepStrictEqual(answer, truth))
      this.#wrong.push(`${what}: ${JSON.stringify(answer)}, and in the database ${JSON.stringify(truth)}`)
  }
}
