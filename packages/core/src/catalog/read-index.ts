/**
 * A question of which one answer serves all who asked before it was sent, and nobody who asks later: how far the primary
 * has written, asked by every fill after it has taken its stamps (PROTOCOL 3.14). One question is on its way at a time; who
 * asks meanwhile shares the next one.
 */
export class ReadIndex<T> {
  readonly #send: () => Promise<T>
  #running: Promise<T> | undefined
  #next: Promise<T> | undefined

  constructor(send: () => Promise<T>) {
    this.#send = send
  }

  ask(): Promise<T> {
    if (!this.#running) return this.#start()
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    )
    return this.#next
  }

  #start(): Promise<T> {
    this.#next = undefined
    const running = this.#send().finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }
}
