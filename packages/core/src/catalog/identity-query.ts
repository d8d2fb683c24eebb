/**
 * Which cluster this is, beyond doubt: the number given at initdb. A role may lack the right and a service may not offer
 * it, so it is asked apart from the catalog and a refusal is taken for an empty text.
 *
 * Source: PostgreSQL documentation, "Control Data Functions".
 */
export const systemIdentifierQuery = `select system_identifier::text from pg_catalog.pg_control_system()`

/**
 * The timeline that is being written; after a promotion it is another one. A standby asks for that of its last
 * restart point. The control data of a primary lag behind until the first checkpoint, the name of the WAL file does not.
 *
 * Source: PostgreSQL documentation, "Backup Control Functions".
 */
export const timelineQuery = `select case
  when pg_is_in_recovery() then lpad(upper(to_hex((select timeline_id from pg_catalog.pg_control_checkpoint()))), 8, '0')
  else substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end`
