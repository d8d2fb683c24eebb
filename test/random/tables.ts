/**
 * The tables of the random tests: every kind of key and of neighbourhood that a cache by key could get wrong. They are
 * used with `casing: 'snake_case'`, so most columns have no name of their own.
 */
import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  char,
  customType,
  date,
  doublePrecision,
  integer,
  interval,
  json,
  jsonb,
  numeric,
  pgEnum,
  pgSchema,
  pgTable,
  primaryKey,
  real,
  serial,
  smallint,
  text,
  time,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core'

const bytea = customType<{ data: Buffer; driverData: Buffer }>({
  dataType: () => 'bytea',
  // PGlite answers a plain Uint8Array.
  fromDriver: (value) => (Buffer.isBuffer(value) ? value : Buffer.from(value)),
})
const citext = customType<{ data: string }>({ dataType: () => 'citext' })

/** What `$onUpdate` writes: set before each step, so that both databases get the same. */
export const tick = { now: 0 }

export const feeling = pgEnum('feeling', ['sad', 'ok', 'Happy', "o'k", 'a:b'])

export const people = pgTable('people', {
  id: serial().primaryKey(),
  email: text().unique(),
  handle: citext().unique(),
  fullName: varchar('Full: Name', { length: 20 }),
  visits: integer().notNull().default(0),
  balance: numeric({ precision: 10, scale: 2 }).unique(),
  profile: jsonb(),
  photo: bytea(),
  tags: text().array(),
  ratio: doublePrecision(),
  bornOn: date(),
  seenAt: timestamp({ withTimezone: true }),
  changedAt: integer().$onUpdate(() => tick.now),
  nameKey: text().unique().generatedAlwaysAs(sql`lower("Full: Name")`),
})

export const items = pgTable('items', {
  id: uuid().primaryKey(),
  code: char({ length: 6 }).unique(),
  price: numeric({ precision: 8, scale: 2 }).unique(),
  big: bigint({ mode: 'bigint' }).unique(),
  hot: boolean(),
  ownerId: integer().references(() => people.id, { onDelete: 'cascade', onUpdate: 'cascade' }),
})

export const notes = pgTable(
  'notes',
  {
    id: text().primaryKey(),
    slug: text(),
    deletedOn: date({ mode: 'date' }),
    itemId: uuid().references(() => items.id, { onDelete: 'cascade', onUpdate: 'cascade' }),
    body: json(),
  },
  (t) => [uniqueIndex('notes_slug').on(t.slug).where(sql`deleted_on is null`)],
)

export const lines = pgTable(
  'lines',
  {
    orderNo: integer(),
    sku: text(),
    a: integer(),
    b: text(),
    quantity: integer().notNull().default(1),
    ownerId: integer().references(() => people.id, { onDelete: 'set null', onUpdate: 'cascade' }),
  },
  (t) => [primaryKey({ columns: [t.sku, t.orderNo] }), unique().on(t.a, t.b)],
)

export const moods = pgTable(
  'moods',
  { feeling: feeling(), onDay: date(), active: boolean(), remark: text(), total: integer() },
  (t) => [primaryKey({ columns: [t.feeling, t.onDay, t.active] })],
)

/** Its triggers are declared: one lowers the label and derives `ref` from a new amount, one counts in `audit`. */
export const counters = pgTable('counters', {
  id: bigint({ mode: 'bigint' }).primaryKey(),
  ref: smallint().unique(),
  label: varchar({ length: 12 }).unique(),
  amount: integer(),
})

export const audit = pgTable('audit', { kind: text().primaryKey(), hits: integer().notNull() })

/** Its trigger, which writes `tallies`, is not declared. */
export const ledger = pgTable('ledger', { id: integer().primaryKey(), ref: text().unique(), amount: integer() })

export const tallies = pgTable('tallies', { id: integer().primaryKey(), total: integer().notNull() })

/** Partitioned by region. */
export const docs = pgTable('docs', { region: integer(), id: integer(), title: text(), words: integer() }, (t) => [
  primaryKey({ columns: [t.region, t.id] }),
])

export const docsNorth = pgTable(
  'docs_north',
  { region: integer(), id: integer(), title: text(), words: integer() },
  (t) => [primaryKey({ columns: [t.region, t.id] })],
)

/** Under row security. */
export const secrets = pgTable('secrets', { id: integer().primaryKey(), tenant: text(), word: text() })

const annex = pgSchema('annex')

/** Of the same name as a table in another schema. */
export const annexPeople = annex.table('people', { id: integer().primaryKey(), email: text().unique() })

export const wide = pgTable('wide', {
  id: varchar({ length: 10 }).primaryKey(),
  small: real(),
  large: doublePrecision(),
  numbers: integer().array(),
  plainJson: json(),
  binaryJson: jsonb(),
  localTime: timestamp({ mode: 'string', precision: 3 }),
  zonedTime: timestamp({ mode: 'string', withTimezone: true }),
  span: interval(),
  amounts: numeric().array(),
  far: bigint({ mode: 'number' }),
  bytes: bytea(),
  clock: time(),
  changedOn: date(),
})

export const schema = {
  people,
  items,
  notes,
  lines,
  moods,
  counters,
  audit,
  ledger,
  tallies,
  docs,
  docsNorth,
  secrets,
  annexPeople,
  wide,
}
export type Schema = typeof schema

export const createTables = `
create extension citext;
create type feeling as enum ('sad', 'ok', 'Happy', 'o''k', 'a:b');
create table people (
  id serial primary key, email text unique, handle citext unique, "Full: Name" varchar(20),
  visits integer not null default 0, balance numeric(10,2) unique, profile jsonb, photo bytea, tags text[],
  ratio double precision, born_on date, seen_at timestamptz, changed_at integer,
  name_key text generated always as (lower("Full: Name")) stored unique);
create table items (
  id uuid primary key, code char(6) unique, price numeric(8,2) unique, big bigint unique, hot boolean,
  owner_id integer references people on delete cascade on update cascade);
create table notes (
  id text primary key, slug text, deleted_on date,
  item_id uuid references items on delete cascade on update cascade, body json);
create unique index notes_slug on notes (slug) where deleted_on is null;
create table lines (
  order_no integer, sku text, a integer, b text, quantity integer not null default 1,
  owner_id integer references people on delete set null on update cascade, primary key (sku, order_no), unique (a, b));
create table moods (
  feeling feeling, on_day date, active boolean, remark text, total integer, primary key (feeling, on_day, active));
create table audit (kind text primary key, hits integer not null);
create table counters (id bigint primary key, ref smallint unique, label varchar(12) unique, amount integer);
create function lower_label() returns trigger language plpgsql as
  $$ begin
    new.label := lower(new.label);
    if tg_op = 'UPDATE' and new.amount is distinct from old.amount then new.ref := 10 + new.amount; end if;
    return new;
  end $$;
create trigger lower_label before insert or update on counters for each row execute function lower_label();
create function count_change() returns trigger language plpgsql as
  $$ begin
    insert into audit values (lower(tg_op), 1) on conflict (kind) do update set hits = audit.hits + 1;
    return null;
  end $$;
create trigger count_change after insert or update or delete on counters
  for each row execute function count_change();
create table tallies (id integer primary key, total integer not null);
create table ledger (id integer primary key, ref text unique, amount integer);
create function tally() returns trigger language plpgsql as
  $$ begin
    insert into tallies values (1, 1) on conflict (id) do update set total = tallies.total + 1;
    return null;
  end $$;
create trigger tally after insert or update or delete on ledger for each row execute function tally();
create table docs (region integer, id integer, title text, words integer, primary key (region, id))
  partition by list (region);
create table docs_north partition of docs for values in (1);
create table docs_rest partition of docs default;
create table secrets (id integer primary key, tenant text, word text);
alter table secrets enable row level security;
create policy everyone on secrets using (true);
create schema annex;
create table annex.people (id integer primary key, email text unique);
create table wide (
  id varchar(10) primary key, small real, large double precision, numbers integer[], plain_json json, binary_json jsonb,
  local_time timestamp(3), zoned_time timestamptz, span interval, amounts numeric[], far bigint, bytes bytea,
  clock time, changed_on date);
`
