import type { BypassReason, EpochReason } from '../model/reasons.ts'

/** A reason in words: what it means for this query, and what helps, where anything does. */
export interface ToldReason {
  readonly because: string
  readonly advice?: string
}

/** Every reason why a read is not served from the cache. */
const bypasses: Readonly<Record<BypassReason, ToldReason>> = {
  'not-a-record': {
    because:
      'the answer is not made of rows of one table that a key fixes (a list, join, aggregate, relation or expression)',
    advice: 'nothing: Drizzle asks the database as before; select plain columns by key where a cached row would do',
  },
  'untracked-table': {
    because: 'the table is not among the `tables` of withCache, or the database does not know it',
    advice: 'add cached(table)',
  },
  'in-transaction': { because: 'reads inside a transaction see what it wrote, so they go to the database' },
  locking: { because: 'a locking clause has to reach the row itself' },
  starting: {
    because: 'the facts about the database are not known yet',
    advice: 'await db.$aside.ready() where the first reads should hit',
  },
  'catalog-unknown': {
    because: 'the catalog says too little about this table',
    advice: 'look at db.$aside.health()',
  },
  'no-primary-key': { because: 'the table has no primary key that could name a row', advice: 'add one' },
  'not-a-proven-key': {
    because: 'the condition fixes no key that the catalog proves (valid, not partial, on plain columns)',
    advice: 'ask by primary key, or make the columns a unique constraint',
  },
  'value-without-token': {
    because: 'a key value has a type or form whose equality in PostgreSQL cannot be reproduced with certainty',
    advice: 'integers, uuid, text, boolean, enum and ISO dates can be keys',
  },
  'sensitive-column': {
    because: 'a selected column is kept out of the cache by `sensitive` or `record`',
    advice: 'leave it out of this select',
  },
  'row-security': {
    because: 'row security decides what each reader sees',
    advice: 'none yet: such tables are never cached',
  },
  'no-scope': { because: 'the `scope` gave no value, so nobody knows whose answer this would be' },
  'auth-token': { because: '$withAuth makes the answer one user’s own' },
  'session-changed': {
    because: 'a session setting was changed outside a transaction, which may change any answer',
    advice: 'use SET LOCAL inside a transaction',
  },
  standby: { because: 'this server is a standby and may lag behind' },
  'switched-off': { because: "db.$aside.reads('off') was called", advice: "db.$aside.reads('on')" },
  'cache-false': { because: 'this query said so: $withCache(false), a tag, or $aside.with({ cache: false })' },
  'pending-delivery': {
    because: 'invalidations still wait for the store, and until they are delivered nothing is trusted',
    advice: 'check the store; db.$aside.health() shows what waits',
  },
  'outcome-unknown': { because: 'a write to this table broke off, and whether it took place is not known yet' },
  'records-lost': {
    because: 'whole rows of this table could not be read or were not unique; see the event recordsLost',
  },
  'load-failed': { because: 'reading the whole row failed; the statement runs as written' },
  'store-failed': { because: 'the store failed or did not answer in time', advice: 'check the store' },
  'too-many-keys': { because: 'the list has more keys than one read takes from the cache', advice: 'ask in parts' },
  'raw-sql': {
    because: 'raw SQL is not read closely enough to be cached',
    advice: 'use the builder where a cached row would do',
  },
  'data-modifying': { because: 'the statement also writes' },
  'inline-params': {
    because: 'inlineParams() writes the parameters into the text, where no key can stand for them',
    advice: 'leave inlineParams() out',
  },
  'unknown-chunk': {
    because:
      'a part of the query is of a kind whose SQL is not known (a class that is not Drizzle’s own, another casing)',
    advice: 'write it with Drizzle’s operators and sql``',
  },
  'encoder-sql': { because: 'a column type encodes a parameter as SQL instead of a value' },
  'relative-time': {
    because: 'a date or time parameter is a word or zone that the server resolves by its clock',
    advice: "pass a Date, or digits in ISO form instead of 'today' or 'now'",
  },
  'missing-placeholder': { because: 'a placeholder was given no value; Drizzle’s own error says which' },
  closed: { because: 'db.$aside.close() was called' },
}

/** Why a write drops whole tables instead of single rows. */
const epochs: Readonly<Record<EpochReason, ToldReason>> = {
  'no-images': { because: 'this statement or table gives no way to learn the touched rows without changing it' },
  'too-many-rows': {
    because: 'it may touch more rows than are dropped one by one',
    advice: 'smaller statements, or a higher maxTouched',
  },
  cascade: { because: 'a foreign-key action or a view leads there' },
  trigger: { because: 'a trigger was declared to write it' },
  'undeclared-trigger': {
    because: 'a trigger or rule may write anything',
    advice: 'say what it writes: cached(table, { affects: [] }) or { affects: [other] }',
  },
  partition: { because: 'its rows also show through a partition or an ancestor' },
  'raw-sql': {
    because: 'the text of raw SQL does not tell for certain what it writes',
    advice: 'db.$aside.with({ writes: [table] }).execute(…), or [] if it writes nothing',
  },
  'catalog-unknown': { because: 'the facts about the database are not known yet' },
  'catalog-changed': { because: 'the table changed in the catalog' },
  'key-update': {
    because: 'before PostgreSQL 18 the old row of a changing primary key cannot be had',
    advice: 'leave primary keys as they are',
  },
  upsert: { because: 'before PostgreSQL 18 the old row of an upsert cannot be had' },
  'value-without-token': { because: 'a key value of a touched row has no certain text form' },
  'data-modifying-cte': { because: 'a CTE of the statement writes' },
  'unknown-outcome': { because: 'whether a write took place is not known' },
  'by-hand': { because: 'the app said so' },
  overflow: { because: 'more keys waited for the store than the queue holds' },
}

export const tellBypass = (reason: BypassReason): ToldReason => bypasses[reason]
export const tellEpoch = (reason: EpochReason): ToldReason => epochs[reason]
