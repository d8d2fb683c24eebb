/** REFRESH MATERIALIZED VIEW: the answers that rest on the view fall, and no others where it is certain that it writes nothing else. */
import { cached, type TableEntry } from 'drizzle-aside'
import { eq, sql } from 'drizzle-orm'
import { bigint, integer, pgMaterializedView, pgTable, pgView } from 'drizzle-orm/pg-core'
import { afterEach, beforeEach, describe, it } from 'vitest'
import { expectFallen, expectHits, openWrapped, type WrappedDatabase, warm } from '../../support/wrapped-database.ts'

const items = pgTable('items', { id: integer().primaryKey(), owner: integer().notNull() })
const notes = pgTable('notes', { id: integer().primaryKey(), n: integer().notNull() })
const shape = { owner: integer(), all: bigint({ mode: 'number' }) }
const totals = pgMaterializedView('totals', shape).existing()
const loud = pgMaterializedView('loud', { n: integer() }).existing()
const top = pgView('top', shape).existing()
// How a materialised view is listed: as a table of its name.
const totalsTable = pgTable('totals', shape)
const loudTable = pgTable('loud', { n: integer() })

const ddl = `
  create table items (id int primary key, owner int not null);
  create table notes (id int primary key, n int not null);
  insert into items select n, n % 3 from generate_series(1, 9) n;
  insert into notes values (1, 0);
  create materialized view totals as select owner, count(*) as "all" from items group by owner;
  create unique index on totals (owner);
  create view top as select * from totals where "all" > 2;
  create function count_up() returns int volatile language sql as 'update public.notes set n = n + 1 returning n';
  create materialized view loud as select count_up() as n with no data;`

const listed = [cached(items), cached(notes), cached(totalsTable), cached(loudTable)]

describe.each([15, 18] as const)('PostgreSQL %i', (line) => {
  let test: WrappedDatabase
  afterEach(() => test.close())
  const open = async (tables: readonly TableEntry[] | 'all') => {
    test = await openWrapped(line, { ddl, tables })
  }

  const item = (db: Pick<WrappedDatabase['db'], 'select'>) => db.select().from(items).where(eq(items.id, 1))
  const note = (db: Pick<WrappedDatabase['db'], 'select'>) => db.select().from(notes).where(eq(notes.id, 1))
  const itemList = (db: Pick<WrappedDatabase['db'], 'select'>) => db.select().from(items).orderBy(items.id)
  const total = (db: Pick<WrappedDatabase['db'], 'select'>) => db.select().from(totals)
  const topList = (db: Pick<WrappedDatabase['db'], 'select'>) => db.select().from(top)
  const grown = () => test.run('insert into items select max(id) + 1, 1 from items')

  const refreshes: [string, () => PromiseLike<unknown>][] = [
    ['by the builder', () => test.db.refreshMaterializedView(totals)],
    ['concurrently', () => test.db.refreshMaterializedView(totals).concurrently()],
    ['as raw text', () => test.db.execute(sql`refresh materialized view public.totals`)],
    [
      'in a transaction, where another schema comes first',
      () =>
        test.db.transaction(async (tx) => {
          await tx.execute(sql`set local search_path = pg_catalog, public`)
          await tx.execute(sql`refresh materialized view totals`)
        }),
    ],
  ]

  describe.each<[string, () => readonly TableEntry[] | 'all']>([
    ['listed tables', () => listed],
    ['all tables', () => 'all'],
  ])('%s', (_, tables) => {
    beforeEach(() => open(tables()))

    it.each(refreshes)('B17: only what rests on the view falls: %s', async (_, refresh) => {
      await warm(test, item, note, itemList, total, topList)
      await grown()
      await refresh()
      await expectFallen(test, total, topList)
      await expectHits(test, item, note)
    })
  })

  it('a view that calls a function which may write drops everything', async () => {
    await open(listed)
    await warm(test, note, item, total)
    await test.db.refreshMaterializedView(loud)
    await expectFallen(test, note, item, total)
  })

  it('so does any, once an event trigger may write', async () => {
    await open(listed)
    await test.run(
      `create function also() returns event_trigger language plpgsql as 'begin update public.notes set n = 9; end'`,
    )
    await test.run('create event trigger eventful on ddl_command_end execute function also()')
    await test.db.$aside.ready({ reload: true })
    await warm(test, note, item, total)
    await test.db.refreshMaterializedView(totals)
    await expectFallen(test, note, item, total)
  })
})
