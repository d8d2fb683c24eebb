/** How the queries of misses share the places that `maxFills` gives them; `running` and `waiting` are of the moment. */
export interface FillCounts {
  /** How many may run at a time. Wraps over one client share it. */
  readonly max: number
  readonly running: number
  readonly waiting: number
  /** How many had to wait for their turn, since the client was wrapped first. */
  readonly waited: number
  /** How many ran for more than five seconds while others waited, and lost their place to the next. */
  readonly overdue: number
}
