/**
 * Whose answer is it (F4, E7): thousands of random switches of tenant, role and scope, none of which may show another's rows.
 *
 * The database decides by row security what a session sees: by its role, and by the tenant that was set on its connection.
 * The statements name neither. So the scope alone keeps the tenants' answers apart, and the session's role the roles'.
 */
import { redisStore } from '@drizzle-aside/redis'
import { cached, memoryStore, type Store, withCache } from 'drizzle-aside'
import { asc, eq, gt, inArray } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { boolean, integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Pool } from 'pg'
import { createClient } from 'redis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase, freshRedis } from '../harness/databases.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import { outside } from '../support/items.ts'
import { Random } from './random.ts'

const SEED = Number(process.env.SEED ?? 20_261_128)
const SWITCHES = 10_000

const files = pgTable('files', {
  id: integer().primaryKey(),
  tenant: integer().notNull(),
  kind: integer().notNull(),
  shared: boolean().notNull(),
  body: text().notNull(),
})

/** One tenant each: texts made of what keys are made of, twins of other types, and what Unicode makes alike. */
const scopes: readonly (string | number | bigint | boolean)[] = [
  ...['', ' ', ':', ',', '#', '{}', '\0', '1', '01', 's1', 's1:1', 's2:s1', '2:s1', 'n1', 'true', 'null', 'undefined'],
  ...[
    'a',
    'a:b',
    'b',
    's1:as1:b',
    '1:1',
    'p',
    'pn1;',
    'z',
    'g1:a',
    'é',
    'e\u0301',
    'Å',
    '\u212b',
    '\u{1f600}',
    '\ufffd',
  ],
  ...[
    '\ud800',
    '\udfff',
    'x'.repeat(61),
    'x'.repeat(62),
    'x'.repeat(63),
    'x'.repeat(64),
    'x'.repeat(300),
    `${'x'.repeat(300)}1`,
  ],
  ...[1, 0, -1, 1.5, 1n, 0n, true, false],
]
/** Roles are the server's, not the database's: their names begin with its. */
const roles = ['all', 'shared'] as const
const roleNamed = (role: string): string => `${database.name}_${role}`
const PASSWORD = 'only-in-this-test'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase(18)
  await outside(
    database.url,
    `create table files (id int primary key, tenant int not null, kind int not null, shared boolean not null, body text not null);
    create index on files (kind);
    insert into files select i, i % ${scopes.length}, i % 3, i % 2 = 0, 'of ' || i % ${scopes.length}
      from generate_series(1, ${scopes.length * 6}) i;
    alter table files enable row level security;
    create policy tenants on files using (
      tenant = current_setting('app.tenant')::int and (shared or current_user like '%_all'));
    ${roles
      .map(roleNamed)
      .map((role) => `create role ${role} login password '${PASSWORD}'; grant select, update on files to ${role};`)
      .join('\n')}`,
  )
})
afterAll(async () => {
  const named = roles.map(roleNamed).join(', ')
  await outside(database.url, `drop owned by ${named}; drop role ${named}`)
  await database.drop()
})

/** What both the wrapped and the plain db are asked. */
const questions = [
  (db: Db, random: Random) => {
    const id = 1 + random.below(scopes.length * 2)
    return { name: `id ${id}`, ask: () => db.select().from(files).where(eq(files.id, id)) }
  },
  (db: Db, random: Random) => {
    const first = 1 + random.below(scopes.length)
    const ids = [first, first + 1, first + scopes.length]
    return {
      name: `ids ${first}`,
      ask: () => db.select().from(files).where(inArray(files.id, ids)).orderBy(asc(files.id)),
    }
  },
  (db: Db, random: Random) => {
    const kind = random.below(3)
    return {
      name: `kind ${kind}`,
      ask: () => db.select().from(files).where(eq(files.kind, kind)).orderBy(asc(files.id)),
    }
  },
  (db: Db) => ({ name: 'count', ask: async () => [{ n: await db.$count(files) }] }),
  (db: Db) => ({
    name: 'late',
    ask: () => db.select({ body: files.body }).from(files).where(gt(files.id, 5)).orderBy(asc(files.id)),
  }),
] as const
type Db = ReturnType<typeof drizzle>

interface Member {
  readonly db: Db
  readonly plain: Db
  /** Gives the one connection to a tenant, as middleware would before a request. */
  enter(tenant: number): Promise<void>
  readonly hits: () => number
  close(): Promise<void>
}

/** One service under one role; `scoped: false` is the planted fault. */
async function open(role: string, store: Store, namespace: string, scoped: boolean): Promise<Member> {
  const url = new URL(database.url)
  url.username = roleNamed(role)
  url.password = PASSWORD
  const pool = new Pool({ connectionString: url.href, max: 1 })
  let tenant = 0
  const scope = () => (scoped ? scopes[tenant] : 'everybody')
  const enter = async (next: number): Promise<void> => {
    tenant = next
    await pool.query(`select set_config('app.tenant', $1, false)`, [String(next)])
  }
  await enter(0)
  const db = withCache(drizzle(pool), { store, namespace, scope, tables: [cached(files)] })
  await db.$aside.ready()
  return {
    db,
    plain: drizzle(pool),
    enter,
    hits: () => db.$aside.stats().hits,
    close: async () => {
      await db.$aside.close()
      await pool.end()
    },
  }
}

/** How many answers were not the database's own for that tenant and role. */
async function crossReads(store: Store, namespace: string, switches: number, scoped = true) {
  const random = new Random(SEED)
  const members = await Promise.all(roles.map((role) => open(role, store, namespace, scoped)))
  const truth = new Map<string, unknown>()
  const wrong: string[] = []
  try {
    for (let at = 0; at < switches; at++) {
      const role = random.below(members.length)
      const tenant = random.below(scopes.length)
      const { db, plain, enter } = members[role] as Member
      await enter(tenant)
      if (random.chance(0.01)) {
        await db
          .update(files)
          .set({ body: `of ${tenant}, ${at}` })
          .where(eq(files.kind, random.below(3)))
        truth.clear()
      }
      const draw = random.below(1_000_000)
      const question = random.pick(questions)
      const { name, ask } = question(db, new Random(draw))
      const asked = `${roles[role]} as ${JSON.stringify(String(scopes[tenant])).slice(0, 40)} (${tenant}): ${name}`
      if (!truth.has(asked)) truth.set(asked, await question(plain, new Random(draw)).ask())
      const answer = await ask()
      if (JSON.stringify(answer) !== JSON.stringify(truth.get(asked))) wrong.push(`switch ${at}: ${asked}`)
    }
    return { wrong, hits: members.reduce((sum, { hits }) => sum + hits(), 0) }
  } finally {
    for (const member of members) await member.close()
  }
}

test(`F4: ${SWITCHES} switches of tenant, role and scope over a memory store, seed ${SEED}: no answer of another's`, async () => {
  const { wrong, hits } = await crossReads(memoryStore(), 'leaks', SWITCHES)
  expect(wrong).toEqual([])
  expect(hits).toBeGreaterThan(SWITCHES / 10)
})

test(`F4: ${SWITCHES} switches of tenant, role and scope over Redis, seed ${SEED}: no answer of another's`, async () => {
  const redis = await freshRedis()
  await ageRegister(redis.url, redis.namespace, database.name)
  const client = createClient({ url: redis.url })
  await client.connect()
  try {
    const { wrong, hits } = await crossReads(redisStore(client), redis.namespace, SWITCHES)
    expect(wrong).toEqual([])
    expect(hits).toBeGreaterThan(SWITCHES / 10)
  } finally {
    client.destroy()
    await redis.drop()
  }
})

test('the same switches with one scope for all show others’ rows, so the tries can see a leak', async () => {
  const { wrong } = await crossReads(memoryStore(), 'leaks', 300, false)
  expect(wrong.length).toBeGreaterThan(50)
})
