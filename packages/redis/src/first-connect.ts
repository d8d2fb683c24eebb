interface Emitter {
  once(event: string, listener: () => void): unknown
}

const PATIENCE_MS = 1_000

/**
 * Opens a connection with the first command. Commands wait for the first attempt only, until it succeeded or failed or
 * a second has gone; from then on a command without a connection fails at once, while the client reconnects behind.
 */
export class FirstConnect {
  #attempt: Promise<void> | undefined
  #over = false

  constructor(
    readonly client: Emitter,
    readonly connect: () => Promise<unknown>,
  ) {}

  /** Undefined once commands may be sent without waiting. */
  waits(): Promise<void> | undefined {
    if (this.#over) return undefined
    this.#attempt ??= this.#open()
    return this.#attempt
  }

  async #open(): Promise<void> {
    await new Promise<void>((resolve) => {
      const patience = setTimeout(resolve, PATIENCE_MS)
      const done = () => {
        clearTimeout(patience)
        resolve()
      }
      this.client.once('error', done)
      this.connect().then(done, done)
    })
    this.#over = true
  }
}
