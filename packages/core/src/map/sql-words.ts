/** Words and names that the reading of raw SQL knows (DESIGN 3.4, raw SQL). Where a name is missing, the answer is wider. */

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/))

/**
 * Keywords of the grammar that take parentheses and call nothing but built-in code (kwlist.h, col_name_keyword). Not
 * `overlay` and `substring`: since PostgreSQL 14, with commas they call what the search path finds.
 */
export const constructs = words(`
  between bigint bit boolean char character coalesce dec decimal exists extract float greatest grouping int integer
  interval least national nchar normalize nullif numeric position precision real row smallint time timestamp trim values
  varchar`)

/** Constructs whose parentheses hold a FROM that is no FROM clause. */
export const fromInside = words('extract overlay position substring trim')

/** Grammar since PostgreSQL 17; before that, plain functions that anybody can define. */
export const jsonConstructs = words(`
  json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize json_value`)

/** Words that must not stand unquoted in a read: they write, or hide a call that we would have to understand. */
export const forbidden = words(`
  insert update delete merge into operator collation treat xmlattributes xmlconcat xmlelement xmlexists xmlforest
  xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable json_table`)

/** Of those, the ones that an INSERT, UPDATE or DELETE has itself. */
export const verbs = words('insert update delete into')

/** Words after which an expression begins: a string after one of them has no type in front. */
export const leading =
  words(`by between like ilike similar escape zone is isnull notnull overlaps value varying precision
  uescape separator first next`)

/** Time and session, written without parentheses. */
export const volatileWords = words(`
  current_catalog current_date current_role current_schema current_time current_timestamp current_user localtime
  localtimestamp session_user system_user user`)

/** Functions of the server that are volatile, of the session or of the clock, and write no table. */
export const writeNoTable = words(`
  set_config current_setting nextval currval setval lastval random random_normal setseed gen_random_uuid gen_random_bytes
  uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4 uuidv4 uuidv7 now clock_timestamp statement_timestamp
  transaction_timestamp timeofday pg_sleep pg_sleep_for pg_sleep_until pg_backend_pid pg_notify pg_listening_channels
  txid_current txid_current_if_assigned txid_current_snapshot pg_current_xact_id pg_current_xact_id_if_assigned
  pg_current_snapshot pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_shared
  pg_advisory_unlock_all pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_lock
  pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared pg_cancel_backend
  pg_terminate_backend pg_is_in_recovery pg_current_wal_lsn pg_last_wal_receive_lsn pg_last_wal_replay_lsn
  pg_relation_size pg_table_size pg_indexes_size pg_total_relation_size pg_database_size pg_blocking_pids
  pg_postmaster_start_time pg_conf_load_time pg_get_serial_sequence version`)

/** Said to be stable or immutable, but run SQL from a text or read tables by name (also of extensions). */
export const runText = words(`
  query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema table_to_xml
  table_to_xmlschema table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema schema_to_xml_and_xmlschema
  database_to_xml database_to_xmlschema database_to_xml_and_xmlschema ts_stat ts_rewrite crosstab crosstab2 crosstab3
  crosstab4 crosstabn connectby xpath_table`)

/** Built-in functions whose answer depends on their arguments and on settings that stand in the entry's identity. */
export const pure = words(`
  abs array_agg array_append array_cat array_dims array_length array_lower array_ndims array_position array_positions
  array_prepend array_remove array_replace array_to_json array_to_string array_upper ascii avg bit_and bit_length bit_or
  bool_and bool_or btrim cardinality cbrt ceil ceiling char_length character_length chr coalesce concat concat_ws
  corr count cume_dist date_part date_trunc decode degrees dense_rank div encode every exp first_value floor format
  generate_series greatest initcap isfinite json_agg json_array_elements json_array_elements_text json_array_length
  json_build_array json_build_object json_each json_each_text json_extract_path json_extract_path_text json_object
  json_object_agg json_object_keys json_strip_nulls json_to_record json_to_recordset json_typeof jsonb_agg jsonb_array_elements
  jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text
  jsonb_extract_path jsonb_extract_path_text jsonb_object jsonb_object_agg jsonb_object_keys jsonb_path_exists
  jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof
  lag last_value lead left length like ln log log10 lower lpad ltrim make_date make_interval max md5 min mod mode
  nth_value ntile num_nonnulls num_nulls octet_length overlaps overlay percent_rank percentile_cont percentile_disc pi
  plainto_tsquery phraseto_tsquery power quote_ident quote_literal radians rank regexp_match regexp_matches
  regexp_replace regexp_split_to_array regexp_split_to_table repeat replace reverse right round row_number row_to_json
  rpad rtrim sha224 sha256 sha384 sha512 sign split_part sqrt starts_with stddev stddev_pop stddev_samp string_agg
  string_to_array strpos substr substring sum to_hex to_json to_jsonb to_tsquery to_tsvector translate trunc ts_headline
  ts_rank ts_rank_cd unnest upper var_pop var_samp variance websearch_to_tsquery width_bucket`)

/** Built-in types and those of well-known extensions. */
export const knownTypes = words(`
  bigint bit bool boolean box bpchar bytea char character cidr circle citext date daterange datemultirange dec decimal
  double float float4 float8 geography geometry halfvec hstore inet int int2 int4 int4multirange int4range int8
  int8multirange int8range integer interval json jsonb jsonpath line lquery lseg ltree ltxtquery macaddr macaddr8 money
  name national nchar numeric nummultirange numrange oid path pg_lsn point polygon real regclass regproc regprocedure
  regrole regtype regnamespace smallint sparsevec text time timestamp timestamptz timetz tsmultirange tsquery tsrange
  tstzmultirange tstzrange tsvector uuid varbit varchar vector xml`)

/** Keywords for types: in quotes each would be a type of the user's. */
export const typeKeywords = words(`
  bigint boolean char character dec decimal double float int integer national nchar real smallint`)

/** Types whose input may mean another value tomorrow: `'today'`, a name that is looked up. */
export const volatileTypes = words(`
  date daterange datemultirange time timestamp timestamptz timetz tsmultirange tsrange tstzmultirange tstzrange regclass
  regproc regprocedure regrole regtype regnamespace`)

/** Words that a string of a date or time type resolves by the clock (datetime.c, datetktbl). */
export const relativeTime = /now|today|tomorrow|yesterday/i

export const systemColumns = words('ctid xmin xmax cmin cmax tableoid')
