/** One random step: what it does is drawn when it is made, so that it can be done again on another database. */

import type { Aside } from 'drizzle-aside'
import { and, asc, desc, eq, gt, inArray, isNotNull, isNull, ne, or, SQL, sql } from 'drizzle-orm'
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'
import { type Fluent, loose } from './loose.ts'
import type { Random } from './random.ts'
import { columnOf, drawRow, drawValue, drawValues, type Subject, subjects, uuids, type Values } from './subjects.ts'
import { annexPeople, audit, counters, docs, items, ledger, lines, people, type Schema, tallies } from './tables.ts'

export type Db = PgDatabase<PgQueryResultHKT, Schema>

/** Where a step is done. */
export interface Hands {
  readonly db: Db
  /** Another connection's view of the same database: while a transaction is open, what others see. */
  readonly outer: Db | undefined
  /** A plain db over the same database: its writes are seen by no hook. */
  readonly outsider: Db
  readonly aside: Pick<Aside<Db>, 'wrote' | 'invalidate' | 'ready' | 'with'> | undefined
}

export interface Step {
  readonly label: string
  run(hands: Hands): Promise<unknown>
  /** Rows have an order only where the statement gives them one. */
  readonly ordered?: boolean
  /** Until its transaction is over, readers outside it wait. */
  readonly locksOut?: boolean
  /** The key that a read asks for, to be asked again at the end. */
  readonly asks?: { readonly subject: Subject; readonly values: Values }
}

const show = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'bigint' ? `${part}n` : part instanceof SQL ? 'sql' : part,
  ) ?? ''

// —— conditions ——

const equal = (subject: Subject, values: Values, keys: readonly string[] = Object.keys(values)): SQL =>
  and(...keys.map((key) => eq(columnOf(subject, key), values[key]))) as SQL

/** Other ways to write a key's value, and values that are none. */
function disguise(subject: Subject, values: Values, random: Random): Values {
  const key = random.pick(Object.keys(values))
  const value = values[key]
  const forms: unknown[] = [null]
  if (typeof value === 'number') forms.push(`${value}`, `0${value}`, ` ${value}`, 2 ** 40, Number.NaN, 1.5, -0)
  if (typeof value === 'bigint') forms.push(`${value}`, `+${value}`, 2n ** 70n)
  if (typeof value === 'boolean') forms.push('yes', 'f')
  if (subject.columns[key]?.getSQLType() === 'uuid') {
    forms.push(`${value}`.toUpperCase(), `{${value}}`, `${value}`.replaceAll('-', ''), 'no uuid')
  }
  if (subject.columns[key]?.getSQLType() === 'date') forms.push('20240229', 'February 29, 2024', 'today', '2024-2-29')
  return { ...values, [key]: random.pick(forms) }
}

/** A further conjunct, decidable on a stored row or not. */
function conjunct(subject: Subject, random: Random): SQL {
  const key = random.pick(Object.keys(subject.draw))
  const column = columnOf(subject, key)
  const value = drawValue(subject, key, random)
  if (value === null || typeof value === 'object') return random.chance(0.5) ? isNull(column) : isNotNull(column)
  return random.weighted<() => SQL>([
    [3, () => eq(column, value)],
    [3, () => ne(column, value)],
    [2, () => inArray(column, [value, scalar(drawValue(subject, key, random)) ?? value])],
    [1, () => isNotNull(column)],
    [1, () => gt(column, value)],
  ])()
}

const scalar = (value: unknown): unknown => (typeof value === 'object' ? undefined : value)

/** Keys in a list, some twice, some of no row. */
function listOf(subject: Subject, random: Random): { where: SQL; label: string } {
  const keys = Array.from({ length: 1 + random.below(5) }, () => drawValues(subject, subject.key, random))
  if (keys.length > 1 && random.chance(0.2)) keys.push(keys[0] as Values)
  const [only] = subject.key
  if (subject.key.length > 1) return { where: or(...keys.map((key) => equal(subject, key))) as SQL, label: show(keys) }
  const column = columnOf(subject, only as string)
  const values = keys.map((key) => key[only as string])
  return { where: inArray(column, values), label: show(values) }
}

function anyWhere(subject: Subject, random: Random): { where: SQL; label: string } {
  return random.weighted<() => { where: SQL; label: string }>([
    [8, () => byKey(subject, random)],
    [3, () => byUnique(subject, random)],
    [3, () => listOf(subject, random)],
    [2, () => ({ where: conjunct(subject, random), label: 'any row' })],
    [1, () => ({ where: or(byKey(subject, random).where, conjunct(subject, random)) as SQL, label: 'key or any' })],
    [1, () => ({ where: and(byKey(subject, random).where, conjunct(subject, random)) as SQL, label: 'key and more' })],
  ])()
}

function byKey(subject: Subject, random: Random) {
  const values = drawValues(subject, subject.key, random)
  return { where: equal(subject, values), label: show(values), values }
}

function byUnique(subject: Subject, random: Random) {
  if (subject.uniques.length === 0) return byKey(subject, random)
  const values = drawValues(subject, random.pick(subject.uniques), random)
  return { where: equal(subject, values), label: show(values), values }
}

// —— reads ——

/** Undefined: the whole row. */
function projection(subject: Subject, random: Random): Record<string, unknown> | undefined {
  const [one, two] = [random.pick(Object.values(subject.columns)), random.pick(Object.values(subject.columns))]
  return random.weighted<() => Record<string, unknown> | undefined>([
    [5, () => undefined],
    [2, () => Object.fromEntries(random.some(Object.entries(subject.columns)))],
    [1, () => ({ part: { one, deeper: { two } }, one })],
    [1, () => ({ first: one, again: one, other: two })],
    [0.5, () => ({ one, computed: sql<number>`1 + 1`.as('computed') })],
  ])()
}

const start = (db: Db, subject: Subject, fields: Record<string, unknown> | undefined): Fluent =>
  (fields ? loose(db).select(fields) : loose(db).select()).from(subject.table)

function readStep(subject: Subject, what: string, where: SQL, random: Random, asks?: Step['asks']): Step {
  const fields = projection(subject, random)
  const limited = random.chance(0.15)
  const dynamic = random.chance(0.1)
  const label = `read ${subject.name} ${what}${fields ? ` as ${Object.keys(fields)}` : ''}`
  const run = async ({ db }: Hands): Promise<unknown> => {
    let query = start(db, subject, fields).where(where)
    if (dynamic) query = query.$dynamic()
    return limited ? query.limit(1) : query
  }
  return { label, run, ...(asks && { asks }) }
}

function readByKey(subject: Subject, random: Random): Step {
  const { values, label } = byKey(subject, random)
  const asked = random.chance(0.07) ? disguise(subject, values, random) : values
  return readStep(subject, `by key ${label} asked as ${show(asked)}`, equal(subject, asked), random, {
    subject,
    values,
  })
}

function readByUnique(subject: Subject, random: Random): Step {
  const { values, label, where } = byUnique(subject, random)
  return readStep(subject, `by unique ${label}`, where, random, { subject, values })
}

function readByTrap(subject: Subject, random: Random): Step {
  const key = random.pick(subject.traps)
  const values = { [key]: drawValue(subject, key, random) }
  return readStep(subject, `by what is no key ${show(values)}`, equal(subject, values), random, { subject, values })
}

function readWithMore(subject: Subject, random: Random): Step {
  const { values, where } = random.chance(0.7) ? byKey(subject, random) : byUnique(subject, random)
  const more = and(where, conjunct(subject, random)) as SQL
  return readStep(subject, `by key and more ${show(values)}`, more, random, { subject, values })
}

function readList(subject: Subject, random: Random): Step {
  const { where, label } = listOf(subject, random)
  const fields = projection(subject, random)
  const conjoined = random.chance(0.15) ? (and(where, conjunct(subject, random)) as SQL) : where
  const order = random.chance(0.3) ? inKeyOrder(subject, random) : []
  const run = async ({ db }: Hands): Promise<unknown> => {
    const query = start(db, subject, fields).where(conjoined)
    return order.length > 0 ? query.orderBy(...order) : query
  }
  return { label: `list ${subject.name} ${label}`, run, ordered: order.length > 0 }
}

const inKeyOrder = (subject: Subject, random: Random): SQL[] =>
  subject.key.map((key) => (random.chance(0.5) ? asc : desc)(columnOf(subject, key)))

/** Few names, so that the same prepared statement is executed again and again. */
const prepared = new WeakMap<Db, Map<string, { execute(values: Values): Promise<unknown> }>>()

function readPrepared(subject: Subject, random: Random): Step {
  const keys = random.chance(0.6) || subject.uniques.length === 0 ? subject.key : random.pick(subject.uniques)
  const values = drawValues(subject, keys, random)
  const name = `${subject.name}_${keys.join('_')}`
  const run = async ({ db }: Hands): Promise<unknown> => {
    const statements = prepared.get(db) ?? new Map()
    prepared.set(db, statements)
    const where = and(...keys.map((key) => eq(columnOf(subject, key), sql.placeholder(key))))
    if (!statements.has(name)) statements.set(name, start(db, subject, undefined).where(where).prepare(name))
    return statements.get(name).execute(values)
  }
  return { label: `prepared ${name} ${show(values)}`, run, asks: { subject, values } }
}

function readRelational(subject: Subject, random: Random): Step {
  const { where, values, label } = random.chance(0.7) ? byKey(subject, random) : byUnique(subject, random)
  const list = random.chance(0.3) ? listOf(subject, random) : undefined
  const chosen = random.some(Object.keys(subject.columns))
  const keep = random.chance(0.7)
  const columns = random.chance(0.4) ? Object.fromEntries(chosen.map((key) => [key, keep])) : undefined
  const config = { where: list?.where ?? where, ...(columns && { columns }) }
  const many = list !== undefined || random.chance(0.3)
  const run = async ({ db }: Hands): Promise<unknown> => {
    const builder = loose(db).query[subject.name] as NonNullable<ReturnType<typeof loose>['query'][string]>
    return many ? builder.findMany(config) : builder.findFirst(config)
  }
  const what = `find ${many ? 'many' : 'first'} ${subject.name} ${list?.label ?? label} ${show(columns)}`
  return { label: what, run, ...(!list && { asks: { subject, values } }) }
}

/** Reads that no record can answer. */
function readOther(subject: Subject, random: Random): Step {
  const where = conjunct(subject, random)
  const order = inKeyOrder(subject, random)
  return random.pick<Step>([
    { label: `count ${subject.name}`, run: async ({ db }) => loose(db).$count(subject.table, where) },
    {
      label: `page of ${subject.name}`,
      run: async ({ db }) =>
        start(db, subject, undefined)
          .where(where)
          .orderBy(...order)
          .limit(3),
      ordered: true,
    },
    {
      label: `raw read of ${subject.name}`,
      run: ({ db }) => db.execute(sql`select * from ${subject.table} where ${where}`),
    },
  ])
}

export function drawRead(random: Random): Step {
  const subject = random.weighted(subjects.map((each) => [each.reads, each] as const))
  const draw = random.weighted<(subject: Subject, random: Random) => Step>([
    [10, readByKey],
    [subject.uniques.length > 0 ? 6 : 0, readByUnique],
    [subject.traps.length > 0 ? 1 : 0, readByTrap],
    [3, readWithMore],
    [4, readList],
    [4, readPrepared],
    [4, readRelational],
    [0.7, readOther],
  ])
  return draw(subject, random)
}

/** The plainest read of one key, for races and the sweep. */
export function readKey(subject: Subject, values: Values): Step {
  const where = equal(subject, values)
  return {
    label: `read ${subject.name} ${show(values)}`,
    run: async ({ db }) => start(db, subject, undefined).where(where),
    asks: { subject, values },
  }
}

/** All rows of a table by one in-list over the keys that were met. */
export function readKeys(subject: Subject, keys: readonly Values[]): Step {
  const where = or(...keys.map((values) => equal(subject, values))) as SQL
  return { label: `list ${subject.name}`, run: async ({ db }) => start(db, subject, undefined).where(where) }
}

// —— writes ——

type Returning = (query: Fluent) => Fluent

/** RETURNING in every form: none, all, some, computed. */
function returning(subject: Subject, random: Random): Returning {
  const column = random.pick(Object.values(subject.columns))
  return random.weighted<Returning>([
    [5, (query) => query],
    [3, (query) => query.returning()],
    [2, (query) => query.returning({ only: column, part: { again: column } })],
    [1, (query) => query.returning({ computed: sql<number>`2 * 3`, only: column })],
  ])
}

function insertStep(subject: Subject, random: Random): Step {
  const rows = Array.from(
    {
      length: random.weighted([
        [6, 1],
        [2, 2],
        [1, 5],
      ] as const),
    },
    () => drawRow(subject, random),
  )
  const values = rows.length === 1 ? (rows[0] as Values) : rows
  const resolve = conflict(subject, random)
  const end = returning(subject, random)
  return {
    label: `insert ${subject.name} ${show(values)} ${resolve.label}`,
    run: async ({ db }) => end(resolve.add(loose(db).insert(subject.table).values(values))),
  }
}

function conflict(subject: Subject, random: Random): { label: string; add: Returning } {
  const keys = random.chance(0.3) && subject.uniques.length > 0 ? random.pick(subject.uniques) : subject.key
  const target = keys.map((key) => columnOf(subject, key))
  const set = drawChanges(subject, random, 0.3)
  const where = conjunct(subject, random)
  const excluded = Object.fromEntries(
    Object.keys(set).map((key) => [key, sql`excluded.${sql.identifier(nameOf(subject, key))}`]),
  )
  return random.weighted<{ label: string; add: Returning }>([
    [4, { label: '', add: (query) => query }],
    [1, { label: 'or nothing', add: (query) => query.onConflictDoNothing() }],
    [1, { label: 'or nothing by key', add: (query) => query.onConflictDoNothing({ target }) }],
    [3, { label: `or set ${show(set)}`, add: (query) => query.onConflictDoUpdate({ target, set }) }],
    [2, { label: `or take ${keys}`, add: (query) => query.onConflictDoUpdate({ target, set: excluded }) }],
    [1, { label: 'or set where', add: (query) => query.onConflictDoUpdate({ target, set, setWhere: where }) }],
  ])
}

/** The column's name in the database under `casing: 'snake_case'`. */
function nameOf(subject: Subject, key: string): string {
  const { name } = columnOf(subject, key)
  return name === key ? key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : name
}

// Before PostgreSQL 18 a primary key that was ever set costs its table the exact images: other tables keep theirs.
const keysThatMove: ReadonlySet<string> = new Set(['items', 'notes', 'moods', 'docs', 'wide'])

/** Columns to set; keys among them with the given chance. */
function drawChanges(subject: Subject, random: Random, keyShare: number): Values {
  const isKey = (key: string) => subject.key.includes(key)
  const keyMoves = keysThatMove.has(subject.name) ? keyShare * 0.3 : 0
  const uniques = new Set([...subject.uniques.flat(), ...subject.traps])
  const wanted = Object.keys(subject.draw).filter((key) =>
    random.chance(isKey(key) ? keyMoves : uniques.has(key) ? keyShare : 0.35),
  )
  const plain = Object.keys(subject.draw).filter((key) => !isKey(key) && !uniques.has(key))
  if (wanted.length > 0) return drawValues(subject, wanted, random)
  return drawValues(subject, [random.pick(plain.length > 0 ? plain : Object.keys(subject.draw))], random)
}

/** A column whose value may be computed, row by row, without meeting a unique key. */
const amounts: Partial<Record<keyof Schema, string>> = {
  people: 'visits',
  lines: 'quantity',
  moods: 'total',
  counters: 'amount',
  audit: 'hits',
  tallies: 'total',
  docs: 'words',
  docsNorth: 'words',
}

function updateStep(subject: Subject, random: Random): Step {
  const { where, label } = anyWhere(subject, random)
  const set = drawChanges(subject, random, 0.5)
  const amount = amounts[subject.name]
  if (amount && random.chance(0.3)) set[amount] = sql`${columnOf(subject, amount)} + 1`
  const end = returning(subject, random)
  return {
    label: `update ${subject.name} ${label} set ${Object.keys(set)} ${show(set)}`,
    run: async ({ db }) => end(loose(db).update(subject.table).set(set).where(where)),
  }
}

function deleteStep(subject: Subject, random: Random): Step {
  const { where, label } = anyWhere(subject, random)
  const end = returning(subject, random)
  return {
    label: `delete ${subject.name} ${label}`,
    run: async ({ db }) => end(loose(db).delete(subject.table).where(where)),
  }
}

function unboundedStep(_: Subject, random: Random): Step {
  const subject = random.pick(subjects.filter(({ name }) => amounts[name]))
  const amount = amounts[subject.name] as string
  const set = { [amount]: sql`${columnOf(subject, amount)} + 1` }
  const end = returning(subject, random)
  const all = random.chance(0.1)
  return {
    label: `${all ? 'delete' : 'update'} all of ${subject.name}`,
    run: async ({ db }) => end(all ? loose(db).delete(subject.table) : loose(db).update(subject.table).set(set)),
  }
}

function updateFrom(_: Subject, random: Random): Step {
  const [id, price] = [1 + random.below(4), random.below(5)]
  const moved = random.chance(0.5)
  const set = moved ? { a: sql`${people.id} + ${price}` } : { quantity: sql`${people.visits} + 1` }
  const where = and(eq(lines.ownerId, people.id), eq(people.id, id)) as SQL
  const end =
    moved || random.chance(0.5) ? (query: Fluent) => query : (query: Fluent) => query.returning({ sku: lines.sku })
  return {
    label: `update lines from people ${id} ${moved ? 'a' : 'quantity'}`,
    run: async ({ db }) => end(loose(db).update(lines).set(set).from(people).where(where)),
  }
}

function insertSelect(_: Subject, random: Random): Step {
  const orderNo = 1 + random.below(3)
  const source = sql`select order_no + 1, sku, null::integer, null::text, quantity, owner_id from lines
    where order_no = ${orderNo} order by sku`
  const nothing = random.chance(0.6)
  const end = random.chance(0.5) ? (query: Fluent) => query : (query: Fluent) => query.returning()
  return {
    label: `insert lines select ${orderNo}`,
    run: async ({ db }) => {
      const query = loose(db).insert(lines).select(source)
      return end(nothing ? query.onConflictDoNothing() : query)
    },
  }
}

function dataModifyingCte(_: Subject, random: Random): Step {
  const id = 1 + random.below(9)
  const removes = random.chance(0.5)
  return {
    label: `cte that ${removes ? 'deletes' : 'updates'} people ${id}`,
    run: async ({ db }) => {
      const {
        $with,
        with: withCte,
        ...rest
      } = {
        $with: (name: string) => loose(db).$with(name),
        with: (cte: unknown) => loose(db).with(cte),
        update: () =>
          loose(db)
            .update(annexPeople)
            .set({ email: `cte-${id}` })
            .where(eq(annexPeople.id, id))
            .returning(),
        delete: () => loose(db).delete(annexPeople).where(eq(annexPeople.id, id)).returning(),
      }
      const cte = $with('touched').as(removes ? rest.delete() : rest.update())
      return withCte(cte).select().from(cte)
    },
  }
}

function rawWrite(_: Subject, random: Random): Step {
  const id = 1 + random.below(9)
  return random.pick<Step>([
    {
      label: `raw update of people ${id}`,
      run: ({ db }) => db.execute(sql`update people set visits = visits + 1 where id = ${id}`),
    },
    {
      label: `raw delete of annex.people ${id}`,
      run: ({ db }) => db.execute(sql`delete from ${annexPeople} where id = ${id}`),
    },
    {
      label: 'raw insert',
      run: ({ db }) => db.execute(sql`insert into tallies values (${id}, 1) on conflict do nothing`),
    },
    { label: 'sequence from the start', run: ({ db }) => db.execute(sql`select setval('people_id_seq', 1)`) },
    { label: `raw move of people ${id}`, run: ({ db }) => db.execute(sql`update people set id = 3 where id = ${id}`) },
    { label: 'truncate', locksOut: true, run: ({ db }) => db.execute(sql`truncate audit`) },
  ])
}

/** A write past the hooks, told by hand. */
function toldWrite(_: Subject, random: Random): Step {
  const id = 1 + random.below(9)
  const whole = random.chance(0.5)
  const email = random.pick(['a@x', 'told@x', null])
  return {
    label: `told write of annex.people ${id}`,
    run: async ({ outsider, aside }) => {
      const [old] = await outsider.select().from(annexPeople).where(eq(annexPeople.id, id))
      const [row] = await outsider.update(annexPeople).set({ email }).where(eq(annexPeople.id, id)).returning()
      if (whole) await aside?.wrote(annexPeople)
      else if (old && row) await aside?.wrote(annexPeople, { old, new: row })
      return row
    },
  }
}

/** Counts that a step may expect to be many: rows beyond `maxTouched`. */
function manyRows(_: Subject, random: Random): Step {
  const words = random.below(5)
  return {
    label: 'insert many docs',
    run: async ({ db }) => {
      const rows = Array.from({ length: 12 }, (_, at) => ({
        region: 1 + (at % 3),
        id: 1 + (at % 4),
        title: 'm',
        words,
      }))
      return loose(db)
        .insert(docs)
        .values(rows)
        .onConflictDoUpdate({ target: [docs.region, docs.id], set: { words } })
    },
  }
}

/** `inside`: within a transaction, where another connection's write would wait for it. */
export function drawWrite(random: Random, inside = false): Step {
  const subject = random.weighted(subjects.map((each) => [each.writes, each] as const))
  const draw = random.weighted<(subject: Subject, random: Random) => Step>([
    [9, insertStep],
    [10, updateStep],
    [3, deleteStep],
    [0.25, unboundedStep],
    [0.7, updateFrom],
    [0.5, insertSelect],
    [0.4, dataModifyingCte],
    [0.15, rawWrite],
    [inside ? 0 : 0.6, toldWrite],
    [0.15, manyRows],
  ])
  return draw(subject, random)
}

/** Moves one row that is there to another place of a unique key; reads of both places, to be asked before and after. */
export async function drawMove(
  plain: Db,
  random: Random,
): Promise<{ reads: readonly Step[]; write: Step } | undefined> {
  const places = subjects.flatMap((subject) => subject.uniques.map((unique) => ({ subject, unique })))
  const { subject, unique } = random.pick(places)
  const rows = (await start(plain, subject, undefined)
    .where(sql`true`)
    .orderBy(...subject.key.map((key) => asc(columnOf(subject, key))))) as Values[]
  if (rows.length === 0) return undefined
  const placed = rows.filter((each) => unique.every((key) => each[key] !== null))
  const row = random.pick(placed.length > 0 ? placed : rows)
  const { set, after } = drawPlace(subject, unique, random)
  const before = Object.fromEntries(unique.map((key) => [key, row[key]]))
  const where = equal(subject, row, subject.key)
  const known = [before, after].filter((values) => !Object.values(values).includes(null))
  return {
    reads: known.map((values) => readKey(subject, values)),
    write: {
      label: `move ${subject.name} ${show(before)} to ${show(after)}`,
      run: async ({ db }) => loose(db).update(subject.table).set(set).where(where),
    },
  }
}

/** A family of rows, reads of its children, and the write to a parent that reaches them. */
export function drawFall(random: Random): { raise: readonly Step[]; reads: readonly Step[]; write: Step } {
  const [person, item, note, orderNo] = [
    1 + random.below(4),
    random.pick(uuids),
    random.pick(['a', ' ', 'a:b']),
    1 + random.below(3),
  ]
  const moved = random.pick(uuids)
  const raised = (name: keyof Schema, row: Values, set: Values): Step => {
    const { table, key } = subjectOf(name)
    const target = key.map((each) => columnOf(subjectOf(name), each))
    return {
      label: `raise ${name} ${show(row)}`,
      run: async ({ db }) => loose(db).insert(table).values(row).onConflictDoUpdate({ target, set }),
    }
  }
  const raise = [
    raised('people', { id: person }, { visits: 1 }),
    raised('items', { id: item, ownerId: person }, { ownerId: person }),
    raised('notes', { id: note, itemId: item }, { itemId: item }),
    raised('lines', { orderNo, sku: '1', ownerId: person }, { ownerId: person }),
  ]
  const reads = [
    readKey(subjectOf('items'), { id: item }),
    readKey(subjectOf('notes'), { id: note }),
    readKey(subjectOf('lines'), { orderNo, sku: '1' }),
    readKey(subjectOf('tallies'), { id: 1 }),
  ]
  const triggers = {
    label: 'write ledger, whose trigger writes tallies',
    run: async ({ db }: Hands) =>
      loose(db)
        .insert(ledger)
        .values({ id: person, amount: 1 })
        .onConflictDoUpdate({ target: [ledger.id], set: { amount: 2 } }),
  }
  const write = random.pick<Step>([
    triggers,
    { label: `delete people ${person}`, run: async ({ db }) => loose(db).delete(people).where(eq(people.id, person)) },
    { label: `delete items ${item}`, run: async ({ db }) => loose(db).delete(items).where(eq(items.id, item)) },
    {
      label: `update items ${item} to ${moved}`,
      run: async ({ db }) => loose(db).update(items).set({ id: moved }).where(eq(items.id, item)),
    },
  ])
  return { raise, reads, write }
}

const subjectOf = (name: keyof Schema): Subject => subjects.find((each) => each.name === name) as Subject

/** What to set so that a row comes to another place: some columns follow others. */
function drawPlace(subject: Subject, unique: readonly string[], random: Random): { set: Values; after: Values } {
  if (unique.includes('nameKey')) {
    const { fullName } = drawValues(subject, ['fullName'], random)
    return { set: { fullName }, after: { nameKey: lower(fullName) } }
  }
  if (unique.includes('ref') && subject.name === 'counters' && random.chance(0.6)) {
    const amount = 1 + random.below(3)
    return { set: { amount }, after: { ref: 10 + amount } }
  }
  const set = drawValues(subject, unique, random)
  return { set, after: set }
}

const lower = (value: unknown): unknown => (typeof value === 'string' ? value.toLowerCase() : value)

/** A write to the row of one key: it comes, changes or goes. */
export function drawWriteAt(subject: Subject, values: Values, random: Random): Step {
  const where = equal(subject, values)
  const row = { ...drawRow(subject, random), ...drawValues(subject, subject.key, random), ...values }
  delete row.nameKey
  const set = drawChanges(subject, random, 0.6)
  const what = random.weighted([
    [3, 'insert'],
    [4, 'update'],
    [2, 'delete'],
  ] as const)
  return {
    label: `${what} ${subject.name} at ${show(values)} ${show(what === 'insert' ? row : set)}`,
    run: async ({ db }) => {
      if (what === 'insert') return loose(db).insert(subject.table).values(row)
      return what === 'update'
        ? loose(db).update(subject.table).set(set).where(where)
        : loose(db).delete(subject.table).where(where)
    },
  }
}

/** Changes of the schema, now and then: a column comes, a unique key goes and comes again. */
export function drawSchemaChange(random: Random, at: number): Step {
  const statement = random.pick([
    `alter table people add column extra_${at} integer default ${at}`,
    `alter table wide add column extra_${at} text`,
    'alter table annex.people drop constraint people_email_key',
    'alter table annex.people add constraint people_email_key unique (email)',
    'create index on items (owner_id)',
  ])
  return {
    label: statement,
    run: async ({ db, aside }) => {
      await db.execute(sql.raw(statement))
      await aside?.ready({ reload: true })
    },
  }
}

export const seedRows: readonly { readonly table: unknown; readonly rows: Values[] }[] = [
  { table: people, rows: [1, 2, 3, 4].map((id) => ({ id, email: `seed-${id}@x` })) },
  { table: items, rows: [{ id: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', ownerId: 1 }] },
  { table: counters, rows: [{ id: 1n, ref: 1, label: 'x', amount: 1 }] },
  { table: audit, rows: [{ kind: 'other', hits: 0 }] },
  { table: tallies, rows: [{ id: 1, total: 0 }] },
]

export async function seed(db: Db): Promise<void> {
  for (const { table, rows } of seedRows) await loose(db).insert(table).values(rows)
}
