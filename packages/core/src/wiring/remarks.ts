import type { OutboxFault } from '../model/outbox.ts'
import type { GuardLowered } from '../ports/store.ts'

/** What may be wrong with a wrap. */
export interface Condition {
  readonly catalogFailed: boolean
  readonly databaseDown: boolean
  readonly pendingDelivery: boolean
  readonly readsBroken: boolean
  readonly fillsBroken: boolean
  readonly guardLowered: GuardLowered | undefined
  readonly registerStale: boolean
  readonly outboxFault: OutboxFault | undefined
  readonly outboxFailing: boolean
  readonly outcomeUnknown: boolean
  readonly sessionChanged: boolean
  readonly standby: boolean
  readonly replicaUnfit: boolean
}

/** One sentence, or two, for each thing that keeps reads from the cache or the outbox from its work: what it costs, and the remedy. */
export function remarksOf(found: Condition): string[] {
  const remarks = [
    found.catalogFailed && 'The catalog cannot be read: no row is cached. Check the role and the connection.',
    found.databaseDown &&
      'The database does not answer: what was known is served where serveStaleOnError allows it. Bring the database back.',
    found.pendingDelivery && 'Invalidations wait for the store: no hit is served. Check the store.',
    found.readsBroken &&
      'The store failed again and again: reads go to the database until it answers. Check the store.',
    found.fillsBroken &&
      'The store keeps nothing new: what it has is served, misses go to the database. Check its memory and rights.',
    found.guardLowered && guardRemarks[found.guardLowered],
    found.registerStale &&
      'The store did not confirm for two heartbeats that this process is known: no hit is served. Check the store.',
    found.outboxFault && `The outbox cannot be used: ${outboxRemarks[found.outboxFault]}.`,
    found.outboxFailing && 'A statement on the outbox failed. See the event outboxFailed.',
    found.outcomeUnknown && 'The outcome of a write is not known yet: its tables bypass the cache until it is.',
    found.sessionChanged &&
      'A session setting was changed outside a transaction: reads bypass the cache. Use SET LOCAL in a transaction.',
    found.standby && 'This server is a standby: it is never a source of cached rows.',
    found.replicaUnfit &&
      'A wrap over a replica is no standby of its primary: its reads bypass the cache. Check its client.',
  ]
  return remarks.filter((remark) => typeof remark === 'string')
}

const guardRemarks: Readonly<Record<GuardLowered, string>> = {
  'not-told':
    'The store does not say which incarnation of it answers, so a failover may be noticed late. ' +
    'Let its user run INFO, or choose failoverGuard in redisStore().',
  'not-unique':
    'Several servers answer by turns under one address, so a failover may be noticed late. ' +
    'Connect to the primary itself, or choose failoverGuard in redisStore().',
}

const outboxRemarks: Readonly<Record<OutboxFault, string>> = {
  missing: 'there is no such table. Run the statements of outboxMigration(), or name the schema',
  'not-a-table': 'it is a view, partitioned, foreign, or has inheritance children. Make a table of its own for it',
  'other-columns': 'its columns are not those of outboxMigration(). Make a table of its own for it',
  'no-privilege': 'this role lacks SELECT, INSERT or DELETE on it. Grant them',
  'side-effects': 'it has triggers, rules or row security, by which a write could fail. Remove them',
}
