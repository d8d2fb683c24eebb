/**
 * A clock moved by hand.
 *
 * Promises: time stands still until `advance(ms)`; then every timer due in that span fires in order of its time (and of
 * its setting, for equal times) with `now()` standing at its time. Timers set by a firing timer take part.
 */

/** The shape of the product's Clock port. */
export interface Clock {
  now(): number
  setTimer(run: () => void, ms: number): () => void
}

export interface ManualClock extends Clock {
  /** Moves the time and fires what is due, all within this call. */
  advance(ms: number): void
  /** The same, and lets pending promises and I/O callbacks run after each timer and at the end. */
  advanceAndSettle(ms: number): Promise<void>
  /** Timers that have not fired. */
  pending(): number
}

interface Timer {
  at: number
  run: () => void
}

// Kept, so that a test with fake timers can settle too.
const nextTurn = globalThis.setImmediate

export function manualClock(start = 1_700_000_000_000): ManualClock {
  let time = start
  const timers = new Set<Timer>()

  /** Fires the next timer due until `end`; says whether there was one. */
  const fireNext = (end: number): boolean => {
    let next: Timer | undefined
    // A Set keeps the order of setting, so the first of the earliest wins.
    for (const timer of timers) if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer
    if (next === undefined) return false
    timers.delete(next)
    time = Math.max(time, next.at)
    next.run()
    return true
  }

  return {
    now: () => time,
    setTimer: (run, ms) => {
      const timer = { at: time + Math.max(0, ms), run }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    advance: (ms) => {
      const end = time + ms
      while (fireNext(end)) {}
      time = end
    },
    advanceAndSettle: async (ms) => {
      const end = time + ms
      await settle()
      while (fireNext(end)) await settle()
      time = end
      await settle()
    },
    pending: () => timers.size,
  }
}

/** Lets everything run that is ready now: promise jobs and callbacks of finished I/O. */
export function settle(): Promise<void> {
  return new Promise((resolve) => nextTurn(resolve))
}
