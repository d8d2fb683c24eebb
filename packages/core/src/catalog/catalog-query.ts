/**
 * Stable built-in functions whose answer rests on their arguments and on settings of `SessionEnvironment` alone. Other
 * stable functions may read the clock, the session or tables: `now`, `current_setting`, `age(timestamptz)`, `to_char`
 * (`lc_time`), `json_populate_record` (a `'today'` inside the json) and every stable function of a user.
 */
const steadyFunctions = [
  ...['concat', 'concat_ws', 'format', 'quote_literal', 'quote_nullable', 'textanycat', 'anytextcat'],
  ...['array_to_string', 'array_to_json', 'row_to_json', 'to_json', 'to_jsonb'],
  ...['json_agg', 'jsonb_agg', 'json_agg_strict', 'jsonb_agg_strict', 'json_object_agg', 'jsonb_object_agg'],
  ...['json_build_array', 'json_build_object', 'jsonb_build_array', 'jsonb_build_object'],
  ...['date', 'time', 'timestamp', 'timestamptz', 'timetz', 'timezone', 'make_timestamptz', 'generate_series'],
  ...['date_part', 'date_trunc', 'extract', 'date_add', 'date_subtract', 'overlaps', 'in_range'],
  ...['interval_pl_timestamptz', 'timestamptz_pl_interval', 'timestamptz_mi_interval'],
  ...['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'cmp'].flatMap((test) => [
    ...[`date_${test}_timestamptz`, `timestamptz_${test}_date`],
    ...[`timestamp_${test}_timestamptz`, `timestamptz_${test}_timestamp`],
  ]),
  ...['to_tsvector', 'to_tsquery', 'plainto_tsquery', 'phraseto_tsquery', 'websearch_to_tsquery'],
]

/** Objects that a user or an extension made have numbers from here on (`FirstNormalObjectId` in access/transam.h). */
const firstUserOid = 16384

/**
 * What a stored parse tree says. Built-in objects are pinned and leave no trace in pg_depend; the tree names them all:
 * relations read and functions called (operators by their function), expressions that name no function, and casts
 * through text, where the input function of the result type decides. Text inside a tree has its blanks escaped, so it
 * cannot look like a tag. Three patterns, because one with all branches took PostgreSQL five times as long.
 */
const calls = ':(relid|funcid|opfuncid|aggfnoid|winfnoid) ([0-9]+)'
const nameless = String.raw`\{(SQLVALUEFUNCTION|TABLESAMPLECLAUSE|XMLEXPR|NEXTVALUEEXPR|ROWCOMPARE) `
const castsThroughText = ':(resulttype) ([0-9]+) :resultcollid [0-9]+ :coerceformat'

/**
 * Foreign keys. PostgreSQL 18 brought the columns `conenforced` and `conperiod`; before, the unqualified names find the
 * stand-ins outside. A key with PERIOD is no equality. A `cloned` one that points to a partition is part of the key that
 * points to the whole table: most rows of the child have no parent there.
 */
const foreignKeys = `(select true as conenforced, false as conperiod) as older
  cross join lateral (
    select c.oid, c.conname, c.conrelid, c.confrelid, c.conkey, c.confkey, c.confdeltype, c.confupdtype,
      c.convalidated and conenforced and not conperiod as holds, c.conparentid <> 0 as cloned
    from pg_catalog.pg_constraint c where c.contype = 'f')`

/**
 * Not of a foreign key or another constraint. Before PostgreSQL 15 the clones of a user's trigger at partitions are
 * internal, too: they have a parent, and no constraint but that of a constraint trigger.
 */
const madeByUser = `(not t.tgisinternal or t.tgparentid <> 0 and not exists (
    select from pg_catalog.pg_constraint c where c.oid = t.tgconstraint and c.contype <> 't'))`

/** What of a session may change an answer, in the order of `environmentOf`. */
export const environmentList = `json_build_array(current_user, ${[
  'search_path',
  'TimeZone',
  'DateStyle',
  'IntervalStyle',
  'bytea_output',
  'extra_float_digits',
  'default_text_search_config',
]
  .map((name) => `current_setting('${name}')`)
  .join(', ')})`

/**
 * Which life of the server this is, to the microsecond, readable by an ordinary role. A start of the server begins one, and
 * so does a crash recovery, which may lose commits of `synchronous_commit = off`: where a single backend crashes the server
 * recovers without a new start, but it never keeps its statistics, and says since when it has them. Who resets them by hand
 * (`pg_stat_reset_shared('bgwriter')`) begins one, too.
 *
 * Source: PostgreSQL documentation, "The Cumulative Statistics System".
 */
const incarnation = `concat_ws('/', ${[
  'pg_postmaster_start_time()',
  '(select b.stats_reset from pg_catalog.pg_stat_bgwriter b)',
]
  .map((moment) => `to_char(${moment} at time zone 'UTC', 'YYYYMMDDHH24MISSUS')`)
  .join(', ')})`

/**
 * Reads all that the catalog tells about the relations of a database: one statement, one row, one column, a json text
 * for `parseCatalog`. Plain joins that an ordinary role may run on PostgreSQL 13 to 18; it takes no lock on user tables
 * (no `pg_get_viewdef`), so DDL in another session never blocks it. Everything is ordered: an unchanged catalog gives
 * the same text, letter by letter.
 *
 * Measured with node-postgres over TCP, two cores: 300 tables of 10 columns with a foreign key each 27 ms on
 * PostgreSQL 15, 30 ms on 18 (`select 1`: 0.15 and 0.13 ms, so 190 and 230 times); with 100 views and 100 triggers more
 * 50 and 57 ms; 3,000 tables, 1,000 views, 1,000 triggers 0.48 s; an empty database 11 ms. Grouped lists are not joined
 * to the relations here but in `parseCatalog`: with the joins the planner expected billions of rows, and PostgreSQL
 * spent 2.6 s compiling the query (JIT) on 3,000 tables. Since then the first columns of indexes and the proof of foreign
 * keys were added: in one run, beside each other, a tenth (18) to two fifths (15) more on 300 tables, a tenth to a third
 * on 2,000.
 *
 * Sources: PostgreSQL documentation, "System Catalogs" (pg_class to pg_trigger), "Function Volatility Categories",
 * "System Information Functions and Operators".
 */
export const catalogQuery = `
with space as materialized (
  select n.oid, n.nspname, has_schema_privilege(n.oid, 'USAGE') as usable
  from pg_catalog.pg_namespace n
  where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast'
    and not pg_is_other_temp_schema(n.oid)
),
rel as materialized (
  select c.oid, s.nspname, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.reloptions,
    case when s.usable then concat(
      case when has_table_privilege(c.oid, 'SELECT') or not exists (
        select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          and not coalesce(has_column_privilege(c.oid, a.attnum, 'SELECT'), false)) then 's' end,
      case when has_any_column_privilege(c.oid, 'INSERT') then 'i' end,
      case when has_any_column_privilege(c.oid, 'UPDATE') then 'u' end,
      case when has_table_privilege(c.oid, 'DELETE') then 'd' end) else '' end as may
  from pg_catalog.pg_class c join space s on s.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f')
),
label as (
  select e.enumtypid, md5(string_agg(quote_literal(e.enumlabel), ',' order by e.enumsortorder)) as mark
  from pg_catalog.pg_enum e group by e.enumtypid
),
col as (
  select a.attrelid, json_agg(json_build_array(a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
      case
        when a.atttypid in (20, 21, 23) then 'int'
        when a.atttypid = 2950 then 'uuid'
        when a.atttypid = 16 then 'bool'
        when a.atttypid = 1082 then 'date'
        when t.typtype = 'e' then 'enum'
        when a.atttypid in (25, 1043) and o.collisdeterministic and pg_catalog.current_setting('server_encoding') = 'UTF8' then 'text'
        else 'none'
      end,
      a.attnotnull, a.attgenerated <> '', coalesce(md5(d.adbin::text), label.mark)) order by a.attnum) as list
  from rel
  join pg_catalog.pg_attribute a on a.attrelid = rel.oid and a.attnum > 0 and not a.attisdropped
  join pg_catalog.pg_type t on t.oid = a.atttypid
  left join pg_catalog.pg_collation o on o.oid = a.attcollation
  left join pg_catalog.pg_attrdef d on a.attgenerated <> '' and d.adrelid = a.attrelid and d.adnum = a.attnum
  left join label
    on label.enumtypid = case when t.typtype = 'd' then t.typbasetype when t.typelem <> 0 then t.typelem else t.oid end
  group by a.attrelid
),
part as (
  select i.indexrelid, k.attnum as at, i.indkey[k.attnum - 1] as attnum,
    coalesce(p.opcdefault, false) and (i.indcollation[k.attnum - 1] = coalesce(a.attcollation, 0)
      or (own.collisdeterministic and o.collisdeterministic)) as plain
  from rel
  join pg_catalog.pg_index i on i.indrelid = rel.oid and i.indisunique
  join pg_catalog.pg_attribute k on k.attrelid = i.indexrelid and k.attnum <= i.indnkeyatts
  left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[k.attnum - 1]
  left join pg_catalog.pg_opclass p on p.oid = i.indclass[k.attnum - 1]
  left join pg_catalog.pg_collation o on o.oid = i.indcollation[k.attnum - 1]
  left join pg_catalog.pg_collation own on own.oid = a.attcollation
),
key as (
  select part.indexrelid, bool_and(part.plain) as plain, json_agg(part.attnum order by part.at) as list
  from part group by part.indexrelid
),
uniq as (
  select i.indrelid, json_agg(json_build_array(i.indisprimary,
      i.indisvalid and i.indisready and i.indislive and i.indimmediate and not i.indisexclusion
        and i.indpred is null and i.indexprs is null and c.relam = 403 and coalesce(key.plain, false),
      key.list) order by c.relname) as list
  from pg_catalog.pg_index i
  join rel on rel.oid = i.indrelid
  join pg_catalog.pg_class c on c.oid = i.indexrelid
  left join key on key.indexrelid = i.indexrelid
  where i.indisunique
  group by i.indrelid
),
lead as (
  select i.indrelid, json_agg(distinct i.indkey[0]) as list
  from pg_catalog.pg_index i
  join rel on rel.oid = i.indrelid
  join pg_catalog.pg_class c on c.oid = i.indexrelid and c.relam = 403
  join pg_catalog.pg_opclass p on p.oid = i.indclass[0] and p.opcdefault
  where i.indisvalid and i.indisready and i.indislive and i.indpred is null and i.indexprs is null
  group by i.indrelid
),
disarmed as (
  select distinct t.tgconstraint as oid from pg_catalog.pg_trigger t
  where t.tgconstraint <> 0 and t.tgenabled not in ('O', 'A')
),
fk as (
  select f.confrelid, json_agg(json_build_array(f.conrelid::int8, f.conkey, f.confkey, f.confdeltype, f.confupdtype,
      f.holds and disarmed.oid is null, f.cloned and member.oid is not null) order by f.conrelid, f.conname) as list
  from ${foreignKeys} as f
  left join disarmed on disarmed.oid = f.oid
  left join (select c.oid from pg_catalog.pg_class c where c.relispartition) as member on member.oid = f.confrelid
  group by f.confrelid
),
trg as (
  select t.tgrelid, json_agg(json_build_array(t.tgname, t.tgtype, t.tgparentid <> 0,
      json_build_array(t.tgfoid::int8, t.tgenabled, t.tgattr::text, md5(t.tgqual::text))) order by t.tgname) as list
  from pg_catalog.pg_trigger t
  where t.tgenabled <> 'D' and ${madeByUser}
  group by t.tgrelid
),
ruled as (
  select w.ev_class, json_agg(md5(w.ev_action::text) order by w.rulename) as list
  from pg_catalog.pg_rewrite w join rel on rel.oid = w.ev_class
  where w.ev_type <> '1' and w.ev_enabled <> 'D' group by w.ev_class
),
tree as materialized (
  select 'view' as kind, w.ev_class as class, w.ev_action::text as body
  from pg_catalog.pg_rewrite w join rel on rel.oid = w.ev_class and rel.relkind in ('v', 'm')
  where w.ev_type = '1'
  union all
  select 'view', i.indrelid, concat_ws(' ', i.indexprs::text, i.indpred::text)
  from pg_catalog.pg_index i join rel on rel.oid = i.indrelid and rel.relkind = 'm'
  where i.indexprs is not null or i.indpred is not null
  union all
  select 'policy', p.polrelid, string_agg(concat_ws(' ', p.polname, p.polcmd, p.polpermissive, p.polroles::text,
      p.polqual::text, p.polwithcheck::text), ' ' order by p.polname)
  from pg_catalog.pg_policy p group by p.polrelid
  union all
  select 'domain', 0, d.conbin::text from pg_catalog.pg_constraint d where d.contypid <> 0 and d.conbin is not null
),
aggregate as (
  select a.aggfnoid::oid as oid, max(p.provolatile::text) as mood
  from pg_catalog.pg_aggregate a
  cross join lateral unnest(array[a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn,
    a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn]) as step(oid)
  join pg_catalog.pg_proc p on p.oid = step.oid
  where a.aggfnoid >= ${firstUserOid} group by a.aggfnoid
),
fn as materialized (
  select p.oid, p.proname, case
      when greatest(p.provolatile::text, g.mood) = 'i' then 'steady'
      when greatest(p.provolatile::text, g.mood) = 'v' then 'volatile'
      when p.oid < ${firstUserOid} and p.proname = any ('{${steadyFunctions.join(',')}}') then 'steady'
      else 'unsteady'
    end as mood
  from pg_catalog.pg_proc p left join aggregate g on g.oid = p.oid
),
mark as (
  select tree.class, md5(string_agg(tree.body, ' ' order by tree.kind, tree.body)) as text from tree group by tree.class
),
tag as materialized (
  select distinct tree.kind, tree.class, m[1] as name, m[2]::oid as oid
  from tree cross join lateral regexp_matches(tree.body, '${calls}', 'g') as m
  union all
  select tree.kind, tree.class, m[1], m[2]::oid
  from tree cross join lateral regexp_matches(tree.body, '${castsThroughText}', 'g') as m
  where tree.body like '%{COERCEVIAIO %'
  union all
  select tree.kind, tree.class, 'nameless', null from tree where tree.body ~ '${nameless}'
),
mood as (
  select tag.kind, tag.class, tag.name, tag.oid, case
      when tag.name = 'nameless' then 'unsteady'
      when tag.name = 'resulttype' then coalesce(fn.mood, 'unsteady')
      when tag.name <> 'relid' then coalesce(fn.mood, 'volatile')
      when tag.oid = 0 or tag.oid = tag.class or rel.oid is not null then 'steady'
      else 'unsteady'
    end as mood,
    tag.name not in ('relid', 'nameless') and fn.oid >= ${firstUserOid} and fn.mood <> 'steady' as opaque
  from tag
  left join rel on tag.name = 'relid' and rel.oid = tag.oid
  left join pg_catalog.pg_type t on tag.name = 'resulttype' and t.oid = tag.oid
  left join fn on fn.oid = coalesce(t.typinput, tag.oid)
),
looks as materialized (
  select mood.kind, mood.class,
    case
      when bool_or(mood.mood = 'volatile') then 'volatile'
      when bool_or(mood.mood = 'unsteady') then 'unsteady'
      else 'steady'
    end as mood,
    json_agg(mood.oid::int8 order by mood.oid) filter (where mood.name = 'relid' and mood.mood = 'steady'
      and mood.oid <> 0 and mood.oid <> mood.class) as reads,
    coalesce(bool_or(mood.opaque), false) as opaque
  from mood group by mood.kind, mood.class
)
select json_build_object(
  'server', json_build_array(current_setting('server_version_num')::int, pg_is_in_recovery(), current_database(),
    coalesce(host(inet_server_addr()) || ':' || inet_server_port(), ''), ${incarnation}),
  'environment', ${environmentList},
  'schemas', current_schemas(true),
  'quiet', (select json_agg(q.proname order by q.proname)
    from (select fn.proname from fn group by fn.proname having not bool_or(fn.mood = 'volatile')) q),
  'volatileOperators',
    exists (select from pg_catalog.pg_operator o join fn on fn.oid = o.oprcode
      where o.oid >= ${firstUserOid} and fn.mood = 'volatile')
    or exists (select from pg_catalog.pg_cast c join fn on fn.oid = c.castfunc
      where c.oid >= ${firstUserOid} and fn.mood = 'volatile')
    or exists (select from pg_catalog.pg_type t join fn on fn.oid in (t.typinput, t.typoutput)
      where t.oid >= ${firstUserOid} and t.typtype = 'b' and t.typelem = 0 and fn.mood = 'volatile')
    or exists (select from looks where looks.kind = 'domain' and looks.mood = 'volatile'),
  'refreshTriggers', exists (select from pg_catalog.pg_event_trigger e
    where e.evtenabled <> 'D' and e.evtevent <> 'login'
      and (e.evttags is null or 'REFRESH MATERIALIZED VIEW' = any (e.evttags))),
  'inherits', (select json_agg(json_build_array(h.inhrelid::int8, h.inhparent::int8) order by h.inhrelid, h.inhparent)
    from pg_catalog.pg_inherits h join rel on rel.oid = h.inhrelid),
  'relations', (select json_agg(json_build_array(rel.oid::int8, rel.nspname, rel.relname, rel.relkind,
      rel.relrowsecurity, rel.may, json_build_array(rel.reloptions, rel.relforcerowsecurity))
      order by rel.nspname, rel.relname) from rel),
  'columns', (select json_agg(json_build_array(col.attrelid::int8, col.list) order by col.attrelid) from col),
  'uniques', (select json_agg(json_build_array(uniq.indrelid::int8, uniq.list) order by uniq.indrelid) from uniq),
  'leads', (select json_agg(json_build_array(lead.indrelid::int8, lead.list) order by lead.indrelid) from lead),
  'keys', (select json_agg(json_build_array(fk.confrelid::int8, fk.list) order by fk.confrelid) from fk),
  'triggers', (select json_agg(json_build_array(trg.tgrelid::int8, trg.list) order by trg.tgrelid) from trg),
  'rules', (select json_agg(json_build_array(ruled.ev_class::int8, ruled.list) order by ruled.ev_class) from ruled),
  'looks', (select json_agg(json_build_array(looks.class::int8, json_build_array(looks.mood, looks.reads, looks.opaque))
      order by looks.class) from looks),
  'marks', (select json_agg(json_build_array(mark.class::int8, mark.text) order by mark.class) from mark)
)::text`
