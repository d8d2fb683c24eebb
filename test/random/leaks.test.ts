/**
 * Whose answer is it (F4, E7; PROTOCOL 11: 54): thousands of random switches of tenant, role and scope, none of which may
 * show another's rows.
 *
 * The database decides by row security what a session sees: by its role, and by the tenant that was set on its connection.
 * The statements name neither. So the scope alone keeps the tenants' answers apart, and the session's role the roles'.
 * Requests of several tenants are on their way at once, often with the same question.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { redisStore } from '@drizzle-aside/redis'
import { cached, memoryStore, type Store, withCache } from 'drizzle-aside'
import { and, asc, eq, gt, inArray } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { boolean, integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Client, Pool } from 'pg'
import { createClient } from 'redis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase, freshRedis } from '../harness/databases.ts'
import { onEveryClient } from '../harness/pg-clients.ts'
import { ageRegister } from '../harness/redis-keys.ts'
import { hostileTexts } from '../support/hostile-texts.ts'
import { outside } from '../support/items.ts'
import { Random } from './random.ts'

const SEED = Number(process.env.SEED ?? 20_261_128)
const SWITCHES = 10_000
/** Most requests that are on their way at a time. */
const AT_ONCE = 5

const files = pgTable('files', {
  id: integer().primaryKey(),
  tenant: integer().notNull(),
  kind: integer().notNull(),
  shared: boolean().notNull(),
  name: text().notNull(),
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
/** Few enough to be asked for again: others with another seed. */
const names = hostileTexts.filter((_, at) => at % 5 === SEED % 5)

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase(18)
  await outside(
    database.url,
    `create table files (id int primary key, tenant int not null, kind int not null, shared boolean not null,
      name text not null, body text not null);
    create index on files (kind);
    create index on files (name);
    insert into files select i, i % ${scopes.length}, i % 3, i % 2 = 0, '', 'of ' || i % ${scopes.length}
      from generate_series(1, ${scopes.length * 6}) i;
    alter table files enable row level security;
    create policy tenants on files using (
      tenant = current_setting('app.tenant')::int and (shared or current_user like '%_all'));
    ${roles
      .map(roleNamed)
      .map((role) => `create role ${role} login password '${PASSWORD}'; grant select, update on files to ${role};`)
      .join('\n')}`,
  )
  // Each tenant has files of several names, and each name files of several tenants.
  const client = new Client({ connectionString: database.url })
  await client.connect()
  await client.query('update files set name = ($1::text[])[1 + (id + tenant) % $2]', [names, names.length])
  await client.end()
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
  (db: Db, random: Random) => {
    const name = random.pick(names)
    return {
      name: `named ${name}`,
      ask: () => db.select().from(files).where(eq(files.name, name)).orderBy(asc(files.id)),
    }
  },
  (db: Db, random: Random) => {
    const [name, kind] = [random.pick(names), random.below(3)]
    return {
      name: `kind ${kind} named ${name}`,
      ask: () =>
        db
          .select()
          .from(files)
          .where(and(eq(files.name, name), eq(files.kind, kind)))
          .orderBy(asc(files.id)),
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
  readonly hits: () => number
  close(): Promise<void>
}

/** Whose request it is that runs. */
const tenantNow = new AsyncLocalStorage<number>()

/** Gives the connection to the tenant before each of his statements, as middleware does. */
function giveToTenants(pool: Pool): void {
  onEveryClient(pool, (client) => {
    const send = client.query.bind(client) as (...args: unknown[]) => unknown
    client.query = ((...args: unknown[]) => {
      const tenant = tenantNow.getStore()
      if (tenant !== undefined) void send(`select set_config('app.tenant', '${tenant}', false)`)
      return send(...args)
    }) as typeof client.query
  })
}

/** One service under one role; `scoped: false` is the planted fault. */
async function open(role: string, store: Store, namespace: string, scoped: boolean): Promise<Member> {
  const url = new URL(database.url)
  url.username = roleNamed(role)
  url.password = PASSWORD
  // Who waits for a connection gets it in the context of him who gives it back: there are enough for all.
  const pool = new Pool({ connectionString: url.href, max: 3 * AT_ONCE })
  giveToTenants(pool)
  const scope = () => (scoped ? scopes[tenantNow.getStore() as number] : 'everybody')
  const tables = [cached(files, { lists: (t) => [[t.kind, t.name]] })]
  const db = withCache(drizzle(pool), { store, namespace, scope, tables })
  await db.$aside.ready()
  return {
    db,
    plain: drizzle(pool),
    hits: () => db.$aside.stats().hits,
    close: async () => {
      await db.$aside.close()
      await pool.end()
    },
  }
}

/** A request of a tenant to the service of a role. */
interface Request {
  readonly role: number
  readonly tenant: number
  readonly question: (typeof questions)[number]
  /** Decides what exactly is asked. */
  readonly draw: number
}

/** Several, and in every second burst all with one question. */
function burst(random: Random): Request[] {
  const draw = () => ({ question: random.pick(questions), draw: random.below(1_000_000) })
  const same = random.chance(0.5) ? draw() : undefined
  return Array.from({ length: 1 + random.below(AT_ONCE) }, () => ({
    role: random.below(roles.length),
    tenant: random.below(scopes.length),
    ...(same ?? draw()),
  }))
}

/** How many answers were not the database's own for that tenant and role. */
async function crossReads(store: Store, namespace: string, switches: number, scoped = true) {
  const random = new Random(SEED)
  const members = await Promise.all(roles.map((role) => open(role, store, namespace, scoped)))
  const truth = new Map<string, unknown>()
  const wrong: string[] = []
  const answer = async ({ role, tenant, question, draw }: Request, at: number): Promise<void> => {
    const { db, plain } = members[role] as Member
    const { name, ask } = question(db, new Random(draw))
    const asked = `${roles[role]} as ${JSON.stringify(String(scopes[tenant])).slice(0, 40)} (${tenant}): ${name}`
    if (!truth.has(asked)) truth.set(asked, await question(plain, new Random(draw)).ask())
    if (JSON.stringify(await ask()) !== JSON.stringify(truth.get(asked))) wrong.push(`switch ${at}: ${asked}`)
  }
  try {
    for (let at = 0; at < switches; ) {
      if (random.chance(0.03)) {
        const { db } = random.pick(members)
        const tenant = random.below(scopes.length)
        const body = `of ${tenant}, ${at}`
        const where = eq(files.kind, random.below(3))
        await tenantNow.run(tenant, () => db.update(files).set({ body }).where(where).execute())
        truth.clear()
      }
      const requests = burst(random)
      await Promise.all(requests.map((request, i) => tenantNow.run(request.tenant, () => answer(request, at + i))))
      at += requests.length
    }
    return { wrong, hits: members.reduce((sum, { hits }) => sum + hits(), 0) }
  } finally {
    for (const member of members) await member.close()
  }
}

test(`F4, 54: ${SWITCHES} switches of tenant, role and scope over a memory store, seed ${SEED}: no answer of another's`, {
  timeout: 240_000,
}, async () => {
  const { wrong, hits } = await crossReads(memoryStore(), 'leaks', SWITCHES)
  expect(wrong).toEqual([])
  expect(hits).toBeGreaterThan(SWITCHES / 10)
})

test(`F4, 54: ${SWITCHES} switches of tenant, role and scope over Redis, seed ${SEED}: no answer of another's`, {
  timeout: 240_000,
}, async () => {
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
