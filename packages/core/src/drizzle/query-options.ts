import type { StatementContext } from './statement-context.ts'

interface CacheTimes {
  /** Seconds and milliseconds from now; the same as points in time since 1970. */
  readonly ex?: number
  readonly px?: number
  readonly exat?: number
  readonly pxat?: number
}

function timeToLive({ ex, px, exat, pxat }: CacheTimes): number | undefined {
  if (px !== undefined) return px
  if (ex !== undefined) return ex * 1000
  const until = pxat ?? (exat === undefined ? undefined : exat * 1000)
  return until === undefined ? undefined : until - Date.now()
}

/** What was said of one query, by Drizzle's own `$withCache(…)` and by the handle that it was asked of. */
export interface QueryOptions {
  readonly off: boolean
  readonly ttlMs: number | undefined
  readonly tags: readonly string[]
}

export function queryOptions(config: unknown, { call }: Pick<StatementContext, 'call'>): QueryOptions {
  if (config === undefined) return { off: call.cache === false, ttlMs: call.ttlMs, tags: call.tags ?? noTags }
  const { enable, tag, config: times } = (config ?? {}) as { enable?: boolean; tag?: string; config?: CacheTimes }
  const ttlMs = (times && timeToLive(times)) ?? call.ttlMs
  const tags = tag === undefined ? (call.tags ?? noTags) : [...(call.tags ?? noTags), tag]
  return { off: enable === false || call.cache === false || (ttlMs !== undefined && ttlMs <= 0), ttlMs, tags }
}

const noTags: readonly string[] = []
