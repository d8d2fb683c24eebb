/**
 * The statements of the store, each complete in itself: outside of a transaction, so that `now()` is its own time and its
 * locks end with it. Statements that lock several rows lock them in the order of their keys; otherwise two of them could
 * wait for each other.
 */

/**
 * Unlogged: no write-ahead log, and an empty table after a crash and on a replica that takes over. A cache may lose
 * everything; what it may not do is come back in an older state. The room left in each page lets a stamp that is taken
 * again and again be updated in place, without touching the indexes.
 *
 * @see https://www.postgresql.org/docs/current/sql-createtable.html (UNLOGGED)
 */
export const CREATE = [
  `create unlogged table if not exists aside_texts (
     key text collate "C" primary key,
     text text not null,
     ends_at timestamptz not null
   ) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)`,
  `create index if not exists aside_texts_ends_at on aside_texts (ends_at)`,
]

const inMs = (parameter: string): string => `now() + ${parameter}::float8 * interval '1 millisecond'`
const NOW_MS = '(extract(epoch from now()) * 1000)::float8 as now'

export const READ = `select key, text from aside_texts where key = any($1::text[]) and ends_at > now()`

/**
 * Take or mint in one atomic statement. `on conflict … do update` locks the row that is there, waits for whoever is about
 * to insert or delete it, and returns it as it is afterwards; `do nothing` would return nothing for a row that is there,
 * and a select beside it would not see one that has just come. What has ended counts as missing.
 */
export const MINT = `
  insert into aside_texts as kept (key, text, ends_at)
  select key, text, ${inMs('$3')} from unnest($1::text[], $2::text[]) as given (key, text) order by key collate "C"
  on conflict (key) do update set
    text = case when kept.ends_at > now() then kept.text else excluded.text end,
    ends_at = case when kept.ends_at > now() then kept.ends_at else excluded.ends_at end
  returning key, text`

export const WRITE = `
  insert into aside_texts (key, text, ends_at) values ($1, $2, ${inMs('$3')})
  on conflict (key) do update set text = excluded.text, ends_at = excluded.ends_at`

/**
 * Only what is kept and would end sooner. It gets a twentieth more than was asked for, so that a stamp of many fills is
 * written once in a twentieth of its life, and not with each of them.
 */
export const RAISE = `
  with short as (
    select key from aside_texts
    where key = any($1::text[]) and ends_at > now() and ends_at < ${inMs('$2')}
    order by key for no key update
  )
  update aside_texts as kept set ends_at = greatest(kept.ends_at, ${inMs('1.05 * $2')})
  from short where kept.key = short.key`

/** Waits for nobody: what is locked is in use, and is left to the next sweep. */
export const SWEEP = `
  delete from aside_texts where key in (
    select key from aside_texts where ends_at <= now() order by ends_at limit $1 for update skip locked
  )`

const doomed = `
  with doomed as (select key from aside_texts where key = any($1::text[]) order by key for update)`

export const REMOVE = `${doomed}
  delete from aside_texts as kept using doomed where kept.key = doomed.key`

/** What the registers said when the statement began, which is after the commit whose keys it removes. */
export const REMOVE_AND_LOOK = `${doomed}, removed as (
    delete from aside_texts as kept using doomed where kept.key = doomed.key
  )
  select key, text, ${NOW_MS} from aside_texts where key = any($2::text[]) and ends_at > now()`

/** One row, whether there is a register or not. */
export const LOOK = `
  select (select text from aside_texts where key = $1 and ends_at > now()) as text, ${NOW_MS}`

export const CREATE_REGISTER = `
  insert into aside_texts as kept (key, text, ends_at) values ($1, $2, ${inMs('$3')})
  on conflict (key) do update set text = excluded.text, ends_at = excluded.ends_at where kept.ends_at <= now()
  returning key`

/** Never an insert: a register that was removed meanwhile must not come back. */
export const SWAP = `
  update aside_texts set text = $2, ends_at = ${inMs('$3')}
  where key = $1 and text = $4 and ends_at > now()
  returning key`

export const CLEAR = `delete from aside_texts where starts_with(key, $1)`
