/** Row security whose policies read other tables: what is kept of the secured table falls when these are written. */
import { cached, memoryStore } from 'drizzle-aside'
import { asc, eq } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../../harness/databases.ts'
import { outside } from '../../support/items.ts'
import { openApp } from '../../support/open-app.ts'

const docs = pgTable('docs', { id: integer().primaryKey(), team: integer().notNull() })
const notes = pgTable('notes', { id: integer().primaryKey(), doc: integer().notNull() })
const seals = pgTable('seals', { id: integer().primaryKey() })
const members = pgTable('members', {
  id: integer().primaryKey(),
  team: integer().notNull(),
  who: text().notNull(),
  person: integer(),
})
const people = pgTable('people', { id: integer().primaryKey() })
const grants = pgTable('grants', { id: integer().primaryKey() })
const crew = pgTable('crew', { id: integer().primaryKey(), team: integer().notNull(), who: text().notNull() })
const other = pgTable('other', { id: integer().primaryKey() })

const rows = `
  truncate docs, notes, seals, members, people, grants, crew, other;
  insert into docs values (1, 1), (2, 2);
  insert into notes values (1, 1), (2, 2);
  insert into seals values (1);
  insert into people values (1);
  insert into members values (1, 1, 'policies_reader', 1), (2, 2, 'policies_reader', 1);
  insert into grants values (1);
  insert into crew values (1, 1, 'policies_reader'), (2, 1, 'somebody');
  drop policy if exists granted on seals;
  create policy granted on seals using (is_granted());`

let database: FreshDatabase
let app: Awaited<ReturnType<typeof openApp>>
beforeAll(async () => {
  database = await freshDatabase(18)
  await outside(
    database.url,
    `create table people (id int primary key);
    create table members (
      id int primary key, team int not null, who text not null, person int references people on delete cascade);
    create view teams_of as select team, who from members;
    create table docs (id int primary key, team int not null);
    create table notes (id int primary key, doc int not null);
    create table seals (id int primary key);
    create table grants (id int primary key);
    create table crew (id int primary key, team int not null, who text not null);
    create view crew_of as select team, who from crew;
    create table other (id int primary key);
    create function is_granted() returns boolean language sql stable security definer
      as 'select exists (select from public.grants)';
    create function in_team(asked int) returns boolean language sql stable security definer
      as 'select exists (select from public.crew where team = asked and who = session_user)';
    alter table crew enable row level security;
    alter table docs enable row level security;
    alter table notes enable row level security;
    alter table seals enable row level security;
    create policy of_team on docs using (
      exists (select from teams_of t where t.team = docs.team and t.who = current_user));
    create policy of_doc on notes using (exists (select from docs d where d.id = notes.doc));
    create policy of_crew on crew using (in_team(team));
    create role policies_reader login password 'reader';
    grant all on all tables in schema public to policies_reader;`,
  )
})
afterAll(async () => {
  await outside(database.url, 'drop owned by policies_reader; drop role policies_reader')
  await database.drop()
})
beforeEach(async () => {
  await outside(database.url, rows)
  const url = Object.assign(new URL(database.url), { username: 'policies_reader', password: 'reader' })
  const scope = () => 'reader'
  const secured = [docs, notes, seals, crew].map((table) => cached(table, { scope }))
  app = await openApp({
    url: url.href,
    store: memoryStore(),
    namespace: 'policies',
    tables: [...secured, cached(other)],
  })
})
afterEach(() => app.close())

const reads = {
  'a list': (db: typeof app.plain) => db.select().from(docs).orderBy(asc(docs.id)),
  'a row': (db: typeof app.plain) => db.select().from(docs).where(eq(docs.id, 1)),
  'what a policy shows of a table under a policy': (db: typeof app.plain) => db.select().from(notes),
}
const ofMember = (db: typeof app.plain) => db.delete(members).where(eq(members.id, 1))
const ofPerson = (db: typeof app.plain) => db.delete(people).where(eq(people.id, 1))

/** Asks twice, so that the answer is kept, then after the write. */
async function changes(
  read: (db: typeof app.plain) => PromiseLike<unknown>,
  write: (db: typeof app.plain) => PromiseLike<unknown>,
) {
  const before = await read(app.db)
  const { hits } = app.db.$aside.stats()
  await read(app.db)
  expect(app.db.$aside.stats().hits).toBe(hits + 1)
  await write(app.db)
  const now = await read(app.plain)
  expect(now).not.toEqual(before)
  expect(await read(app.db)).toEqual(now)
}

it.each(Object.entries(reads))('%s falls with what the policy reads through a view', (_, read) =>
  changes(read, ofMember),
)

it.each(Object.entries(reads))('%s falls with the rows that follow a foreign key there', (_, read) =>
  changes(read, ofPerson),
)

it('in a transaction that commits', () =>
  changes(reads['a list'], (db) => db.transaction((tx) => tx.delete(members).where(eq(members.id, 1)))))

it('what an outsider wrote there, told row by row', () =>
  changes(reads['a list'], async () => {
    await ofMember(app.plain)
    await app.db.$aside.wrote(members, { old: { id: 1, team: 1, who: 'policies_reader', person: 1 } })
  }))

it('a policy that calls a function of the user’s may read any table', async () => {
  const read = (db: typeof app.plain) => db.select().from(seals)
  await changes(read, (db) => db.delete(grants))
})

it.each([
  ['by a function', 'in_team(team)'],
  ['through a view', 'exists (select from crew_of c where c.team = crew.team and c.who = current_user)'],
])('a row falls with another row of its own table, which the policy asks %s', async (_, using) => {
  await outside(database.url, `drop policy of_crew on crew; create policy of_crew on crew using (${using})`)
  // Which asks any table, and so this one, too.
  await outside(database.url, 'drop policy granted on seals')
  await app.db.$aside.ready({ reload: true })
  const read = (db: typeof app.plain) => db.select().from(crew).where(eq(crew.id, 2))
  await changes(read, (db) => db.delete(crew).where(eq(crew.id, 1)))
  await outside(database.url, `insert into crew values (1, 1, 'policies_reader')`)
  await app.db.$aside.invalidate(crew)
  await changes(read, async () => {
    await outside(database.url, 'delete from crew where id = 1')
    await app.db.$aside.wrote(crew, { old: { id: 1, team: 1, who: 'policies_reader' } })
  })
})

it('what no policy reads drops nothing under policies that are known', async () => {
  await reads['a list'](app.db)
  await app.db.insert(other).values({ id: 1 })
  const { hits } = app.db.$aside.stats()
  await reads['a list'](app.db)
  expect(app.db.$aside.stats().hits).toBe(hits + 1)
})
