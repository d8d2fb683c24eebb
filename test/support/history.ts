/**
 * Readers and writers of numbered rows at full speed, and what they saw, judged: a read that begins after a write has
 * resolved answers what that write left, or something later.
 *
 * Promises: nothing here sleeps; a test waits for a number of operations. Each row's number only grows, and one writer at a
 * time changes it.
 */
export type ReadNumber = (id: number) => Promise<number>

export interface Load {
  readonly ids: readonly number[]
  readonly readers: readonly ReadNumber[]
  /** Raises the number of a row and answers it. */
  readonly writers: readonly ReadNumber[]
  /** How many reads and writes go by between two writes of one writer: without reads in between nothing is a hit. */
  readonly pace: number
}

export interface StaleRead {
  readonly id: number
  readonly answered: number
  /** What had resolved before the read began. */
  readonly resolved: number
}

export class History {
  readonly stale: StaleRead[] = []
  readonly failures: unknown[] = []
  readonly #resolved = new Map<number, number>()
  #done = 0
  #waiting: { readonly at: number; readonly go: () => void }[] = []

  /** Begins; `end()` stops the loops and resolves with the last of them. */
  load({ ids, readers, writers, pace }: Load): { end(): Promise<void> } {
    let isOver = false
    const loop = async (step: (turn: number) => Promise<void>): Promise<void> => {
      for (let turn = 0; !isOver; turn++) {
        try {
          await step(turn)
        } catch (error) {
          this.failures.push(error)
        }
        this.#count()
        // Others have their turn, also where nothing waits for the network.
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const own = (writer: number) => ids.filter((_, at) => at % writers.length === writer)
    const running = [
      ...readers.map((read, at) => loop((turn) => this.#read(read, ids[(turn + 3 * at) % ids.length] as number))),
      ...writers.map((write, at) => {
        const mine = own(at)
        return loop(async (turn) => {
          await this.#write(write, mine[turn % mine.length] as number)
          // Once the load has ended nobody counts any more.
          if (!isOver) await this.someMore(pace)
        })
      }),
    ]
    return {
      end: async () => {
        isOver = true
        for (const { go } of this.#waiting) go()
        await Promise.all(running)
      },
    }
  }

  async #read(read: ReadNumber, id: number): Promise<void> {
    const before = this.#resolved.get(id)
    const answered = await read(id)
    if (before !== undefined && answered < before) this.stale.push({ id, answered, resolved: before })
  }

  async #write(write: ReadNumber, id: number): Promise<void> {
    const n = await write(id)
    this.#resolved.set(id, n)
  }

  #count(): void {
    this.#done++
    const due = this.#waiting.filter(({ at }) => at <= this.#done)
    this.#waiting = this.#waiting.filter(({ at }) => at > this.#done)
    for (const { go } of due) go()
  }

  /** Resolves when so many reads and writes are over, or the load ends. */
  reached(count: number): Promise<void> {
    if (count <= this.#done) return Promise.resolve()
    return new Promise((go) => {
      this.#waiting.push({ at: count, go })
    })
  }

  /** The same, from now on. */
  someMore(count: number): Promise<void> {
    return this.reached(this.#done + count)
  }
}
