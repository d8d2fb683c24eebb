/**
 * When an entry was filled, for how long, and what its query took. It stands before the payload of entries whose table
 * refreshes early, so that any process can tell how near their end is: `@`, then each in base 36 with a fixed width. A
 * reader that does not know it takes the payload for undecodable, which is a miss.
 */
export interface Timing {
  /** Milliseconds since 1970, by the clock of the process that filled. */
  readonly filledAt: number
  readonly lifeMs: number
  readonly costMs: number
}

const MARK = '@'
const WIDTHS = [9, 7, 5] as const
/** By how much it makes a payload longer. */
export const TIMING_LENGTH = 1 + 9 + 7 + 5

export function withTiming({ filledAt, lifeMs, costMs }: Timing, payload: string): string {
  return MARK + [filledAt, lifeMs, costMs].map((ms, at) => fixed(ms, WIDTHS[at] as number)).join('') + payload
}

/** Undefined for a payload without, and for one that is damaged. */
export function timingOf(payload: string): Timing | undefined {
  if (payload[0] !== MARK) return undefined
  let start = 1
  const [filledAt, lifeMs, costMs] = WIDTHS.map((width) => {
    start += width
    return Number.parseInt(payload.slice(start - width, start), 36)
  }) as [number, number, number]
  return Number.isNaN(filledAt + lifeMs + costMs) ? undefined : { filledAt, lifeMs, costMs }
}

export const withoutTiming = (payload: string): string => (payload[0] === MARK ? payload.slice(TIMING_LENGTH) : payload)

function fixed(ms: number, width: number): string {
  const most = 36 ** width - 1
  return Math.min(most, Math.max(0, Math.round(ms)))
    .toString(36)
    .padStart(width, '0')
}

/** How early a table's entries are filled anew. */
export interface RefreshSettings {
  readonly beta: number
  readonly aheadMs: number
}

/**
 * Whether a hit should fill its entry anew: always in the window before its end, and before that by chance (XFetch): the
 * nearer the end and the dearer the query, the likelier, so that of many readers mostly one decides for it, and early
 * enough. `random` is uniform in [0, 1).
 *
 * @see Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015
 */
export function isDue(
  { filledAt, lifeMs, costMs }: Timing,
  { beta, aheadMs }: RefreshSettings,
  now: number,
  random: number,
): boolean {
  // A window as long as the life would fill anew with every hit.
  const window = Math.min(aheadMs, lifeMs / 2)
  const chance = -costMs * beta * Math.log(1 - random)
  return now + Math.max(window, chance) >= filledAt + lifeMs
}
