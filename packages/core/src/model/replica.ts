/** What is known of a replica and of its primary, as far as fills from the replica depend on it (PROTOCOL 3.14). Pure. */
import type { SessionEnvironment } from './facts.ts'

/** How far the primary was at some moment. */
export interface PrimaryPosition {
  /** Where the next record of its log goes: all that can be seen there stands before it. */
  readonly written: bigint
  /** The first transaction that may not be over. */
  readonly over: bigint
  readonly timeline: string
  readonly systemIdentifier: string
}

/** A replica at some moment. */
export interface ReplicaSight {
  readonly standby: boolean
  /** What it had replayed; 0 where it is no standby. */
  readonly replayed: bigint
  /** All transactions before this one are over there, too. */
  readonly over: bigint
  readonly timeline: string
  readonly systemIdentifier: string
  readonly environment: SessionEnvironment
  /** `current_schemas(true)`. */
  readonly schemas: readonly string[]
}

/**
 * `behind`: it does not yet show all that the primary had committed, or follows another timeline, where positions say
 * nothing. `unfit`: it never can, being no standby of this primary.
 */
export type ReplicaVerdict = 'current' | 'behind' | 'unfit'

export function judgeReplica(sight: ReplicaSight, position: PrimaryPosition): ReplicaVerdict {
  if (!sight.standby || sight.systemIdentifier !== position.systemIdentifier) return 'unfit'
  if (sight.timeline !== position.timeline) return 'behind'
  // A read may write to the log, too (it prunes a page), and nobody waits for such a record: it can take seconds until a
  // replica gets it. While no transaction writes, the second question answers what the first one leaves open.
  return sight.replayed >= position.written || sight.over >= position.over ? 'current' : 'behind'
}

/** A position in the log as PostgreSQL writes it, `16/B374D848`: two hexadecimal halves. */
export function walPosition(text: string): bigint {
  const [high, low] = text.split('/')
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}

/** All of a session that may change what a query answers, as one text. */
export const sessionText = ({ environment, schemas }: Pick<ReplicaSight, 'environment' | 'schemas'>): string =>
  JSON.stringify([Object.values(environment), schemas])
