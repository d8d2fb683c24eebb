/** What do writes by key on a cached table cost over plain ones? Each waits until its keys are out of Redis. */
import { eq, sql } from 'drizzle-orm'
import { compare, comparisonTable, type Side } from './support/compare.ts'
import { items, newItem, ROWS } from './support/items.ts'
import { closeAll, openAside, openDatabase, openRedis, removeKeys } from './support/open.ts'
import { print } from './support/report.ts'
import { readSettings } from './support/settings.ts'

const { rounds, ops, concurrency } = readSettings(process.argv.slice(2))
const redis = await openRedis()
const plainDatabase = await openDatabase()
const handDatabase = await openDatabase()
const ownDatabase = await openDatabase()
type Db = typeof plainDatabase.db

interface Writer {
  readonly name: string
  readonly db: Db
  /** What a hand adds after the write. */
  forget(id: number): Promise<unknown> | undefined
}
const nothing = (): undefined => undefined
const writers: readonly Writer[] = [
  { name: 'plain Drizzle', db: plainDatabase.db, forget: nothing },
  { name: 'plain and UNLINK by hand', db: handDatabase.db, forget: (id) => redis.unlink(`bench:item:${id}`) },
  { name: 'drizzle-aside', db: await openAside(ownDatabase, 'writes'), forget: nothing },
]
const idOf = (index: number): number => 1 + ((index * 7919) % ROWS)
const writes = Math.ceil(ops / 2)

print('', '## Writes by key', '', 'Rows are written by primary key, in autocommit, PostgreSQL without fsync.')
await ask('update', ({ db, forget }) => async (index) => {
  await db
    .update(items)
    .set({ version: index, updatedAt: new Date() })
    .where(eq(items.id, idOf(index)))
  await forget(idOf(index))
})
await ask('update returning', ({ db, forget }) => async (index) => {
  const id = idOf(index)
  await db.update(items).set({ version: index }).where(eq(items.id, id)).returning()
  await forget(id)
})
// Each round inserts the same new keys and the rounds of deletes take them away again.
const newId = (index: number): number => 1_000_000 + index
const clear = (db: Db): Promise<unknown> => db.execute(sql`delete from items where id >= 1000000`)
const addAll = (db: Db): Promise<unknown> =>
  db.execute(sql`
    insert into items select 999999 + id, ref, name, brand, description, note, active, version, price, attributes,
      created_at, updated_at from items where id <= ${writes}`)
await ask(
  'insert',
  ({ db, forget }) =>
    async (index) => {
      await db.insert(items).values(newItem(newId(index)))
      await forget(newId(index))
    },
  clear,
)
await ask(
  'delete',
  ({ db, forget }) =>
    async (index) => {
      await db.delete(items).where(eq(items.id, newId(index)))
      await forget(newId(index))
    },
  async (db) => {
    await clear(db)
    await addAll(db)
  },
)
await removeKeys(redis)
await closeAll()

async function ask(
  title: string,
  write: (writer: Writer) => (index: number) => Promise<unknown>,
  before?: (db: Db) => Promise<unknown>,
): Promise<void> {
  const plainOf = new Map([
    [writers[0], plainDatabase.db],
    [writers[1], handDatabase.db],
    [writers[2], ownDatabase.db],
  ])
  const sides: Side[] = writers.map((writer) => ({
    name: writer.name,
    run: write(writer),
    ...(before && { before: () => before(plainOf.get(writer) as Db) }),
  }))
  const comparisons = await compare(title, sides, { rounds, ops: writes, concurrency })
  print('', `### ${title}`, '', ...comparisonTable(sides, comparisons))
}
