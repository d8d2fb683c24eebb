/** Time as the product sees it. Tests move a manual clock by hand; production uses {@link systemClock}. */
export interface Clock {
  /** Milliseconds; only differences between two calls mean anything. */
  now(): number
  /** Milliseconds since 1970, as far as this machine knows: what processes compare. Default: {@link Clock.now}. */
  wallNow?(): number
  /** Calls `run` once after `ms` milliseconds unless the returned function is called before. */
  setTimer(run: () => void, ms: number): () => void
}

/** The monotonic clock and timers of the process. Timers never keep the process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimer(run, ms) {
    const timer = setTimeout(run, ms)
    timer.unref?.()
    return () => clearTimeout(timer)
  },
}

export const wallNow = (clock: Clock): number => clock.wallNow?.() ?? clock.now()
