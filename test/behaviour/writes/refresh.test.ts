/** REFRESH MATERIALIZED VIEW: the answers that rest on the view fall. */
import { cached, type TableEntry } from 'drizzle-aside'
import { sql } from 'drizzle-orm'
import { bigint, integer, pgMaterializedView, pgTable, pgView } from 'drizzle-orm/pg-core'
import { afterEach, beforeEach, describe, it } from 'vitest'
import { expectFallen, openWrapped, type WrappedDatabase, warm } from '../../support/wrapped-database.ts'

const items = pgTable('items', { id: integer().primaryKey(), owner: integer().notNull() })
const shape = { owner: integer(), all: bigint({ mode: 'number' }) }
const totals = pgMaterializedView('totals', shape).existing()
const top = pgView('top', shape).existing()
// How a materialised view is listed: as a table of its name.
const totalsTable = pgTable('totals', shape)

const ddl = `
  create table items (id int primary key, owner int not null);
  insert into items select n, n % 3 from generate_series(1, 9) n;
  create materialized view totals as select owner, count(*) as "all" from items group by owner;
  create unique index on totals (owner);
  create view top as select * from totals where "all" > 2;`

const listed = [cached(items), cached(totalsTable)]

describe.each([15, 18] as const)('PostgreSQL %i', (line) => {
  let test: WrappedDatabase
  afterEach(() => test.close())
  const open = async (tables: readonly TableEntry[] | 'all') => {
    test = await openWrapped(line, { ddl, tables })
  }

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

    it.each(refreshes)('what rests on the view falls: %s', async (_, refresh) => {
      await warm(test, total, topList)
      await grown()
      await refresh()
      await expectFallen(test, total, topList)
    })
  })
})
