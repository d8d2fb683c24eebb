import type { Payloads } from '../model/payload.ts'
import { copyHead, copyKey } from '../model/stale-copy.ts'
import { type Clock, wallNow } from '../ports/clock.ts'
import type { GuardedStore } from '../ports/guarded-store.ts'

export interface KeepWith {
  readonly store: GuardedStore
  readonly clock: Clock
  readonly payloads: Payloads
}

/** An entry that was just stored. */
export interface Filled {
  readonly entryKey: string
  /** How long ago its query began: since then it may have grown old. */
  readonly ageMs: number
  readonly maxStaleMs: number
  /** The rows as they were before they were wrapped; null: there is no such row. */
  readonly payload: string | null
  /** What the payload is bound to beside the key and the time. */
  readonly bound: string
  /** The entry with the wrapped payload. */
  entry(wrapped: string | null): string
}

/** Keeps a copy of an entry for an outage of the database, wrapped anew: it may not pass for the entry, nor the entry for it. */
export function keepCopy({ store, clock, payloads }: KeepWith, filled: Filled): void {
  const leftMs = Math.floor(filled.maxStaleMs - filled.ageMs)
  if (leftMs <= 0) return
  const key = copyKey(filled.entryKey)
  const head = copyHead(wallNow(clock) - filled.ageMs)
  const wrapped = payloads.wrap(filled.payload, aboutCopy(key, head, filled.bound))
  store.write(key, head + filled.entry(wrapped), leftMs, [], 0)
}

/** What the payload of a copy is bound to. */
export const aboutCopy = (key: string, head: string, bound: string): string => `${key}\n${head}${bound}`
