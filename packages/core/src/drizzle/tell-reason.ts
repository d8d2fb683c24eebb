import type { WidenReason } from '../model/query-cover.ts'
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
    advice: 'leave it out of this select; `encryption` lifts `sensitive`',
  },
  'row-security': {
    because: 'row security decides what each reader sees',
    advice: 'give the table a `scope` that tells its readers apart, as the tenant does; answers are then kept for each',
  },
  'no-scope': { because: 'the `scope` gave no value, so nobody knows whose answer this would be' },
  'auth-token': { because: '$withAuth makes the answer one user’s own' },
  'session-changed': {
    because: 'a session setting was changed outside a transaction, which may change any answer',
    advice: 'use SET LOCAL inside a transaction',
  },
  standby: { because: 'this server is a standby and may lag behind' },
  'replica-behind': {
    because:
      'the replica has not replayed all that was committed, and the primary may not answer for it, as its session is another one',
    advice: 'give both connections the same role and settings',
  },
  'replica-failed': {
    because: 'the replica or its primary could not be asked how far it is; see the event replicaFailed',
  },
  'replica-unfit': {
    because: 'this server is no standby of the primary that the wrap was given',
    advice: 'wrap it with the primary that it follows',
  },
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
  'volatile-function': {
    because:
      'it calls something whose answer may change without a write: the clock, the session, chance, a function that is not known',
    advice: 'compute the value in the app and pass it as a parameter',
  },
  'foreign-table': { because: 'nobody hears of writes to a foreign table' },
  'not-encodable': { because: 'a parameter has no exact text, so the question could not be told from others' },
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
  registering: {
    because: 'this process is not yet in the register by which the services on the store know of each other',
    advice: 'await db.$aside.ready() where the first reads should hit',
  },
  'register-stale': {
    because: 'the store has not confirmed for two heartbeats that others know what this process keeps',
    advice: 'check the store; db.$aside.health() shows its state',
  },
  'scheme-new': {
    because:
      'how this process keeps the table is new to the services on the store; it counts in a moment, six seconds at most',
  },
  'database-down': {
    because: 'the database did not answer, and nothing that is known from before may be served in its place',
    advice: 'bring the database back; the event staleRefused says why not',
  },
  closed: { because: 'db.$aside.close() was called' },
}

/** Why a write drops whole tables instead of single rows. */
const epochs: Readonly<Record<EpochReason, ToldReason>> = {
  'no-images': { because: 'this statement or table gives no way to learn the touched rows without changing it' },
  'too-many-rows': {
    because: 'it may touch more rows than are dropped one by one',
    advice: 'smaller statements, or a higher maxTouched',
  },
  'too-many-keys': {
    because: 'the rows it touched are in more classes than are dropped one by one',
    advice: 'smaller statements',
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
  'server-changed': {
    because: 'the database server was started anew, promoted or replaced, and may have lost commits',
  },
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
  'register-lost': {
    because: 'the register of the services on the store was lost, so others may keep more than is known',
  },
  'register-changed': { because: 'a service with other options joined or left since the statement was planned' },
  'register-young': {
    because:
      'the register of the services on the store is younger than three heartbeats, so some may not be back in it',
  },
  'values-unnamed': {
    because: 'a service keeps it by values of sensitive columns that cannot, or may not, be named here',
    advice: 'give all services the same `sensitive` columns and every `tokenKey` that one of them names by',
  },
  'outbox-unreadable': { because: 'a row of the outbox could not be read here: another release wrote it' },
  'scheme-new': { because: 'a way of keeping the table came that writers may not have known of' },
}

/** Why an answer rests on a whole table instead of on some of its rows. */
const widened: Readonly<Record<WidenReason, ToldReason>> = {
  'no-condition': { because: 'no condition restricts it' },
  'no-scheme': {
    because: 'stamps are kept for none of the columns that its conditions fix',
    advice: 'name them in the table’s `lists` (sensitive ones need `encryption`), or give them an index',
  },
  'not-an-equality': { because: 'its conditions are more than equalities: ranges, patterns, negations, functions' },
  'too-many-classes': { because: 'the conditions leave more classes than one answer may rest on' },
  'outer-join': { because: 'rows without a partner pass the condition of an outer join' },
  opaque: {
    because: 'raw SQL stands where its conditions could be read, or reads it',
    advice: 'use the builder’s operators: eq, inArray, and, or',
  },
  'value-without-token': { because: 'a value has a type or form whose equality cannot be reproduced with certainty' },
  'partner-not-learned': {
    because: 'which of its rows take part is known from the result alone, and they may decide which rows there are',
    advice: 'join by its primary key, over a NOT NULL foreign key or by leftJoin, and select plain columns',
  },
  view: { because: 'a view’s own conditions are not read' },
  'rows-not-told': {
    because: 'with `rows` an answer rests on each of its rows, and this one does not tell which they are',
  },
}

export const tellWidened = (reason: WidenReason): ToldReason => widened[reason]
export const tellBypass = (reason: BypassReason): ToldReason => bypasses[reason]
export const tellEpoch = (reason: EpochReason): ToldReason => epochs[reason]
