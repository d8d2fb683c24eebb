let sink: unknown

/** Nanoseconds that one call takes, best of nine rounds: on a shared machine the best is the one nobody disturbed. */
export function nanoseconds(run: () => unknown, times: number): number {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 9; round++) {
    const start = process.hrtime.bigint()
    for (let i = 0; i < times; i++) sink = run()
    best = Math.min(best, Number(process.hrtime.bigint() - start) / times)
  }
  if (sink === unused) throw new Error('a result must be used, or nothing is computed')
  return best
}

const unused = Symbol('unused')
