/** What a worker is given, and what it leaves behind: one line of JSON for each thing that happened. */
import type { Configuration } from './tables.ts'

export interface Task {
  /** Its name in the history: no two workers of a run have the same. */
  readonly name: string
  /** Workers of one place follow each other; the place names the rows that only they insert and delete. */
  readonly place: number
  readonly generation: number
  readonly configuration: Configuration
  readonly client: 'node-redis' | 'ioredis'
  readonly database: string
  readonly redis: string
  readonly namespace: string
  readonly outbox: boolean
  /** Of entries, in milliseconds. */
  readonly ttlMs: number
  readonly seed: number
  readonly concurrency: number
  /** Of all accounts and teams that are read and written those that are one of two, 0 to 1; undefined: as it is usual. */
  readonly hot: number | undefined
  /** Of all steps those that write, 0 to 1. */
  readonly writeShare: number
  /** Nanoseconds of the clock that all processes of a machine share, at the start of the run. */
  readonly base: string
  readonly file: string
}

export type TableName = 'teams' | 'accounts' | 'notes'

/** A row as a read showed it: which write it carries and, where the read shows views, whose views. */
export type Seen = readonly [id: number, at: string, viewedBy?: string]

/**
 * What a read says about the database. `key`: this row is so, or is not there. `class`: of all rows with these values
 * exactly these are there. `count`: so many rows have these values.
 */
export type Claim =
  | readonly ['key', TableName, number, Seen | null]
  | readonly ['class', TableName, Readonly<Record<string, string>>, readonly Seen[]]
  | readonly ['count', TableName, Readonly<Record<string, string>>, number]

/** Milliseconds since the start of the run. */
type Time = number

export type Line =
  /** A write is about to be sent. `deletes`: the note that goes with it. */
  | readonly ['begin', write: string, Time, deletes?: number]
  /** It has resolved, or was rejected. `busy`: something of this process waits to be made known at that moment. */
  | readonly ['end', write: string, Time, 'ok' | 'failed', busy: boolean, way: 'autocommit' | 'transaction']
  | readonly ['read', start: Time, end: Time, kind: string, readonly Claim[]]
  /** How many things wait to be made known, whenever that number changes. */
  | readonly ['busy', Time, number]
  | readonly ['event', Time, type: string, what: string]

/** From a worker to the conductor. */
export type Told =
  | { readonly type: 'ready' }
  | { readonly type: 'tick'; readonly lookUps: number; readonly hits: number; readonly isWell: boolean }
