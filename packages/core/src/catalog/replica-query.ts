import { type PrimaryPosition, type ReplicaSight, walPosition } from '../model/replica.ts'
import { asFlag, asList, asText, asTexts } from './catalog-json.ts'
import { environmentList } from './catalog-query.ts'
import { environmentOf } from './parse-catalog.ts'

/**
 * How far the primary is: in its log, and in its transactions. The place where the next record goes, not `pg_current_wal_lsn()`: a commit of
 * `synchronous_commit = off` is seen by others before its record is written out, and a replica that has only what was written
 * would be taken for current without it. Fails on a standby, and where a role may not ask.
 */
export const positionQuery = `select json_build_array(pg_current_wal_insert_lsn()::text,
  pg_snapshot_xmax(pg_current_snapshot())::text,
  substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), s.system_identifier::text)::text
  from pg_catalog.pg_control_system() s`

/**
 * What a replica has replayed (a standby counts as running what it has seen begin and not end, so the transactions before its
 * xmin are over there), of which cluster and timeline, and what its session is like. A standby does not say which
 * timeline it replays at the moment: the later one of its last restart point and of what it has flushed lags behind, and
 * until it is the primary's the replica is not used.
 *
 * Source: PostgreSQL documentation, "Recovery Control Functions", "Control Data Functions", "Transaction ID and Snapshot
 * Information Functions".
 */
export const replicaQuery = `select json_build_array(pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn()::text, '0/0'),
  pg_snapshot_xmin(pg_current_snapshot())::text,
  lpad(upper(to_hex(greatest(c.timeline_id, r.min_recovery_end_timeline))), 8, '0'), s.system_identifier::text,
  ${environmentList}, current_schemas(true))::text
  from pg_catalog.pg_control_system() s, pg_catalog.pg_control_checkpoint() c, pg_catalog.pg_control_recovery() r`

export function parsePosition(text: string): PrimaryPosition {
  const [written, over, timeline, systemIdentifier] = asTexts(JSON.parse(text)) as [string, string, string, string]
  return { written: walPosition(written), over: BigInt(over), timeline, systemIdentifier }
}

export function parseReplica(text: string): ReplicaSight {
  const [standby, replayed, over, timeline, systemIdentifier, environment, schemas] = asList(JSON.parse(text))
  return {
    standby: asFlag(standby),
    replayed: walPosition(asText(replayed)),
    over: BigInt(asText(over)),
    timeline: asText(timeline),
    systemIdentifier: asText(systemIdentifier),
    environment: environmentOf(asTexts(environment)),
    schemas: asTexts(schemas),
  }
}
