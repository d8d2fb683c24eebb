/** Time as the product sees it. Tests move a manual clock by hand; production uses {@link systemClock}. */
export interface Clock {
  /** Milliseconds; only differences between two calls mean anything. */
  now(): number
  /** Calls `run` once after `ms` milliseconds unless the returned function is called before. */
  setTimer(run: () => void, ms: number): () => void
}

/** The monotonic clock and timers of the process. Timers never keep the process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer(run, ms) {
    const timer = setTimeout(run, ms)
    timer.unref?.()
    return () => clearTimeout(timer)
  },
}
