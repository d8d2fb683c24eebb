/** `$aside.verifySchema()`: where the database is not what the program declares, and what that costs. */
import { PGlite } from '@electric-sql/pglite'
import { type AsideOptions, cached, withCache } from 'drizzle-aside'
import { eq } from 'drizzle-orm'
import {
  boolean,
  char,
  foreignKey,
  index,
  integer,
  numeric,
  pgEnum,
  pgTable,
  primaryKey,
  serial,
  text,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core'
import { drizzle } from 'drizzle-orm/pglite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

interface Given extends Pick<AsideOptions, 'tables'> {
  readonly setUp: string
  readonly schema?: Record<string, unknown>
}

// One server for all: starting one takes longer than all the rest.
let client: PGlite
beforeAll(async () => {
  client = await PGlite.create()
})
afterAll(() => client.close())

/** The db over an empty database in which `setUp` was run. */
async function open({ setUp, schema = {}, tables }: Given) {
  await client.exec(
    `reset role; drop schema public cascade; create schema public; grant usage on schema public to public; ${setUp}`,
  )
  const db = withCache(drizzle(client, { schema }), { tables, namespace: 'verify-schema' })
  await db.$aside.ready()
  return db
}

async function verify(given: Given) {
  const db = await open(given)
  const found = await db.$aside.verifySchema()
  await db.$aside.close()
  return found
}

/** Each difference as `table[columns]: kind, declared → found (costs)`. */
const told = async (given: Given) =>
  (await verify(given)).map(
    ({ table, columns, kind, declared, found, costs }) =>
      `${table}[${columns}]: ${kind}, ${declared} → ${found} (${costs})`,
  )

const users = pgTable('users', { id: integer('id').primaryKey(), email: text('email').unique() })
const posts = pgTable(
  'posts',
  {
    id: integer('id').primaryKey(),
    authorId: integer('author_id')
      .notNull()
      .references(() => users.id),
    status: text('status'),
  },
  (t) => [index().on(t.status)],
)
const usersSql = 'create table users (id integer primary key, email text unique);'
const postsSql =
  'create table posts (id integer primary key, author_id integer not null references users, status text);' +
  'create index on posts (status);'
const tables = [cached(users), cached(posts)]

describe('verifySchema', () => {
  it('finds nothing where the database is as declared, whatever the spelling of its types', async () => {
    const kind = pgEnum('Kind', ['a', 'b'])
    const wide = pgTable(
      'wide',
      {
        id: serial().primaryKey(),
        key: uuid().notNull(),
        name: varchar({ length: 20 }),
        long: varchar(),
        code: char({ length: 3 }),
        flag: char(),
        price: numeric({ precision: 10, scale: 2 }),
        whole: numeric({ precision: 5 }),
        madeAt: timestamp('made_at', { withTimezone: true, precision: 3 }),
        plain: timestamp(),
        tags: text().array(),
        kind: kind(),
        isOpen: boolean('is_open'),
      },
      (t) => [unique().on(t.key, t.name), uniqueIndex().on(t.code), index().on(t.isOpen)],
    )
    const setUp = `create type "Kind" as enum ('a', 'b');
      create table wide (id serial primary key, key uuid not null, name varchar(20), long varchar, code char(3), flag char,
        price numeric(10, 2), whole numeric(5), made_at timestamptz(3), plain timestamp, tags text[], kind "Kind",
        is_open boolean, unique (key, name));
      create unique index on wide (code);
      create index on wide (is_open);`
    expect(await told({ setUp, tables: [cached(wide)] })).toEqual([])
    expect(await told({ setUp: usersSql + postsSql, tables })).toEqual([])
  })

  it('finds tables and columns that are not there, and types that are others', async () => {
    const setUp = 'create table posts (id bigint primary key, author_id numeric not null);'
    expect(await told({ setUp, tables: [...tables] })).toEqual([
      'users[]: missing-table, table → nothing (queries)',
      'posts[id]: type, integer → bigint (answers)',
      'posts[author_id]: type, integer → numeric (precision)',
      'posts[status]: missing-column, text → nothing (queries)',
      'posts[author_id]: foreign-key, (author_id) references users (id) → none (precision)',
    ])
  })

  it('finds keys, NOT NULL and foreign keys that the catalog does not prove', async () => {
    const setUp = `create table users (id integer primary key, email text);
      create unique index on users (email) where email <> '';
      create table posts (id integer unique, author_id integer, status text);
      alter table posts add foreign key (author_id) references users not valid;
      create index on posts (status);`
    expect(await told({ setUp, tables })).toEqual([
      'users[email]: unique-key, (email) → none (caching)',
      'posts[id]: nullable, not null → null (answers)',
      'posts[author_id]: nullable, not null → null (precision)',
      'posts[id]: primary-key, (id) → none (precision)',
      'posts[author_id]: foreign-key-not-proven, (author_id) references users (id) → not validated, not enforced, or its triggers are off (precision)',
    ])
  })

  it('a NOT NULL that only the program declares costs what it says: a write to any author drops the join', async () => {
    const droppedBy = async (notNull: string) => {
      const setUp = `${usersSql} create table posts (id integer primary key, author_id integer ${notNull} references users, status text);
        create index on posts (status); insert into users values (1), (2); insert into posts values (1, 1, 'a');`
      const db = await open({ setUp, tables })
      const join = () => db.select().from(posts).innerJoin(users, eq(users.id, posts.authorId)).where(eq(posts.id, 1))
      await join()
      await join()
      await db.update(users).set({ email: 'b@example.org' }).where(eq(users.id, 2))
      const { state } = await db.$aside.explain(join())
      const kinds = (await db.$aside.verifySchema()).map(({ kind }) => kind)
      await db.$aside.close()
      return { state, kinds }
    }
    expect(await droppedBy('not null')).toEqual({ state: 'hit', kinds: [] })
    expect(await droppedBy('')).toEqual({ state: 'miss', kinds: ['nullable'] })
  })

  it('finds indexes that are not there, for what is declared and for what is listed', async () => {
    const setUp = usersSql + postsSql.replace('create index on posts (status);', '')
    const lists = [
      cached(users),
      cached(posts, { lists: (t) => [t.authorId, [t.status, t.authorId]] }),
      cached(pgTable('prices', { id: integer('id').primaryKey(), price: numeric('price') }), {
        lists: (t) => [t.price],
      }),
    ]
    const prices = 'create table prices (id integer primary key, price numeric);'
    expect(await told({ setUp: setUp + prices, tables: lists })).toEqual([
      'posts[status]: index, index on status → none (precision)',
      'posts[author_id]: list-without-index, lists → no index (speed)',
      'posts[status,author_id]: list-without-index, lists → no index (speed)',
      'prices[price]: list-refused, lists → no-token (precision)',
    ])
  })

  it('finds what only the database has: actions of foreign keys, triggers, rules, row security, partitions', async () => {
    const setUp = `${usersSql}${postsSql.replace('references users', 'references users on delete cascade')}
      create function noted() returns trigger language plpgsql as 'begin return new; end';
      create trigger note after insert on users for each row execute function noted();
      create trigger early before update on posts for each row execute function noted();
      create table old_posts (like posts);
      alter table old_posts inherit posts;
      create rule log as on delete to users do also select 1;
      create role reader;
      alter table posts enable row level security;
      alter table posts force row level security;
      grant all on users, posts to reader;
      set role reader;`
    const given = [cached(users), cached(posts, { affects: [] })]
    const found = await told({ setUp, tables: given })
    expect(found).toEqual([
      'users[]: trigger, nothing → note (precision)',
      'users[]: rules, nothing → rules (precision)',
      'posts[author_id]: foreign-key-action, on delete no action, on update no action → on delete cascade, on update no action (precision)',
      'posts[]: trigger, nothing → early (precision)',
      'posts[]: row-security, nothing → row security (caching)',
      'posts[]: family, nothing → old_posts (precision)',
    ])
  })

  it('says the line to paste for a trigger that nobody declared', async () => {
    const setUp = `${usersSql} create function noted() returns trigger language plpgsql as 'begin return new; end';
      create trigger note after insert on users for each row execute function noted();`
    const [found] = await verify({ setUp, tables: [cached(users)] })
    expect(found?.cost).toContain('cached(users, { affects: [] })')
    expect(await verify({ setUp, tables: [cached(users, { affects: [] })] })).toEqual([])
  })

  it('reads composite keys, and names that a constraint declares', async () => {
    const members = pgTable(
      'members',
      { teamId: integer('team_id').notNull(), userId: integer('user_id').notNull() },
      (t) => [
        primaryKey({ columns: [t.teamId, t.userId] }),
        foreignKey({ columns: [t.userId], foreignColumns: [users.id] }).onDelete('cascade'),
      ],
    )
    const setUp = `${usersSql} create table members (team_id integer not null, user_id integer not null references users on delete cascade,
      primary key (user_id, team_id));`
    expect(await told({ setUp, tables: [cached(users), cached(members)] })).toEqual([])
  })

  it('looks at the schema given to drizzle as well, and at the catalog as it is now', async () => {
    const setUp = usersSql + postsSql
    const db = await open({ setUp, tables: 'all', schema: { users, posts } })
    expect(await db.$aside.verifySchema()).toEqual([])
    await client.exec('alter table posts drop column status')
    const found = await db.$aside.verifySchema()
    expect(found.map(({ kind, columns }) => [kind, ...columns])).toEqual([['missing-column', 'status']])
    await db.$aside.close()
  })
})
