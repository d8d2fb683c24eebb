const WIDTH = 28
const QUIET_MS = 3000

/** One line that moves where there is a terminal, and a line now and then where there is none. */
export class Progress {
  readonly #out = process.stdout
  #lastTold = 0

  show(share: number, text: string): void {
    const filled = Math.round(Math.min(1, share) * WIDTH)
    const line = `  ${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)}  ${text}`
    if (this.#out.isTTY) this.#out.write(`\r\x1b[2K${line.slice(0, this.#out.columns - 1)}`)
    else if (performance.now() - this.#lastTold > QUIET_MS) {
      this.#lastTold = performance.now()
      this.#out.write(`${line}\n`)
    }
  }

  end(): void {
    if (this.#out.isTTY) this.#out.write('\r\x1b[2K')
  }
}
