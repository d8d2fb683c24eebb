import {
  type CatalogFacts,
  type ColumnFacts,
  type RelationFacts,
  relationId,
  type TokenKind,
} from '../src/model/facts.ts'

/** The same schema twice: as facts by hand, and as SQL for a real server. Every function called loud… writes a row. */
export const schemaSql = `
  create type status as enum ('draft', 'live');
  create type "My Mood" as enum ('good');
  create table users (id int primary key, name text, email text, mood "My Mood");
  create table posts (id int primary key, title text, author_id int references users, views int, status status,
    tags text[], data jsonb, created_at timestamptz, search tsvector);
  create table "Weird ""Name" ("delete" int, "select" int, "from" int, "a.b" int);
  create schema app;
  create table app.items (id int, name text);
  create table log (at int);
  create table events (id int, day int) partition by list (day);
  create function loud() returns int language plpgsql volatile as $$ begin insert into log values (1); return 1; end $$;
  create function loud_row(anyelement) returns int language sql volatile as $$ select loud() $$;
  create function bump(posts) returns int language sql volatile as $$ select loud() $$;
  create domain positive as int check (value > 0);
  create function quiet(int) returns int language sql stable as $$ select $1 $$;
  create function label(posts) returns text language sql stable as $$ select $1.title $$;
  create view quiet_posts as select id, title from posts;
  create view clock as select now();
  create view loud_posts as select id, loud() as n from posts;
  create materialized view post_stats as select author_id, count(*) as n from posts group by 1;
  insert into users values (1, 'a', 'a@x', 'good');
  insert into posts values (1, 'one', 1, 5, 'live', '{x,y}', '{"a": [1, 2]}', now(), 'a');
  insert into "Weird ""Name" values (1, 2, 3, 4);
  insert into app.items values (1, 'item');
  create sequence numbers;
`

/** Words that the grammar knows in places, as names of functions that write. */
export const trickyNames =
  `over filter by rollup cube sets conflict varying partition first value ordinality materialized
  bernoulli repeatable within left right join ilike overlaps zone at rows key`.split(/\s+/)

export const trickySql = trickyNames
  .map((name) => `create function "${name}"(int) returns int language sql volatile as $$ select loud() $$;`)
  .concat('create function name(posts) returns int language sql volatile as $$ select loud() $$;')
  .concat('create function title(users) returns int language sql volatile as $$ select loud() $$;')
  .concat('create function n(record) returns int language plpgsql volatile as $$ begin return loud(); end $$;')
  .join('\n')

function relation(
  name: string,
  columns: Record<string, TokenKind | string>,
  more: Partial<RelationFacts> = {},
): RelationFacts {
  const schema = more.schema ?? 'public'
  const list = Object.entries(columns).map(([column, type]): [string, ColumnFacts] => {
    const token = type.startsWith('enum:') ? 'enum' : 'none'
    return [column, { name: column, sqlType: type.replace('enum:', ''), token, notNull: false, generated: false }]
  })
  return {
    id: relationId(schema, name),
    oid: 1,
    schema,
    name,
    kind: 'table',
    columns: new Map(list),
    primaryKey: ['id'],
    uniqueKeys: [],
    uniqueIndexColumns: new Set(),
    updatedByParents: new Set(),
    incoming: [],
    outgoing: [],
    leadingColumns: [],
    triggers: [],
    rules: false,
    rowSecurity: false,
    privileges: { select: true, insert: true, update: true, delete: true },
    family: [],
    inheritanceChildren: false,
    reads: [],
    volatileView: false,
    unsteadyView: false,
    volatileRefresh: false,
    ...more,
  }
}

const posts = {
  id: 'integer',
  title: 'text',
  author_id: 'integer',
  views: 'integer',
  status: 'enum:status',
  tags: 'text[]',
  data: 'jsonb',
  created_at: 'timestamp with time zone',
  search: 'tsvector',
}

const relations = [
  relation('users', { id: 'integer', name: 'text', email: 'text', mood: 'enum:"My Mood"' }),
  relation('posts', posts),
  relation('Weird "Name', { delete: 'integer', select: 'integer', from: 'integer', 'a.b': 'integer' }),
  relation('items', { id: 'integer', name: 'text' }, { schema: 'app' }),
  relation('log', { at: 'integer' }),
  relation('events', { id: 'integer', day: 'integer' }, { kind: 'partitioned' }),
  relation('quiet_posts', { id: 'integer', title: 'text' }, { kind: 'view', reads: [relationId('public', 'posts')] }),
  relation(
    'loud_posts',
    { id: 'integer', n: 'integer' },
    { kind: 'view', volatileView: true, reads: [relationId('public', 'posts')] },
  ),
  relation('far_posts', { id: 'integer' }, { kind: 'view', reads: [relationId('public', 'far')] }),
  relation('clock', { now: 'timestamp' }, { kind: 'view', unsteadyView: true }),
  relation('guarded', { id: 'integer' }, { rowSecurity: true, volatileView: true }),
  relation('far', { id: 'integer' }, { kind: 'foreign table' }),
  relation('post_stats', { author_id: 'integer', n: 'bigint' }, { kind: 'materialized view' }),
  relation('loud_stats', { n: 'integer' }, { kind: 'materialized view', volatileRefresh: true }),
]

/** Built-in functions that the cases call; the real server's own list takes their place in its test. */
const quiet = `abs age array_agg array_length avg avg ceil char_length concat count json_to_record current_schema date date_part date_trunc
  dense_rank format generate_series jsonb_agg jsonb_array_elements jsonb_build_object jsonb_each jsonb_each_text json_agg
  json_build_array json_build_object json_to_recordset lag length like lower lpad make_interval max md5 min mode now overlay
  percentile_cont plainto_tsquery rank regexp_replace round row_number row_to_json current_setting string_agg strpos
  substr substring sum to_char to_jsonb to_tsquery ts_rank unnest upper version quiet label query_to_xml crosstab replace
  statement_timestamp to_tsvector text int4 numeric float8 has_table_privilege`

export function factsOf(more: Partial<CatalogFacts> = {}): CatalogFacts {
  return {
    version: 1,
    serverVersion: 150000,
    standby: false,
    database: 'test',
    systemIdentifier: '',
    timeline: '1',
    serverAddress: '',
    incarnation: '',
    environment: {
      currentUser: 'u',
      searchPath: 'public',
      timeZone: 'UTC',
      dateStyle: 'ISO, MDY',
      intervalStyle: 'postgres',
      byteaOutput: 'hex',
      extraFloatDigits: '1',
      textSearchConfig: 'pg_catalog.english',
    },
    schemas: ['pg_catalog', 'public'],
    relations: new Map(relations.map((each) => [each.id, each])),
    quietFunctions: new Set(quiet.split(/\s+/)),
    volatileOperators: false,
    refreshTriggers: false,
    ...more,
  }
}
